"""The experiments that come with the package, by name: the files of `configs/`."""

import ast
import difflib
import re
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.config import ConfigError, require

PACKAGE = Path(__file__).parents[1]
FOLDER = PACKAGE / "configs" if (PACKAGE / "configs").is_dir() else PACKAGE.parent / "configs"
"""Folder in an installed package; in a checkout it is beside the package."""


class ShippedExperiment(NamedTuple):
    """An experiment of the package, as its docstring describes it."""

    name: str
    summary: str
    """The docstring's first line."""
    box_ap: str | None
    """Published AP in percent; None if there is none."""
    mask_ap: str | None


def shipped_experiments() -> list[ShippedExperiment]:
    """The experiments that come with the package, by name; none of their code is run."""
    return [_described(name, read_experiment(name)) for name in sorted(_files())]


def read_experiment(name: str) -> str:
    """The text of an experiment that comes with the package.

    Raises:
        ConfigError: None has that name.
    """
    files = _files()
    require(name in files, "name", name, f"must be one of {', '.join(sorted(files))}")
    return files[name].read_text(encoding="utf-8")


def find_experiment(path: Path) -> Path:
    """The file of an experiment: the shipped file of that name, or the path itself.

    The two cannot be confused: a name has no ending, and only a path that ends in `.py` can be run. A run folder may be
    called like its experiment.

    Args:
        path: A path, or a name such as `mask_rcnn_r50_fpn_1x`.

    Raises:
        ConfigError: There is neither such a file nor such a name; the message suggests what is spelt like it.
    """
    shipped = _files()
    if str(path) in shipped:
        return shipped[str(path)]
    if path.exists():
        return path
    files = difflib.get_close_matches(path.name, [file.name for file in path.parent.glob("*.py")], n=1)
    near = [str(path.with_name(name)) for name in files] or difflib.get_close_matches(path.stem, shipped)
    otherwise = "give the path of an experiment's Python file, or a name that `maskrcnn-jax configs` lists"
    raise ConfigError(f"{path}: no such file; " + (f"did you mean {' or '.join(near)}?" if near else otherwise))


def _files() -> dict[str, Path]:
    return {file.stem: file for file in FOLDER.glob("*.py")}


def _described(name: str, text: str) -> ShippedExperiment:
    said = ast.get_docstring(ast.parse(text)) or ""
    box, mask = (re.search(rf"^Published:.* {kind} AP (\d+\.\d+)", said, re.MULTILINE) for kind in ("box", "mask"))
    return ShippedExperiment(name, said.partition("\n")[0], box and box[1], mask and mask[1])
