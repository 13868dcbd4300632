"""Compiles the stages' kernels before the first frame: once on a machine that takes half a minute."""

import numpy as np

from model.localizations import Localizations
from stream.calcium.detector import CalciumDetector
from stream.config import RunConfig
from stream.tracking.tracker import Tracker

N_FRAMES, SIDE = 40, 48
EVENT = range(25, 30)  # frames in which calcium is up, so that what tells events is compiled too
REST, RISE = 50.0, 100.0


def warm_up_stages(config: RunConfig, has_calcium: bool) -> None:
    """Take a few made-up frames through tracker and calcium stage as they are configured."""
    rng = np.random.default_rng(0)
    tracker = Tracker(config.tracker, 100.0, 0.05)
    stage = CalciumDetector(config.calcium) if has_calcium else None
    x, y = np.array([12.0, 30.0, 30.0]), np.array([12.0, 12.0, 30.0])
    r, c = np.mgrid[:SIDE, :SIDE]
    cloud = np.exp(-((c - x[0]) ** 2 + (r - y[0]) ** 2) / 8)
    for seq in range(N_FRAMES):
        n = 2 if seq == 10 else 3  # one is missed once
        sd, light = np.full(n, 0.1), np.full(n, 1000.0)
        found = Localizations.from_columns(
            x_px=x[:n] + rng.normal(0, 0.1, n),
            y_px=y[:n],
            x_sd_px=sd,
            y_sd_px=sd,
            photons=light,
            background=sd,
            psf_sigma_px=np.full(n, 1.4),
        )
        tracks = tracker.step(seq, 0.05 * seq, found)
        if stage is not None:
            image = rng.poisson(REST + RISE * cloud * (seq in EVENT)).astype(np.float32)
            stage.step(seq, 0.05 * seq, image, found, tracks)
    if stage is not None:
        stage.flush()
        stage.flush_field()
