import json
from pathlib import Path

import pytest

from bench.outputs import OutputError, UsageError, save_figures, writable, write_json


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("figure.xyz", r"figure\.xyz: its name must end in \.png or \.svg"),
        ("nowhere/figure.png", "there is no folder .*nowhere"),
        ("folder.png", "it is a folder"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=sentence):
        writable(".png", ".svg")(tmp_path / name)


def test_a_path_that_can_be_written_passes(tmp_path: Path) -> None:
    check = writable(".png", ".svg")
    assert check(None) is None
    assert check(tmp_path / "figure.SVG") == tmp_path / "figure.SVG"
    (tmp_path / "old.png").touch()
    assert check(tmp_path / "old.png") == tmp_path / "old.png"
    assert check(Path("figure.png")) == Path("figure.png")


def test_figures_are_written_with_their_machine_or_it_is_said_why_not(tmp_path: Path) -> None:
    save_figures(None, {})
    save_figures(tmp_path / "a.json", {"results": [1]})
    written = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert written["results"] == [1] and set(written["machine"]) == {"system", "python", "cpus"}
    with pytest.raises(OutputError, match=r"cannot write .*nowhere.*: No such file"):
        write_json(tmp_path / "nowhere" / "a.json", {})
