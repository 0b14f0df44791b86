"""Transforms by short flags, by flags of their own, and as earlier versions wrote them."""

import json
from pathlib import Path

import pytest

from maskrcnn_jax.config import (
    Albumentations,
    ColorJitter,
    Config,
    ConfigError,
    CopyPaste,
    DataConfig,
    Flip,
    Resize,
    Rotate90,
    ScaleJitter,
)
from maskrcnn_jax.config.loading import load_config, read_config, save_config
from maskrcnn_jax.config.validation import validate

SHAPES = Path(__file__).parents[2] / "configs" / "shapes.py"
PLAIN = load_config(SHAPES).data.transforms


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--data.flip", "0"], (Flip(0.0), PLAIN[1])),
        (["--data.transforms.flip.probability", "0.3"], (Flip(0.3), PLAIN[1])),
        (["--data.color-jitter", "0.4"], (*PLAIN, ColorJitter(0.4))),
        (["--data.scale-jitter", "0.1", "2.0"], (PLAIN[0], ScaleJitter(0.1, 2.0))),
        (["--data.copy-paste", "0.5"], (CopyPaste(0.5), *PLAIN)),
        (["--data.shortest-edges", "96", "128"], (PLAIN[0], Resize((96, 128), 128))),
        (["--data.shortest-edges", "64", "--data.longest-edge", "80"], (PLAIN[0], Resize((64,), 80))),
        (["--data.transforms.resize.longest-edge", "128", "--data.flip", "1"], (Flip(1.0), Resize((128,), 128))),
    ],
)
def test_flags_of_transforms(flags: list[str], expected: tuple):
    config = load_config(SHAPES, flags)
    assert config.data.transforms == expected
    assert config == load_config(SHAPES, flags) and type(config.data) is DataConfig


def test_help_names_both_kinds_of_flags(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        load_config(SHAPES, ["--help"])
    text = capsys.readouterr().out
    assert "--data.flip" in text and "--data.transforms.flip.probability" in text
    assert "replaces" in text


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        ({}, (Flip(0.5), Resize((800,), 1333))),
        ({"flip": 0.0, "color_jitter": 0.2}, (Flip(0.0), Resize((800,), 1333), ColorJitter(0.2))),
        ({"scale_jitter": [0.1, 2], "copy_paste": 0.5}, (CopyPaste(0.5), Flip(0.5), ScaleJitter(0.1, 2.0))),
    ],
)
def test_run_folders_of_earlier_versions_are_read(tmp_path: Path, old: dict, expected: tuple):
    save_config(Config(data=DataConfig(buckets=((1344, 1344),))), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["data"]["transforms"]
    values["data"] |= {"shortest_edges": [800], "longest_edge": 1333} | old
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert read_config(tmp_path).data.transforms == expected


def test_transforms_are_written_and_read(tmp_path: Path):
    noise = Albumentations("GaussNoise", '{"p": 0.5}', name="noise")
    config = Config(data=DataConfig(transforms=(Flip(), Resize(), Rotate90(), noise), buckets=((1344, 1344),)))
    save_config(config, tmp_path)
    assert read_config(tmp_path) == config


def test_names_must_differ():
    with pytest.raises(ConfigError, match=r"data.transforms = \['flip', 'flip'\]: must have names of their own"):
        validate(Config(data=DataConfig(transforms=(Flip(), Flip()))))
