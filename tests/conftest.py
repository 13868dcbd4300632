import os
from collections.abc import Callable
from pathlib import Path

import pytest

from train.movie import write_sample
from train.simulation_config import SimulationConfig

# Tests must not depend on a terminal's width or colours.
os.environ["COLUMNS"] = "300"
os.environ["NO_COLOR"] = "1"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated sample: 60 dual-channel frames of 64 × 64 with about 12 puncta."""
    folder = tmp_path_factory.mktemp("data") / "sample_00000"
    write_sample(folder, SimulationConfig(image_size=(64, 64), n_frames=60, num_puncta_mean=12), 3)
    return folder


@pytest.fixture
def settings(sample: Path, tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Options of a run that replays the sample into `tmp_path / "runs"`."""

    def options(**more: object) -> dict[str, object]:
        return {
            "source.path": sample / "movie.tif",
            "camera.offset": 100.0,
            "output.folder": tmp_path / "runs",
            **{key.replace("__", "."): value for key, value in more.items()},
        }

    return options
