"""Micro-Manager's core in any spelling, and what its errors mean."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import psutil

from acquire.frame import SourceError

CAMERA = 2  # MM::CameraDevice
SILENT_S = 5.0  # beyond the exposure: a camera that gives no image for so long is dead
MISSING_EXTRA = "live imaging needs the extra live: pip install -c constraints.txt -e '.[live]'"


class Core:
    """A core whose methods are called in snake_case, whoever made it.

    pymmcore's `CMMCore` spells `setROI`, pycromanager's wrappers (Python and Java) `set_roi` or both; lists
    are tuples in Python and Java objects across the bridge (see `strings`).

    Parameters
    ----------
    core
        pymmcore's CMMCore, or pycromanager's Core of either backend.
    """

    def __init__(self, core: Any) -> None:
        self.raw = core

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.raw, name, None)
        if method is None:
            plain = name.replace("_", "")
            spelled = next((known for known in dir(self.raw) if known.lower() == plain), None)
            if spelled is None:
                raise AttributeError(f"Micro-Manager's core has no {name}")
            method = getattr(self.raw, spelled)
        setattr(self, name, method)
        return method

    def strings(self, name: str, *arguments: object) -> list[str]:
        """Call a method that gives a list of words, e.g. ("get_loaded_devices",)."""
        words = getattr(self, name)(*arguments)
        if isinstance(words, Sequence):
            return [str(word) for word in words]
        return [str(words.get(i)) for i in range(words.size())]

    def cameras(self) -> list[str]:
        """Labels of all cameras, also of those that are made of others.

        Asked device by device: Java's core takes the type in question as an object only, which the bridge
        cannot name.
        """
        labels = self.strings("get_loaded_devices")
        kinds = [self.get_device_type(label) for label in labels]
        names = [kind if isinstance(kind, int) else kind.to_string() for kind in kinds]
        return [label for label, name in zip(labels, names, strict=True) if name in (CAMERA, "CameraDevice")]


def adapter_folder(folder: Path | None) -> Path:
    """Folder of the device adapters: Micro-Manager's, or those of the demo where None is given.

    Raises
    ------
    SourceError
        If there is no such folder, or no adapters in it.
    """
    if folder is None:
        try:
            import mm_test_adapters
        except ImportError as error:
            raise SourceError(MISSING_EXTRA) from error
        return Path(mm_test_adapters.device_adapter_path())
    if not folder.is_dir():
        raise SourceError(f"microscope.folder: there is no folder {folder}")
    if not any("mmgr_dal_" in file.name for file in folder.iterdir()):
        raise SourceError(
            f"microscope.folder: {folder} holds no device adapters (mmgr_dal_*); "
            "give the folder in which Micro-Manager is installed"
        )
    return folder


def new_core() -> Core:
    """Make a core of its own, without pycromanager; raises SourceError where pymmcore is not installed."""
    try:
        import pymmcore
    except ImportError as error:
        raise SourceError(MISSING_EXTRA) from error
    return Core(pymmcore.CMMCore())


def check_buffer(buffer_mb: int) -> None:
    """Refuse a camera buffer that does not fit: the core takes the memory at once, and dies without it."""
    free_mb = psutil.virtual_memory().available // 2**20
    if buffer_mb > free_mb:
        raise SourceError(f"microscope.buffer_mb is {buffer_mb}, but this computer has {free_mb} MB free")


def check_silence(last_s: Mapping[str, float], exposure_ms: float) -> None:
    """Raise SourceError if a camera gave its last image (`time.monotonic`) too long ago."""
    camera = min(last_s, key=lambda label: last_s[label])
    silent_s = SILENT_S + exposure_ms / 1000
    if time.monotonic() > last_s[camera] + silent_s:
        raise SourceError(f"{camera} has given no image for {silent_s:.1f} s; see its power and its cable")


def stop_cameras(stop: Callable[..., Any], oldest_first: Sequence[str]) -> None:
    """Stop the running sequence with `stop_sequence_acquisition` of a core.

    Many drivers let the exposure come to its end, and a Multi Camera waits for its first camera before it
    tells the second. So the camera whose last image is the oldest, which is through first, is told first.
    """
    if len(oldest_first) > 1:
        for camera in oldest_first:
            with suppress(Exception):  # the Multi Camera itself, below, says what is wrong
                stop(camera)
    stop()


def reason(error: BaseException) -> str:
    """Say in one line what an error of the core, of the bridge or of pycromanager says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Java's come as a stack trace: the exception's own line first, then "at ..." lines.
    said = list(takewhile(lambda line: not line.startswith("at "), lines))
    return re.sub(r"^(?:[\w.$]+Exception: )+", "", "; ".join(said)) or type(error).__name__


def explain(error: BaseException, what: str, core: Core) -> SourceError:
    """Make an error of the core a sentence; `what` says what was tried."""
    why = reason(error)
    if "Failed to load device adapter" in str(error):
        version = re.search(r"Device API version (\d+)", str(core.get_api_version_info()))
        interface = version.group(1) if version else "an unknown version"
        why = (
            f"{why}: it is not in microscope.folder, its driver is missing, or it was built for another "
            f"device interface than {interface}, which this pymmcore has (pip install the pymmcore whose "
            "fourth number is that of your Micro-Manager, Help > About)"
        )
    return SourceError(f"{what}: {why}")


def overflow(buffer_mb: int) -> SourceError:
    """Say that the camera was faster than this computer."""
    return SourceError(
        f"the camera's buffer (microscope.buffer_mb: {buffer_mb}) overflowed: images came faster than this "
        "computer took them; image more slowly, a smaller region, or give it more memory"
    )
