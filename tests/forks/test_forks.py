"""Every fork is one file, and every command of the package works with it."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.checkpoints.checkpoint import load_weights
from maskrcnn_jax.checkpoints.convert.own import write_safetensors
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.cli.checkpoint import load_trained
from maskrcnn_jax.config import Config, ConfigError
from maskrcnn_jax.config.loading import load_config, read_config, read_trusted_config
from maskrcnn_jax.config.serialization import to_plain
from maskrcnn_jax.config.types import ForeignTypeError
from maskrcnn_jax.data.transforms.geometry import fit
from maskrcnn_jax.distributed.mesh import data_mesh
from maskrcnn_jax.inspect.data.report import inspect_data
from maskrcnn_jax.inspect.model.report import inspect_model
from maskrcnn_jax.inspect.weights.report import inspect_weights
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn.params import flatten
from maskrcnn_jax.plan.report import make_plan
from maskrcnn_jax.plan.targets import parse
from maskrcnn_jax.prediction.detector import Detector
from maskrcnn_jax.prediction.export import export_model
from maskrcnn_jax.structs import Detections
from maskrcnn_jax.training import loop, metrics

ROOT = Path(__file__).parents[2]
FORKS = ("cascade", "centers", "convnext", "dice", "dots", "erase", "vit")
FROZEN = {  # in the first phase, of 10 steps
    "cascade": "backbone.",
    "centers": ("backbone.", "fpn.", "rpn_head.", "box_head.", "mask_head."),
    "convnext": ("backbone.layers.0.", "backbone.layers.1."),
    "dice": ("backbone.stem.", "backbone.layer1.", "backbone.layer2.", "backbone.layer3."),
    "dots": ("backbone.stem.", "backbone.layer1."),
    "erase": "backbone.",
    "vit": ("backbone.patches.", "backbone.position", "backbone.blocks.0."),
}
"""Prefixes of the parameters that the first phase of each fork does not train."""


class Fork:
    """A fork that was trained for 20 steps."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder / "whole"
        self.config = self.load(self.folder)
        loop.train(self.config)
        self.model = load_pretrained(self.folder, config=self.config)

    def load(self, folder: Path) -> Config:
        overrides = ("--run.steps", "20", "--run.save-every", "10", "--run.folder", str(folder))
        return load_config(f"tests/forks/{self.name}.py", (*overrides, "--optimizer.milestones", "15"))

    def arrays(self) -> dict[str, np.ndarray]:
        _, params, statistics = flatten(self.model)
        return jax.device_get(params | statistics)


@pytest.fixture(scope="module", params=FORKS)
def fork(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(loop, "data_mesh", lambda _: data_mesh(1, jax.devices()[:1]))
        yield Fork(request.param, tmp_path_factory.mktemp(request.param))


def test_the_first_phase_freezes_the_expected_parameters(fork: Fork):
    frozen = FROZEN[fork.name]
    early, late = (load_weights(fork.folder, step).params for step in (10, 20))
    changed = {name for name in early if not np.array_equal(early[name], late[name])}
    assert {name for name in early if name.startswith(frozen)} <= changed  # the second phase trains them
    fresh = {n: np.asarray(v) for n, v in flatten(loop.build_model(fork.config))[1].items()}
    assert all(np.array_equal(fresh[name], early[name]) for name in early if name.startswith(frozen))
    assert any(not np.array_equal(fresh[name], early[name]) for name in early)


def test_it_is_stopped_and_resumed_bit_for_bit(fork: Fork, tmp_path: Path):
    resumed = tmp_path / "resumed"
    shutil.copytree(fork.folder, resumed)
    shutil.rmtree(resumed / "checkpoints" / "20")
    loop.train(fork.load(resumed))
    expected, found = load_weights(fork.folder, 20), load_weights(resumed, 20)
    for ours, theirs in zip(expected[1:], found[1:], strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert metrics.read(resumed)[-1] == metrics.read(fork.folder)[-1]


def test_its_types_are_recorded_and_not_imported(fork: Fork):
    with pytest.raises(ForeignTypeError, match=f"tests/forks/{fork.name}.py:"):
        read_config(fork.folder)
    trusted = read_trusted_config(fork.folder)
    assert type(trusted.model).__name__ == type(fork.config.model).__name__
    named = [loss.name for loss in fork.config.losses]
    assert [loss.name for loss in trusted.losses] == named


def test_it_is_evaluated(fork: Fork):
    last = metrics.read(fork.folder)[-1]
    names = {f"loss/{loss.name}" for loss in fork.config.losses}
    assert names <= metrics.read(fork.folder)[0].keys()
    assert 0 <= last["bbox/AP"] <= 1 and 0 <= last["segm/AP"] <= 1
    for evaluator in fork.config.evaluators:
        assert any(name.startswith(f"{evaluator.name}/") for name in last)


def detections(fork: Fork, model: MaskRCNN) -> Detections:
    image = fork.config.data.validation.open()[0].image
    fitted = fit(image, model.config.input)
    return Detector(model)(jnp.asarray(fitted.image)[None], jnp.asarray(fitted.size)[None])


def test_it_is_converted_and_loaded_again(fork: Fork, tmp_path: Path):
    file = tmp_path / "fork.safetensors"
    write_safetensors(file, fork.arrays(), fork.config.model)
    again = load_pretrained(file, config=fork.config)
    expected, found = detections(fork, fork.model), detections(fork, again)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(expected), jax.device_get(found))
    if fork.name in ("dice", "dots", "erase"):  # their networks have no custom types
        assert load_pretrained(file).config == fork.config.model
    else:
        with pytest.raises(ConfigError, match=f"tests/forks/{fork.name}.py:"):
            load_pretrained(file)


def test_it_is_exported(fork: Fork):
    exported = export_model(fork.model, batch=1, platforms=("cpu",))
    fitted = fit(fork.config.data.validation.open()[0].image, fork.model.config.input)
    found = exported.call(jnp.asarray(fitted.image)[None], jnp.asarray(fitted.size)[None])
    expected = detections(fork, fork.model)
    np.testing.assert_allclose(found["boxes"], expected.boxes, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found["valid"], expected.valid)
    assert found.get("extras", {}).keys() == expected.extras.keys()
    for name, value in expected.extras.items():
        np.testing.assert_allclose(found["extras"][name], value, rtol=1e-4, atol=1e-3)


def test_it_is_inspected(fork: Fork, tmp_path: Path):
    inspect_data(fork.config, tmp_path / "data", images=4)
    inspect_model(fork.folder, tmp_path / "model", images=1, config=fork.config)
    inspect_weights(fork.folder, tmp_path / "weights")
    assert all((tmp_path / page / "index.html").exists() for page in ("data", "model", "weights"))


def test_it_is_planned(fork: Fork):
    plan = make_plan(fork.config, parse("cpu:1"), batch=2)
    assert plan.train is not None and plan.predict is not None
    assert plan.train.flops > 0 and plan.predict.flops > 0


def test_its_file_is_loaded_with_trust_code(fork: Fork, tmp_path: Path):
    file = tmp_path / "fork.safetensors"
    write_safetensors(file, fork.arrays(), fork.config.model)
    again = load_trained(file, None, trust_code=True)
    assert to_plain(again.config) == to_plain(fork.config.model)
