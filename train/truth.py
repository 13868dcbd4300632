"""The truth of a simulated sample, read back from its folder."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from model.camera import Camera
from train.simulation_config import SimulationError

# Columns and their types, which an empty table does not show.
TRUTH_COLUMNS = {
    "frame": "int64",
    "time_s": "float64",
    "track_id": "int64",
    "x_nm": "float64",
    "y_nm": "float64",
    "photons": "float64",
    "background": "float64",
    "psf_sigma_nm": "float64",
    "calcium_dff": "float64",
    "calcium_on": "int64",  # 1 from the onset of an event until a tenth of its peak
    "diffusion_um2_s": "float64",  # empty for confined and directed puncta
}
LATER_COLUMNS = ("diffusion_um2_s",)  # which earlier samples lack; they are then empty
EVENT_COLUMNS = {
    "event_id": "int64",
    "track_id": "int64",
    "onset_frame": "int64",
    "peak_frame": "int64",
    "end_frame": "int64",
    "onset_s": "float64",
    "duration_s": "float64",
    "amplitude_dff": "float64",
    "x_nm": "float64",
    "y_nm": "float64",
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a sample.

    Attributes
    ----------
    puncta
        Columns of `ground_truth.csv`, one row a shining punctum and frame; positions in nm.
    events
        Columns of `calcium_events.csv`.
    n_frames, interval_s, pixel_size_nm, camera, image_size
        How the movie was taken; height and width in pixels.
    """

    puncta: pd.DataFrame
    events: pd.DataFrame
    n_frames: int
    interval_s: float
    pixel_size_nm: float
    camera: Camera
    image_size: tuple[int, int]


def load_truth(sample: Path) -> Truth:
    """Read the truth of the sample in a folder such as `sample_00000`.

    Raises
    ------
    SimulationError
        If it is not a complete sample.
    """
    try:
        metadata = json.loads((sample / "metadata.json").read_text(encoding="utf-8"))
        return Truth(
            _read_table(sample / "ground_truth.csv", TRUTH_COLUMNS),
            _read_table(sample / "calcium_events.csv", EVENT_COLUMNS),
            int(metadata["shape"][0]),
            float(metadata["interval_s"]),
            float(metadata["pixel_size_nm"]),
            Camera(**metadata["camera"]),
            (int(metadata["shape"][2]), int(metadata["shape"][3])),
        )
    except FileNotFoundError as error:
        raise SimulationError(
            f"{sample} is not a complete simulated sample: {Path(error.filename).name} is missing"
        ) from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SimulationError(f"{sample} is not a readable simulated sample: {error}") from error


def _read_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=columns)
    missing = [column for column in columns if column not in table]
    for column in missing:
        if column not in LATER_COLUMNS:
            raise ValueError(f"{path.name} lacks the column {column}")
        table[column] = np.nan
    return table
