"""What somebody does with the dashboard in an experiment, from opening it to the end of the run."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from dashboard.controllers.dashboard import Dashboard
from dashboard.controllers.memory import SETTINGS_FILE, Memory
from dashboard.demo import SAMPLE
from dashboard.views.help import HelpPanel
from dashboard.views.shortcuts import SHORTCUTS
from dashboard.views.window import DashboardWindow
from stream.record.run import open_run
from stream.watch.client import Watcher

pytestmark = pytest.mark.timeout(120)
N_FRAMES = 100
LEFT, PLAIN, Key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.Key
WAIT_MS = 30_000


@pytest.fixture
def opened(tmp_path, monkeypatch, qtbot) -> Iterator[Callable[[], Dashboard]]:
    """Open a dashboard that finds runs by itself, and remembers what it is told in a file of the test."""
    monkeypatch.setenv(SETTINGS_FILE, str(tmp_path / "settings.ini"))
    monkeypatch.setenv("PIEZO1_RUNS", str(tmp_path / "announced"))
    watchers: list[Watcher] = []

    def open_one() -> Dashboard:
        watchers.append(Watcher(pictures=True))
        window = DashboardWindow()
        qtbot.addWidget(window)
        dashboard = Dashboard(watchers[-1], window, Memory())
        dashboard.start()
        window.activateWindow()
        return dashboard

    yield open_one
    for watcher in watchers:
        watcher.close()


class User:
    """Hands and eyes of somebody at the dashboard."""

    def __init__(self, qtbot, dashboard: Dashboard) -> None:
        self.qtbot, self.dashboard, self.window = qtbot, dashboard, dashboard.window

    def until(self, what: Callable[[], object]) -> None:
        self.qtbot.waitUntil(lambda: bool(what()), timeout=WAIT_MS)

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = PLAIN) -> None:
        focused = QApplication.focusWidget()
        self.qtbot.keyClick(focused if focused is not None else self.window, key, modifier)

    def sees(self, seq: int) -> None:
        """Wait until that frame is drawn."""
        self.until(lambda: self.dashboard.scene is not None and self.dashboard.scene.seq == seq)

    def has(self, seq: int) -> None:
        """Wait until the result of that frame has come."""
        books = self.dashboard.watched.books
        self.until(lambda: books.history.newest == seq)

    def click_punctum(self) -> int:
        """Click the punctum of a track that has most room around it; gives the track's id."""
        images, marks = self.window.images, self.dashboard.scene.marks
        pane = images.views[0].pane
        at = images.views[0].marks.on_screen()
        apart = np.linalg.norm(at[:, None] - at, axis=2) + 1e9 * np.eye(len(at))
        edge = np.minimum(at, [pane.width(), pane.height()] - at).min(axis=1)
        room = np.where((marks.track_id >= 0) & (edge > 20), apart.min(axis=1), 0)
        row = int(room.argmax())
        scene_at = pane.mapToScene(*at[row])
        self.click(images.canvas.viewport(), images.canvas.mapFromScene(scene_at))
        return int(marks.track_id[row])

    def click(self, widget, at: QPoint | None = None) -> None:
        self.qtbot.mouseClick(widget, LEFT, PLAIN, at if at is not None else widget.rect().center())


def rgb(image: QImage) -> np.ndarray:
    """Red, green and blue (in any order) of each pixel (H, W, 3)."""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)[..., :3].astype(float)


def painted(dashboard: Dashboard, channel: int) -> np.ndarray:
    """Grey in the middle of each pixel of the camera, read from the painted view (H, W), NaN out of sight."""
    image = rgb(dashboard.window.images.grab_images()[channel])
    image = np.where(np.ptp(image, axis=2) == 0, image[..., 0], np.nan)  # what is coloured is no picture
    (x0, x1), (y0, y1) = dashboard.window.images.visible_range()
    height, width = dashboard.scene.picture.shape[1:]
    read = np.full((height, width), np.nan)
    for y in range(height):
        for x in range(width):
            column = int((x - x0) / (x1 - x0) * image.shape[1])
            row = int((y - y0) / (y1 - y0) * image.shape[0])
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                read[y, x] = image[row, column]
    return read


def check_picture(dashboard: Dashboard, movie: np.ndarray) -> None:
    """What the image items hold, and what was painted, is the frame that the scene names."""
    scene, images = dashboard.scene, dashboard.window.images
    assert scene.seq - 2 <= scene.picture_seq <= scene.seq
    for channel in (0, 1):
        counts = movie[scene.picture_seq, channel]
        (plate, *_) = images.views[channel].picture.plates
        np.testing.assert_array_equal(plate.counts, counts)
        low, high = images.contrast[channel].low, images.contrast[channel].high
        wanted = np.clip((counts - low) / (high - low), 0, 1) * 255
        off = np.abs(painted(dashboard, channel) - wanted)
        seen = np.isfinite(off)  # the rest lies outside, or there is something written over it
        assert seen.sum() > 300
        assert np.quantile(off[seen], 0.9) <= 2


def run_json(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_an_experiment_at_the_dashboard(qtbot, opened, replay):
    movie = tifffile.imread(SAMPLE / "movie.tif").reshape(N_FRAMES, 2, 128, 128)
    dashboard = opened()
    window, watched = dashboard.window, dashboard.watched
    user = User(qtbot, dashboard)
    assert watched.link.state == "searching"
    run = replay()
    run.valve.let(59)
    user.sees(59)
    folder = Path(watched.session.folder)

    # Click on a punctum: its track is selected, and has the first trace.
    track = user.click_punctum()
    user.until(lambda: len(window.traces.track_id) and window.traces.track_id[0] == track)
    assert watched.selected == (track,)
    user.until(lambda: dashboard.scene.selected == (track,))

    # Hold this moment: the run goes on, and what is said about the moment stays true.
    user.press(Key.Key_Space)
    run.valve.let(79)
    user.has(79)
    assert dashboard.scene.seq == 59
    user.until(lambda: window.playbar.caption.text == "frame 59 · frozen, 1.0 s back")
    user.until(lambda: window.playbar.slider.maximum() == 79)
    user.until(lambda: window.events.model.rowCount() == len(watched.events().events))
    assert window.raster.to_s - window.raster.from_s < 5  # what there is, not an empty minute

    # An event: one click selects its track and looks at it, two show its peak.
    events = window.events
    near = [e for e in watched.events().events if 20 < e.x_px < 108 and 20 < e.y_px < 108]
    event = next(e for e in near if e.track_id != track and e.peak_frame >= 25)
    index = events.model.index(events.model.row_of(event.event_id), 0)
    events.table.scrollTo(index)
    viewport, at = events.table.viewport(), events.table.visualRect(index).center()
    user.click(viewport, at)
    user.until(lambda: dashboard.scene.selected == (event.track_id,))
    (x0, x1), (y0, y1) = window.images.visible_range()
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((event.x_px, event.y_px), abs=0.01)
    assert dashboard.scene.seq == 59
    qtbot.mouseDClick(viewport, LEFT, PLAIN, at)
    user.sees(event.peak_frame)
    assert window.playbar.slider.value() == event.peak_frame
    assert watched.playback.state == "frozen"
    display = dashboard.display
    dashboard.use_display(display.model_copy(update={"puncta": False, "tails": "off", "saturation": False}))
    user.sees(event.peak_frame)
    qtbot.wait(50)
    check_picture(dashboard, movie)
    dashboard.use_display(display)

    # A higher detection threshold, by the slider: from the frame that the answer names on there are fewer.
    dial = window.controls.dials["detection"]
    dial.slider.setFocus()
    user.press(Key.Key_End)
    user.until(lambda: dial.state.text().startswith("in force from frame"))
    first = int(dial.state.text().split()[-1])
    assert 79 < first <= 81
    run.valve.let(90)
    user.has(90)
    history = watched.books.history
    before, after = (
        [len(history.result(seq).localizations) for seq in s] for s in (range(70, 80), range(first, 91))
    )
    assert max(after) < 0.8 * min(before)
    user.until(lambda: run_json(folder)["adjustments"])
    (entry,) = run_json(folder)["adjustments"]
    assert (entry["which"], entry["frame"], entry["from"]) == ("detection", first, 0.35)
    assert entry["to"] == pytest.approx(dial.value, abs=1e-3)
    user.until(lambda: watched.report.health.detection.value == entry["to"])
    assert entry["time_s"] == pytest.approx((first - 1) * 0.05, abs=0.11)
    assert entry["time"][:10] == folder.name[:10] or entry["time"] > folder.name

    # A remark about the moment that is held, and the track that is selected.
    user.press(Key.Key_A)
    qtbot.keyClicks(QApplication.focusWidget(), "Drug? Washed in: 0.5 µM")
    user.press(Key.Key_Return)
    user.until(lambda: run_json(folder)["annotations"])
    (entry,) = run_json(folder)["annotations"]
    assert (entry["text"], entry["frame"]) == ("Drug? Washed in: 0.5 µM", event.peak_frame)
    nm = watched.session.pixel_size_nm
    assert (entry["x_nm"] / nm, entry["y_nm"] / nm) == pytest.approx((event.x_px, event.y_px), abs=2)
    user.until(lambda: "annotat" in window.said or "remark" in window.said)

    # What is shown, saved.
    user.until(lambda: dashboard.is_up_to_date)
    scene = dashboard.scene
    shown = window.images.canvas.grab().toImage()
    user.press(Key.Key_S)
    (png,) = (folder / "snapshots").glob("*.png")
    said = json.loads(png.with_suffix(".json").read_text(encoding="utf-8"))
    assert (said["frame"], said["picture_frame"]) == (event.peak_frame, scene.picture_seq)
    assert said["selected_tracks"] == [event.track_id]
    assert said["thresholds"]["detection"] == dial.value
    assert [p["track_id"] for p in said["puncta"]] == scene.marks.track_id.tolist()
    np.testing.assert_allclose([p["x_px"] for p in said["puncta"]], scene.marks.x_px)
    np.testing.assert_array_equal(tifffile.imread(png.with_suffix(".tif")), movie[scene.picture_seq])
    canvas = window.images.canvas
    at = canvas.mapTo(window, QPoint(0, 0))
    part = QImage(str(png)).copy(at.x(), at.y(), canvas.width(), canvas.height())
    assert (rgb(part) != rgb(shown)).mean() < 1e-4  # lines may be rounded otherwise at the very edge
    user.press(Key.Key_E)
    (table,) = (folder / "exports").glob("*.csv")
    with table.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    wanted_header, wanted = window.events.visible_rows()
    assert header == wanted_header and rows == [[str(value) for value in row] for row in wanted]
    assert len(rows) > 20

    check_shortcuts(user)

    # The window goes, the run goes on to its end; another window is as this one was.
    user.press(Key.Key_L)
    user.press(Key.Key_D)
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, window.docks["Events"])
    window.resize(1000, 650)  # no larger than the screen of tests
    last = dashboard.display
    window.close()
    run.valve.let(N_FRAMES)
    outcome = run.end()
    assert (outcome.info["state"], outcome.info["counts"]["frames_out"]) == ("finished", N_FRAMES)
    assert len(outcome.info["adjustments"]) == len(outcome.info["annotations"]) == 1
    puncta = open_run(folder).puncta()
    n_by_frame = puncta.groupby("frame").size()
    assert n_by_frame[first:].max() < n_by_frame[: first - 1].min()
    again = opened()
    assert again.display == last != display
    assert again.window.size() == window.size()
    assert again.window.dockWidgetArea(again.window.docks["Events"]) == Qt.DockWidgetArea.LeftDockWidgetArea


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_panel_is_cut_off_at_its_side(qtbot, opened, theme):
    dashboard = opened()
    window = dashboard.window
    dashboard.use_display(dashboard.display.model_copy(update={"theme": theme}))
    window.resize(1280, 720)
    for name in ("Control", "Contrast"):
        area = window.bring_forward(name)
        qtbot.waitUntil(lambda area=area: area.viewport().width() >= area.widget().minimumSizeHint().width())


def check_shortcuts(user: User) -> None:
    """Press every key of the table once; each has its effect, and the view is left as it was."""
    dashboard, window = user.dashboard, user.window
    playback, images, scene = dashboard.watched.playback, window.images, dashboard.scene
    newest, at = dashboard.watched.books.history.newest, scene.seq
    window.centralWidget().setFocus()
    qt = {"Left": Key.Key_Left, "Right": Key.Key_Right, "Home": Key.Key_Home, "Esc": Key.Key_Escape}
    qt |= {"Space": Key.Key_Space, "F11": Key.Key_F11, "F1": Key.Key_F1, "?": Key.Key_Question}
    pressed = []

    def press(name: str) -> None:
        *modifiers, last = name.split("+")
        key = qt.get(last) or Key(ord(last))
        user.press(key, Qt.KeyboardModifier.ShiftModifier if modifiers else PLAIN)
        pressed.append(name)

    for name, seq in (("Left", at - 1), ("Right", at), ("Shift+Left", at - 20), ("Shift+Right", at)):
        press(name)
        user.sees(seq)
    for name, seq in (("Left", at - 3), ("Right", at)):
        for _ in range(3):  # faster than the window is drawn
            press(name)
        user.sees(seq)
    press("Home")
    user.sees(newest)
    assert playback.state == "following"
    press("Space")
    assert playback.state == "frozen"
    press("Space")
    assert playback.state == "following"
    for name, field in zip("LPITBD", ("layout", "puncta", "ids", "tails", "shift", "theme"), strict=True):
        was = getattr(dashboard.display, field)
        press(name)
        assert getattr(dashboard.display, field) != was
        dashboard.use_display(dashboard.display.model_copy(update={field: was}))
    both = tuple(c.model_copy(update={"auto": False}) for c in dashboard.display.contrast)
    dashboard.use_display(dashboard.display.model_copy(update={"contrast": both}))
    press("C")
    assert all(c.auto for c in dashboard.display.contrast)
    images.centre_on(40, 40)
    assert images.visible_range()[0][1] < 120
    press("0")
    assert images.visible_range()[0][1] > 120
    press("R")
    user.until(lambda: window.controls.region_rows.isVisibleTo(window.controls))
    assert images.region and window.controls.region.isChecked()
    images.region = False
    n_saved = len(list(Path(dashboard.watched.session.folder).rglob("*.*")))
    press("S")
    press("E")
    n_more = len(list(Path(dashboard.watched.session.folder).rglob("*.*"))) - n_saved
    assert n_more == 4
    press("A")
    assert QApplication.focusWidget() is window.controls.annotation.line
    press("Esc")  # leaves the line
    assert not window.controls.annotation.line.hasFocus() and dashboard.watched.selected
    press("Esc")
    assert dashboard.watched.selected == ()
    press("F11")
    assert window.isFullScreen()
    press("F11")
    assert not window.isFullScreen()
    helper = window.findChild(HelpPanel)
    for name in ("F1", "?"):
        press(name)
        assert helper.isVisible()
        helper.close()
        window.activateWindow()
    assert set(pressed) == {key for row in SHORTCUTS for key in row.keys}


def test_a_run_is_stopped_from_the_window(qtbot, opened, replay):
    dashboard = opened()
    window, user, run = dashboard.window, User(qtbot, dashboard), replay()
    run.valve.let(20)
    user.sees(20)
    stop = window.controls.stop
    user.click(stop)
    qtbot.wait(50)
    assert run.outcome is None and not run.supervisor._is_ending
    user.click(stop)
    user.until(lambda: dashboard.watched.link.state == "over")
    info = run.end().info
    assert info["state"] == "interrupted"
    n = info["counts"]["frames_out"]
    assert n == 22 == info["counts"]["last_frame"] + 1
    assert open_run(run.outcome.folder).puncta()["frame"].nunique() == n
    user.until(lambda: "interrupted" in dashboard.watched.link.text)
    user.sees(21)  # what came last is there too
    user.until(lambda: window.playbar.slider.maximum() == 21)
