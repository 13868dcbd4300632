"""The bars that the network has to clear in the localization benchmark, and which of them it clears."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.conditions import ALONE, CROWDED, OTHER_ERRORS, PSF_ERRORS, RECORDED, REFERENCE, THREE_AGAINST_ONE
from bench.ours import NETWORK, NETWORK_SINGLE, WAVELET, WAVELET_TUNED
from bench.scoring import Score

Scores = Mapping[tuple[str, str], Score]
"""Score by condition and method."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure of `method` must be in every one of `conditions`.

    Attributes
    ----------
    promise
        In words.
    figure
        Attribute of `Score`.
    conditions
        Their names.
    at_least, at_most
        Limits, inclusive.
    against_method, against_condition
        If either is given, the figure of that method or condition is subtracted first.
    """

    promise: str
    figure: str
    conditions: tuple[str, ...]
    at_least: float = -math.inf
    at_most: float = math.inf
    method: str = NETWORK
    against_method: str | None = None
    against_condition: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar, the figure nearest to missing it (or missing it most) and its condition; None: not measured.

    Where the figure is a difference, `value` is one.
    """

    bar: Bar
    condition: str | None
    value: float | None
    n_measured: int

    @property
    def is_met(self) -> bool | None:
        """None: not measured."""
        return None if self.value is None else self.bar.at_least <= self.value <= self.bar.at_most


DIFFUSING = "diffusing 0.5/µm² 1000 photons"
JACCARDS: dict[str, float] = {
    "sCMOS 0.1/µm² 1000 photons": 0.98,
    "sCMOS 0.5/µm² 1000 photons": 0.97,
    "sCMOS 1/µm² 1000 photons": 0.97,
    "sCMOS 2/µm² 1000 photons": 0.935,
    "sCMOS 0.1/µm² 300 photons": 0.98,
    "sCMOS 0.5/µm² 300 photons": 0.965,
    "sCMOS 1/µm² 300 photons": 0.945,
    "sCMOS 2/µm² 300 photons": 0.90,
    "sCMOS 0.1/µm² 3000 photons": 0.99,
    "sCMOS 0.5/µm² 3000 photons": 0.98,
    "sCMOS 1/µm² 3000 photons": 0.975,
    "sCMOS 2/µm² 3000 photons": 0.945,
    "EMCCD 0.5/µm² 1000 photons": 0.975,
    DIFFUSING: 0.975,
}
RMSES_NM: dict[str, float] = {
    "sCMOS 0.1/µm² 1000 photons": 6.5,
    "sCMOS 0.5/µm² 1000 photons": 9.0,
    "sCMOS 1/µm² 1000 photons": 11.0,
    "sCMOS 2/µm² 1000 photons": 18.0,
    DIFFUSING: 10.0,
}
STATIC_ALONE = tuple(name for name, config in ALONE.items() if config.motion == "static")
HONEST = (*ALONE, *CROWDED)  # nobody is misled there

BARS: tuple[Bar, ...] = (
    *(Bar(f"Jaccard ≥ {j:g}", "jaccard", (name,), at_least=j) for name, j in JACCARDS.items()),
    *(Bar(f"RMSE ≤ {nm:g} nm", "rmse_nm", (name,), at_most=nm) for name, nm in RMSES_NM.items()),
    Bar(
        "isolated ≤ 1.05 × bound from one frame",
        "isolated_ratio",
        STATIC_ALONE,
        at_most=1.05,
        method=NETWORK_SINGLE,
    ),
    Bar(
        "Jaccard of three frames ≥ that of one",
        "jaccard",
        THREE_AGAINST_ONE,
        at_least=0.0,
        against_method=NETWORK_SINGLE,
    ),
    Bar(
        "RMSE of three frames ≤ that of one (nm)",
        "rmse_nm",
        THREE_AGAINST_ONE,
        at_most=0.0,
        against_method=NETWORK_SINGLE,
    ),
    Bar("z-score sd .9–1.1, isolated", "z_isolated", HONEST, at_least=0.9, at_most=1.1),
    Bar("z-score sd ≤ 1.25, pooled", "z_all", HONEST, at_most=1.25),
    Bar("photons unbiased within 1 %", "photon_bias", HONEST, at_least=-0.01, at_most=0.01),
    *(
        Bar("Jaccard falls ≤ .05", "jaccard", (name,), at_least=-0.05, against_condition=REFERENCE)
        for name in PSF_ERRORS
    ),
    *(
        Bar("Jaccard falls ≤ .03", "jaccard", (name,), at_least=-0.03, against_condition=REFERENCE)
        for name in OTHER_ERRORS
    ),
    *(
        Bar(f"{words} than {method}", figure, RECORDED, low, high, against_method=method)
        for method in (WAVELET, WAVELET_TUNED)
        for words, figure, low, high in (
            ("Jaccard higher", "jaccard", 0.0, math.inf),
            ("RMSE lower (nm)", "rmse_nm", -math.inf, 0.0),
        )
    ),
)


def judge(bar: Bar, scores: Scores) -> Verdict:
    """Measure a bar in those of its conditions that were run."""
    values = [(name, value) for name in bar.conditions if (value := _value(bar, name, scores)) is not None]
    if not values:
        return Verdict(bar, None, None, 0)
    name, value = min(values, key=lambda pair: min(pair[1] - bar.at_least, bar.at_most - pair[1]))
    return Verdict(bar, name, value, len(values))


def judge_all(scores: Scores, bars: Sequence[Bar] = BARS) -> list[Verdict]:
    """Verdicts on all bars."""
    return [judge(bar, scores) for bar in bars]


def _value(bar: Bar, condition: str, scores: Scores) -> float | None:
    """Figure of a bar in a condition; None where it, or what it is compared with, was not measured."""
    own = scores.get((condition, bar.method))
    if own is None:
        return None
    value = float(getattr(own, bar.figure))
    if bar.against_method or bar.against_condition:
        other = scores.get((bar.against_condition or condition, bar.against_method or bar.method))
        if other is None:
            return None
        value -= float(getattr(other, bar.figure))
    return None if math.isnan(value) else value
