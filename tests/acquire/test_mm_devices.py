"""Devices: what is configured is set, what is not there is named."""

import re

import pytest

pytest.importorskip("pymmcore", reason="pymmcore is not installed (extra: live)")

from acquire.frame import SourceError
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import Core, adapter_folder, explain, new_core, reason
from acquire.micromanager.devices import MULTI_LABEL, set_up

pytestmark = pytest.mark.timeout(60)

TWO = """
Device,Left,DemoCamera,DCam
Device,Right-2,DemoCamera,DCam
Device,Other,DemoCamera,DCam
Device,Multi Camera,Utilities,Multi Camera
Property,Core,Initialize,1
Property,Left,PixelType,16bit
Property,Right-2,PixelType,16bit
Property,Left,BitDepth,12
Property,Right-2,BitDepth,12
Property,Multi Camera,Physical Camera 1,Left
Property,Multi Camera,Physical Camera 2,Right-2
Property,Core,Camera,Multi Camera
ConfigGroup,Light,blue,Left,Gain,1
ConfigPixelSize,Res100,Left,Binning,1
PixelSize_um,Res100,0.108
"""


CHANNELS = {
    "mode": "channels",
    "cameras": ("Left", "Other"),
    "channel_group": "Light",
    "channels": ("a", "b"),
}


@pytest.fixture
def core():
    made = new_core()
    yield made
    made.unload_all_devices()


@pytest.fixture
def two(tmp_path):
    path = tmp_path / "two.cfg"
    path.write_text(TWO)
    return path


def config_of(**options: object) -> MicroscopeConfig:
    return MicroscopeConfig(**{"exposure_ms": 12.5, "buffer_mb": 16, **options})


def test_a_system_configuration_is_set_and_read_back(core, two):
    config = config_of(
        configuration=two, roi=(16, 8, 100, 60), settings={"Right-2-Gain": 3, "Left-ScanMode": "2"}
    )
    devices = set_up(core, config)
    assert devices.cameras == ("Left", "Right-2") and devices.image_shape == (60, 100)
    assert (devices.bit_depth, devices.exposure_ms) == (12, 12.5)
    assert devices.pixel_size_nm == pytest.approx(108)
    assert core.get_property("Right-2", "Gain") == "3" and core.get_property("Left", "ScanMode") == "2"
    assert core.get_camera_device() == "Multi Camera" and core.get_circular_buffer_memory_footprint() == 16
    for camera in devices.cameras:
        assert float(core.get_exposure(camera)) == 12.5
        core.set_camera_device(camera)
        assert list(core.get_roi()) == [16, 8, 100, 60]


def test_the_order_of_cameras_is_the_configurations(core, two):
    assert set_up(core, config_of(configuration=two, cameras=("Right-2", "Left"))).cameras == (
        "Right-2",
        "Left",
    )
    assert core.get_camera_device() == "Multi Camera"


def test_a_multi_camera_is_made_where_there_is_none_of_these(core, two):
    devices = set_up(
        core, config_of(configuration=two, cameras=("Left", "Other"), settings={"Other-PixelType": "16bit"})
    )
    assert devices.cameras == ("Left", "Other") and core.get_camera_device() == MULTI_LABEL
    assert int(core.get_number_of_camera_channels()) == 2


@pytest.mark.parametrize("mode", ["single", "splitter"])
def test_one_camera_of_several(core, two, mode):
    with pytest.raises(SourceError, match="from Left, Right-2, Other"):
        set_up(core, config_of(configuration=two, mode=mode))
    assert set_up(
        core, config_of(configuration=two, mode=mode, settings={"Core-Camera": "Right-2"})
    ).cameras == ("Right-2",)


@pytest.mark.parametrize("mode", ["two-cameras", "channels", "single"])
def test_demo(core, mode):
    more = {"channel_group": "Channel", "channels": ("a", "b")} if mode == "channels" else {}
    devices = set_up(core, config_of(camera="demo", mode=mode, **more), (40, 50))
    assert devices.image_shape == (40, 50) and devices.bit_depth == 16 and devices.pixel_size_nm is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"settings": {"Lefty-Gain": 1}},
            "of a device that is there: Left, Right-2, Other, Multi Camera, Core",
        ),
        ({"settings": {"Left-Gainn": 1}}, "Left has no property Gainn; it has AllowMultiROI, "),
        ({"settings": {"Left-PixelType": "17bit"}}, "Left-PixelType cannot be 17bit (allowed: 16bit, "),
        ({"settings": {"Left-Photon Flux": 1e9}}, "(allowed: 2 to 5000)"),
        ({"cameras": ("Left", "Lefty")}, "there is no camera Lefty; there are Left, Right-2, Other"),
        ({"cameras": ("Left", "Left")}, "needs two"),
        ({"roi": (500, 0, 100, 10)}, "ends at x 600, y 10; Left has 512×512 pixels"),
        ({"settings": {"Left-PixelType": "32bitRGB"}}, "not grey with 8 or 16 bits"),
        ({"settings": {"Left-OnCameraCCDXSize": 300}}, "Left 300×512, Right-2 512×512; set microscope.roi"),
        ({**CHANNELS, "channel_group": "Lite"}, "there is no group Lite; there are Light"),
        ({**CHANNELS, "channels": ("blue", "b")}, "group Light has no preset b; it has blue"),
        ({"buffer_mb": 65536}, "microscope.buffer_mb is 65536, but this computer has "),
        ({"folder": "/no/such"}, "there is no folder"),
        ({"configuration": "/no/such.cfg"}, "there is no file"),
    ],
)
def test_what_is_wrong_is_named(core, two, options, words):
    with pytest.raises(SourceError, match=re.escape(words)) as error:
        set_up(core, config_of(**{"configuration": two, **options}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Device,Camera,NoSuch,DCam\n", "built for another device interface than 75"),
        (
            "Device,Camera,DemoCamera,DCam\nProperty,Camera,Nope,1\n",
            "Line 2: Property,Camera,Nope,1; Cannot set property",
        ),
        ("Device,Hub,DemoCamera,DHub\nProperty,Core,Initialize,1\n", "has no camera"),
    ],
)
def test_a_system_configuration_that_is_wrong(core, tmp_path, text, words):
    path = tmp_path / "wrong.cfg"
    path.write_text(text)
    with pytest.raises(SourceError, match=re.escape(words)) as error:
        set_up(core, config_of(configuration=path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_nothing_is_configured(core, tmp_path):
    with pytest.raises(SourceError, match="no system configuration is given"):
        set_up(core, config_of())
    with pytest.raises(SourceError, match="holds no device adapters"):
        adapter_folder(tmp_path)


def test_any_spelling_of_the_core_will_do():
    class Words:
        def size(self):
            return 2

        def get(self, i):
            return "ab"[i]

    class Java:
        def get_loaded_devices(self):
            return Words()

    assert Core(Java()).strings("get_loaded_devices") == ["a", "b"]
    assert new_core().strings("get_loaded_devices") == ["Core"]
    with pytest.raises(AttributeError, match="has no such_thing"):
        new_core().such_thing()


def test_javas_stack_traces_become_one_line(core):
    error = Exception("java.lang.Exception: mmcorej.DeviceException: Camera is busy\n  at a.b(C.java:3)\n")
    assert reason(error) == "Camera is busy"
    assert str(explain(error, "no", core)) == "no: Camera is busy"
