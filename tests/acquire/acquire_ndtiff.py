"""Has pycromanager record two demo cameras into an NDTiff data set; keeps what its hook saw of each image.

python acquire_ndtiff.py FOLDER N_FRAMES
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import mm_test_adapters
import numpy as np
from pycromanager import Acquisition, Core, multi_d_acquisition_events, start_headless, stop_headless

SIZE = 64


def main(folder: Path, n_frames: int) -> None:
    """Record, and write what the hook saw to `hook.npz`, and when (ns) to `hook.json`."""
    adapters = mm_test_adapters.device_adapter_path()
    start_headless(adapters, config_file=None, python_backend=True, buffer_size_mb=64)
    core = Core()
    core.load_device("DHub", "DemoCamera", "DHub")
    core.initialize_device("DHub")
    for camera in ("left", "right"):
        core.load_device(camera, "DemoCamera", "DCam")
        core.set_parent_label(camera, "DHub")
        core.initialize_device(camera)
        settings = {"PixelType": "16bit", "FastImage": 0, "OnCameraCCDXSize": SIZE, "OnCameraCCDYSize": SIZE}
        for key, value in settings.items():
            core.set_property(camera, key, str(value))
    core.load_device("Two", "Utilities", "Multi Camera")
    core.initialize_device("Two")
    core.set_property("Two", "Physical Camera 1", "left")
    core.set_property("Two", "Physical Camera 2", "right")
    core.set_camera_device("Two")
    core.set_exposure(20)
    seen: dict[str, np.ndarray] = {}
    when: dict[str, int] = {}

    def hook(image: np.ndarray, metadata: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        key = json.dumps([metadata["Camera"], int(metadata["ImageNumber"])])
        seen[key], when[key] = image.copy(), time.time_ns()
        return image, metadata

    with Acquisition(str(folder), name="demo", image_process_fn=hook, show_display=False) as acquisition:
        acquisition.acquire(multi_d_acquisition_events(num_time_points=n_frames, time_interval_s=0))
    np.savez(folder / "hook.npz", **seen)
    (folder / "hook.json").write_text(json.dumps(when))
    stop_headless()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
