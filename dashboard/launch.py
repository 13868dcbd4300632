"""Opening the dashboard beside a run that is started in the terminal."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from dashboard.screen import check_window
from model.engines.engine_cache import cache_folder
from stream.config import ConfigError, RunConfig
from stream.status import Bound, Status

DASHBOARD = (sys.executable, "-m", "dashboard")


def check_watchable(config: RunConfig) -> None:
    """Make sure that a dashboard could watch this computer's part of a run.

    Raises
    ------
    ConfigError
        If it only images: then nothing is told here that could be shown.
    """
    if config.network.role == "source":
        raise ConfigError(
            "this computer only images (network.role source), and dashboards watch the analysis: open one "
            "with `piezo1 dashboard --connect`, see the section dashboards of the analysis' configuration"
        )


class DashboardLauncher:
    """Opens a dashboard when the run says where it can be watched; pass `update` as an `on_status`.

    The dashboard is on its own from then on: it stays open after the run, and Ctrl-C does not reach it. What
    it complains of goes into `dashboard.log` beside the program's caches.

    Parameters
    ----------
    and_then
        Hears every status too.
    command
        That opens a dashboard, given `--connect` and an endpoint.

    Raises
    ------
    NoWindowError
        If no window can be opened here.
    """

    def __init__(self, and_then: Callable[[Status], None], command: Sequence[str] = DASHBOARD) -> None:
        check_window()
        self._and_then = and_then
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None

    def update(self, status: Status) -> None:
        """Take a status message."""
        if isinstance(status, Bound) and status.desk and self._child is None:
            windows = os.name == "nt"
            flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) if windows else 0
            path = cache_folder().with_name("dashboard.log")
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not the terminal's: it must not wait for a window that stays open.
            with path.open("wb") as log:
                self._child = subprocess.Popen(
                    [*self._command, "--connect", status.desk],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    start_new_session=not windows,
                    creationflags=flags,
                )
        self._and_then(status)
