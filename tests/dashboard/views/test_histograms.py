"""Histograms paint the counts that they are given."""

from dataclasses import replace

import numpy as np
import pytest

from dashboard.models.colours import THEMES
from dashboard.models.panels import HistogramView
from dashboard.views.histograms import HistogramsPanel

pytestmark = pytest.mark.timeout(60)
DARK = THEMES["dark"]
LINEAR = HistogramView(
    "localization precision",
    "nm",
    np.linspace(0, 100, 11),
    np.array([0, 4, 8, 2, 0, 0, 0, 0, 0, 1]),
    False,
    15,
    25.0,
)
LOG = HistogramView(
    "diffusion coefficient",
    "µm²/s",
    np.logspace(-4, 0, 9),
    np.array([0, 0, 3, 6, 0, 0, 1, 0, 0]),
    True,
    1234,
    0.01,
)
LOG = replace(LOG, counts=LOG.counts[:8])
EMPTY = HistogramView("event duration", "s", np.logspace(-2, 2, 9), np.zeros(8, np.int64), True, 0, np.nan)
PHOTONS = HistogramView("photons", "photons", np.logspace(1, 5, 9), np.full(8, 5), True, 40, 1e3)
FIVE = (LOG, PHOTONS, LINEAR, replace(LINEAR, name="event amplitude", unit="ΔF/F0"), EMPTY)


@pytest.fixture
def panel(shown):
    panel = shown(HistogramsPanel(), 600, 360)
    panel.present(FIVE)
    return panel


@pytest.mark.parametrize("at", [0, 2])
def test_bars_are_as_high_as_their_counts_and_stand_at_their_edges(panel, picture, where, qapp, at):
    qapp.processEvents()
    histogram, view = panel.histograms[at], FIVE[at]
    frame = histogram.area()
    bars = where(picture(histogram), DARK.accent)
    n = len(view.counts)
    for i, count in enumerate(view.counts):
        left, right = (frame.left() + (i + share) * frame.width() / n for share in (0.25, 0.4))
        heights = bars[:, round(left) : round(right)].sum(0)
        assert heights == pytest.approx(count / view.counts.max() * frame.height(), abs=1.5)


@pytest.mark.parametrize(("at", "share"), [(0, 0.5), (2, 0.25)])
def test_the_median_is_an_upright_line_also_on_a_log_axis(panel, picture, where, qapp, at, share):
    """0.01 is in the middle between 0.0001 and 1, and 25 a quarter of the way from 0 to 100."""
    qapp.processEvents()
    histogram = panel.histograms[at]
    frame = histogram.area()
    text = where(picture(histogram), DARK.text)[round(frame.top()) + 1 : round(frame.bottom()) - 1]
    columns = np.flatnonzero(text.all(0))
    assert len(columns) == 1
    assert columns[0] + 0.5 == pytest.approx(frame.left() + share * frame.width(), abs=1)


def test_names_units_numbers_and_medians_are_said(panel):
    said = [(h.title(), h.words()) for h in panel.histograms]
    assert said[0] == ("diffusion coefficient (µm²/s)", "n = 1,234, median 0.01")
    assert said[1] == ("photons", "n = 40, median 1e+03")
    assert said[2] == ("localization precision (nm)", "n = 15, median 25")
    assert said[4] == ("event duration (s)", "no data yet")
    for histogram, (title, words) in zip(panel.histograms, said, strict=True):
        assert histogram.accessibleName() == f"histogram of {title}: {words}"
    assert "logarithmic" in panel.histograms[0].toolTip() and "linear" in panel.histograms[2].toolTip()


def test_without_data_there_are_no_bars_and_no_median(panel, picture, where, qapp):
    qapp.processEvents()
    empty = panel.histograms[4]
    frame = empty.area()
    inside = picture(empty)[round(frame.top()) + 2 : round(frame.bottom()) - 2]
    assert where(inside, DARK.panel, 1).all()


@pytest.mark.parametrize(("width", "columns"), [(200, 1), (400, 2), (560, 3), (1200, 5)])
def test_there_are_as_many_columns_as_there_is_room_for_and_all_titles_fit(panel, qapp, width, columns):
    panel.resize(width, 500)
    qapp.processEvents()
    assert len({h.x() for h in panel.histograms}) == columns
    rects = [h.geometry() for h in panel.histograms]
    assert all(panel.rect().contains(rect) for rect in rects)
    assert not any(a.intersects(b) for i, a in enumerate(rects) for b in rects[:i])
    for histogram in panel.histograms:
        for text in (histogram.title(), histogram.words()):
            assert 0.75 * histogram.text_px(text) <= histogram.width() - histogram.area().left()


def test_only_those_that_changed_are_painted_again(panel, paintings):
    def changed():
        copies = tuple(replace(view, counts=view.counts.copy()) for view in FIVE)
        panel.present((replace(copies[0], n=7), *copies[1:]))

    assert paintings(panel.histograms[1], changed) == 0
    panel.present(FIVE)
    assert paintings(panel.histograms[0], changed) == 1


def test_before_a_run_is_known_there_is_nothing(shown, picture):
    panel = shown(HistogramsPanel(), 400, 300)
    panel.present(())
    assert picture(panel).size and panel.histograms == []
