"""The health bar: all readings, in words and not by colour alone, never cut off."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QMainWindow

from dashboard.models.colours import THEMES
from dashboard.models.panels import Badge, Reading
from dashboard.views.health_bar import HealthBar, rows_of, worst
from dashboard.views.health_items import LOOKS, shortened
from dashboard.views.theme import use_theme

pytestmark = pytest.mark.timeout(60)
DARK = THEMES["dark"]
BADGE = Badge("live", "LIVE: a microscope is imaging (cell 3)")
ADVICE = (
    "Frames a second that get their result, over the last 5 s. Below 95% of frames in, the analysis falls "
    "behind. Image more slowly or a smaller field, raise the detection threshold if there are many false "
    "puncta, or close other programs."
)
WELL = (
    Reading("clock", "12345.67 s, frame 1,234,567, now", meaning="Time of the newest frame."),
    Reading("frames in", "100.0 /s", meaning="Frames a second."),
    Reading("frames out", "100.0 /s", meaning=ADVICE),
    Reading("latency", "12 ms (p99 31 ms)", meaning="From a frame to its result."),
    Reading("missing", "none", meaning="Frames without a result."),
    Reading("queue", "0", meaning="Frames that wait."),
    Reading("engine", "wavelet on CPU (2 threads)"),
    Reading("GPU memory", "no GPU in use"),
    Reading("disk", "123.4 GB left, 10 h"),
    Reading(
        "recording", "results into D:/runs/2026-11-23_cell3_001; raw images into D:/raw/2026-11-23_cell3"
    ),
    Reading("this window", "shows every result"),
)
SLOW = Reading("latency", "212 ms (p99 431 ms)", "caution", "slow", "The slowest stage tells why.")
BEHIND = Reading("frames out", "78.3 /s", "alarm", "falls behind", ADVICE)
ILL = (*WELL[:2], BEHIND, SLOW, *WELL[4:])


@pytest.fixture
def window(qtbot):
    """`window(width)`: a window with a health bar on top."""

    def make(width: int) -> tuple[QMainWindow, HealthBar]:
        window, bar = QMainWindow(), HealthBar()
        qtbot.addWidget(window)
        window.setMenuWidget(bar)
        window.setCentralWidget(QLabel("images"))
        window.resize(width, 400)
        use_theme(window, "dark")
        with qtbot.waitExposed(window):
            window.show()
        return window, bar

    return make


def test_everything_is_said_in_words(window):
    _, bar = window(1280)
    bar.present(BADGE, WELL)
    assert bar.said().splitlines() == [
        "● LIVE",
        *(f"{reading.name}: {reading.text}" for reading in WELL),
        BADGE.text,
    ]
    bar.present(BADGE, ILL)
    lines = bar.said().splitlines()
    assert "frames out: 78.3 /s ■ falls behind" in lines and "latency: 212 ms (p99 431 ms) ▲ slow" in lines
    assert lines[-1] == f"■ falls behind – frames out: {ADVICE}"
    assert bar.accessibleDescription() == bar.said()
    for item, reading in zip(bar.items, ILL, strict=True):
        assert item.accessibleName() == item.said() and reading.meaning in item.toolTip()
        assert reading.text in item.toolTip()


def test_the_worst_reading_is_told_and_of_equal_ones_the_first():
    assert worst(WELL) is None
    assert worst((*WELL, SLOW)) is SLOW
    assert worst((SLOW, BEHIND, replace(BEHIND, name="disk"))) is BEHIND


@pytest.mark.parametrize("width", [1000, 1280, 1600, 3840])
@pytest.mark.parametrize("readings", [WELL, ILL])
def test_nothing_is_cut_off_at_any_width(window, qapp, width, readings):
    main, bar = window(width)
    bar.present(BADGE, readings)
    for _ in range(3):
        qapp.processEvents()
    assert main.width() == width and bar.width() == width
    assert bar.height() == bar.heightForWidth(width)
    rects = [item.geometry() for item in (bar.badge, *bar.items)]
    assert all(bar.rect().contains(rect) for rect in (*rects, bar.sentence.geometry()))
    assert not any(a.intersects(b) for i, a in enumerate(rects) for b in rects[:i])
    assert all(item.width() >= item.needed_px() for item in bar.items)
    assert bar.sentence.height() >= bar.sentence.heightForWidth(bar.sentence.width())
    n_rows = len({rect.y() for rect in rects})
    assert n_rows == {1000: 2, 1280: 2, 1600: n_rows, 3840: 1}[width]
    assert main.centralWidget().y() >= bar.height()


def test_numbers_are_never_shortened_but_long_paths_are():
    for reading in ILL:
        if reading.name != "recording":
            assert shortened(reading.text) == reading.text
    short = shortened(WELL[9].text)
    assert (
        len(short) == 46 and short.startswith("results into D:/runs/") and short.endswith("2026-11-23_cell3")
    )


@pytest.mark.parametrize("name", THEMES)
def test_levels_have_their_colour_besides_symbol_and_word(window, picture, where, name):
    main, bar = window(1280)
    theme = use_theme(main, name)
    bar.present(BADGE, ILL)
    expected = {"frames out": theme.alarm, "latency": theme.caution}
    for item in bar.items:
        image = picture(item)
        for colour in (theme.alarm, theme.caution):
            assert where(image, colour).any() == (expected.get(item.reading.name) == colour)
        assert where(image, theme.text, 40).any()


def test_badges_are_told_apart_without_colour(window, picture, where):
    assert len({look.word for look in LOOKS.values()}) == len(LOOKS)
    shapes = {(look.border, look.round, look.is_filled) for look in LOOKS.values()}
    assert len(shapes) == len(LOOKS)
    _, bar = window(1280)
    painted = []
    for kind in LOOKS:
        bar.present(Badge(kind, kind), WELL)
        assert LOOKS[kind].word in bar.said()
        painted.append(where(picture(bar.badge), DARK.panel, 40))  # its shape on the ground
    for i, one in enumerate(painted):
        assert one.shape == painted[0].shape  # nothing moves
        assert all(np.mean(one != other) > 0.03 for other in painted[:i])


def test_what_stays_is_not_touched(window, paintings, monkeypatch):
    _, bar = window(1280)
    bar.present(BADGE, ILL)
    again = tuple(replace(reading) for reading in ILL)
    assert paintings(bar.items[0], lambda: bar.present(replace(BADGE), again)) == 0
    touched = []
    monkeypatch.setattr(bar.sentence, "setText", touched.append)
    monkeypatch.setattr(bar, "updateGeometry", lambda: touched.append("geometry"))
    later = (replace(ILL[0], text="12345.69 s, frame 1,234,568, now"), *again[1:])
    assert paintings(bar.items[0], lambda: bar.present(BADGE, later)) == 1
    assert touched == []
    assert paintings(bar.items[1], lambda: bar.present(BADGE, ILL)) == 0


def test_images_do_not_jump_when_digits_or_levels_come_and_go(window, qapp):
    main, bar = window(1280)
    heights, places = [], []
    for readings in (ILL, WELL, (replace(WELL[0], text="9.5 s, frame 1,134,567, now"), *WELL[1:]), ILL):
        bar.present(BADGE, readings)
        for _ in range(3):
            qapp.processEvents()
        heights.append(main.centralWidget().y())
        places.append([item.x() for item in bar.items[:2]])
    assert len(set(heights)) == 1 and places[1] == places[2]


def test_the_keyboard_goes_from_reading_to_reading(window, qtbot):
    main, bar = window(1280)
    bar.present(BADGE, ILL)
    main.activateWindow()
    bar.clearFocus()
    bar.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(bar.hasFocus)
    assert bar.sentence.text() == "clock: Time of the newest frame."
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    assert bar.sentence.text() == "frames in: Frames a second."
    qtbot.keyClick(bar, Qt.Key.Key_Left)
    qtbot.keyClick(bar, Qt.Key.Key_Left)
    assert bar.sentence.text().startswith("this window")
    bar.clearFocus()
    assert bar.sentence.text().startswith("■ falls behind")


def test_other_readings_take_the_place_of_those_before(window, qapp):
    _, bar = window(1280)
    for readings in (WELL, WELL[:3], (), ILL):
        bar.present(BADGE, readings)
        qapp.processEvents()
        assert [item.reading for item in bar.items] == list(readings)
        assert [item.isVisible() for item in bar.items] == [True] * len(readings)


@given(st.lists(st.integers(1, 300), max_size=30), st.integers(1, 1000))
def test_rows_keep_the_order_and_overflow_only_with_a_single_item(widths, room):
    rows = rows_of(widths, room)
    assert [i for row in rows for i in row] == list(range(len(widths)))
    for row, after in zip(rows, [*rows[1:], []], strict=True):
        assert len(row) <= 1 or sum(widths[i] for i in row) <= room
        assert not after or sum(widths[i] for i in row) + widths[after[0]] > room
