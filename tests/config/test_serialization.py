"""Types are checked and lists become tuples, by the annotations of the dataclasses."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maskrcnn_jax.config import CocoSource, ConfigError, Loss, Mask, Norm, ShapesSource, Source, unchanged
from maskrcnn_jax.config.serialization import from_json, to_json

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (float, 2, 2.0),
        (int, 2, 2),
        (bool, True, True),
        (str, "a", "a"),
        (Path, "a/b", Path("a/b")),
        (Norm, "batch", "batch"),
        (float | None, None, None),
        (float | None, 1, 1.0),
        (tuple[int, ...], [], ()),
        (tuple[tuple[str, float], ...], [["a", 1], ["b", 0.5]], (("a", 1.0), ("b", 0.5))),
        (tuple[float, float] | None, [1, 2], (1.0, 2.0)),
        (Source, {"type": "maskrcnn_jax.data.sources.prepared:CocoSource", "folder": "x"}, CocoSource(Path("x"))),
        (Source, {"type": "maskrcnn_jax.data.sources.shapes:ShapesSource", "seed": 3}, ShapesSource(seed=3)),
        (Source, ShapesSource(seed=3), ShapesSource(seed=3)),
        (tuple[Loss, ...], [{"type": "maskrcnn_jax.training.losses:Mask", "weight": 2}], (Mask(weight=2.0),)),
    ],
)
def test_values_are_built_by_annotation(kind: Any, value: Any, expected: Any):
    result = from_json(kind, value, "field")
    assert result == expected
    assert type(result) is type(expected)
    hash(result)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float, "2"),
        (float, True),
        (int, 2.0),
        (int, True),
        (bool, 1),
        (str, None),
        (Path, 1),
        (Norm, "layer"),
        (float | None, "None"),
        (tuple[int, ...], "12"),
        (tuple[int, ...], [1, "2"]),
        (tuple[float, float], [1.0]),
        (Source, None),
        (Source, {"folder": "x", "seed": 3}),
        (Source, {"type": "maskrcnn_jax.data.sources.prepared:CocoSource", "folder": "x", "seed": 3}),
    ],
)
def test_other_values_are_named(kind: Any, value: Any):
    with pytest.raises(ConfigError, match=r"^field"):
        from_json(kind, value, "field")


def test_paths_and_functions_become_text():
    assert to_json(Path("a/b")) == "a/b"
    assert to_json(unchanged) == "maskrcnn_jax.config:unchanged"


TYPED = {
    "data=DataConfig(transforms=[Resize([64], 80)])": "((Resize(shortest_edges=(64,), longest_edge=80),), True)",
    "data=DataConfig(batch_size='16')": "data.batch_size = '16': must be of type int",
    "data=DataConfig(batch_size=True)": "data.batch_size = True: must be of type int",
    "data=DataConfig(transforms=(Flip(None),))": "data.transforms[0].probability = None: must be of type float",
    "data=DataConfig(buckets=((1, 2, 3),))": "data.buckets[0] = (1, 2, 3): must hold 2 values",
    "run=RunConfig(folder=3)": "run.folder = 3: must be a path",
    "model=ModelConfig(dtype='half')": "model.dtype = 'half': must be one of 'float32', 'bfloat16'",
    "model=ModelConfig(input=None)": "model.input = None: must hold the fields of InputConfig",
    "optimizer=OptimizerConfig(milestones=80000)": "optimizer.milestones = 80000: must be a sequence",
}
"""Fields of an experiment, and what loading it says: of the first, a list, that it has become a tuple."""
LOAD = """
import sys
from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.config.loading import load_config
for path in sys.argv[1:]:
    try:
        config = load_config(path)
        print((config.data.transforms, bool(hash(config))))
    except ConfigError as error:
        print(repr(str(error)))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What loading each of `TYPED` says, in a process of its own: here jaxtyping would check the dataclasses first."""
    paths = [tmp_path_factory.mktemp("experiment") / "experiment.py" for _ in TYPED]
    for path, fields in zip(paths, TYPED, strict=True):
        path.write_text(f"from maskrcnn_jax.config import *\nconfig = Config({fields})")
    command = [sys.executable, "-c", LOAD, *map(str, paths)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    return dict(zip(TYPED, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("fields", TYPED)
def test_types_are_checked_without_the_test_bench(loaded: dict[str, str], fields: str):
    said = loaded[fields]
    assert TYPED[fields] in (said if said.startswith("(") else ast.literal_eval(said))
