"""The peers of the tracking benchmark: trackpy and laptrack here, btrack in another environment."""

import subprocess
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import trackpy
from laptrack import LapTrack

from bench.tracking_methods import TrackingMethod
from bench.tracking_scoring import Linked, TrackingMovie
from stream.results import NO_TRACK

WORKER = Path(__file__).with_name("tracking_btrack.py")
TRACKPY_3, TRACKPY_10 = "trackpy, memory 3", "trackpy, memory 10"
LAPTRACK, BTRACK = "laptrack", "btrack"
TRACKPY_SUBNET_PX = 0.5  # where a crowd is too large to be solved it may narrow its range this far
MAX_GAP = 10  # frames, as for ours


@dataclass(frozen=True, slots=True)
class BtrackSetting:
    """btrack's motion model and how tracklets are joined; variances in px², distances in px.

    The motion model is a random walk; its own models move at constant velocity, which puncta do not.
    """

    search_px: float
    step_variance: float  # a frame
    accuracy: float
    not_assigned: float
    max_lost: int
    join_px: float


def trackpy_method(range_px: float, memory: int) -> TrackingMethod:
    """`trackpy.link_iter` (Crocker–Grier), which takes frame by frame."""
    name = {3: TRACKPY_3, 10: TRACKPY_10}[memory]
    return TrackingMethod(name, f"range {range_px:g} px", lambda movie: _trackpy(movie, range_px, memory))


def laptrack_method(link_px: float, gap_px: float) -> TrackingMethod:
    """`laptrack.LapTrack` (Jaqaman et al. 2008) with gap closing; it takes the whole movie."""
    setting = f"range {link_px:g} px, gaps {gap_px:g} px and {MAX_GAP} frames"
    return TrackingMethod(LAPTRACK, setting, lambda movie: _laptrack(movie, link_px, gap_px))


def btrack_method(python: Path, setting: BtrackSetting) -> TrackingMethod:
    """`btrack.BayesianTracker` with its optimisation; it takes the whole movie."""
    words = ", ".join(f"{name} {value:g}" for name, value in asdict(setting).items())
    return TrackingMethod(BTRACK, words, lambda movie: _btrack(movie, python, setting))


def btrack_problem(python: Path) -> str:
    """Why a Python cannot run btrack, in one line; empty where it can."""
    command = [str(python), "-c", "import btrack; btrack.BayesianTracker(verbose=False)"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    if not done.returncode:
        return ""
    said = [line for line in done.stderr.splitlines() if "Error" in line] or done.stderr.splitlines()[-1:]
    return said[-1].strip() if said else f"exit code {done.returncode}"


def _trackpy(movie: TrackingMovie, range_px: float, memory: int) -> Linked:
    trackpy.quiet()
    frames = [np.stack([f.found.x_px, f.found.y_px], axis=1).astype(np.float64) for f in movie.frames]
    track_id, cpu_ms, wall_ms = [], [], []
    linker = trackpy.link_iter(enumerate(frames), range_px, memory=memory, adaptive_stop=TRACKPY_SUBNET_PX)
    cpu, wall = time.process_time(), time.perf_counter()
    for _, ids in linker:
        cpu_ms.append((time.process_time() - cpu) * 1e3)
        wall_ms.append((time.perf_counter() - wall) * 1e3)
        track_id.append(np.asarray(ids, np.int64))
        cpu, wall = time.process_time(), time.perf_counter()
    return Linked(np.concatenate(track_id), np.array(cpu_ms), np.array(wall_ms))


def _laptrack(movie: TrackingMovie, link_px: float, gap_px: float) -> Linked:
    linker = LapTrack(
        cutoff=link_px**2,
        gap_closing_cutoff=gap_px**2,
        gap_closing_max_frame_count=MAX_GAP + 1,  # k bridges k − 1 missing frames
        # What it estimates from the data instead leaves most gaps open.
        segment_start_cost=gap_px**2,
        segment_end_cost=gap_px**2,
    )
    cpu, wall = time.process_time(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' about its own way of using it
        tracks, _, _ = linker.predict_dataframe(
            movie.found, coordinate_cols=["x_nm", "y_nm"], frame_col="frame"
        )
    cpu_ms = (time.process_time() - cpu) * 1e3 / len(movie.frames)
    wall_ms = (time.perf_counter() - wall) * 1e3 / len(movie.frames)
    # Its rows go by frame and by place within the frame, as ours do.
    track_id = tracks.sort_index()["track_id"].to_numpy(np.int64)
    return Linked(track_id, np.array([cpu_ms]), np.array([wall_ms]))


def _btrack(movie: TrackingMovie, python: Path, setting: BtrackSetting) -> Linked:
    with tempfile.TemporaryDirectory(prefix="piezo1-bench-") as folder:
        asked, answered = Path(folder) / "request.npz", Path(folder) / "answer.npz"
        columns = {name: movie.found[name].to_numpy() for name in ("frame", "x_nm", "y_nm")}
        np.savez(asked, allow_pickle=False, **columns, **asdict(setting))
        command = [python, WORKER, asked, answered]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the btrack worker failed: {done.stderr.strip()[-500:]}")
        with np.load(answered) as answer:
            track_id, seconds = answer["track_id"], answer["seconds"]
    cpu_ms, wall_ms = seconds * 1e3 / len(movie.frames)
    return Linked(np.maximum(track_id, NO_TRACK), np.array([cpu_ms]), np.array([wall_ms]))
