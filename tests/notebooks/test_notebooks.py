"""The stored notebooks: of one form, run from top to bottom, and free of the machine that they ran on."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 2_000_000
"""Bytes."""
ABSOLUTE_PATH = r"(?<![\w.:/])/[\w.-]+/"
OF_A_MACHINE = re.compile(rf"{ABSOLUTE_PATH}|\bat 0x[0-9a-f]{{6,}}|WARNING|Warning:")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads(request.param.read_text(encoding="utf-8"))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def python(cell: dict[str, Any]) -> str:
    """The source of a code cell without its magics."""
    return "\n".join(line for line in "".join(cell["source"]).splitlines() if not line.startswith("%"))


def test_form(notebook: dict[str, Any]):
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    common = {"cell_type", "id", "metadata", "source"}
    for cell in notebook["cells"]:
        assert set(cell) == common | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set())
        assert cell["cell_type"] in ("code", "markdown")
        assert cell["metadata"] == {}
        assert "".join(cell["source"]).strip()
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in ids)


def test_begins_with_a_title_and_what_a_user_changes(notebook: dict[str, Any]):
    """The repository is found from wherever the notebook was started, and the model, or data, is named in one line."""
    assert notebook["cells"][0]["cell_type"] == "markdown"
    assert "".join(notebook["cells"][0]["source"]).startswith("# ")
    first = python(code_cells(notebook)[0])
    assert "os.chdir(" in first
    run = r'^RUN = os\.environ\.get\("MASKRCNN_RUN", "runs/shapes"\)'
    config = r'^CONFIG = os\.environ\.get\("MASKRCNN_CONFIG", "configs/shapes\.py"\)'
    assert len(re.findall(f"{run}|{config}", first, flags=re.MULTILINE)) == 1


def test_ran_from_top_to_bottom(notebook: dict[str, Any]):
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [[output["output_type"] for output in cell["outputs"]] for cell in cells]
    assert all(kinds), f"code cell {kinds.index([]) + 1} shows nothing"
    assert {kind for of_cell in kinds for kind in of_cell} <= {"stream", "display_data", "execute_result"}


def test_outputs_know_nothing_of_the_machine(notebook: dict[str, Any]):
    for place, cell in enumerate(code_cells(notebook), start=1):
        for output in cell["outputs"]:
            assert output.get("name") in (None, "stdout")
            assert output.get("metadata", {}) == {}
            texts = [output["text"]] if "text" in output else []
            texts += [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
            for text in texts:
                found = OF_A_MACHINE.search("".join(text))
                assert found is None, f"code cell {place} shows {found[0] if found else ''!r}"


def test_code_is_python(notebook: dict[str, Any]):
    for cell in code_cells(notebook):
        ast.parse(python(cell))


def test_small_and_stored_as_the_runner_stores():
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        assert len(text) < LARGEST, path.name
        assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n", path.name


def test_the_readme_leads_to_every_notebook():
    linked = re.findall(r"\]\(notebooks/(\w+)\.ipynb\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert sorted(linked) == [path.stem for path in NOTEBOOKS]
