"""Whether a window can be opened here, asked before Qt would abort the program."""

import os
import subprocess
import sys
from importlib.util import find_spec

INSTALL = "pip install -c constraints.txt -e '.[dashboard]'"


class NoWindowError(Exception):
    """No window can be opened; the message says why, and what to do."""


def check_window() -> None:
    """Make sure that the dashboard's packages and a screen are there.

    Raises
    ------
    NoWindowError
        If something is missing.
    """
    for package in ("PySide6", "pyqtgraph"):
        if find_spec(package) is None:
            raise NoWindowError(f"the dashboard needs {package}: {INSTALL}")
    has_screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    if sys.platform.startswith("linux") and not has_screen:
        raise NoWindowError(
            "there is no screen here (DISPLAY is not set): open the dashboard on a computer with one, and "
            "let the run's section dashboards name an address for it"
        )
    if sys.platform.startswith("linux"):
        _try_a_window()
    try:
        import PySide6.QtWidgets  # noqa: F401
    except ImportError as error:  # a library of the system is missing
        raise NoWindowError(
            f"Qt cannot be loaded: {error}; the README names the packages it needs"
        ) from error


def _try_a_window() -> None:
    """Qt ends the whole program where it finds no screen, so another one tries first."""
    opening = "from PySide6.QtGui import QGuiApplication; QGuiApplication([])"
    tried = subprocess.run([sys.executable, "-c", opening], capture_output=True, text=True, check=False)
    if tried.returncode:
        lines = [line for line in tried.stderr.splitlines() if line.strip()]
        why = lines[0] if lines else f"exit code {tried.returncode}"
        raise NoWindowError(
            f"Qt cannot open a window here ({why}): check DISPLAY, and install what the README's "
            "troubleshooting names"
        )
