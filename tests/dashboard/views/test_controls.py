"""Controls: what they tell, once, and how they show what the run says."""

import pytest
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from dashboard.models.display import Display
from dashboard.views import dials, stop_button
from dashboard.views.controls import ControlPanel
from dashboard.views.theme import use_theme
from stream import wire

pytestmark = pytest.mark.timeout(60)
Key = QtCore.Qt.Key
LEFT = QtCore.Qt.MouseButton.LeftButton
DETECTION = wire.Dial(0.3, 0.01, 0.99, "probability")


class Clock:
    """A clock that tests turn."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def panel(qtbot, clock, monkeypatch):
    """A control panel as wide as its dock, with what it tells as `told`: lists by name of the signal."""
    monkeypatch.setattr(dials, "REST_MS", 30)
    monkeypatch.setattr(stop_button, "SURE_MS", 60)
    panel = ControlPanel(clock)
    qtbot.addWidget(panel)
    names = ("freeze", "snapshot", "export", "region", "stop", "annotation", "threshold")
    panel.told = {name: [] for name in (*names, "display")}
    for name in names:
        getattr(panel, f"{name}_wanted").connect(lambda *said, name=name: panel.told[name].append(said))
    panel.display_changed.connect(panel.told["display"].append)
    panel.resize(245, 720)
    panel.show()
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    return panel


@pytest.fixture
def dial(panel):
    """The detection threshold, at 0.3."""
    panel.set_dial("detection", DETECTION)
    return panel.dials["detection"]


def reported(value):
    return wire.Dial(value, 0.01, 0.99, "probability")


def told_nothing(panel):
    return not any(panel.told.values())


def test_buttons(panel, qtbot):
    for button in (panel.freeze, panel.snapshot, panel.export, panel.region, panel.region):
        qtbot.mouseClick(button, LEFT)
    assert panel.told["freeze"] == panel.told["snapshot"] == panel.told["export"] == [()]
    assert panel.told["region"] == [(True,), (False,)]


def test_what_is_set_from_elsewhere_is_shown_and_not_told(panel):
    panel.set_dial("detection", DETECTION)
    panel.set_dial("detection", reported(0.5))
    display = Display(
        layout="composite",
        theme="light",
        tails="age",
        tail_frames=77,
        n_traces=7,
        trace_s=33.5,
        puncta=False,
        ids=True,
        saturation=False,
        shift=False,
        flip_x=True,
        flip_y=True,
        scale_bar=False,
        time_stamp=False,
    )
    panel.set_display(display)
    panel.set_region(True)
    panel.set_position("frozen, 3.0 s back", False)
    assert told_nothing(panel) and panel.region.isChecked()
    assert (panel.freeze.text(), panel.position.text()) == ("Follow", "frozen, 3.0 s back")
    panel.set_position("newest frame", True)
    assert panel.freeze.text() == "Freeze"
    shown = panel.display
    assert shown.choices["layout"].currentText() == "composite" and shown.numbers["tail_frames"].value() == 77
    assert {field: box.isChecked() for field, box in shown.switches.items()} == {
        field: getattr(display, field) for field in shown.switches
    }
    assert panel.dials["detection"].value == pytest.approx(0.5)


def test_each_setting_of_the_display_is_told_as_a_whole_display(panel, qtbot):
    shown, was = panel.display, Display(tail_frames=40)
    panel.set_display(was)
    for field, box in shown.switches.items():
        panel.set_display(was)
        box.click()
        assert panel.told["display"][-1] == was.model_copy(update={field: not getattr(was, field)})
    for field, value in (("layout", "composite"), ("theme", "light"), ("tails", "age")):
        panel.set_display(was)
        choice = shown.choices[field]
        choice.setFocus()
        for letter in choice.itemText(choice.findData(value)):
            qtbot.keyClick(choice, letter)
        assert panel.told["display"][-1] == was.model_copy(update={field: value})
    for field, value in (("tail_frames", 55), ("n_traces", 9), ("trace_s", 12.5)):
        panel.set_display(was)
        number, n_told = shown.numbers[field], len(panel.told["display"])
        number.setFocus()
        number.selectAll()
        qtbot.keyClicks(number, str(value))
        assert len(panel.told["display"]) == n_told  # not with each digit
        qtbot.keyClick(number, Key.Key_Return)
        assert panel.told["display"][n_told:] == [was.model_copy(update={field: value})]


def test_all_settings_but_the_contrast_can_be_reached(panel):
    shown = panel.display
    fields = {*shown.switches, *shown.choices, *shown.numbers}
    assert fields == set(Display.model_fields) - {"contrast"}
    assert (shown.numbers["tail_frames"].minimum(), shown.numbers["tail_frames"].maximum()) == (2, 500)


def test_a_threshold_shows_its_value_limits_and_unit(panel, dial):
    assert dial.value == pytest.approx(0.3) and dial.unit.text() == "probability"
    assert (dial.spin.minimum(), dial.spin.maximum()) == (0.01, 0.99)
    share = (0.3 - 0.01) / (0.99 - 0.01)
    assert dial.slider.value() / dial.slider.maximum() == pytest.approx(share, abs=0.01)
    calcium = panel.dials["calcium"]
    assert dial.isEnabled() and not calcium.isEnabled() and calcium.state.text()
    panel.set_dial("detection", None)
    assert not dial.isEnabled() and told_nothing(panel)


def test_a_slider_tells_once_when_it_is_let_go_of(panel, dial, qtbot):
    slider = dial.slider
    slider.setSliderDown(True)
    for at in (90, 120, 150):
        slider.setSliderPosition(at)
    assert panel.told["threshold"] == []
    panel.set_dial("detection", reported(0.3))  # does not pull the slider out of the hand
    assert slider.value() == 150
    slider.setSliderDown(False)
    value = dial.value
    assert panel.told["threshold"] == [("detection", pytest.approx(value))]
    assert value == pytest.approx(0.01 + 150 / slider.maximum() * 0.98, abs=0.006)
    assert dial.state.text() == f"asked for {value:.3f} …"
    qtbot.wait(80)
    assert len(panel.told["threshold"]) == 1


def test_a_slider_that_is_held_stays_where_it_is_and_asks_for_nothing_by_itself(panel, dial):
    at = dial.slider.value()
    dial.slider.setSliderDown(True)
    panel.set_dial("detection", reported(0.8))
    assert dial.slider.value() == at
    dial.slider.setSliderDown(False)  # it was not moved
    assert panel.told["threshold"] == []
    panel.set_dial("detection", reported(0.8))
    assert dial.value == pytest.approx(0.8)


def test_keys_and_numbers_tell_once_they_are_at_rest(panel, dial, qtbot):
    dial.slider.setFocus()
    for _ in range(3):
        qtbot.keyClick(dial.slider, Key.Key_Right)
    assert panel.told["threshold"] == []
    qtbot.waitUntil(lambda: len(panel.told["threshold"]) == 1)
    dial.spin.setFocus()
    dial.spin.selectAll()
    qtbot.keyClicks(dial.spin, "0.62")
    panel.set_dial("detection", reported(0.3))
    assert dial.spin.text() == "0.62"  # what is being typed is left alone
    qtbot.keyClick(dial.spin, Key.Key_Return)
    qtbot.waitUntil(lambda: len(panel.told["threshold"]) == 2)
    assert panel.told["threshold"][-1] == ("detection", pytest.approx(0.62))
    qtbot.wait(80)
    assert len(panel.told["threshold"]) == 2


def test_a_reported_value_waits_for_the_answer(panel, dial, clock):
    dial.spin.setValue(0.6)
    dial._tell()
    panel.set_dial("detection", reported(0.3))  # older than the wish
    assert dial.value == pytest.approx(0.6) and "asked for" in dial.state.text()
    panel.answered("detection", True, "detection threshold 0.6", 1234)
    assert dial.state.text() == "in force from frame 1234"
    panel.set_dial("detection", reported(0.3))  # older than the answer
    assert dial.value == pytest.approx(0.6)
    panel.set_dial("detection", reported(0.6))
    panel.set_dial("detection", reported(0.45))  # another dashboard turned it
    assert dial.value == pytest.approx(0.45)


def test_a_refusal_is_told_and_the_value_goes_back(panel, dial):
    dial.spin.setValue(0.6)
    dial._tell()
    panel.answered("detection", False, "the engine is closing", 0)
    assert dial.state.text() == "refused: the engine is closing" and dial.state.property("level") == "alarm"
    assert dial.value == pytest.approx(0.3)


def test_a_lost_answer_blocks_nothing_for_long(panel, dial, clock):
    dial.spin.setValue(0.6)
    dial._tell()
    clock.now_s = 4.9
    panel.set_dial("detection", reported(0.3))
    assert dial.value == pytest.approx(0.6)
    clock.now_s = 5.0
    panel.set_dial("detection", reported(0.3))
    assert dial.value == pytest.approx(0.3) and dial.state.text() == "no answer to 0.600"
    dial.spin.setValue(0.6)  # can be asked for again
    dial._tell()
    assert len(panel.told["threshold"]) == 2


def test_of_two_wishes_the_last_answer_counts(panel, dial):
    for value in (0.6, 0.7):
        dial.spin.setValue(value)
        dial._tell()
    panel.answered("detection", True, "done", 10)
    panel.set_dial("detection", reported(0.6))
    assert dial.value == pytest.approx(0.7) and dial.state.text() == "asked for 0.700 …"
    panel.answered("detection", True, "done", 12)
    assert dial.state.text() == "in force from frame 12"


def test_what_is_in_force_is_not_asked_for(panel, dial, qtbot):
    dial.spin.setValue(0.6)
    dial.spin.setValue(0.3)
    qtbot.wait(80)
    assert panel.told["threshold"] == []


def test_limits_with_more_digits_than_the_number_are_kept(panel):
    panel.set_dial("calcium", wire.Dial(5.0, 2.0041, 12.0039, "SD"))
    dial = panel.dials["calcium"]
    dial.slider.setValue(dial.slider.maximum())
    dial._tell()
    dial.slider.setValue(0)
    dial._tell()
    (_, high), (_, low) = panel.told["threshold"]
    assert 2.0041 <= low < 2.06 and 11.95 < high <= 12.0039


def test_scrolling_past_a_control_turns_nothing(panel, dial, qtbot):
    panel.freeze.setFocus()
    for control in (
        dial.slider,
        dial.spin,
        panel.display.choices["layout"],
        panel.display.numbers["n_traces"],
    ):
        centre = QtCore.QPointF(control.rect().center())
        turn = QtGui.QWheelEvent(
            centre,
            control.mapToGlobal(centre),
            QtCore.QPoint(),
            QtCore.QPoint(0, -120),
            QtCore.Qt.MouseButton.NoButton,
            QtCore.Qt.KeyboardModifier.NoModifier,
            QtCore.Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QtWidgets.QApplication.sendEvent(control, turn)
    qtbot.wait(80)
    assert told_nothing(panel) and dial.value == pytest.approx(0.3)


def test_a_remark_is_sent_with_enter_or_the_button(panel, qtbot):
    line = panel.annotation.line
    panel.focus_annotation()
    assert line.hasFocus()
    qtbot.keyClick(line, Key.Key_Return)
    qtbot.keyClicks(line, "   ")
    qtbot.keyClick(line, Key.Key_Return)
    assert panel.told["annotation"] == []  # there is nothing to be said
    qtbot.keyClicks(line, " drug added ")
    qtbot.keyClick(line, Key.Key_Return)
    assert panel.told["annotation"] == [("drug added",)] and line.text() == "" and not line.hasFocus()
    qtbot.keyClicks(line, "again")
    qtbot.mouseClick(panel.annotation.button, LEFT)
    assert panel.told["annotation"][1:] == [("again",)]
    panel.focus_annotation()
    qtbot.keyClicks(line, "no")
    qtbot.keyClick(line, Key.Key_Escape)
    assert line.text() == "" and not line.hasFocus() and len(panel.told["annotation"]) == 2
    line.setText("x" * 2000)
    qtbot.mouseClick(panel.annotation.button, LEFT)
    assert len(panel.told["annotation"][2][0]) == 1000  # what the wire takes


def test_the_run_is_stopped_by_a_second_press_only(panel, qtbot):
    stop = panel.stop
    qtbot.mouseClick(stop, LEFT)
    assert stop.text() == "Press again to stop" and stop.property("level") == "alarm"
    qtbot.waitUntil(lambda: stop.text() == "Stop run")  # it took too long
    assert panel.told["stop"] == [] and stop.property("level") == "ok"
    qtbot.mouseClick(stop, LEFT)
    qtbot.mouseClick(stop, LEFT)
    assert panel.told["stop"] == [()] and not stop.is_armed
    qtbot.mouseClick(stop, LEFT)  # a third one begins anew, and stops nothing
    assert panel.told["stop"] == [()]


def test_a_double_click_stops_nothing(panel):
    test = QtTest.QTest
    for event in (test.mousePress, test.mouseRelease, test.mouseDClick, test.mouseRelease):
        event(panel.stop, LEFT)
    assert panel.stop.is_armed and panel.told["stop"] == []


def test_the_region_has_a_table_while_there_is_one(panel):
    assert panel.region_rows.isHidden()
    rows = [("area", "12.00 µm²"), ("puncta", "7")]
    panel.set_region_rows(rows)
    assert panel.region_rows.isVisible() and panel.region_rows.texts() == rows
    panel.set_region_rows([])
    assert panel.region_rows.isHidden() and told_nothing(panel)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_fits_into_its_dock_and_can_be_used_without_a_mouse(panel, dial, theme):
    use_theme(panel, theme)
    rows = [("PIEZO1, median (range)", "12,345.0 (1,234–56,789)"), ("ΔF/F0 a punctum", "0.123")]
    panel.set_region_rows(rows)
    panel.answered("detection", False, "a reason that is so long that it takes more than one line to tell", 0)
    # The dock is 260 wide; a scroll bar and the frame take the rest.
    assert panel.minimumSizeHint().width() <= 260 - panel.style().pixelMetric(
        QtWidgets.QStyle.PixelMetric.PM_ScrollBarExtent
    )
    kinds = (
        QtWidgets.QAbstractButton,
        QtWidgets.QSlider,
        QtWidgets.QAbstractSpinBox,
        QtWidgets.QComboBox,
        QtWidgets.QLineEdit,
    )
    for kind in kinds:
        for widget in panel.findChildren(kind):
            if not isinstance(widget.parent(), (QtWidgets.QAbstractSpinBox, QtWidgets.QComboBox)):
                assert widget.focusPolicy() & QtCore.Qt.FocusPolicy.TabFocus
                named = isinstance(widget, QtWidgets.QAbstractButton) and widget.text()
                assert named or widget.accessibleName()
