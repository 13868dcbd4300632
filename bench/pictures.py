"""The README's pictures of the dashboard: real runs of the shipped sample, watched by the real window."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from PySide6.QtWidgets import QApplication
from rich.console import Console

from dashboard.controllers.dashboard import Dashboard
from dashboard.demo import SAMPLE
from dashboard.models.display import Display
from stream.load import load_config
from stream.pipeline import RunOutcome, Supervisor
from stream.results import StreamError
from stream.status import Bound, Status
from train.truth import load_truth

SIZE = (1600, 900)
PATIENCE_S = 60.0
LOOK_S = 0.7  # until panels that are read a few times a second have followed
OVERLOAD_S = 6.0
# More than two cores analyse at the demo camera's 12 ms: the overload is real.
OVERLOAD = {"microscope.exposure_ms": 12.0, "source.max_frames": 4000}


def run(folder: Path, console: Console) -> list[Path]:
    """Draw all pictures into `folder`; gives their paths.

    Raises
    ------
    StreamError
        If a run fails or nothing comes of it in time.
    """
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="piezo1-pictures-") as name:
        scratch = Path(name)
        os.environ["PIEZO1_SETTINGS"] = str(scratch / "settings.ini")  # not those of whoever runs this
        made = [*_of_a_replay(folder, scratch), *_of_an_overload(folder, scratch)]
    for path in made:
        console.print(str(path))
    return made


def _of_a_replay(folder: Path, scratch: Path) -> Iterator[Path]:
    """Both themes, and an event that is selected and looked back at."""
    options = {
        "source.path": SAMPLE / "movie.tif",
        "source.speed": "realtime",
        **_known_conditions(),
        "output.folder": scratch,
    }
    with _watched(options) as (app, dashboard, outcomes):
        _wait(app, lambda: bool(outcomes), "the replay did not end")
        _pass(app, LOOK_S)
        yield _save(dashboard, folder / "dashboard_dark.png")
        dashboard.use_display(dashboard.display.model_copy(update={"theme": "light"}))
        _pass(app, LOOK_S)
        yield _save(dashboard, folder / "dashboard_light.png")
        dashboard.use_display(dashboard.display.model_copy(update={"theme": "dark", "layout": "composite"}))
        books = dashboard.watched.books
        assert books is not None
        highest = max(books.events.all, key=lambda event: event.amplitude_dff)
        dashboard.looking.jump_to_event(highest.event_id)
        _pass(app, LOOK_S)
        yield _save(dashboard, folder / "dashboard_event.png")
        dashboard.use_display(Display())


def _of_an_overload(folder: Path, scratch: Path) -> Iterator[Path]:
    """Demo cameras that are faster than the analysis."""
    options = {
        "source.kind": "microscope",
        "source.delivery": "live",
        "microscope.camera": "demo",
        "microscope.scene": SAMPLE / "movie.tif",
        "optics.pixel_size_nm": load_truth(SAMPLE).pixel_size_nm,
        **_known_conditions(),
        **OVERLOAD,
        "output.folder": scratch,
    }
    with _watched(options) as (app, dashboard, outcomes):
        _wait(app, lambda: dashboard.n_redraws > 0, "no frame came")
        _pass(app, OVERLOAD_S)
        yield _save(dashboard, folder / "dashboard_overload.png")
        dashboard.wishing.end_run()
        _wait(app, lambda: bool(outcomes), "the run did not end")


def _known_conditions() -> dict[str, Any]:
    """Camera and PSF of the sample, as a lab knows its own."""
    truth = load_truth(SAMPLE)
    return {
        "camera.offset": truth.camera.offset,
        "camera.e_per_adu": truth.camera.e_per_adu,
        "camera.read_noise_e": truth.camera.read_noise_e,
        "optics.psf_sigma_nm": float(truth.puncta["psf_sigma_nm"].iloc[0]),
    }


@contextmanager
def _watched(
    options: Mapping[str, Any],
) -> Iterator[tuple[QApplication, Dashboard, list[RunOutcome]]]:
    """A run with a window beside it; the list has its outcome when it is over."""
    from dashboard.app import application
    from dashboard.controllers.memory import Memory
    from dashboard.views.window import DashboardWindow
    from stream.watch.client import Watcher

    desks: list[str] = []
    outcomes: list[RunOutcome] = []

    def hear(status: Status) -> None:
        if isinstance(status, Bound) and status.desk:
            desks.append(status.desk)

    supervisor = Supervisor(load_config(options=options), on_status=hear)
    thread = Thread(target=lambda: outcomes.append(supervisor.run()))
    thread.start()
    app = application()
    try:
        _wait(app, lambda: bool(desks), "the run did not say where it can be watched")
        with Watcher(desks[0], pictures=True) as watcher:
            Path(os.environ["PIEZO1_SETTINGS"]).unlink(missing_ok=True)  # each as it is at first
            window = DashboardWindow()
            window.resize(*SIZE)
            dashboard = Dashboard(watcher, window, Memory())
            dashboard.start()
            yield app, dashboard, outcomes
            window.close()
    finally:
        thread.join()
    if outcomes[0].problem:
        raise StreamError(outcomes[0].problem)


def _wait(app: QApplication, is_there: Callable[[], bool], why_not: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not is_there():
        if time.monotonic() > give_up_at:
            raise StreamError(why_not)
        _pass(app, 0.02)


def _pass(app: QApplication, seconds: float) -> None:
    """Let the window live for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        app.processEvents()
        time.sleep(0.005)


def _save(dashboard: Dashboard, path: Path) -> Path:
    if not dashboard.window.grab().save(str(path)):
        raise StreamError(f"cannot write {path}")
    return path
