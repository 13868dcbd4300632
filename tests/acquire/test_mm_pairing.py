"""Pairing: frames are whole, and every number is accounted for, whatever comes."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquire.frame import Frame, SourceError
from acquire.layout import ChannelLayout
from acquire.live import CAMERA_BUFFER, NO_PARTNER
from acquire.micromanager.frame_queue import FrameQueue
from acquire.micromanager.pairing import MAX_WAITING, CameraImage, Pairer, frame_shape, live_layout

STACK = ChannelLayout("stack", swap=False)
LARGE = 10_000


def image(channel: int, number: int, sequence: int = 0, time_s: float | None = None) -> CameraImage:
    """An image whose pixels say which it is."""
    value = 1000 * sequence + 10 * number + channel
    pixels = np.full((2, 4), value, np.uint16)
    time_s = 100 * sequence + number if time_s is None else time_s
    return CameraImage(channel, number, time_s, value, pixels, {"n": number}, sequence)


def paired(images: list[CameraImage], layout: ChannelLayout = STACK) -> tuple[Pairer, list[Frame]]:
    queue = FrameQueue(LARGE)
    pairer = Pairer(queue, layout, max_skew_s=0.5)
    for one in images:
        pairer.put(one)
    pairer.finish()
    queue.close()
    return pairer, list(queue)


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[set[int]], list[set[int]], list[CameraImage]]:
    """Numbers that each camera gives, sequence by sequence, and all images, each camera's in order."""
    numbers = st.sets(st.integers(0, MAX_WAITING - 1), max_size=MAX_WAITING)
    given_numbers = [(draw(numbers), draw(numbers)) for _ in range(draw(st.integers(1, 3)))]
    images: list[CameraImage] = []
    for sequence, both in enumerate(given_numbers):
        waiting = [[image(c, n, sequence) for n in sorted(both[c])] for c in (0, 1)]
        for first in draw(st.lists(st.booleans(), min_size=80, max_size=80)):
            side = waiting[0] if first else waiting[1]
            if side:
                images.append(side.pop(0))
        images += waiting[0] + waiting[1]
    return [a for a, _ in given_numbers], [b for _, b in given_numbers], images


@settings(max_examples=200, deadline=None)
@given(interleavings(), st.booleans())
def test_exactly_the_pairs_whose_halves_came(
    drawn: tuple[list[set[int]], list[set[int]], list[CameraImage]], swap: bool
) -> None:
    first, second, images = drawn
    pairer, frames = paired(images, ChannelLayout("stack", swap))
    base, expected, halves, neither = 0, [], 0, 0
    for sequence, (a, b) in enumerate(zip(first, second, strict=True)):
        end = max(a | b, default=-1) + 1
        values = [(base + n, 1000 * sequence + 10 * n) for n in sorted(a & b)]
        expected += values
        halves += len(a ^ b)
        neither += end - len(a | b)
        base += end
    assert [frame.seq for frame in frames] == [seq for seq, _ in expected]
    for frame, (_, value) in zip(frames, expected, strict=True):
        channels = [value, value + 1][:: -1 if swap else 1]
        assert frame.pixels.dtype == np.uint16 and frame.pixels.shape == (2, 2, 4)
        assert [set(np.unique(channel)) for channel in frame.pixels] == [{v} for v in channels]
        assert frame.arrived_ns == value + 1  # the later of both
    assert pairer.losses.get(NO_PARTNER, 0) == halves and pairer.losses.get(CAMERA_BUFFER, 0) == neither
    assert base == len(frames) + halves + neither  # every number once
    assert all(b.time_s >= a.time_s for a, b in pairwise(frames))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 200), st.integers(0, 3)), max_size=400))
def test_whatever_comes_numbers_grow_and_memory_is_bounded(chaos: list[tuple[int, int, int]]) -> None:
    queue = FrameQueue(LARGE)
    pairer = Pairer(queue, STACK)
    for channel, number, sequence in chaos:
        pairer.put(image(channel, number, sequence))
        assert sum(map(len, pairer._waiting)) <= 2 * MAX_WAITING
    pairer.finish()
    queue.close()
    frames = list(queue)
    seqs = [frame.seq for frame in frames]
    assert seqs == sorted(set(seqs))
    assert pairer._base == len(frames) + sum(pairer.losses.values())
    assert all(int(frame.pixels[1, 0, 0]) - int(frame.pixels[0, 0, 0]) == 1 for frame in frames)


def test_a_dead_camera_is_counted_while_it_is_dead() -> None:
    pairer = Pairer(FrameQueue(LARGE), STACK)
    for number in range(1000):
        pairer.put(image(0, number))
    assert pairer.losses == {NO_PARTNER: 1000 - MAX_WAITING}
    assert pairer.put(image(1, 3)) is None and pairer.n_unexpected == 1  # its frame was given up


@pytest.mark.parametrize(
    ("offset_s", "slip", "skewed"), [(0.1, 0, 0), (0.6, 0, 20), (0.2, 1, 10), (-0.2, 1, 10)]
)
def test_pairs_that_are_apart_are_counted_and_given_out(offset_s: float, slip: int, skewed: int) -> None:
    """From image 10 on, the second camera lost an image without counting it: times move by an interval."""
    images = []
    for n in range(20):
        images += [image(0, n, time_s=n), image(1, n, time_s=n + offset_s + (slip if n >= 10 else 0))]
    pairer, frames = paired(images)
    assert len(frames) == 20 and pairer.n_skewed == skewed
    assert pairer.largest_skew_s == pytest.approx(max(abs(offset_s), abs(offset_s + slip)))
    assert frames[0].metadata["skew_ms"] == pytest.approx(1000 * offset_s)


def test_time_never_goes_back_though_the_clock_is_set_back() -> None:
    pairer, frames = paired(
        [image(c, n, time_s=t) for n, t in enumerate((50.0, 51.0, 40.0, 53.0)) for c in (0, 1)]
    )
    assert [frame.time_s for frame in frames] == [0.0, 1.0, 1.0, 3.0]
    assert not pairer.losses


def test_stopping_between_two_halves_is_no_loss() -> None:
    pairer = Pairer(FrameQueue(LARGE), STACK)
    for one in (image(0, 0), image(1, 0), image(0, 1), image(0, 2)):
        pairer.put(one)
    pairer.finish(cut=True)
    assert not pairer.losses
    assert pairer.put(image(1, 1)) is None


def numbered(missing: int) -> Iterator[CameraImage]:
    pixels = np.arange(32, dtype=np.uint8).reshape(4, 8)
    for number in range(5):
        if number != missing:
            yield CameraImage(0, number, number, number, pixels + np.uint8(number))


@pytest.mark.parametrize("layout", ["side-by-side", "top-bottom", "single"])
@pytest.mark.parametrize("swap", [False, True])
def test_one_image_holds_the_frame(layout: str, swap: bool) -> None:
    if layout == "single" and swap:
        return
    pairer, frames = paired(list(numbered(missing=2)), ChannelLayout(layout, swap))
    assert [frame.seq for frame in frames] == [0, 1, 3, 4] and pairer.losses == {CAMERA_BUFFER: 1}
    whole = np.arange(32, dtype=np.uint16).reshape(4, 8) + 3
    halves = {
        "side-by-side": [whole[:, :4], whole[:, 4:]],
        "top-bottom": [whole[:2], whole[2:]],
        "single": [whole],
    }[layout]
    assert frames[2].pixels.dtype == np.uint16
    np.testing.assert_array_equal(frames[2].pixels, halves[::-1] if swap else halves)
    assert frame_shape(ChannelLayout(layout, swap), (4, 8)) == frames[2].pixels.shape


@pytest.mark.parametrize(
    ("mode", "layout", "swap", "words"),
    [
        ("splitter", "auto", False, "needs channels.layout side-by-side or top-bottom, not auto"),
        ("two-cameras", "side-by-side", False, "needs channels.layout auto or stack, not side-by-side"),
        ("single", "auto", True, "one channel"),
    ],
)
def test_a_layout_that_does_not_fit_the_mode_is_refused(
    mode: str, layout: str, swap: bool, words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        live_layout(mode, layout, swap)


def test_an_odd_image_cannot_be_split() -> None:
    with pytest.raises(SourceError, match="gives 7 pixels"):
        frame_shape(ChannelLayout("side-by-side", swap=False), (4, 7))
