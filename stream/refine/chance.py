"""How far apart ends and starts may be before chance explains them better than a punctum that came back.

Ends that are put elsewhere meet starts by chance alone, at the same rate and with the same scatter of
brightness as real ends do where no punctum comes back.
"""

import numpy as np

from stream.refine.spots import Array, Index, Spots

# Far enough that the punctum itself is not met again, near enough that the crowd is the same.
AWAY = 3.0  # gap-closing distances
DIRECTIONS = 8


def displaced(spots: Spots, ends: Index, distance: float) -> list[tuple[Index, Array]]:
    """Ways to put ends elsewhere: which (those that stay within the field), and the displacement (2,)."""
    low, high = spots.xy.min(axis=0), spots.xy.max(axis=0)
    ways = []
    for angle in 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        shift = AWAY * distance * np.array([np.cos(angle), np.sin(angle)])
        moved = spots.xy[ends] + shift
        ways.append((ends[((low <= moved) & (moved <= high)).all(axis=1)], shift))
    return ways


def likely_cost(cost: Array, by_chance: Array, trials: float) -> float:
    """Greatest cost at which a pair of an end and a start is more likely one punctum than two.

    Of the pairs up to some cost, as many as displaced ends have there are chance (the counting of targets
    and decoys: Elias & Gygi, Nat. Methods 4, 207 (2007)). A right joint gains what a wrong one loses, so
    the pairs are worth their number less twice that of chance.

    Parameters
    ----------
    cost
        Of all pairs.
    by_chance, trials
        Of all pairs of displaced ends, and how many displaced ends there were for each real one.
    """
    every = np.concatenate([cost, by_chance])
    worth = np.concatenate([np.ones(len(cost)), np.full(len(by_chance), -2.0 / max(trials, 1e-9))])
    # At equal cost chance comes first: in doubt nothing is joined.
    order = np.lexsort((worth, every))
    gain = np.cumsum(worth[order])
    if not len(gain) or gain.max() <= 0:
        return -np.inf
    return float(every[order][gain.argmax()])
