"""What a method of the localization benchmark is, and how its setting and cut are tuned."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.scenes import Scene
from bench.scoring import FRAME, STRENGTH, localization_error, match_scene
from model.optics import Array

Setting = tuple[float, ...]

# Tuning keeps from 0.2 to 2.5 times as many answers as there are emitters: with fewer or more, Jaccard is
# at most 0.2 or 0.4. It tries coarse steps of this range, then fine ones about the best.
FEWEST_ANSWERS, MOST_ANSWERS = 0.2, 2.5
COARSE_CUTS, FINE_CUTS = 22, 12
AS_GOOD = 0.002  # Jaccards this close to the best are noise of the tuning scene


@dataclass(frozen=True, slots=True)
class Cut:
    """Which answers a method should keep: those at least this strong, and of them the strongest `most`."""

    strength: float = -np.inf
    most: int | None = None


EVERYTHING = Cut()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method found in a scene, (N, N_COLUMNS) by frame, and the CPU time it took."""

    table: Array
    seconds: float

    def by_frame(self, n_frames: int, strength: float = -np.inf) -> list[Array]:
        """Tables of each frame, of answers at least this strong."""
        kept = self.table[self.table[:, STRENGTH] >= strength]
        kept = kept[np.argsort(kept[:, FRAME], kind="stable")]
        return np.split(kept, np.searchsorted(kept[:, FRAME], np.arange(1, n_frames)))


@dataclass(frozen=True, slots=True)
class Method:
    """One that localizes the frames of a scene with a setting.

    Attributes
    ----------
    name
        As in the table.
    parameters, settings
        Names of its parameters, and the values to try; a method that is not tuned has one setting.
    locate
        Gives its answer to a scene with a setting and a cut.
    is_tuned
        Whether setting and cut are chosen for each condition.
    """

    name: str
    parameters: tuple[str, ...]
    settings: tuple[Setting, ...]
    locate: Callable[[Scene, Setting, Cut], Answer]
    is_tuned: bool = True

    def describe(self, setting: Setting, cut: Cut) -> str:
        """Setting and cut in words."""
        words = [f"{name} {value:g}" for name, value in zip(self.parameters, setting, strict=True)]
        return ", ".join(words + ([f"cut {cut.strength:.4g}"] if np.isfinite(cut.strength) else []))


def tune(method: Method, scene: Scene) -> tuple[Setting, Cut]:
    """Setting and cut with the best Jaccard on a scene; of those as good, the one with the least error."""
    if not method.is_tuned:
        return method.settings[0], EVERYTHING
    n_truth = sum(len(truth.xy) for truth in scene.truth)
    loose = Cut(most=round(MOST_ANSWERS * n_truth))
    tried: list[tuple[float, float, Setting, Cut]] = []
    for setting in method.settings:
        answer = method.locate(scene, setting, loose)
        jaccard, strength = _best_cut(scene, answer, max(round(FEWEST_ANSWERS * n_truth), 1))
        error = localization_error(scene, answer.by_frame(len(scene.counts), strength))
        tried.append((jaccard, error, setting, Cut(strength)))
    best = max(jaccard for jaccard, *_ in tried)
    _, _, setting, cut = min(
        (one for one in tried if one[0] >= best - AS_GOOD), key=lambda one: (one[1], -one[0])
    )
    return setting, cut


def _best_cut(scene: Scene, answer: Answer, fewest: int) -> tuple[float, float]:
    """Best Jaccard and the strength that answers must have for it; −∞ where all are equally strong."""
    strengths = np.sort(answer.table[:, STRENGTH])[::-1]
    if not len(strengths) or strengths[0] == strengths[-1]:
        return _jaccard(scene, answer, -np.inf), -np.inf
    n = len(strengths)
    ranks = np.unique(np.geomspace(min(fewest, n), n, COARSE_CUTS).astype(int)) - 1
    coarse = [_jaccard(scene, answer, strengths[rank]) for rank in ranks]
    best = int(np.argmax(coarse))
    low, high = ranks[max(best - 1, 0)], ranks[min(best + 1, len(ranks) - 1)]
    fine = np.unique(np.linspace(low, high, FINE_CUTS).astype(int))
    jaccards = [_jaccard(scene, answer, strengths[rank]) for rank in fine]
    k = int(np.argmax(jaccards))
    return max((coarse[best], float(strengths[ranks[best]])), (jaccards[k], float(strengths[fine[k]])))


def _jaccard(scene: Scene, answer: Answer, strength: float) -> float:
    return match_scene(scene, answer.by_frame(len(scene.counts), strength)).jaccard
