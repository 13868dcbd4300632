"""Writes an NDTiff data set as a microscope does, in its own process: prints when each frame was written.

python write_ndtiff.py FOLDER N_FRAMES FRAMES_PER_S AXES_IN_METADATA MAX_FILE_SIZE
"""

import sys
import time

import ndstorage.ndtiff_file
import numpy as np
from ndstorage.ndtiff_dataset import NDTiffDataset

H, W = 48, 64


def frame(t: int) -> np.ndarray:
    """Both channels of frame `t`."""
    return np.random.default_rng(t).integers(100, 4096, (2, H, W), np.uint16)


def main(folder: str, n_frames: int, per_s: float, named: bool, max_file_size: int) -> None:
    """Write the frames at their time, each channel as an image."""
    ndstorage.ndtiff_file.MAX_FILE_SIZE = max_file_size
    data = NDTiffDataset(folder, name="cell", writable=True)
    data.initialize({"PixelSize_um": 0.1})
    begun = time.monotonic()
    for t in range(n_frames):
        time.sleep(max(0.0, begun + t / per_s - time.monotonic()))
        for channel, pixels in enumerate(frame(t)):
            axes = {"time": t, "channel": ("GFP", "Cy5")[channel]}
            metadata = {"ElapsedTime-ms": 1e3 * t / per_s, **({"Axes": axes} if named else {})}
            data.put_image(axes, pixels, metadata)
        print(time.time_ns(), flush=True)
    data.finish()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "named", int(sys.argv[5]))
