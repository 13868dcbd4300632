"""What dashboards are told of a run once: `wire.Session`."""

import platform
from collections.abc import Sequence
from pathlib import Path

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.conditions import Conditions
from stream.config import RunConfig
from stream.wire.desk import Kind, Row

SIMULATED = ("metadata.json", "ground_truth.csv")  # what the simulator writes beside its movies
DEMO = "demo"  # Micro-Manager's demo cameras, as `microscope.camera` and as the name of their source


def session_of(
    config: RunConfig,
    info: SourceInfo,
    conditions: Conditions,
    first: Frame,
    folder: Path,
    engine: str,
    notes: Sequence[str],
) -> wire.Session:
    """Describe a run for dashboards.

    Parameters
    ----------
    config, info, conditions
        The run, its source and its scales.
    first
        Its first frame.
    folder
        Run folder.
    engine
        `Engine.description`.
    notes
        What was assumed, a sentence each.
    """
    transform = None
    if conditions.registration is not None:
        x, y = conditions.registration.transform.tolist()
        transform = (_row(x), _row(y))
    saved = config.microscope.save if config.source.kind == "microscope" else None
    return wire.Session(
        name=text(info.name),
        description=text(info.description),
        kind=kind_of(config, info, first),
        folder=text(str(folder.resolve())),
        host=text(platform.node()),
        shape=info.shape,
        n_frames=info.n_frames,
        interval_s=conditions.interval_s,
        pixel_size_nm=conditions.pixel_size_nm,
        bit_depth=info.bit_depth,
        delivery=config.source.delivery,
        has_calcium=info.shape[0] == 2 and config.calcium.enabled,
        transform=transform,
        engine=text(engine),
        saves_raw=text(str(saved)) if saved is not None else "",
        notes=[text(note) for note in notes],
    )


def kind_of(config: RunConfig, info: SourceInfo, first: Frame) -> Kind:
    """Whether a microscope, a recording or simulated frames are analysed.

    Frames know when they arrived where they are imaged right now; that tells of a source on another computer
    too, whose configuration is not known here.
    """
    if first.arrived_ns is not None or config.source.kind == "microscope":
        camera = info.name if config.network.role == "analysis" else config.microscope.camera
        return "simulation" if camera == DEMO else "live"
    path = config.source.path
    if path is not None:
        beside = path if path.is_dir() else path.parent
        if all((beside / name).is_file() for name in SIMULATED):
            return "simulation"
    return "replay"


def text(what: str) -> str:
    """As much of a text as may travel; names of files may hold bytes that are no characters."""
    return what.encode("utf-8", "replace").decode("utf-8")[: wire.MAX_TEXT]


def _row(values: list[float]) -> Row:
    a, b, c = values
    return a, b, c
