"""Files are written whole or not at all."""

import os
import stat
import threading
from pathlib import Path

import pytest

from maskrcnn_jax.files.writing import write_bytes, write_text, written_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("overwrite", [True, False])
def test_the_file_is_there_only_after_the_block(tmp_path: Path, overwrite: bool):
    path = tmp_path / "a.png"
    with written_whole(path, overwrite=overwrite) as partial:
        partial.write_bytes(b"new")
        assert partial.suffix == ".png" and partial.parent == tmp_path
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.png"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_bytes() == b"old"


def test_an_existing_file_is_replaced_only_where_that_is_allowed(tmp_path: Path):
    path = tmp_path / "a"
    write_text(path, "ä")
    assert path.read_bytes() == "ä".encode()
    write_bytes(path, b"2")
    with pytest.raises(FileExistsError, match=f"^{path}: exists and is not overwritten; remove it, or name another"):
        write_text(path, "3", overwrite=False)
    assert path.read_bytes() == b"2"
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileExistsError, match="link: exists"):
        write_bytes(tmp_path / "link", b"4", overwrite=False)
    assert names(tmp_path) == ["a", "link"]


def test_without_links_a_file_is_not_overwritten_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write_bytes(tmp_path / "a", b"1", overwrite=False)
    assert (tmp_path / "a").read_bytes() == b"1"
    path = tmp_path / "b"
    with pytest.raises(FileExistsError, match="b: exists"), written_whole(path, overwrite=False) as partial:
        partial.write_bytes(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"


def test_two_writers_do_not_harm_each_other(tmp_path: Path):
    """Each writes its own letter, over and over; a reader finds one of both contents, whole."""
    path, stop, errors = tmp_path / "a.txt", threading.Event(), []

    def write(letter: str) -> None:
        try:
            while not stop.is_set():
                write_text(path, letter * 10_000)
        except Exception as error:
            errors.append(error)

    write_text(path, "a" * 10_000)
    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    read = {path.read_text() for _ in range(200)}
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert read <= {"a" * 10_000, "b" * 10_000}
    assert names(tmp_path) == ["a.txt"]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "a", b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_long_names_can_be_written(tmp_path: Path):
    """255 bytes are the limit of most file systems."""
    for name in ("a" * 251 + ".png", "ä" * 125 + ".png"):
        write_bytes(tmp_path / name, b"1")
        assert (tmp_path / name).read_bytes() == b"1"
