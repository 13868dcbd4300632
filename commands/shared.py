"""What several commands share: consoles, options, and how they fail."""

from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.markup import escape

from dashboard.console import PatientConsole

out = PatientConsole(highlight=False)
err = PatientConsole(stderr=True, highlight=False)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML that describes the run")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="override any value, e.g. camera.offset=100; repeatable")
]
Precision = Literal["fp32", "fp16"]


def fail(problem: str, code: int) -> NoReturn:
    """End the program with a sentence and an exit code."""
    err.print(f"[bold red]error:[/] {escape(problem)}", soft_wrap=True)
    raise SystemExit(code)
