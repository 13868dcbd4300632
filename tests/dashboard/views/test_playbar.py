"""The playbar: where the moment lies, events in it, and what the user asks for."""

import numpy as np
import pytest
from PySide6 import QtCore, QtWidgets

from dashboard.models.colours import THEMES
from dashboard.views.history_slider import EVENT_COLOUR
from dashboard.views.playbar import Playbar
from dashboard.views.theme import use_theme

pytestmark = pytest.mark.timeout(60)
Key = QtCore.Qt.Key
LEFT = QtCore.Qt.MouseButton.LeftButton
NAMES = ("position", "follow", "play", "hold")
FOLLOWING = {"is_following": True, "text": "newest frame"}
FROZEN = {"is_following": False, "text": "frozen, 2.0 s back"}
PLAYING = {"is_following": False, "text": "playing at 1×", "is_playing": True}


@pytest.fixture
def bar(qtbot):
    """A playbar of 700 pixels, with what it tells as `told`: lists by name of the signal."""
    bar = Playbar()
    qtbot.addWidget(bar)
    bar.told = {name: [] for name in NAMES}
    for name in NAMES:
        getattr(bar, f"{name}_wanted").connect(lambda *said, name=name: bar.told[name].append(said))
    bar.resize(700, bar.sizeHint().height())
    bar.show()
    bar.activateWindow()
    qtbot.waitUntil(bar.isActiveWindow)
    return bar


def present(bar, state=FROZEN, oldest=100, newest=1100, seq=600, events=()):
    bar.present(oldest, newest, seq, interval_s=0.02, event_frames=events, **state)


def at(bar, share):
    groove = bar.slider.groove()
    return QtCore.QPoint(round(groove.left() + share * groove.width()), round(groove.center().y()))


def painted(widget):
    """Red, green and blue as painted, (H, W, 3)."""
    image = widget.grab().toImage().convertToFormat(widget.grab().toImage().Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)[..., 2::-1]


def columns_of(picture, colour, row):
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.flatnonzero((picture[row] == rgb).all(1))


def test_nothing_can_be_asked_before_there_are_frames(bar):
    assert not bar.isEnabled()
    present(bar)
    assert bar.isEnabled() and not any(bar.told.values())


def test_what_it_says(bar):
    present(bar)
    slider = bar.slider
    assert (slider.minimum(), slider.maximum(), slider.value()) == (100, 1100, 600)
    assert (slider.back, bar.caption.text) == ("−20.0 s", "frame 600 · frozen, 2.0 s back")
    assert (bar.play.text(), bar.follow.text()) == ("Play", "Follow")
    present(bar, FOLLOWING, newest=1200, seq=1200)
    assert (bar.play.text(), bar.follow.text(), slider.value()) == ("Pause", "Following", 1200)
    present(bar, PLAYING)
    assert (bar.play.text(), bar.follow.text()) == ("Pause", "Follow")
    assert not any(bar.told.values())


def test_a_press_goes_there_and_dragging_goes_along(bar, qtbot):
    present(bar)
    slider = bar.slider
    qtbot.mousePress(slider, LEFT, pos=at(bar, 0.25))
    assert bar.told["position"][-1][0] == pytest.approx(350, abs=5)
    present(bar, newest=1300, seq=600)  # frames come meanwhile; the handle stays in the hand
    assert slider.value() == bar.told["position"][-1][0]
    qtbot.mouseMove(slider, at(bar, 0.75))
    assert bar.told["position"][-1][0] == pytest.approx(1000, abs=6)
    qtbot.mouseRelease(slider, LEFT, pos=at(bar, 0.75))
    n_told = len(bar.told["position"])
    present(bar, newest=1300, seq=1000)
    assert slider.value() == 1000 and len(bar.told["position"]) == n_told
    qtbot.mouseClick(slider, LEFT, pos=at(bar, 2.0))  # beyond the end
    assert bar.told["position"][-1] == (1300,)


def test_keys_on_the_slider(bar, qtbot):
    present(bar)
    bar.slider.setFocus()
    for key in (Key.Key_Left, Key.Key_Right, Key.Key_PageUp):
        qtbot.keyClick(bar.slider, key)
    assert [seq for (seq,) in bar.told["position"]] == [599, 600, 650]  # a page is a second
    for widget in (bar.slider, bar.play, bar.speed, bar.follow):
        assert widget.focusPolicy() & QtCore.Qt.FocusPolicy.TabFocus
    assert bar.slider.accessibleName() and bar.speed.accessibleName()


def test_play_pause_speed_and_follow(bar, qtbot):
    present(bar)
    qtbot.mouseClick(bar.play, LEFT)
    assert bar.told["play"] == [(1.0,)]
    bar.speed.setFocus()
    qtbot.keyClick(bar.speed, Key.Key_Up)
    assert len(bar.told["play"]) == 1  # it does not play yet
    present(bar, PLAYING)
    for key in (Key.Key_Up, Key.Key_Down, Key.Key_Down, Key.Key_Down):
        qtbot.keyClick(bar.speed, key)
    assert bar.told["play"][1:] == [(0.25,), (0.5,), (1.0,), (2.0,)]
    qtbot.mouseClick(bar.play, LEFT)
    assert bar.told["hold"] == [()]
    present(bar, FOLLOWING)
    qtbot.mouseClick(bar.play, LEFT)
    assert bar.told["hold"] == [(), ()] and len(bar.told["play"]) == 5
    qtbot.mouseClick(bar.follow, LEFT)
    assert bar.told["follow"] == [()]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_events_and_the_moment_are_painted_where_they_are(bar, theme):
    use_theme(bar, theme)
    present(bar, seq=850, events=[99, 100, 350, 351, 1101])
    slider, picture = bar.slider, painted(bar.slider)
    groove = slider.groove()
    row = round(groove.center().y())
    green = columns_of(picture, EVENT_COLOUR, row)
    expected = {int(groove.left() + share * groove.width()) for share in (0.25, 0.251)}
    # The frame of the groove lies over the oldest frame.
    assert set(green) - {int(groove.left())} == expected
    handle = columns_of(picture, THEMES[theme].accent, row)
    assert handle.mean() == pytest.approx(groove.left() + 0.75 * groove.width(), abs=1)
    assert len(slider.ticks()) == 2 + len(expected) - 1


def test_the_newest_frame_lies_at_the_end_also_when_it_is_the_only_one(bar):
    present(bar, FOLLOWING, oldest=5, newest=5, seq=5)
    row = round(bar.slider.groove().center().y())
    handle = columns_of(painted(bar.slider), THEMES["dark"].accent, row)
    assert handle.mean() == pytest.approx(bar.slider.groove().right(), abs=1)


def test_nothing_is_laid_out_anew_while_time_goes_on(bar, qtbot):
    present(bar, FOLLOWING)
    QtWidgets.QApplication.processEvents()

    class Watch(QtCore.QObject):
        n = 0

        def eventFilter(self, watched, event):
            self.n += event.type() == QtCore.QEvent.Type.LayoutRequest
            return False

    watch = Watch()
    bar.installEventFilter(watch)
    for n in range(10):
        present(bar, FOLLOWING, newest=1101 + n, seq=1101 + n)
        QtWidgets.QApplication.processEvents()
    assert watch.n == 0
    present(bar, FROZEN)  # the buttons say something else
    QtWidgets.QApplication.processEvents()
    assert watch.n > 0


def test_it_fits_beside_both_docks_at_1280(bar):
    use_theme(bar, "dark")
    narrow = 1280 - 310 - 520
    assert bar.minimumSizeHint().width() <= narrow
    bar.resize(narrow, bar.sizeHint().height())
    present(bar, seq=1_234_567, oldest=1_230_000, newest=1_240_000)
    QtWidgets.QApplication.processEvents()
    assert bar.slider.groove().width() > 300
    assert bar.fontMetrics().horizontalAdvance(bar.caption.text) <= bar.caption.width()
