"""What is simulated: sample, indicator, optics and camera, flat, with the unit in every name."""

import math
from dataclasses import dataclass, fields

from model.camera import Camera

# Values typical of a modern sCMOS and of an EMCCD at high gain, of no particular device: offset in ADU,
# electrons per ADU, read noise in electrons, EM gain.
CAMERAS = {"scmos": (100.0, 1.0, 1.6, 1.0), "emccd": (100.0, 45.0, 74.4, 300.0)}

MIN_SIDE_PX = 16
MAY_BE_ZERO = {
    "num_puncta_mean",
    "puncta_per_um2",
    "diffusion_mobile_um2_s",
    "diffusion_slow_um2_s",
    "photons_sd_between",
    "photons_sd_within",
    "background_photons",
    "background_blobs",
    "offset_adu",
    "read_noise_e",
    "calcium_rest_photons",
    "event_rate_hz",
}
FRACTIONS = {"mobile_fraction", "off_probability", "background_gradient"}


class SimulationError(Exception):
    """A simulation is impossible or cannot be written; the message says what, where, and what to do."""


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """One simulated dual-channel movie.

    Diffusion coefficients, density, PSF and pixel size follow PIEZO1-HaloTag recordings. Duration and
    amplitude of the calcium transients, the cloud's size, the event rate, blinking and bleaching are
    assumptions: no measured values were found.

    Attributes
    ----------
    image_size, n_frames
        (height, width) of the images in pixels, and number of frames.
    interval_ms
        Frame interval; the camera exposes all of it.
    pixel_size_nm
        Pixel size in the sample.
    puncta_per_um2, num_puncta_mean
        Density of puncta, or where given their mean number in the image (the number is Poisson).
    mobile_fraction, diffusion_mobile_um2_s, diffusion_slow_um2_s
        A fraction of the puncta diffuses with the first coefficient, the rest with the second.
    photons, photons_sd_between, photons_sd_within
        Mean photo-electrons of a punctum per frame; standard deviation of their logarithm between
        puncta, and within a punctum from frame to frame.
    off_probability, on_probability
        Blinking: probability per frame to go dark, and to come back. Blinks last whole frames.
    mean_life_frames
        Bleaching: mean of the exponential life, bright and dark frames counted. A punctum that
        bleaches is replaced elsewhere, which keeps the density steady.
    psf_type, psf_sigma_nm
        "gaussian" or "airy", and the standard deviation of the (best-fitting) Gaussian.
    background_photons, background_gradient, background_blobs
        Mean background per pixel in photo-electrons, its relative rise from the centre to the edge, and
        the number of out-of-focus blobs.
    camera
        "scmos" or "emccd"; gives the four values below where they are None.
    offset_adu, e_per_adu, read_noise_e, em_gain
        As in `model.camera.Camera`.
    calcium_rest_photons
        Resting level of the calcium channel per pixel (F0) in photo-electrons.
    event_rate_hz
        Calcium events per punctum and second.
    dff_min, dff_max, event_rise_frames, event_tau_min_frames, event_tau_max_frames
        An event's peak ΔF/F0 at the punctum and its decay time are uniform in these ranges; it rises
        linearly within `event_rise_frames` frames and decays exponentially.
    cloud_sigma_min_px, cloud_sigma_max_px
        The calcium around an open channel is a Gaussian cloud of this standard deviation (uniform), as
        seen through the optics.
    """

    image_size: tuple[int, int] = (256, 256)
    n_frames: int = 200
    interval_ms: float = 50.0
    pixel_size_nm: float = 108.0
    puncta_per_um2: float = 0.36
    num_puncta_mean: float | None = None
    mobile_fraction: float = 0.4
    diffusion_mobile_um2_s: float = 0.029
    diffusion_slow_um2_s: float = 0.003
    photons: float = 1000.0
    photons_sd_between: float = 0.4
    photons_sd_within: float = 0.15
    off_probability: float = 0.02
    on_probability: float = 0.3
    mean_life_frames: float = 150.0
    psf_type: str = "gaussian"
    psf_sigma_nm: float = 150.0
    background_photons: float = 15.0
    background_gradient: float = 0.3
    background_blobs: int = 3
    camera: str = "scmos"
    offset_adu: float | None = None
    e_per_adu: float | None = None
    read_noise_e: float | None = None
    em_gain: float | None = None
    calcium_rest_photons: float = 50.0
    event_rate_hz: float = 0.2
    dff_min: float = 0.1
    dff_max: float = 1.2
    event_rise_frames: int = 2
    event_tau_min_frames: float = 3.0
    event_tau_max_frames: float = 10.0
    cloud_sigma_min_px: float = 1.0
    cloud_sigma_max_px: float = 4.0

    def __post_init__(self) -> None:
        size = self.image_size
        if not (isinstance(size, tuple) and len(size) == 2 and all(type(side) is int for side in size)):
            raise SimulationError(f"image_size is {size!r}; give height and width as two whole numbers")
        height, width = size
        if min(height, width) < MIN_SIDE_PX:
            raise SimulationError(
                f"image_size is {height} × {width} px; each side must be at least {MIN_SIDE_PX} px"
            )
        for name in ("psf_type", "camera"):
            known = ("gaussian", "airy") if name == "psf_type" else tuple(CAMERAS)
            if getattr(self, name) not in known:
                raise SimulationError(f"{name} is {getattr(self, name)!r}; choose {' or '.join(known)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in (float, int, float | None) and not (value is None and field.default is None):
                self._check_number(field.name, value, whole=field.type is int)
        for low, high in (
            ("dff_min", "dff_max"),
            ("event_tau_min_frames", "event_tau_max_frames"),
            ("cloud_sigma_min_px", "cloud_sigma_max_px"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise SimulationError(
                    f"{low} is {getattr(self, low)}, above {high} = {getattr(self, high)}; swap them"
                )
        if not 0 < self.on_probability <= 1:
            raise SimulationError(f"on_probability is {self.on_probability}; it must lie in (0, 1]")
        if self.em_gain is not None and self.em_gain < 1:
            raise SimulationError(f"em_gain is {self.em_gain}; it must be 1 (no multiplication) or more")
        if self.em_gain is not None and self.em_gain > 1 and self.camera == "scmos":
            raise SimulationError(f"an scmos camera has no em_gain ({self.em_gain} given); choose emccd")
        if self.mean_puncta > height * width:
            raise SimulationError(
                f"{self.mean_puncta:.0f} puncta are asked for in {height * width} pixels; ask for fewer"
            )

    def _check_number(self, name: str, value: object, *, whole: bool) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise SimulationError(f"{name} is {value!r}; it must be a finite number")
        if whole and not isinstance(value, int):
            raise SimulationError(f"{name} is {value}; it must be a whole number")
        if name in FRACTIONS:
            if not 0 <= value <= 1:
                raise SimulationError(f"{name} is {value}; it must lie between 0 and 1")
        elif value < 0 or (value == 0 and name not in MAY_BE_ZERO):
            bound = "0 or more" if name in MAY_BE_ZERO else "positive"
            raise SimulationError(f"{name} is {value}; it must be {bound}")

    @property
    def interval_s(self) -> float:
        """Frame interval in seconds."""
        return self.interval_ms / 1000

    @property
    def psf_sigma_px(self) -> float:
        """Standard deviation of the PSF in pixels."""
        return self.psf_sigma_nm / self.pixel_size_nm

    @property
    def mean_puncta(self) -> float:
        """Mean number of puncta in the image, dark ones counted."""
        if self.num_puncta_mean is not None:
            return self.num_puncta_mean
        height, width = self.image_size
        return self.puncta_per_um2 * height * width * (self.pixel_size_nm / 1000) ** 2

    def camera_model(self) -> Camera:
        """The camera that takes the movie."""
        given = (self.offset_adu, self.e_per_adu, self.read_noise_e, self.em_gain)
        offset, e_per_adu, read_noise_e, em_gain = (
            typical if value is None else value
            for value, typical in zip(given, CAMERAS[self.camera], strict=True)
        )
        return Camera(offset, e_per_adu, read_noise_e, em_gain)
