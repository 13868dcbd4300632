"""A run in the terminal: one bar with frames/s, latency and puncta, notes above it, and how it ended."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from stream.status import Note, SourceProgress, Status
from stream.status import Progress as RunProgress

RATE_WINDOW_S = 2.0


class _Figures(ProgressColumn):
    """Frame counts, rate, latency, puncta and losses of a run."""

    def render(self, task: Task) -> Text:
        figures = task.fields
        total = f"/{task.total:.0f}" if task.total else ""
        text = Text(f"{task.completed:.0f}{total} frames", style="bold")
        if figures["rate"] is not None:
            text.append(
                f"  {figures['rate']:.0f}/s  {figures['latency_ms']:.0f} ms  {figures['puncta']} puncta",
                style="not bold",
            )
        if figures["missing"]:
            text.append(f"  {figures['missing']} missing", style="bold yellow")
            for cause, count in figures["causes"].items():  # a line each: a terminal may be narrow
                text.append(f"\n  {count} {cause}", style="yellow")
        return text


class RunBar:
    """Shows what the supervisor hears; use as a context and pass `update` as its `on_status`."""

    def __init__(self, console: Console, title: str) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            _Figures(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task(
            title, total=None, rate=None, latency_ms=0.0, puncta=0, missing=0, causes={}
        )
        self._losses: dict[str, int] = {}
        self._recent: list[tuple[float, int]] = []

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, status: Status) -> None:
        """Show a status message."""
        match status:
            case RunProgress():
                self._bar.update(
                    self._task,
                    completed=status.n_out,
                    total=status.n_total,
                    rate=self._rate(status.n_out),
                    latency_ms=status.latency_ms,
                    puncta=status.puncta,
                    missing=status.missing,
                    causes=self._losses | status.causes,
                )
            case SourceProgress():
                self._losses = status.losses
            case Note():
                self._bar.console.print(
                    f"[yellow]note:[/] {escape(status.text)}", highlight=False, soft_wrap=True
                )

    def _rate(self, n_out: int) -> float | None:
        """Frames/s over the last moments, None until some have passed."""
        now = time.monotonic()
        self._recent = [(t, n) for t, n in self._recent if now - t < RATE_WINDOW_S] + [(now, n_out)]
        (t0, n0), (t1, n1) = self._recent[0], self._recent[-1]
        return (n1 - n0) / (t1 - t0) if n1 > n0 else None


def report(console: Console, folder: Path, info: dict[str, Any], problem: str) -> None:
    """Say how a run ended and where it is.

    Parameters
    ----------
    console
        Where to say it.
    folder
        Run folder.
    info
        What its run.json holds; empty where nothing was recorded.
    problem
        Why it failed; empty otherwise.
    """
    if "sent" in info:
        lost = "".join(f", {n} lost before ({cause})" for cause, n in info["lost"].items())
        console.print(f"{info['sent']} frames sent{lost}; the run is where the analysis is", soft_wrap=True)
        return
    counts, timings = info.get("counts", {}), info.get("timings", {})
    if counts:
        missing = counts.get("missing_by_cause") or {}
        lost = "".join(f", {n} missing ({cause})" for cause, n in missing.items())
        n_out = counts["frames_out"]
        console.print(f"{n_out} {'frame' if n_out == 1 else 'frames'} analysed{lost}", soft_wrap=True)
    if timings.get("frames_per_s"):
        latency = timings["latency_ms"]
        console.print(
            f"{timings['frames_per_s']:.0f} frames/s, "
            f"latency p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms"
        )
    fired = sum(rule["fired"] for rule in (info.get("rules") or {}).values())
    if fired:
        console.print(f"{fired} {'trigger' if fired == 1 else 'triggers'} of rules: see the table triggers")
    remarks = [(len(info.get(f"{kind}s") or ()), kind) for kind in ("adjustment", "annotation")]
    said = ", ".join(f"{n} {kind if n == 1 else kind + 's'}" for n, kind in remarks if n)
    if said:  # an adjusted threshold is not that of the configuration any more
        console.print(f"{said}: see run.json")
    settings = info.get("configuration") or {}
    if settings.get("source", {}).get("kind") == "microscope" and settings["microscope"]["save"]:
        here = "" if settings["network"]["role"] == "both" else " on the microscope's computer"
        console.print(f"raw images in {settings['microscope']['save']}{here}", markup=False, soft_wrap=True)
    if info.get("results") == "tables":
        console.print(f"run {info['state'].split(':')[0]}: {folder}", soft_wrap=True)
    elif info:
        console.print(f"run not finished: {folder}", soft_wrap=True)
    elif not problem:
        console.print("stopped before the first frame: nothing was recorded")
