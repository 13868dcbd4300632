"""A snapshot: what is seen as a picture, what was measured as a TIFF, and what it means as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from platform import node
from typing import Any

import numpy as np
import tifffile
from PySide6.QtGui import QImage

from dashboard.models.display import Display
from dashboard.models.scene import Marks, Scene
from stream import wire
from stream.results import StreamError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that goes into a snapshot.

    Attributes
    ----------
    image
        The window or the images as painted.
    scene, session, display
        What was drawn, of which run, and how.
    levels
        Counts shown black and white, by channel.
    thresholds
        Those in force, as the newest report has them.
    """

    image: QImage
    scene: Scene
    session: wire.Session
    display: Display
    levels: Sequence[tuple[float, float]]
    thresholds: dict[str, float]


def output_folder(session: wire.Session, kind: str) -> Path:
    """Where snapshots and exports of a run go: into its folder where that is on this computer, else here."""
    folder = Path(session.folder)
    if session.host == node() and folder.is_dir():
        return folder / kind
    return Path(kind) / (folder.name or session.name)


def save_snapshot(snapshot: Snapshot, folder: Path) -> Path:
    """Write NAME.png, NAME.tif and NAME.json; gives the PNG's path. Nothing is ever overwritten.

    The TIFF holds the raw counts (C, Y, X), readable by ImageJ with its pixel size; it is left out where the
    picture of the moment is not there any more.

    Raises
    ------
    StreamError
        If the folder cannot be written.
    """
    scene, session = snapshot.scene, snapshot.session
    stem = f"frame_{scene.seq:06d}_{datetime.now():%H%M%S}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = _free(folder, stem)
        if not snapshot.image.save(str(path)):
            raise OSError("the picture could not be written")
        if scene.picture is not None:
            um = session.pixel_size_nm / 1e3
            tifffile.imwrite(
                path.with_suffix(".tif"),
                scene.picture,
                imagej=True,
                resolution=(1 / um, 1 / um),
                metadata={"axes": "CYX", "unit": "um", "Labels": ["PIEZO1", "calcium"][: len(scene.picture)]},
            )
        text = json.dumps(_described(snapshot), indent=2, allow_nan=False)
        path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StreamError(f"cannot save a snapshot into {folder}: {error.strerror or error}") from error
    return path


def _free(folder: Path, stem: str) -> Path:
    """A name that is not taken; two may be made within a second."""
    path, n = folder / f"{stem}.png", 2
    while path.exists():
        path, n = folder / f"{stem}_{n}.png", n + 1
    return path


def _described(snapshot: Snapshot) -> dict[str, Any]:
    scene, session = snapshot.scene, snapshot.session
    return {
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "run": session.folder,
        "source": session.name,
        "kind": session.kind,
        "frame": scene.seq,
        "time_s": scene.time_s,
        "picture_frame": scene.picture_seq,
        "pixel_size_nm": session.pixel_size_nm,
        "interval_s": session.interval_s,
        "engine": session.engine,
        "thresholds": snapshot.thresholds,
        "levels": [list(pair) for pair in snapshot.levels],
        "selected_tracks": list(scene.selected),
        "display": snapshot.display.model_dump(mode="json"),
        "puncta": _rows(scene.marks),
    }


def _rows(marks: Marks) -> list[dict[str, Any]]:
    """One object a punctum; what was not measured is null."""
    names = [f.name for f in fields(Marks)]
    columns = (np.asarray(getattr(marks, name)).tolist() for name in names)
    return [
        {
            name: None if isinstance(v, float) and not np.isfinite(v) else v
            for name, v in zip(names, row, strict=True)
        }
        for row in zip(*columns, strict=True)
    ]
