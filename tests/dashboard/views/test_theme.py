"""Both themes can be read, and reach every widget."""

import pytest
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from dashboard.models.colours import OKABE_ITO, THEMES, rgb
from dashboard.views.counters import CountersPanel
from dashboard.views.health_bar import HealthBar
from dashboard.views.histograms import HistogramsPanel
from dashboard.views.raster import EVENT_COLOUR, RasterPanel
from dashboard.views.theme import Themed, level_colour, use_theme
from dashboard.views.traces import TracesPanel

pytestmark = pytest.mark.timeout(60)
READABLE, SEEN = 4.5, 3.0  # WCAG 2.2: 1.4.3 for text, 1.4.11 for lines and marks


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    shares = [value / 255 for value in rgb(colour)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Ratio of WCAG 2.2, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_gives_the_known_ends():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("behind", ["background", "panel"])
def test_all_writing_can_be_read_and_all_lines_can_be_seen(name, behind):
    theme = THEMES[name]
    ground = getattr(theme, behind)
    for colour in (theme.text, theme.accent, *(level_colour(theme, level) for level in ("caution", "alarm"))):
        assert contrast(colour, ground) >= READABLE
    assert contrast(theme.weak, ground) >= SEEN
    assert contrast(EVENT_COLOUR, ground) >= SEEN
    assert contrast(theme.background, theme.accent) >= READABLE  # the LIVE badge, and what is highlighted


def test_levels_have_colours_of_their_own():
    for theme in THEMES.values():
        assert len({level_colour(theme, level) for level in ("ok", "caution", "alarm")}) == 3
    assert EVENT_COLOUR in OKABE_ITO


PANELS = [TracesPanel, RasterPanel, HistogramsPanel, CountersPanel, HealthBar]


@pytest.mark.parametrize("make", PANELS)
def test_a_theme_reaches_panels_in_a_window_and_can_be_changed(shown, picture, where, make):
    window = QWidget()
    column = QVBoxLayout(window)
    panel = make()
    column.addWidget(panel)
    label = QLabel("text")
    column.addWidget(label)
    shown(window, 700, 400)
    for name in ("dark", "light", "dark"):
        theme = use_theme(window, name)
        assert theme == THEMES[name]
        assert where(picture(panel), theme.panel, 2).mean() > 0.5
        assert label.palette().color(QPalette.ColorRole.WindowText).name().upper() == theme.text
        assert all(
            w.theme == theme for w in window.findChildren(QWidget) if isinstance(w, Themed) and w != panel
        )


def test_a_theme_that_does_not_exist_is_refused(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    with pytest.raises(ValueError, match="no theme 'pink'; there are dark, light"):
        use_theme(window, "pink")
