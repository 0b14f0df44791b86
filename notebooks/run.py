"""Runs the notebooks top to bottom and stores their outputs; `make notebooks` sets up what that needs.

python notebooks/run.py                  all of them
python notebooks/run.py demo             this one
python notebooks/run.py --check          stores nothing
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import tyro

FOLDER = Path(__file__).parent
CELL_SECONDS = 600
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""All that is kept of it: versions and times would change with every run."""


class NotebookError(RuntimeError):
    """A notebook does not run to its end."""


def run(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (), check: tyro.conf.FlagCreatePairsOff[bool] = False
) -> None:
    """Run the notebooks top to bottom in their folder and store their outputs in place.

    Args:
        names: Notebooks, without their ending; all if none is named.
        check: Store nothing.
    """
    paths = [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb"))
    absent = [path.stem for path in paths if not path.exists()]
    if absent:
        known = ", ".join(path.stem for path in sorted(FOLDER.glob("*.ipynb")))
        raise NotebookError(f"there is no notebook {', '.join(absent)}; there are {known}")
    for path in paths:
        start = time.perf_counter()
        print(f"{path.name} … ", end="", flush=True)
        notebook = execute(path)
        print(f"{time.perf_counter() - start:.0f} s")
        print("".join(messages(notebook)), end="", file=sys.stderr)
        if not check:
            path.write_text(json.dumps(tidy(notebook), indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def execute(path: Path) -> dict[str, Any]:
    """A notebook with the outputs of a fresh run.

    Raises:
        NotebookError: a cell fails or takes longer than `CELL_SECONDS`; the message names notebook and cell.
    """
    # Here, as the tests of what is around it do without Jupyter.
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as sockets:
        # Sockets of the file system: over TCP anyone on the machine could listen.
        transport = {"transport": "ipc", "ip": f"{sockets}/kernel"}
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            config=Config({"KernelManager": transport}),
            timeout=CELL_SECONDS,
            coalesce_streams=True,
            record_timing=False,
            store_widget_state=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        with client.setup_kernel():
            execute_cells(path.name, notebook.cells, client.execute_cell)
    return notebook


def execute_cells(name: str, cells: Iterable[dict[str, Any]], execute_cell: Callable[[Any, int], Any]) -> None:
    """Calls `execute_cell(cell, place)` for all cells in order; see `execute` for what it raises."""
    count = 0
    for place, cell in enumerate(cells):
        count += cell["cell_type"] == "code"
        try:
            execute_cell(cell, place)
        except Exception as error:
            raise NotebookError(f"{name}, code cell {count}: {error}") from error


def messages(notebook: dict[str, Any]) -> list[str]:
    """What the cells wrote to standard error: warnings that belong to the machine and not to the notebook."""
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", ()))
    return [output["text"] for output in outputs if output.get("name") == "stderr"]


def tidy(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook as it is stored: without times, versions and messages, and with one form of each image."""
    cells = [{**cell, "metadata": {}} for cell in notebook["cells"]]
    for cell in cells:
        if cell["cell_type"] == "code":
            cell["outputs"] = [_tidy(output) for output in cell["outputs"] if output.get("name") != "stderr"]
        cell["source"] = _lines(cell["source"])
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def _tidy(output: dict[str, Any]) -> dict[str, Any]:
    if output["output_type"] == "stream":
        return {**output, "text": _lines(output["text"])}
    data = dict(output["data"])
    if "image/png" in data:
        data = {"image/png": data["image/png"].strip() + "\n"}
    texts = {kind: _lines(text) if kind.startswith("text/") else text for kind, text in data.items()}
    return {**output, "data": texts, "metadata": {}}


def _lines(text: str | list[str]) -> list[str]:
    """Text in lines, as notebooks store it: what changes shows line by line."""
    return "".join(text).splitlines(keepends=True)


if __name__ == "__main__":
    try:
        tyro.cli(run)
    except NotebookError as error:
        sys.exit(f"\nerror: {error}")
