"""Engines that took a while to build, kept on disk for the next start."""

import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from model.engines.base import ModelError

_DIGEST_BYTES = hashlib.sha256().digest_size


def cache_folder() -> Path:
    """Where this user's caches lie, by the custom of the operating system."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "piezo1" / "engines"


def cache_key(*parts: object) -> str:
    """Name for what depends on exactly these; anything else about them must not matter."""
    text = "\n".join(part.hex() if isinstance(part, bytes) else str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def cached(key: str, build: Callable[[], bytes], folder: Path | None = None) -> tuple[bytes, bool]:
    """Content of an entry, built if it is missing, damaged or of something else.

    Parameters
    ----------
    key
        As `cache_key` gives it.
    build
        Makes the content.
    folder
        None: that of this user.

    Returns
    -------
    The content, and whether it was built now.

    Raises
    ------
    ModelError
        If it cannot be written.
    """
    content = load(key, folder)
    if content is not None:
        return content, False
    content = build()
    store(key, content, folder)
    return content, True


def store(key: str, content: bytes, folder: Path | None = None) -> None:
    """Write an entry whole or not at all.

    Raises
    ------
    ModelError
        If it cannot be written.
    """
    path = _path(key, folder)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(hashlib.sha256(content).digest() + content)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):  # its folder may be none
            part.unlink()
        raise ModelError(f"cannot keep the built engine in {path.parent}: {error.strerror}") from error


def load(key: str, folder: Path | None = None) -> bytes | None:
    """Content of an entry; None where it is missing or damaged."""
    try:
        content = _path(key, folder).read_bytes()
    except OSError:
        return None
    digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def _path(key: str, folder: Path | None) -> Path:
    return (folder or cache_folder()) / f"{key}.engine"
