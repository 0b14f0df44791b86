"""Only regular files are read, and no more of them than is wanted."""

import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from maskrcnn_jax.files import reading
from maskrcnn_jax.files.reading import DamagedArchive, NotAFile, read_bytes, require_regular


def test_a_file_gives_its_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"\x00abc")
    assert read_bytes(tmp_path / "a") == b"\x00abc"
    (tmp_path / "link").symlink_to("a")
    assert read_bytes(tmp_path / "link") == b"\x00abc"
    require_regular(tmp_path / "link")


def test_a_named_pipe_is_refused_at_once(tmp_path: Path):
    """Opened as a file it would wait for a writer that never comes, so this runs in a process that can be ended."""
    os.mkfifo(tmp_path / "pipe")
    code = "import runpy, sys, pathlib; runpy.run_path(sys.argv[1])[sys.argv[2]](pathlib.Path(sys.argv[3]))"
    for read in ("read_bytes", "require_regular"):
        command = [sys.executable, "-c", code, reading.__file__, read, tmp_path / "pipe"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert f"NotAFile: {tmp_path}/pipe: is a named pipe, not a regular file; give a file" in ended.stderr


@pytest.mark.parametrize(
    ("path", "kind"), [("/dev/zero", "a device"), ("/dev/null", "a device"), ("/", "a folder"), ("/dev/fd", "a folder")]
)
def test_devices_and_folders_are_refused(path: str, kind: str, tmp_path: Path):
    (tmp_path / "link").symlink_to(path)
    for place in (Path(path), tmp_path / "link"):
        for read in (read_bytes, require_regular):
            with pytest.raises(NotAFile, match=f"^{place}: is {kind}, not a regular file; give a file$"):
                read(place)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")
        with pytest.raises(OSError, match="s: is a socket, not a regular file"):
            require_regular(Path("s"))
        with pytest.raises(OSError, match="s: is a socket, not a regular file"):
            read_bytes(Path("s"))


def test_missing_files_and_links_in_circles_are_errors_of_their_own(tmp_path: Path):
    (tmp_path / "circle").symlink_to("circle")
    for read in (read_bytes, require_regular):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nowhere")
        with pytest.raises(OSError, match="symbolic links"):
            read(tmp_path / "circle")


def test_a_file_larger_than_the_limit_is_not_read(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"1234")
    assert read_bytes(tmp_path / "a", limit=4) == b"1234"
    with pytest.raises(NotAFile, match=r"a: has 4 bytes, more than the 3 that are read; give a smaller file"):
        read_bytes(tmp_path / "a", limit=3)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(NotAFile, match=r"has 1,099,511,627,776 bytes, more than the 1,000 that"):
        read_bytes(tmp_path / "sparse", limit=1000)


def test_members_of_archives_are_read(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/b", b"\x00" * 10_000)
    member = zipfile.Path(tmp_path / "a.zip", "in/b")
    assert read_bytes(member) == b"\x00" * 10_000
    with pytest.raises(NotAFile, match="10,000 bytes, more than the 9,999"):  # unpacked
        read_bytes(member, limit=9_999)
    with pytest.raises(DamagedArchive, match=r"in/c: cannot be read from its archive \(.*\); fetch the archive again"):
        read_bytes(zipfile.Path(tmp_path / "a.zip", "in/c"))


def test_a_damaged_member_is_noticed(tmp_path: Path):
    """The content is stored as it is; its checksum does not fit any more."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b", b"content")
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole.replace(b"content", b"contend"))
    with pytest.raises(DamagedArchive, match=r"b: cannot be read from its archive \(Bad CRC-32"):
        read_bytes(zipfile.Path(tmp_path / "a.zip", "b"))


def test_no_descriptor_is_left_open(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"1234")
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        read_bytes(tmp_path / "a")
        with pytest.raises(NotAFile):
            read_bytes(tmp_path)
        with pytest.raises(NotAFile):
            read_bytes(tmp_path / "a", limit=0)
    assert len(os.listdir("/proc/self/fd")) == len(before)
