"""Commands that get a microscope and its computers ready: register, keys, doctor."""

from pathlib import Path
from platform import node
from typing import Annotated, Literal

import typer
from rich.markup import escape

from commands.shared import Config, Sets, out


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
        "source.kind": "recording",  # the YAML may be that of live runs
        "source.follow": False,
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
    out.print(
        f"use it: `registration: {output}` under `channels:` in the YAML, or replay and live with "
        f"--set channels.registration={output}",
        soft_wrap=True,
    )


def keys(
    folder: Annotated[Path, typer.Argument(help="folder for the two files; made if it is missing")],
    name: Annotated[str, typer.Option(help="name of this computer and its files")] = node() or "computer",
) -> None:
    """Make this computer's keys, for a run on two computers or a dashboard on another one; once on each.

    Example: `piezo1 keys keys --name microscope`
    """
    from stream.transport.keys import make_keys

    secret, public = make_keys(folder, name)
    lines = (
        f"{secret}: this computer's secret, which stays here",
        f"{public}: copy it into the folder of keys on the other computer",
        f"copy the *.public file that is made there into {folder}",
        f"then name {folder}: network.keys for a run on two computers, dashboards.keys for a run that others "
        "watch, --keys for a dashboard",
    )
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


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
