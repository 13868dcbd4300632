"""Localization benchmark: ours against the peers on the same frames in the same run.

Peers' settings are tuned for each condition on scenes of another seed (of the recordings: on other
frames); ours has one threshold everywhere. Everybody sees the same frames; the network sees the movies
they belong to, the others work frame by frame.

The seeds are used here only: training, validation and development use others.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bench.conditions import CONDITIONS, RECORDED, SceneConfig
from bench.methods import EVERYTHING, Method, tune
from bench.ours import NETWORK, PLAIN_BACKEND, WAVELET, network_methods, wavelet_methods
from bench.outputs import UsageError, save_figures, wide_console
from bench.peers import PICASSO, SMAPPY, Peer, can_import, trackpy_method
from bench.report import HEADER, Result, as_json, line, summary
from bench.scenes import Scene, bounds, read_scene, simulate_scene
from bench.scoring import score
from model.engines.base import ModelError
from model.engines.names import BackendName

TEST_SEED, TUNE_SEED = 64013, 90418
# Tuned methods see single frames, so each tuning frame is a movie of its own.
N_TUNE, MAX_TUNE_SIZE = 30, 128
RECORDINGS = Path("../shared/data/piezo1_synthetic")
SPEED = SceneConfig(density_um2=382 / (256 * 0.11) ** 2, size=256)
N_SPEED_FRAMES = 20
WARM_UP = SceneConfig(size=48)


def run(
    out: Path | None = None,
    figure: Path | None = None,
    movies: int = 20,
    frames: int = 5,
    peers_python: Path | None = None,
    model: Path | None = None,
    conditions: Sequence[str] = (),
    recordings: Path = RECORDINGS,
    backend: BackendName = PLAIN_BACKEND,
) -> list[Result]:
    """Run the benchmark; print its table, where a peer is better, and the bars.

    Parameters
    ----------
    out, figure
        Files for the results (JSON) and the figure (PNG or SVG), or None.
    movies, frames
        Movies of each test scene, and consecutive frames of each.
    peers_python
        Python that can import picasso and smappy; None leaves them out.
    model
        A network's file; None takes the one that is shipped.
    conditions
        Parts of the names of the conditions to run; none given means all.
    recordings
        Folder of the synthetic PIEZO1 recordings; left out, and said so, where it is absent.
    backend
        Library that runs the network.

    Raises
    ------
    ModelError
        If `model` is given and cannot be loaded.
    UsageError
        If a part is in no condition's name.
    OutputError
        If the results cannot be written.
    """
    check_conditions(conditions)
    console = wide_console()
    results: list[Result] = []
    with ExitStack() as stack:
        methods = [*_our_methods(model, backend, console), trackpy_method()]
        for peer in (PICASSO, SMAPPY):
            if peers_python is not None and can_import(peers_python, peer):
                methods.append(stack.enter_context(Peer(peers_python, peer)).method())
            else:
                console.print(f"{peer} is left out: --peers-python must be a Python that can import it")
        for method in methods:  # compiles; and what fails, fails before minutes of work
            method.locate(simulate_scene(WARM_UP, 1, 1, TUNE_SEED), method.settings[0], EVERYTHING)
        console.print(HEADER)
        for name, tune_scene, test_scene in _scenes(movies, frames, conditions, recordings, console):
            test_bounds = bounds(test_scene)
            for method in methods:
                setting, cut = tune(method, tune_scene)
                answer = method.locate(test_scene, setting, cut)
                n = len(test_scene.counts)
                found = score(test_scene, test_bounds, answer.by_frame(n))
                words = method.describe(setting, cut)
                results.append(Result(name, method.name, words, found, 1000 * answer.seconds / n))
                console.print(line(results[-1]))
    speed = measure_speed([method for method in methods if method.name in (NETWORK, WAVELET)])
    for method_name, fps in speed.items():
        console.print(f"{method_name}, 256², 382 emitters a frame: {fps:.0f} frames/s (CPU time)")
    if results:
        for words in summary(results):
            console.print(words, markup=False)
    save_figures(out, as_json(results, speed))
    if results and figure is not None:
        from bench.figure import draw_figure

        draw_figure(results, figure)
    return results


def check_conditions(parts: Sequence[str]) -> None:
    """See whether every part is in the name of a condition.

    Raises
    ------
    UsageError
        If one is not; the message names all conditions.
    """
    names = (*CONDITIONS, *RECORDED)
    for part in parts:
        if not any(part in name for name in names):
            raise UsageError(f"no condition's name contains {part!r}; there are: {'; '.join(names)}")


def measure_speed(methods: Sequence[Method], frames: int = N_SPEED_FRAMES) -> dict[str, float]:
    """Frames per second of CPU time by method: the best of three runs."""
    scene = simulate_scene(SPEED, 1, frames, TEST_SEED)
    return {
        method.name: frames
        / min(method.locate(scene, method.settings[0], EVERYTHING).seconds for _ in range(3))
        for method in methods
    }


def _our_methods(model: Path | None, backend: BackendName, console: Console) -> list[Method]:
    methods = wavelet_methods()
    try:
        methods += network_methods(model, backend)
    except (ImportError, ModelError) as error:
        if model is not None:
            raise
        console.print(f"the network is left out: {error}", markup=False)
    return methods


def _scenes(
    movies: int, frames: int, wanted: Sequence[str], recordings: Path, console: Console
) -> Iterator[tuple[str, Scene, Scene]]:
    """Condition, scene to tune on, scene to test on."""

    def chosen(name: str) -> bool:
        return not wanted or any(part in name for part in wanted)

    for name, config in CONDITIONS.items():
        if chosen(name):
            small = replace(config, size=min(config.size, MAX_TUNE_SIZE))
            tuning = simulate_scene(small, N_TUNE, 1, TUNE_SEED)
            yield name, tuning, simulate_scene(config, movies, frames, TEST_SEED)
    for name in filter(chosen, RECORDED):
        stem = recordings / name
        if stem.with_suffix(".tif").exists():
            # The last frames tune, the first test: molecules live on for frames. Every fifth frame of
            # the first 80 was looked at while the wavelet method was built, and is left out.
            unseen = [frame for frame in range(80) if frame % 5]
            yield name, read_scene(stem, range(80, 100)), read_scene(stem, unseen)
        else:
            console.print(f"{name} is left out: no {stem.with_suffix('.tif')}")
