"""The index of NDTiff data sets: what ndstorage writes is read back, and anything less is a prefix of it."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ndstorage.ndtiff_index import NDTiffIndexEntry

from acquire.ndtiff.index import DamagedIndex, IndexTail, StoredImage, parse_index

NUMBERS = st.integers(0, 2**32 - 1)
NAMES = st.text(st.characters(categories=("L", "N"), include_characters=" -_"), min_size=1, max_size=12)
IMAGES = st.builds(
    StoredImage,
    st.dictionaries(NAMES, st.one_of(st.integers(-5, 10**6), NAMES), min_size=1, max_size=4),
    NAMES.map(lambda name: f"{name}_NDTiffStack.tif"),
    *[NUMBERS] * 5,
    st.integers(2, 2**32 - 1),
)


def pack(image: StoredImage) -> bytes:
    """The entry as ndstorage writes it."""
    assert image.axes is not None
    entry = NDTiffIndexEntry(
        frozenset(image.axes.items()),
        image.pixel_type,
        image.offset,
        image.width,
        image.height,
        image.metadata_offset,
        image.metadata_length,
        image.file,
    )
    return entry.as_byte_buffer().getvalue()


@settings(max_examples=200, deadline=None)
@given(images=st.lists(IMAGES, max_size=8), reserved=st.integers(0, 200))
def test_round_trip(images: list[StoredImage], reserved: int) -> None:
    """Zeros behind the entries are the space that Micro-Manager reserves."""
    data = b"".join(map(pack, images))
    assert parse_index(data + bytes(reserved)) == (images, len(data))


@settings(max_examples=200, deadline=None)
@given(images=st.lists(IMAGES, min_size=1, max_size=6), data=st.data())
def test_cut_anywhere_gives_a_prefix(images: list[StoredImage], data: st.DataObject) -> None:
    packed = list(map(pack, images))
    length = data.draw(st.integers(0, sum(map(len, packed))))
    ends = [sum(map(len, packed[: n + 1])) for n in range(len(packed))]
    n_whole = sum(end <= length for end in ends)
    found, end = parse_index(b"".join(packed)[:length])
    assert found == images[:n_whole]
    assert end == (ends[n_whole - 1] if n_whole else 0)


def whole_but_length(image: StoredImage) -> StoredImage:
    """Its last number but one may be half written, and nobody who follows takes it from the index."""
    return replace(image, metadata_length=1)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=st.lists(IMAGES, max_size=6), data=st.data(), reserved=st.sampled_from([0, 5000]))
def test_tail_gives_each_entry_once(
    tmp_path: Path, images: list[StoredImage], data: st.DataObject, reserved: int
) -> None:
    """Whether the index grows, as in Python, or is filled, as in Java."""
    path = tmp_path / "NDTiff.index"
    path.unlink(missing_ok=True)
    tail, found = IndexTail(path), []
    assert tail.new() == []
    whole = b"".join(map(pack, images))
    for length in sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=10)) | {len(whole)}):
        written = whole[:length]
        path.write_bytes(written + bytes(max(0, reserved - len(written))))
        found += tail.new()
        found += tail.new()
        assert [whole_but_length(image) for image in found] == [
            whole_but_length(image) for image in images[: len(found)]
        ]
    assert len(found) == len(images)
    assert tail.new() == []


@settings(max_examples=300, deadline=None)
@given(images=st.lists(IMAGES, max_size=3), data=st.data())
def test_damage_is_told_or_survived(images: list[StoredImage], data: st.DataObject) -> None:
    content = bytearray(b"".join(map(pack, images)) + data.draw(st.binary(max_size=60)))
    if content:
        places = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
        for place, value in data.draw(st.lists(places, max_size=5)):
            content[place] = value
    try:
        found, end = parse_index(bytes(content))
    except DamagedIndex:
        return
    assert end <= len(content)
    assert all(Path(image.file).name == image.file for image in found)


def test_file_of_another_folder_is_damage() -> None:
    image = StoredImage({"time": 0}, "../other_NDTiffStack.tif", 0, 4, 4, 1, 32, 2)
    with pytest.raises(DamagedIndex):
        parse_index(pack(image))
