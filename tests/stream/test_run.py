import json
import os
import re
import sys
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquire.frame import SourceInfo
from model.camera import Camera
from stream.config import ConfigError, OutputConfig, RunConfig
from stream.record import run as run_module
from stream.record.provenance import RunStart, describe
from stream.record.run import FORMAT, create_run_folder, open_run, read_info, write_info
from stream.results import StreamError

NOW = datetime(2026, 11, 22, 14, 3, 5)
SOURCE = SourceInfo("movie", (2, 4, 6), None, None, 108.0, 16, "OME-TIFF")
START = RunStart(RunConfig(), SOURCE, "none", Camera(), 108.0, 0.1)


def test_run_folder_is_named_after_time_and_movie(tmp_path):
    output = OutputConfig(folder=tmp_path / "new" / "runs")
    assert create_run_folder(output, "movie", NOW).name == "2026-11-22T14-03-05_movie"
    # A second run in the same second is nobody's mistake.
    assert create_run_folder(output, "movie", NOW).name == "2026-11-22T14-03-05_movie-2"


@given(st.text(max_size=200))
def test_any_source_name_gives_a_name_that_windows_takes(tmp_path_factory, name):
    folder = create_run_folder(OutputConfig(folder=tmp_path_factory.mktemp("runs")), name, NOW)
    assert re.fullmatch(r"[\w.-]{1,102}", folder.name)
    assert not folder.name.endswith(".")


def test_an_existing_run_is_never_overwritten(tmp_path):
    output = OutputConfig(folder=tmp_path, name="mine")
    create_run_folder(output, "movie", NOW)
    with pytest.raises(
        ConfigError, match=r"mine exists and is never overwritten; choose another output\.name"
    ):
        create_run_folder(output, "movie", NOW)


@pytest.mark.parametrize("name", ["con", "NUL.txt", "com1", "run."])
def test_names_that_windows_refuses_are_refused_everywhere(tmp_path, name):
    with pytest.raises(ConfigError, match="Windows"):
        create_run_folder(OutputConfig(folder=tmp_path, name=name), "movie", NOW)


def test_a_file_in_the_place_of_the_output_folder(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        create_run_folder(OutputConfig(folder=tmp_path / "runs"), "movie", NOW)
    with pytest.raises(ConfigError, match=r"cannot make run folder.*set output\.folder"):
        create_run_folder(OutputConfig(folder=tmp_path / "runs" / "below"), "movie", NOW)


def test_run_json_says_how_the_run_was_made(tmp_path):
    camera = Camera(offset=np.full((4, 6), 99.0, np.float32))
    start = RunStart(RunConfig(), SOURCE, "wavelet on CPU", camera, 108.0, 0.05, ("offset assumed",))
    write_info(tmp_path, describe(start))
    info = read_info(tmp_path)
    assert info["state"] == "running"
    assert info["camera"]["offset"] == {"map": [4, 6], "median": 99.0}
    assert info["source"]["shape"] == [2, 4, 6]
    assert info["warnings"] == ["offset assumed"]
    assert info["versions"]["numpy"] == np.__version__
    assert RunConfig.model_validate(info["configuration"]) == start.config


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for git is a shell script")
def test_git_does_not_wait_at_our_standard_input(tmp_path, monkeypatch):
    (tmp_path / ".git").touch()
    monkeypatch.setattr("model.commit.__file__", str(tmp_path / "model" / "commit.py"))
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nread line\necho abcdef\n")  # as an inherited handle does on Windows
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    ours, (read, write) = os.dup(0), os.pipe()
    os.dup2(read, 0)  # like the supervisor's pipe: open, and nothing comes
    try:
        assert describe(START)["versions"]["commit"] == "abcdef"
    finally:
        os.dup2(ours, 0)
        for descriptor in (ours, read, write):
            os.close(descriptor)


def test_run_json_is_replaced_when_its_reader_lets_go(tmp_path, monkeypatch):
    real, refusals = os.replace, [PermissionError(13, "used by another process")]

    def as_on_windows(source, target):
        if refusals:
            raise refusals.pop()
        real(source, target)

    monkeypatch.setattr(os, "replace", as_on_windows)
    write_info(tmp_path, {"format": FORMAT, "state": "finished"})
    assert not refusals
    assert read_info(tmp_path)["state"] == "finished"


def test_a_reader_that_never_lets_go_is_not_waited_for_forever(tmp_path, monkeypatch):
    tries = []

    def refuse(source, target):
        tries.append(target)
        raise PermissionError(13, "used by another process")

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(run_module, "REPLACE_WAIT_S", 0.0)
    with pytest.raises(PermissionError):
        write_info(tmp_path, {"format": FORMAT})
    assert len(tries) == run_module.REPLACE_TRIES


def test_run_json_holds_no_nan(tmp_path):
    write_info(tmp_path, {"format": 1, "timings": {"frames_per_s": float("nan"), "all": [float("inf"), 1.0]}})
    assert json.loads((tmp_path / "run.json").read_text())["timings"] == {
        "frames_per_s": None,
        "all": [None, 1.0],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_only_a_finished_run_opens(tmp_path):
    with pytest.raises(StreamError, match="is not a run folder"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 1, "sta')
    with pytest.raises(StreamError, match="damaged"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(StreamError, match="format"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 2, "state": "running", "results": "journal"}')
    with pytest.raises(StreamError, match=r"piezo1 recover"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 2, "state": "finished", "results": "tables"}')
    with pytest.raises(StreamError, match=r"cannot read .*puncta\.parquet"):
        open_run(tmp_path).puncta()
