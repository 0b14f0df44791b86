"""Our own weights in one file."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from small import CONFIG, build, change

from maskrcnn_jax.checkpoints.convert.own import read_config
from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.checkpoints.convert.systems import recognise
from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.config import ConfigError, ModelConfig, ResNet
from maskrcnn_jax.nn.params import flatten

# Fields of every kind away from their defaults: None, nested, tuples, texts, whole numbers where floats are due.
UNUSUAL = change(
    CONFIG.model,
    class_names=("dog", "cät", 'a "b"'),
    rpn__proposals__max_log_scale=None,
    rpn__anchors__sizes=(8, 16, 32, 64, 128),
    input__buckets=((64, 64), (64, 96)),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    [written] = save_pretrained(build(UNUSUAL), tmp_path / "model.safetensors")
    return written


def test_the_same_model_comes_back(path: Path):
    model, expected = load_pretrained(path), build(UNUSUAL)
    assert model.config == UNUSUAL
    for mine, theirs in zip(flatten(model)[1:], flatten(expected)[1:], strict=True):
        assert mine.keys() == theirs.keys()
        assert all((mine[name] == theirs[name]).all() for name in mine)


def test_any_reader_of_safetensors_finds_names_and_configuration(path: Path):
    with safe_open(path, "numpy") as file:
        assert file.metadata()["format"] == "maskrcnn_jax"
        assert json.loads(file.metadata()["config"])["class_names"] == ["dog", "cät", 'a "b"']
        expected = flatten(build(UNUSUAL))[1]["backbone.stem.conv.kernel"]
        np.testing.assert_array_equal(file.get_tensor("backbone.stem.conv.kernel"), expected)


def test_defaults_fill_what_an_older_file_does_not_say():
    assert read_config({"format": "maskrcnn_jax", "config": '{"num_classes": 7}'}) == ModelConfig(num_classes=7)


def test_a_file_from_before_values_had_types_is_read():
    """No part of its configuration names its type."""
    stored = Path(__file__).parents[1] / "config" / "data" / "untyped_matterport" / "config.json"
    values = json.loads(stored.read_text(encoding="utf-8"))["model"]
    assert "type" not in values["backbone"] and values["backbone"]["pool_after"] is True
    config = read_config({"format": "maskrcnn_jax", "config": json.dumps(values)})
    assert isinstance(config.backbone, ResNet) and config.backbone.pool_after and config.backbone.depth == 101
    assert config.mask_head.paste == "rounded" and config.rpn.proposals.joint


def test_other_files_have_no_configuration():
    assert read_config({}) is None
    assert read_config({"format": "pt", "config": "{}"}) is None


def test_a_damaged_configuration_is_named():
    with pytest.raises(ConversionError, match="its configuration is no JSON"):
        read_config({"format": "maskrcnn_jax", "config": "{"})
    with pytest.raises(ConversionError, match="its configuration is no JSON"):
        read_config({"format": "maskrcnn_jax"})
    with pytest.raises(ConfigError, match=r"model\.pool\.size = 3: unknown field"):
        read_config({"format": "maskrcnn_jax", "config": '{"pool": {"size": 3}}'})


def test_nothing_that_a_file_names_is_imported(tmp_path: Path):
    """A run folder may name a function of a fork's; a file that somebody sends may not."""
    values = dataclasses.asdict(UNUSUAL) | {"customize": "os:abort"}
    save_file(
        {"a": np.zeros(1)}, tmp_path / "model.safetensors", {"format": "maskrcnn_jax", "config": json.dumps(values)}
    )
    with pytest.raises(ConfigError, match=r"model\.customize = 'os:abort': unknown field"):
        load_pretrained(tmp_path / "model.safetensors")


def test_our_arrays_without_a_configuration_need_one(tmp_path: Path):
    _, params, statistics = flatten(build(UNUSUAL))
    arrays = jax.device_get(params | statistics)
    save_file(arrays, tmp_path / "model.safetensors")
    for source in (arrays, open_weights(tmp_path / "model.safetensors")):
        with pytest.raises(ConversionError, match=r"without a configuration: pass config="):
            recognise(source)
        assert recognise(source, UNUSUAL).config == UNUSUAL
    params = flatten(load_pretrained(tmp_path / "model.safetensors", config=UNUSUAL))[1]
    assert all((params[name] == arrays[name]).all() for name in params)
