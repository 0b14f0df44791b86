"""A model written as a program, run where the package cannot be imported, gives the model's own detections."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from small import CONFIG, SIDE, build, change, mixed

from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.cli.commands import main
from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.model.mask_rcnn import forward
from maskrcnn_jax.nn.params import flatten
from maskrcnn_jax.prediction.export import describe, export_model

RUN = """
import sys
sys.modules["maskrcnn_jax"] = sys.modules["flax"] = None  # importing either fails
import numpy as np
from jax import export
program = export.deserialize(open(sys.argv[1], "rb").read())
given = np.load(sys.argv[2])
for name in ("whole", "part"):
    images, sizes = given[f"{name}_images"], given[f"{name}_sizes"]
    np.savez(sys.argv[3].format(name), **program.call(images, sizes))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network, written by the command line: any number of images, for CPUs and TPUs."""
    folder = tmp_path_factory.mktemp("export")
    model = build()
    save_pretrained(model, folder / "model.safetensors")
    arguments = ["maskrcnn_jax", "export", folder / "model.safetensors", "--out", folder / "model.stablehlo"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*map(str, arguments), "--platforms", "cpu", "tpu"])
        main()
    return folder


def test_without_the_package_it_detects_the_same(written: Path):
    """Four images at once, then two of them: the smaller image of a pair is the second."""
    images, sizes = (np.asarray(x) for x in mixed()[:2])
    np.savez(
        written / "given.npz", whole_images=images, whole_sizes=sizes, part_images=images[1:3], part_sizes=sizes[1:3]
    )
    arguments = [written / "model.stablehlo", written / "given.npz", written / "{}.npz"]
    ended = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)], capture_output=True, text=True, cwd=written, check=False
    )
    assert ended.returncode == 0, ended.stderr
    expected = jax.jit(forward)(build(), images, sizes).detections
    assert expected.valid.any()
    for name, part in (("whole", slice(None)), ("part", slice(1, 3))):
        found = np.load(written / f"{name}.npz")
        fields = {field: value for field, value in expected._asdict().items() if field != "extras"}
        assert set(found) == set(fields) and expected.extras == {}  # there is no further head
        for field, value in fields.items():
            np.testing.assert_allclose(found[field], value[part], rtol=1e-4, atol=1e-4, err_msg=f"{name} {field}")
            assert found[field].dtype == value.dtype


def test_the_description(written: Path):
    """Platforms, inputs and class names."""
    found = json.loads((written / "model.stablehlo.json").read_text())
    assert found["platforms"] == ["cpu", "tpu"]
    assert found["images"] == {"batch": None, "height": SIDE, "width": SIDE}
    assert found["num_classes"] == 3 and found["class_names"] == []
    assert found["input"]["mean"] == [123.675, 116.28, 103.53] and found["input"]["shortest_edge"] == SIDE


def test_weights_are_inside_once(written: Path):
    model = build()
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(flatten(model)[1:]))
    assert weights < (written / "model.stablehlo").stat().st_size < 2 * weights + 1_000_000


def test_a_fixed_batch_another_size_and_no_masks():
    config = change(CONFIG.model, mask_head=None, class_names=("a", "b", "c"))
    exported = export_model(build(config), batch=2, size=(64, 96), platforms=("cpu",))
    assert [aval.shape for aval in exported.in_avals] == [(2, 64, 96, 3), (2, 2)]
    assert exported.out_tree.num_leaves == 4
    description = describe(exported, config)
    assert description["images"] == {"batch": 2, "height": 64, "width": 96}
    assert description["class_names"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (CONFIG.model, {"size": (64, 100)}, r"size = \(64, 100\): both sides must be positive multiples of 32"),
        (CONFIG.model, {"batch": 0}, "batch = 0: must be at least 1"),
        (CONFIG.model, {"platforms": ()}, r"platforms = \(\): must name at least one of cpu, cuda, rocm and tpu"),
        (change(CONFIG.model, input__buckets=()), {}, r"model\.input\.buckets = \(\): .* --size HEIGHT WIDTH"),
    ],
)
def test_what_cannot_be_exported(config, settings: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        export_model(build(config), **settings)
