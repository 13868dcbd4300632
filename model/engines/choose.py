"""Which engine a run gets, from the engine section of its configuration."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.camera import Camera
from model.card import SHIPPED_MODEL, read_model
from model.engines import wavelet
from model.engines.base import Engine, ModelError
from model.engines.names import BackendName
from model.engines.network import NetworkEngine

NAMES = ("auto", "network", "wavelet")


class EngineSettings(Protocol):
    """What a configuration says of the engine (`stream.config.EngineConfig` fits)."""

    @property
    def name(self) -> str:
        """One of `NAMES`."""
        ...

    @property
    def model(self) -> Path | None:
        """ONNX file of a network; None takes the one that ships."""
        ...

    @property
    def backend(self) -> BackendName:
        """Library that runs the network; "auto" takes the first that works."""
        ...

    @property
    def threshold(self) -> float | None:
        """The network's detection threshold; None takes the model's own."""
        ...

    @property
    def wavelet_threshold(self) -> float:
        """Detection threshold of the wavelet method in units of std(Wave.F1)."""
        ...


def choose_engine(
    settings: EngineSettings,
    camera: Camera,
    psf_sigma_px: float,
    transform: NDArray[np.float64] | None = None,
) -> Engine:
    """Make the engine that the settings ask for.

    "auto" takes the configured network, else the one that ships, else (where that is missing or does not
    run here) the wavelet method, and the engine's description says why.

    Parameters
    ----------
    settings
        What is asked for.
    camera
        The camera of both channels.
    psf_sigma_px
        Standard deviation of the PSF in pixels.
    transform
        (2, 3): where a pixel of channel 1 lies in channel 2, see `model.registration.places`; None: in the
        same place. The wavelet method looks at channel 1 only.

    Raises
    ------
    ModelError
        If the name is not known, or the engine cannot be made or work with these parameters.
    """
    check_engine(settings)
    if _needs_network(settings):
        return NetworkEngine(
            camera,
            psf_sigma_px,
            settings.model,
            settings.threshold,
            backend=settings.backend,
            transform=transform,
        )
    why = "as configured"
    if settings.name == "auto":
        why = "auto: no trained network ships with this version"
        if SHIPPED_MODEL.exists():
            try:
                why = "auto: the network that ships"
                return NetworkEngine(
                    camera, psf_sigma_px, SHIPPED_MODEL, settings.threshold, why, settings.backend, transform
                )
            except ModelError as error:
                why = f"auto: THE NETWORK THAT SHIPS CANNOT BE USED: {error}"
    return wavelet.WaveletEngine(camera, psf_sigma_px, settings.wavelet_threshold, why=why)


def check_engine(settings: EngineSettings) -> None:
    """See whether the engine's name is known and its model can be read, without making it.

    Raises
    ------
    ModelError
        If not.
    """
    if settings.name not in NAMES:
        raise ModelError(
            f"engine.name is {settings.name!r}, which is not known; choose one of {', '.join(NAMES)}"
        )
    if _needs_network(settings):
        read_model(settings.model or SHIPPED_MODEL)


def warm_up(settings: EngineSettings) -> None:
    """Compile what the engine needs, before the camera and the optics are known.

    Raises
    ------
    ModelError
        If `check_engine` does.
    """
    check_engine(settings)
    wavelet.warm_up()


def _needs_network(settings: EngineSettings) -> bool:
    """Whether nothing else will do."""
    return settings.name == "network" or (settings.name == "auto" and settings.model is not None)
