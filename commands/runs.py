"""Commands that run the stream, and the one that watches it: demo, replay, live, dashboard."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.shared import Config, Sets, fail, out

WithDashboard = Annotated[bool, typer.Option("--dashboard", help="open the dashboard beside it")]


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for run and picture")] = Path("runs"),
    with_dashboard: WithDashboard = False,
) -> None:
    """Replay a small simulated movie through the live stream, and judge the result against the truth.

    Needs no GPU, no microscope and no data. Example: `piezo1 demo`, or to watch it `piezo1 demo --dashboard`
    """
    from dashboard.demo import run_demo

    run_demo(output, out, with_dashboard=with_dashboard)


def dashboard(
    connect: Annotated[
        str | None,
        typer.Option(help="address of a run, e.g. tcp://192.168.1.20:5610; left out: runs on this computer"),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="folder with this computer's keys, for a run on another one")
    ] = None,
) -> None:
    """Watch a run: images, tracks, calcium, delays and losses; it may be opened and closed at any time.

    Example: `piezo1 dashboard`; a run on another computer: `piezo1 dashboard --connect tcp://192.168.1.20:5610
    --keys keys/`
    """
    from dashboard.priority import step_back
    from dashboard.screen import check_window

    step_back()  # before Qt and all else is loaded, which takes a second of a core
    check_window()
    from dashboard.app import open_dashboard

    raise SystemExit(open_dashboard(connect, keys))


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
    with_dashboard: WithDashboard = False,
) -> None:
    """Replay a recording through the live stream into a run folder.

    Example: `piezo1 replay movie.tif --pixel-size-nm 108`
    Beside a running acquisition that saves NDTiff: `piezo1 replay data/cell_1 --follow`
    """
    from dashboard.launch import DashboardLauncher, check_watchable
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
    if with_dashboard:
        check_watchable(settings)
        if one_process:
            fail("a dashboard is a process of its own: leave --one-process or --dashboard out", 2)
    on_status = DashboardLauncher(bar.update).update if with_dashboard else bar.update
    supervisor = Supervisor(settings, transport="inproc" if one_process else None, on_status=on_status)
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
    with_dashboard: WithDashboard = False,
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
    settings = live_config(config, sets or (), given, demo=camera == "demo")
    outcome = run_live(settings, out, with_dashboard=with_dashboard)
    if outcome.problem:
        fail(outcome.problem, 1)
