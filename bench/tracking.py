"""Tracking benchmark: our online tracker and the peers on the same localizations in the same run.

Movies are simulated as in `bench.tracking_scene`; every method sees the same frames, and tracks of fewer
than three localizations count for none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bench.outputs import UsageError, save_figures
from bench.tracking_cases import CASES, TrackingCase
from bench.tracking_methods import TrackingMethod, our_method
from bench.tracking_peers import btrack_problem
from bench.tracking_report import HEADER, TrackingResult, as_json, bar_lines, line
from bench.tracking_scene import TrackingScene
from bench.tracking_scoring import TrackingMovie, mean_score, score

WARM_UP = TrackingScene(name="warm-up", n_puncta=50, n_frames=30)
WARM_UP_SEED = 5599


def run(
    out: Path | None,
    console: Console,
    peers_python: Path | None = None,
    cases: Sequence[str] = (),
    n_movies: int | None = None,
    all_cases: Sequence[TrackingCase] = CASES,
) -> dict[str, Any]:
    """Run the benchmark; print its table and the bars.

    Parameters
    ----------
    out
        JSON file for the figures, or None.
    peers_python
        Python that can import btrack; None leaves it out.
    cases
        Parts of the names of the cases to run; none given means all.
    n_movies
        Movies of each case, instead of as many as planned.
    all_cases
        What there is to choose from.

    Raises
    ------
    UsageError
        If a part is in no case's name.
    OutputError
        If the figures cannot be written.
    """
    chosen = _choose(all_cases, cases)
    if n_movies is not None:
        chosen = [replace(case, n_movies=n_movies) for case in chosen]
    problem = btrack_problem(peers_python) if peers_python else "no --peers-python is given"
    if problem:
        console.print(f"btrack is left out: {problem}")
    warm_up = TrackingMovie.simulate(WARM_UP, WARM_UP_SEED)
    score(warm_up, our_method().link(warm_up).track_id)  # numba compiles in the first frames

    console.print(HEADER)
    results = []
    for case in chosen:
        for result in _run_case(case, None if problem else peers_python):
            results.append(result)
            console.print(line(result), soft_wrap=True)
    for words in bar_lines(results):
        console.print(words)
    figures = as_json(results, btrack_left_out=problem)
    save_figures(out, figures)
    return figures


def _choose(all_cases: Sequence[TrackingCase], parts: Sequence[str]) -> list[TrackingCase]:
    names = [case.scene.name for case in all_cases]
    for part in parts:
        if not any(part in name for name in names):
            raise UsageError(f'no case has "{part}" in its name; there are: {"; ".join(names)}')
    return [case for case in all_cases if not parts or any(part in case.scene.name for part in parts)]


def _run_case(case: TrackingCase, btrack_python: Path | None) -> Iterator[TrackingResult]:
    name, whole = case.scene.name, case.n_batch_frames >= case.scene.n_frames
    movies = [TrackingMovie.simulate(case.scene, seed) for seed in case.seeds]
    for method in case.online():
        yield _measure(name, method, movies)
    short = [movie.first(case.n_batch_frames) for movie in movies[: case.n_batch_movies]]
    if not whole or len(short) < len(movies):
        name = f"{name}, first {len(short)} × {case.n_batch_frames} frames"
        for method in case.online():
            yield _measure(name, method, short)
    for method in case.batch(btrack_python):
        yield _measure(name, method, short)


def _measure(case: str, method: TrackingMethod, movies: list[TrackingMovie]) -> TrackingResult:
    linked = [method.link(movie) for movie in movies]
    scores = [score(movie, one.track_id) for movie, one in zip(movies, linked, strict=True)]
    return TrackingResult(
        case=case,
        method=method.name,
        setting=method.setting,
        score=mean_score(scores),
        cpu_ms=np.concatenate([one.cpu_ms for one in linked]),
        wall_ms=np.concatenate([one.wall_ms for one in linked]),
        learnt=linked[-1].learnt,
    )
