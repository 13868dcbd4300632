"""What the localization benchmark says: table, the conditions in which a peer is better, the bars."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.bars import Scores, judge_all
from bench.ours import NETWORK, NETWORK_SINGLE, WAVELET, WAVELET_TUNED
from bench.scoring import Score

HEADER = (
    f"{'condition':50}{'method':23}{'Jaccard':>8}{'prec.':>7}{'recall':>7}{'RMSE nm':>8}{'isol./bound':>12}"
    f"{'all/isol.':>10}{'all/joint':>10}{'z isol.':>8}{'z all':>7}{'photons':>11}{'ms/frame':>9}  setting"
)


@dataclass(frozen=True, slots=True)
class Result:
    """Score of one method in one condition, with its setting in words."""

    condition: str
    method: str
    setting: str
    score: Score
    ms_per_frame: float


def line(result: Result) -> str:
    """Row of the table."""
    s = result.score
    return (
        f"{result.condition:50}{result.method:23}{s.jaccard:8.3f}{s.precision:7.3f}{s.recall:7.3f}"
        f"{s.rmse_nm:8.1f}{s.isolated_ratio:12.2f}{s.isolated_ratio_all:10.2f}{s.joint_ratio:10.2f}"
        f"{s.z_isolated:8.2f}{s.z_all:7.2f}{s.photon_bias:+11.1%}{result.ms_per_frame:9.2f}  {result.setting}"
    )


def scores_of(results: Sequence[Result]) -> Scores:
    """Scores by condition and method."""
    return {(r.condition, r.method): r.score for r in results}


def ours_in(results: Sequence[Result]) -> list[str]:
    """Our methods with one threshold that are held against the peers: the network's, else the wavelet's."""
    ran = {r.method for r in results}
    return [method for method in (NETWORK, NETWORK_SINGLE) if method in ran] or [WAVELET]


def beaten(results: Sequence[Result], ours: str) -> list[str]:
    """Where a tuned peer reaches our method in Jaccard or in RMSE, in words.

    The wavelet engine tuned (the ThunderSTORM method) is a peer of the network.
    """
    scores = scores_of(results)
    not_peers = {NETWORK, NETWORK_SINGLE, WAVELET} | ({WAVELET_TUNED} if ours == WAVELET else set())
    words = []
    for condition in dict.fromkeys(r.condition for r in results):
        own = scores[condition, ours]
        for (where, peer), other in scores.items():
            if where != condition or peer in not_peers:
                continue
            if not own.jaccard > other.jaccard:
                words.append(f"{condition}: Jaccard {own.jaccard:.3f}, {peer} {other.jaccard:.3f}")
            if not own.rmse_nm < other.rmse_nm:
                words.append(
                    f"{condition}: RMSE {own.rmse_nm:.1f} nm at recall {own.recall:.2f}, "
                    f"{peer} {other.rmse_nm:.1f} nm at recall {other.recall:.2f}"
                )
    return words


def summary(results: Sequence[Result]) -> list[str]:
    """Lines that end the run."""
    lines = [""]
    for ours in ours_in(results):
        words = beaten(results, ours)
        n, n_beaten = len({r.condition for r in results}), len({w.split(": ")[0] for w in words})
        title = f"{ours} (three frames)" if ours == NETWORK else ours
        lines += [
            f"{title}: above every peer in Jaccard and RMSE in {n - n_beaten} of {n} conditions",
            *(f"  not in {w}" for w in words),
        ]
    if ours_in(results) == [WAVELET]:
        return lines
    lines += ["", f"{'bar':42}{'figure':>9}  {'':9}(worst) condition, of how many"]
    for verdict in judge_all(scores_of(results)):
        if verdict.value is None:
            lines.append(f"{verdict.bar.promise:42}{'':9}  not run   {verdict.bar.conditions[0]}")
        else:
            met = "met" if verdict.is_met else "NOT MET"
            where = f"{verdict.condition}, {verdict.n_measured}"
            lines.append(f"{verdict.bar.promise:42}{verdict.value:9.3f}  {met:9} {where}")
    return lines


def as_json(results: Sequence[Result], speed: Mapping[str, Any]) -> dict[str, Any]:
    """Everything for a file."""
    bars = [
        {
            "promise": verdict.bar.promise,
            "condition": verdict.condition or verdict.bar.conditions[0],
            "value": verdict.value,
            "met": verdict.is_met,
        }
        for verdict in judge_all(scores_of(results))
    ]
    return {
        "results": [asdict(result) for result in results],
        "not_above_every_peer": {ours: beaten(results, ours) for ours in ours_in(results)},
        "bars": bars,
        "speed": dict(speed),
    }
