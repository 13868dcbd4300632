"""The `wavelet` engine: the ThunderSTORM method on the CPU, without any training."""

import numpy as np

from model.camera import Camera
from model.crowd import locate_puncta
from model.engines.base import SIGMA_LIMITS_PX, ModelError, RawFrame, Threshold
from model.engines.scale import Image, scaled_photons, scaled_read_variance
from model.localizations import Localizations
from model.mle_fit import BACKGROUND, N_PARAMETERS, PHOTONS, SIGMA, X, Y
from model.optics import Array

# How far the threshold can be turned. Below, maxima of the noise are most of what is found, and a frame takes
# many times as long; above, hardly any punctum of the demo movie is left.
LOW_FACTOR, HIGH_FACTOR = 0.5, 10.0


class WaveletEngine:
    """Localizes channel 0 (PIEZO1) of each frame by itself; deterministic, one result per `step`.

    Its numba functions compile (or load from numba's cache) in the constructor, so that the first
    frame takes no longer than the others.

    Parameters
    ----------
    camera
        The PIEZO1 camera. Maps must have the shape of the frames' images.
    psf_sigma_px
        Expected standard deviation of the PSF in pixels; need not be exact, it is fitted.
    threshold
        Detection threshold in units of std(Wave.F1).
    why
        Why this engine was chosen, for its description.

    Raises
    ------
    ModelError
        If σ or the threshold makes no sense; from `step`, if a camera map does not fit the image.
    """

    def __init__(
        self, camera: Camera, psf_sigma_px: float, threshold: float = 1.0, why: str = "as configured"
    ) -> None:
        low, high = SIGMA_LIMITS_PX
        if not low <= psf_sigma_px <= high:
            raise ModelError(
                f"the PSF's σ is {psf_sigma_px:g} px, the wavelet method needs {low} to {high} px; "
                "check optics.psf_sigma_nm and optics.pixel_size_nm"
            )
        if not threshold > 0:
            raise ModelError(f"engine.wavelet_threshold is {threshold:g}; it must be positive, 1 is usual")
        self._camera = camera
        self._sigma = psf_sigma_px
        low, high = min(LOW_FACTOR, threshold), max(HIGH_FACTOR, threshold)
        self._threshold = Threshold(threshold, low, high, "std(Wave.F1)")
        self._why = why
        self._variance: Image = np.empty((0, 0), np.float32)
        warm_up()

    @property
    def description(self) -> str:
        """Method, device and why it was chosen."""
        return (
            f"wavelet on the CPU: B-spline wavelet maxima above {self._threshold.value:g} std(Wave.F1), "
            f"maximum-likelihood fits around σ {self._sigma:.2f} px ({self._why})"
        )

    @property
    def window(self) -> int:
        """Every frame by itself."""
        return 1

    @property
    def uses_gpu(self) -> bool:
        """Never."""
        return False

    @property
    def threshold(self) -> Threshold:
        """Factor on the standard deviation of the first wavelet plane."""
        return self._threshold

    def use_threshold(self, value: float) -> None:
        """Take another detection threshold for the frames to come."""
        self._threshold = self._threshold.turned(value)

    def prepare(self, height: int, width: int) -> None:
        """Get the camera's noise ready."""
        self._variance = scaled_read_variance(self._camera, (height, width))

    def use_camera(self, camera: Camera) -> None:
        """Take another camera."""
        self._camera = camera
        if self._variance.size:
            self.prepare(*self._variance.shape)

    def step(self, frame: RawFrame) -> list[tuple[int, Localizations]]:
        """Localize one frame."""
        counts = frame.pixels[0]
        if self._variance.shape != counts.shape:
            self.prepare(*counts.shape)
        image = scaled_photons(self._camera, counts)
        fits = locate_puncta(image, self._variance, self._sigma, self._threshold.value)
        return [(frame.seq, _localizations(fits, self._camera.excess))]

    def flush(self) -> list[tuple[int, Localizations]]:
        """Nothing is ever owed."""
        return []


def warm_up() -> None:
    """Compile the method, or load it from numba's cache, by localizing a small image."""
    image = np.full((16, 16), 10.0, np.float32)
    image[7:9, 7:9] = 500.0
    locate_puncta(image, np.ones_like(image), 1.3, 1.0)


def _localizations(fits: Array, excess: float) -> Localizations:
    return Localizations.from_columns(
        x_px=fits[:, X],
        y_px=fits[:, Y],
        x_sd_px=fits[:, N_PARAMETERS + X],
        y_sd_px=fits[:, N_PARAMETERS + Y],
        photons=fits[:, PHOTONS] * excess,
        background=fits[:, BACKGROUND] * excess,
        psf_sigma_px=fits[:, SIGMA],
    )
