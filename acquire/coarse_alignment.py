"""How two channels lie to each other, roughly: every pair of spots votes for a shift, turn and scale."""

import math

import numpy as np

from acquire.affine_fit import AffineMap, Array, Index, identity
from acquire.spots import Spots

# Cameras and splitters are farther off by mistake only, and by a turn or a mirror never by little.
MAX_SHIFT = 0.25  # of the shorter side of the image
MAX_ROTATION = math.radians(5.0)
MAX_STRETCH = 0.05
CELL_SHARE = (
    150  # a coarse cell is this part of half the diagonal, at least 2 px: 400 turns and scales are tried
)
MIN_CELL_PX = 2.0
MAX_VOTES = 30_000  # pairs of spots that vote, those of the brightest
N_STARTS = 8  # of the coarse search's best, tried to the end


def coarse_maps(one: Spots, two: Spots, image_size: tuple[int, int], cell: float) -> list[AffineMap]:
    """Similarities for which many pairs of spots vote, best first.

    With one or two spots in channel 1 only shifts are tried.

    Parameters
    ----------
    one, two
        Spots of channel 1 and 2.
    image_size
        Height and width in pixels.
    cell
        Side of the squares that collect votes, pixels; turns and scales are tried in steps that move the
        image's corners as much.
    """
    same = identity(image_size)
    i, j = _voters(one, two)
    if not len(i):
        return []
    u1, z2 = one.z - same.middle, two.z - same.middle
    share = 1 / np.bincount(one.place)[one.place[i]]
    reach = MAX_SHIFT * min(image_size)
    n = math.ceil(2 * reach / cell) + 2
    step = cell / (math.hypot(*image_size) / 2)  # moves the corners by a cell
    turns, scales = _grid(MAX_ROTATION, step), 1 + _grid(MAX_STRETCH, step)
    if len(np.unique(one.place)) < 3:
        turns, scales = np.zeros(1), np.ones(1)
    ranked = []
    for factor in (np.exp(1j * turns)[:, None] * scales).reshape(-1):
        shift = z2[j] - factor * u1[i]
        near = np.abs(shift) <= reach
        column, row = (
            np.floor((part[near] + reach) / cell).astype(np.intp) for part in (shift.real, shift.imag)
        )
        votes = np.bincount(row * n + column, share[near], n * n).reshape(n, n)
        votes = votes[:-1, :-1] + votes[1:, :-1] + votes[:-1, 1:] + votes[1:, 1:]  # peaks lie across borders
        top = int(votes.argmax())
        at = complex(top % (n - 1) + 1, top // (n - 1) + 1) * cell - complex(reach, reach)
        coefficients = np.array([at, (factor - 1) * same.size])
        ranked.append((float(votes.flat[top]), AffineMap(coefficients, same.middle, same.size)))
    ranked.sort(key=lambda entry: -entry[0])
    return [start for _, start in ranked[:N_STARTS]]


def _grid(limit: float, step: float) -> Array:
    n = math.ceil(limit / step)
    return np.linspace(-limit, limit, 2 * n + 1)


def _voters(one: Spots, two: Spots) -> tuple[Index, Index]:
    """Pairs of spots of the same frame, those of the brightest if there are too many."""
    frames = np.intersect1d(one.frame, two.frame)
    if not len(frames):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    most = max(3, int(math.sqrt(MAX_VOTES / len(frames))))
    pairs = []
    for frame in frames:
        i, j = (_brightest(np.flatnonzero(spots.frame == frame), spots, most) for spots in (one, two))
        pairs.append((np.repeat(i, len(j)), np.tile(j, len(i))))
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _brightest(rows: Index, spots: Spots, most: int) -> Index:
    return rows[np.argsort(-spots.photons[rows], kind="stable")[:most]]
