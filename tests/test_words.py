"""One word per thing: the retired words of CONTRIBUTING.md's list appear nowhere else."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIST = "CONTRIBUTING.md"
EXEMPT = ("CHANGELOG.md", "LICENSE")


def retired() -> list[str]:
    """The third column of the table under "Words"."""
    table = (ROOT / LIST).read_text().split("\n## Words\n")[1]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    return [word.strip() for line in lines[1:] for word in line[2].split(",") if word.strip()]


def texts() -> dict[str, str]:
    """All texts of the repository by name; of CONTRIBUTING.md what stands before its list."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = {}
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if name in EXEMPT or name == f"tests/{Path(__file__).name}" or not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" not in data:
            found[name] = data.decode()
    found[LIST] = found[LIST].split("\n## Words\n")[0]
    return found


def hits(word: str, contents: dict[str, str]) -> list[str]:
    """Where a word is, also as a part of a name: `a_picture` and `Pictures` count for "picture"."""
    spaced = r"[\s_]+(?:# )?".join(map(re.escape, word.split()))
    pattern = re.compile(rf"(?<![a-zA-Z]){spaced}(?![a-rt-z])", re.IGNORECASE)
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        for name, text in contents.items()
        for match in pattern.finditer(text)
    ]


@pytest.fixture(scope="module")
def contents() -> dict[str, str]:
    return texts()


def test_the_list_has_the_words_that_were_used_most():
    assert {"picture", "rows", "who learns"} <= set(retired())


def test_the_search_finds_words_in_names_and_across_lines():
    text = {"a.py": "x = a_picture\n# those that\n# go\n# on\nPictures"}
    assert hits("picture", text) == ["a.py:1", "a.py:5"]
    assert hits("go on", text) == ["a.py:3"]
    assert hits("pict", text) == []


@pytest.mark.parametrize("word", retired())
def test_retired_words_are_not_used(word: str, contents: dict[str, str]):
    found = hits(word, contents)
    assert not found, f"'{word}' in {len(found)} places, such as {found[:10]}: CONTRIBUTING.md says which word to use"
