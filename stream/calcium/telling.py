"""What an event was like, told at its end from its course."""

import math
from dataclasses import dataclass

import numpy as np

from stream.calcium.cloud import SIGMA, X, Y
from stream.calcium.origin import template_gain
from stream.calcium.traces import Records
from stream.calcium.transient import fit_transient
from stream.results import CalciumEvent

MIN_FRAMES = 2  # shorter events are noise
END_SHARE = 0.1  # of the peak: where an event ends
RISE_10_90 = 0.8  # of a linear rise lies between 10 and 90 %
# Frame by frame, a trace differs from any smooth shape by this share of its height: what is small beside an
# event (the tail of another one before it) does not move its onset.
SHAPE_ERROR = 0.1
ONSET_BEFORE, ONSET_AFTER = 10, 2  # frames around the opening in which the onset may lie
ODDS_FRAMES = 5  # from the onset, in which the network is asked
# Posterior probability that an event is real, a logistic function of the network's mean log odds, or of
# ln(snr) where there is no network (intercept, slope). Fitted on development movies.
NETWORK_ODDS = {"cytosolic": (2.1, 0.81), "tethered": (2.8, 1.45)}
TRACE_ODDS = {"cytosolic": (-4.8, 3.0), "tethered": (-4.8, 3.0)}
SURE = 0.5  # probability above which an event is told


@dataclass(frozen=True, slots=True)
class Told:
    """An event, whether its track is confirmed already, and where its calcium came from (pixels)."""

    event: CalciumEvent
    sure: bool
    centre_x: float
    centre_y: float


def tell(course: Records, state: np.void, indicator: str, template_px: float | None) -> Told | None:
    """The event of a trace with the moments `course` (n,); None if it is none.

    Parameters
    ----------
    indicator
        cytosolic or tethered.
    template_px
        σ of the spot that the heights were measured with, where the cloud may be of another width.
    """
    if len(course) < MIN_FRAMES or state["void"] or not state["centred"]:
        return None
    frame = course["seq"].astype(np.float64)
    height = course["dff"].astype(np.float64)
    sd = np.hypot(course["sd"].astype(np.float64), SHAPE_ERROR * max(float(state["top"]), 0.0))
    opened = int(state["opened"])
    first = course["seq"][min(max(opened - ONSET_BEFORE, 0), len(course) - 1)]
    last = course["seq"][min(opened + ONSET_AFTER, len(course) - 1)]
    shape = fit_transient(frame, height, sd, int(first), int(last))
    if shape.onset <= frame[0] and shape.rise_frames <= 1:
        return None  # it was there before anybody looked
    peak = min(shape.onset + shape.rise_frames - 1, frame[-1])
    lasting = shape.plateau_frames + math.floor(shape.decay_frames * math.log(1 / END_SHARE))
    end = min(peak + lasting, frame[-1])
    if end - shape.onset + 1 < MIN_FRAMES or shape.amplitude <= 0:
        return None
    log_odds = _log_odds(course, shape.onset, shape.snr, indicator)
    if log_odds < math.log(SURE / (1 - SURE)):
        return None
    at_peak = course[np.argmin(np.abs(frame - peak))]
    cloud = state["cloud"]
    gain = 1.0
    if template_px is not None:
        gain = template_gain(float(cloud[SIGMA]), math.hypot(cloud[X], cloud[Y]), template_px)
    onset_s, peak_s, end_s = np.interp([shape.onset, peak, end], frame, course["time_s"]).tolist()
    # A pause within the event (the camera stalled) does not stretch its shape.
    frame_s = float(np.median(np.diff(course["time_s"]) / np.diff(frame)))
    during = (frame >= shape.onset) & (frame <= end)
    # Frames that are missing or dark are filled in from the shape.
    area = float(shape.heights(np.arange(int(shape.onset), int(end) + 1.0)).sum())
    area += float((height[during] - shape.heights(frame[during])).sum())
    until_peak = (frame >= shape.onset) & (frame <= peak)
    track_id, sure = owner_of(state, shape.onset)
    return Told(
        CalciumEvent(
            event_id=-1,
            track_id=track_id,
            onset_frame=int(shape.onset),
            peak_frame=int(peak),
            end_frame=int(end),
            onset_s=onset_s,
            peak_s=peak_s,
            end_s=end_s,
            amplitude_dff=shape.amplitude / gain,
            rise_s=RISE_10_90 * shape.rise_frames * frame_s,
            decay_s=shape.decay_frames * frame_s,
            area_dff_s=area * frame_s / gain,
            snr=shape.snr,
            calcium_probability=1 / (1 + math.exp(-log_odds)),
            in_wave=bool(course["in_wave"][until_peak].any()),
            x_px=float(at_peak["x"]),
            y_px=float(at_peak["y"]),
        ),
        sure,
        float(at_peak["x"] + cloud[X]),
        float(at_peak["y"] + cloud[Y]),
    )


def owner_of(state: np.void, onset: float) -> tuple[int, bool]:
    """The track whose event with this onset it is, and whether that one is confirmed.

    An event that another track has left is that one's, unless it began when the punctum was not seen there
    any more: then it is the heir's.
    """
    if state["owner"] != state["id"] and onset <= state["owner_seen"]:
        return int(state["owner"]), True
    return int(state["id"]), bool(state["confirmed"])


def _log_odds(course: Records, onset: float, snr: float, indicator: str) -> float:
    asked = course["log_odds"][(course["seq"] >= onset) & (course["seq"] < onset + ODDS_FRAMES)]
    asked = asked[np.isfinite(asked)]
    if len(asked):
        intercept, slope = NETWORK_ODDS[indicator]
        return intercept + slope * float(asked.mean())
    intercept, slope = TRACE_ODDS[indicator]
    return intercept + slope * math.log(max(snr, 1e-9))
