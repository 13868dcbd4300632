"""One YAML describes a run; every section is validated here before anything starts."""

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import tifffile
from numpy.typing import NDArray
from pydantic import Field, model_validator

from acquire.layout import Layout
from acquire.micromanager.config import MicroscopeConfig
from acquire.section import NotNegative, Pixels, Positive, Section
from model.camera import Camera, CameraError
from model.engines.names import BackendName
from model.maps import MIN_PROBABILITY
from stream.config_live import DashboardsConfig, NetworkConfig, RuleConfigs


class ConfigError(Exception):
    """A run's configuration is wrong; the message names the key, the value and what is allowed."""


class SourceConfig(Section):
    """Where frames come from and how fast."""

    kind: Literal["recording", "microscope"] = Field(
        "recording", description="recording: source.path; microscope: the section microscope"
    )
    path: Path | None = Field(None, description="movie file, folder of single TIFFs, or NDTiff data set")
    calcium_path: Path | None = Field(None, description="the calcium movie, where it is a file of its own")
    speed: Literal["max", "realtime"] | Positive = Field(
        "max", description="max, realtime, or a multiple of the recorded speed such as 0.5"
    )
    interval_ms: Positive | None = Field(None, description="frame interval in ms; null: from the file")
    max_frames: Annotated[int, Field(gt=0)] | None = Field(None, description="stop after this many frames")
    delivery: Literal["lossless", "live"] = Field(
        "lossless", description="lossless: the source waits; live: it never waits, losses are counted"
    )
    follow: bool = Field(
        False, description="analyse an NDTiff data set while it is being written; waits for it to begin"
    )

    @model_validator(mode="after")
    def _followed(self) -> Self:
        if self.follow and self.calcium_path is not None:
            raise ValueError("follow takes one NDTiff data set with both channels, and no calcium_path")
        return self


class ChannelsConfig(Section):
    """Where the two channels lie in the recorded images."""

    layout: Layout = Field("auto", description="auto follows the file's own channel axis")
    swap: bool = Field(False, description="true where the calcium channel comes first")
    registration: Path | None = Field(
        None, description="YAML of `piezo1 register`: where channel 1 lies in channel 2; null: pixel on pixel"
    )


class CameraConfig(Section):
    """The camera; photons = (ADU − offset) · e_per_adu / em_gain."""

    offset: NotNegative | None = Field(
        None, description="counts without light, ADU; null: assumed from the first frame, and said so"
    )
    e_per_adu: Positive = Field(1.0, description="electrons per ADU")
    read_noise_e: NotNegative = Field(1.6, description="read noise, electrons r.m.s.")
    em_gain: Annotated[float, Field(ge=1)] = Field(1.0, description="electron-multiplication gain, 1: none")
    offset_map: Path | None = Field(None, description="TIFF (H, W) of offsets in ADU, instead of offset")
    e_per_adu_map: Path | None = Field(None, description="TIFF (H, W) of electrons per ADU")
    read_noise_map: Path | None = Field(None, description="TIFF (H, W) of read noise, electrons r.m.s.")

    def camera(self, first_image: NDArray[np.uint16], bit_depth: int) -> tuple[Camera, list[str]]:
        """Build the camera for images like `first_image` (H, W); returns it and what was assumed."""
        assumed = []
        offset: float | NDArray[np.float32]
        if self.offset_map is not None:
            offset = _load_map(self.offset_map, "camera.offset_map", first_image.shape)
        elif self.offset is not None:
            offset = self.offset
        else:
            # Scientific cameras add about 100 ADU; darker pixels prove a smaller offset.
            offset = min(100.0, float(np.percentile(first_image, 0.1)))
            assumed.append(
                f"camera.offset is not given: {offset:.0f} ADU assumed from the first frame; "
                "photon numbers and uncertainties depend on it"
            )
        e_per_adu: float | NDArray[np.float32] = self.e_per_adu
        if self.e_per_adu_map is not None:
            e_per_adu = _load_map(self.e_per_adu_map, "camera.e_per_adu_map", first_image.shape)
        read_noise: float | NDArray[np.float32] = self.read_noise_e
        if self.read_noise_map is not None:
            read_noise = _load_map(self.read_noise_map, "camera.read_noise_map", first_image.shape)
        try:
            return Camera(offset, e_per_adu, read_noise, self.em_gain, bit_depth), assumed
        except CameraError as error:
            raise ConfigError(str(error)) from error


class OpticsConfig(Section):
    """The microscope."""

    pixel_size_nm: Positive | None = Field(
        None, description="pixel size in the sample, nm; null: from the file"
    )
    psf_sigma_nm: Positive = Field(150.0, description="standard deviation of the PSF, nm")


class EngineConfig(Section):
    """What turns pixels into puncta."""

    name: Literal["auto", "network", "wavelet"] = Field(
        "auto",
        description="auto, network or wavelet; auto takes the network, and where it cannot run wavelet",
    )
    model: Path | None = Field(
        None, description="ONNX file of a network, its model card beside it; null: the one that ships"
    )
    backend: BackendName = Field(
        "auto",
        description="library that runs the network: tensorrt, torch_cuda, openvino, onnxruntime or torch; "
        "auto takes the first that works here",
    )
    threshold: Annotated[float, Field(ge=MIN_PROBABILITY, lt=1)] | None = Field(
        None,
        description=f"the network's detection threshold, a probability from {MIN_PROBABILITY:g} to below 1; "
        "null: the model's own",
    )
    wavelet_threshold: Positive = Field(
        1.0, description="detection threshold of the wavelet method in units of std(Wave.F1)"
    )

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.name == "wavelet" and not (self.model is None and self.threshold is None):
            raise ValueError("model and threshold are a network's; they need name: network or auto")
        return self


class TrackerConfig(Section):
    """How puncta are linked over frames."""

    # YAML knows lists only; the lab's manual gives .003 and .029 for immobile and mobile puncta.
    diffusion_um2_s: Annotated[tuple[Positive, Positive], Field(strict=False)] = Field(
        (0.003, 0.5), description="slowest and fastest expected diffusion coefficient, µm²/s"
    )
    max_gap_frames: Annotated[int, Field(ge=0, le=1000)] = Field(
        20, description="longest gap that is bridged, in frame intervals of time (missing frames count)"
    )
    confirm_detections: Annotated[int, Field(ge=1)] = Field(3, description="detections that make a track")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        slowest, fastest = self.diffusion_um2_s
        if slowest > fastest:
            raise ValueError("diffusion_um2_s gives the slowest first, then the fastest")
        return self


class CalciumConfig(Section):
    """How calcium events are found at tracks."""

    enabled: bool = Field(True, description="false switches the stage off; so does a one-channel movie")
    indicator: Literal["cytosolic", "tethered"] = Field(
        "cytosolic",
        description="cytosolic: dye in the cell, clouds around open channels; tethered: dye on the channels "
        "(JF646-BAPTA), spots that brighten and blink",
    )
    cloud_sigma_px: Pixels = Field(
        2.0,
        description="cytosolic: σ of the clouds that are sought, pixels; half to twice that is found too",
    )
    core_sigma_px: Pixels = Field(1.5, description="tethered: σ of the spots, pixels")
    annulus_inner_px: Pixels = Field(
        5.5, description="tethered: inner radius of the ring that tells the level around a spot, pixels"
    )
    annulus_outer_px: Pixels = Field(8.5, description="tethered: outer radius of that ring, pixels")
    on_z: Positive = Field(3.5, description="an event begins above this many noise standard deviations")
    off_z: Positive = Field(1.5, description="an event ends below this many noise standard deviations")
    max_duration_frames: Annotated[int, Field(gt=1, le=10_000)] = Field(
        80, description="longer rises are new baseline"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.annulus_inner_px >= self.annulus_outer_px:
            raise ValueError("annulus_inner_px must be smaller than annulus_outer_px")
        if self.off_z >= self.on_z:
            raise ValueError("off_z must be smaller than on_z")
        return self


class OutputConfig(Section):
    """Where results go."""

    folder: Path = Field(Path("runs"), description="run folders are made in here")
    name: str | None = Field(
        None, pattern=r"^[\w-][\w.-]*$", description="name of the run folder; null: time stamp and movie"
    )
    csv: bool = Field(True, description="write CSV beside Parquet")


class RunConfig(Section):
    """Everything that describes a run."""

    source: SourceConfig = SourceConfig()
    channels: ChannelsConfig = ChannelsConfig()
    camera: CameraConfig = CameraConfig()
    optics: OpticsConfig = OpticsConfig()
    engine: EngineConfig = EngineConfig()
    tracker: TrackerConfig = TrackerConfig()
    calcium: CalciumConfig = CalciumConfig()
    output: OutputConfig = OutputConfig()
    microscope: MicroscopeConfig = MicroscopeConfig()
    rules: RuleConfigs = ()
    network: NetworkConfig = NetworkConfig()
    dashboards: DashboardsConfig = DashboardsConfig()


def _load_map(path: Path, key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    try:
        image = np.squeeze(tifffile.imread(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key}: cannot read {path}: {error}") from error
    if image.shape != shape:
        raise ConfigError(f"{key}: {path} has shape {image.shape}, the movie's images have {shape}")
    return np.asarray(image, np.float32)
