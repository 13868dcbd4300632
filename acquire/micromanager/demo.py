"""Micro-Manager's demo cameras: the microscope of those who have none."""

from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import Core

CAMERAS = ("Demo camera 1", "Demo camera 2")
MULTI = "Demo cameras"  # not "Multi Camera": pycromanager's Python engine stumbles over that label
WHEEL = "Demo wheel"
CHIP = (256, 256)  # (H, W); the adapter's own 512×512 in two cameras is more than a small computer simulates


def load_demo(core: Core, config: MicroscopeConfig, shape: tuple[int, int] | None = None) -> None:
    """Load the demo devices that a mode needs: two cameras in one Multi Camera, else one camera.

    Parameters
    ----------
    core
        An empty core.
    config
        Its mode decides; in mode channels its group gets the two presets, which turn a filter wheel.
    shape
        (H, W) of the cameras' chips; None: `CHIP`.
    """
    height, width = shape or CHIP
    core.unload_all_devices()
    core.load_device("Demo hub", "DemoCamera", "DHub")
    core.initialize_device("Demo hub")
    cameras = CAMERAS if config.mode == "two-cameras" else CAMERAS[:1]
    for camera in cameras:
        _load(core, camera, "DCam")
        for key, value in {
            "PixelType": "16bit",
            "BitDepth": "16",
            "OnCameraCCDXSize": str(width),
            "OnCameraCCDYSize": str(height),
        }.items():
            core.set_property(camera, key, value)
    if config.mode == "two-cameras":
        core.load_device(MULTI, "Utilities", "Multi Camera")
        core.initialize_device(MULTI)
        for i, camera in enumerate(cameras):
            core.set_property(MULTI, f"Physical Camera {i + 1}", camera)
    core.set_camera_device(MULTI if config.mode == "two-cameras" else cameras[0])
    if config.mode == "channels" and config.channel_group and config.channels:
        _load(core, WHEEL, "DWheel")
        core.define_config_group(config.channel_group)
        for i, preset in enumerate(config.channels):
            core.define_config(config.channel_group, preset, WHEEL, "State", str(i))


def _load(core: Core, label: str, device: str) -> None:
    core.load_device(label, "DemoCamera", device)
    core.set_parent_label(label, "Demo hub")
    core.initialize_device(label)
