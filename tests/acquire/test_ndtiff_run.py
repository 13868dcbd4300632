"""A run from an NDTiff data set gives the tables of the same frames as a TIFF."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ndstorage.ndtiff_file
import pandas as pd
import pytest
import tifffile
from ndstorage.ndtiff_dataset import NDTiffDataset

from stream.config import ConfigError
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.run import open_run


def test_following_takes_one_data_set() -> None:
    options = {"source.path": "cell_1", "source.calcium_path": "calcium.tif", "source.follow": True}
    with pytest.raises(ConfigError, match="follow takes one NDTiff data set"):
        load_config(options=options)


@pytest.mark.timeout(120)
def test_run_from_ndtiff_equals_run_from_tiff(
    sample: Path,
    tmp_path: Path,
    settings: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ndstorage.ndtiff_file, "SingleNDTiffReader", lambda *_, **__: None)
    movie = tifffile.imread(sample / "movie.tif")
    data = NDTiffDataset(str(tmp_path), name="cell", writable=True)
    data.initialize({"PixelSize_um": 0.108})
    tiff = tmp_path / "cell.ome.tif"
    metadata = {"axes": "TCYX", "PhysicalSizeX": 108.0, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(tiff, movie, metadata=metadata)
    for t, frame in enumerate(movie):
        for channel, pixels in enumerate(frame):
            axes = {"time": t, "channel": channel}
            data.put_image(axes, pixels, {"Axes": axes, "ElapsedTime-ms": 50.0 * t})
    data.finish()
    data.close()
    runs = []
    for path in (tmp_path / "cell_1", tiff):
        options = settings(source__path=path, source__interval_ms=50.0, engine__name="wavelet")
        outcome = Supervisor(load_config(options=options), transport="inproc").run()
        assert outcome.problem == ""
        runs.append(open_run(outcome.folder))
    ours, reference = runs
    assert ours.frames()["frame"].tolist() == list(range(len(movie)))
    assert len(ours.puncta()) > 300
    for table in ("puncta", "trajectories", "tracks", "events"):
        pd.testing.assert_frame_equal(getattr(ours, table)(), getattr(reference, table)())
