"""The images of an NDTiff data set in the order they are written, each as soon as all of it is there."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acquire.frame import SourceError
from acquire.ndtiff.index import INDEX_NAME, DamagedIndex, IndexTail, StoredImage
from acquire.ndtiff.stack import Stack, stacks_of_one_set

# A finished stack is followed by the next one at once where there is one; then the index is closed.
_SETTLE_S = 1.0
# Where a new stack file has to be begun soon, its 4 GiB may take longer to reserve, e.g. on a network drive.
_STACK_BYTES = 1 << 32
_RESERVE_BYTES = 5_000_000  # that writers leave in a full file
_BATCH = 256  # images handed over at once
_LOOKING_S = 0.2  # polls that are further apart were kept from looking, e.g. by a slow analysis


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """An image that is all there.

    Attributes
    ----------
    image
        Where it lies; `axes` are known.
    metadata
        JSON.
    seen_s
        When it was found, on the clock of `time.monotonic`.
    """

    image: StoredImage
    metadata: bytes
    seen_s: float


class DataSetTail:
    """Finds images as they are written.

    The stack files tell of an image at once. The index does not where Python writes it: that keeps the last
    8 KiB of entries to itself, seconds of a recording. So the index is asked only for the axes of images that
    do not carry them in their metadata; those are Java's, which writes each entry right after its image.

    Parameters
    ----------
    folder
        The data set; it need not exist yet.

    Attributes
    ----------
    summary
        Metadata of the whole acquisition, once there is an image.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary: dict[str, Any] = {}
        self._index = IndexTail(folder / INDEX_NAME)
        self._n_stacks = 0  # begun so far
        self._stack: Stack | None = None
        self._directory = self._following = 0  # of the last image found, and behind it
        self._image_bytes = 0
        self._nameless: deque[WrittenImage] = deque()
        self._entries: deque[StoredImage] = deque()
        self._closed_s: float | None = None  # since when no more images can follow in this stack
        self._polled_s = time.monotonic()
        self._idle_s = 0.0

    @property
    def n_nameless(self) -> int:
        """Images whose axes nobody has told yet."""
        return len(self._nameless)

    @property
    def idle_s(self) -> float:
        """Seconds without a new image, not counting those in which nobody looked."""
        return self._idle_s

    def poll(self) -> list[WrittenImage]:
        """Images that were written since the last call, as many as are quickly had.

        Raises
        ------
        SourceError
            If index and stack files contradict each other.
        """
        found = []
        for written in self._new():
            found.append(written)
            if len(found) == _BATCH:
                break
        now = time.monotonic()
        self._idle_s = 0.0 if found else self._idle_s + min(now - self._polled_s, _LOOKING_S)
        self._polled_s = now
        if found:
            self._closed_s = None
        return self._named(found)

    def is_finished(self, patience_s: float) -> bool:
        """Whether the writer has ended the data set; ask when `poll` gives nothing.

        `patience_s` is how long the next stack file may take to appear once this one is full.
        """
        if self._stack is None or not self._directory or not self._stack.is_closed(self._directory):
            return False
        now = time.monotonic()
        self._closed_s = self._closed_s or now
        is_full = self._following + self._image_bytes + 2 * _RESERVE_BYTES > _STACK_BYTES
        return now - self._closed_s > (patience_s if is_full else _SETTLE_S)

    def _new(self) -> Iterator[WrittenImage]:
        while self._stack is not None or self._begin_stack():
            assert self._stack is not None
            found = self._stack.image_at(self._following)
            if found is not None:
                image, metadata, following = found
                self._directory, self._following = self._following, following
                self._image_bytes = self._following - self._directory
                yield WrittenImage(image, metadata, time.monotonic())
            elif not (self._directory and self._stack.is_closed(self._directory) and self._begin_stack()):
                return

    def _begin_stack(self) -> bool:
        """Open the next stack file; False while there is none, or its header is not written."""
        try:
            names = stacks_of_one_set(self.folder)
        except OSError:
            return False
        if len(names) <= self._n_stacks:
            return False
        try:
            stack = Stack(self.folder / names[self._n_stacks])
        except OSError:  # just being made
            return False
        header = stack.header()
        if header is None:
            stack.close()
            return False
        self.close()
        self.summary, self._following = header
        self._stack, self._directory = stack, 0
        self._n_stacks += 1
        return True

    def _named(self, found: list[WrittenImage]) -> list[WrittenImage]:
        """Give images the axes that only the index knows; those not told yet wait, and all behind."""
        waiting = self._nameless
        waiting.extend(found)
        if any(written.image.axes is None for written in waiting):
            try:
                self._entries.extend(self._index.new())
            except (OSError, DamagedIndex) as error:
                raise SourceError(f"the index of {self.folder} cannot be read: {error}") from error
        named = []
        while waiting:
            written = waiting[0]
            if written.image.axes is None:
                entry = self._entry_of(written.image)
                if entry is None:
                    break
                image = replace(written.image, axes=entry.axes, pixel_type=entry.pixel_type)
                written = replace(written, image=image)
            named.append(written)
            waiting.popleft()
        return named

    def _entry_of(self, image: StoredImage) -> StoredImage | None:
        while self._entries:
            entry = self._entries.popleft()
            if (entry.file, entry.offset) == (image.file, image.offset):
                return entry
            if entry.file == image.file and entry.offset > image.offset:
                raise SourceError(
                    f"the index of {self.folder} lacks the image at byte {image.offset} of {image.file}"
                )
        return None

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._stack is not None:
            self._stack.close()
