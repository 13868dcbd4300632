"""Results, events, pictures and sessions made by hand, and a real run, for tests of the dashboard."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any

import numpy as np
import pytest

from acquire.frame import Frame
from dashboard.demo import SAMPLE
from model.localizations import Localizations
from stream import wire
from stream.load import load_config
from stream.pipeline import RunOutcome, Supervisor
from stream.results import CalciumEvent, CalciumTransient, CalciumUpdate, FrameResult, TrackUpdate
from train.truth import load_truth

INTERVAL_S = 0.02
PIXEL_SIZE_NM = 108.0
N_DEMO_FRAMES = 100
LOOKAHEAD = 1  # frames that the network waits for before it tells of one
FRAME_S = 0.03  # slower than pictures may come, so that a window gets nearly all of them


def _column(given: Any, n: int, otherwise: float) -> np.ndarray:
    return np.full(n, otherwise if given is None else given, np.float32)


def _ids(given: Any) -> np.ndarray:
    return np.asarray(given, np.int64).reshape(-1)


def _result(
    seq: int,
    n: int | None = None,
    track_ids: Sequence[int] | None = None,
    x: Any = None,
    y: Any = None,
    dff: Any = None,
    events: Sequence[CalciumEvent] = (),
    stage_ms: dict[str, float] | None = None,
    missing_before: int = 0,
    *,
    time_s: float | None = None,
    photons: Any = None,
    sd: Any = None,
    background: Any = None,
    probability: Any = None,
    calcium_probability: Any = None,
    state: Any = None,
    is_open: Any = None,
    gap_ids: Sequence[int] = (),
    gap_x: Any = None,
    gap_y: Any = None,
    gap_dff: Any = None,
    born: Sequence[int] = (),
    confirmed: Sequence[int] = (),
    died: Sequence[int] = (),
    dropped: Sequence[int] = (),
    transients: Sequence[CalciumTransient] = (),
    wave_share: float = 0.0,
    latency_ms: float = 10.0,
) -> FrameResult:
    if n is None:
        given = next((v for v in (track_ids, x, y, dff) if v is not None and np.ndim(v)), ())
        n = len(given)
    row = np.arange(n)
    n_gap = len(gap_ids)
    sd_px = _column(sd, n, 0.2)
    return FrameResult(
        seq=seq,
        time_s=seq * INTERVAL_S if time_s is None else time_s,
        missing_before=missing_before,
        localizations=Localizations(
            x_px=_column(x if x is not None else 10.0 + 3 * row, n, 0),
            y_px=_column(y if y is not None else 20.0 + 2 * row, n, 0),
            x_sd_px=sd_px,
            y_sd_px=sd_px.copy(),
            photons=_column(photons, n, 1000.0),
            background=_column(background, n, 20.0),
            psf_sigma_px=_column(None, n, 1.4),
            probability=_column(probability, n, 0.9),
            calcium_probability=_column(calcium_probability, n, np.nan),
        ),
        tracks=TrackUpdate(
            track_id=_ids(row if track_ids is None else track_ids),
            gap_track_id=_ids(gap_ids),
            gap_x_px=_column(gap_x, n_gap, 5.0),
            gap_y_px=_column(gap_y, n_gap, 5.0),
            born=_ids(born),
            confirmed=_ids(confirmed),
            died=_ids(died),
            dropped=_ids(dropped),
        ),
        calcium=CalciumUpdate(
            dff=_column(dff, n, 0.0),
            is_open=np.full(n, False if is_open is None else is_open, np.bool_),
            state=np.full(n, 0 if state is None else state, np.int8),
            gap_dff=_column(gap_dff, n_gap, np.nan),
            gap_is_open=np.zeros(n_gap, np.bool_),
            gap_state=np.full(n_gap, -1, np.int8),
            events=tuple(events),
            transients=tuple(transients),
            wave_share=wave_share,
        ),
        stage_ms={"localize": 4.0, "track": 1.0} if stage_ms is None else stage_ms,
        latency_ms=latency_ms,
    )


@pytest.fixture(scope="session")
def make_result() -> Callable[..., FrameResult]:
    """`make_result(seq, n=, track_ids=, x=, y=, dff=, events=, stage_ms=, missing_before=, …)`.

    Columns may be numbers or sequences; n follows from them. Tracks are 0 … n − 1 at (10 + 3 i, 20 + 2 i)
    and frames 20 ms apart where nothing else is said.
    """
    return _result


@pytest.fixture(scope="session")
def make_event() -> Callable[..., CalciumEvent]:
    """`make_event(event_id, track_id=0, onset=10, peak=12, end=20, amplitude=0.5, x=, y=, **fields)`."""

    def event(
        event_id: int,
        track_id: int = 0,
        onset: int = 10,
        peak: int | None = None,
        end: int | None = None,
        amplitude: float = 0.5,
        x: float = 10.0,
        y: float = 20.0,
        **fields: Any,
    ) -> CalciumEvent:
        peak = onset + 2 if peak is None else peak
        end = peak + 8 if end is None else end
        values: dict[str, Any] = {
            "event_id": event_id,
            "track_id": track_id,
            "onset_frame": onset,
            "peak_frame": peak,
            "end_frame": end,
            "onset_s": onset * INTERVAL_S,
            "peak_s": peak * INTERVAL_S,
            "end_s": end * INTERVAL_S,
            "amplitude_dff": amplitude,
            "rise_s": 0.02,
            "decay_s": 0.1,
            "area_dff_s": 0.05,
            "snr": 8.0,
            "calcium_probability": 0.95,
            "in_wave": False,
            "x_px": x,
            "y_px": y,
        }
        return CalciumEvent(**values | fields)

    return event


@pytest.fixture(scope="session")
def make_picture() -> Callable[..., Frame]:
    """`make_picture(seq, pixels=None, shape=(2, 8, 8), value=100)`: a frame of raw counts."""

    def picture(
        seq: int, pixels: Any = None, shape: tuple[int, int, int] = (2, 8, 8), value: int = 100
    ) -> Frame:
        counts = np.full(shape, value, np.uint16) if pixels is None else np.asarray(pixels, np.uint16)
        return Frame(seq, seq * INTERVAL_S, counts)

    return picture


@pytest.fixture(scope="session")
def make_session() -> Callable[..., wire.Session]:
    """`make_session(**fields)`: a session of two 64 × 64 channels at 50 frames/s and 108 nm pixels."""

    def session(**fields: Any) -> wire.Session:
        values: dict[str, Any] = {
            "name": "movie",
            "description": "made by hand",
            "kind": "replay",
            "folder": "runs/made_by_hand",
            "host": "here",
            "shape": (2, 64, 64),
            "n_frames": 1000,
            "interval_s": INTERVAL_S,
            "pixel_size_nm": PIXEL_SIZE_NM,
            "bit_depth": 16,
            "delivery": "lossless",
            "has_calcium": True,
            "transform": None,
            "engine": "none, made by hand",
            "saves_raw": "",
            "notes": [],
        }
        return wire.Session(**values | fields)

    return session


@pytest.fixture(scope="session")
def make_health() -> Callable[..., wire.Health]:
    """`make_health(**fields)`: how a run goes where all is well."""

    def health(**fields: Any) -> wire.Health:
        values: dict[str, Any] = {
            "n_out": 100,
            "n_sent": 102,
            "waiting": 2,
            "missing": {},
            "recorded": 90,
            "run_bytes": 10**6,
            "disk_free_bytes": 10**11,
            "gpu": None,
            "detection": wire.Dial(0.3, 0.01, 0.99, "probability"),
            "calcium": wire.Dial(4.5, 2.0, 12.0, "SD"),
            "log": [],
        }
        return wire.Health(**values | fields)

    return health


class Valve:
    """Lets as many frames of a replay through as a test wants, so that no step of it races the run."""

    def __init__(self) -> None:
        self._open = Semaphore(0)
        self.n = 0  # frames let through

    def let(self, up_to: int) -> None:
        """Let frames through so that the newest result is that of frame `up_to`."""
        n = min(up_to + 1 + LOOKAHEAD, N_DEMO_FRAMES) - self.n
        self.n += n
        self._open.release(n)

    def paced(self, frames: Iterator[Frame], speed: object, stop: Event) -> Iterator[Frame]:
        """As `stream.publisher.paced`."""
        for frame in frames:
            while not self._open.acquire(timeout=0.05):
                if stop.is_set():
                    return
            if stop.wait(FRAME_S):
                return
            yield frame


class Replay:
    """A run of the shipped sample in threads of this process, its desk and results on real sockets."""

    def __init__(self, folder: Path, valve: Valve) -> None:
        camera = load_truth(SAMPLE).camera
        options = {
            "source.path": SAMPLE / "movie.tif",
            "camera.offset": camera.offset,
            "camera.e_per_adu": camera.e_per_adu,
            "camera.read_noise_e": camera.read_noise_e,
            "output.folder": folder,
        }
        self.valve = valve
        self.supervisor = Supervisor(load_config(options=options), transport="inproc")
        self.outcome: RunOutcome | None = None
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.outcome = self.supervisor.run()

    def end(self) -> RunOutcome:
        """Wait for its end, which is no failure."""
        self._thread.join(60)
        assert self.outcome is not None and not self.outcome.problem
        return self.outcome

    def close(self) -> None:
        """End it if it goes on still."""
        if self._thread.is_alive():
            self.supervisor._count_signal()
            self._thread.join(30)


@pytest.fixture
def replay(tmp_path, monkeypatch) -> Iterator[Callable[[], Replay]]:
    """Start a run whose frames the test lets through."""
    runs: list[Replay] = []

    def start() -> Replay:
        valve = Valve()
        monkeypatch.setattr("stream.publisher.paced", valve.paced)
        runs.append(Replay(tmp_path / "runs", valve))
        return runs[-1]

    yield start
    for run in runs:
        run.close()
