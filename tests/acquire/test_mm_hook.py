"""The hook: what it reads, what it costs, what it shows and what it gives back to be saved."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile

from acquire.frame import SourceError
from acquire.layout import ChannelLayout
from acquire.micromanager.frame_queue import FrameQueue
from acquire.micromanager.hook import Hook, received_s
from acquire.micromanager.pairing import Pairer
from acquire.micromanager.scene import Scene, scene_shape

CAMERAS = ("A", "B")
STACK = ChannelLayout("stack", swap=False)
SHAPE = (256, 256)


def tags(camera: str, number: int | None, time: int, **more: object) -> dict[str, object]:
    """Metadata as pycromanager gives them: numbers are texts, time points are in order of arrival."""
    known = {"Camera": camera, "Axes": {"time": time}, "Exposure": 20.0, "Width": "256", **more}
    return known if number is None else {**known, "ImageNumber": str(number)}


def hook_of(labels=CAMERAS, layout=STACK, shape=SHAPE, **options) -> tuple[Hook, FrameQueue]:
    queue = FrameQueue(1000)
    hook = Hook(queue, Pairer(queue, layout, 0.01), labels, shape, **options)
    hook.begin(0, snaps=False)
    return hook, queue


def test_it_costs_less_than_a_tenth_of_a_millisecond():
    """The fastest of three, because other programs run here too."""
    pixels = np.zeros(SHAPE, np.uint16)
    costs = []
    for _ in range(3):
        hook, _ = hook_of()
        for n in range(500):
            for camera in CAMERAS:
                hook(pixels, tags(camera, n, n, TimeReceivedByCore="2026-11-23 09:42:44.542691"))
        assert len(hook.costs_ms) == 1000
        costs.append(np.percentile(hook.costs_ms, 99))
    assert min(costs) <= 0.1


def test_time_is_the_cores_or_else_that_of_arrival():
    now = datetime.now()
    assert received_s({"TimeReceivedByCore": str(now)}, 0) == pytest.approx(now.timestamp())
    for strange in ({}, {"TimeReceivedByCore": "late"}, {"TimeReceivedByCore": 3}):
        assert received_s(strange, 2_500_000_000) == 2.5


def test_pairs_follow_camera_and_number_whatever_the_engine_says():
    """The engine gave the second camera's images the time points of the first and none a channel."""
    hook, queue = hook_of(save=True)
    order = [("A", 0), ("A", 1), ("B", 0), ("A", 2), ("B", 1), ("B", 2)]
    saved = []
    for i, (camera, number) in enumerate(order):
        pixels = np.full(SHAPE, 10 * number + CAMERAS.index(camera), np.uint16)
        saved.append(hook(pixels, tags(camera, number, i // 2)))
    hook.close()
    frames = list(queue)
    assert [[int(channel[0, 0]) for channel in frame.pixels] for frame in frames] == [
        [0, 1],
        [10, 11],
        [20, 21],
    ]
    assert [image[1]["Axes"] for image in saved] == [{"time": n, "channel": c} for c, n in order]
    assert frames[1].metadata == {
        "camera": "A",
        "image_number": 1,
        "exposure_ms": 20.0,
        "skew_ms": pytest.approx(0, abs=500),
    }


def test_sequences_and_snaps_continue_the_numbers():
    hook, queue = hook_of(labels=("A",), layout=ChannelLayout("single", swap=False), save=True)
    axes = []
    for n in range(3):
        axes.append(hook(np.zeros(SHAPE, np.uint16), tags("A", n, n))[1]["Axes"])
    hook.begin(100, snaps=True)  # the first sequence was cut, so its other time points never came
    for time in (100, 101):
        axes.append(hook(np.zeros(SHAPE, np.uint8), tags("A", 0 if time == 100 else None, time))[1]["Axes"])
    hook.begin(102, snaps=False)
    axes.append(hook(np.zeros(SHAPE, np.uint16), tags("A", 1, 103))[1]["Axes"])  # number 0 was lost
    hook.close()
    assert [frame.seq for frame in queue] == [0, 1, 2, 3, 4, 6]
    assert axes == [{"time": seq} for seq in (0, 1, 2, 3, 4, 6)]


@pytest.mark.parametrize(
    ("pixels", "metadata", "words"),
    [
        (np.zeros((8, 8), np.uint16), tags("A", 1, 1), r"changed while it imaged: \(8, 8\) uint16"),
        (np.zeros(SHAPE, np.float32), tags("A", 1, 1), "float32"),
        (np.zeros(SHAPE, np.uint16), tags("C", 1, 1), "came from C, which is none of A, B"),
        (np.zeros(SHAPE, np.uint16), {"Camera": "A"}, "the hook failed: KeyError"),
        (np.zeros(SHAPE, np.uint16), tags("A", 1, 1) | {"ImageNumber": "x"}, "the hook failed: ValueError"),
    ],
)
def test_whatever_goes_wrong_ends_it_with_one_sentence(pixels, metadata, words):
    told = []
    hook, queue = hook_of(on_problem=lambda: told.append(1))
    for camera in CAMERAS:
        hook(np.zeros(SHAPE, np.uint16), tags(camera, 0, 0))
    assert hook(pixels, metadata) is None
    assert hook(np.zeros(SHAPE, np.uint16), tags("A", 1, 1)) is None and told == [1]
    frames = []
    with pytest.raises(SourceError, match=words):
        for frame in queue:
            frames.append(frame)
    assert len(frames) == 1


def movie(path: Path, n_channels: int) -> np.ndarray:
    """A movie of 3 frames, 6 × 10 pixels."""
    pixels = np.random.default_rng(1).integers(0, 65535, (3, n_channels, 6, 10), np.uint16)
    tifffile.imwrite(
        path,
        pixels if n_channels == 2 else pixels[:, 0],
        imagej=True,
        metadata={"axes": "TCYX"[:4] if n_channels == 2 else "TYX"},
    )
    return pixels


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("name", ["stack", "side-by-side", "top-bottom", "single"])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_scene_comes_out_as_the_movie(tmp_path, name, swap, n_channels):
    """Through the cameras' images and their layout, looped; cut and tiled where the image is not its size."""
    if name == "single" and swap:
        return
    path, layout = tmp_path / "movie.tif", ChannelLayout(name, swap)
    pixels = movie(path, n_channels)
    shape = scene_shape(path, layout)
    labels = CAMERAS if name == "stack" else ("A",)
    hook, queue = hook_of(labels, layout, shape, scene=Scene(path, layout, shape))
    for n in range(5):
        for label in labels:
            hook(np.zeros(shape, np.uint16), tags(label, n, n))
    hook.close()
    for n, frame in enumerate(queue):
        shown = pixels[n % 3]
        expected = shown[:1] if name == "single" else shown[[0, -1]]
        np.testing.assert_array_equal(frame.pixels, expected)
    assert n == 4


def test_the_scene_is_cut_and_tiled(tmp_path):
    pixels = movie(tmp_path / "movie.tif", 2)
    scene = Scene(tmp_path / "movie.tif", STACK, (9, 4))
    assert len(scene) == 3
    np.testing.assert_array_equal(scene.image(4, 1), np.concatenate([pixels[1, 1], pixels[1, 1, :3]])[:, :4])
    with pytest.raises(SourceError, match=r"no\.tif"):
        Scene(tmp_path / "no.tif", STACK, (9, 4))
