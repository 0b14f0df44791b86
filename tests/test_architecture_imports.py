"""The structure of the package: directions of imports, lengths of files, forbidden imports."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "maskrcnn_jax"
SCRIPTS = ("train", "evaluate")

LAYERS = (
    ("files", set()),
    ("messages", {"files"}),
    ("structs", set()),
    ("extension", {"structs"}),
    ("ops", {"messages"}),
    ("masks", {"structs"}),
    ("distributed", {"messages"}),
    ("nn", {"distributed", "extension", "masks", "messages", "ops", "structs"}),
    ("model", {"distributed", "extension", "messages", "nn", "ops", "structs"}),
    ("draw", {"files", "masks", "structs"}),
    ("data.images", {"files"}),
    ("data.sources", {"data.images", "extension", "files", "masks", "messages"}),
    ("data.transforms", {"data.sources", "extension", "messages", "ops", "structs"}),
    ("data.config", {"data.sources", "data.transforms"}),
    ("data.prepare", {"data.images", "data.sources", "files", "masks", "messages"}),
    ("data", {"data.config", "data.images", "data.sources", "data.transforms", "messages", "ops", "structs"}),
    (
        "prediction",
        {"data.images", "data.transforms", "distributed", "draw", "files", "masks", "messages", "model", "nn", "ops"}
        | {"structs"},
    ),
    ("training.targets", {"ops", "structs"}),
    ("training.losses", {"distributed", "extension", "messages", "model", "nn", "structs", "training.targets"}),
    (
        "config",
        {"data", "data.config", "data.prepare", "data.sources", "data.transforms", "extension", "files", "masks"}
        | {"messages", "model", "nn", "ops", "training.losses"},
    ),
    (
        "evaluation",
        {"config", "data", "data.sources", "distributed", "files", "masks", "messages", "model", "nn", "prediction"}
        | {"structs"},
    ),
    ("checkpoints.zoo", {"files"}),
    ("checkpoints.formats", {"checkpoints.zoo", "files", "messages"}),
    ("checkpoints.convert", {"checkpoints.formats", "config", "files", "messages", "nn"}),
    (
        "checkpoints",
        {"checkpoints.convert", "checkpoints.formats", "config", "distributed", "files", "messages", "model", "nn"},
    ),
    (
        "training",
        {"checkpoints", "config", "data", "data.sources", "distributed", "draw", "evaluation", "files", "messages"}
        | {"model", "nn", "ops", "prediction", "structs"},
    ),
    ("plan", {"checkpoints", "config", "distributed", "messages", "nn", "prediction", "structs", "training"}),
    (
        "inspect",
        {"checkpoints", "checkpoints.convert", "checkpoints.formats", "config", "data", "data.images", "data.sources"}
        | {"data.transforms", "draw", "evaluation", "masks", "messages", "model", "nn", "ops", "prediction", "structs"}
        | {"training", "training.targets"},
    ),
)
"""The imports that are allowed in each folder of the package, and in each file that counts as one, from the bottom.

The types of a configuration are defined beside what they build, so `config`, which is made of them, is above the model,
the sources of data and the losses."""

ALLOWED = dict(LAYERS)


def imported_modules(file: Path, module: str) -> set[str]:
    """The dotted names that a file imports, anywhere in it; `from a import b` gives `a` and `a.b`."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            found |= {base} - {PACKAGE} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def import_graph(root: Path) -> dict[str, set[str]]:
    """Every module of the package under `root` and what it imports."""
    graph = {}
    for file in sorted((root / PACKAGE).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        graph[module] = imported_modules(file, module)
    return graph


def rooms(modules: Iterable[str]) -> set[str]:
    """The innermost room of the table for each dotted name: `maskrcnn_jax.data.images.reading` is in `data.images`.

    A name that is in no row counts by its first part. The package itself and its flat names, `from maskrcnn_jax import
    MaskRCNN`, count as a room, so that they cannot bypass the table.
    """
    ours = [m.split(".")[1:] for m in modules if m.split(".")[0] == PACKAGE]
    return {_room(parts) for parts in ours}


def _room(parts: list[str]) -> str:
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in ALLOWED), parts[0] if parts else PACKAGE)


def wrong_imports(root: Path, room: str) -> list[str]:
    """Imports in a room that its row of the table does not allow."""
    allowed = ALLOWED[room] | {room}
    return [
        f"{module} imports {name}"
        for module, names in import_graph(root).items()
        if room in rooms([module])
        for name in sorted(names)
        if rooms([name]) - allowed
    ]


def too_long(files: Iterable[Path], limit: int) -> list[str]:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    return [f"{file.name} has {length} lines" for file, length in lengths.items() if length > limit]


def code_files() -> list[Path]:
    folders = [ROOT / PACKAGE, ROOT / "configs"]
    return [*ROOT.glob("*.py"), *(file for folder in folders for file in folder.rglob("*.py"))]


def files_of_tests() -> list[Path]:
    return list((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_point_one_way(room: str):
    offenders = wrong_imports(ROOT, room)
    assert not offenders, f"{offenders}: {room} may import only {sorted(ALLOWED[room]) or 'nothing'}"


def test_every_module_is_in_the_table():
    found = rooms(import_graph(ROOT)) - {PACKAGE}
    assert found - {"__main__", "cli"} == set(ALLOWED), (
        "the table needs a row for each folder of the package, and for each file beside them"
    )


def test_rooms_import_only_rooms_above_them():
    seen: set[str] = set()
    for room, allowed in LAYERS:
        assert allowed <= seen, f"{room} may not import {sorted(allowed - seen)}: they are not above it in the table"
        seen.add(room)


def test_the_package_has_few_rooms():
    """Folders and files at its first level."""
    folders = {room.partition(".")[0] for room in rooms(import_graph(ROOT)) - {PACKAGE}}
    assert len(folders) <= 20


def test_no_import_cycles():
    graph = import_graph(ROOT)
    try:
        TopologicalSorter({module: names & graph.keys() - {module} for module, names in graph.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' → '.join(error.args[1])}")


def test_the_package_imports_no_script():
    offenders = [
        f"{module} imports {name}" for module, names in import_graph(ROOT).items() for name in names & {*SCRIPTS}
    ]
    assert not offenders, f"{offenders}: scripts import the package, not the other way round"


def test_networks_import_only_flax_and_jax():
    allowed = {"flax", "jax", "jaxtyping", "numpy", PACKAGE} | set(sys.stdlib_module_names)
    graph = import_graph(ROOT)
    offenders = [
        f"{module} imports {name}"
        for module, names in graph.items()
        if "nn" in rooms([module])
        for name in sorted(names)
        if name.split(".")[0] not in allowed
    ]
    assert not offenders, f"{offenders}: nn may import only flax and jax"


def test_no_module_imports_tensorflow():
    offenders = [
        f"{module} imports {name}"
        for module, names in import_graph(ROOT).items()
        for name in names
        if name.split(".")[0] == "tensorflow"
    ]
    assert not offenders, f"{offenders}: the package works without TensorFlow"


def test_importing_the_data_loads_no_tensorflow(tmp_path: Path):
    """A stand-in can be imported, so that an import hidden in a `try` or in a library is found too."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("")
    modules = [
        module for module in import_graph(ROOT) if "data" in module.split(".")[1:2] or rooms([module]) & {"evaluation"}
    ]
    assert modules
    program = f"import sys, {', '.join(modules)}; sys.exit('tensorflow' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"importing {modules} imported tensorflow, or failed: {done.stderr}"


def test_no_file_is_long():
    offenders = too_long([*code_files(), *files_of_tests()], 350)
    assert not offenders, f"{offenders}: longer than 350 lines; split off a second noun"


def test_there_is_no_utils():
    offenders = [str(file.relative_to(ROOT)) for file in [*code_files(), *files_of_tests()] if "util" in file.stem]
    assert not offenders, f"{offenders}: name the file after the noun it holds"


def test_annotations_are_never_postponed():
    offenders = [
        str(file.relative_to(ROOT))
        for file in [*code_files(), *files_of_tests()]
        if "__future__.annotations" in imported_modules(file, "")
    ]
    assert not offenders, f"{offenders}: `from __future__ import annotations` disables jaxtyping's checks"


# The checkers themselves, on small trees of files.


def make_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / PACKAGE / name).parent.mkdir(parents=True, exist_ok=True)
        (root / PACKAGE / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "text",
    [
        "import maskrcnn_jax.model",
        "from maskrcnn_jax.model import MaskRCNN",
        "from maskrcnn_jax import model",
        "from ..model import MaskRCNN",
        "from .. import model",
        "def late():\n    from maskrcnn_jax import model\n",
    ],
)
def test_checker_finds_an_import_that_points_up(tmp_path: Path, text: str):
    root = make_tree(tmp_path, {"ops/nms.py": text, "model.py": ""})
    assert "maskrcnn_jax.ops.nms imports maskrcnn_jax.model" in wrong_imports(root, "ops")


@pytest.mark.parametrize("text", ["import maskrcnn_jax as mr", "from maskrcnn_jax import MaskRCNN"])
def test_checker_finds_imports_of_the_flat_names(tmp_path: Path, text: str):
    assert wrong_imports(make_tree(tmp_path, {"ops/nms.py": text}), "ops")


@pytest.mark.parametrize("text", ["from . import boxes", "from .boxes import iou", "import jax", "import model"])
def test_checker_allows_the_same_room_and_other_packages(tmp_path: Path, text: str):
    root = make_tree(tmp_path, {"ops/nms.py": text, "ops/boxes.py": "", "ops/__init__.py": "from .boxes import iou"})
    assert wrong_imports(root, "ops") == []


def test_checker_counts_lines(tmp_path: Path):
    (tmp_path / "long.py").write_text("x\n" * 3)
    (tmp_path / "short.py").write_text("x\n\n")
    assert too_long(sorted(tmp_path.iterdir()), 2) == ["long.py has 3 lines"]
