"""The terminal as a console that may go away: a closed or full output never ends a run."""

import os
import sys
from typing import Any

from rich.console import Console


class PatientConsole(Console):
    """A console that falls silent when its output is closed or full, instead of raising."""

    def on_broken_pipe(self) -> None:
        """Go on silently; Python's own flush at exit goes nowhere too."""
        self._fall_silent()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, or fall silent for good when that fails."""
        try:
            super().print(*objects, **options)
        except OSError:
            self._fall_silent()

    def _fall_silent(self) -> None:
        self.quiet = True
        stream = sys.stderr if self.stderr else sys.stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
