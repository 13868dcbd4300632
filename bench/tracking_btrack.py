"""Runs btrack in an environment of its own: ``python tracking_btrack.py request.npz answer.npz``.

Imports nothing of this project, because btrack needs another version of pydantic. A request holds `frame`,
`x_nm`, `y_nm` of the localizations in the order of frames (N,), one pixel being 1 nm, and the fields of
`bench.tracking_peers.BtrackSetting`; the answer holds `track_id` (N,), −1 for none, and `seconds`, the CPU
and the wall time.
"""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import btrack  # type: ignore[import-not-found]  # lives in the other environment
import numpy as np

MEASUREMENT_SD_PX = 0.3


def track(frame: Any, x: Any, y: Any, setting: Mapping[str, float]) -> Any:
    """Tracks of the localizations: for each its track."""
    axes = np.eye(3)
    motion = btrack.models.MotionModel(
        measurements=3,
        states=3,
        A=axes,
        H=axes,
        P=axes * setting["step_variance"],
        Q=axes * setting["step_variance"],
        R=axes * MEASUREMENT_SD_PX**2,
        accuracy=setting["accuracy"],
        max_lost=int(setting["max_lost"]),
        prob_not_assign=setting["not_assigned"],
    )
    joining = btrack.models.HypothesisModel(
        hypotheses=["P_FP", "P_init", "P_term", "P_link"],
        lambda_time=5.0,
        lambda_dist=3.0,
        lambda_link=3.0,
        lambda_branch=50.0,
        eta=1e-10,
        theta_dist=20.0,
        theta_time=5.0,
        dist_thresh=setting["join_px"],
        time_thresh=11.0,
        apop_thresh=5,
        segmentation_miss_rate=0.1,
        apoptosis_rate=0.001,
        relax=True,
    )
    objects = [
        btrack.btypes.PyTrackObject.from_dict({"ID": i, "t": int(f), "x": float(a), "y": float(b), "z": 0.0})
        for i, (f, a, b) in enumerate(zip(frame, x, y, strict=True))
    ]
    track_id = np.full(len(x), -1, np.int64)
    with btrack.BayesianTracker(verbose=False) as tracker:
        tracker.configure(
            btrack.config.TrackerConfig(motion_model=motion, max_search_radius=setting["search_px"])
        )
        tracker.volume = ((x.min(), x.max()), (y.min(), y.max()), (-1e5, 1e5))
        tracker.append(objects)
        tracker.track(step_size=100)
        tracker.hypothesis_model = joining
        tracker.optimise()
        for k, references in enumerate(tracker.refs):
            rows = np.array(references)
            track_id[rows[rows >= 0]] = k  # negative ones are its guesses in gaps
    return track_id


def main(asked: str, answered: str) -> None:
    """Answer a request."""
    logging.disable(logging.CRITICAL)
    with np.load(asked) as request:
        frame, x, y = (request[name] for name in ("frame", "x_nm", "y_nm"))
        names = ("search_px", "step_variance", "accuracy", "not_assigned", "max_lost", "join_px")
        setting = {name: float(request[name]) for name in names}
    cpu, wall = time.process_time(), time.perf_counter()
    track_id = track(frame, x, y, setting)
    seconds = np.array([time.process_time() - cpu, time.perf_counter() - wall])
    np.savez(answered, track_id=track_id, seconds=seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
