"""What the tracking benchmark runs: puncta, movies, and each peer's best setting there.

The peers' settings were chosen by α on movies of seeds 5551 to 5554, from ranges of 1.5 to 10 px; the test
seeds are used here only. Ours is told nothing of a case.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from bench.tracking_methods import TrackingMethod, oracle, our_method
from bench.tracking_peers import (
    BtrackSetting,
    btrack_method,
    laptrack_method,
    trackpy_method,
)
from bench.tracking_scene import TrackingScene

FIRST_SEED = 90501
SLOW_PUNCTA = BtrackSetting(
    search_px=4.0, step_variance=0.1, accuracy=2.0, not_assigned=1e-3, max_lost=3, join_px=5.0
)
FAST_PUNCTA = replace(SLOW_PUNCTA, search_px=8.0, join_px=8.0)


@dataclass(frozen=True, slots=True)
class TrackingCase:
    """A case.

    Attributes
    ----------
    n_movies
        Movies, of seeds that follow each other.
    trackpy_px
        Search ranges with memory 3 and memory 10.
    laptrack_px
        Range of links, and of gap closing.
    btrack
        Its setting.
    n_batch_frames
        laptrack and btrack see a movie's first frames only, where all of them would take too long; there
        all methods are run on these frames once more.
    n_batch_movies
        How many movies they see.
    """

    scene: TrackingScene
    n_movies: int
    trackpy_px: tuple[float, float]
    laptrack_px: tuple[float, float]
    btrack: BtrackSetting
    n_batch_frames: int
    n_batch_movies: int = 1

    @property
    def seeds(self) -> range:
        """Of its movies."""
        return range(FIRST_SEED, FIRST_SEED + self.n_movies)

    def online(self) -> list[TrackingMethod]:
        """The methods that take frame by frame, and the ceiling."""
        memories = zip(self.trackpy_px, (3, 10), strict=True)
        return [our_method(), *(trackpy_method(px, memory) for px, memory in memories), oracle()]

    def batch(self, btrack_python: Path | None) -> list[TrackingMethod]:
        """The methods that take movies."""
        methods = [laptrack_method(*self.laptrack_px)]
        return methods if btrack_python is None else [*methods, btrack_method(btrack_python, self.btrack)]


CASES: tuple[TrackingCase, ...] = (
    TrackingCase(
        TrackingScene(name="50 puncta", n_puncta=50),
        n_movies=12,
        trackpy_px=(5.0, 5.0),
        laptrack_px=(2.0, 4.0),
        btrack=SLOW_PUNCTA,
        n_batch_frames=500,
    ),
    TrackingCase(
        TrackingScene(name="200 puncta", n_puncta=200),
        n_movies=2,
        trackpy_px=(4.0, 4.0),
        laptrack_px=(3.0, 4.0),
        btrack=SLOW_PUNCTA,
        n_batch_frames=100,
    ),
    TrackingCase(
        TrackingScene(name="1000 puncta", n_puncta=1000),
        n_movies=1,
        trackpy_px=(3.0, 3.0),
        laptrack_px=(2.5, 3.5),
        btrack=SLOW_PUNCTA,
        n_batch_frames=30,
    ),
    TrackingCase(
        TrackingScene(name="fast, 200 puncta", n_puncta=200, mobile_px2=2.0, slow_px2=0.1),
        n_movies=2,
        trackpy_px=(7.0, 6.0),
        laptrack_px=(6.0, 8.0),
        btrack=FAST_PUNCTA,
        n_batch_frames=100,
    ),
)
