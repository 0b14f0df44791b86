"""A lock is held by a living process, and by one only."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maskrcnn_jax.files import lock as lock_module
from maskrcnn_jax.files.lock import Locked, lock

HOLD = """
import runpy, sys
from pathlib import Path
with runpy.run_path(sys.argv[2])["lock"](Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock until its input ends."""
    command, pipe = [sys.executable, "-c", HOLD, tmp_path / "lock", lock_module.__file__], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_refused_and_told_which_holds_it(holder: subprocess.Popen, tmp_path: Path):
    for _ in range(2):  # that it was refused changes nothing
        message = f"^{tmp_path}/lock: locked by process {holder.pid}, which is still at work; wait for it, or stop it$"
        with pytest.raises(Locked, match=message), lock(tmp_path / "lock"):
            pytest.fail("it was not refused")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_process_that_ended_holds_nothing(holder: subprocess.Popen, tmp_path: Path, how: signal.Signals | None):
    if how is None:
        holder.communicate("")
    else:
        holder.send_signal(how)
    assert holder.wait(60) == (0 if how is None else -how)
    with lock(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_one_process_holds_it_once(tmp_path: Path):
    with lock(tmp_path / "lock"):
        with pytest.raises(Locked, match=f"locked by process {os.getpid()}"), lock(tmp_path / "lock"):
            pytest.fail("it was not refused")
        with pytest.raises(Locked), lock(tmp_path / "lock"):
            pytest.fail("the refused one has freed it")
    with lock(tmp_path / "lock"):
        pass


def test_an_error_frees_it(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), lock(tmp_path / "lock"):
        1 / 0  # noqa: B018
    with lock(tmp_path / "lock"):
        pass


def test_programs_that_the_holder_starts_do_not_keep_it(tmp_path: Path):
    with lock(tmp_path / "lock"):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        with lock(tmp_path / "lock"):
            pass
    finally:
        child.communicate(b"")


def test_what_stood_in_the_file_is_not_believed(tmp_path: Path):
    (tmp_path / "lock").write_bytes(b"\xff not a number, and longer than a process's number is\n" * 5)
    with lock(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_place_without_a_folder_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere"), lock(tmp_path / "nowhere" / "lock"):
        pytest.fail("it was not refused")


def test_what_is_no_file_is_refused(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"), lock(tmp_path / "folder"):
        pytest.fail("it was not refused")
