"""Finds which spots of two channels are the same, without knowing how the channels lie to each other.

Coarse: every pair of spots votes for a shift, over a grid of rotations and scales. Then random pairs of pairs
give similarities (RANSAC; Fischler & Bolles, Commun. ACM 24, 381 (1981)), and the tolerance is the one with
which so much agreement is least to be expected by chance (Moisan & Stival, Int. J. Comput. Vis. 57, 201
(2004)).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from acquire.affine_fit import AffineMap, Array, Index, fit, model_for
from acquire.coarse_alignment import (
    CELL_SHARE,
    MAX_ROTATION,
    MAX_SHIFT,
    MAX_STRETCH,
    MIN_CELL_PX,
    coarse_maps,
)
from acquire.spots import Spots, neighbours

N_DRAWS, MAX_JUDGES = 800, 1500  # of pairs of pairs, and pairs that judge each
TOLERANCES_PX = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
SURE = -2.0  # log10 of the number of alignments as good that chance may bring
WIDE = 3.5  # standard deviations within which a pair is right
MEDIAN_TO_SD = 1.1774  # of a distance in the plane: median over the standard deviation per axis
MAX_ROUNDS = 20
NEAR_PX = 4.0  # spots no farther apart are counted as pairs, right or wrong
# Positions are never better than this, per axis: pixels differ, and the PSF is not quite the model's.
FLOOR_PX = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Pairs of spots and the map that they agree on.

    Attributes
    ----------
    transform
        Of channel 1 to channel 2.
    one, two
        Indices of the spots of both channels that are pairs, (N,).
    wrong_one, wrong_two
        The same for those that are neighbours under the map, but farther apart than its errors explain.
    log_chance
        log10 of the number of alignments as good that chance brings; NaN where there is no telling.
    """

    transform: AffineMap
    one: Index
    two: Index
    wrong_one: Index
    wrong_two: Index
    log_chance: float


def align(one: Spots, two: Spots, image_size: tuple[int, int]) -> Alignment | None:
    """Find the pairs of spots of both channels; None if nothing fits better than chance.

    With one or two spots in channel 1, all that can be found is the shift that most pairs agree on.

    Parameters
    ----------
    one, two
        Spots of channel 1 and 2.
    image_size
        Height and width in pixels.
    """
    cell = max(MIN_CELL_PX, math.hypot(*image_size) / 2 / CELL_SHARE)
    starts = coarse_maps(one, two, image_size, cell)
    settled = (_settle(one, two, image_size, start, 2 * cell) for start in starts)
    best = min(
        (found for found in settled if found is not None),
        key=lambda found: (np.nan_to_num(found.log_chance), -len(found.one)),
        default=None,
    )
    return None if best is None or best.log_chance > SURE else best


def pair_weights(one: Spots, two: Spots, i: Index, j: Index) -> tuple[Array, Array, Index]:
    """Variance, share and place of pairs of spots i, j, (N,) each.

    Returns
    -------
    variance
        Of the distance of a right pair, both coordinates together, px².
    share
        1 over the number of pairs at that place: a spot that is seen a hundred times tells no more than
        another.
    place
        Numbers 0 … P − 1 of their places.
    """
    variance = 2 * (one.sd_px[i] ** 2 + two.sd_px[j] ** 2 + FLOOR_PX**2)
    _, place, count = np.unique(one.place[i], return_inverse=True, return_counts=True)
    return variance, 1 / count[place], np.asarray(place, np.intp)


def _settle(
    one: Spots, two: Spots, image_size: tuple[int, int], start: AffineMap, radius_px: float
) -> Alignment | None:
    """Go from a coarse similarity to the pairs that agree, and the map that they agree on."""
    i, j = neighbours(one, two, start, radius_px)
    if not len(i):
        return None
    transform, width, log_chance = _consensus(one, two, image_size, start, i, j)
    before: Index = np.empty(0, np.intp)
    for _ in range(MAX_ROUNDS):
        i, j = neighbours(one, two, transform, NEAR_PX)
        error = np.abs(two.z[j] - transform(one.z[i]))
        variance, _, _ = pair_weights(one, two, i, j)
        right = error <= np.clip(WIDE * np.sqrt(variance / 2), width, TOLERANCES_PX[-1])
        if not right.any():
            return None
        found = Alignment(transform, i[right], j[right], i[~right], j[~right], log_chance)
        if np.array_equal(before, found.one):
            break
        before = found.one
        variance, share, place = pair_weights(one, two, found.one, found.two)
        model = model_for(int(place.max()) + 1)
        transform = fit(model, transform, one.z[found.one], two.z[found.two], share / variance)
        # The width that chance chooses cuts off the tails of what is right: now as wide as the errors are.
        width = WIDE / MEDIAN_TO_SD * float(np.median(np.abs(two.z[found.two] - transform(one.z[found.one]))))
        width = min(width, TOLERANCES_PX[-1])
    return found


def _consensus(
    one: Spots, two: Spots, image_size: tuple[int, int], start: AffineMap, i: Index, j: Index
) -> tuple[AffineMap, float, float]:
    """Similarity on which most of the pairs i, j agree, the tolerance in px, and log10 of its chance."""
    z1, z2 = one.z[i], two.z[j]
    places = one.place
    share = 1 / np.bincount(places[i], minlength=len(one))[places[i]]
    n_places = len(np.unique(places))
    rng = np.random.default_rng(0)
    if len(np.unique(places[i])) < 3:
        # Where only a shift can be told, it is that of the pair nearest to the middle of all.
        shift = z2 - z1
        middle = shift[int(np.argmin(np.abs(shift[:, None] - shift).sum(axis=1)))]
        fitted = AffineMap(np.array([middle]), start.middle, start.size)
        return fitted, TOLERANCES_PX[-1], math.nan if n_places < 3 else 0.0
    judges = np.arange(len(i)) if len(i) <= MAX_JUDGES else rng.choice(len(i), MAX_JUDGES, replace=False)
    a, b = rng.integers(0, len(i), (2, N_DRAWS))
    far = np.abs(z1[a] - z1[b]) > 0.05 * start.size
    a, b = a[far], b[far]
    factor = (z2[b] - z2[a]) / (z1[b] - z1[a])
    likely = (np.abs(np.angle(factor)) < 1.2 * MAX_ROTATION) & (
        np.abs(np.abs(factor) - 1) < 1.2 * MAX_STRETCH
    )
    factor, shift = factor[likely], (z2[a] - factor * z1[a])[likely]
    if not len(factor):
        return start, TOLERANCES_PX[-1], 0.0
    error = np.abs(z2[judges] - factor[:, None] * z1[judges] - shift[:, None])
    n_frames = len(np.unique(one.frame))
    density = len(two) / n_frames / (image_size[0] * image_size[1])
    tests = _log_tests(n_places, len(two) / n_frames)
    best = start, TOLERANCES_PX[-1], 0.0
    for tolerance in TOLERANCES_PX:
        agreeing = (error <= tolerance) @ share[judges]
        top = int(agreeing.argmax())
        agreed = agreeing[top] * len(i) / len(judges)
        by_chance = 1 - math.exp(-density * math.pi * tolerance**2)
        # Two of them made the similarity, so they agree with it whatever they are.
        tail = float(binom.logsf(math.floor(agreed + 1e-9) - 3, n_places - 2, by_chance))
        log_chance = tests + tail / math.log(10)
        if log_chance < best[2]:
            coefficients = np.array([
                shift[top] + (factor[top] - 1) * start.middle,
                (factor[top] - 1) * start.size,
            ])  # fmt: skip
            best = AffineMap(coefficients, start.middle, start.size), tolerance, log_chance
    return best


def _log_tests(n_places: int, n_spots: float) -> float:
    """log10 of the similarities that two pairs can make within the limits."""
    shifts = min(1.0, math.pi * MAX_SHIFT**2)
    # Of where a second spot may lie: a ring's sector, at a mean squared distance of a third of the field.
    sector = 4 * MAX_ROTATION * MAX_STRETCH / 3
    pairs = n_places * (n_places - 1) / 2 * n_spots * max(n_spots - 1, 1)
    return math.log10(max(pairs * shifts * sector, 1e-12))
