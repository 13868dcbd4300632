"""Tracks and diffusion in the localizations of a real recording, against what its lab gives second-hand.

The table is ThunderSTORM's: frame from 1, positions in nm. It does not say how long a frame lasts, so D is
told for several assumed intervals; what does not depend on them is told per frame. It may not say true
photons either (an uncalibrated gain), and then its uncertainties are wrong by a common factor: what the
tracks themselves say of the localization error is told beside, and everything again with uncertainties
scaled to that.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from bench.outputs import UsageError, save_figures
from model.localizations import Localizations
from stream.config import TrackerConfig
from stream.motion.statistics import TrackStatistics
from stream.results import NO_TRACK
from stream.tracking.tracker import Tracker

# Of ThunderSTORM's columns, as written by its version 1.3.
FRAME, X, Y = "frame", "x [nm]", "y [nm]"
PHOTONS, SIGMA, SD = "intensity [photon]", "sigma [nm]", "uncertainty [nm]"
COLUMNS = (FRAME, X, Y, PHOTONS, SIGMA, SD)

# 10 frames/s after binning is told of such recordings second-hand; the others are ten times raw frames of
# 5 to 50 ms, which cameras and PIEZO1 studies use.
INTERVALS_S = (0.1, 0.05, 0.2, 0.5)
MOBILE_UM2_S, IMMOBILE_UM2_S = 0.03, 0.003  # the lab's manual, second-hand
FACTOR = 2.0  # within which a mobile D agrees with it
ROUNDS, SETTLED = 8, 0.1  # of scaling uncertainties, and the change that ends it
LONG = 10  # localizations; D of shorter tracks says little


@dataclass(frozen=True, slots=True)
class RealTracks:
    """What the tracks of one recording are like, at an assumed frame interval and scale of uncertainties.

    Attributes
    ----------
    n_tracks, n_long
        Tracks of at least 3 and at least `LONG` localizations.
    linked
        Share of the localizations that is in a track.
    length_median, length_mean
        Localizations in a track.
    deciles_um2_s
        10, 50 and 90 % of D over the long tracks.
    mobile_share, mobile_low, mobile_high, immobile_share
        Share of the tracks, with its 95 % interval.
    mobile_um2_s, immobile_um2_s
        Median D of the tracks that are of that class; NaN without any.
    claimed_nm, found_nm
        Localization error a axis: median of what the table claims, and of what the tracks say.
    """

    interval_s: float
    sd_scale: float
    n_localizations: int
    n_tracks: int
    n_long: int
    linked: float
    length_median: float
    length_mean: float
    deciles_um2_s: tuple[float, float, float]
    mobile_share: float
    mobile_low: float
    mobile_high: float
    immobile_share: float
    mobile_um2_s: float
    immobile_um2_s: float
    claimed_nm: float
    found_nm: float

    @property
    def agrees(self) -> bool:
        """Whether mobile puncta move as the lab says, within `FACTOR`."""
        return MOBILE_UM2_S / FACTOR <= self.mobile_um2_s <= MOBILE_UM2_S * FACTOR


def run(
    path: Path,
    out: Path | None,
    console: Console,
    pixel_nm: float = 108.0,
    intervals_s: Sequence[float] = INTERVALS_S,
) -> list[RealTracks]:
    """Track a recording's localizations and print what the tracks are like.

    Parameters
    ----------
    path
        Its ThunderSTORM table.
    out
        JSON file for the figures, or None.
    pixel_nm
        Pixel size in the sample.
    intervals_s
        Frame intervals to assume, the likeliest first.

    Raises
    ------
    UsageError
        If the table cannot be read, or has none of the columns that are needed.
    OutputError
        If the figures cannot be written.
    """
    table = read_thunderstorm(path)
    n_frames = int(table[FRAME].max())
    console.print(f"{path.name}: {len(table)} localizations in {n_frames} frames")
    found: list[RealTracks] = []
    console.print(
        f"{'interval':>8}{'sd ×':>6}{'tracks':>7}{'≥ ' + str(LONG):>6}{'linked':>8}{'length':>12}"
        f"{'D 10, 50, 90 % (µm²/s)':>26}{'mobile share':>20}{'immobile':>9}{'D mobile':>9}{'D immob.':>9}"
        f"{'error nm: claimed, found':>26}"
    )
    for interval_s in intervals_s:
        found += [track_table(table, pixel_nm, interval_s, 1.0), rescaled(table, pixel_nm, interval_s)]
        for one in found[-2:]:
            console.print(_line(one))
    console.print(f"\nsecond-hand: mobile {MOBILE_UM2_S} µm²/s, immobile {IMMOBILE_UM2_S} µm²/s")
    if found:
        error_nm = found[1].found_nm
        apparent = (error_nm / 1000) ** 2 / found[1].interval_s
        console.print(
            f"a punctum at rest seems to move at {apparent:.4f} µm²/s at {found[1].interval_s:g} s a frame "
            f"where an error of {error_nm:.0f} nm is not taken off"
        )
    for one in found:
        per_frame = one.mobile_um2_s * one.interval_s
        words = "agrees" if one.agrees else "does not agree"
        console.print(
            f"{one.interval_s:g} s a frame, uncertainties × {one.sd_scale:.2f}: mobile puncta "
            f"{one.mobile_um2_s:.4f} µm²/s = {per_frame:.5f} µm² a frame, {words} within a factor of "
            f"{FACTOR:g} (a frame of {per_frame / MOBILE_UM2_S * 1e3:.0f} ms would make it {MOBILE_UM2_S})"
        )
    figures: list[dict[str, Any]] = [asdict(one) | {"agrees": one.agrees} for one in found]
    save_figures(out, {"file": path.name, "pixel_nm": pixel_nm, "results": _known(figures)})
    return found


def read_thunderstorm(path: Path) -> pd.DataFrame:
    """Read the columns that tracking needs, in the order of frames.

    Raises
    ------
    UsageError
        If the file cannot be read or lacks a column.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise UsageError(f'{path} is no ThunderSTORM table: it has no column "{missing[0]}"')
    table = table[list(COLUMNS)].dropna().astype({FRAME: np.int64})
    if not len(table):
        raise UsageError(f"{path} has no localizations")
    return table.sort_values(FRAME, kind="stable", ignore_index=True)


def track_table(table: pd.DataFrame, pixel_nm: float, interval_s: float, sd_scale: float) -> RealTracks:
    """Track a table's localizations as the stream would, and gather each track's statistics."""
    tracked = link_table(table, pixel_nm, interval_s, sd_scale)
    linked = tracked[tracked["track_id"] != NO_TRACK]
    statistics = TrackStatistics()
    for seq in sorted(set(linked[FRAME].tolist())):
        here = linked[linked[FRAME] == seq]
        x, y, photons = (here[name].to_numpy(np.float64) for name in (X, Y, PHOTONS))
        sd = here[SD].to_numpy(np.float64) * sd_scale
        statistics.add(seq, seq * interval_s, here["track_id"].to_numpy(), x, y, sd, sd, photons)
    tracks, shares = statistics.table(), statistics.mobility_shares()
    long = tracks[tracks["n_observed"] >= LONG]
    d = long["diffusion_um2_s"]
    low, middle, high = (float(q) for q in d.quantile([0.1, 0.5, 0.9]))
    mobile, immobile = shares["mobile"], shares["immobile"]
    return RealTracks(
        interval_s=interval_s,
        sd_scale=sd_scale,
        n_localizations=len(table),
        n_tracks=len(tracks),
        n_long=len(long),
        linked=len(linked) / len(table),
        length_median=float(tracks["n_observed"].median()),
        length_mean=float(tracks["n_observed"].mean()),
        deciles_um2_s=(low, middle, high),
        mobile_share=mobile.share,
        mobile_low=mobile.low,
        mobile_high=mobile.high,
        immobile_share=immobile.share,
        mobile_um2_s=float(d[long["mobility"] == "mobile"].median()),
        immobile_um2_s=float(d[long["mobility"] == "immobile"].median()),
        claimed_nm=float(table[SD].median() * sd_scale),
        found_nm=float(long["localization_sd_nm"].median()),
    )


def rescaled(table: pd.DataFrame, pixel_nm: float, interval_s: float) -> RealTracks:
    """The same with all uncertainties scaled until they are what the tracks say.

    The statistics look for an error within a factor of two of what is claimed only, so they are asked again.
    """
    scale = 1.0
    for _ in range(ROUNDS):
        one = track_table(table, pixel_nm, interval_s, scale)
        change = one.found_nm / one.claimed_nm
        if not abs(change - 1) > SETTLED:
            break
        scale *= change
    return one


def link_table(table: pd.DataFrame, pixel_nm: float, interval_s: float, sd_scale: float) -> pd.DataFrame:
    """The table with a column `track_id`; tracks that were never confirmed are none."""
    tracker = Tracker(TrackerConfig(), pixel_nm, interval_s)
    track_id, dropped = [], []
    for seq in range(1, int(table[FRAME].max()) + 1):
        here = table[table[FRAME] == seq]
        update = tracker.step(seq, seq * interval_s, _localizations(here, pixel_nm, sd_scale))
        track_id.append(update.track_id)
        dropped.append(update.dropped)
    dropped.append(tracker.flush().dropped)
    ids = np.concatenate(track_id)
    ids[np.isin(ids, np.concatenate(dropped))] = NO_TRACK
    return table.assign(track_id=ids)


def _localizations(here: pd.DataFrame, pixel_nm: float, sd_scale: float) -> Localizations:
    """Rows of one frame; the corner of the first pixel, not its centre, is at 0 in the file."""
    x, y, sigma, sd = (here[name].to_numpy(np.float64) / pixel_nm for name in (X, Y, SIGMA, SD))
    return Localizations.from_columns(
        x_px=x - 0.5,
        y_px=y - 0.5,
        x_sd_px=sd * sd_scale,
        y_sd_px=sd * sd_scale,
        photons=here[PHOTONS],
        background=np.zeros(len(here)),
        psf_sigma_px=sigma,
    )


def _line(one: RealTracks) -> str:
    deciles = ", ".join(f"{d:.4f}" for d in one.deciles_um2_s)
    length = f"{one.length_median:.0f} ({one.length_mean:.1f})"
    share = f"{one.mobile_share:.0%} ({one.mobile_low:.0%} to {one.mobile_high:.0%})"
    return (
        f"{one.interval_s:7g}s{one.sd_scale:6.2f}{one.n_tracks:7}{one.n_long:6}{one.linked:8.0%}"
        f"{length:>12}{deciles:>26}{share:>20}{one.immobile_share:9.0%}"
        f"{one.mobile_um2_s:9.4f}{one.immobile_um2_s:9.4f}{f'{one.claimed_nm:.0f}, {one.found_nm:.0f}':>26}"
    )


def _known(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """NaN is no JSON."""
    return [
        {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in figures
    ]
