"""How the user wants to see things; kept from one day to the next."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from acquire.section import Section

LONGEST_TRACE_S = 600.0

Counts = Annotated[float, Field(ge=0, le=65535)]
Percentile = Annotated[float, Field(ge=0, le=100)]


class Contrast(Section):
    """From camera counts to grey: black at `low`, white at `high`, and a gamma between."""

    low: Counts = Field(0.0, description="counts shown black")
    high: Counts = Field(65535.0, description="counts shown white")
    gamma: Annotated[float, Field(ge=0.1, le=5)] = Field(1.0, description="brightness = share ** gamma")
    auto: bool = Field(True, description="follow the percentiles; false: locked")
    low_percentile: Percentile = Field(1.0, description="of the pixels, shown black by auto")
    high_percentile: Percentile = Field(99.8, description="of the pixels, shown white by auto")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high or self.low_percentile >= self.high_percentile:
            raise ValueError("low must be below high")
        return self


class Display(Section):
    """The view's settings."""

    layout: Literal["side-by-side", "composite"] = "side-by-side"
    theme: Literal["dark", "light"] = "dark"
    contrast: tuple[Contrast, Contrast] = Field(
        (Contrast(), Contrast()), description="of the PIEZO1 and of the calcium channel"
    )
    saturation: bool = Field(True, description="mark saturated pixels")
    puncta: bool = True
    ids: bool = False
    tails: Literal["off", "mobility", "age"] = Field("mobility", description="colour of the track tails")
    tail_frames: Annotated[int, Field(ge=2, le=500)] = Field(30, description="length of the tails")
    shift: bool = Field(True, description="show channel 2 as registered on channel 1")
    flip_x: bool = False
    flip_y: bool = False
    scale_bar: bool = True
    time_stamp: bool = True
    n_traces: Annotated[int, Field(ge=1, le=40)] = Field(20, description="traces of ΔF/F0 shown")
    trace_s: Annotated[float, Field(ge=1, le=LONGEST_TRACE_S)] = Field(
        20.0, description="length of the traces, s"
    )
