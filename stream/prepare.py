"""What an analysis gets ready for its source: the engine, the stages, the recorder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquire.frame import Frame, SourceInfo
from model.camera import Camera
from model.engines.base import Engine
from stream import wire
from stream.analysis import Analysis
from stream.conditions import Conditions, oddities
from stream.config import EngineConfig, RunConfig
from stream.record.provenance import RunStart
from stream.record.recorder import Recorder
from stream.rules.watch import never_firing
from stream.warm_up import warm_up_stages
from stream.watch.session import session_of

MakeEngine = Callable[[EngineConfig, Camera, float, NDArray[np.float64] | None], Engine]
"""Makes an engine from its settings, the camera, the PSF's σ in pixels and the registration's transform."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a run needs from its first frame on, and `notes` for the user."""

    recorder: Recorder
    analysis: Analysis
    session: wire.Session
    notes: tuple[str, ...]


def ready_engine(
    config: RunConfig, info: SourceInfo, conditions: Conditions, make_engine: MakeEngine
) -> Engine:
    """An engine for the source's frames, before the first one tells what is assumed of the camera.

    Raises
    ------
    ConfigError, ModelError
        If the camera or the engine does not fit the frames.
    """
    nothing = np.zeros(info.shape[1:], np.uint16)
    camera, _ = config.camera.camera(nothing, info.bit_depth)
    registered = conditions.registration.transform if conditions.registration else None
    engine = make_engine(config.engine, camera, conditions.psf_sigma_px, registered)
    engine.prepare(*info.shape[1:])
    warm_up_stages(config, info.shape[0] == 2 and config.calcium.enabled)
    return engine


def prepare(
    config: RunConfig, info: SourceInfo, conditions: Conditions, engine: Engine, first: Frame, folder: Path
) -> Prepared:
    """Begin a run with its first frame.

    Raises
    ------
    StreamError
        If its folder cannot be written.
    """
    first_image = first.pixels[0]
    camera, assumed = config.camera.camera(first_image, info.bit_depth)
    if assumed:
        engine.use_camera(camera)
    assumptions = (
        *conditions.assumed,
        *assumed,
        *oddities(first_image, camera, info.bit_depth),
        *never_firing(config.rules, info.shape[0] == 2 and config.calcium.enabled),
    )
    notes = [*assumptions, f"engine: {engine.description}"]
    if conditions.registration is not None:
        notes.append(f"registration: {conditions.registration.summary()}")
    start = RunStart(
        config,
        info,
        engine.description,
        camera,
        conditions.pixel_size_nm,
        conditions.interval_s,
        assumptions,
        engine.window,
        conditions.registration,
    )
    return Prepared(
        Recorder(folder, start),
        Analysis(config, info, conditions, camera, engine),
        session_of(config, info, conditions, first, folder, engine.description, notes),
        tuple(notes),
    )
