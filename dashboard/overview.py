"""One picture of a run: both channels with puncta and tracks, and the calcium of the busiest tracks."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from dashboard.models.colours import OKABE_ITO

Image = NDArray[np.uint16]
Colours = dict[int, str]

FOUND, TRUE = OKABE_ITO[1], OKABE_ITO[0]
N_TRACES = 6
MIN_TRACE_STEP = 0.3  # distance between the traces' baselines in ΔF/F0, at least
ZOOM_UM = 9.0
DPI = 150
HALO = [withStroke(linewidth=2.0, foreground="black")]


def save_overview(
    path: Path,
    piezo1: Image,
    calcium: Image | None,
    puncta: pd.DataFrame,
    trajectories: pd.DataFrame,
    events: pd.DataFrame,
    *,
    pixel_size_nm: float,
    interval_s: float,
    title: str,
    truth: pd.DataFrame | None = None,
) -> None:
    """Draw a run and write it as an image (format by the suffix, e.g. PNG or PDF).

    Parameters
    ----------
    piezo1, calcium
        One frame (or a projection) of each channel, (H, W) counts; calcium None where there is none.
    puncta
        Rows of the run's `puncta` table to mark, usually those of that frame.
    trajectories, events
        The run's whole `trajectories` and `calcium_events` tables.
    pixel_size_nm, interval_s
        Scales of the images and of the traces.
    truth
        Rows of `ground_truth.csv` to mark beside the puncta.
    """
    busiest = _busiest_tracks(trajectories, events)
    colours = {
        track: OKABE_ITO[track % len(OKABE_ITO)] for track in trajectories["track_id"].unique().tolist()
    }
    colours |= dict(zip(busiest, OKABE_ITO, strict=False))
    columns = 2 if calcium is None else 3
    figure = Figure(figsize=(4.6 * columns, 5.2 if calcium is None else 9.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=15, fontweight="bold", x=0.01, ha="left")
    heights = (5,) if calcium is None else (5, 4)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)

    whole, zoom = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    corner = _zoom_corner(piezo1, busiest, trajectories, pixel_size_nm)
    side = min(ZOOM_UM, min(piezo1.shape) * pixel_size_nm / 1000)
    _show(whole, piezo1, pixel_size_nm, f"PIEZO1 · {len(puncta)} puncta")
    _mark(whole, puncta, truth)
    whole.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="white", linewidth=1.3))
    _show(zoom, piezo1, pixel_size_nm, f"Tracks · {len(colours)} in all", (*corner, side))
    _draw_tracks(zoom, trajectories, colours)
    if calcium is not None:
        _number(zoom, busiest, colours, trajectories)
        channel = figure.add_subplot(grid[0, 2])
        _show(channel, calcium, pixel_size_nm, f"Calcium · {len(events)} events in all, ○ now")
        _mark_events(channel, events, puncta, colours)
        _number(channel, busiest, colours, trajectories)
        _draw_traces(figure.add_subplot(grid[1, :]), busiest, colours, trajectories, events, interval_s)
    figure.savefig(path, dpi=DPI)


def _busiest_tracks(trajectories: pd.DataFrame, events: pd.DataFrame) -> list[int]:
    """Ids of the tracks with most events, the longer ones first among equals."""
    lengths = trajectories.groupby("track_id").size().rename("n_points").to_frame()
    lengths["n_events"] = events.groupby("track_id").size().reindex(lengths.index, fill_value=0)
    ranked = lengths.sort_values(["n_events", "n_points"], ascending=False)
    return [int(track) for track in ranked.index[:N_TRACES]]


def _zoom_corner(
    image: Image, busiest: list[int], trajectories: pd.DataFrame, pixel_size_nm: float
) -> tuple[float, float]:
    """Corner (x, y) in µm of the window around one of the busiest tracks that shows most of them."""
    extent = np.array(image.shape[::-1]) * pixel_size_nm / 1000
    side = min(ZOOM_UM, *extent)
    origin = -pixel_size_nm / 2000
    centres = _centres(busiest, trajectories)
    if not len(centres):
        return origin, origin
    corners = np.clip(centres - side / 2, origin, origin + extent - side)
    inside = np.all((centres >= corners[:, None]) & (centres < corners[:, None] + side), axis=2).sum(axis=1)
    x, y = corners[np.argmax(inside)]
    return float(x), float(y)


def _centres(tracks: list[int], trajectories: pd.DataFrame) -> NDArray[np.float64]:
    """Mean positions (N, 2) of tracks in µm."""
    means = trajectories.groupby("track_id")[["x_nm", "y_nm"]].mean()
    return means.loc[tracks].to_numpy(np.float64).reshape(-1, 2) / 1000


def _show(
    axes: Axes,
    image: Image,
    pixel_size_nm: float,
    title: str,
    window: tuple[float, float, float] | None = None,
) -> None:
    """Show an image, or a window (x, y, side in µm) of it, with a scale bar; axes are in µm."""
    height, width = image.shape
    um = pixel_size_nm / 1000
    low, high = np.percentile(image, [1.0, 99.8])
    extent = (-0.5 * um, (width - 0.5) * um, (height - 0.5) * um, -0.5 * um)
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1), extent=extent, interpolation="nearest")
    x, y, w, h = (*window, window[2]) if window else (extent[0], extent[3], width * um, height * um)
    axes.set(xlim=(x, x + w), ylim=(y + h, y), xticks=[], yticks=[])
    axes.set_title(title, loc="left", fontsize=11)
    for spine in axes.spines.values():
        spine.set_visible(False)
    length = max((n for n in (0.5, 1, 2, 5, 10, 20, 50) if n <= w / 4), default=0.2)
    axes.plot(
        [x + 0.95 * w - length, x + 0.95 * w], [y + 0.95 * h] * 2, color="white", lw=3, path_effects=HALO
    )
    axes.text(
        x + 0.95 * w - length / 2,
        y + 0.925 * h,
        f"{length:g} µm",
        color="white",
        ha="center",
        path_effects=HALO,
    )


def _mark(axes: Axes, puncta: pd.DataFrame, truth: pd.DataFrame | None) -> None:
    axes.scatter(
        puncta["x_nm"] / 1000,
        puncta["y_nm"] / 1000,
        s=26,
        facecolors="none",
        edgecolors=FOUND,
        lw=0.9,
        label="found",
    )
    if truth is not None:
        axes.scatter(
            truth["x_nm"] / 1000, truth["y_nm"] / 1000, s=12, marker="+", color=TRUE, lw=0.7, label="true"
        )
        axes.legend(loc="lower left", fontsize=9, framealpha=0.75, borderpad=0.4, handletextpad=0.2)


def _draw_tracks(axes: Axes, trajectories: pd.DataFrame, colours: Colours) -> None:
    ordered = trajectories.sort_values(["track_id", "frame"])
    tracks, starts = np.unique(ordered["track_id"].to_numpy(), return_index=True)
    paths = np.split(ordered[["x_nm", "y_nm"]].to_numpy(np.float64) / 1000, starts[1:]) if len(tracks) else []
    lines = LineCollection(
        paths, colors=[colours[track] for track in tracks.tolist()], linewidths=1.1, capstyle="round"
    )
    axes.add_collection(lines, autolim=False)


def _mark_events(axes: Axes, events: pd.DataFrame, puncta: pd.DataFrame, colours: Colours) -> None:
    """Encircle the events that are on in the frame of `puncta`."""
    if puncta.empty:
        return
    on = events[
        (events["onset_frame"] <= puncta["frame"].max()) & (events["end_frame"] >= puncta["frame"].min())
    ]
    edges = [colours.get(track, "white") for track in on["track_id"].tolist()]
    axes.scatter(on["x_nm"] / 1000, on["y_nm"] / 1000, s=220, facecolors="none", edgecolors=edges, lw=1.6)


def _number(axes: Axes, tracks: list[int], colours: Colours, trajectories: pd.DataFrame) -> None:
    """Write the traces' numbers beside their tracks, on the side where the middle of the image is."""
    middle = np.array([np.mean(axes.get_xlim()), np.mean(axes.get_ylim())])
    for i, (track, centre) in enumerate(zip(tracks, _centres(tracks, trajectories), strict=True)):
        right, down = np.where(centre < middle, 11, -11).tolist()
        x, y = centre.tolist()
        axes.scatter(x, y, s=7, color=colours[track])
        axes.annotate(
            str(i + 1),
            (x, y),
            (right, -down),
            textcoords="offset points",
            ha="center",
            va="center",
            color=colours[track],
            fontsize=11,
            fontweight="bold",
            path_effects=HALO,
            annotation_clip=True,
        )


def _draw_traces(
    axes: Axes,
    tracks: list[int],
    colours: Colours,
    trajectories: pd.DataFrame,
    events: pd.DataFrame,
    interval_s: float,
) -> None:
    """ΔF/F0 over time, one line a track, events filled and their peaks marked."""
    axes.set_title("ΔF/F0 of the most active tracks · ▼ calcium event", loc="left", fontsize=11)
    highest = trajectories.loc[trajectories["track_id"].isin(tracks), "calcium_dff"].max()
    step = max(MIN_TRACE_STEP, 1.15 * float(np.nan_to_num(highest)))
    for i, track in enumerate(tracks):
        base = -i * step
        rows = trajectories[trajectories["track_id"] == track].sort_values("frame")
        frames = np.arange(rows["frame"].min(), rows["frame"].max() + 1)
        dff = rows.set_index("frame")["calcium_dff"].reindex(frames).to_numpy(np.float64)
        time = frames * interval_s
        axes.axhline(base, color="0.85", lw=0.8, zorder=0)
        axes.plot(time, base + dff, color=colours[track], lw=1.3)
        mine = events.loc[events["track_id"] == track, ["onset_frame", "peak_frame", "end_frame"]]
        for onset, peak, end in mine.to_numpy(np.int64).tolist():
            during = (frames >= onset) & (frames <= end)
            axes.fill_between(time, base, base + dff, where=during, color=colours[track], alpha=0.35, lw=0)
            top = base + np.nanmax(dff[during], initial=0.0) + 0.1 * step
            axes.plot(peak * interval_s, top, marker="v", ms=5, color="black")
    axes.set_xlabel("time / s")
    axes.set_yticks([-i * step for i in range(len(tracks))], [f"{i + 1}" for i in range(len(tracks))])
    for label, track in zip(axes.get_yticklabels(), tracks, strict=True):
        label.set(color=colours[track], fontweight="bold", fontsize=12)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.margins(x=0.01)
    if tracks:
        right = axes.get_xlim()[1]
        unit = next(n for n in (1.0, 0.5, 0.2) if n <= step)
        axes.plot([right, right], [0.0, unit], color="black", lw=2, clip_on=False)
        axes.text(right, unit / 2, f" ΔF/F0 = {unit:g}", va="center", ha="left", fontsize=9)
