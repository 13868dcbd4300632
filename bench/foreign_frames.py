"""Frames of others' simulators: what the network and the wavelet engine find in them, as table and picture.

One frame of the SMLM challenge (tubulins) with its emitters, and three of the bead stack of the challenge of
2016 (Sage et al., Nat. Methods 16, 387 (2019)): six beads through focus behind an astigmatic lens. Despite
the name, nothing of the stack is a recording but the PSF: each bead ends in a sharp circle, and the noise is
that of the challenge's camera. Each frame is shown alone.

Engines see photons scaled to unit variance per photon, so all that they need of a camera is its offset, its
noise variance in the dark and how much that grows per count; with electron multiplication, reported photons
would double, and no position change. All three come from the noise, not from what scores best:

* tubulins: the noise operator of Immerkær (Comput. Vis. Image Underst. 64, 300 (1996)), which cancels
  gradients, over pixels 10 px or more from every emitter, by their mean in 3 × 3 pixels, 40 to 300 counts
  above the offset: variance 37 + 1.32 per count. Offset 100 is the lowest count; pixels there are clipped,
  and have less noise than any camera.
* beads: second differences between successive frames, in which a change of focus cancels: variance
  1.8 + 13.4 per count above 100.4, a straight line from 120 to 2000 counts. (The challenge's camera, gain
  300 and 45 electrons per count, has 2 · 300 / 45 = 13.3.)

σ: 0.8 px is what the wavelet engine's fits find in the tubulins, whatever they are told, and 1.5 px what
they find in the beads in focus. Neither resembles what the network was trained on: a background that drops to
nothing; beads of 7,000 photons and more, far from round.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console

from acquire.frame import Frame
from bench.ours import PLAIN_BACKEND
from bench.outputs import UsageError, save_figures
from bench.scoring import RADIUS_NM
from model.camera import Camera
from model.engines.base import Engine
from model.engines.network import NetworkEngine
from model.engines.wavelet import WaveletEngine
from model.matching import match_localizations
from model.optics import Array

CHALLENGE, BEADS = "thunderstorm_tubulins1_00020", "Beads-AS-Exp"
CHALLENGE_PIXEL_NM, CHALLENGE_SIGMA_PX, BEADS_SIGMA_PX = 150.0, 0.8, 1.5
CHALLENGE_CAMERA = Camera(offset=100.0, e_per_adu=1 / 1.32, read_noise_e=37**0.5 / 1.32)
BEADS_CAMERA = Camera(offset=100.4, e_per_adu=1 / 13.4, read_noise_e=1.8**0.5 / 13.4)
BEADS_FRAMES = (45, 75, 105)  # below, in and above focus
N_BEADS = 6
STYLES = {"network": ("o", "#D55E00"), "wavelet": ("x", "#56B4E9")}


@dataclass(frozen=True, slots=True)
class ForeignFrame:
    """Raw counts uint16 (H, W), camera, σ in pixels, number of emitters, their positions (N, 2) if known."""

    title: str
    counts: NDArray[np.uint16]
    camera: Camera
    sigma_px: float
    n_truth: int
    truth: Array | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What an engine found: number, median σ of the PSF in pixels; None is what cannot be measured."""

    frame: str
    engine: str
    n_found: int
    sigma_px: float | None
    n_truth: int
    jaccard: float | None = None
    rmse_nm: float | None = None


def run(
    data: Path,
    console: Console,
    json: Path | None = None,
    figure: Path | None = None,
    model: Path | None = None,
) -> list[Row]:
    """Print the table; write it as JSON and draw the frames where paths are given.

    Raises
    ------
    UsageError
        If a file is missing in `data`.
    ModelError
        If the network (None: the one that is shipped) cannot be loaded.
    """
    frames = read_frames(data)
    rows, found_in = [], []
    console.print(f"{'frame':32}{'engine':10}{'found':>6}{'σ px':>7}{'truth':>7}{'Jaccard':>9}{'RMSE nm':>9}")
    for frame in frames:
        engines: dict[str, Engine] = {
            "network": NetworkEngine(frame.camera, frame.sigma_px, model=model, backend=PLAIN_BACKEND),
            "wavelet": WaveletEngine(frame.camera, frame.sigma_px),
        }
        found_in.append({name: _locate(engine, frame) for name, engine in engines.items()})
        for name, table in found_in[-1].items():
            rows.append(_judge(frame, name, table))
            console.print(_line(rows[-1]))
    save_figures(json, {"results": [asdict(row) for row in rows]})
    if figure is not None:
        _draw(frames, found_in, figure)
    return rows


def read_frames(data: Path) -> list[ForeignFrame]:
    """Read the tubulins, whose CSV gives nm from the image's corner, and three of the bead stack.

    Raises
    ------
    UsageError
        If a file is missing.
    """
    for name in (f"{CHALLENGE}.tif", f"{CHALLENGE}.csv", f"{BEADS}.tif"):
        if not (data / name).is_file():
            raise UsageError(f"there is no {data / name}: --data must be a folder that holds it")
    nm = pd.read_csv(data / f"{CHALLENGE}.csv")[["xnano", "ynano"]].to_numpy(np.float64)
    counts = tifffile.imread(data / f"{CHALLENGE}.tif")
    truth = nm / CHALLENGE_PIXEL_NM - 0.5
    beads = tifffile.imread(data / f"{BEADS}.tif")
    return [
        ForeignFrame(
            "SMLM challenge, tubulins",
            counts,
            CHALLENGE_CAMERA,
            CHALLENGE_SIGMA_PX,
            len(truth),
            truth,
        ),
        *(
            ForeignFrame(f"beads, frame {k}", beads[k], BEADS_CAMERA, BEADS_SIGMA_PX, N_BEADS)
            for k in BEADS_FRAMES
        ),
    ]


def _locate(engine: Engine, frame: ForeignFrame) -> Array:
    """Positions and σ in pixels (N, 3)."""
    answers = engine.step(Frame(0, 0.0, frame.counts[None]))
    ((_, found),) = answers + engine.flush()
    return np.stack([found.x_px, found.y_px, found.psf_sigma_px], axis=1).astype(np.float64)


def _judge(frame: ForeignFrame, engine: str, found: Array) -> Row:
    sigma = float(np.median(found[:, 2])) if len(found) else None
    if frame.truth is None:
        return Row(frame.title, engine, len(found), sigma, frame.n_truth)
    truth, xy = frame.truth * CHALLENGE_PIXEL_NM, found[:, :2] * CHALLENGE_PIXEL_NM
    i, j = match_localizations(truth, xy, RADIUS_NM)
    rmse = float(np.sqrt(np.mean((truth[i] - xy[j]) ** 2))) if len(i) else None
    n_any = len(truth) + len(xy) - len(i)
    jaccard = len(i) / n_any if n_any else None
    return Row(frame.title, engine, len(found), sigma, len(truth), jaccard, rmse)


def _line(row: Row) -> str:
    measured = (
        f"{'–' if value is None else format(value, spec):>{width}}"
        for value, spec, width in (
            (row.n_found, "d", 6),
            (row.sigma_px, ".2f", 7),
            (row.n_truth, "d", 7),
            (row.jaccard, ".3f", 9),
            (row.rmse_nm, ".1f", 9),
        )
    )
    return f"{row.frame:32}{row.engine:10}{''.join(measured)}"


def _draw(frames: Sequence[ForeignFrame], found_in: Sequence[dict[str, Array]], path: Path) -> None:
    """Frames side by side with what was found; brightness is the square root of the counts."""
    figure = Figure(figsize=(5 * len(frames), 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    for k, (frame, found) in enumerate(zip(frames, found_in, strict=True)):
        axes = figure.add_subplot(1, len(frames), k + 1)
        above = np.sqrt(np.clip(frame.counts - float(np.median(frame.counts)), 0, None))
        axes.imshow(above, cmap="gray", vmax=max(float(np.quantile(above, 0.999)), 1.0))
        if frame.truth is not None:
            axes.plot(
                *frame.truth.T, "+", color="#F0E442", ms=5, mew=0.8, label=f"truth ({len(frame.truth)})"
            )
        for name, (marker, colour) in STYLES.items():
            style: dict[str, Any] = {"color": colour, "mfc": "none", "ms": 9 if marker == "o" else 5}
            label = f"{name} ({len(found[name])})"
            axes.plot(*found[name][:, :2].T, marker, mew=1, label=label, **style)
        axes.set(title=f"{frame.title}: {frame.n_truth}", xticks=[], yticks=[])
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False)
    figure.savefig(path, dpi=150)
