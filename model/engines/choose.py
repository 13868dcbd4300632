"""Which engine a run gets, from the name in its configuration."""

from model.camera import Camera
from model.engines import wavelet
from model.engines.base import Engine, ModelError

NAMES = ("auto", "wavelet")


def choose_engine(name: str, camera: Camera, psf_sigma_px: float, wavelet_threshold: float) -> Engine:
    """Make the engine called `name`; "auto" takes the best that works on this machine.

    Parameters
    ----------
    name
        One of `NAMES`.
    camera
        Camera of the PIEZO1 channel.
    psf_sigma_px
        Standard deviation of the PSF in pixels.
    wavelet_threshold
        Detection threshold of the wavelet method in units of std(Wave.F1).

    Raises
    ------
    ModelError
        If the name is not known or the engine cannot work with these parameters.
    """
    _check(name)
    why = "auto: no trained model is installed" if name == "auto" else "as configured"
    return wavelet.WaveletEngine(camera, psf_sigma_px, wavelet_threshold, why=why)


def warm_up(name: str) -> None:
    """Compile what the engine called `name` needs, before the camera and the optics are known.

    Raises
    ------
    ModelError
        If the name is not known.
    """
    _check(name)
    wavelet.warm_up()


def _check(name: str) -> None:
    if name not in NAMES:
        raise ModelError(f"engine.name is {name!r}, which is not known; choose one of {', '.join(NAMES)}")
