"""Numbers and ranges as a user may write them."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Real = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NotNegative = Annotated[Real, Field(ge=0)]
Fraction = Annotated[Real, Field(ge=0, le=1)]
Frames = Annotated[int, Field(ge=1, le=1000)]
Range = tuple[Positive, Positive]


class Ranges(BaseModel):
    """Base of sections made of ranges (low, high) and of shares; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, value in self:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name}: {value[0]} is above {value[1]}; give the lower bound first")
        return self
