"""The truth of a simulated sample, read back from its folder."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from model.camera import Camera
from train.simulation_config import SimulationError

TRUTH_COLUMNS = (
    "frame",
    "time_s",
    "track_id",
    "x_nm",
    "y_nm",
    "photons",
    "background",
    "psf_sigma_nm",
    "calcium_dff",
    "calcium_open",
)
EVENT_COLUMNS = (
    "event_id",
    "track_id",
    "onset_frame",
    "peak_frame",
    "end_frame",
    "onset_s",
    "duration_s",
    "amplitude_dff",
    "x_nm",
    "y_nm",
)


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


def _read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    table = pd.read_csv(path)
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"{path.name} lacks the column {missing[0]}")
    return table
