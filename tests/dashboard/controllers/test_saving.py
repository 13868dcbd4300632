import csv
import json
from pathlib import Path
from platform import node

import msgspec
import numpy as np
import pytest
import tifffile
from PySide6.QtGui import QImage

from dashboard.controllers.export import save_table
from dashboard.controllers.snapshot import Snapshot, output_folder, save_snapshot
from dashboard.models.display import Display
from dashboard.models.scene import Marks, Scene, Tails
from stream.results import StreamError

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def snapshot(make_session):
    none = np.full(2, np.nan, np.float32)
    marks = Marks(
        np.array([4, -1]),
        *(
            np.array(v, np.float32)
            for v in ([10, 20], [11, 21], [0.1, 0.2], [0.1, 0.2], [900, 800], [0.9, 0.6])
        ),
        none,
        np.array([-1, -1], np.int8),
        np.zeros(2, bool),
        np.zeros(2, bool),
    )
    picture = np.arange(2 * 8 * 6, dtype=np.uint16).reshape(2, 8, 6)
    tails = Tails(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.uint8))
    scene = Scene(7, 0.35, picture, 7, marks, tails, (4,), True)
    image = QImage(40, 30, QImage.Format.Format_RGB32)
    image.fill(0xFF123456)
    return Snapshot(image, scene, make_session(), Display(), [(1, 2), (3, 4)], {"detection": 0.35})


def test_a_snapshot_holds_picture_counts_and_what_they_mean(snapshot, tmp_path):
    path = save_snapshot(snapshot, tmp_path / "snapshots")
    assert QImage(str(path)).pixelColor(3, 3).name() == "#123456"
    with tifffile.TiffFile(path.with_suffix(".tif")) as tiff:
        assert tiff.is_imagej
        assert tiff.series[0].axes == "CYX"
        np.testing.assert_array_equal(tiff.asarray(), snapshot.scene.picture)
        across, wide = tiff.pages[0].tags["XResolution"].value
        assert wide / across == pytest.approx(snapshot.session.pixel_size_nm / 1e3, rel=1e-5)
    said = json.loads(path.with_suffix(".json").read_text())
    assert (said["frame"], said["selected_tracks"], said["thresholds"]) == (7, [4], {"detection": 0.35})
    assert said["puncta"][0]["x_px"] == 10
    assert said["puncta"][0]["dff"] is None  # JSON has no NaN


def test_two_snapshots_of_a_second_are_two(snapshot, tmp_path):
    assert len({save_snapshot(snapshot, tmp_path) for _ in range(3)}) == 3


def test_without_its_picture_a_snapshot_has_no_tiff(snapshot, tmp_path):
    scene = Scene(7, 0.35, None, None, snapshot.scene.marks, snapshot.scene.tails, (), True)
    without = Snapshot(snapshot.image, scene, snapshot.session, Display(), [], {})
    path = save_snapshot(without, tmp_path)
    assert path.exists()
    assert not path.with_suffix(".tif").exists()


def test_what_cannot_be_saved_is_said(snapshot, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StreamError, match="cannot save a snapshot into"):
        save_snapshot(snapshot, tmp_path / "file" / "snapshots")
    with pytest.raises(StreamError, match="cannot save the table into"):
        save_table("events", ["a"], [], tmp_path / "file" / "exports")


def test_what_is_saved_goes_into_the_run_where_that_is_here(make_session, tmp_path):
    here = msgspec.structs.replace(make_session(), folder=str(tmp_path), host=node())
    assert output_folder(here, "snapshots") == tmp_path / "snapshots"
    elsewhere = msgspec.structs.replace(here, host="another-computer")
    assert output_folder(elsewhere, "snapshots") == Path("snapshots") / tmp_path.name


def test_a_table_comes_back_from_its_csv(tmp_path):
    path = save_table("events", ["event", "ΔF/F0"], [[1, 0.5], [2, 1.25]], tmp_path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # else Excel reads ΔF/F0 wrongly
    with path.open(newline="", encoding="utf-8-sig") as file:
        assert list(csv.reader(file)) == [["event", "ΔF/F0"], ["1", "0.5"], ["2", "1.25"]]
    assert save_table("events", ["event"], [], tmp_path) != path
