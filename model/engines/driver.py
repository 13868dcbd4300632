"""Is there an NVIDIA GPU? Asked before libraries are loaded that take seconds and memory to say no."""

import ctypes
import sys

from model.engines.base import ModelError


def require_driver() -> None:
    """See whether NVIDIA's driver is installed.

    Raises
    ------
    ModelError
        If not.
    """
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError as error:
        raise ModelError("there is no NVIDIA driver on this machine") from error
