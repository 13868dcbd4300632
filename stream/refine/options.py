"""What is refined, and how far apart things may be; what is not given follows from the run."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stream.config import ConfigError
from stream.record.run import Run
from stream.refine.joining import JoinOptions

Source = Literal["tracks", "puncta"]

# Standard deviations per axis that a punctum may move: a random walk goes further in e⁻⁸ = .03 % of steps.
REACH_SD = 4.0
MOBILE_PERCENTILE = 90  # of the tracks' diffusion coefficients: the mobile ones, even where they are few
MIN_TRACKS = 20  # fewer say little of the movie: then the expected coefficient counts
EXPECTED_UM2_S = 0.03  # of mobile PIEZO1, from the lab's manual
# Longest gap to close, as a multiple of the online tracker's, and weight of TrackMate's feature penalty on
# the mean intensity: the best in simulations of 50, 200 and 1000 puncta (seeds of our own). Brightness tells
# right joints of online tracks from wrong ones; in segments of a few puncta it is mostly noise.
GAP_FACTOR = {"tracks": 3.0, "puncta": 0.5}
BRIGHTNESS_PENALTY = {"tracks": 8.0, "puncta": 0.0}
DISTANCES = ("linking_distance_nm", "gap_closing_distance_nm", "splitting_distance_nm", "merging_distance_nm")


@dataclass(frozen=True, slots=True)
class RefineOptions:
    """Options of `piezo1 refine`, with TrackMate's names and meaning; None: derived from the run.

    Attributes
    ----------
    source
        "tracks": the online tracks are the segments; "puncta": all puncta are first linked from frame to
        frame.
    linking_distance_nm
        Longest link from a frame to the next ("puncta" only).
    gap_closing_distance_nm, max_frame_gap
        Longest distance over a gap, and frames from the last punctum before it to the first one after it
        (2 bridges one missing frame).
    splitting_distance_nm, merging_distance_nm
        Longest distance at a split and a merge; None: none are sought.
    brightness_penalty
        Weight of TrackMate's feature penalty on the mean intensity of segments; 0: distances alone.
    trackmate_costs
        Cost of not joining from the percentile of all candidates, as in TrackMate. Otherwise it is the
        squared gap-closing distance, and gaps between online tracks are closed only where that is more
        likely than chance.
    """

    source: Source = "tracks"
    linking_distance_nm: float | None = None
    gap_closing_distance_nm: float | None = None
    max_frame_gap: int | None = None
    splitting_distance_nm: float | None = None
    merging_distance_nm: float | None = None
    brightness_penalty: float | None = None
    trackmate_costs: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All options with their values.

    Attributes
    ----------
    linking_distance_nm
        Longest link of all puncta from a frame to the next; None: the online tracks are joined.
    join
        What may be joined, in nm.
    min_puncta
        Puncta that make a track.
    """

    linking_distance_nm: float | None
    join: JoinOptions
    min_puncta: int


def plan(options: RefineOptions, run: Run) -> Plan:
    """Fill in what is not given.

    A distance is `REACH_SD` standard deviations of what a mobile punctum moves in a frame interval, both
    localization errors included: 4 √(2 D Δt + 2 σ²).

    Raises
    ------
    ConfigError
        If an option makes no sense.
    """
    if options.source == "tracks" and options.linking_distance_nm is not None:
        raise ConfigError("a linking distance is of use only with --from puncta; leave it out")
    for name in DISTANCES:
        value = getattr(options, name)
        if value is not None and not 0 < value < np.inf:
            raise ConfigError(f"{name} is {value}, but must be a positive number of nm")
    if options.max_frame_gap is not None and options.max_frame_gap < 1:
        raise ConfigError(f"max_frame_gap is {options.max_frame_gap}, but must be 1 frame or more")
    penalty = options.brightness_penalty
    if penalty is None:
        penalty = BRIGHTNESS_PENALTY[options.source]
    if not 0 <= penalty < np.inf:
        raise ConfigError(f"brightness_penalty is {penalty}, but must be 0 or more")
    reach_nm = _reach_nm(run)
    tracker = run.info["configuration"]["tracker"]
    factor = GAP_FACTOR[options.source]
    gap_nm = options.gap_closing_distance_nm or reach_nm
    join = JoinOptions(
        gap_distance=gap_nm,
        max_frame_gap=options.max_frame_gap or max(2, round(factor * tracker["max_gap_frames"])),
        split_distance=options.splitting_distance_nm,
        merge_distance=options.merging_distance_nm,
        alternative_cost=None if options.trackmate_costs else gap_nm**2,
        brightness_penalty=penalty,
        beyond_chance=options.source == "tracks" and not options.trackmate_costs,
    )
    linking_nm = None if options.source == "tracks" else options.linking_distance_nm or reach_nm
    return Plan(linking_nm, join, tracker["confirm_detections"])


def _reach_nm(run: Run) -> float:
    tracks = run.tracks()
    known = tracks.loc[tracks["mobility"] != "unknown", "diffusion_um2_s"].dropna()
    diffusion = EXPECTED_UM2_S
    if len(known) >= MIN_TRACKS:
        diffusion = max(float(np.percentile(known, MOBILE_PERCENTILE)), 0.0)
    sd_nm = float(np.nan_to_num(tracks["localization_sd_nm"].median(), nan=0.0))
    return REACH_SD * float(np.sqrt(2e6 * diffusion * run.info["interval_s"] + 2 * sd_nm**2))
