"""What goes wrong at a microscope, done to the tracker: lost frames, a jumping stage, nothing, far too much.

Each disturbance must leave the tracker alive, its time bounded and its bookkeeping right; how many puncta
keep their tracks is told. The seeds are used here only.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bench.outputs import save_figures
from bench.tracking_endurance import SMALL, endurance
from bench.tracking_ledger import Ledger
from bench.tracking_methods import INTERVAL_S, PIXEL_NM
from bench.tracking_scene import TrackingFrame, TrackingScene, simulate_frames
from model.localizations import Localizations
from stream.config import TrackerConfig
from stream.results import NO_TRACK, Ids
from stream.tracking.tracker import Tracker

SEED = 91201
SCENE = TrackingScene(name="robustness", n_puncta=200, n_frames=300)
AT = 150  # the frame that something happens to
CROWD = 5000
JUMP_PX = 5.0
LONGEST_GAP = TrackerConfig().max_gap_frames


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame as the tracker is shown it; `is_after`: the first one after the disturbance."""

    seq: int
    frame: TrackingFrame
    is_after: bool = False


@dataclass(frozen=True, slots=True)
class Endured:
    """What a disturbance did.

    Attributes
    ----------
    kept, mixed
        Of the puncta seen in both the frames before and after it: the share that keeps its track, and the
        share that is given the track of another one.
    p50_ms, after_ms, worst_ms
        CPU time of a frame: median, that of the first one after the disturbance, and the most.
    """

    disturbance: str
    n_frames: int
    kept: float
    mixed: float
    p50_ms: float
    after_ms: float
    worst_ms: float
    n_born: int
    problems: list[str]


def run(out: Path | None, console: Console, n_frames: int = 100_000) -> dict[str, Any]:
    """Run all disturbances and the endurance run; print what they did.

    Parameters
    ----------
    out
        JSON file for the figures, or None.
    n_frames
        Length of the endurance run.

    Raises
    ------
    OutputError
        If the figures cannot be written.
    """
    console.print(
        f"{'disturbance':48}{'frames':>7}{'kept':>7}{'mixed':>7}{'CPU ms p50':>11}{'first after':>12}"
        f"{'worst':>7}{'tracks':>8}  bookkeeping"
    )
    frames, _ = simulate_frames(SCENE, SEED)
    endure("warm-up", plain(frames[:20]))  # numba compiles in the first frames
    rows = []
    for name, disturb in DISTURBANCES.items():
        rows.append(row := endure(name, disturb(frames)))
        console.print(
            f"{name:48}{row.n_frames:7}{row.kept:7.1%}{row.mixed:7.1%}{row.p50_ms:11.2f}{row.after_ms:12.2f}"
            f"{row.worst_ms:7.1f}{row.n_born:8}  {'; '.join(row.problems[:2]) or 'right'}"
        )
    console.print(f"{'the same frame twice':48}{refusal(frames)}")
    memory = endurance(n_frames)
    console.print(
        f"\n{n_frames} frames of {SMALL.n_puncta} puncta, tracker and calcium stage: memory grows by "
        f"{memory['slope_bytes']:.1f} bytes a frame after the first tenth ({memory['first_mib']:.1f} to "
        f"{memory['last_mib']:.1f} MiB), {memory['ms_per_frame']:.2f} ms of CPU a frame, "
        f"bookkeeping {'; '.join(memory['problems'][:2]) or 'right'}"
    )
    figures = {"disturbances": [asdict(row) for row in rows], "endurance": memory}
    save_figures(out, figures)
    return figures


def endure(name: str, shown: Iterator[Shown]) -> Endured:
    """Show frames to a new tracker and keep its books."""
    tracker, ledger = Tracker(TrackerConfig(), PIXEL_NM, INTERVAL_S), Ledger()
    before: dict[int, int] = {}
    kept, mixed, after_ms, ms = np.nan, np.nan, np.nan, []
    for one in shown:
        began = time.process_time()
        update = tracker.step(one.seq, one.seq * INTERVAL_S, one.frame.found)
        ms.append((time.process_time() - began) * 1e3)
        ledger.add(one.seq, update, len(one.frame.found))
        tracks = _tracks_of(one.frame, update.track_id)
        if one.is_after:
            both, taken = before.keys() & tracks.keys(), set(before.values())
            kept = sum(before[i] == tracks[i] for i in both) / len(both)
            mixed = sum(before[i] != tracks[i] in taken for i in both) / len(both)
            after_ms = ms[-1]
        before = tracks or before
    ledger.finish(tracker.flush())
    return Endured(
        name,
        n_frames=len(ms),
        kept=kept,
        mixed=mixed,
        p50_ms=float(np.median(ms)),
        after_ms=float(after_ms),
        worst_ms=max(ms),
        n_born=ledger.n_born,
        problems=ledger.problems,
    )


def plain(frames: Sequence[TrackingFrame]) -> Iterator[Shown]:
    """Nothing happens."""
    return (Shown(seq, frame, seq == AT) for seq, frame in enumerate(frames))


def lost(n: int) -> Callable[[Sequence[TrackingFrame]], Iterator[Shown]]:
    """`n` frames are lost."""

    def disturb(frames: Sequence[TrackingFrame]) -> Iterator[Shown]:
        return (Shown(k, f, k == AT + n) for k, f in enumerate(frames) if not AT <= k < AT + n)

    return disturb


def frozen(frames: Sequence[TrackingFrame]) -> Iterator[Shown]:
    """A camera driver hands over one image ten times, as frames of their own."""
    repeated = [*frames[:AT], *[frames[AT - 1]] * 10, *frames[AT:]]
    return (Shown(seq, frame, seq == AT + 10) for seq, frame in enumerate(repeated))


def jump(frames: Sequence[TrackingFrame]) -> Iterator[Shown]:
    """The stage jumps by `JUMP_PX` along x, and stays there."""
    for seq, frame in enumerate(frames):
        moved = frame.found if seq < AT else replace(frame.found, x_px=frame.found.x_px + np.float32(JUMP_PX))
        yield Shown(seq, TrackingFrame(moved, frame.track_id), seq == AT)


def dark(n: int) -> Callable[[Sequence[TrackingFrame]], Iterator[Shown]]:
    """`n` frames show no puncta at all."""

    def disturb(frames: Sequence[TrackingFrame]) -> Iterator[Shown]:
        nothing = TrackingFrame(Localizations.empty(), np.empty(0, np.int64))
        repeated = [*frames[:AT], *[nothing] * n, *frames[AT:]]
        return (Shown(seq, frame, seq == AT + n) for seq, frame in enumerate(repeated))

    return disturb


def crowd(frames: Sequence[TrackingFrame]) -> Iterator[Shown]:
    """One frame has `CROWD` more localizations, anywhere: a flash, or a threshold far too low."""
    rng = np.random.default_rng(SEED)
    position = rng.uniform(0, SCENE.side_px, (2, CROWD)).astype(np.float32)
    photons, sd = (np.full(CROWD, value, np.float32) for value in (500.0, 0.3))
    columns = np.stack([*position, sd, sd, photons, 0 * sd, 0 * sd + 1.4, 0 * sd + 1, sd * np.nan], axis=1)
    found = Localizations.from_table(np.concatenate([frames[AT].found.table(), columns]))
    track_id = np.concatenate([frames[AT].track_id, np.full(CROWD, NO_TRACK)])
    crowded = [*frames[:AT], TrackingFrame(found, track_id), *frames[AT + 1 :]]
    return (Shown(seq, frame, seq == AT) for seq, frame in enumerate(crowded))


DISTURBANCES: dict[str, Callable[[Sequence[TrackingFrame]], Iterator[Shown]]] = {
    "none": plain,
    "5 frames lost": lost(5),
    f"{LONGEST_GAP} frames lost, as long as a gap may be": lost(LONGEST_GAP),
    f"{2 * LONGEST_GAP} frames lost": lost(2 * LONGEST_GAP),
    "one image ten times": frozen,
    f"the stage jumps by {JUMP_PX:g} px": jump,
    "1000 frames without puncta": dark(1000),
    f"{CROWD} localizations more in one frame": crowd,
}


def refusal(frames: Sequence[TrackingFrame]) -> str:
    """What the tracker says to a `seq` that it has had; the receiver lets none through."""
    tracker = Tracker(TrackerConfig(), PIXEL_NM, INTERVAL_S)
    tracker.step(0, 0.0, frames[0].found)
    try:
        tracker.step(0, 0.0, frames[0].found)
    except ValueError as error:
        return f"refused: {error}"
    return "TAKEN"


def _tracks_of(frame: TrackingFrame, track_id: Ids) -> dict[int, int]:
    """Track of each punctum that has one, by its true identity."""
    real = (frame.track_id != NO_TRACK) & (track_id != NO_TRACK)
    return dict(zip(frame.track_id[real].tolist(), track_id[real].tolist(), strict=True))
