import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from model.maps import BASELINE_RATE
from train.movie import write_sample
from train.simulation_config import SimulationConfig

# Tests must not depend on a terminal's width or colours.
os.environ["COLUMNS"] = "300"
os.environ["NO_COLOR"] = "1"
# Windows are painted into memory: CI has no screen.
os.environ["QT_QPA_PLATFORM"] = "offscreen"


class RunningMean:
    """The calcium baseline, image by image: the mean of all at first, then an exponential one."""

    def __init__(self) -> None:
        self.n = 0

    def step(self, photons: np.ndarray) -> np.ndarray:
        """Take an image (H, W); give the baseline with it."""
        self.n += 1
        if self.n == 1:
            self.mean = photons.astype(np.float32)
        else:
            self.mean = self.mean + np.float32(max(1 / self.n, BASELINE_RATE)) * (photons - self.mean)
        return self.mean


@pytest.fixture(scope="session", autouse=True)
def announced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs of tests are announced here, not where the user's dashboards look."""
    folder = tmp_path_factory.mktemp("announced")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIEZO1_RUNS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def running_mean() -> type[RunningMean]:
    """What the baselines of the graph and of training are compared with."""
    return RunningMean


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


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained network that finds puncta everywhere, exported: its ONNX file."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra: train)")
    from model.build import build_network, network_config
    from model.card import Trained
    from model.export import export

    torch.manual_seed(0)
    network = build_network({"kind": "streaming", "features": 4, "half": 6, "quarter": 8, "calcium": 4})
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.05, 0.2)
    torch.nn.init.normal_(network.localization.head.weight)
    torch.nn.init.zeros_(network.localization.head.bias)
    optics = {
        "sigma_px": (1.0, 1.8),
        "photons": (150, 6000),
        "background": (2, 150),
        "puncta_per_um2": (0.05, 2.8),
        "pixel_size_nm": 110,
    }
    path = tmp_path_factory.mktemp("model") / "untrained.onnx"
    trained = Trained(
        architecture=network_config(network),
        optics=optics,
        threshold=0.3,
        metrics={"jaccard": 0.1},
        training={"seed": 0},
        commit=None,
    )
    export(network, path, trained)
    torch.save(network.state_dict(), path.with_suffix(".pt"))
    return path
