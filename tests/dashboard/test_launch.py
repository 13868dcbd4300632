import sys
import time

import pytest

from dashboard.launch import DashboardLauncher, check_watchable
from dashboard.screen import NoWindowError, check_window
from stream.config import ConfigError
from stream.load import load_config
from stream.status import Bound, Note

pytestmark = pytest.mark.timeout(60)


def test_a_dashboard_is_opened_once_and_at_the_runs_address(tmp_path):
    heard, told = [], tmp_path / "told"
    stand_in = "import sys; open(sys.argv[1], 'a').write(' '.join(sys.argv[2:]) + '\\n')"
    launcher = DashboardLauncher(heard.append, (sys.executable, "-c", stand_in, str(told)))
    for status in (Note("hello"), Bound("source"), *[Bound("analysis", desk="tcp://127.0.0.1:1234")] * 2):
        launcher.update(status)
    while not told.exists() or not told.read_text().endswith("\n"):
        time.sleep(0.02)
    launcher._child.wait()
    assert told.read_text() == "--connect tcp://127.0.0.1:1234\n"
    assert len(heard) == 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
def test_without_a_screen_it_says_so(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoWindowError, match="there is no screen here"):
        check_window()


def test_without_its_packages_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("dashboard.screen.find_spec", lambda name: None)
    with pytest.raises(NoWindowError, match=r"needs PySide6: pip install"):
        check_window()


def test_a_computer_that_only_images_has_nothing_to_watch():
    check_watchable(load_config())
    options = {"network.role": "source", "network.address": "tcp://127.0.0.1:5600"}
    with pytest.raises(ConfigError, match="only images"):
        check_watchable(load_config(options=options))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
def test_a_screen_that_cannot_be_reached_is_a_sentence(monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM")
    monkeypatch.setenv("DISPLAY", ":987")
    with pytest.raises(NoWindowError, match="Qt cannot open a window here"):
        check_window()
