"""What people did while a run was recorded: thresholds they turned, moments they annotated.

Both are written to `run.json` at once, so that they outlive a crash, and in a thread of its own: a disk may
be far away and slow.
"""

import time
from datetime import datetime
from pathlib import Path
from threading import Condition, Thread

from stream.record.run import RUN_JSON, Info, cannot_write, write_info
from stream.results import StreamError

ADJUSTMENTS, ANNOTATIONS = "adjustments", "annotations"
MOST = 10_000  # in a run: `run.json` is for people, and rewritten each time
# Writing again waits this many times as long as writing took: many of them, too, cost the analysis little.
REST = 10.0


class Remarks:
    """Adjustments and annotations of a run; its methods belong to the recorder's thread and never wait.

    Parameters
    ----------
    folder, info
        The run folder, and its `run.json` as far as nobody remarked anything.

    Attributes
    ----------
    problem
        Why the last writing failed, empty if it did not; what was remarked is kept for the next one.
    """

    def __init__(self, folder: Path, info: Info) -> None:
        self._folder = folder
        self._info = info
        self._entries: dict[str, list[Info]] = {ADJUSTMENTS: [], ANNOTATIONS: []}
        self._changed = Condition()
        self._is_new = self._is_over = False
        self._thread: Thread | None = None
        self.problem = ""

    def adjusted(self, which: str, before: float, after: float, frame: int, time_s: float | None) -> Info:
        """Record that a threshold was turned; gives the entry of `run.json`.

        Parameters
        ----------
        which
            The threshold.
        before, after
            Its values.
        frame
            The first frame whose result it may concern.
        time_s
            Time of the newest frame then, on the camera's clock; None before the first.

        Raises
        ------
        StreamError
            If so much was remarked already that no more is taken.
        """
        entry = {"frame": frame, "time_s": time_s, "which": which, "from": before, "to": after}
        return self._add(ADJUSTMENTS, entry)

    def annotated(
        self, text: str, frame: int, time_s: float | None, x_nm: float | None, y_nm: float | None
    ) -> Info:
        """Record a remark about a frame and, if it has one, a place in it; gives the entry of `run.json`.

        Raises
        ------
        StreamError
            If so much was remarked already that no more is taken.
        """
        entry = {"frame": frame, "time_s": time_s, "text": text, "x_nm": x_nm, "y_nm": y_nm}
        return self._add(ANNOTATIONS, entry)

    def entries(self) -> dict[str, list[Info]]:
        """Both lists, as `run.json` has them."""
        with self._changed:
            return {kind: list(entries) for kind, entries in self._entries.items()}

    def close(self) -> None:
        """Leave `run.json` to somebody else, who writes the entries too; waits for a writing under way."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _add(self, kind: str, entry: Info) -> Info:
        entry = {"time": datetime.now().astimezone().isoformat(timespec="milliseconds"), **entry}
        with self._changed:
            if sum(map(len, self._entries.values())) >= MOST:
                raise StreamError(f"this run holds {MOST} adjustments and annotations, more are not taken")
            self._entries[kind].append(entry)
            self._is_new = True
            self._changed.notify()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="write remarks", daemon=True)
            self._thread.start()
        return entry

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_new or self._is_over)
                if self._is_over:
                    return
                self._is_new = False
            began_s = time.monotonic()
            try:
                write_info(self._folder, {**self._info, **self.entries()})
                self.problem = ""
            except OSError as error:
                kept = "what was adjusted and annotated is kept for the end of the run"
                self.problem = str(cannot_write(self._folder / RUN_JSON, error, kept))
            with self._changed:
                self._changed.wait_for(lambda: self._is_over, REST * (time.monotonic() - began_s))
