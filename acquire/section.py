"""What all sections of a run's configuration share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pixels = Annotated[float, Field(gt=0, le=50)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
