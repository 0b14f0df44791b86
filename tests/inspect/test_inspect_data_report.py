"""The report on a data set: which images it shows, its facts, and the errors for bad input."""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from examples import Images, example
from small import CONFIG, SIDE

from maskrcnn_jax.__main__ import main
from maskrcnn_jax.config import (
    ColorJitter,
    Config,
    ConfigError,
    CopyPaste,
    Flip,
    Resize,
    ScaleJitter,
    ShapesSource,
    Transform,
)
from maskrcnn_jax.data import Example, Shapes, train_batches
from maskrcnn_jax.inspect.data.inspected import (
    InspectedData,
    bucket_of,
    network_scales,
    open_data,
    training_sample,
    without_randomness,
)
from maskrcnn_jax.inspect.data.report import inspect_data
from maskrcnn_jax.inspect.data.steps import (
    STEPS,
    anchor_assignment,
    anchors,
    augmentation,
    batches,
    boxes,
    data_set,
    mask_targets,
    random_crops,
    resized,
    rois,
)
from maskrcnn_jax.inspect.data.training_steps import pasted_samples

CONFIG_FILE = Path(__file__).parents[2] / "configs" / "shapes.py"


def shapes(*transforms: Transform) -> Config:
    train, validation = (ShapesSource(image_size=SIDE, count=20, first=first) for first in (100, 200))
    data = dataclasses.replace(CONFIG.data, train=train, validation=validation)
    data = dataclasses.replace(data, transforms=transforms) if transforms else data
    return dataclasses.replace(CONFIG, data=data)


# Samples


def test_a_sample_is_what_the_pipeline_makes_of_its_first_image():
    config = shapes(Flip(0.5), Resize((SIDE,), SIDE), ColorJitter(0.3))
    source = config.data.train.open()
    for step, batch in zip(range(3), train_batches(source, config.data, seed=5, start_step=0), strict=False):
        position = source.image_ids.index(int(batch.image_ids[0]))
        sample = training_sample(source[position], config, (SIDE, SIDE), seed=5, step=step)
        for own, batched in zip(jax.tree.leaves(sample), jax.tree.leaves(batch), strict=True):
            np.testing.assert_array_equal(own, batched[0])


@pytest.mark.parametrize("sizing", [Resize((32, SIDE), SIDE), ScaleJitter(0.1, 2.0)])
def test_without_randomness_every_step_is_the_same(sizing):
    config = shapes(CopyPaste(1.0), Flip(1.0), sizing, ColorJitter(0.4))
    plain = dataclasses.replace(config, data=without_randomness(config.data))
    image = config.data.train.open()[3]
    first, second = (training_sample(image, plain, (SIDE, SIDE), seed=0, step=step) for step in (0, 1))
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.images, image.image)  # as large as the canvas, and not mirrored
    assert not (training_sample(image, config, (SIDE, SIDE), seed=0).images == image.image).all()


def test_scales_of_images():
    data = dataclasses.replace(CONFIG.data, transforms=(Resize((400, 800), 1333),), buckets=((800, 1200),))
    # the shorter side of 480 becomes 800; of 200 × 800 the longer becomes 1333
    np.testing.assert_allclose(network_scales([(480, 640), (200, 800)], data), [800 / 480, 1333 / 800], rtol=1e-3)
    jittered = dataclasses.replace(data, transforms=(ScaleJitter(0.1, 2.0),))
    # twice what fits 800 × 1200: 1200 / 640 = 1.875 is more than 800 / 480 = 1.667
    np.testing.assert_allclose(network_scales([(480, 640)], jittered), [2 * 800 / 480])


def test_the_canvas_of_an_image():
    data = dataclasses.replace(CONFIG.data, transforms=(Resize((32,), 96),), buckets=((32, 64), (64, 32)))
    source = Images(example(size=(40, 60)), example(size=(60, 40)))
    assert [bucket_of(source, n, data) for n in (0, 1)] == [(32, 64), (64, 32)]


# Which images


def test_the_image_shown_is_drawn_among_those_with_objects(tmp_path: Path):
    config = shapes()
    first, again, other = (open_data(config, seed=seed, images=8) for seed in (0, 0, 1))
    assert first.example.image_id == again.example.image_id != other.example.image_id
    assert {image.image_id for image in first.numbers.images} <= set(range(100, 120))
    assert len(first.numbers.images) == len({image.position for image in first.numbers.images}) == 8
    named = open_data(config, image_id=117, images=8)
    assert named.example.image_id == 117
    validation = open_data(config, "validation", images=2)
    assert isinstance(validation.source, Shapes) and validation.source.config == config.data.validation


# Facts


@pytest.fixture(scope="module")
def data() -> InspectedData:
    return open_data(shapes(), images=12)


def test_facts(data: InspectedData):
    """Of shapes, whose boxes are those of their masks, with three anchors for each cell of 16², 8², 4², 2² and 1."""
    assert data_set(data).facts["Images"] == "20"
    assert boxes(data).facts["above 2 pixels"] == 0
    assert resized(data).facts["Stored"] == (SIDE, SIDE)
    assert anchors(data).facts["Shape"] == (768 + 192 + 48 + 12 + 3, 4)
    facts, match = rois(data).facts, CONFIG.sampling.rois  # 16 RoIs, a quarter of them foreground
    assert (facts["RoIs"], facts["foreground"]) == (match.count, match.count // 4)
    assert facts["Share of foreground"] == f"{match.foreground_fraction:.1%}"
    distances = (anchor_assignment(data).facts, "anchors"), (facts, "RoIs")
    for found, kind in distances:
        assert float(str(found[f"Largest distance of refined {kind} and objects"]).split()[0]) < 1e-3
    assert batches(data).facts["Images"] == 40  # ten batches of four


def test_every_step_is_a_section_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("maskrcnn_jax.inspect.page.DPI", 36)  # small images are written sooner
    page, data = inspect_data(shapes(), tmp_path / "page", images=12)
    assert (len(data.numbers.images), data.numbers.broken) == (12, [])
    assert page.read_text(encoding="utf-8").count("<section ") == len(STEPS)
    assert {int(path.name[:2]) for path in page.parent.glob("*.png")} == set(range(2, 17))
    assert len(list(page.parent.glob("02_*.png"))) == 4


def test_pasted_objects_are_those_of_other_images():
    data = open_data(shapes(Flip(0.0), Resize((SIDE,), SIDE)), images=6)
    pasted = pasted_samples(data)
    alone = data.augmented(data.config.data)
    counts = [sample.ground_truth.valid.sum() for sample in pasted]
    assert len(pasted) == 6 and max(counts) > alone.ground_truth.valid.sum()
    for sample in pasted:
        changed = (sample.images != alone.images).any(axis=2)
        inside = np.zeros_like(changed)
        for x0, y0, x1, y1 in sample.ground_truth.boxes[sample.ground_truth.valid].astype(int).tolist():
            inside[y0:y1, x0:x1] = True
        assert not (changed & ~inside).any()  # nothing but objects is pasted
    lonely = dataclasses.replace(data, numbers=data.numbers._replace(images=[]))
    (sample,) = pasted_samples(lonely)
    np.testing.assert_array_equal(sample.images, alone.images)


def test_what_is_not_random_is_not_shown():
    assert not augmentation(open_data(shapes(Flip(0.0), Resize((SIDE,), SIDE)), images=2)).figures
    jittered = open_data(shapes(Flip(0.5), ScaleJitter(0.5, 2.0)), images=2)
    assert random_crops(jittered) is None and augmentation(jittered).figures


# Data sets of the user's own


def opened(monkeypatch: pytest.MonkeyPatch, *examples: Example | None) -> InspectedData:
    monkeypatch.setattr(type(CONFIG.data.train), "open", lambda _: Images(*examples))
    return open_data(CONFIG, images=5)


def test_images_without_objects(monkeypatch: pytest.MonkeyPatch):
    data = opened(monkeypatch, example(size=(48, 64)))
    made = {step: step(data) for step in STEPS}
    without = {step for step, result in made.items() if result is None or not list(result.figures)}
    assert without == {data_set, mask_targets}
    assert boxes(data).facts["Objects"] == anchor_assignment(data).facts["Positive"] == 0
    assert batches(data).facts["Images without foreground"] == 40


def test_broken_images_are_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match=r"no image of 2 can be read, the first: image \d is broken"):
        opened(monkeypatch, None, None)
    some = opened(monkeypatch, None, example((0, (5, 5, 20, 20))))
    assert some.numbers.broken == ["image 0 is broken"]
    assert data_set(some).tables[1].entries == [("image 0 is broken",)]


# The command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["maskrcnn_jax", "inspect", "data", *map(str, arguments)])
    main()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shape.py",), "shape.py: no such file"),
        ((CONFIG_FILE, "--image-id", "2000000"), "image_id = 2000000: the data has no such image"),
        ((CONFIG_FILE, "--images", "0"), "images = 0: must be at least 1"),
        ((CONFIG_FILE, "--seed", "-1"), "seed = -1: must be at least 0"),
        ((CONFIG_FILE, "--out", "taken", "--images", "1"), "holds files that are not a report"),
        ((CONFIG_FILE, "--", "--data.train.image-size", "8"), "image_size = 8: take 60 or more"),
        ((CONFIG_FILE, "--", "--data.buckets", "64", "64"), "buckets = ((64, 64),): must hold"),
    ],
)
def test_bad_input_gets_a_line(arguments, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("mine")
    monkeypatch.chdir(tmp_path)
    first, *rest = arguments
    out = () if "--out" in rest else ("--out", "page")
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, first, *out, *rest)
    assert str(ended.value).startswith("error: ") and message in str(ended.value)
    assert len(str(ended.value).splitlines()) == 1
    assert not (tmp_path / "page").exists()


def test_overrides_and_options_reach_the_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    seen = {}

    def stand_in(config: Config, out: Path, **options):
        seen.update(options, config=config, out=out)
        raise ConfigError("enough")

    monkeypatch.setattr("maskrcnn_jax.inspect.data.report.inspect_data", stand_in)
    options = ("--split", "validation", "--seed", "3", "--image-id", "9", "--images", "5")
    with pytest.raises(SystemExit, match="enough"):
        run(monkeypatch, CONFIG_FILE, "--out", tmp_path, *options, "--", "--data.flip", "0.25")
    assert seen.pop("config").data.transform(Flip) == Flip(0.25)
    assert seen == {"out": tmp_path, "split": "validation", "seed": 3, "image_id": 9, "images": 5}
