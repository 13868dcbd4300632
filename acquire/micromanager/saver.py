"""Saves raw images beside the stream: in a thread of its own, which never holds the stream up."""

import contextlib
import io
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquire.frame import SourceError

WAITING_BYTES = (
    2**28
)  # of images that wait for the disk, 256 MB: a second and a half of 2 × 512² at 170 frames/s

Image = tuple[Mapping[str, Any], NDArray[np.uint16] | NDArray[np.uint8], Mapping[str, Any]]


class Saver:
    """Writes images as NDTiff, as Micro-Manager does; the newest are lost where the disk is too slow.

    Parameters
    ----------
    folder, name
        Where; the data set's own folder in it is made as `name`_1, `name`_2, …
    image_bytes
        Size of one image.

    Raises
    ------
    SourceError
        If it cannot write there.

    Attributes
    ----------
    lost
        Images that were not saved, because too many waited or the disk failed.
    problem
        Why it saves no more, None while it does.
    """

    def __init__(self, folder: Path, name: str, image_bytes: int) -> None:
        from ndstorage.ndtiff_dataset import NDTiffDataset

        try:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.redirect_stdout(io.StringIO()):  # ndstorage prints
                self._data = NDTiffDataset(str(folder), name=name, writable=True)
                self._data.initialize({"Prefix": name})
        except OSError as error:
            raise SourceError(f"microscope.save: cannot write to {folder}: {error.strerror}") from error
        self._folder = folder
        self._images: queue.Queue[Image | None] = queue.Queue(max(2, WAITING_BYTES // image_bytes))
        self.lost = 0
        self.problem: SourceError | None = None
        self._thread = threading.Thread(target=self._write, name="saver", daemon=True)
        self._thread.start()

    def put(self, axes: Mapping[str, Any], pixels: NDArray[Any], metadata: Mapping[str, Any]) -> None:
        """Take an image; never waits."""
        try:
            self._images.put_nowait((axes, pixels, metadata))
        except queue.Full:
            self.lost += 1

    def finish(self) -> None:
        """Write what waits, and close the files."""
        self._images.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (image := self._images.get()) is not None:
            if self.problem is not None:
                self.lost += 1
                continue
            axes, pixels, metadata = image
            try:
                self._data.put_image(dict(axes), pixels, dict(metadata))
            except Exception as error:
                self.lost += 1
                why = error.strerror if isinstance(error, OSError) and error.strerror else error
                self.problem = SourceError(f"raw images cannot be saved in {self._folder} any more: {why}")
        try:
            self._data.finish()
            self._data.close()
        except Exception as error:
            self.problem = self.problem or SourceError(
                f"raw images in {self._folder} cannot be completed: {error}"
            )
