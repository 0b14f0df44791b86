"""AP equals pycocotools', perfect detections score 1, and the evaluator keeps order while its worker works."""

import contextlib
import io
import json
import threading

import jax
import numpy as np
import pytest
from coco_examples import CATEGORIES, annotation, detections, ellipse, encode
from pycocotools import mask as reference_rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation import coco as evaluation
from maskrcnn_jax.evaluation.coco import METRICS, CocoEvaluator, coco_metrics, label_categories, write_evaluation
from maskrcnn_jax.masks.paste import paste_mask
from maskrcnn_jax.structs import ImageRecord

# pycocotools.mask.decode, under NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def ground_truth():
    """12 images with up to 6 ellipses of 3 classes, some crowds; none has class "rat"."""
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
    metrics = {f"{kind}/{name}": value for name, value in zip(METRICS, scorer.stats, strict=True)}
    for index, category_id in enumerate(scorer.params.catIds):
        (name,) = [category["name"] for category in ground_truth["categories"] if category["id"] == category_id]
        values = scorer.eval["precision"][:, :, index, 0, -1]
        metrics[f"{kind}/AP/{name}"] = values[values > -1].mean() if (values > -1).any() else -1
    return metrics


@pytest.mark.parametrize("digits", [6, 1])
def test_metrics_equal_pycocotools(ground_truth, digits):
    """With scores rounded to one digit there are many ties."""
    results = noisy(ground_truth, digits)
    metrics = coco_metrics(ground_truth, results, masks=True)
    expected = reference_metrics(ground_truth, results, "bbox") | reference_metrics(ground_truth, results, "segm")
    assert metrics.keys() == expected.keys()
    assert 0.05 < metrics["segm/AP"] < 0.9
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, abs=1e-12), name


def test_perfect_knowledge_scores_one(ground_truth):
    metrics = coco_metrics(ground_truth, perfect(ground_truth), masks=True)
    for kind in ("bbox", "segm"):
        for name in ("AP", "AP50", "AP75", "AP/cat", "AP/dog", "AP/owl", "AR100"):
            assert metrics[f"{kind}/{name}"] == pytest.approx(1.0, abs=1e-12)
        assert metrics[f"{kind}/AP/rat"] == -1  # no object of this class


def test_scoring_leaves_its_input_alone(ground_truth):
    results = noisy(ground_truth, 3)
    before = json.dumps([ground_truth, results])
    coco_metrics(ground_truth, results, masks=True)
    assert json.dumps([ground_truth, results]) == before


def test_annotations_of_other_images_do_not_count(ground_truth):
    few = {**ground_truth, "images": ground_truth["images"][:5]}
    kept = {image["id"] for image in few["images"]}
    results = [entry for entry in noisy(ground_truth, 3) if entry["image_id"] in kept]
    own = {**few, "annotations": [entry for entry in few["annotations"] if entry["image_id"] in kept]}
    assert 0 < len(own["annotations"]) < len(few["annotations"])
    metrics = coco_metrics(few, results, masks=True)
    assert metrics == coco_metrics(own, results, masks=True)
    assert metrics["bbox/AP"] > 0


def test_a_ground_truth_without_categories_is_named(ground_truth):
    with pytest.raises(ValueError, match="no categories"):
        coco_metrics({**ground_truth, "categories": []}, [], masks=True)


def test_no_detections_score_zero(ground_truth):
    metrics = coco_metrics(ground_truth, [], masks=True)
    assert metrics["bbox/AP"] == metrics["segm/AP"] == metrics["segm/AP/cat"] == 0
    assert metrics["bbox/AR100"] == 0


def test_a_data_set_without_objects_has_no_metrics(ground_truth):
    empty = {**ground_truth, "annotations": []}
    metrics = coco_metrics(empty, perfect(ground_truth), masks=True)
    assert set(metrics.values()) == {-1.0}


def test_without_masks_only_boxes_are_scored(ground_truth):
    results = [{key: entry[key] for key in entry if key != "segmentation"} for entry in perfect(ground_truth)]
    metrics = coco_metrics(ground_truth, results, masks=False)
    assert metrics["bbox/AP"] == pytest.approx(1.0)
    assert not any(name.startswith("segm") for name in metrics)


@pytest.mark.parametrize(("key", "value"), [("image_id", 999), ("category_id", 3)])
def test_results_of_another_data_set_are_named(ground_truth, key, value):
    results = [{**perfect(ground_truth)[0], key: value}]
    with pytest.raises(ValueError, match=rf"results have {key} \[{value}\]"):
        coco_metrics(ground_truth, results, masks=True)


def make_evaluator(ground_truth):
    return CocoEvaluator(ground_truth, (2, 5, 17, 90), masks=True)


def test_results_come_in_the_order_of_the_images(ground_truth):
    evaluator = make_evaluator(ground_truth)
    records = [
        ImageRecord(image["id"], image["height"], image["width"], (1.0, 1.0)) for image in ground_truth["images"]
    ]
    for start in range(0, 12, 2):  # batches of 2
        one = detections([[10, 10, 60, 60], [20, 20, 90, 90]], labels=[start % 3, 1])
        batch = jax.tree.map(lambda field: np.concatenate([field, field]), one)
        evaluator.add(batch, records[start : start + 2])
    results = evaluator.results()
    assert [entry["image_id"] for entry in results] == [image["id"] for image in ground_truth["images"] for _ in "ab"]
    assert results[0]["category_id"] == 2 and results[1]["category_id"] == 5
    expected = paste_mask(np.ones((28, 28), np.float32), np.array([10, 10, 60, 60], np.float32), 120, 200)
    np.testing.assert_array_equal(reference_rle.decode(results[0]["segmentation"]), expected)


def test_images_that_fill_the_batch_are_left_out(ground_truth):
    evaluator = make_evaluator(ground_truth)
    one = detections([[10, 10, 60, 60]])
    batch = jax.tree.map(lambda field: np.concatenate([field] * 4), one)
    evaluator.add(batch, [ImageRecord(100, 120, 200, (1.0, 1.0))])
    assert len(evaluator.results()) == 1


def test_labels_find_their_categories_by_name():
    data = (("cat", "dog", "owl"), (2, 5, 17))
    assert label_categories(("owl", "N/A", "cat", "N/A"), *data) == (17, None, 2, None)
    assert label_categories((), *data) == (2, 5, 17)


def test_labels_without_category_are_left_out(ground_truth):
    evaluator = CocoEvaluator(ground_truth, (17, None, 2), masks=True)
    boxes = [[10, 10, 60, 60], [20, 20, 90, 90], [30, 30, 70, 70]]
    evaluator.add(detections(boxes, labels=[2, 1, 0]), [ImageRecord(100, 120, 200, (1.0, 1.0))])
    assert [(entry["category_id"], entry["bbox"][0]) for entry in evaluator.results()] == [(2, 10), (17, 30)]
    evaluator.evaluate()


def test_add_does_not_wait_and_the_queue_is_bounded(ground_truth, monkeypatch):
    gate, entered = threading.Event(), []

    def blocked(*_, **__):
        entered.append(record.image_id)
        gate.wait(30)
        return [{"image_id": record.image_id}]

    monkeypatch.setattr(evaluation, "image_results", blocked)
    evaluator = make_evaluator(ground_truth)
    batch, record = detections([[10, 10, 60, 60]]), ImageRecord(100, 120, 200, (1.0, 1.0))
    for _ in range(evaluation.AHEAD):
        evaluator.add(batch, [record])
    assert len(entered) <= 1
    another = threading.Thread(target=evaluator.add, args=(batch, [record]))
    another.start()
    another.join(0.1)
    assert another.is_alive()
    gate.set()
    another.join(10)
    assert not another.is_alive() and len(evaluator.results()) == evaluation.AHEAD + 1


def test_an_error_in_the_worker_surfaces(ground_truth):
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
    evaluator.add(detections([[10, 10, 60, 60], [20, 20, 90, 90]]), [ImageRecord(100, 120, 200, (1.0, 1.0))])
    metrics = evaluator.evaluate()
    write_evaluation(tmp_path / "run", evaluator.results(), metrics)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    assert json.loads((tmp_path / "run" / "detections.json").read_text()) == evaluator.results()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["detections.json", "metrics.json"]
    write_evaluation(tmp_path / "run", [], metrics)
    assert json.loads((tmp_path / "run" / "detections.json").read_text()) == []


def test_an_evaluator_without_detections_scores_zero(ground_truth):
    assert make_evaluator(ground_truth).evaluate()["segm/AP"] == 0
