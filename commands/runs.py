"""Commands that run the stream: demo, replay, live."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.shared import Config, Sets, fail, out


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for run and picture")] = Path("runs"),
) -> None:
    """Replay a small simulated movie through the live stream, and judge the result against the truth.

    Needs no GPU, no microscope and no data. Example: `piezo1 demo`
    """
    from dashboard.demo import run_demo

    run_demo(output, out)


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
        "source.kind": "recording",
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
        fail("no movie is given: name a file or folder, or set source.path", 2)
    path = settings.source.path
    if settings.source.follow and path is not None and not path.exists():
        out.print(f"waiting for {path} to appear (Ctrl-C ends it)", markup=False)
    bar = RunBar(out, "replay")
    supervisor = Supervisor(settings, transport="inproc" if one_process else None, on_status=bar.update)
    with bar:
        outcome = supervisor.run()
    report(out, outcome.folder, outcome.info, outcome.problem)
    if outcome.problem:
        fail(outcome.problem, 1)


def live(
    config: Config = None,
    sets: Sets = None,
    camera: Annotated[
        Literal["configured", "demo"], typer.Option(help="demo: Micro-Manager's demo cameras")
    ] = "configured",
    mode: Annotated[
        str | None, typer.Option(help="two-cameras, splitter, channels or single; see README")
    ] = None,
    exposure_ms: Annotated[float | None, typer.Option(help="exposure; left out: as set there")] = None,
    interval_ms: Annotated[float | None, typer.Option(help="from frame to frame, 0: full speed")] = None,
    pixel_size_nm: Annotated[
        float | None, typer.Option(help="pixel size in the sample, if Micro-Manager has no calibration")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="number of frames; left out: until Ctrl-C")] = None,
    save: Annotated[
        Path | None, typer.Option(help="folder for the raw images (NDTiff); left out: not saved")
    ] = None,
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
        "optics.pixel_size_nm": pixel_size_nm,
        "source.max_frames": frames,
        "engine.name": engine,
        "output.folder": output,
        "output.name": name,
    }
    given = {key: value for key, value in options.items() if value is not None}
    outcome = run_live(live_config(config, sets or (), given, demo=camera == "demo"), out)
    if outcome.problem:
        fail(outcome.problem, 1)
