"""How often a tethered indicator's spot changes between the states of `stream.gating.filter`."""

import numpy as np
from numpy.typing import NDArray

from stream.gating.filter import (
    BETWEEN,
    CLOSED,
    DARK,
    DIM_CLOSED,
    DIM_OPEN,
    DIMMINGS,
    FIRST_NEVER,
    IS_OPEN,
    N_RESTS,
    N_SINGLE,
    N_STATES,
    OPEN,
    OPENING_PRIOR,
)

# Chances per frame. No measured ones were found for PIEZO1 with JF646-BAPTA; these are assumptions: an
# opening of 12 frames every 50, a blink of 3 frames every 50. Other dwell times are followed too, as
# `piezo1 bench gating` shows.
OPENS, CLOSES = 0.02, 0.08
GOES_DARK, COMES_BACK = 0.02, 0.3
DIMS = 0.04  # one of two or three fluorophores
ALL_DARK = 0.25  # of a lone fluorophore's chance that two or three go dark together
DIRECT = 0.25  # share of changes that show no frame in between, as they fall on a frame's edge
STAYS_BETWEEN = 0.3
MANY = 0.3  # prior share of spots with several fluorophores


def transitions(several: bool) -> NDArray[np.float64]:
    """Chances per frame from state to state, (4, 4) with one fluorophore, (10, 10) with several."""
    n = N_STATES if several else N_SINGLE
    open_share = OPENS / (OPENS + CLOSES)
    chances = np.zeros((n, n))

    def change(state: int, to: dict[int, float]) -> None:
        for target, chance in to.items():
            chances[state, target] += DIRECT * chance
            chances[state, BETWEEN] += (1 - DIRECT) * chance

    dark = GOES_DARK * (ALL_DARK if several else 1.0)
    dims = DIMS / len(DIMMINGS)
    to_dim_closed = dict.fromkeys(DIM_CLOSED.tolist(), dims) if several else {}
    to_dim_open = dict.fromkeys(DIM_OPEN.tolist(), dims) if several else {}
    change(CLOSED, {OPEN: OPENS, DARK: dark, **to_dim_closed})
    change(OPEN, {CLOSED: CLOSES, DARK: dark, **to_dim_open})
    # One of several fluorophores comes back alone as often as all of them.
    back = {CLOSED: 1 - open_share, OPEN: open_share}
    from_between = {CLOSED: 0.45, OPEN: 0.3, DARK: 0.25}
    if several:
        for closed, opened in zip(DIM_CLOSED.tolist(), DIM_OPEN.tolist(), strict=True):
            change(closed, {CLOSED: COMES_BACK, opened: OPENS, DARK: GOES_DARK})
            change(opened, {OPEN: COMES_BACK, closed: CLOSES, DARK: GOES_DARK})
        back = _half_dimmed(back)
        from_between = {DARK: 0.25, **_half_dimmed({CLOSED: 0.45, OPEN: 0.3})}
    change(DARK, {state: COMES_BACK * share for state, share in back.items()})
    for state, share in from_between.items():
        chances[BETWEEN, state] = (1 - STAYS_BETWEEN) * share
    chances[np.diag_indices(n)] += 1 - chances.sum(axis=1)
    return chances


def never_opening(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same chances for a channel that stays closed."""
    closed = chances.copy()
    pairs = [(CLOSED, OPEN), *zip(DIM_CLOSED.tolist(), DIM_OPEN.tolist(), strict=True)]
    for shut, opened in pairs[: 1 + (len(chances) - N_SINGLE) // 2]:
        closed[:, shut] += closed[:, opened]
        closed[:, opened] = 0.0
    return closed


def prior() -> NDArray[np.float64]:
    """Joint prior (14, N_GRID) of a spot that has just shone."""
    single = np.array([0.05, 0.05, 0.72, 0.18])
    several = np.concatenate([single, np.full(N_STATES - N_SINGLE, 0.01)])
    states = np.concatenate([(1 - MANY) * single, MANY * several / several.sum()])
    joint: NDArray[np.float64] = states[:, None] * np.repeat(OPENING_PRIOR, N_RESTS) / N_RESTS
    is_open = np.flatnonzero(np.concatenate([IS_OPEN[:N_SINGLE], IS_OPEN]))
    # What would be an open channel is a closed one where it never opens.
    joint[[CLOSED, N_SINGLE + CLOSED], FIRST_NEVER:] *= 1 + single[OPEN] / single[CLOSED]
    joint[is_open, FIRST_NEVER:] = 0.0
    joint /= joint.sum()
    return joint


def _half_dimmed(shares: dict[int, float]) -> dict[int, float]:
    """Half of the way back to full light, half to a dimmed state."""
    halves = {state: share / 2 for state, share in shares.items()}
    for states, share in ((DIM_CLOSED, halves[CLOSED]), (DIM_OPEN, halves[OPEN])):
        halves |= dict.fromkeys(states.tolist(), share / len(states))
    return halves
