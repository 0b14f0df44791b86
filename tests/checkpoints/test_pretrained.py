"""Models with the weights of a run."""

import dataclasses
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from whole_runs import TINY

from maskrcnn_jax.checkpoints.checkpoint import CheckpointError, Checkpoints, load_weights
from maskrcnn_jax.checkpoints.pretrained import build_model, load_pretrained, with_weights
from maskrcnn_jax.config import Config, ConfigError
from maskrcnn_jax.config.loading import load_config, read_config, read_trusted_config, save_config
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, predict
from maskrcnn_jax.nn.params import flatten, unflatten
from maskrcnn_jax.training.step import start

CUSTOM = """
from dataclasses import replace
from maskrcnn_jax.config.loading import load_config

def without_masks(model):
    model.mask_head = None
    return model

config = replace(load_config({tiny!r}), customize=without_masks)
"""


def save(config: Config, step: int = 1) -> Path:
    """A run folder with a checkpoint before the first step."""
    with Checkpoints(config.run.folder, keep=1) as checkpoints:
        checkpoints.save(step, start(build_model(config), config)[0])
    save_config(config, config.run.folder)
    return config.run.folder


def tiny(folder: Path, ema_decay: float | None) -> Config:
    config = load_config(TINY, ("--run.folder", str(folder)))
    return dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, ema_decay=ema_decay))


def test_a_run_folder_gives_the_model_that_was_evaluated(finished_run: Path, tmp_path: Path):
    config = read_config(finished_run)
    with Checkpoints(shutil.copytree(finished_run, tmp_path / "run"), keep=3) as checkpoints:
        state = checkpoints.restore(start(build_model(config), config)[0])
    model = load_pretrained(finished_run)
    assert model.config == config.model and model.config.class_names == ("square", "circle", "triangle")
    _, params, statistics = flatten(model)
    assert any((params[name] != state.params[name]).any() for name in params)
    for actual, expected in ((params, state.ema), (statistics, state.statistics)):
        assert actual.keys() == expected.keys()
        assert all((actual[name] == expected[name]).all() for name in actual)

    image = jnp.asarray(config.data.validation.open()[0].image)[None]
    size = jnp.array([[64.0, 64.0]])
    ours, trained = (
        jax.jit(predict)(m, image, size) for m in (model, unflatten(flatten(model)[0], state.ema, state.statistics))
    )
    jax.tree.map(np.testing.assert_array_equal, ours, trained)
    assert ours.valid.any()


def test_a_step_can_be_chosen(finished_run: Path):
    earlier = load_weights(finished_run, 20)
    params = flatten(load_pretrained(finished_run, 20))[1]
    assert earlier.ema is not None
    assert all((params[name] == earlier.ema[name]).all() for name in params)


def test_without_moving_average_the_weights_themselves_are_taken(tmp_path: Path):
    config = tiny(tmp_path, ema_decay=None)
    params = flatten(load_pretrained(save(config)))[1]
    expected = flatten(build_model(config))[1]
    assert params.keys() == expected.keys() and all((params[name] == expected[name]).all() for name in params)


def test_another_seed_gives_other_weights(tmp_path: Path):
    config = tiny(tmp_path, ema_decay=None)
    other = dataclasses.replace(config, run=dataclasses.replace(config.run, seed=1))
    name = "box_head.logits.kernel"
    assert (flatten(build_model(config))[1][name] != flatten(build_model(other))[1][name]).any()


@pytest.fixture(scope="module")
def customized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose experiment, `custom.py` beside it, replaces a stage."""
    folder = tmp_path_factory.mktemp("customized")
    (folder / "custom.py").write_text(CUSTOM.format(tiny=str(TINY)))
    return save(load_config(folder / "custom.py", ("--run.folder", str(folder / "run"))))


def test_a_run_with_code_of_its_own_needs_its_experiment(customized: Path, caplog: pytest.LogCaptureFixture):
    message = r"config\.json: customize = '.*custom\.py:without_masks' is code outside"
    with pytest.raises(ConfigError, match=message) as no:
        load_pretrained(customized)
    assert "load_pretrained(run, config=" in str(no.value) and "--trust-code" in str(no.value)
    with pytest.raises(ConfigError, match=r"custom\.py:without_masks' is code outside"):
        load_pretrained(customized, config=read_config(customized).model)
    for config in (load_config(customized.parent / "custom.py"), read_trusted_config(customized)):
        model = load_pretrained(customized, config=config)
        assert model.mask_head is None
        assert not [name for name in flatten(model)[1] if name.startswith("mask_head")]
    assert not caplog.records


def test_the_experiment_of_a_run_gets_the_names_that_its_data_gave(finished_run: Path):
    assert load_config(TINY).model.class_names == ()
    assert load_pretrained(finished_run, config=load_config(TINY)).config == read_config(finished_run).model


def test_a_function_that_is_not_the_runs_is_named(finished_run: Path, caplog: pytest.LogCaptureFixture):
    load_pretrained(finished_run, config=dataclasses.replace(read_config(finished_run), customize=same))
    (record,) = caplog.records
    assert re.fullmatch(
        r"customize = .*test_pretrained:same, but these weights were trained with maskrcnn_jax\.config:unchanged",
        record.message,
    )


def same(model: MaskRCNN) -> MaskRCNN:
    return model


def test_weights_to_begin_with_need_no_code(customized: Path, tmp_path: Path):
    """The run folder is asked for arrays alone."""
    config = load_config(customized.parent / "custom.py", ("--init", str(customized), "--run.folder", str(tmp_path)))
    assert build_model(config).mask_head is None


def test_weights_of_another_architecture_are_refused(finished_run: Path):
    config = read_config(finished_run)
    other = dataclasses.replace(
        config.model, mask_head=None, box_head=dataclasses.replace(config.model.box_head, fcs=(8,))
    )
    with pytest.raises(CheckpointError, match=r"step 40: these weights belong to another architecture") as refused:
        with_weights(dataclasses.replace(config, model=other), finished_run)
    message = str(refused.value)
    assert "shape: box_head.logits.kernel is (16, 4), the model has (8, 4)" in message
    assert "unexpected: mask_head." in message


def test_what_is_no_run_folder_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config.json: no such file; give a run folder"):
        load_pretrained(tmp_path)
    save_config(tiny(tmp_path, None), tmp_path)
    with pytest.raises(CheckpointError, match=r"holds no checkpoint"):
        load_pretrained(tmp_path)
