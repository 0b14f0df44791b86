import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.unfinished import finish, unfinished

ROOT = Path(__file__).parents[2]


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def fill(out: Path, text: str) -> None:
    with unfinished(out) as written:
        (written / "records").write_text(text)
        finish(written, out)


DIES_WHILE_FILLING = """
import os, signal, sys
from pathlib import Path
from maskrcnn_jax.data.prepare.unfinished import unfinished

out, replacing = Path(sys.argv[1]), sys.argv[2] == "True"
with unfinished(out) as written:
    (written / "records").write_text("half")
    if replacing:
        os.replace(out, written.with_name("earlier"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(out: Path, replacing: bool) -> None:
    """Ends a process as by `kill -9`, in the middle of writing or of the replacement."""
    # A process of its own: one that runs JAX must not be forked.
    arguments = [sys.executable, "-c", DIES_WHILE_FILLING, str(out), str(replacing)]
    assert subprocess.run(arguments, cwd=ROOT, timeout=60, check=False).returncode == -signal.SIGKILL


def test_a_finished_folder_takes_the_place_of_an_earlier_one(tmp_path: Path):
    out = tmp_path / "deep" / "out"
    fill(out, "first")
    fill(out, "second")
    assert tree(tmp_path) == {"deep/out/records": "second"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_error_leaves_what_was_there(tmp_path: Path):
    fill(tmp_path / "out", "first")
    with pytest.raises(OSError, match="full"), unfinished(tmp_path / "out") as written:
        (written / "records").write_text("half")
        raise OSError("full")
    assert tree(tmp_path) == {"out/records": "first"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("replacing", [False, True])
def test_what_a_killed_process_left_is_cleaned_up_by_the_next(tmp_path: Path, replacing: bool):
    fill(tmp_path / "out", "first")
    killed(tmp_path / "out", replacing)
    assert (tmp_path / ".out.unfinished").exists()
    with unfinished(tmp_path / "out") as written:
        # What was being replaced is back.
        assert (tmp_path / "out" / "records").read_text() == "first"
        assert not list(written.iterdir())
    assert tree(tmp_path) == {"out/records": "first"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_at_once_are_refused(tmp_path: Path):
    with unfinished(tmp_path / "out") as written:
        with pytest.raises(DatasetError, match=rf"out = \S+: another prepare writes it .*process {os.getpid()}"):
            fill(tmp_path / "out", "other")
        (written / "records").write_text("mine")
        finish(written, tmp_path / "out")
    assert tree(tmp_path) == {"out/records": "mine"}


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "data")
    fill(tmp_path / "out", "first")
    fill(tmp_path / "out", "second")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "data" / "records").read_text() == "second"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "disk", "out", "records"]
