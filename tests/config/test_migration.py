"""Run folders of the version before values had types and losses stood in a section of their own."""

import json
from pathlib import Path

import pytest

from maskrcnn_jax.config import CocoSource, ConfigError, ShapesSource
from maskrcnn_jax.config.loading import load_config, read_config, save_config
from maskrcnn_jax.config.migration import upgrade

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = Path(__file__).parent / "data"
"""Each folder was written by the code before the change, from a file of `configs/` and the flags of then."""

MATTERPORT = """
--losses.rpn-objectness.weight 1 --losses.rpn-box.weight 2 --losses.classification.weight 3 --losses.box.weight 4
--losses.mask.weight 5 --sampling.anchors.count 128 --losses.mask.samples 3 --sampling.no-append-ground-truth
"""
"""Then: `--loss.weights 1 2 3 4 5 --loss.rpn-match.count 128 --loss.mask-samples 3 --loss.no-append-ground-truth`."""


@pytest.mark.parametrize(
    ("folder", "file", "flags"),
    [
        ("untyped_shapes", "shapes", ""),
        ("untyped_torchvision", "mask_rcnn_r50_fpn_torchvision", ""),
        ("untyped_matterport", "mask_rcnn_r101_fpn_matterport", MATTERPORT),
    ],
)
def test_an_old_run_folder_holds_the_same_experiment(folder: str, file: str, flags: str, tmp_path: Path):
    assert '"type"' not in (DATA / folder / "config.json").read_text()
    config = read_config(DATA / folder)
    assert config == load_config(CONFIGS / f"{file}.py", flags.split())
    save_config(config, tmp_path)
    assert read_config(tmp_path) == config


def test_the_losses_of_matterport_in_the_form_of_today():
    """Its box normaliser was one field for both losses of boxes; each has its own now."""
    config = read_config(DATA / "untyped_matterport")
    assert [(loss.name, loss.weight) for loss in config.losses] == [
        ("rpn_objectness", 1.0),
        ("rpn_box", 2.0),
        ("classification", 3.0),
        ("box", 4.0),
        ("mask", 5.0),
    ]
    objectness, rpn_box, _, box, mask = config.losses
    assert (objectness.normalizer, rpn_box.normalizer, box.normalizer) == ("sampled", "positive", "positive")
    assert (rpn_box.beta, box.beta, mask.samples) == (1.0, 1.0, 3)
    assert (config.sampling.anchors.count, config.sampling.rois.count) == (128, 200)
    assert not config.sampling.append_ground_truth


def test_sources_are_told_apart_by_their_fields():
    assert isinstance(read_config(DATA / "untyped_shapes").data.train, ShapesSource)
    assert isinstance(read_config(DATA / "untyped_matterport").data.train, CocoSource)


@pytest.mark.parametrize("values", [None, [], 3, {}, {"data": 3, "loss": []}, {"data": {"train": {"a": 1}}}])
def test_what_is_of_no_known_form_stays_as_it_is(values: object):
    before = json.dumps(values)
    assert json.dumps(upgrade(values)) == before


def test_a_configuration_of_today_stays_as_it_is(tmp_path: Path):
    save_config(load_config(CONFIGS / "shapes.py"), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    assert upgrade(values) == values


def old_values(tmp_path: Path, **loss: object) -> Path:
    values = json.loads((DATA / "untyped_shapes" / "config.json").read_text())
    values["loss"] |= loss
    (tmp_path / "config.json").write_text(json.dumps(values))
    return tmp_path


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"rpn_beta": "1"}, r"losses\[1\]\.beta = '1': must be of type float"),
        ({"mask_samples": -1}, r"losses\.mask\.samples = -1: must be 0 or more"),
        ({"rpn_match": {"count": 1}}, r"sampling\.anchors\.foreground_iou = None: is missing"),
    ],
)
def test_a_wrong_value_of_an_old_file_is_named_where_it_is_today(tmp_path: Path, loss: dict, message: str):
    with pytest.raises(ConfigError, match=rf"config\.json: {message}"):
        read_config(old_values(tmp_path, **loss))


@pytest.mark.parametrize(
    "loss",
    [{"weights": [1.0, 1.0]}, {"weights": [1.0] * 6}, {"weights": 3}, {"weightz": 1}],
    ids=["too few weights", "too many weights", "a number", "unknown field"],
)
def test_nothing_of_an_old_file_is_dropped_in_silence(tmp_path: Path, loss: dict):
    with pytest.raises(ConfigError, match=r"config\.json: loss"):
        read_config(old_values(tmp_path, **loss))
