"""Counters say what they are given, in little room."""

import pytest

from dashboard.models.panels import Counter
from dashboard.views.counters import CountersPanel

pytestmark = pytest.mark.timeout(60)
NAMES = ("puncta per frame", "tracks now", "tracks in all", "mobile", "events", "events per minute", "waves")
COUNTERS = (
    *(Counter(name, f"{1234 + i:,}", f"What {name} means.") for i, name in enumerate(NAMES)),
    Counter("calcium at puncta", "2.31 × chance (1.80 to 2.95), n = 1234", "Against chance."),
)


@pytest.fixture
def panel(shown):
    panel = shown(CountersPanel(), 260, 150)
    panel.present(COUNTERS)
    return panel


def labels(panel):
    return [label for pair in panel._labels for label in pair]


def test_names_values_and_meanings_are_there(panel):
    assert panel.texts() == [(c.name, c.text) for c in COUNTERS]
    for counter, (name, value) in zip(COUNTERS, panel._labels, strict=True):
        assert name.toolTip() == value.toolTip() == counter.meaning
        assert value.accessibleName() == f"{counter.name}: {counter.text}"


def test_all_fit_into_ten_lines_of_a_narrow_panel(panel, qapp):
    """Eight counters; the longest value has a line of its own, or two in a wide font."""
    qapp.processEvents()
    line = panel.fontMetrics().height()
    assert panel.heightForWidth(260) <= 10 * 1.15 * line
    panel.resize(260, panel.heightForWidth(260))
    qapp.processEvents()
    for label in labels(panel):
        assert panel.rect().contains(label.geometry())
        assert label.height() >= (label.heightForWidth(label.width()) if label.wordWrap() else line)
        if not label.wordWrap():
            assert label.width() >= label.sizeHint().width()


def test_labels_are_touched_only_when_their_text_changes(panel, monkeypatch):
    touched = []
    for label in labels(panel):
        monkeypatch.setattr(label, "setText", touched.append)
        monkeypatch.setattr(label, "setToolTip", touched.append)
    panel.present(tuple(Counter(c.name, c.text, c.meaning) for c in COUNTERS))
    assert touched == []
    panel.present((Counter("puncta per frame", "17", "What puncta per frame means."), *COUNTERS[1:]))
    assert touched == ["17"]


def test_a_long_value_moves_below_its_name_and_back(panel, qapp):
    name, value = panel._labels[-1]
    for text, is_below in (("2.31 × chance (1.80 to 2.95), n = 12", True), ("–", False), ("x" * 30, True)):
        panel.present((*COUNTERS[:-1], Counter("calcium at puncta", text, "")))
        qapp.processEvents()
        assert (value.y() > name.y() + name.height() / 2) == is_below


def test_fewer_counters_leave_no_old_ones(panel):
    panel.present(COUNTERS[:4])
    assert panel.texts() == [(c.name, c.text) for c in COUNTERS[:4]]
    panel.present(())
    assert panel.texts() == []
