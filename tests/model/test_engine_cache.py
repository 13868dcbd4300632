import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.engines import engine_cache
from model.engines.base import ModelError
from model.engines.engine_cache import cache_folder, cache_key, cached, load, store

KEY = cache_key("engine")
CONTENT = bytes(range(256)) * 3


def test_what_is_stored_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert load(KEY, folder) is None
    store(KEY, CONTENT, folder)
    assert load(KEY, folder) == CONTENT
    assert load(cache_key("another"), folder) is None
    store(KEY, b"", folder)
    assert load(KEY, folder) == b""
    assert len(list(folder.iterdir())) == 1


def test_it_is_built_once(tmp_path: Path) -> None:
    built = []

    def build() -> bytes:
        built.append(1)
        return CONTENT

    assert cached(KEY, build, tmp_path) == (CONTENT, True)
    assert cached(KEY, build, tmp_path) == (CONTENT, False)
    assert len(built) == 1


def test_a_key_is_of_all_its_parts() -> None:
    keys = [cache_key(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), (b"abc",), ("ab", "c", 1))]
    assert len(set(keys)) == len(keys)
    assert cache_key("ab", 8, b"c") == cache_key("ab", 8, b"c")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 255), st.integers(1, 255), st.integers(0, 800))
def test_a_damaged_entry_is_built_again(
    tmp_path_factory: pytest.TempPathFactory, at: int, change: int, length: int
) -> None:
    """Changed anywhere, or cut anywhere."""
    folder = tmp_path_factory.mktemp("cache")
    store(KEY, CONTENT, folder)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    changed = bytearray(whole)
    changed[at * len(whole) // 256] ^= change
    for damaged in (bytes(changed), whole[: min(length, len(whole) - 1)], whole + b"x"):
        entry.write_bytes(damaged)
        assert load(KEY, folder) is None
        assert cached(KEY, lambda: b"new", folder) == (b"new", True)
        assert load(KEY, folder) == b"new"


def test_of_several_writers_one_wins_and_readers_never_see_a_part(tmp_path: Path) -> None:
    contents = {letter: letter.encode() * 500_000 for letter in "abc"}
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from model.engines.engine_cache import store\n"
        "for _ in range(40):\n"
        f"    store({KEY!r}, sys.argv[1].encode() * 500_000, Path(sys.argv[2]))\n"
    )
    store(KEY, contents["a"], tmp_path)
    writers = [subprocess.Popen([sys.executable, "-c", script, letter, str(tmp_path)]) for letter in contents]
    while any(writer.poll() is None for writer in writers):
        assert load(KEY, tmp_path) in contents.values()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert load(KEY, tmp_path) in contents.values()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    """Also as the administrator, who may write everywhere."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ModelError, match=r"^cannot keep the built engine in .*file.*: ") as refused:
            cached(KEY, lambda: CONTENT, folder)
        assert "\n" not in str(refused.value)
        assert load(KEY, folder) is None


def test_nothing_is_left_of_what_could_not_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(KEY, CONTENT, tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(engine_cache.os, "replace", full)
    with pytest.raises(ModelError, match="No space left on device"):
        store(KEY, b"new", tmp_path)
    assert [entry.suffix for entry in tmp_path.iterdir()] == [".engine"]
    assert load(KEY, tmp_path) == CONTENT


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has its own place for caches")
def test_engines_lie_where_this_user_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "piezo1" / "engines"
    store(KEY, CONTENT)
    assert load(KEY) == CONTENT and [p.parent for p in tmp_path.rglob("*.engine")] == [cache_folder()]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "piezo1" / "engines"
