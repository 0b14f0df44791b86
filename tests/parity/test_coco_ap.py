"""AP of a torchvision model: by torchvision and pycocotools, and by `evaluate`, from the same state dict."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from conftest import COCO_MINI, read_image, to_torch
from faster_coco_eval import COCO as ReadCOCO
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

import maskrcnn_jax as mr
from maskrcnn_jax.config import CocoSource, Config, DataConfig
from maskrcnn_jax.data.prepare.run import prepare
from maskrcnn_jax.distributed.mesh import data_mesh
from maskrcnn_jax.evaluation import run as evaluate_script

LEARNED = (216794, 525891, 213148, 165518, 359219, 519208, 403353, 377575)
"""Images with few, large objects of classes that are rare in the others."""
STEPS = 150
SIZES = {"min_size": 192, "max_size": 320}
CANVAS = 320
"""Both sides pad every image to this square, which compiles once."""

# pycocotools' own.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 51 images as one split."""
    out = tmp_path_factory.mktemp("coco")
    (out / "annotations").mkdir()
    (out / "val2017").mkdir()
    merged: dict[str, list] = {"images": [], "annotations": []}
    for split in ("train2017", "val2017"):
        content = json.loads((COCO_MINI / "annotations" / f"instances_{split}.json").read_text())
        for key in merged:
            merged[key] += content[key]
        for path in (COCO_MINI / split).iterdir():
            (out / "val2017" / path.name).symlink_to(path)
    assert len(merged["images"]) == 51
    content = merged | {"categories": content["categories"]}
    (out / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    return out


def small_model() -> MaskRCNN:
    """ResNet-18 with group norm and a narrow pyramid: it overfits a few images within a minute."""
    body = torchvision.models.resnet18(weights=None, norm_layer=partial(nn.GroupNorm, 32))
    backbone = BackboneWithFPN(body, {f"layer{i + 1}": str(i) for i in range(4)}, [64, 128, 256, 512], 64)
    heads = {
        "box_head": TwoMLPHead(64 * 7**2, 256),
        "box_predictor": FastRCNNPredictor(256, 91),
        "mask_head": MaskRCNNHeads(64, (64, 64), 1),
        "mask_predictor": MaskRCNNPredictor(64, 64, 91),
    }
    counts = {"rpn_post_nms_top_n_train": 200, "rpn_post_nms_top_n_test": 200, "box_batch_size_per_image": 64}
    return MaskRCNN(backbone, **heads, **counts, **SIZES)


def learn(model: MaskRCNN, truth: ReadCOCO) -> None:
    """Overfits the images."""
    images, targets = [], []
    for number in LEARNED:
        found = truth.imgToAnns[number]
        boxes = torch.tensor([entry["bbox"] for entry in found])
        boxes[:, 2:] += boxes[:, :2]
        masks = np.stack([truth.annToMask(entry) for entry in found])
        labels = torch.tensor([entry["category_id"] for entry in found])
        images.append(to_torch(read_image(number)))
        targets.append({"boxes": boxes, "labels": labels, "masks": torch.from_numpy(masks)})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=STEPS, pct_start=0.1)
    order = np.random.default_rng(0)
    model.train()
    for step in range(STEPS):
        if step % 4 == 0:
            shuffled = order.permutation(len(images))
        pair = shuffled[step % 4 * 2 :][:2]
        losses = model([images[i] for i in pair], [targets[i] for i in pair])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 24:
            print(step + 1, {name: round(float(value.detach()), 3) for name, value in losses.items()})
    model.eval()


def torchvision_metrics(model: MaskRCNN, annotations: Path) -> dict[str, float]:
    """AP as torchvision's reference scripts compute it."""
    truth = COCO(str(annotations))
    boxes, masks = [], []
    for number in truth.imgs:
        with torch.no_grad():
            found = model([to_torch(read_image(number))])[0]
        for box, score, label, mask in zip(*(found[k] for k in ("boxes", "scores", "labels", "masks")), strict=True):
            x0, y0, x1, y1 = box.tolist()
            entry = {"image_id": number, "category_id": int(label), "score": float(score)}
            boxes.append(entry | {"bbox": [x0, y0, x1 - x0, y1 - y0]})
            masks.append(entry | {"segmentation": rle.encode(np.asfortranarray(mask[0].numpy() > 0.5).view(np.uint8))})
    metrics = {}
    for kind, results in (("bbox", boxes), ("segm", masks)):
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        metrics |= {f"{kind}/{name}": evaluation.stats[i] for i, name in enumerate(("AP", "AP50", "AP75"))}
    return metrics


def test_ap_equals_torchvisions(folder: Path, tmp_path: Path):
    torch.manual_seed(0)
    theirs, annotations = small_model(), folder / "annotations" / "instances_val2017.json"
    learn(theirs, ReadCOCO(str(annotations)))
    theirs.transform.size_divisible = CANVAS
    expected = torchvision_metrics(theirs, annotations)

    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    # The images are links to those of the sample.
    assert prepare(folder, tmp_path / "prepared", outside_images=True).counts == {"val": 51}
    config = mr.load_pretrained(tmp_path / "model.pth").config
    proposals = dataclasses.replace(config.rpn.proposals, count=200)
    config = dataclasses.replace(
        config,
        input=dataclasses.replace(
            config.input,
            shortest_edge=SIZES["min_size"],
            longest_edge=SIZES["max_size"],
            buckets=((CANVAS, CANVAS),),
        ),
        rpn=dataclasses.replace(config.rpn, proposals=proposals),
    )
    source = CocoSource(tmp_path / "prepared", "val", keep_empty=True)
    experiment = Config(model=config, data=DataConfig(validation=source, validation_batch_size=1, threads=1))
    ours = mr.load_pretrained(tmp_path / "model.pth", config=config)
    found = evaluate_script.evaluate(ours, source.open(), experiment, tmp_path, data_mesh())
    for name, value in expected.items():
        print(f"{name}: torchvision {value:.5f}, here {found[name]:.5f}")
    for name, value in expected.items():
        assert abs(found[name] - value) < 0.002
    assert expected["bbox/AP"] > 0.02 and expected["segm/AP"] > 0.02
