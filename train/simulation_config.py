"""What is simulated: sample, indicator, optics and camera, flat, with the unit in every name."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from model.camera import Camera
from train.ranges import Fraction, Frames, NotNegative, Positive, Real

# Values typical of a modern sCMOS and of an EMCCD at high gain, of no particular device: offset in ADU,
# electrons per ADU, read noise in electrons, EM gain.
CAMERAS = {"scmos": (100.0, 1.0, 1.6, 1.0), "emccd": (100.0, 45.0, 74.4, 300.0)}

# Limits are what a microscope could show at the very most.
Side = Annotated[int, Field(ge=16, le=8192)]
# YAML and JSON know lists only.
Sides = Annotated[tuple[Side, Side], Field(strict=False)]
Component = Annotated[Real, Field(ge=-1e5, le=1e5)]
Vector = Annotated[tuple[Component, Component], Field(strict=False)]


class SimulationError(Exception):
    """A simulation is impossible or cannot be written; the message says what, where, and what to do."""


class SimulationConfig(BaseModel):
    """One simulated dual-channel movie.

    Diffusion coefficients, density, PSF and pixel size follow PIEZO1-HaloTag recordings. Duration and
    amplitude of the calcium transients, the cloud's size, the event rate, blinking, bleaching and all
    disturbances are assumptions: no measured values were found. Disturbances are off unless asked for.

    Raises
    ------
    SimulationError
        If a parameter is unknown or impossible: one sentence that names it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # The movie.
    image_size: Sides = Field((256, 256), description="height and width, pixels, 16 or more each")
    n_frames: Annotated[int, Field(ge=1)] = Field(200, description="number of frames")
    interval_ms: Positive = Field(
        50.0, le=1e7, description="frame interval, ms; the camera exposes all of it"
    )
    pixel_size_nm: Positive = Field(108.0, ge=1, le=1e5, description="pixel size in the sample, nm")

    # Puncta and how they move.
    puncta_per_um2: NotNegative = Field(
        0.36, le=1e4, description="density of puncta, dark ones counted, 1/µm²"
    )
    num_puncta_mean: NotNegative | None = Field(
        None,
        le=1e8,
        description="mean number in the image instead of the density; the number itself is Poisson",
    )
    mobile_fraction: Fraction = Field(0.4, description="share of puncta that diffuse freely")
    confined_fraction: Fraction = Field(0.0, description="share that diffuse within a disc")
    directed_fraction: Fraction = Field(0.0, description="share that move at a speed in some direction")
    diffusion_mobile_um2_s: NotNegative = Field(
        0.029, le=1e3, description="of mobile and confined puncta, µm²/s"
    )
    diffusion_slow_um2_s: NotNegative = Field(0.003, le=1e3, description="of all others, µm²/s")
    confinement_nm: Positive = Field(150.0, le=1e5, description="radius of the disc, nm")
    speed_um_s: NotNegative = Field(0.5, le=1e4, description="of directed puncta, µm/s")
    drift_nm_s: Vector = Field((0.0, 0.0), description="drift of the stage in x and y, nm/s")

    # Their light.
    photons: Positive = Field(1000.0, le=1e6, description="mean photo-electrons of a punctum per frame")
    photons_sd_between: NotNegative = Field(0.4, le=3, description="sd of ln photons between puncta")
    photons_sd_within: NotNegative = Field(0.15, le=3, description="sd of ln photons from frame to frame")
    off_probability: Fraction = Field(0.02, description="blinking: probability per frame to go dark")
    on_probability: Annotated[Fraction, Field(gt=0)] = Field(0.3, description="and to come back")
    mean_life_frames: Positive = Field(
        150.0, le=1e12, description="mean frames until a punctum bleaches; another one replaces it elsewhere"
    )

    # Optics.
    psf_type: Literal["gaussian", "airy"] = Field("gaussian", description="gaussian or airy")
    psf_sigma_nm: Positive = Field(
        150.0, ge=1, le=1e4, description="σ of the PSF's best Gaussian, √(σx·σy), nm"
    )
    psf_ellipticity: Annotated[Real, Field(ge=0.5, le=2)] = Field(1.0, description="σx/σy")
    halo_fraction: Fraction = Field(0.0, description="share of the light in a wider Gaussian")
    halo_width: Annotated[Real, Field(ge=1)] = Field(3.0, le=100, description="its σ over that of the PSF")
    background_photons: NotNegative = Field(15.0, le=1e6, description="mean photo-electrons per pixel")
    background_gradient: Fraction = Field(0.3, description="relative rise from the centre to the edge")
    background_blobs: NotNegative = Field(3.0, le=1000, description="mean number of out-of-focus blobs")
    background_texture: Fraction = Field(0.0, description="relative amplitude of autofluorescent patches")

    # Camera; the four None are the camera's typical values.
    camera: Literal["scmos", "emccd"] = Field("scmos", description="scmos or emccd")
    offset_adu: NotNegative | None = Field(None, le=65535, description="counts without light, ADU")
    e_per_adu: Positive | None = Field(None, ge=1e-3, le=1e4, description="electrons per count")
    read_noise_e: NotNegative | None = Field(None, le=1e4, description="read noise, electrons r.m.s.")
    em_gain: Annotated[Real, Field(ge=1)] | None = Field(None, le=1e4, description="electron multiplication")
    read_noise_spread: NotNegative = Field(0.0, le=3, description="sd of ln read noise between pixels")
    hot_pixel_fraction: Fraction = Field(
        0.0, description="share of pixels with 30 to 5000 electrons of their own"
    )

    # Calcium: the indicator and its rest.
    indicator: Literal["cytosolic", "tethered"] = Field(
        "cytosolic", description="cytosolic: clouds around open channels; tethered: spots on the channels"
    )
    calcium_rest_photons: NotNegative = Field(
        50.0, le=1e6, description="resting level (F0), photo-electrons per pixel"
    )
    channel2_shift_nm: Vector = Field(
        (0.0, 0.0), description="shift of the calcium channel's image in x and y, nm"
    )
    calcium_sigma_nm: Positive = Field(
        165.0, ge=1, le=1e4, description="tethered: σ of the calcium channel's PSF, nm"
    )
    spot_photons: NotNegative = Field(
        200.0, le=1e6, description="tethered: resting photo-electrons of a spot per frame"
    )
    spot_photons_sd: NotNegative = Field(0.3, le=3, description="tethered: sd of their ln between spots")
    indicator_off_probability: Fraction = Field(0.02, description="tethered: blinking, as off_probability")
    indicator_on_probability: Annotated[Fraction, Field(gt=0)] = Field(0.3, description="and to come back")

    # Calcium: events at puncta; each draws uniformly between the lowest and the highest.
    event_rate_hz: NotNegative = Field(0.2, le=1e4, description="events per second of a punctum at rest")
    dff_min: Positive = Field(0.1, le=100, description="lowest peak ΔF/F0")
    dff_max: Positive = Field(1.2, le=100, description="highest peak ΔF/F0")
    event_rise_frames: Frames = Field(2, description="frames of the linear rise")
    event_tau_min_frames: Positive = Field(
        3.0, le=1000, description="shortest time constant of the decay, frames"
    )
    event_tau_max_frames: Positive = Field(
        10.0, le=1000, description="longest time constant of the decay, frames"
    )
    cloud_sigma_min_px: Positive = Field(
        1.0, ge=0.1, le=100, description="cytosolic: narrowest cloud, σ in pixels"
    )
    cloud_sigma_max_px: Positive = Field(
        4.0, ge=0.1, le=100, description="cytosolic: widest cloud, σ in pixels"
    )

    # Calcium: what is not an event at a punctum.
    spark_rate_um2_s: NotNegative = Field(
        0.0, le=10, description="sparks away from puncta, per µm² and second"
    )
    sparks_beside: Fraction = Field(0.3, description="share of them 3 to 6 pixels beside a punctum")
    wave_rate_hz: NotNegative = Field(0.0, le=1e4, description="waves per second while none runs")
    wave_dff: NotNegative = Field(0.6, le=100, description="ΔF/F0 of a wave's crest")
    wave_width_um: Positive = Field(
        5.0, ge=0.01, le=1e4, description="width of a wave at half its height, µm"
    )
    wave_speed_um_s: Positive = Field(10.0, le=1e6, description="speed of a wave's front, µm/s")
    lamp_flicker: NotNegative = Field(0.0, le=1, description="relative sd of the lamp from frame to frame")
    calcium_bleach_s: Positive | None = Field(
        None, le=1e9, description="seconds in which the indicator bleaches to 1/e"
    )
    bleed_through: Fraction = Field(
        0.0, description="share of the PIEZO1 channel's light in the calcium channel"
    )
    structures: NotNegative = Field(
        0.0, le=1000, description="mean number of bright structures that do not change"
    )

    @model_validator(mode="after")
    def _possible_together(self) -> Self:
        for low, high in (
            ("dff_min", "dff_max"),
            ("event_tau_min_frames", "event_tau_max_frames"),
            ("cloud_sigma_min_px", "cloud_sigma_max_px"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low} is {getattr(self, low)}, above {high} = {getattr(self, high)}; swap them"
                )
        kinds = self.mobile_fraction + self.confined_fraction + self.directed_fraction
        if kinds > 1:
            raise ValueError(
                f"mobile_fraction, confined_fraction and directed_fraction add up to {kinds:g}; lower one of "
                "them, as they are shares of 1"
            )
        if self.em_gain is not None and self.em_gain > 1 and self.camera == "scmos":
            raise ValueError(f"an scmos camera has no em_gain ({self.em_gain} given); choose emccd")
        height, width = self.image_size
        if self.mean_puncta > height * width:
            raise ValueError(
                f"{self.mean_puncta:.0f} puncta are asked for in {height * width} pixels; ask for fewer"
            )
        sparks = self.spark_rate_um2_s * self.area_um2 * self.interval_s * self.event_tau_max_frames
        if sparks > height * width / 10:
            raise ValueError(
                f"spark_rate_um2_s, interval_ms and event_tau_max_frames make {sparks:.0f} sparks that glow "
                f"at once in {height * width} pixels; lower one of them"
            )
        return self

    # The last validator stands around the others.
    @model_validator(mode="wrap")
    @classmethod
    def _in_one_sentence(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise SimulationError(_explain(error)) from error

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
        return self.puncta_per_um2 * self.area_um2

    @property
    def area_um2(self) -> float:
        """Area of the image in µm²."""
        height, width = self.image_size
        return height * width * (self.pixel_size_nm / 1000) ** 2

    def camera_model(self) -> Camera:
        """The camera that takes the movie."""
        given = (self.offset_adu, self.e_per_adu, self.read_noise_e, self.em_gain)
        offset, e_per_adu, read_noise_e, em_gain = (
            typical if value is None else value
            for value, typical in zip(given, CAMERAS[self.camera], strict=True)
        )
        return Camera(offset, e_per_adu, read_noise_e, em_gain)


def _explain(error: ValidationError) -> str:
    """One sentence a wrong parameter, joined."""
    sentences: dict[str, str] = {}
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        field = SimulationConfig.model_fields.get(name)
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            sentence = f"{name} is not known; known: {', '.join(SimulationConfig.model_fields)}"
        elif field is not None:
            value = problem["input"]
            sentence = f"{name} is {value!r}: {message[0].lower()}{message[1:]} (it is: {field.description})"
        else:
            sentence = message
        sentences.setdefault(name, sentence)
    return "; ".join(sentences.values())
