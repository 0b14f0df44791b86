"""The runner of the notebooks, without Jupyter: what it stores, and what it says of a cell that fails."""

import runpy
from pathlib import Path
from typing import Any

import pytest

RUNNER = runpy.run_path(str(Path(__file__).parents[2] / "notebooks" / "run.py"))
CODE = {"cell_type": "code", "id": "b", "execution_count": 1, "source": "1 + 1\nf()", "metadata": {"tags": ["x"]}}
RAN = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "mine"}, "language_info": {"name": "python", "version": "3.11.7"}},
    "cells": [
        {"cell_type": "markdown", "id": "a", "source": ["# Title\n", "text"], "metadata": {"execution": {}}},
        CODE
        | {
            "outputs": [
                {"output_type": "stream", "name": "stderr", "text": "a warning\n"},
                {"output_type": "stream", "name": "stdout", "text": "one\ntwo\n"},
                {
                    "output_type": "display_data",
                    "data": {"image/png": "iVBO", "image/jpeg": "/9j/", "text/plain": "<Image>"},
                    "metadata": {"needs_background": "light"},
                },
                {
                    "output_type": "execute_result",
                    "data": {"text/plain": "2\n3"},
                    "metadata": {},
                    "execution_count": 1,
                },
            ]
        },
    ],
}


def test_what_is_stored():
    stored = RUNNER["tidy"](RAN)
    assert stored["metadata"]["kernelspec"]["name"] == "python3"
    assert stored["metadata"]["language_info"] == {"name": "python"}
    assert [cell["metadata"] for cell in stored["cells"]] == [{}, {}]
    assert [cell["source"] for cell in stored["cells"]] == [["# Title\n", "text"], ["1 + 1\n", "f()"]]
    assert stored["cells"][1]["outputs"] == [
        {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]},
        {"output_type": "display_data", "data": {"image/png": "iVBO\n"}, "metadata": {}},
        {"output_type": "execute_result", "data": {"text/plain": ["2\n", "3"]}, "metadata": {}, "execution_count": 1},
    ]


def test_storing_again_changes_nothing():
    stored = RUNNER["tidy"](RAN)
    assert RUNNER["tidy"](stored) == stored


def test_messages_are_those_of_standard_error():
    assert RUNNER["messages"](RAN) == ["a warning\n"]


def test_a_failing_cell_is_named():
    """The third cell is the second of code; the fourth is never reached."""
    cells = [{"cell_type": kind} for kind in ("code", "markdown", "code", "code")]
    seen = []

    def execute(cell: dict[str, Any], place: int) -> None:
        seen.append(place)
        if place == 2:
            raise RuntimeError("no such file")

    with pytest.raises(RUNNER["NotebookError"], match=r"^demo\.ipynb, code cell 2: no such file$"):
        RUNNER["execute_cells"]("demo.ipynb", cells, execute)
    assert seen == [0, 1, 2]


def test_a_notebook_that_is_not_there_is_named():
    with pytest.raises(RUNNER["NotebookError"], match=r"there is no notebook dmeo; there are .*demo"):
        RUNNER["run"](("dmeo",))
