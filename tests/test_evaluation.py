"""AP equals pycocotools', perfect detections score 1, and every figure finds its way back to the original picture."""

import contextlib
import io
import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as reference_rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax import evaluation
from maskrcnn_jax.evaluation import FIGURES, CocoEvaluator, coco_metrics, encode_crop, image_results
from maskrcnn_jax.paste import Crop, paste_mask, snap
from maskrcnn_jax.structs import Detections, ImageRecord

# pycocotools.mask.decode, under NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

CATEGORIES = [{"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}, {"id": 17, "name": "owl"}, {"id": 90, "name": "rat"}]


def ellipse(rng, height, width):
    y, x = np.mgrid[:height, :width]
    radii = rng.uniform(3, 0.4 * min(height, width), 2)
    centre = rng.uniform(0, 1, 2) * (height, width)
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1


def encode(mask):
    code = reference_rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def annotation(number, image_id, category_id, mask, crowd=0):
    code = encode(mask)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "iscrowd": crowd,
        "area": float(mask.sum()),
        "bbox": reference_rle.toBbox(code).tolist(),
        "segmentation": code,
    }


@pytest.fixture(scope="module")
def ground_truth():
    """12 pictures with up to 6 ellipses of 3 classes, some crowds; nobody has class "rat"."""
    rng = np.random.default_rng(0)
    images = [{"id": 100 + 7 * index, "height": 120, "width": 200 - index} for index in range(12)]
    annotations = []
    for image in images:
        for _ in range(rng.integers(0, 7)):
            mask = ellipse(rng, image["height"], image["width"])
            if mask.any():
                category = int(rng.choice([2, 5, 17]))
                crowd = int(rng.random() < 0.15)
                annotations.append(annotation(len(annotations) + 1, image["id"], category, mask, crowd))
    assert sum(entry["iscrowd"] for entry in annotations) > 1
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


def perfect(ground_truth):
    return [
        {**{key: entry[key] for key in ("image_id", "category_id", "bbox", "segmentation")}, "score": 0.9}
        for entry in ground_truth["annotations"]
        if not entry["iscrowd"]
    ]


def noisy(ground_truth, digits):
    """Shifted copies of the objects, some with a wrong class, some twice, and inventions."""
    rng = np.random.default_rng(1)
    results = []
    for entry in [*ground_truth["annotations"], *ground_truth["annotations"][::2]]:
        shift = tuple(rng.integers(-6, 7, 2))
        mask = np.roll(reference_rle.decode(entry["segmentation"]), shift, (0, 1))
        category = entry["category_id"] if rng.random() < 0.8 else int(rng.choice([2, 5, 17, 90]))
        code = encode(mask)
        box = (reference_rle.toBbox(code) + rng.normal(0, 1.5, 4)).tolist()
        score = round(float(rng.random()), digits)
        results.append(
            {
                "image_id": entry["image_id"],
                "category_id": category,
                "bbox": box,
                "score": score,
                "segmentation": code,
            }
        )
    return results


def reference_metrics(ground_truth, results, kind):
    """pycocotools; for masks the boxes are left out, so that it measures the size of the mask."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps({**ground_truth, "info": {}}))
        truth.createIndex()
        left_out = "segmentation" if kind == "bbox" else "bbox"
        found = truth.loadRes([{key: entry[key] for key in entry if key != left_out} for entry in results])
        scorer = COCOeval(truth, found, kind)
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    figures = {f"{kind}/{name}": value for name, value in zip(FIGURES, scorer.stats, strict=True)}
    for index, category_id in enumerate(scorer.params.catIds):
        (name,) = [category["name"] for category in ground_truth["categories"] if category["id"] == category_id]
        values = scorer.eval["precision"][:, :, index, 0, -1]
        figures[f"{kind}/AP/{name}"] = values[values > -1].mean() if (values > -1).any() else -1
    return figures


@pytest.mark.parametrize("digits", [6, 1])
def test_figures_equal_pycocotools(ground_truth, digits):
    """With scores rounded to one digit there are many ties."""
    results = noisy(ground_truth, digits)
    figures = coco_metrics(ground_truth, results, masks=True)
    expected = reference_metrics(ground_truth, results, "bbox") | reference_metrics(ground_truth, results, "segm")
    assert figures.keys() == expected.keys()
    assert 0.05 < figures["segm/AP"] < 0.9
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-12), name


def test_perfect_knowledge_scores_one(ground_truth):
    figures = coco_metrics(ground_truth, perfect(ground_truth), masks=True)
    for kind in ("bbox", "segm"):
        for name in ("AP", "AP50", "AP75", "AP/cat", "AP/dog", "AP/owl", "AR100"):
            assert figures[f"{kind}/{name}"] == pytest.approx(1.0, abs=1e-12)
        assert figures[f"{kind}/AP/rat"] == -1  # no object of this class


def test_scoring_leaves_its_input_alone(ground_truth):
    results = noisy(ground_truth, 3)
    before = json.dumps([ground_truth, results])
    coco_metrics(ground_truth, results, masks=True)
    assert json.dumps([ground_truth, results]) == before


def test_no_detections_score_zero(ground_truth):
    figures = coco_metrics(ground_truth, [], masks=True)
    assert figures["bbox/AP"] == figures["segm/AP"] == figures["segm/AP/cat"] == 0
    assert figures["bbox/AR100"] == 0


def test_a_data_set_without_objects_has_no_figures(ground_truth):
    empty = {**ground_truth, "annotations": []}
    figures = coco_metrics(empty, perfect(ground_truth), masks=True)
    assert set(figures.values()) == {-1.0}


def test_without_masks_only_boxes_are_scored(ground_truth):
    results = [{key: entry[key] for key in entry if key != "segmentation"} for entry in perfect(ground_truth)]
    figures = coco_metrics(ground_truth, results, masks=False)
    assert figures["bbox/AP"] == pytest.approx(1.0)
    assert not any(name.startswith("segm") for name in figures)


@pytest.mark.parametrize(("key", "value"), [("image_id", 999), ("category_id", 3)])
def test_results_of_another_data_set_are_named(ground_truth, key, value):
    results = [{**perfect(ground_truth)[0], key: value}]
    with pytest.raises(ValueError, match=rf"results have {key} \[{value}\]"):
        coco_metrics(ground_truth, results, masks=True)


def detections(boxes, labels=None, scores=None, valid=None, masks=None, side=28):
    """A batch of one image."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    return Detections(
        boxes=boxes[None],
        scores=np.full((1, count), 0.5, np.float32) if scores is None else np.array([scores], np.float32),
        labels=np.zeros((1, count), np.int32) if labels is None else np.array([labels], np.int32),
        valid=np.ones((1, count), bool) if valid is None else np.array([valid]),
        masks=np.ones((1, count, side, side), np.float32) if masks is None else np.asarray(masks)[None],
    )


def first(batch):
    return Detections(*(None if field is None else field[0] for field in batch))


def test_boxes_go_back_to_original_pixels():
    # Network pixels are 2 × (x) and 4 × (y) original ones; the picture is 50 wide and 40 high.
    # (20, 40, 60, 80) → x 10…30, y 10…20: (10, 10, 20 wide, 10 high).
    # (80, 120, 120, 200) → x 40…60, y 30…50, clipped to 40…50, 30…40: (40, 30, 10, 10).
    # (104, 0, 120, 40) → x 52…60: right of the picture, dropped. The last slot is padding.
    batch = detections(
        [[20, 40, 60, 80], [80, 120, 120, 200], [104, 0, 120, 40], [20, 40, 60, 80]],
        labels=[1, 0, 0, 0],
        scores=[0.75, 0.5, 0.25, 0.125],
        valid=[True, True, True, False],
    )
    record = ImageRecord(image_id=7, height=40, width=50, scale=(2.0, 4.0))
    results = image_results(first(batch), record, (2, 17), masks=False)
    assert results == [
        {"image_id": 7, "category_id": 17, "bbox": [10, 10, 20, 10], "score": 0.75},
        {"image_id": 7, "category_id": 2, "bbox": [40, 30, 10, 10], "score": 0.5},
    ]


def test_masks_go_back_to_original_pixels():
    # Left half of the box set: x 10…20 of 10…30, y 10…20. 28 cells over 20 pixels, the 14th cell ends at x = 20.
    mask = np.zeros((1, 28, 28), np.float32)
    mask[:, :, :14] = 1
    batch = detections([[20, 40, 60, 80]], masks=mask)
    record = ImageRecord(image_id=7, height=40, width=50, scale=(2.0, 4.0))
    (result,) = image_results(first(batch), record, (2,), masks=True)
    expected = np.zeros((40, 50), bool)
    expected[10:20, 10:20] = True
    np.testing.assert_array_equal(reference_rle.decode(result["segmentation"]), expected)


@pytest.mark.parametrize("rule", ["exact", "outward", "rounded"])
def test_masks_lie_where_the_rule_says(rule):
    ground_truth = {"images": [{"id": 7, "height": 40, "width": 50}], "annotations": [], "categories": CATEGORIES}
    evaluator = CocoEvaluator(ground_truth, (2,), masks=True, paste=rule, threads=1)
    box = [10.4, 20.6, 25.7, 33.3]
    evaluator.add(detections([np.multiply(box, 2)]), [ImageRecord(7, 40, 50, (2.0, 2.0))])
    (result,) = evaluator.results()
    np.testing.assert_allclose(result["bbox"], [10.4, 20.6, 15.3, 12.7], atol=1e-5)
    place = snap(np.array([box], np.float32), 28, rule)[0]
    expected = paste_mask(np.ones((28, 28), np.float32), place, 40, 50)
    np.testing.assert_array_equal(reference_rle.decode(result["segmentation"]), expected)


@settings(max_examples=100, deadline=None)
@given(
    picture=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    start=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    size=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    seed=st.integers(0, 2**16),
    density=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_run_length_code_is_pycocotools(picture, start, size, seed, density):
    (height, width), (y, x) = picture, np.minimum(start, picture)
    rows, columns = min(size[0], height - y), min(size[1], width - x)
    mask = np.random.default_rng(seed).random((rows, columns)) < density
    full = np.zeros((height, width), bool)
    full[y : y + rows, x : x + columns] = mask
    assert encode_crop(Crop(mask, int(y), int(x)), height, width) == encode(full)


def test_soft_28_by_28_crops_of_the_truth_score_high():
    """The mask head's resolution is enough for big shapes."""
    rng = np.random.default_rng(3)
    images, annotations, batches = [], [], []
    for image_id in range(6):
        images.append({"id": image_id, "height": 240, "width": 320})
        y, x = np.mgrid[:240, :320]
        radii, centre = rng.uniform(40, 90, 2), rng.uniform(100, 140, 2)
        mask = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1
        annotations.append(annotation(image_id + 1, image_id, 2, mask))
        x0, y0, wide, high = annotations[-1]["bbox"]
        # Each cell's share of set pixels, from 8 × 8 samples in it.
        steps = (np.arange(28 * 8) + 0.5) / (28 * 8)
        samples = mask[np.ix_((y0 + steps * high).astype(int), (x0 + steps * wide).astype(int))]
        soft = samples.reshape(28, 8, 28, 8).mean((1, 3)).astype(np.float32)
        batches.append(detections([[x0, y0, x0 + wide, y0 + high]], masks=soft[None]))
    truth = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    evaluator = CocoEvaluator(truth, (2, 5), masks=True, threads=2)
    for image_id, batch in enumerate(batches):
        evaluator.add(batch, [ImageRecord(image_id, 240, 320, (1.0, 1.0))])
    figures = evaluator.evaluate()
    assert figures["bbox/AP"] == pytest.approx(1.0)
    assert figures["segm/AP"] >= 0.9


def make_evaluator(ground_truth, **arguments):
    return CocoEvaluator(ground_truth, (2, 5, 17, 90), **{"masks": True, "threads": 2, **arguments})


def test_results_come_in_the_order_of_the_images(ground_truth):
    evaluator = make_evaluator(ground_truth)
    records = [
        ImageRecord(image["id"], image["height"], image["width"], (1.0, 1.0)) for image in ground_truth["images"]
    ]
    for start in range(0, 12, 2):  # batches of 2
        one = detections([[10, 10, 60, 60], [20, 20, 90, 90]], labels=[start % 3, 1])
        batch = Detections(*(np.concatenate([field, field]) for field in one))
        evaluator.add(batch, records[start : start + 2])
    results = evaluator.results()
    assert [entry["image_id"] for entry in results] == [image["id"] for image in ground_truth["images"] for _ in "ab"]
    assert results[0]["category_id"] == 2 and results[1]["category_id"] == 5
    expected = paste_mask(np.ones((28, 28), np.float32), np.array([10, 10, 60, 60], np.float32), 120, 200)
    np.testing.assert_array_equal(reference_rle.decode(results[0]["segmentation"]), expected)


def test_images_that_fill_the_batch_are_left_out(ground_truth):
    evaluator = make_evaluator(ground_truth)
    one = detections([[10, 10, 60, 60]])
    evaluator.add(Detections(*(np.concatenate([field] * 4) for field in one)), [ImageRecord(100, 120, 200, (1.0, 1.0))])
    assert len(evaluator.results()) == 1


def test_add_does_not_wait_and_the_queue_is_bounded(ground_truth, monkeypatch):
    gate, entered = threading.Event(), []

    def blocked(image, record, category_ids, *, masks, paste):
        entered.append(record.image_id)
        gate.wait(30)
        return [{"image_id": record.image_id}]

    monkeypatch.setattr(evaluation, "image_results", blocked)
    evaluator = make_evaluator(ground_truth, threads=1)
    batch, record = detections([[10, 10, 60, 60]]), ImageRecord(100, 120, 200, (1.0, 1.0))
    for _ in range(4):  # 4 jobs per thread
        evaluator.add(batch, [record])
    assert len(entered) <= 1
    fifth = threading.Thread(target=evaluator.add, args=(batch, [record]))
    fifth.start()
    fifth.join(0.1)
    assert fifth.is_alive()
    gate.set()
    fifth.join(10)
    assert not fifth.is_alive() and len(evaluator.results()) == 5


def test_an_error_in_a_worker_surfaces(ground_truth):
    evaluator = make_evaluator(ground_truth)
    with pytest.raises(ValueError, match="label 9 has no category: category_ids has 4"):
        evaluator.add(detections([[10, 10, 60, 60]], labels=[9]), [ImageRecord(100, 120, 200, (1.0, 1.0))])
        evaluator.results()


def test_bad_input_is_named(ground_truth):
    with pytest.raises(ValueError, match=r"category_ids \[3\] are not among"):
        CocoEvaluator(ground_truth, (2, 3), masks=True)
    record = ImageRecord(100, 120, 200, (1.0, 1.0))
    with pytest.raises(ValueError, match="2 records for a batch of 1"):
        make_evaluator(ground_truth).add(detections([[10, 10, 60, 60]]), [record, record])
    with pytest.raises(ValueError, match="masks=False"):
        make_evaluator(ground_truth).add(detections([[10, 10, 60, 60]])._replace(masks=None), [record])


def test_write_leaves_both_files(ground_truth, tmp_path):
    evaluator = make_evaluator(ground_truth)
    evaluator.add(detections([[10, 10, 60, 60]]), [ImageRecord(100, 120, 200, (1.0, 1.0))])
    figures = evaluator.write(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == figures == evaluator.evaluate()
    assert json.loads((tmp_path / "run" / "detections.json").read_text()) == evaluator.results()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["detections.json", "metrics.json"]


def test_an_evaluator_without_detections_scores_zero(ground_truth):
    assert make_evaluator(ground_truth).evaluate()["segm/AP"] == 0
