"""A stand-in for a running Micro-Manager, as a program: the fixture `bridge` starts it."""

import json
import sys
from collections.abc import Callable
from typing import Any

import mm_test_adapters
from fake_bridge import Core, Java, Server
from fake_engine import Factory, Notifications, Processor
from fake_studio import Window
from mmpycorex.launcher import _PYMMCORES, create_core_instance


def main() -> None:
    """Serve until standard input ends; each line there is a command (`fake_studio.Window.tell`)."""
    core = _core()
    window = Window()
    classes: dict[str, Callable[..., Java]] = {
        "mmcorej.CMMCore": lambda: Core(core),
        "org.micromanager.Studio": lambda: window.studio,
        "org.micromanager.remote.RemoteAcquisitionFactory": lambda _: Factory(server, core),
        "org.micromanager.remote.RemoteImageProcessor": lambda: Processor(server),
        "org.micromanager.remote.RemoteNotificationHandler": lambda acquisition: Notifications(
            server, acquisition
        ),
    }
    arguments = {
        "org.micromanager.remote.RemoteAcquisitionFactory": ["mmcorej.CMMCore"],
        "org.micromanager.remote.RemoteNotificationHandler": ["org.micromanager.acqj.api.AcquisitionAPI"],
    }
    server = Server(classes, arguments)
    print(json.dumps({"port": server.port}), flush=True)
    for line in sys.stdin:
        print(json.dumps(window.tell(json.loads(line))), flush=True)


def _core() -> Any:
    """A core with Micro-Manager's two demo cameras behind Multi Camera, 128 × 128 pixels at 10 ms."""
    create_core_instance(str(mm_test_adapters.device_adapter_path()), config_file=None, buffer_size_mb=64)
    core = _PYMMCORES[0]
    core.loadDevice("DHub", "DemoCamera", "DHub")
    core.initializeDevice("DHub")
    for label in ("PIEZO1", "Calcium"):
        core.loadDevice(label, "DemoCamera", "DCam")
        core.setParentLabel(label, "DHub")
        core.initializeDevice(label)
        core.setProperty(label, "PixelType", "16bit")
        core.setProperty(label, "OnCameraCCDXSize", 128)
        core.setProperty(label, "OnCameraCCDYSize", 128)
    core.loadDevice("Both", "Utilities", "Multi Camera")
    core.initializeDevice("Both")
    core.setProperty("Both", "Physical Camera 1", "PIEZO1")
    core.setProperty("Both", "Physical Camera 2", "Calcium")
    core.setCameraDevice("Both")
    core.setExposure(10)
    return core


if __name__ == "__main__":
    main()
