"""What a data-set card shows, example frames and distributions, gathered from a data set on disk."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from scipy.special import erf

from train.simulation_config import SimulationError
from train.truth import Truth, load_truth

Array = NDArray[np.float64]

N_EXAMPLES = 6
MAX_SAMPLES = 40  # whose truth is counted
DENSITY, PHOTONS, BACKGROUND = "puncta per µm²", "photons per punctum", "background photons per pixel"
SIGMA, SNR, STEP = "PSF σ / nm", "brightest pixel / its noise", "displacement per frame / nm"
DARK, AMPLITUDE, DURATION = "length of blinks / frames", "events: peak ΔF/F0", "events: duration / frames"


@dataclass(frozen=True, slots=True)
class Example:
    """One frame: images (H, W), positions (N, 2) of the puncta in pixels, whose (N,) event is on."""

    piezo1: NDArray[np.float32]
    calcium: NDArray[np.float32] | None
    xy: Array
    is_on: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CardData:
    """Content of a card: `values` holds a sample of each quantity under its name."""

    title: str
    subtitle: str
    examples: list[Example]
    values: dict[str, Array]
    pixel_size_nm: float


def dataset_card(folder: Path) -> CardData:
    """Content of the card of a data set: frames spread over its samples, and their truth.

    Raises
    ------
    SimulationError
        If the folder holds no complete sample.
    """
    samples = sorted(path for path in folder.glob("sample_*") if path.is_dir())
    if not samples:
        raise SimulationError(f"{folder} holds no simulated sample such as sample_00000")
    chosen = [samples[i] for i in _spread(len(samples), MAX_SAMPLES)]
    truths = [load_truth(sample) for sample in chosen]
    values = [_values(truth) for truth in truths]
    first = truths[0]
    return CardData(
        title=f"Data set {folder.resolve().name}",
        subtitle=f"{len(samples)} movies of {first.n_frames} frames, {first.interval_s * 1000:g} ms apart; "
        f"pixel {first.pixel_size_nm:g} nm",
        examples=[
            _example(chosen[k * len(chosen) // N_EXAMPLES], truths[k * len(chosen) // N_EXAMPLES], k)
            for k in range(N_EXAMPLES)
        ],
        values={name: np.concatenate([v[name] for v in values]) for name in values[0]},
        pixel_size_nm=first.pixel_size_nm,
    )


def peak_snr(
    photons: Array, background: Array, sigma_px: Array, excess: Array | float, read_variance: Array | float
) -> Array:
    """Signal of a punctum's brightest pixel over the noise there, were it centred on the pixel."""
    signal = photons * erf(0.5 / (math.sqrt(2) * sigma_px)) ** 2
    return np.asarray(signal / np.sqrt(excess * (signal + background) + read_variance))


def steps_and_gaps(track: NDArray[np.int64], frame: NDArray[np.int64], xy: Array) -> tuple[Array, Array]:
    """Displacement from frame to frame, and dark frames between two sightings, of all tracks."""
    order = np.lexsort((frame, track))
    track, frame, xy = track[order], frame[order], xy[order]
    same, lag = np.diff(track) == 0, np.diff(frame)
    step = np.hypot(*np.diff(xy, axis=0).T)
    return step[same & (lag == 1)], (lag[same & (lag > 1)] - 1).astype(np.float64)


def _values(truth: Truth) -> dict[str, Array]:
    puncta, events = truth.puncta, truth.events
    area_um2 = math.prod(truth.image_size) * (truth.pixel_size_nm / 1000) ** 2
    photons, background, sigma_nm = (_column(puncta, c) for c in ("photons", "background", "psf_sigma_nm"))
    step, dark = steps_and_gaps(
        puncta["track_id"].to_numpy(),
        puncta["frame"].to_numpy(),
        puncta[["x_nm", "y_nm"]].to_numpy(np.float64),
    )
    return {
        DENSITY: np.bincount(puncta["frame"].to_numpy(), minlength=truth.n_frames) / area_um2,
        PHOTONS: photons,
        BACKGROUND: background,
        SIGMA: sigma_nm,
        SNR: peak_snr(
            photons,
            background,
            sigma_nm / truth.pixel_size_nm,
            truth.camera.excess,
            np.asarray(truth.camera.read_variance),
        ),
        STEP: step,
        DARK: dark,
        AMPLITUDE: _column(events, "amplitude_dff"),
        DURATION: _column(events, "end_frame") - _column(events, "onset_frame"),
    }


def _example(sample: Path, truth: Truth, k: int) -> Example:
    """Frame number k of `N_EXAMPLES` that are spread over a movie."""
    frame = k * truth.n_frames // N_EXAMPLES
    try:
        with tifffile.TiffFile(sample / "movie.tif") as tiff:
            piezo1, calcium = (tiff.pages[2 * frame + c].asarray().astype(np.float32) for c in (0, 1))
    except (OSError, IndexError, ValueError) as error:
        raise SimulationError(f"{sample / 'movie.tif'} cannot be read: {error}") from error
    rows = truth.puncta[truth.puncta["frame"] == frame]
    xy = rows[["x_nm", "y_nm"]].to_numpy(np.float64) / truth.pixel_size_nm
    return Example(piezo1, calcium, xy, rows["calcium_on"].to_numpy(np.bool_))


def _column(table: pd.DataFrame, name: str) -> Array:
    return table[name].to_numpy(np.float64)


def _spread(n: int, most: int) -> Sequence[int]:
    """At most `most` indices spread over n."""
    return range(n) if n <= most else [i * n // most for i in range(most)]
