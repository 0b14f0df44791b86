"""What the operating system refuses is found out beforehand, and said with what helps."""

from pathlib import Path

import pytest

from maskrcnn_jax.refusals import in_words, require_file


def test_a_place_for_a_new_file_stays_empty(tmp_path: Path):
    require_file(tmp_path / "plan.json")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path):
    (tmp_path / "plan.json").write_text("{}")
    require_file(tmp_path / "plan.json")
    assert (tmp_path / "plan.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("no/plan.json", "no/plan.json: No such file or directory; mend the path"),
        ("folder", "folder: Is a directory; name a file"),
        ("file/plan.json", "file/plan.json: Not a directory; name a path through folders alone"),
    ],
)
def test_what_cannot_be_written_is_said_beforehand(place: str, message: str, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as refused:
        require_file(tmp_path / place)
    assert in_words(refused.value) == f"{tmp_path}/{message}"
