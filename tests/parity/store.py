"""Writes torchvision's results for small arrays, for the tests that run without torch: tests/stored/torchvision.npz.

    python tests/parity/store.py       # in the environment of `make parity`

tests/checkpoints/test_stored_torchvision.py says what each array is compared with.
"""

from pathlib import Path

import lively
import numpy as np
import torch
import torchvision_trace
from torch import nn
from torchvision.models.detection import MaskRCNN, _utils
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import paste_masks_in_image, project_masks_on_boxes
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.ops import FrozenBatchNorm2d, box_iou, nms, roi_align

OUT = Path(__file__).parents[1] / "stored" / "torchvision.npz"
WIDTH, CHANNELS, CLASSES = 4, 8, 12
Arrays = dict[str, np.ndarray]


class NarrowResNet(ResNet):
    """ResNet-18 of a few channels."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation, self.groups, self.base_width = (
            FrozenBatchNorm2d,
            WIDTH,
            1,
            1,
            64,
        )
        self.conv1 = nn.Conv2d(3, WIDTH, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = FrozenBatchNorm2d(WIDTH), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._make_layer(BasicBlock, WIDTH, 2)
        self.layer2, self.layer3, self.layer4 = (self._make_layer(BasicBlock, WIDTH * 2**i, 2, 2) for i in (1, 2, 3))


def tiny_model() -> MaskRCNN:
    levels = {f"layer{i + 1}": str(i) for i in range(4)}
    backbone = BackboneWithFPN(NarrowResNet(), levels, [WIDTH * 2**i for i in range(4)], CHANNELS)
    return MaskRCNN(
        backbone,
        box_head=TwoMLPHead(CHANNELS * 7**2, 16),
        box_predictor=FastRCNNPredictor(16, CLASSES),
        mask_head=MaskRCNNHeads(CHANNELS, (CHANNELS, CHANNELS), 1),
        mask_predictor=MaskRCNNPredictor(CHANNELS, CHANNELS, CLASSES),
        min_size=96,
        max_size=160,
        rpn_pre_nms_top_n_test=60,
        rpn_post_nms_top_n_test=50,
        box_detections_per_img=10,
    )


def random_boxes(rng: np.random.Generator, count: int, side: float) -> np.ndarray:
    corners = rng.uniform(0, side, (count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)


def boxes_and_anchors(rng: np.random.Generator) -> Arrays:
    anchors, boxes = random_boxes(rng, 20, 100), random_boxes(rng, 20, 100)
    deltas = rng.normal(0, 2, (20, 4)).astype(np.float32)  # some above the maximum of log(1000 / 16)
    coder = _utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
    tensors = torch.from_numpy(anchors), torch.from_numpy(boxes)
    capped = torch.from_numpy(deltas * 5)
    generator = AnchorGenerator(tuple((s,) for s in (32, 64, 128, 256, 512)), ((0.5, 1.0, 2.0),) * 5)
    # P6 of 3 × 5 cells is 2 × 3: 32 // 1 … the strides are 96 // 2 = 48 and 160 // 3 = 53.
    features = [torch.zeros(1, 1, *size) for size in ((24, 40), (12, 20), (6, 10), (3, 5), (2, 3))]
    return {
        "coder/anchors": anchors,
        "coder/boxes": boxes,
        "coder/encoded": coder.encode([tensors[1]], [tensors[0]])[0].numpy(),
        "coder/deltas": deltas * 5,
        "coder/decoded": coder.decode(capped, [tensors[0]])[:, 0].numpy(),
        "anchors": generator(ImageList(torch.zeros(1, 3, 96, 160), [(96, 160)]), features)[0].numpy(),
    }


def matching_and_suppression(rng: np.random.Generator) -> Arrays:
    truth, boxes = random_boxes(rng, 6, 100), random_boxes(rng, 150, 100)
    boxes[:12] = np.repeat(truth, 2, axis=0) + rng.uniform(-4, 4, (12, 4)).astype(np.float32)
    iou = box_iou(torch.from_numpy(truth), torch.from_numpy(boxes))
    scores = rng.permutation(150).astype(np.float32)
    return {
        "match/truth": truth,
        "match/boxes": boxes,
        "match/rpn": _utils.Matcher(0.7, 0.3, allow_low_quality_matches=True)(iou).numpy(),
        "match/box": _utils.Matcher(0.5, 0.5, allow_low_quality_matches=False)(iou).numpy(),
        "nms/scores": scores,
        "nms/kept": nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.4).numpy(),
    }


def pooling(rng: np.random.Generator) -> Arrays:
    features = rng.normal(size=(14, 17, 3)).astype(np.float32)
    boxes = np.concatenate([random_boxes(rng, 12, 140), [[3, 4, 3.5, 4.2], [-30, 20, 30, 200]]]).astype(np.float32)
    tensor = torch.from_numpy(features).permute(2, 0, 1)[None]
    pooled = {
        f"roi_align/{ratio}/{aligned}": roi_align(
            tensor, [torch.from_numpy(boxes)], 5, 1 / 8, ratio, aligned
        ).permute(0, 2, 3, 1).numpy()
        for ratio in (2, 0)
        for aligned in (False, True)
    }  # fmt: skip
    return {"roi_align/features": features, "roi_align/boxes": boxes} | pooled


def masks(rng: np.random.Generator) -> Arrays:
    probabilities = torch.from_numpy(rng.uniform(size=(8, 28, 28)).astype(np.float32))
    smooth = torch.nn.functional.avg_pool2d(probabilities[:, None], 9, 1, 4)
    boxes = random_boxes(rng, 8, 60)
    boxes[:2] += (-8, -5, 20, 12)  # out of the image
    pasted = paste_masks_in_image(smooth, torch.from_numpy(boxes), (50, 64))[:, 0] > 0.5
    truth = np.zeros((2, 61, 61), np.uint8)
    truth[0, 5:40, 12:50] = 1
    truth[1, 20:, 30:] = rng.integers(0, 2, (41, 31))
    rois = random_boxes(rng, 10, 60)
    index = torch.arange(10) % 2
    targets = project_masks_on_boxes(torch.from_numpy(truth), torch.from_numpy(rois), index, 14)
    return {
        "paste/masks": smooth[:, 0].numpy().astype(np.float32),
        "paste/boxes": boxes,
        "paste/pasted": np.packbits(pasted.numpy()),
        "mask_targets/masks": truth,
        "mask_targets/rois": rois,
        "mask_targets/targets": targets.numpy(),
    }


def resizing(rng: np.random.Generator) -> Arrays:
    wide, small = (rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((3, 1500), (17, 23)))
    resized = [
        torch.nn.functional.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None].float(), size, mode="bilinear")[
            0
        ]
        for image, size in ((wide, (2, 1333)), (small, (31, 42)))
    ]
    names = ("resize/wide", "resize/small")
    images = dict(zip(names, (wide, small), strict=True))
    return images | {f"{n}/resized": r.permute(1, 2, 0).numpy() for n, r in zip(names, resized, strict=True)}


def whole_model(rng: np.random.Generator) -> Arrays:
    noise = torch.from_numpy(rng.uniform(size=(3, 12, 15)).astype(np.float32))[None]
    smooth = torch.nn.functional.interpolate(noise, (70, 90), mode="bilinear")[0]
    image = (smooth * 255).byte().permute(1, 2, 0).numpy()
    tensor = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    model = lively.lively(tiny_model, [tensor], background=1.0)
    with torch.no_grad():  # half the size; the computation uses the stored values
        for value in model.state_dict().values():
            value.copy_(value.half())
    trace, result, _, _ = torchvision_trace.run(model, tensor)
    stored = {
        **{f"P{i + 2}": feature for i, feature in enumerate(trace.features)},
        "objectness": trace.rpn.logits,
        "deltas": trace.rpn.deltas,
        "proposals": trace.proposals.boxes,
        "logits": trace.box.logits,
        "box_deltas": trace.box.deltas,
        "probabilities": trace.detections.masks,
        "boxes": result["boxes"],
        "scores": result["scores"],
        "labels": result["labels"] - 1,
        "masks": np.packbits(result["masks"][:, 0] > 0.5),
    }
    weights = {f"weights/{name}": value.numpy().astype(np.float16) for name, value in model.state_dict().items()}
    return {"model/image": image} | {f"model/{name}": value for name, value in (stored | weights).items()}


def main() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    for part in (boxes_and_anchors, matching_and_suppression, pooling, masks, resizing, whole_model):
        arrays |= part(rng)
    OUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(OUT, **arrays)
    found = len(arrays["model/scores"])
    print(f"{OUT.name}: {len(arrays)} arrays, {OUT.stat().st_size / 1000:.0f} kB; the model found {found} objects")


if __name__ == "__main__":
    main()
