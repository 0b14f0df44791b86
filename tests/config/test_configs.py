"""The experiments in configs/: each loads, and has the values of its source."""

import dataclasses
from pathlib import Path

import pytest

from maskrcnn_jax.config import CocoSource, Phase, ShapesSource
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.config.validation import validate

FOLDER = Path(__file__).parents[2] / "configs"
BASELINE = FOLDER / "mask_rcnn_r50_fpn_1x.py"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_every_experiment_loads_and_says_what_it_is(path: Path):
    config = load_config(path)
    validate(config)
    assert config == load_config(path)
    assert hash(config) == hash(load_config(path))
    assert config.run.folder == Path("runs") / path.stem
    text = path.read_text()
    assert all(word in text for word in ("Source:", "Hardware:", "Published:"))


def test_published_recipes():
    """Values from Detectron2's Base-RCNN-FPN.yaml, *_1x.yaml, *_3x.yaml and mask_rcnn_R_50_FPN_400ep_LSJ.py."""
    one = load_config(BASELINE)
    three = load_config(BASELINE.with_name("mask_rcnn_r50_fpn_3x.py"))
    deep = load_config(BASELINE.with_name("mask_rcnn_r101_fpn_3x.py"))
    scratch = load_config(BASELINE.with_name("mask_rcnn_r50_fpn_lsj_400ep.py"))
    assert (one.data.batch_size, one.optimizer.learning_rate, one.run.steps) == (16, 0.02, 90_000)
    assert one.optimizer.milestones == (60_000, 80_000)
    assert (three.run.steps, three.optimizer.milestones) == (270_000, (210_000, 250_000))
    assert dataclasses.replace(three, optimizer=one.optimizer, run=one.run) == one
    assert dataclasses.replace(deep.model, backbone=three.model.backbone) == three.model
    assert (deep.model.backbone.depth, deep.optimizer) == (101, three.optimizer)
    # 100 epochs are 184,375 steps with milestones 163,889 and 177,546; 400 epochs are four times that.
    assert (scratch.run.steps, scratch.optimizer.milestones) == (4 * 184_375, (4 * 163_889, 4 * 177_546))
    assert (one.optimizer.phases, scratch.optimizer.phases) == ((Phase("3+"),), (Phase("all"),))


def test_box_only_experiment_differs_by_the_mask_head():
    mask, box = load_config(BASELINE), load_config(BASELINE.with_name("faster_rcnn_r50_fpn_1x.py"))
    assert box.model == dataclasses.replace(mask.model, mask_head=None)
    assert dataclasses.replace(box, model=mask.model, run=mask.run) == mask


def test_shapes_are_validated_on_images_never_trained_on():
    data = load_config(FOLDER / "shapes.py").data
    assert isinstance(data.train, ShapesSource) and isinstance(data.validation, ShapesSource)
    assert data.validation.count == 200
    assert data.train.seed != data.validation.seed or data.train.first + data.train.count <= data.validation.first


def test_fine_tuning_is_the_experiment_of_shapes_with_new_classes():
    base, tuned = load_config(FOLDER / "shapes.py"), load_config(FOLDER / "finetune.py")
    assert tuned.run.init == base.run.folder
    assert not set(tuned.model.class_names) & set(base.model.class_names)
    assert tuned.model == dataclasses.replace(base.model, class_names=tuned.model.class_names)
    train, validation = tuned.data.train, tuned.data.validation
    assert isinstance(train, ShapesSource) and isinstance(validation, ShapesSource)
    assert train.kinds == validation.kinds == tuned.model.class_names
    assert train.first + train.count <= validation.first
    assert dataclasses.replace(tuned.data, train=base.data.train, validation=base.data.validation) == base.data
    assert [phase.trains for phase in tuned.optimizer.phases] == ["heads", "all"]
    assert tuned.run.steps <= base.run.steps / 3


@pytest.mark.parametrize(
    "base", ["mask_rcnn_r50_fpn_torchvision", "mask_rcnn_r50_fpn_3x", "mask_rcnn_r101_fpn_matterport", "coco_mini"]
)
def test_the_page_for_fine_tuning_takes_what_it_names(base: str, tmp_path: Path):
    """A copy with other data and the other experiments that its comments name, whose milestones lie far beyond."""
    copy = (FOLDER / "finetune.py").read_text()
    for before, after in (
        ('BASE = "shapes"', f'BASE = "{base}"'),
        ('("star", "ring", "cross")\n\n', '("cat", "dog")\n\n'),
        ('mr.ShapesSource(kinds=("star", "ring", "cross"))', 'mr.CocoSource(Path("data/mine"), split="train")'),
        (
            "replace(TRAIN, first=1_000_000, count=200)",
            'mr.CocoSource(Path("data/mine"), split="val", keep_empty=True)',
        ),
        ("= 50, 8, 2e-3", "= 3000, 4, 5e-3"),
    ):
        assert copy.count(before) == 1
        copy = copy.replace(before, after)
    (tmp_path / "mine.py").write_text(copy)
    config, original = load_config(tmp_path / "mine.py"), load_config(FOLDER / f"{base}.py")
    assert (config.model.num_classes, config.model.class_names) == (2, ("cat", "dog"))
    assert config.data.validation == CocoSource(Path("data/mine"), split="val", keep_empty=True)
    assert (config.run.steps, config.optimizer.learning_rate, config.data.batch_size) == (3000, 5e-3, 4)
    assert dataclasses.replace(config.model, num_classes=original.model.num_classes, class_names=()) == original.model
