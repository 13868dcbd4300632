"""A simulated movie that never ends, with puncta whose true places a stand-in engine hands out.

For benchmarks of what lies around the engine: a network takes longer on two cores than the camera for an
image of 512², so that it would be all one measures.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquire.frame import Frame, SourceInfo
from bench.calcium_movies import calcium_movie
from model.camera import Camera
from model.engines.base import RawFrame, Threshold
from model.localizations import Localizations
from train.simulation_config import SimulationConfig

N_FRAMES = 60  # of the simulation, shown forth and back
SEED = 20
ERROR_PX = 0.1


class Crowd:
    """The simulated frames; kept in a file, so that source and analysis have the same.

    Attributes
    ----------
    counts
        uint16 (n, 2, H, W).
    xy
        True positions (k, 2) of the puncta that shine in each frame, pixels.
    """

    def __init__(self, counts: NDArray[np.uint16], xy: list[NDArray[np.float32]]) -> None:
        self.counts, self.xy = counts, xy

    @classmethod
    def simulate(cls, side: int, n_puncta: int, interval_s: float) -> "Crowd":
        """Frames of `side`² with so many puncta on average."""
        config = SimulationConfig(
            image_size=(side, side), num_puncta_mean=n_puncta, n_frames=N_FRAMES, interval_ms=interval_s * 1e3
        )
        frames = list(calcium_movie(config, SEED))
        return cls(np.stack([f.counts for f in frames]), [f.xy.astype(np.float32) for f in frames])

    def save(self, path: Path) -> None:
        """Write it as npz."""
        length = [len(xy) for xy in self.xy]
        np.savez(path, counts=self.counts, xy=np.concatenate(self.xy), length=length)

    @classmethod
    def load(cls, path: Path) -> "Crowd":
        """Read what `save` wrote."""
        with np.load(path) as file:
            ends = np.cumsum(file["length"])[:-1]
            return cls(file["counts"], np.split(file["xy"], ends))

    def index(self, seq: int) -> int:
        """The simulated frame that the movie shows: forth and back, so that nothing ever jumps."""
        place = seq % (2 * len(self.counts) - 2)
        return min(place, 2 * len(self.counts) - 2 - place)


class CrowdSource:
    """Hands out `n_frames` of a crowd with the time stamps of a camera; the publisher sets the pace."""

    def __init__(self, crowd: Crowd, n_frames: int, interval_s: float) -> None:
        self._crowd, self._n_frames, self._interval_s = crowd, n_frames, interval_s
        shape = crowd.counts.shape
        self.info = SourceInfo(
            "crowd", (shape[1], shape[2], shape[3]), n_frames, interval_s, 108.0, 16, "simulated crowd"
        )
        self.losses: Mapping[str, int] = {}

    def frames(self) -> Iterator[Frame]:
        """Yield the frames."""
        for seq in range(self._n_frames):
            yield Frame(seq, seq * self._interval_s, self._crowd.counts[self._crowd.index(seq)])

    def close(self) -> None:
        """Nothing to close."""


class CrowdEngine:
    """Answers with the truth and a little noise, at once."""

    description = "the truth of the simulation"
    window = 1
    uses_gpu = False

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._rng = np.random.default_rng(SEED)
        self.threshold = Threshold(0.5, 0.01, 0.99, "probability")

    def use_threshold(self, value: float) -> None:
        """Keep it; the truth has none."""

    def prepare(self, height: int, width: int) -> None:
        """Nothing to prepare."""

    def use_camera(self, camera: Camera) -> None:
        """Any camera will do."""

    def step(self, frame: RawFrame) -> list[tuple[int, Localizations]]:
        """The puncta of a frame."""
        xy = self._crowd.xy[self._crowd.index(frame.seq)]
        n = len(xy)
        x, y = (xy + self._rng.normal(0, ERROR_PX, xy.shape)).T
        found = Localizations.from_columns(
            x_px=x,
            y_px=y,
            x_sd_px=np.full(n, ERROR_PX),
            y_sd_px=np.full(n, ERROR_PX),
            photons=np.exp(self._rng.normal(np.log(1000), 0.2, n)),
            background=np.full(n, 15.0),
            psf_sigma_px=np.full(n, 1.4),
            probability=np.full(n, 0.9),
            calcium_probability=np.full(n, 0.05),
        )
        return [(frame.seq, found)]

    def flush(self) -> list[tuple[int, Localizations]]:
        """Nothing is owed."""
        return []
