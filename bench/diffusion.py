"""Statistics of tracks against the truth: diffusion coefficients, classes, confinement, CPU time."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from bench.outputs import save_figures
from bench.walks import (
    INTERVAL_S,
    Array,
    Walks,
    bound_sd,
    covariance_estimate,
    free_walks,
    log_likelihood,
    msd_estimate,
    walks_in_wells,
)
from stream.motion.mobility import CLASSES
from stream.motion.statistics import TrackStatistics

SEED = 8801  # used for nothing else
DIFFUSION = (0.003, 0.01, 0.03, 0.1, 0.3)
LENGTHS = (10, 30, 100, 300)
ERRORS_NM = (10.0, 20.0, 30.0)
CLAIMS = (0.8, 1.0, 1.2)  # claimed error over true error
POPULATIONS = (0.003, 0.01, 0.03)  # of CLASSES
MIX = (0.6, 0.1, 0.3)
BETWEEN_TWO_UM2_S = 0.0095  # geometric mean of .003 and .03
OTHER_BORDERS_UM2_S = (0.0055, 0.0173)  # geometric means
RADII_NM = (100.0, 200.0, 400.0)


def run(json: Path | None, console: Console, tracks: int = 1000) -> dict[str, Any]:
    """Print all figures; `tracks` of each kind."""
    figures = {
        "diffusion": _diffusion(console, tracks),
        "classes": _classes(console, tracks),
        "shares": _shares(console, tracks),
        "confinement": _confinement(console, tracks),
        "cpu": _cpu(console),
    }
    save_figures(json, figures)
    return figures


def statistics_of(walks: Walks, claim: float = 1.0) -> TrackStatistics:
    """Statistics of tracks that came frame by frame, with the true error × `claim` as uncertainty."""
    statistics = TrackStatistics()
    for frame, (position, seen) in enumerate(zip(walks.position, walks.seen, strict=True)):
        ids = np.flatnonzero(seen)
        x_nm, y_nm = 1000 * position[ids].T
        sd_nm = np.full(len(ids), 1000 * walks.sd_um * claim)
        statistics.add(frame, frame * INTERVAL_S, ids, x_nm, y_nm, sd_nm, sd_nm, np.full(len(ids), 500.0))
    return statistics


def balanced_accuracy(found: NDArray[Any], truth: NDArray[Any]) -> float:
    """Mean over the classes of the share that is found."""
    return float(np.mean([(found[truth == name] == name).mean() for name in np.unique(truth)]))


def _table(walks: Walks, claim: float = 1.0) -> pd.DataFrame:
    return statistics_of(walks, claim).table().set_index("track_id").reindex(range(len(walks.diffusion)))


def _recovery(estimate: Array, true: float) -> dict[str, float]:
    """Median and interquartile range of the relative error; tracks without an estimate are left out."""
    low, median, high = np.nanquantile(estimate / true - 1, (0.25, 0.5, 0.75))
    return {"median": float(median), "iqr": float(high - low)}


def _diffusion(console: Console, tracks: int) -> list[dict[str, Any]]:
    console.print(
        f"D, {tracks} tracks of each in one run of all five, 10 % of sightings missing: median of D/true − 1 "
        "(interquartile range)\n"
        f"{'frames':>6}{'σ nm':>6}{'claimed':>9}{'true D':>8}  {'likelihood':>15}{'95 % covers':>12}"
        f"{'covariance':>17}{'MSD, 4 lags':>17}{'bound iqr':>11}"
    )
    rows = []
    kinds = [(n, sd, 1.0) for n in LENGTHS for sd in ERRORS_NM]
    kinds += [(30, sd, claim) for sd in ERRORS_NM for claim in CLAIMS if claim != 1.0]
    for n_frames, sd_nm, claim in kinds:
        rng = np.random.default_rng([SEED, 1, n_frames, int(sd_nm)])
        walks = free_walks(rng, np.repeat(DIFFUSION, tracks), n_frames, sd_nm)
        table = _table(walks, claim)
        peers = {"covariance": covariance_estimate(walks), "msd": msd_estimate(walks)}
        for true in DIFFUSION:
            mine = walks.diffusion == true
            own = table[mine]
            row: dict[str, Any] = {"n_frames": n_frames, "sd_nm": sd_nm, "claim": claim, "diffusion": true}
            row["likelihood"] = _recovery(own["diffusion_um2_s"].to_numpy(), true)
            inside = (own["diffusion_low_um2_s"] <= true) & (true <= own["diffusion_high_um2_s"])
            row["coverage"] = float(inside.mean())
            row |= {name: _recovery(estimate[mine], true) for name, estimate in peers.items()}
            # Every seen frame, so the bound is a little lower than with the gaps.
            row["bound_iqr"] = 1.349 * bound_sd(n_frames, true, sd_nm / 1000)
            rows.append(row)
            cells = [f"{row[k]['median']:+8.3f} ({row[k]['iqr']:.2f})" for k in ("likelihood", *peers)]
            console.print(
                f"{n_frames:6}{sd_nm:6.0f}{claim:9.1f}{true:8.3f}  {cells[0]:>15}{row['coverage']:12.3f}"
                f"{cells[1]:>17}{cells[2]:>17}{row['bound_iqr']:11.2f}"
            )
    worst = max((r for r in rows if r["n_frames"] == 30), key=lambda r: abs(r["likelihood"]["median"]))
    console.print(f"furthest from the truth at 30 frames: {worst['likelihood']['median']:+.3f} (bar ± .1)\n")
    return rows


def _classes(console: Console, tracks: int) -> list[dict[str, Any]]:
    console.print(
        f"classes, {tracks} tracks each of D = .003, .01 and .03 (two: without .01); balanced accuracy\n"
        f"{'frames':>6}{'σ nm':>6}  {'three':>9}{'ceiling':>9}{'covar.':>9}"
        f"   {'two':>9}{'ceiling':>9}{'covar.':>9}"
    )
    rows = []
    for n_frames in (30, 100):
        for sd_nm in ERRORS_NM:
            rng = np.random.default_rng([SEED, 2, n_frames, int(sd_nm)])
            walks = free_walks(rng, np.repeat(POPULATIONS, tracks), n_frames, sd_nm)
            truth = np.repeat(CLASSES, tracks)
            exact = np.stack([log_likelihood(walks, d) for d in POPULATIONS], axis=1)
            table, other = _table(walks), covariance_estimate(walks)
            three = {
                "ours": table["mobility"].to_numpy(),
                "ceiling": np.array(CLASSES)[exact.argmax(axis=1)],
                "covariance": np.array(CLASSES)[np.searchsorted(OTHER_BORDERS_UM2_S, other)],
            }
            is_mobile = {
                "ours": table["diffusion_um2_s"].to_numpy() > BETWEEN_TWO_UM2_S,
                "ceiling": exact[:, 2] > exact[:, 0],
                "covariance": other > BETWEEN_TWO_UM2_S,
            }
            two = truth != "intermediate"
            row: dict[str, Any] = {
                "n_frames": n_frames,
                "sd_nm": sd_nm,
                "three": {name: balanced_accuracy(found, truth) for name, found in three.items()},
                "two": {
                    name: balanced_accuracy(found[two], truth[two] == "mobile")
                    for name, found in is_mobile.items()
                },
            }
            rows.append(row)
            cells = ("".join(f"{row[k][name]:9.3f}" for name in three) for k in ("three", "two"))
            console.print(f"{n_frames:6}{sd_nm:6.0f}  {'   '.join(cells)}")
    return rows


def _shares(console: Console, tracks: int) -> list[dict[str, Any]]:
    mix = ", ".join(f"{share:.0%} {name}" for share, name in zip(MIX, CLASSES, strict=True))
    console.print(f"\nshare of mobile tracks, {tracks} tracks, {mix}; σ 20 nm: 20 runs")
    rows = []
    for n_frames in (10, 30, 100):
        found = []
        for repeat in range(20):
            rng = np.random.default_rng([SEED, 3, n_frames, repeat])
            counts = np.round(np.array(MIX) * tracks).astype(int)
            statistics = statistics_of(free_walks(rng, np.repeat(POPULATIONS, counts), n_frames, 20.0))
            share = statistics.mobility_shares()["mobile"]
            labels = statistics.table()["mobility"]
            known = labels[labels != "unknown"]
            counted = float((known == "mobile").mean()) if len(known) else np.nan
            found.append((share.share, share.low, share.high, counted))
        mean, low, high, counted = np.array(found).T
        true = MIX[2]
        row = {
            "n_frames": n_frames,
            "true": true,
            "mean": float(mean.mean()),
            "rmse": float(np.sqrt(((mean - true) ** 2).mean())),
            "covered": float(((low <= true) & (true <= high)).mean()),
            "width": float((high - low).mean()),
            "labels": float(np.mean(counted)),
        }
        rows.append(row)
        console.print(
            f"{n_frames:6} frames: {row['mean']:.3f} (true {true}), 95 % interval {row['width']:.3f} wide "
            f"covers {row['covered']:.0%}; counting labels {row['labels']:.3f}"
        )
    return rows


def _confinement(console: Console, tracks: int) -> list[dict[str, Any]]:
    console.print("\nconfinement, D = .03 µm²/s, σ 20 nm: share called confined, median radius of those")
    rows = []
    for n_frames in LENGTHS[1:]:
        for radius_nm in (*RADII_NM, np.inf):
            rng = np.random.default_rng([SEED, 4, n_frames, int(min(radius_nm, 9999))])
            diffusion = np.full(tracks, 0.03)
            if np.isfinite(radius_nm):
                walks = walks_in_wells(rng, diffusion, radius_nm, n_frames, 20.0)
            else:
                walks = free_walks(rng, diffusion, n_frames, 20.0)
            radii = _table(walks)["confinement_nm"].dropna()
            row = {
                "n_frames": n_frames,
                "radius_nm": radius_nm if np.isfinite(radius_nm) else None,
                "confined": len(radii) / tracks,
                "found_nm": float(radii.median()) if len(radii) else None,
            }
            rows.append(row)
            what = f"radius {radius_nm:.0f} nm" if row["radius_nm"] else "free"
            nm = f"{row['found_nm']:.0f} nm" if row["found_nm"] and row["radius_nm"] else ""
            console.print(f"{n_frames:6} frames, {what:14} {row['confined']:6.1%}  {nm}")
    return rows


def _cpu(console: Console, n_tracks: int = 200, n_frames: int = 500) -> dict[str, float]:
    """CPU time of a frame and of a table; the compilation before is left out."""
    rng = np.random.default_rng([SEED, 5])
    walks = free_walks(rng, np.full(n_tracks, 0.03), n_frames, 20.0)
    statistics_of(walks).table()
    began = time.process_time()
    statistics = statistics_of(walks)
    frame_ms = 1e3 * (time.process_time() - began) / n_frames
    began = time.process_time()
    statistics.table()
    table_ms = 1e3 * (time.process_time() - began)
    console.print(
        f"\n{n_tracks} tracks: {frame_ms:.2f} ms of CPU a frame (bar .3), {table_ms:.0f} ms a table"
    )
    return {"n_tracks": n_tracks, "frame_ms": frame_ms, "table_ms": table_ms}
