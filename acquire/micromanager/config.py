"""How Micro-Manager images: the section `microscope` of a run's YAML."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from acquire.section import NotNegative, Positive, Section


class MicroscopeConfig(Section):
    """How Micro-Manager images."""

    camera: Literal["configured", "demo"] = Field(
        "configured",
        description="configured: the devices of the system configuration; demo: Micro-Manager's demo cameras",
    )
    backend: Literal["python", "java", "sequence"] = Field(
        "python",
        description="python: pycromanager with Micro-Manager's core in this program; java: a Micro-Manager "
        "that runs already; sequence: the core without pycromanager, fastest",
    )
    attach: bool = Field(
        False, description="java only: watch the acquisition that the user started in Micro-Manager's window"
    )
    folder: Path | None = Field(
        None, description="Micro-Manager's folder, with its device adapters; null: the demo's own"
    )
    configuration: Path | None = Field(None, description="Micro-Manager's system configuration, a .cfg file")
    mode: Literal["two-cameras", "splitter", "channels", "single"] = Field(
        "two-cameras",
        description="two-cameras: Multi Camera; splitter: both channels on one camera, side by side or top "
        "and bottom as channels.layout says; channels: one camera, the channels one after the other; "
        "single: PIEZO1 only",
    )
    cameras: tuple[str, str] | None = Field(
        None, description="[PIEZO1 camera, calcium camera], their labels; null: the first two of Multi Camera"
    )
    channel_group: str | None = Field(None, description="mode channels: the group of presets that switches")
    channels: tuple[str, str] | None = Field(
        None, description="mode channels: [PIEZO1 preset, calcium preset] of that group"
    )
    exposure_ms: Positive | None = Field(None, description="exposure, ms; null: as it is set")
    interval_ms: NotNegative = Field(
        0.0, description="from frame to frame, ms; 0: as fast as the exposure allows"
    )
    roi: (
        tuple[
            Annotated[int, Field(ge=0)],
            Annotated[int, Field(ge=0)],
            Annotated[int, Field(gt=0)],
            Annotated[int, Field(gt=0)],
        ]
        | None
    ) = Field(None, description="[x, y, width, height] of the region on each camera, pixels; null: all")
    settings: dict[str, str | int | float] = Field(
        {}, description='device properties to set at the start, by "Device-Property"'
    )
    buffer_mb: Annotated[int, Field(ge=1, le=65536)] = Field(
        512, description="Micro-Manager's circular buffer, MB"
    )
    queue_frames: Annotated[int, Field(ge=1, le=1000)] = Field(
        8, description="frames that may wait between camera and publisher; more are dropped, oldest first"
    )
    max_skew_ms: Positive | None = Field(
        None,
        description="two-cameras: pairs further apart than this are counted; null: half an interval",
    )
    save: Path | None = Field(
        None, description="folder for the raw images (NDTiff, as Micro-Manager writes it); null: not saved"
    )
    scene: Path | None = Field(
        None, description="demo only: movie whose pixels the demo cameras show; null: the one that ships"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.attach and self.backend != "java":
            raise ValueError("attach needs backend: java, a Micro-Manager with a window")
        if self.camera == "demo" and self.backend == "java":
            raise ValueError(
                "camera: demo runs in this program; with backend: java load the demo in Micro-Manager"
            )
        if self.mode == "channels" and not (self.channel_group and self.channels):
            raise ValueError("mode channels needs channel_group and channels")
        if self.scene is not None and self.camera != "demo":
            raise ValueError("scene is for camera: demo only")
        self._refuse_unused(self.mode != "channels", "mode channels", "channel_group", "channels")
        self._refuse_unused(self.mode != "two-cameras", "mode two-cameras", "max_skew_ms")
        self._refuse_unused(self.backend == "java", "backend python or sequence", "folder")
        return self

    def _refuse_unused(self, is_unused: bool, where: str, *names: str) -> None:
        """What would do nothing is refused, where it is set at all."""
        for name in names:
            if is_unused and getattr(self, name) not in (None, 0.0, {}):
                raise ValueError(f"{name} is for {where}")
