"""The sections of a run's YAML that only live imaging has: rules and network (microscope is in acquire)."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from acquire.section import NotNegative, Section


class NetworkConfig(Section):
    """Where source and analysis meet when they run on two computers."""

    role: Literal["both", "source", "analysis"] = Field(
        "both", description="both: this computer does all; source: it only images; analysis: it only analyses"
    )
    address: str | None = Field(
        None,
        pattern=r"^tcp://[^\s:]+:\d+$",
        description="source: where to listen, e.g. tcp://0.0.0.0:5600; analysis: where the source listens, "
        "e.g. tcp://192.168.1.20:5600; the three ports behind it are used too",
    )
    own_key: Path | None = Field(None, description="this computer's secret key, made by `piezo1 keys`")
    peer_key: Path | None = Field(None, description="the other computer's public key")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.role != "both" and self.address is None:
            raise ValueError(f"role {self.role} needs an address")
        if (self.own_key is None) != (self.peer_key is None):
            raise ValueError("own_key and peer_key go together")
        return self


class RuleConfig(Section):
    """When something happens, do something; see `stream.rules`."""

    when: str = Field(
        description='e.g. "calcium event at a confirmed track with snr > 6"; README lists what can be asked'
    )
    do: Literal["mark", "stop", "exposure", "interval", "burst", "call"] = Field(
        "mark",
        description="mark: record it only; stop; exposure or interval: set value ms; burst: value frames as "
        "fast as possible; call: the Python function value, e.g. my_rules.py:on_event",
    )
    value: float | str | None = Field(None, description="what `do` needs")
    name: str | None = Field(None, description="name in the records; null: the text of `when`")
    pause_s: NotNegative = Field(0.0, description="seconds after a trigger in which the rule rests")
    at_most: Annotated[int, Field(gt=0)] | None = Field(None, description="triggers at most; null: no limit")
