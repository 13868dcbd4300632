"""The sections of a run's YAML that only live imaging has (the microscope's is in acquire)."""

import re
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from acquire.section import NotNegative, Section
from stream.rules.grammar import LONGEST, parse

# A file that ends in .py or a dotted module, and a function in it.
FUNCTION = re.compile(r"(.+\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*")


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
    keys: Path | None = Field(
        None,
        description="folder with this computer's keys, made by `piezo1 keys`, and the other's *.public file; "
        "null: none, which only two parts on one computer may do without",
    )

    @property
    def host(self) -> str:
        """The number or name in the address; empty without one."""
        return (self.address or "").removeprefix("tcp://").rpartition(":")[0]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.role != "both" and self.address is None:
            raise ValueError(f"role {self.role} needs an address")
        if self.address is not None and not 0 < int(self.address.rpartition(":")[2]) <= 65532:
            raise ValueError("the port must be from 1 to 65532, as the three behind it are used too")
        return self


class DashboardsConfig(Section):
    """Where dashboards reach the analysis."""

    address: str | None = Field(
        None,
        pattern=r"^tcp://[^\s:]+:\d+$",
        description="where dashboards on other computers call, e.g. tcp://0.0.0.0:5610; the two ports behind "
        "it are used too; null: dashboards on this computer only",
    )
    keys: Path | None = Field(
        None,
        description="folder with this computer's keys, made by `piezo1 keys`, and the *.public file of each "
        "computer that may watch; null: none, which only an address on this computer may do without",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.address is None and self.keys is not None:
            raise ValueError("keys need an address: without one only this computer's dashboards can call")
        if self.address is not None and not 0 < int(self.address.rpartition(":")[2]) <= 65533:
            raise ValueError("the port must be from 1 to 65533, as the two behind it are used too")
        return self


class RuleConfig(Section):
    """When something happens, do something; see `stream.rules`."""

    when: str = Field(
        description='e.g. "calcium event at a confirmed track with snr > 6"; docs/rules.md lists more'
    )
    do: Literal["mark", "stop", "exposure", "interval", "burst", "call"] = Field(
        "mark",
        description="mark: record it only; stop; exposure or interval: set value ms; burst: value frames as "
        "fast as possible; call: the Python function value, e.g. my_rules.py:on_event",
    )
    # Strict: YAML reads yes and on as true, which would pass for a number.
    value: Annotated[float, Field(strict=True)] | str | None = Field(None, description="what `do` needs")
    name: Annotated[str, Field(min_length=1, max_length=LONGEST)] | None = Field(
        None, description="name in the records; null: the text of `when`"
    )
    pause_s: NotNegative = Field(0.0, description="seconds after a trigger in which the rule rests")
    at_most: Annotated[int, Field(gt=0)] | None = Field(None, description="triggers at most; null: no limit")

    @field_validator("when")
    @classmethod
    def _is_a_rule(cls, when: str) -> str:
        parse(when)
        return when

    @model_validator(mode="after")
    def _has_its_value(self) -> Self:
        do, value = self.do, self.value
        if do in ("mark", "stop") and value is not None:
            raise ValueError(f"do: {do} takes no value, not {value!r}")
        if do == "call" and not (isinstance(value, str) and FUNCTION.fullmatch(value)):
            raise ValueError(f"do: call needs a function as value, e.g. my_rules.py:on_event, not {value!r}")
        # An interval of 0 is as fast as the exposure allows.
        if do in ("exposure", "interval", "burst") and not (
            isinstance(value, float) and isfinite(value) and (value > 0 or (value == 0 and do == "interval"))
        ):
            raise ValueError(f"do: {do} needs a positive number as value, not {value!r}")
        if do == "burst" and value != round(float(value or 0)):
            raise ValueError(f"do: burst needs a whole number of frames, not {value!r}")
        return self

    @property
    def title(self) -> str:
        """Name in the records."""
        return self.name or self.when


def _told_apart(rules: tuple[RuleConfig, ...]) -> tuple[RuleConfig, ...]:
    titles = [rule.title for rule in rules]
    for title in titles:
        if titles.count(title) > 1:
            raise ValueError(f"two rules are called {title!r}: give each a name")
    return rules


RuleConfigs = Annotated[tuple[RuleConfig, ...], AfterValidator(_told_apart)]
