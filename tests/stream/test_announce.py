"""Runs that announce themselves on this computer."""

import json
import os
import platform
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from model.engines.engine_cache import cache_folder
from stream.results import StreamError
from stream.watch.announce import FOLDER_VARIABLE, announce, announcement_folder, announcements, withdraw

pytestmark = pytest.mark.timeout(60)

PROGRAM = """
import sys
from pathlib import Path
from stream.watch.announce import announce
announce("ipc:///x", "cell", Path("."), runs=Path(sys.argv[1]))
print("announced", flush=True)
sys.stdin.read()
"""


def test_a_run_is_found_until_it_is_over(tmp_path):
    runs = tmp_path / "new" / "runs"
    assert announcements(runs) == []
    file = announce("tcp://127.0.0.1:5610", "cell", tmp_path, tmp_path / "keys", runs)
    (found,) = announcements(runs)
    assert (found.desk, found.name, found.folder) == ("tcp://127.0.0.1:5610", "cell", str(tmp_path))
    assert found.keys == str(tmp_path / "keys")
    assert found.process.pid == os.getpid() and found.is_alive()
    withdraw(file)
    withdraw(file)  # also twice
    assert announcements(runs) == [] and list(runs.iterdir()) == []


def test_the_newest_comes_first(tmp_path):
    for name in ("first", "second", "third"):
        announce(f"ipc:///{name}", name, tmp_path, runs=tmp_path / "runs")
    assert [one.name for one in announcements(tmp_path / "runs")] == ["third", "second", "first"]


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps each user's folders to themselves")
def test_other_users_can_neither_read_announcements_nor_leave_any(tmp_path, monkeypatch):
    """Else they could have a dashboard call them."""
    runs = tmp_path / "runs"
    file = announce("ipc:///x", "cell", tmp_path, runs=runs)
    assert stat.S_IMODE(runs.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (runs / "link.run").symlink_to(file)
    os.mkfifo(runs / "pipe.run")  # opening it would wait for ever
    assert len(announcements(runs)) == 1
    monkeypatch.setattr("stream.watch.announce.os.getuid", lambda: file.stat().st_uid + 1)
    assert announcements(runs) == [] and file.exists()


@pytest.mark.parametrize("ends", ["killed", "by itself"])
def test_what_a_process_left_behind_is_removed(tmp_path, ends):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout.readline().startswith(b"announced")
        (found,) = announcements(tmp_path)
        assert found.process.pid == child.pid
        if ends == "killed":
            child.kill()
        else:
            child.stdin.close()
        # A child that has ended, and that nobody has asked about yet, is a zombie on POSIX.
        psutil.wait_procs([psutil.Process(child.pid)], timeout=0.5)
        for _ in range(100):
            if not found.is_alive():
                break
            psutil.wait_procs([], timeout=0)
            try:
                child.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        assert announcements(tmp_path) == []
        assert list(tmp_path.iterdir()) == []


def test_a_process_that_got_the_same_number_later_is_another_one(tmp_path):
    file = announce("ipc:///x", "cell", tmp_path, runs=tmp_path)
    told = json.loads(file.read_bytes())
    told["process"]["started"] -= 3600
    file.write_text(json.dumps(told))
    assert announcements(tmp_path) == [] and not file.exists()


def test_runs_of_another_computer_are_left_alone(tmp_path):
    """A home folder may be shared: whether that process lives is not known here."""
    file = announce("ipc:///x", "cell", tmp_path, runs=tmp_path)
    told = json.loads(file.read_bytes())
    assert told["process"]["host"] == platform.node()
    told["process"]["host"] = "elsewhere"
    file.write_text(json.dumps(told))
    assert announcements(tmp_path) == [] and file.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe" * 50,
        b"[1, 2]",
        b'{"desk": 1}',
        b"{" * 50_000,
        b"x" * 100_000,
        json.dumps(
            {
                "desk": "ipc:///x", "name": "", "folder": "", "started": "yesterday",
                "process": {"pid": 1, "started": 0.0, "host": "x"},
            }
        ).encode(),
        json.dumps(
            {
                "desk": "ipc:///x", "name": "", "folder": "", "started": "2026-01-01T00:00:00+00:00",
                "process": {"pid": 10**30, "started": 0.0, "host": platform.node()},
            }
        ).encode(),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_passed_over(tmp_path, content):
    announce("ipc:///x", "cell", tmp_path, runs=tmp_path)
    (tmp_path / "damaged.run").write_bytes(content)
    (tmp_path / "half.part").write_bytes(b"{")
    (tmp_path / "folder.run").mkdir()
    assert [one.name for one in announcements(tmp_path)] == ["cell"]


def test_a_run_that_cannot_be_announced_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StreamError, match=r"now need --connect ipc:///x: cannot write into .*file"):
        announce("ipc:///x", "cell", tmp_path, runs=tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps folders of users apart by itself")
def test_only_the_user_may_write_there(tmp_path):
    announce("ipc:///x", "cell", tmp_path, runs=tmp_path / "runs")
    assert (tmp_path / "runs").stat().st_mode & 0o777 == 0o700


def test_each_user_has_a_folder_beside_the_caches(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert announcement_folder() == cache_folder().parent / "runs"
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    announce("ipc:///x", "cell", tmp_path)
    assert announcement_folder() == tmp_path and len(announcements()) == 1
