"""Flags of values: those of the losses are named by the loss, those of a part by its place."""

import dataclasses
from pathlib import Path

import pytest

from maskrcnn_jax.config import BoxRegression, Config, ConfigError, Mask, ResNet
from maskrcnn_jax.config.loading import load_config

SHAPES = Path(__file__).parents[2] / "configs" / "shapes.py"
BASELINE = SHAPES.with_name("mask_rcnn_r50_fpn_1x.py")


def write(folder: Path, text: str) -> Path:
    path = folder / "experiment.py"
    path.write_text("from maskrcnn_jax.config import *\n" + text)
    return path


def test_the_weight_of_a_loss():
    plain, config = load_config(BASELINE), load_config(BASELINE, ["--losses.mask.weight", "2"])
    assert config.losses == (*plain.losses[:4], dataclasses.replace(plain.losses[4], weight=2.0))
    assert dataclasses.replace(config, losses=plain.losses) == plain
    assert type(config) is Config


def test_own_fields_of_a_loss():
    flags = ["--losses.box.beta", "0.5", "--losses.mask.no-binary-targets", "--losses.box.normalizer", "positive"]
    *_, box, mask = load_config(BASELINE, flags).losses
    assert (box, mask) == (BoxRegression(beta=0.5, normalizer="positive"), Mask(binary_targets=False))


def test_the_depth_of_the_backbone():
    plain, config = load_config(BASELINE), load_config(BASELINE, ["--model.backbone.depth", "101"])
    assert config.model.backbone == dataclasses.replace(plain.model.backbone, depth=101)
    assert dataclasses.replace(config.model, backbone=plain.model.backbone) == plain.model
    assert isinstance(config.model.backbone, ResNet)


def test_losses_are_those_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write(tmp_path, "config = Config(losses=(Mask(weight=3.0), Classification()))")
    flags = ["--losses.classification.weight", "0.5"]
    assert [(loss.name, loss.weight) for loss in load_config(path, flags).losses] == [
        ("mask", 3.0),
        ("classification", 0.5),
    ]
    with pytest.raises(SystemExit):
        load_config(path, ["--losses.box.weight", "1"])
    assert "Unrecognized options: --losses.box.weight" in capsys.readouterr().err


def test_a_misspelt_flag_of_a_loss_gets_a_suggestion(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        load_config(SHAPES, ["--losses.mask.wieght", "2"])
    message = capsys.readouterr().err
    assert "Unrecognized options: --losses.mask.wieght" in message and "--losses.mask.weight FLOAT" in message


def test_fields_of_values_from_elsewhere(tmp_path: Path):
    """A file's own backbone and loss have flags as those of the package have."""
    path = write(
        tmp_path,
        """
from dataclasses import dataclass, replace

@dataclass(frozen=True)
class Wide(ResNet):
    extra: int = 3

@dataclass(frozen=True)
class Edges(Loss):
    name = "edges"
    sharpness: float = 1.0

config = Config(model=ModelConfig(backbone=Wide()), losses=(*LOSSES, Edges()))
""",
    )
    config = load_config(path, ["--model.backbone.extra", "5", "--losses.edges.sharpness", "2", "--run.seed", "7"])
    assert (config.model.backbone.extra, config.losses[5].sharpness, config.run.seed) == (5, 2.0, 7)
    assert type(config.model.backbone).__name__ == "Wide" and type(config.losses[5]).__name__ == "Edges"


@pytest.mark.parametrize(
    ("definition", "losses", "message"),
    [
        ("class Edges(Loss): pass", "Edges()", r"losses\[0\] = .*: has no name; add .* to the class Edges"),
        ("class Edges(Loss): name = 'edges'", "Edges(), Edges()", r"losses = \['edges', 'edges'\]: must have names"),
        (
            "class Edges(Loss):\n    name: ClassVar = 'edges'\n    sharpness: float = 1.0",
            "Edges()",
            r"losses\[0\] = .*Edges'>: declares sharpness without being a dataclass; add @dataclass\(frozen=True\)",
        ),
    ],
)
def test_a_value_that_cannot_have_flags_is_named(tmp_path: Path, definition: str, losses: str, message: str):
    path = write(tmp_path, f"from typing import ClassVar\n{definition}\nconfig = Config(losses=({losses},))")
    with pytest.raises(ConfigError, match=message):
        load_config(path, ["--run.seed", "7"])
