"""The command line of the benchmarks, `piezo1 bench`; each command imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from bench.outputs import wide_console, writable
from model.engines.names import BackendName

app = typer.Typer(no_args_is_help=True, help="Measure what the documentation promises.")
out = wide_console()

Json = Annotated[
    Path | None,
    typer.Option("--json", callback=writable(".json"), help="also write the figures to this file"),
]
Figure = Annotated[
    Path | None,
    typer.Option(callback=writable(".png", ".svg"), help="also draw the figure here, .png or .svg"),
]
Model = Annotated[Path | None, typer.Option(help="another network's .onnx than the shipped one")]


@app.command()
def pipeline(json: Json = None) -> None:
    """Frames/s end to end at 256 × 256 with 100 puncta, and the share of each stage."""
    from bench.pipeline import run

    run(json, out)


@app.command()
def step(json: Json = None) -> None:
    """CPU time a frame of tracker and calcium stage at 256 × 256 with 200 puncta, on one core."""
    from bench.step import run

    run(json, out)


@app.command()
def transport(json: Json = None) -> None:
    """Lossless with a slow consumer, live with one too slow for the camera."""
    from bench.transport import run

    run(json, out)


@app.command()
def live(
    json: Json = None,
    frames: Annotated[int, typer.Option(min=50, help="frames of each run")] = 600,
    backend: Annotated[
        list[str] | None, typer.Option(help="python or sequence; repeatable; left out: both")
    ] = None,
) -> None:
    """Two demo cameras: cost of the hook, latency from camera to result and to action, losses."""
    from bench.live import run

    run(json, out, frames, tuple(backend or ()))


@app.command()
def dashboard(
    json: Json = None,
    rounds: Annotated[int, typer.Option(min=1, help="how often it is opened and closed")] = 4,
) -> None:
    """The dashboard at 2 × 512² and 100 frames/s: CPU time a redraw, and what the run notices of it."""
    from bench.dashboard import run

    run(json, out, rounds)


@app.command(name="dashboard-endurance")
def dashboard_endurance(
    json: Json = None,
    results: Annotated[int, typer.Option(min=40_000, help="results that are watched")] = 100_000,
) -> None:
    """Memory of the dashboard's window over many results, fed as fast as it takes them."""
    from bench.dashboard_endurance import run

    run(json, out, results)


@app.command()
def pictures(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for them")] = Path("docs/pictures"),
) -> None:
    """Draw the README's pictures of the dashboard from real runs (needs the extras live and dashboard)."""
    from bench.pictures import run

    run(output, out)


@app.command()
def memory(json: Json = None) -> None:
    """Peak memory for 500 frames, 5,000 frames and a 4 GB BigTIFF (needs 5 GB of disk)."""
    from bench.memory import run

    run(json, out)


@app.command()
def recovery(
    json: Json = None, kills: Annotated[int, typer.Option(min=1, help="how often to kill")] = 20
) -> None:
    """Kill the analysis at random moments and recover the runs."""
    from bench.recovery import run

    run(json, out, kills)


@app.command()
def calcium(
    json: Json = None,
    movies: Annotated[int, typer.Option(min=1, help="movies of each condition")] = 6,
    model: Model = None,
) -> None:
    """Calcium at puncta, per frame and event by event: network, calcium stage, and the 5 × 5 pixel rule."""
    from bench.calcium import run

    run(json, out, movies, model)


@app.command(name="calcium-field")
def calcium_field(
    json: Json = None,
    movies: Annotated[int, typer.Option(min=1, help="movies of each condition")] = 6,
) -> None:
    """Calcium transients anywhere in the field, and waves, against the simulator's truth; CPU time."""
    from bench.calcium_field import run

    run(json, out, movies)


@app.command()
def diffusion(
    json: Json = None,
    tracks: Annotated[int, typer.Option(min=20, help="tracks of each kind")] = 1000,
) -> None:
    """Diffusion coefficients, mobility classes and confinement of simulated tracks against the truth."""
    from bench.diffusion import run

    run(json, out, tracks)


@app.command()
def tracking(
    json: Json = None,
    peers_python: Annotated[Path | None, typer.Option(help="a Python that can import btrack")] = None,
    case: Annotated[list[str] | None, typer.Option(help="part of a case's name; repeatable")] = None,
    movies: Annotated[
        int | None, typer.Option(min=1, help="movies of each case, instead of 1 to 12 by their size")
    ] = None,
) -> None:
    """The online tracker against trackpy, laptrack and btrack on the same simulated localizations.

    btrack pins another pydantic: `python3 -m venv peers && peers/bin/pip install btrack==0.6.5`, then give
    `--peers-python peers/bin/python`. Example: `piezo1 bench tracking --case "200 puncta" --movies 1`
    """
    from bench.tracking import run

    run(json, out, peers_python, case or (), movies)


@app.command(name="tracking-robustness")
def tracking_robustness(
    json: Json = None,
    frames: Annotated[int, typer.Option(min=2000, help="length of the endurance run")] = 100_000,
) -> None:
    """What lost frames, a jumping stage, nothing to see and far too much do to the tracker; its memory."""
    from bench.tracking_robustness import run

    run(json, out, frames)


@app.command(name="real-tracks")
def real_tracks(
    localizations: Annotated[Path, typer.Argument(help="ThunderSTORM table (.csv) of one recording")],
    json: Json = None,
    pixel_nm: Annotated[float, typer.Option(min=1, help="pixel size in the sample, nm")] = 108.0,
    interval_s: Annotated[
        list[float] | None, typer.Option(min=1e-4, help="frame interval to assume, s; repeatable")
    ] = None,
) -> None:
    """Tracks, diffusion and mobile fraction in a recording's localizations, for assumed frame intervals.

    Example: `piezo1 bench real-tracks locs.csv --interval-s 0.1`
    """
    from bench.real_tracks import INTERVALS_S, run

    run(localizations, json, out, pixel_nm, interval_s or INTERVALS_S)


@app.command()
def gating(
    json: Json = None,
    movies: Annotated[bool, typer.Option(help="also on movies, through the network")] = True,
    spots: Annotated[int, typer.Option(min=1, help="spots of each condition's traces")] = 100,
) -> None:
    """Open or closed per frame with a tethered indicator that blinks, against half-amplitude thresholds."""
    from bench.gating import run

    run(json, out, movies=movies, spots=spots)


@app.command()
def localization(
    json: Json = None,
    figure: Figure = None,
    movies: Annotated[int, typer.Option(min=1, help="movies of each condition")] = 20,
    frames: Annotated[int, typer.Option(min=1, help="consecutive frames of each movie")] = 5,
    peers_python: Annotated[
        Path | None, typer.Option(help="a Python that can import picasso and smappy")
    ] = None,
    model: Model = None,
    condition: Annotated[
        list[str] | None, typer.Option(help="part of a condition's name; repeatable")
    ] = None,
    backend: Annotated[BackendName, typer.Option(help="library that runs the network")] = "onnxruntime",
) -> None:
    """Accuracy, calibration and speed against the peers on the same frames in the same run.

    Picasso and SMAPpy pin other versions: `python3 -m venv peers && peers/bin/pip install picassosr
    smappy-smlm`, then give `--peers-python peers/bin/python`.
    """
    from bench.localization import run

    run(json, figure, movies, frames, peers_python, model, condition or (), backend=backend)


@app.command()
def engine(
    json: Json = None,
    figure: Figure = None,
    model: Model = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="tensorrt, torch_cuda, openvino, onnxruntime, torch; repeatable")
    ] = None,
    side: Annotated[
        list[int] | None, typer.Option(min=16, help="side of the frames in pixels; repeatable")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="time for each figure")] = 3.0,
    report: Annotated[
        Path | None,
        typer.Option(callback=writable(".md"), help="write a report, its .json and .png beside it"),
    ] = None,
) -> None:
    """Frames/s, latency and memory of each engine, and whether it answers as PyTorch does.

    Example: `piezo1 bench engine --backend onnxruntime --side 256`
    """
    from bench.engine import SIDES, run

    if report is None:
        run(json, figure, out, model, backend or (), side or SIDES, seconds)
        return
    from bench.engine_report import processor, write_report
    from bench.outputs import UsageError
    from model.card import SHIPPED_MODEL

    if json or figure:
        raise UsageError("--report writes its own .json and .png beside it: leave --json and --figure out")
    paths = report.with_suffix(".json"), report.with_suffix(".png")
    figures = run(*paths, out, model, backend or (), side or SIDES, seconds)
    on_gpu = {"tensorrt", "torch_cuda"} & {t["backend"] for t in figures["timings"] if not t["problem"]}
    remarks = [] if on_gpu else ["No GPU has been measured: `piezo1 bench gpu` does, and reports it."]
    write_report(report, "Performance", processor(), figures, remarks, model or SHIPPED_MODEL)


@app.command()
def gpu(
    report: Annotated[
        Path, typer.Option(callback=writable(".md"), help="where the report goes, beside its .json and .png")
    ] = Path("docs/performance.md"),
    seconds: Annotated[float, typer.Option(min=0.1, help="time for each figure")] = 3.0,
) -> None:
    """Everything that needs a GPU, and a report of it."""
    from bench.gpu import run

    run(report, out, seconds)


@app.command()
def frames(
    data: Annotated[
        Path, typer.Option(help="folder with thunderstorm_tubulins1_00020.tif and .csv, Beads-AS-Exp.tif")
    ] = Path("../shared/data/smlm_real"),
    json: Json = None,
    figure: Figure = None,
    model: Model = None,
) -> None:
    """What the network and the wavelet engine find in frames of others' simulators.

    Example: `piezo1 bench frames --data ../shared/data/smlm_real --figure frames.png`
    """
    from bench.foreign_frames import run

    run(data, out, json, figure, model)
