"""What stands on the microscope's table: loads devices, sets them as configured, reads them back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from acquire.frame import SourceError
from acquire.layout import ChannelLayout
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import Core, adapter_folder, check_buffer, explain
from acquire.micromanager.demo import load_demo
from acquire.units import nanometres

# Micro-Manager's own name for it is "Multi Camera"; pycromanager's Python engine stumbles over that label.
MULTI_LABEL = "PIEZO1 and calcium"


@dataclass(frozen=True, slots=True)
class Devices:
    """The microscope as it is set.

    Attributes
    ----------
    cameras
        Labels of the cameras that image: PIEZO1 and calcium, or the one for both.
    image_shape
        (H, W) of one image.
    bit_depth
        Bits the cameras use per pixel.
    exposure_ms
        The longest of the cameras'.
    pixel_size_nm
        None where Micro-Manager does not know it.
    """

    cameras: tuple[str, ...]
    image_shape: tuple[int, int]
    bit_depth: int
    exposure_ms: float
    pixel_size_nm: float | None


def set_up(core: Core, config: MicroscopeConfig, demo_shape: tuple[int, int] | None = None) -> Devices:
    """Load the devices (unless a running Micro-Manager has them) and set them as configured.

    Parameters
    ----------
    core
        Where they are or will be.
    config
        What to load and set.
    demo_shape
        (H, W) of the demo cameras' chips; None: as they are.

    Raises
    ------
    SourceError
        If something is not there or refuses; devices may then be half set.
    """
    if config.backend != "java":
        check_buffer(config.buffer_mb)
        core.set_device_adapter_search_paths([str(adapter_folder(config.folder))])
        with explained(core, "microscope.buffer_mb"):
            core.set_circular_buffer_memory_footprint(config.buffer_mb)
    if config.camera == "demo":
        with explained(core, "the demo's devices cannot be loaded"):
            load_demo(core, config, demo_shape)
    elif config.configuration is not None:
        _load(core, config)
    elif not core.get_camera_device():
        raise SourceError(
            "no system configuration is given: microscope.configuration is a .cfg file that Micro-Manager's "
            "Hardware Configuration Wizard writes (or try microscope.camera: demo)"
        )
    for name, value in config.settings.items():
        _set(core, name, value)
    cameras = _choose_cameras(core, config)
    _check_presets(core, config)
    shape = _set_roi(core, config, cameras)
    if config.exposure_ms is not None:
        set_exposure(core, cameras, config.exposure_ms)
    return _read_back(core, cameras, shape)


def set_exposure(core: Core, cameras: tuple[str, ...], exposure_ms: float) -> float:
    """Set the exposure of each camera, ms; gives the longest that they made of it. Raises SourceError."""
    made_ms = []
    for camera in cameras:
        with explained(core, f"{camera} does not take an exposure of {exposure_ms:g} ms"):
            core.set_exposure(camera, exposure_ms)
            made_ms.append(float(core.get_exposure(camera)))
    return max(made_ms)


def default_interval_s(config: MicroscopeConfig, exposure_ms: float) -> float:
    """Time from frame to frame that can be expected: readout and switching are not known beforehand."""
    exposures = 2 if config.mode == "channels" else 1
    return max(config.interval_ms, exposures * exposure_ms) / 1000


def describe(config: MicroscopeConfig, devices: Devices, layout: ChannelLayout) -> str:
    """One line for people."""
    height, width = devices.image_shape
    return (
        f"Micro-Manager ({config.backend}), {config.mode}: {' and '.join(devices.cameras)}, {width}×{height} "
        f"pixels, {devices.bit_depth} bits, exposure {devices.exposure_ms:g} ms, layout {layout.name}"
    )


@contextmanager
def explained(core: Core, what: str) -> Iterator[None]:
    """Turn whatever the core raises into one sentence that begins with `what`."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        raise explain(error, what, core) from error


def _load(core: Core, config: MicroscopeConfig) -> None:
    path = config.configuration
    if path is None or not path.is_file():
        raise SourceError(f"microscope.configuration: there is no file {path}")
    with explained(core, f"system configuration {path} cannot be loaded"):
        core.unload_all_devices()
        core.load_system_configuration(str(path.absolute()))
    if not core.get_camera_device() and not core.cameras():
        raise SourceError(f"system configuration {path} has no camera")


def _set(core: Core, name: str, value: str | int | float) -> None:
    """Set "Device-Property"; a device's label may hold dashes of its own."""
    devices = core.strings("get_loaded_devices")
    device = max((label for label in devices if name.startswith(f"{label}-")), key=len, default=None)
    if device is None:
        raise SourceError(
            f'microscope.settings: {name} is not "Device-Property" of a device that is there: '
            f"{', '.join(devices)}"
        )
    key = name[len(device) + 1 :]
    properties = core.strings("get_device_property_names", device)
    if key not in properties:
        raise SourceError(
            f"microscope.settings: {device} has no property {key}; it has {', '.join(properties)}"
        )
    allowed = core.strings("get_allowed_property_values", device, key)
    hint = f" (allowed: {', '.join(allowed)})" if allowed else ""
    if core.has_property_limits(device, key):
        lowest = core.get_property_lower_limit(device, key)
        hint = f" (allowed: {lowest:g} to {core.get_property_upper_limit(device, key):g})"
    with explained(core, f"microscope.settings: {name} cannot be {value}{hint}"):
        core.set_property(device, key, str(value))
        core.wait_for_device(device)


def _choose_cameras(core: Core, config: MicroscopeConfig) -> tuple[str, ...]:
    """Make the camera(s) of the mode the core's; gives their labels."""
    known = core.cameras()
    single = [camera for camera in known if not _parts(core, camera)]
    for camera in config.cameras or ():
        if camera not in single:
            raise SourceError(
                f"microscope.cameras: there is no camera {camera}; there are {', '.join(single)}"
            )
    if config.mode != "two-cameras":
        camera = config.cameras[0] if config.cameras else core.get_camera_device()
        if not camera or _parts(core, camera):
            if len(single) != 1:
                raise SourceError(
                    f"mode {config.mode} images with one camera; choose it with microscope.cameras or "
                    f'settings: {{"Core-Camera": ...}} from {", ".join(single)}'
                )
            camera = single[0]
        core.set_camera_device(camera)
        return (camera,)
    multi = [core.get_camera_device(), *known]
    label = next((m for m in multi if _fits(config.cameras, _parts(core, m))), None)
    if label is None:
        pair = config.cameras or (tuple(single) if len(single) == 2 else None)
        if pair is None or len(set(pair)) != 2:
            raise SourceError(
                f"mode two-cameras needs two: name them in microscope.cameras; there are {', '.join(single)}"
            )
        label = combine(core, pair)
    core.set_camera_device(label)
    return config.cameras or tuple(_parts(core, label)[:2])


def combine(core: Core, cameras: tuple[str, ...]) -> str:
    """Make a Multi Camera of these cameras; gives its label."""
    with explained(core, "the Multi Camera cannot be set up"):
        core.load_device(MULTI_LABEL, "Utilities", "Multi Camera")
        core.initialize_device(MULTI_LABEL)
        for i, camera in enumerate(cameras):
            core.set_property(MULTI_LABEL, f"Physical Camera {i + 1}", camera)
    return MULTI_LABEL


def _fits(wanted: tuple[str, str] | None, parts: list[str]) -> bool:
    return len(parts) == 2 and (wanted is None or set(parts) == set(wanted))


def _parts(core: Core, camera: str) -> list[str]:
    """Cameras of a Multi Camera; empty for all others."""
    if not camera or (core.get_device_library(camera), core.get_device_name(camera)) != (
        "Utilities",
        "Multi Camera",
    ):
        return []
    properties = core.strings("get_device_property_names", camera)
    parts = [str(core.get_property(camera, p)) for p in properties if p.startswith("Physical Camera")]
    return [part for part in parts if part not in ("", "Undefined")]


def _check_presets(core: Core, config: MicroscopeConfig) -> None:
    if config.mode != "channels" or config.channel_group is None or config.channels is None:
        return
    groups = core.strings("get_available_config_groups")
    if config.channel_group not in groups:
        there = f"there are {', '.join(groups)}" if groups else "there is none"
        raise SourceError(f"microscope.channel_group: there is no group {config.channel_group}; {there}")
    presets = core.strings("get_available_configs", config.channel_group)
    for preset in config.channels:
        if preset not in presets:
            raise SourceError(
                f"microscope.channels: group {config.channel_group} has no preset {preset}; "
                f"it has {', '.join(presets)}"
            )
        with explained(core, f"preset {preset} of group {config.channel_group} cannot be set"):
            core.set_config(config.channel_group, preset)


def _set_roi(core: Core, config: MicroscopeConfig, cameras: tuple[str, ...]) -> tuple[int, int]:
    """Set the region on each camera; gives the (H, W) that all have then."""
    label = core.get_camera_device()
    shapes = {}
    for camera in cameras:
        core.set_camera_device(camera)
        with explained(core, f"{camera} does not take its region"):
            core.clear_roi()
            width, height = int(core.get_image_width()), int(core.get_image_height())
            if config.roi is not None:
                x, y, roi_width, roi_height = config.roi
                if x + roi_width > width or y + roi_height > height:
                    raise SourceError(
                        f"microscope.roi ends at x {x + roi_width}, y {y + roi_height}; "
                        f"{camera} has {width}×{height} pixels"
                    )
                core.set_roi(x, y, roi_width, roi_height)
        shapes[camera] = (int(core.get_image_height()), int(core.get_image_width()))
    core.set_camera_device(label)
    if len(set(shapes.values())) != 1:
        sizes = ", ".join(f"{camera} {width}×{height}" for camera, (height, width) in shapes.items())
        raise SourceError(f"both cameras must give images of the same size: {sizes}; set microscope.roi")
    return shapes[cameras[0]]


def _read_back(core: Core, cameras: tuple[str, ...], shape: tuple[int, int]) -> Devices:
    label = core.get_camera_device()
    bits, exposures = [], []
    for camera in cameras:
        core.set_camera_device(camera)
        if int(core.get_number_of_components()) != 1 or int(core.get_bytes_per_pixel()) not in (1, 2):
            raise SourceError(
                f"{camera} gives images that are not grey with 8 or 16 bits; change its PixelType"
            )
        bits.append(min(16, int(core.get_image_bit_depth())))
        exposures.append(float(core.get_exposure(camera)))
    core.set_camera_device(label)
    return Devices(
        cameras=cameras,
        image_shape=shape,
        bit_depth=max(bits),
        exposure_ms=max(exposures),
        pixel_size_nm=nanometres(float(core.get_pixel_size_um()) or None, "µm"),
    )
