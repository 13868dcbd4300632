"""The command line of the PIEZO1 Calcium Tracker: `piezo1 --help`.

Exit codes: 0 done, 1 failed, 2 wrong usage. The commands are in `commands`, those of `bench` in `bench`.
"""

from typing import NoReturn

import typer

from bench import commands as bench_commands
from commands.making import export, simulate, train
from commands.results import cooccurrence, evaluate, recover, refine
from commands.runs import dashboard, demo, live, replay
from commands.setting_up import doctor, keys, register
from commands.shared import fail

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Finds PIEZO1 puncta, tracks them and attaches calcium events, live or from recordings.",
    # The guide writes options with underscores; both spellings work.
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)
RUNS = (demo, replay, live, dashboard)
RESULTS = (evaluate, refine, cooccurrence, recover)
MAKING = (simulate, train, export)
SETTING_UP = (register, keys, doctor)
for command in (*RUNS, *RESULTS, *MAKING, *SETTING_UP):
    app.command()(command)
app.add_typer(bench_commands.app, name="bench")

# What brings the packages that are not always installed.
EXTRAS = {
    "PySide6": "dashboard",
    "lightning": "train",
    "mm_test_adapters": "live",
    "mmpycorex": "live",
    "ndstorage": "live",
    "onnx": "train",
    "onnxscript": "train",
    "pycromanager": "live",
    "pymmcore": "live",
    "pyqtgraph": "dashboard",
    "tensorboard": "train",
    "torch": "train",
    "trackpy": "bench",
}


def main() -> NoReturn:
    """Run the command line; a user's mistake gives a sentence, not a traceback."""
    try:
        app()
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        fail(f"this needs {package}: pip install -c constraints.txt -e '.[{EXTRAS[package]}]'", 1)
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        fail(str(error), code)
    raise SystemExit(0)


def _exit_code(error: Exception) -> int | None:
    """Exit code of an expected error, None for a bug."""
    from acquire.frame import SourceError
    from bench.outputs import OutputError, UsageError
    from dashboard.screen import NoWindowError
    from model.engines.base import ModelError
    from stream.config import ConfigError
    from stream.results import StreamError
    from train.errors import CheckpointError, FitConfigError, TrainingError
    from train.simulation_config import SimulationError

    if isinstance(error, ConfigError | FitConfigError | UsageError):
        return 2
    of_a_training = SimulationError | CheckpointError | TrainingError
    failures = SourceError | ModelError | StreamError | OutputError | NoWindowError | of_a_training
    return 1 if isinstance(error, failures) else None


if __name__ == "__main__":
    main()
