"""Our engines in the localization benchmark, through the contract that the stream uses."""

import time
from functools import partial
from pathlib import Path

import numpy as np

from acquire.frame import Frame
from bench.conditions import SCMOS
from bench.methods import Answer, Cut, Method, Setting
from bench.scenes import Scene
from bench.scoring import N_COLUMNS
from model.engines.base import Engine, ModelError
from model.engines.names import BackendName
from model.engines.wavelet import WaveletEngine
from model.localizations import Localizations
from model.optics import Array

WAVELET, WAVELET_TUNED = "wavelet, one threshold", "wavelet, tuned"
NETWORK, NETWORK_SINGLE = "network, one threshold", "network, single frames"

# In single precision and part of every installation, so that everybody gets the same figures.
PLAIN_BACKEND: BackendName = "onnxruntime"
WAVELET_THRESHOLD = 1.0
WAVELET_THRESHOLDS = (0.7, 0.85, 1.0, 1.2, 1.5, 2.0)


def wavelet_methods() -> list[Method]:
    """The wavelet engine with its one default threshold, and tuned as the peers are."""
    return [
        Method(WAVELET, ("threshold",), ((WAVELET_THRESHOLD,),), _locate_wavelet, is_tuned=False),
        Method(WAVELET_TUNED, ("threshold",), tuple((t,) for t in WAVELET_THRESHOLDS), _locate_wavelet),
    ]


def network_methods(model: Path | None, backend: BackendName = PLAIN_BACKEND) -> list[Method]:
    """The network with its one threshold, seeing whole movies or each frame alone.

    Parameters
    ----------
    model
        Its file; None: the one that is shipped.
    backend
        Library that runs it.

    Raises
    ------
    ModelError
        If it cannot be loaded.
    """
    from model.engines.network import NetworkEngine  # not needed for the other methods

    def locate(single: bool, scene: Scene, setting: Setting, cut: Cut) -> Answer:
        engine = NetworkEngine(scene.camera, scene.sigma_px, model=model, backend=backend)
        return run_engine(engine, scene, single)

    NetworkEngine(SCMOS, 1.2, model=model, backend=backend)
    return [
        Method(name, (), ((),), partial(locate, single), is_tuned=False)
        for name, single in ((NETWORK, False), (NETWORK_SINGLE, True))
    ]


def run_engine(engine: Engine, scene: Scene, single: bool = False) -> Answer:
    """Show a scene to an engine movie by movie, or frame by frame; movies never mix.

    Raises
    ------
    ModelError
        If it did not answer every frame exactly once.
    """
    results: list[tuple[int, Localizations]] = []
    start = time.process_time()
    for k, counts in enumerate(scene.counts):
        if k and (single or scene.movie[k] != scene.movie[k - 1]):
            results += engine.flush()  # it is then as new
        results += engine.step(Frame(k, 0.0, counts[None]))
    results += engine.flush()
    seconds = time.process_time() - start
    if sorted(seq for seq, _ in results) != list(range(len(scene.counts))):
        raise ModelError(f"{engine.description} did not answer each of {len(scene.counts)} frames once")
    return Answer(np.concatenate([np.empty((0, N_COLUMNS)), *(_table(*r) for r in results)]), seconds)


def _table(seq: int, found: Localizations) -> Array:
    """Rows of an answer; all are equally strong, as a threshold has sifted them already."""
    frame, strength = np.full(len(found), seq), np.zeros(len(found))
    columns = (frame, found.x_px, found.y_px, strength, found.photons, found.x_sd_px, found.y_sd_px)
    return np.stack(columns, axis=1).astype(np.float64)


def _locate_wavelet(scene: Scene, setting: Setting, cut: Cut) -> Answer:
    return run_engine(WaveletEngine(scene.camera, scene.sigma_px, setting[0]), scene)
