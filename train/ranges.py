"""Ranges that random scenes are drawn from, as a user writes them."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Ranges(BaseModel):
    """Base of sections made of ranges (low, high) and of shares; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, value in self:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name}: {value[0]} is above {value[1]}; give the lower bound first")
        return self
