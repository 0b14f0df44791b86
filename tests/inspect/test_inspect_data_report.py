"""The report on a data set: which images it looks at, what it says, and what bad input is answered with."""

import dataclasses
import re
import sys
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
from examples import Images, example
from maskrcnn_jax.inspect.data.rows import bucket_of, network_scales, training_row, without_chance
from maskrcnn_jax.inspect.data.study import open_study
from matplotlib.figure import Figure
from small import CONFIG, SIDE

from maskrcnn_jax.__main__ import main
from maskrcnn_jax.config import CocoSource, Config, ConfigError, ShapesSource
from maskrcnn_jax.data import Shapes, open_source, train_batches
from maskrcnn_jax.data.prepare.run import prepare
from maskrcnn_jax.inspect.data.report import data_steps, inspect_data
from maskrcnn_jax.inspect.data.steps import pasted_rows, row_steps

CONFIG_FILE = Path(__file__).parents[2] / "configs" / "shapes.py"
STEPS = [
    "The data set",
    "Samples with masks",
    "Boxes from masks",
    "Resized and padded",
    "Crops against full masks",
    "Augmentation",
    "Random crops",
    "Copy-paste",
    "Sizes and colours",
    "Objects",
    "Classes",
    "Anchors",
    "Anchors and objects",
    "Rois for training",
    "Mask targets",
    "Foreground over batches",
]


def shapes(**fields) -> Config:
    train, validation = (ShapesSource(image_size=SIDE, count=20, first=first) for first in (100, 200))
    data = dataclasses.replace(CONFIG.data, train=train, validation=validation, **fields)
    return dataclasses.replace(CONFIG, data=data)


# Rows


def test_a_row_is_what_the_pipeline_makes_of_its_first_image():
    config = shapes(flip=0.5, color_jitter=0.3)
    source = open_source(config.data.train)
    for step, batch in zip(range(3), train_batches(source, config.data, seed=5, start_step=0), strict=False):
        position = source.image_ids.index(int(batch.image_ids[0]))
        row = training_row(source[position], config, (SIDE, SIDE), seed=5, step=step)
        for ours, theirs in zip(jax.tree.leaves(row), jax.tree.leaves(batch), strict=True):
            np.testing.assert_array_equal(ours, theirs[0])


@pytest.mark.parametrize("scale_jitter", [None, (0.1, 2.0)])
def test_without_chance_every_step_is_the_same(scale_jitter):
    config = shapes(flip=1.0, color_jitter=0.4, copy_paste=1.0, scale_jitter=scale_jitter, shortest_edges=(32, SIDE))
    plain = dataclasses.replace(config, data=without_chance(config.data))
    image = open_source(config.data.train)[3]
    first, second = (training_row(image, plain, (SIDE, SIDE), seed=0, step=step) for step in (0, 1))
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.images, image.image)  # as large as the canvas, and not mirrored
    assert not (training_row(image, config, (SIDE, SIDE), seed=0).images == image.image).all()


def test_scales_of_images():
    data = dataclasses.replace(CONFIG.data, shortest_edges=(400, 800), longest_edge=1333, buckets=((800, 1200),))
    # the shorter side of 480 becomes 800; of 200 × 800 the longer becomes 1333
    np.testing.assert_allclose(network_scales([(480, 640), (200, 800)], data), [800 / 480, 1333 / 800], rtol=1e-3)
    jittered = dataclasses.replace(data, scale_jitter=(0.1, 2.0))
    # twice what fits 800 × 1200: 1200 / 640 = 1.875 is more than 800 / 480 = 1.667
    np.testing.assert_allclose(network_scales([(480, 640)], jittered), [2 * 800 / 480])


def test_the_canvas_of_a_image():
    data = dataclasses.replace(CONFIG.data, shortest_edges=(32,), longest_edge=96, buckets=((32, 64), (64, 32)))
    source = Images(example(size=(40, 60)), example(size=(60, 40)))
    assert [bucket_of(source, n, data) for n in (0, 1)] == [(32, 64), (64, 32)]


# Which images


def test_the_image_looked_at_is_drawn_among_those_with_objects(tmp_path: Path):
    config = shapes()
    first, again, other = (open_study(config, "train", seed, None, 8) for seed in (0, 0, 1))
    assert first.example.image_id == again.example.image_id != other.example.image_id
    assert {image.image_id for image in first.numbers.images} <= set(range(100, 120))
    assert len(first.numbers.images) == len({image.position for image in first.numbers.images}) == 8
    named = open_study(config, "train", 0, 117, 8)
    assert named.example.image_id == 117
    validation = open_study(config, "validation", 0, None, 2)
    assert isinstance(validation.source, Shapes) and validation.source.config == config.data.validation


# The page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = inspect_data(shapes(), tmp_path_factory.mktemp("report") / "page", images=12)
    assert (report.images, report.broken) == (12, [])
    return report.page


def section(page: str, step: str) -> str:
    found = re.search(rf"</span> {step}</h2>.*?</section>", page, re.DOTALL)
    assert found, step
    return found[0]


def facts(page: str, step: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", section(page, step)))


def cells(page: str, step: str, name: str) -> list[str]:
    """The row of a tensor in a step's tables."""
    row = re.search(rf"<tr><t[dh][^>]*>{re.escape(name)}</t[dh]>.*?</tr>", section(page, step))
    assert row, name
    return re.findall(r"<td[^>]*>(.*?)</td>", row[0])


def test_the_page_walks_through_every_step(page: Path):
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"<h2[^>]*><span[^>]*>\d+</span> (.*?)</h2>", text) == STEPS
    assert {int(path.name[:2]) for path in page.parent.glob("*.png")} == set(range(2, 17))
    assert len(list(page.parent.glob("02_*.png"))) == 4
    assert text.count("<img ") == len(list(page.parent.glob("*.png")))


def test_facts_of_the_page(page: Path):
    text = page.read_text(encoding="utf-8")
    assert facts(text, "The data set")["Images"] == "20"
    assert facts(text, "Boxes from masks")["above 2 pixels"] == "0"  # shapes have their boxes from their masks
    assert facts(text, "Resized and padded")["Stored"] == f"{SIDE}×{SIDE}"
    anchors = facts(text, "Anchors and objects")
    assert float(anchors["Moved anchors and objects, largest distance"].split()[0]) < 1e-3
    kinds = (int(anchors[kind]) for kind in ("Positive", "negative", "ignored"))
    # three for each cell of 16², 8², 4², 2² and 1
    assert sum(kinds) == 768 + 192 + 48 + 12 + 3
    rois = facts(text, "Rois for training")
    assert float(rois["Moved rois and objects, largest distance"].split()[0]) < 1e-3
    match = CONFIG.loss.box_match  # 16 rois, a quarter of them foreground
    assert (rois["Rois"], rois["foreground"]) == (str(match.count), str(match.count // 4))
    assert rois["Share of foreground"] == f"{match.foreground_fraction:.1%}"
    batches = facts(text, "Foreground over batches")
    # ten batches of four
    assert batches["Images"] == "40"


def test_tensors_have_shapes_and_ranges(page: Path):
    text = page.read_text(encoding="utf-8")
    assert f"4×{SIDE}×{SIDE}×3" in cells(text, "Foreground over batches", "images")
    anchors = 768 + 192 + 48 + 12 + 3
    assert facts(text, "Anchors")["Shape"] == f"{anchors}×4"
    low, high = map(float, facts(text, "Anchors")["Coordinates"].removesuffix(" pixels").split(" … "))
    assert low < 0 < SIDE < high
    assert f"{anchors}×4" in cells(text, "Anchors and objects", "refined")
    assert f"{CONFIG.loss.box_match.count}×4" in cells(text, "Rois for training", "rois.boxes")


def test_pasted_objects_are_those_of_other_images():
    study = open_study(shapes(flip=0.0, color_jitter=0.0), "train", 0, None, 6)
    rows = pasted_rows(study)
    alone = training_row(study.example, study.config, study.bucket, study.seed)
    counts = [row.ground_truth.valid.sum() for row in rows]
    assert len(rows) == 6 and max(counts) > alone.ground_truth.valid.sum()
    for row in rows:
        changed = (row.images != alone.images).any(axis=2)
        rows_of_boxes = np.zeros_like(changed)
        for x0, y0, x1, y1 in row.ground_truth.boxes[row.ground_truth.valid].astype(int).tolist():
            rows_of_boxes[y0:y1, x0:x1] = True
        assert not (changed & ~rows_of_boxes).any()  # nothing but objects is pasted
    lonely = study._replace(numbers=study.numbers._replace(images=[]))
    (row,) = pasted_rows(lonely)
    np.testing.assert_array_equal(row.images, alone.images)


def test_what_is_not_random_is_not_shown():
    steps = {step.title: step for step in row_steps(open_study(shapes(flip=0.0), "train", 0, None, 2))}
    assert steps["Augmentation"].figures == () and "Nothing is random" in steps["Augmentation"].text
    jittered = {step.title for step in row_steps(open_study(shapes(scale_jitter=(0.5, 2.0)), "train", 0, None, 2))}
    assert "Random crops" not in jittered  # those are what augmentation shows


# Data sets of the user's own


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose only image has no object, beside one with a broken image."""
    folder = tmp_path_factory.mktemp("mine")
    for split in ("train", "val"):
        (folder / split).mkdir()
    (folder / "annotations").mkdir()
    cv2.imwrite(str(folder / "train" / "a.png"), np.zeros((48, 64, 3), np.uint8))
    cv2.imwrite(str(folder / "val" / "a.png"), np.full((48, 64, 3), 9, np.uint8))
    category = '"categories": [{"id": 3, "name": "thing"}, {"id": 4, "name": "$x$"}]'
    image = '{"id": 77, "file_name": "a.png", "height": 48, "width": 64}'
    for split in ("train", "val"):
        text = f'{{"images": [{image}], "annotations": [], {category}}}'
        (folder / "annotations" / f"instances_{split}.json").write_text(text)
    records = tmp_path_factory.mktemp("prepared") / "records"
    prepare(folder, records)
    return records


def test_images_without_objects(empty: Path):
    data = dataclasses.replace(CONFIG.data, train=CocoSource(empty, "train", keep_empty=True))
    looked_at = open_study(dataclasses.replace(CONFIG, data=data), "train", 0, None, 5)
    steps = {}
    for step in data_steps(looked_at):
        steps[step.title] = step.facts
        figures = [step.figures] if isinstance(step.figures, Figure) else list(step.figures)
        assert figures or step.title in ("The data set", "Mask targets")
    assert list(steps) == STEPS
    assert steps["Boxes from masks"]["Objects"] == 0
    assert steps["Anchors and objects"]["Positive"] == 0
    assert steps["Foreground over batches"]["Images without foreground"] == 40


def test_broken_images_are_named():
    images = Images(None, None)
    with pytest.raises(ValueError, match=r"no image of 2 can be read, the first: image \d is broken"):
        _study_of(images)
    some = _study_of(Images(None, example((0, (5, 5, 20, 20)))))
    assert some.numbers.broken == ["image 0 is broken"]
    step = next(data_steps(some))
    assert step.tables[1].rows == [("image 0 is broken",)]


def _study_of(source):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskrcnn_jax.inspect.data.study.open_source", lambda _: source)
        return open_study(CONFIG, "train", 0, None, 5)


# The command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["maskrcnn_jax", "inspect", "data", *map(str, arguments)])
    main()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shape.py",), "shape.py: no such file"),
        ((CONFIG_FILE, "--image-id", "2000000"), "image_id = 2000000: the data has no such image"),
        ((CONFIG_FILE, "--images", "0"), "images = 0: look at one or more"),
        ((CONFIG_FILE, "--seed", "-1"), "seed = -1: take 0 or more"),
        ((CONFIG_FILE, "--out", "taken", "--images", "1"), "holds files that are no report of ours"),
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
    assert seen.pop("config").data.flip == 0.25
    assert seen == {"out": tmp_path, "split": "validation", "seed": 3, "image_id": 9, "images": 5}
