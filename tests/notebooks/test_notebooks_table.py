"""The table in docs/notebooks.md names what there is: functions, commands, fields, notebooks that use them."""

import dataclasses
import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from maskrcnn_jax.cli import commands as command_line
from maskrcnn_jax.cli import inspect as inspect_commands
from maskrcnn_jax.config import Config, DataConfig
from maskrcnn_jax.config.short_flags import ShortFlags

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
STEPS = {
    "Demo": 4,
    "Data": 16,
    "Model": 13,
    "Weights": 3,
    "Training on shapes": 7,
    "Sample trainings": 13,
    "Detectron2's tutorial": 13,
}
"""The number of steps of the original notebooks."""
LINES = [
    (title, *(cell.strip() for cell in line.strip("|").split("|")))
    for title, text in re.findall(r"^## (.*)\n((?:(?!^## ).*\n?)*)", PAGE, flags=re.MULTILINE)
    for line in text.splitlines()
    if re.match(r"\| \d", line)
]
"""Section, number, step, functions and commands, notebooks that show them."""


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def function(name: str) -> Any:
    """The object with a dotted name, relative to the package."""
    parts = ["maskrcnn_jax", *name.split(".")]
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def is_function(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w.]*", name) is not None


def scripts(cell: str) -> list[str]:
    """Scripts at the root: notebooks call the functions behind them."""
    return re.findall(r"`python (\w+)\.py", cell)


def check_command(text: str) -> None:
    """A command of the package, a script or a target, and the options that follow it."""
    words = [word for word in text.split() if not word.startswith("--")]
    options = [word[2:] for word in text.split() if word.startswith("--")]
    if words[:3] == ["python", "-m", "maskrcnn_jax"]:
        commands = inspect_commands if words[3] == "inspect" else command_line
        parameters = inspect.signature(getattr(commands, "_".join(words[3:]))).parameters
        # A dataclass among the parameters gives an option for each of its fields.
        kinds = [getattr(p.annotation, "__origin__", p.annotation) for p in parameters.values()]  # of Annotated
        nested = [kind for kind in kinds if dataclasses.is_dataclass(kind)]
        known = {*parameters, *(field.name for kind in nested for field in dataclasses.fields(kind))}
        assert {option.replace("-", "_") for option in options} <= known, text
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), text
        source = (ROOT / "maskrcnn_jax" / "cli" / words[1]).read_text(encoding="utf-8")
        for option in options:
            assert f"--{option}" in source or check_field(option), text
    else:
        assert words[0] == "make" and re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def check_field(option: str) -> bool:
    """A flag of the configuration: a field by its dotted name, or one of the short flags of `data`."""
    node: Any = Config()
    for part in option.replace("-", "_").split("."):
        short = ShortFlags.of(node) if isinstance(node, DataConfig) else node
        owner = node if hasattr(node, part) else short
        assert part in {field.name for field in dataclasses.fields(owner)}, option
        node = getattr(owner, part)
    return True


def test_no_step_is_missing():
    numbers = {title: [int(line[1]) for line in LINES if line[0] == title] for title in STEPS}
    assert numbers == {title: list(range(1, count + 1)) for title, count in STEPS.items()}
    assert len(LINES) == sum(STEPS.values())


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line[0]} {line[1]}")
def test_names_in_the_table_exist(line: tuple[str, ...]):
    assert len(line) == 5 and all(line)
    assert named(line[3]), "no function or command"
    for name in named(line[3]):
        if is_function(name):
            assert function(name) is not None
        elif name.startswith("--"):
            assert check_field(name[2:])
        elif name.startswith("configs/"):
            assert (ROOT / name).is_file()
        else:
            check_command(name)


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line[0]} {line[1]}")
def test_notebooks_show_what_the_table_says(line: tuple[str, ...]):
    last_words = [name.rpartition(".")[2] for name in named(line[3]) if is_function(name)]
    for target in re.findall(r"\]\(([^)]+)\)", line[4]):
        cells = json.loads((ROOT / "docs" / target).read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        used = [word for word in last_words if re.search(rf"\b{word}\b", code)]
        mentioned = [name for name in named(line[3]) if not is_function(name) and (name in code or name in text)]
        used += [name for name in scripts(line[3]) if re.search(rf"from maskrcnn_jax[\w.]* import {name}\b", code)]
        assert used or mentioned, f"{target} uses nothing of this line"


def test_names_outside_of_the_tables_are_there():
    prose = "\n".join(line for line in PAGE.splitlines() if not line.startswith("|"))
    for name in named(prose):
        if name.startswith(("inspect.", "draw.")):
            assert function(name) is not None
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).is_file()
