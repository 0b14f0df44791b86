"""Values have their type beside their fields; a type outside the package is named, and run only if it is trusted."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

from maskrcnn_jax.config import Config, ConfigError, Mask, ModelConfig, ResNet
from maskrcnn_jax.config.loading import load_config, read_config, read_trusted_config, save_config
from maskrcnn_jax.config.serialization import from_json, to_plain
from maskrcnn_jax.config.types import types_of

FORK = """
from dataclasses import dataclass
from maskrcnn_jax.config import *

@dataclass(frozen=True)
class Wide(ResNet):
    extra: int = 3

@dataclass(frozen=True)
class Edges(Loss):
    name = "edges"
    sharpness: float = 1.0
"""
EXPERIMENT = "config = Config(model=ModelConfig(backbone=Wide(extra=5)), losses=(*LOSSES, Edges(sharpness=2.0)))\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The run folder of an experiment whose backbone and last loss stand in its own file."""
    (tmp_path / "fork.py").write_text(FORK + EXPERIMENT)
    save_config(load_config(tmp_path / "fork.py"), tmp_path / "run")
    # Running the file from now on leaves a trace.
    (tmp_path / "fork.py").write_text(FORK + EXPERIMENT + f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    return tmp_path / "run"


def test_values_have_their_type_and_others_have_none():
    model = to_plain(ModelConfig())
    assert model["backbone"]["type"] == "maskrcnn_jax.nn.backbones.resnet:ResNet"
    assert model["mask_head"]["type"] == "maskrcnn_jax.nn.heads.mask:MaskHead"
    assert "type" not in model["detect"] and "type" not in model["rpn"]["anchors"]
    assert from_json(ModelConfig, json.loads(json.dumps(model)), "model") == ModelConfig()


def test_a_foreign_type_is_named_and_refused(run: Path):
    name = f"{run.parent / 'fork.py'}:Wide"
    assert json.loads((run / "config.json").read_text())["model"]["backbone"]["type"] == name
    message = f"{run / 'config.json'}: model.backbone.type = {name!r}: this type is code outside maskrcnn_jax"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}.*load_pretrained.*--trust-code"):
        read_config(run)
    assert not (run.parent / "ran").exists()


def test_a_foreign_type_is_found_in_a_given_configuration(run: Path):
    (run.parent / "fork.py").write_text(FORK + "config = Config(model=ModelConfig(backbone=Wide()), losses=(Edges(),))")
    given = load_config(run.parent / "fork.py")
    config = read_config(run, types_of(given))
    assert type(config.model.backbone) is type(given.model.backbone)
    assert type(config.losses[5]) is type(given.losses[0])
    # The values are those of the run, not of the configuration that the types are taken from.
    assert (config.model.backbone.extra, config.losses[5].sharpness) == (5, 2.0)


def test_a_type_that_the_given_configuration_lacks_is_refused(run: Path):
    with pytest.raises(ConfigError, match=r"model\.backbone\.type = '.*:Wide': this type is code outside"):
        read_config(run, types_of(Config()))


def test_a_trusted_run_folder_imports_its_types(run: Path):
    config = read_trusted_config(run)
    assert (run.parent / "ran").exists()
    assert (config.model.backbone.extra, config.losses[5].sharpness) == (5, 2.0)
    assert isinstance(config.model.backbone, ResNet) and config.losses[5].name == "edges"


def test_a_type_of_a_module_is_the_same_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_values.py").write_text(FORK)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "experiment.py").write_text("from my_values import *\n" + EXPERIMENT)
    (tmp_path / "experiment.py").write_text(
        "from maskrcnn_jax.config import *\nfrom my_values import Edges, Wide\n" + EXPERIMENT
    )
    config = load_config(tmp_path / "experiment.py")
    save_config(config, tmp_path / "run")
    assert read_trusted_config(tmp_path / "run") == config
    assert read_config(tmp_path / "run", types_of(config)) == config
    monkeypatch.delitem(sys.modules, "my_values")
    with pytest.raises(ConfigError, match=r"model\.backbone\.type = 'my_values:Wide'"):
        read_config(tmp_path / "run")
    assert "my_values" not in sys.modules


def test_a_trusted_type_that_is_gone_is_named(run: Path):
    (run.parent / "fork.py").write_text("")
    with pytest.raises(ConfigError, match=r"config\.json: model\.backbone\.type = '.*:Wide': cannot be imported"):
        read_trusted_config(run)


def test_a_trusted_file_that_is_not_found_is_named(run: Path):
    (run.parent / "fork.py").unlink()
    with pytest.raises(ConfigError, match=r"cannot be imported: there is no file /.*/fork\.py; start where it can be"):
        read_trusted_config(run)


def edited(folder: Path, type_: object) -> Path:
    save_config(Config(), folder)
    values = json.loads((folder / "config.json").read_text())
    values["model"]["backbone"]["type"] = type_
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (3, 'must be "module:Class"'),
        (None, 'must be "module:Class"'),
        ("ResNet", 'must be "module:Class"'),
        ("maskrcnn_jax.nowhere:ResNet", "maskrcnn_jax has no such type; restore the name"),
        ("maskrcnn_jax.nn.backbones.resnet:ResNext", "maskrcnn_jax has no such type; restore the name"),
        # What a module has imported from elsewhere is not its own.
        ("maskrcnn_jax.config.loading:Path", "maskrcnn_jax has no such type; restore the name"),
        ("maskrcnn_jax.config:ResNet", "maskrcnn_jax has no such type; restore the name"),
        ("maskrcnn_jax.nn.backbones.resnet:Block", "must be a dataclass that derives from Backbone"),
        ("maskrcnn_jax.nn.necks.fpn:FPN", "must be a dataclass that derives from Backbone"),
        ("os:system", "this type is code outside maskrcnn_jax"),
    ],
)
def test_a_name_that_is_no_backbone_is_named(tmp_path: Path, name: object, message: str):
    with pytest.raises(ConfigError, match=rf"config\.json: model\.backbone\.type = .*: {message}"):
        read_config(edited(tmp_path, name))


def test_a_trusted_name_must_be_of_the_right_kind_too(tmp_path: Path):
    message = "model.backbone.type = 'os:system': must be a dataclass that derives from Backbone"
    with pytest.raises(ConfigError, match=message):
        read_trusted_config(edited(tmp_path, "os:system"))


def test_a_missing_field_takes_the_default_of_the_type(tmp_path: Path):
    save_config(dataclasses.replace(Config(), losses=(Mask(weight=2.0, samples=7),)), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["losses"][0]["samples"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert read_config(tmp_path).losses == (Mask(weight=2.0),)
