"""What this machine has, and what the program would do with it."""

import importlib.util
import os
import platform
import subprocess
from importlib import metadata

import psutil

from model.camera import Camera
from model.card import SHIPPED_MODEL, read_model
from model.engines.backends import first_line
from model.engines.base import ModelError
from model.engines.choose import choose_engine
from model.engines.threads import usable_threads
from stream.config import EngineConfig
from stream.process import local_transport


def examine() -> list[tuple[str, str]]:
    """Findings as (subject, what was found) pairs, each found by trying, not by guessing."""
    return [
        ("system", f"{platform.platform()}, Python {platform.python_version()}"),
        ("CPU", _cpu()),
        ("memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("GPU", _gpu()),
        ("TensorRT", _first_installed("tensorrt-rtx", "tensorrt")),
        ("torch", _first_installed("torch")),
        ("Qt", _first_installed("PySide6-Essentials")),
        ("Micro-Manager", _micro_manager()),
        ("transport", f"{local_transport()} between processes on this machine"),
        ("network", _network()),
        ("engine", choose_engine(EngineConfig(), Camera(), 1.4).description),
    ]


def _cpu() -> str:
    cores = psutil.cpu_count(logical=False) or os.cpu_count()
    return f"{platform.processor() or platform.machine()}, {cores} cores, {usable_threads()} usable threads"


def _gpu() -> str:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except FileNotFoundError:
        return "none found (no nvidia-smi)"
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi is there but fails: {error}"
    return "; ".join(answer.stdout.split("\n")).strip("; ") or "none found"


def _network() -> str:
    if not SHIPPED_MODEL.exists():
        return "none ships with this version"
    try:
        _, card = read_model(SHIPPED_MODEL)
    except ModelError as error:
        return f"cannot be used: {error}"
    sees = f"{card.window} frames of {' and '.join(card.channels[:2])}"
    return f"{SHIPPED_MODEL.name} sees {sees}, trained by commit {card.commit or 'unknown'}"


def _first_installed(*distributions: str) -> str:
    for name in distributions:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return f"not installed ({' or '.join(distributions)})"


def _micro_manager() -> str:
    install = "pip install -c constraints.txt -e '.[live]'"
    if importlib.util.find_spec("pymmcore") is None:
        return f"not installed ({install})"
    try:
        import mm_test_adapters
        import pycromanager  # noqa: F401  # only whether it can be
        import pymmcore

        core = pymmcore.CMMCore()
        core.setDeviceAdapterSearchPaths([str(mm_test_adapters.device_adapter_path())])
        core.loadDevice("camera", "DemoCamera", "DCam")
        core.initializeDevice("camera")
        core.reset()
    except Exception as error:  # of packages or of devices, whatever they raise
        return f"does not work: {first_line(error)} ({install})"
    versions = f"{_first_installed('pymmcore')}, {_first_installed('pycromanager')}"
    # Device adapters fit when they were built for the same device interface.
    return f"{versions}, {core.getAPIVersionInfo()}; its demo camera answers"
