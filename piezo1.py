"""The command line of the PIEZO1 Calcium Tracker: `piezo1 --help`.

Exit codes: 0 done, 1 failed, 2 wrong usage. Each command imports what it needs when it runs.
"""

from pathlib import Path
from platform import node
from typing import Annotated, Literal, NoReturn

import typer
from rich.markup import escape

from bench import commands as bench_commands
from bench.commands import Json
from dashboard.console import PatientConsole

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Finds PIEZO1 puncta, tracks them and attaches calcium events, live or from recordings.",
    # The guide writes options with underscores; both spellings work.
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)
app.add_typer(bench_commands.app, name="bench")

out = PatientConsole(highlight=False)
err = PatientConsole(stderr=True, highlight=False)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML that describes the run")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="override any value, e.g. camera.offset=100; repeatable")
]

Precision = Literal["fp32", "fp16"]

# What brings the packages that are not always installed.
EXTRAS = {
    "lightning": "train",
    "mm_test_adapters": "live",
    "mmpycorex": "live",
    "ndstorage": "live",
    "onnx": "train",
    "onnxscript": "train",
    "pycromanager": "live",
    "pymmcore": "live",
    "tensorboard": "train",
    "torch": "train",
    "trackpy": "bench",
}


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for run and picture")] = Path("runs"),
) -> None:
    """Replay a small simulated movie through the live stream, and judge the result against the truth.

    Needs no GPU, no microscope and no data. Example: `piezo1 demo`
    """
    from dashboard.demo import run_demo

    run_demo(output, out)


@app.command()
def replay(
    movie: Annotated[
        Path | None, typer.Argument(help="TIFF file, folder of single TIFFs, or NDTiff data set")
    ] = None,
    calcium_movie: Annotated[Path | None, typer.Argument(help="calcium movie, if a file of its own")] = None,
    config: Config = None,
    sets: Sets = None,
    layout: Annotated[
        str | None,
        typer.Option(help="auto, stack, interleaved, two-files, side-by-side, top-bottom or single"),
    ] = None,
    pixel_size_nm: Annotated[float | None, typer.Option(help="pixel size, if the file lacks it")] = None,
    interval_ms: Annotated[float | None, typer.Option(help="frame interval, if the file lacks it")] = None,
    speed: Annotated[str | None, typer.Option(help="max, realtime, or a factor such as 0.5")] = None,
    engine: Annotated[str | None, typer.Option(help="auto, network or wavelet")] = None,
    max_frames: Annotated[int | None, typer.Option(help="stop after this many frames")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="analyse an NDTiff data set while it is being written")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder for run folders")] = None,
    name: Annotated[str | None, typer.Option(help="name of the run folder")] = None,
    one_process: Annotated[
        bool, typer.Option("--one-process", help="threads and inproc sockets instead of processes")
    ] = False,
) -> None:
    """Replay a recording through the live stream into a run folder.

    Example: `piezo1 replay movie.tif --pixel-size-nm 108`
    Beside a running acquisition that saves NDTiff: `piezo1 replay data/cell_1 --follow`
    """
    from dashboard.terminal import RunBar, report
    from stream.load import load_config
    from stream.pipeline import Supervisor

    options = {
        "source.path": movie,
        "source.calcium_path": calcium_movie,
        "source.interval_ms": interval_ms,
        "source.speed": speed,
        "source.max_frames": max_frames,
        "source.follow": follow or None,
        "channels.layout": layout,
        "optics.pixel_size_nm": pixel_size_nm,
        "engine.name": engine,
        "output.folder": output,
        "output.name": name,
    }
    settings = load_config(
        config, sets or (), {key: value for key, value in options.items() if value is not None}
    )
    if settings.source.path is None and settings.network.role != "analysis":
        _fail("no movie is given: name a file or folder, or set source.path", 2)
    path = settings.source.path
    if settings.source.follow and path is not None and not path.exists():
        out.print(f"waiting for {path} to appear (Ctrl-C ends it)", markup=False)
    bar = RunBar(out, "replay")
    supervisor = Supervisor(settings, transport="inproc" if one_process else None, on_status=bar.update)
    with bar:
        outcome = supervisor.run()
    report(out, outcome.folder, outcome.info, outcome.problem)
    if outcome.problem:
        _fail(outcome.problem, 1)


@app.command()
def live(
    config: Config = None,
    sets: Sets = None,
    camera: Annotated[
        Literal["configured", "demo"], typer.Option(help="demo: Micro-Manager's demo cameras")
    ] = "configured",
    mode: Annotated[
        str | None, typer.Option(help="two-cameras, splitter, channels or single; see configs/live.yaml")
    ] = None,
    exposure_ms: Annotated[float | None, typer.Option(help="exposure")] = None,
    interval_ms: Annotated[float | None, typer.Option(help="from frame to frame, 0: full speed")] = None,
    frames: Annotated[int | None, typer.Option(help="number of frames; left out: until Ctrl-C")] = None,
    save: Annotated[Path | None, typer.Option(help="folder for the raw images (NDTiff)")] = None,
    engine: Annotated[str | None, typer.Option(help="auto, network or wavelet")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder for run folders")] = None,
    name: Annotated[str | None, typer.Option(help="name of the run folder")] = None,
) -> None:
    """Image with Micro-Manager and analyse every frame while it images; Ctrl-C ends the run.

    Example: `piezo1 live --config configs/live.yaml`; without a microscope: `piezo1 live --camera demo`
    """
    from dashboard.live import live_config, run_live

    options = {
        "microscope.mode": mode,
        "microscope.exposure_ms": exposure_ms,
        "microscope.interval_ms": interval_ms,
        "microscope.save": save,
        "source.max_frames": frames,
        "engine.name": engine,
        "output.folder": output,
        "output.name": name,
    }
    given = {key: value for key, value in options.items() if value is not None}
    outcome = run_live(live_config(config, sets or (), given, demo=camera == "demo"), out)
    if outcome.problem:
        _fail(outcome.problem, 1)


@app.command()
def register(
    movie: Annotated[Path, typer.Argument(help="movie or image of beads, or of puncta in both channels")],
    output: Annotated[Path, typer.Option("--output", "-o", help="YAML; a picture is written beside it")],
    calcium_movie: Annotated[Path | None, typer.Argument(help="channel 2, if a file of its own")] = None,
    kind: Annotated[
        Literal["beads", "puncta"],
        typer.Option("--from", help="beads that rest, or puncta that both channels show in the same frame"),
    ] = "beads",
    config: Config = None,
    sets: Sets = None,
    layout: Annotated[
        str | None,
        typer.Option(help="auto, stack, interleaved, two-files, side-by-side or top-bottom"),
    ] = None,
    pixel_size_nm: Annotated[float | None, typer.Option(help="pixel size, if the file lacks it")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="write it although it is too poor; runs will say so")
    ] = False,
) -> None:
    """Find out where channel 1 lies in channel 2, for `channels.registration` of a run.

    Example: `piezo1 register beads.tif -o registration.yaml`
    """
    from acquire.registration import save_registration
    from bench.outputs import writable
    from dashboard.registration_figure import save_registration_figure
    from stream.load import load_config
    from stream.register import register as register_movie

    writable(".yaml", ".yml")(output)
    options = {
        "source.path": movie,
        "source.calcium_path": calcium_movie,
        "channels.layout": layout,
        "optics.pixel_size_nm": pixel_size_nm,
    }
    settings = load_config(
        config, sets or (), {key: value for key, value in options.items() if value is not None}
    )
    with out.status("register") as status:
        found = register_movie(
            settings, kind, force=force, report=lambda step: status.update(f"register: {step}")
        )
    registration, picture = found.registration, output.with_suffix(".png")
    save_registration(registration, output)
    save_registration_figure(found, picture)
    for line in (registration.in_words(), registration.quality(), *registration.cautions):
        out.print(line, soft_wrap=True)
    out.print(f"written: {output} and {picture}", soft_wrap=True)
    out.print(f"use it: piezo1 replay … --set channels.registration={output}", soft_wrap=True)


@app.command()
def simulate(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="new folder for the data set; with --card-of, the picture")
    ],
    num_samples: Annotated[int, typer.Option(min=1, help="number of movies")] = 1,
    frames_per_sample: Annotated[int, typer.Option(min=1, help="frames in each movie")] = 50,
    image_size: Annotated[tuple[int, int], typer.Option(help="height and width, pixels")] = (256, 256),
    num_puncta_mean: Annotated[float | None, typer.Option(help="mean puncta in an image")] = None,
    psf_type: Annotated[str, typer.Option(help="gaussian or airy")] = "gaussian",
    sigma_nm: Annotated[float, typer.Option(help="σ of the PSF, nm")] = 150.0,
    pixel_size_nm: Annotated[float, typer.Option(help="pixel size, nm")] = 108.0,
    interval_ms: Annotated[float, typer.Option(help="frame interval, ms")] = 50.0,
    camera: Annotated[str, typer.Option(help="scmos or emccd")] = "scmos",
    baseline: Annotated[float | None, typer.Option(help="camera offset, ADU")] = None,
    read_noise_std: Annotated[float | None, typer.Option(help="read noise, electrons r.m.s.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="same seed, same movies")] = 0,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="any other parameter, e.g. photons=500; a wrong name lists them all"),
    ] = None,
    compress: Annotated[
        bool, typer.Option("--compress", help="smaller movies, without loss; slower")
    ] = False,
    card_of: Annotated[
        Path | None, typer.Option(help="only draw what the training with this YAML simulates, into -o")
    ] = None,
) -> None:
    """Simulate dual-channel movies with their truth, and a card.png to hold beside real recordings.

    Example: `piezo1 simulate -o data/test --num-samples 10 --num-puncta-mean 50`
    Training: `piezo1 simulate --card-of configs/train_localization.yaml -o card.png`
    """
    from rich.progress import Progress

    from train.card import save_card
    from train.card_scenes import scenes_card
    from train.fit_load import load_fit_config
    from train.movie import write_dataset
    from train.options import simulation_config
    from train.simulation_config import SimulationError

    if card_of is not None:
        ranges = load_fit_config(card_of).simulation
        save_card(scenes_card(ranges, f"Training data of {card_of.name}", seed), output)
        out.print(f"card: {output}", soft_wrap=True)
        return
    try:
        settings = simulation_config(
            sets or [],
            n_frames=frames_per_sample,
            image_size=image_size,
            num_puncta_mean=num_puncta_mean,
            psf_type=psf_type,
            psf_sigma_nm=sigma_nm,
            pixel_size_nm=pixel_size_nm,
            interval_ms=interval_ms,
            camera=camera,
            offset_adu=baseline,
            read_noise_e=read_noise_std,
        )
    except SimulationError as error:  # nothing was written yet: the options are wrong
        _fail(str(error), 2)
    with Progress(console=out) as bar:
        task = bar.add_task("simulate", total=None)
        samples = write_dataset(
            output,
            num_samples,
            settings,
            seed,
            lambda done, total: bar.update(task, completed=done, total=total),
            compress=compress,
        )
    out.print(f"{len(samples)} movies of {frames_per_sample} frames and card.png in {output}", soft_wrap=True)


@app.command()
def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for checkpoints and logs")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML that describes the training")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="fine-tune from this best_model.pth")] = None,
    num_iterations: Annotated[int | None, typer.Option(help="optimizer steps in all")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="highest learning rate")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="override any value, e.g. data.batch_size=16; repeatable"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the training in --output")] = False,
    overfit: Annotated[
        bool, typer.Option("--overfit", help="first check: learn one batch by heart, in --output/overfit")
    ] = False,
    gpu: Annotated[int | None, typer.Option(help="number of the GPU")] = None,
) -> None:
    """Train a network on scenes that are simulated on the way.

    Example: `piezo1 train --config configs/train_localization.yaml --output checkpoints/localization`
    """
    from train.fit import CONFIG, fit
    from train.fit_load import load_fit_config
    from train.overfit import OVERFIT, overfit_config, run_overfit

    if overfit and (resume or checkpoint):
        _fail("--overfit starts afresh: leave --resume and --checkpoint out", 2)
    if resume and config is None and (output / CONFIG).exists():
        config = output / CONFIG
    options = {"training.num_iterations": num_iterations, "training.learning_rate": learning_rate}
    settings = load_fit_config(config, sets or (), options)
    if overfit:
        settings = overfit_config(settings, num_iterations, learning_rate)
        outcome = run_overfit(settings, output / OVERFIT, out, gpu=gpu)
    else:
        outcome = fit(settings, output, out, checkpoint=checkpoint, resume=resume, gpu=gpu)
    out.print(f"best after {outcome.best_step} steps: {outcome.figures}", soft_wrap=True)
    out.print(f"checkpoint: {outcome.best}", soft_wrap=True)


@app.command()
def export(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="best_model.pth of a training; of several: an ensemble")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="ONNX file; its card lies beside it")],
    threshold: Annotated[
        float | None,
        typer.Option(min=0.02, max=0.99, help="detection threshold; left out: the best on validation scenes"),
    ] = None,
    precision: Annotated[Precision, typer.Option(help="of the network; fp16 for TensorRT")] = "fp32",
) -> None:
    """Turn a trained network into the model that replay and live use, without torch.

    Example: `piezo1 export checkpoints/hybrid/best_model.pth -o model.onnx`
    """
    from train.release import release

    card = release(checkpoints, output, threshold, precision)
    out.print(f"{output}: threshold {card.threshold:g}, {card.metrics}", markup=False, soft_wrap=True)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="run folder")],
    truth: Annotated[Path, typer.Option(help="folder of the simulated sample (ground_truth.csv, …)")],
    json: Json = None,
) -> None:
    """Judge a run against the truth of the movie it replayed.

    Example: `piezo1 evaluate runs/2026-11-22T14-03-05_movie --truth data/test/sample_00000`
    """
    from bench.outputs import write_json
    from dashboard.demo import evaluate_run

    evaluation = evaluate_run(run, truth)
    for line in evaluation.summary():
        out.print(line, soft_wrap=True)
    write_json(json, evaluation.as_dict())


@app.command()
def refine(
    run: Annotated[Path, typer.Argument(help="run folder, finished")],
    source: Annotated[
        Literal["tracks", "puncta"],
        typer.Option("--from", help="join the online tracks, or link all puncta again (TrackMate's way)"),
    ] = "tracks",
    linking_distance_nm: Annotated[
        float | None, typer.Option(help="longest link to the next frame; only with --from puncta")
    ] = None,
    gap_closing_distance_nm: Annotated[float | None, typer.Option(help="longest distance over a gap")] = None,
    max_frame_gap: Annotated[
        int | None, typer.Option(help="frames from before a gap to after it; 2 bridges one missing frame")
    ] = None,
    splitting_distance_nm: Annotated[
        float | None, typer.Option(help="longest distance at a split; left out: none are sought")
    ] = None,
    merging_distance_nm: Annotated[
        float | None, typer.Option(help="longest distance at a merge; left out: none are sought")
    ] = None,
    brightness_penalty: Annotated[
        float | None, typer.Option(help="TrackMate's feature penalty on mean intensity; 0: distances alone")
    ] = None,
    trackmate_costs: Annotated[
        bool, typer.Option("--trackmate-costs", help="cost of not joining as in TrackMate")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace an earlier refinement of this run")
    ] = False,
) -> None:
    """Close gaps, find splits and merges with the whole run in view (laptrack), into RUN/refined.

    Distances that are not given follow from the run's diffusion coefficients and frame interval.
    Example: `piezo1 refine runs/2026-11-22T14-03-05_movie`
    """
    from stream.refine.options import RefineOptions
    from stream.refine.refine import refine as refine_run

    options = RefineOptions(
        source=source,
        linking_distance_nm=linking_distance_nm,
        gap_closing_distance_nm=gap_closing_distance_nm,
        max_frame_gap=max_frame_gap,
        splitting_distance_nm=splitting_distance_nm,
        merging_distance_nm=merging_distance_nm,
        brightness_penalty=brightness_penalty,
        trackmate_costs=trackmate_costs,
    )
    with out.status("refine") as status:
        refined = refine_run(
            run, options, overwrite=overwrite, report=lambda step: status.update(f"refine: {step}")
        )
    out.print(refined.summary(), soft_wrap=True)


@app.command()
def cooccurrence(
    run: Annotated[Path, typer.Argument(help="run folder, finished")],
    radius_nm: Annotated[float, typer.Option(min=1, max=2000, help="how near is at a punctum, nm")] = 250.0,
    shifts: Annotated[int, typer.Option(min=1, help="random shifts of each kind")] = 999,
    seed: Annotated[int, typer.Option(min=0, help="same seed, same shifts")] = 0,
) -> None:
    """Test whether calcium rises at puncta more often than by chance, into RUN/cooccurrence.json.

    Example: `piezo1 cooccurrence runs/2026-11-22T14-03-05_movie`
    """
    from stream.cooccurrence.run import COOCCURRENCE_JSON, cooccurrence_of_run

    with out.status("shift transients in space and in time"):
        result = cooccurrence_of_run(run, radius_nm=radius_nm, n_shifts=shifts, seed=seed)
    for line in result.summary():
        out.print(line, soft_wrap=True)
    out.print(f"written: {run / COOCCURRENCE_JSON}", soft_wrap=True)


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="folder for the two files; made if it is missing")],
    name: Annotated[str, typer.Option(help="name of this computer and its files")] = node() or "computer",
) -> None:
    """Make this computer's keys for a run on two computers; run it once on each of them.

    Example: `piezo1 keys keys --name microscope`
    """
    from stream.transport.keys import make_keys

    secret, public = make_keys(folder, name)
    lines = (
        f"{secret}: this computer's secret, which stays here",
        f"{public}: copy it into the folder of keys on the other computer",
        f"copy the *.public file that is made there into {folder}, and set network.keys to {folder}",
    )
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


@app.command()
def recover(run: Annotated[Path, typer.Argument(help="run folder")]) -> None:
    """Finish a run that was killed: fold its journal into readable tables.

    Example: `piezo1 recover runs/2026-11-22T14-03-05_movie`
    """
    from stream.record.complete import recover as recover_run

    out.print(recover_run(run).message)


@app.command()
def doctor(
    engine: Annotated[bool, typer.Option("--engine", help="also build every engine and time it")] = False,
    side: Annotated[int, typer.Option(min=16, help="side of the frames for --engine, pixels")] = 256,
) -> None:
    """Say what this machine has and which engine would be chosen.

    Example: `piezo1 doctor --engine --side 512` before a session at the microscope: engines are then ready
    """
    from dashboard.doctor import examine

    for subject, finding in examine():
        out.print(f"[bold]{subject:14}[/] {escape(finding)}", soft_wrap=True)
    if engine:
        from bench.engine import run
        from model.engines.names import AUTO

        run(None, None, out, backends=AUTO, sides=(side,), seconds=1.0, compare=False)


def main() -> NoReturn:
    """Run the command line; a user's mistake gives a sentence, not a traceback."""
    try:
        app()
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        _fail(f"this needs {package}: pip install -c constraints.txt -e '.[{EXTRAS[package]}]'", 1)
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        _fail(str(error), code)
    raise SystemExit(0)


def _exit_code(error: Exception) -> int | None:
    """Exit code of an expected error, None for a bug."""
    from acquire.frame import SourceError
    from bench.outputs import OutputError, UsageError
    from model.engines.base import ModelError
    from stream.config import ConfigError
    from stream.results import StreamError
    from train.errors import CheckpointError, FitConfigError, TrainingError
    from train.simulation_config import SimulationError

    if isinstance(error, ConfigError | FitConfigError | UsageError):
        return 2
    of_a_training = SimulationError | CheckpointError | TrainingError
    failures = SourceError | ModelError | StreamError | OutputError | of_a_training
    return 1 if isinstance(error, failures) else None


def _fail(problem: str, code: int) -> NoReturn:
    err.print(f"[bold red]error:[/] {escape(problem)}", soft_wrap=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
