"""Checkpoints as Detectron2's model zoo has them, key by key, with random values."""

import pickle
from pathlib import Path

import numpy as np

Shapes = dict[str, tuple[int, ...]]

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)


def conv(found: Shapes, name: str, size: int, inputs: int, outputs: int, norm: str = "") -> None:
    """A convolution with the norm inside it, and with a bias if there is none."""
    found[f"{name}.weight"] = (outputs, inputs, size, size)
    if norm == "":
        found[f"{name}.bias"] = (outputs,)
        return
    found[f"{name}.norm.weight"] = (outputs,)
    found[f"{name}.norm.bias"] = (outputs,)
    if norm == "BN":
        found[f"{name}.norm.running_mean"] = (outputs,)
        found[f"{name}.norm.running_var"] = (outputs,)


def linear(found: Shapes, name: str, inputs: int, outputs: int) -> None:
    found[f"{name}.weight"] = (outputs, inputs)
    found[f"{name}.bias"] = (outputs,)


def resnet(found: Shapes, prefix: str, blocks: tuple[int, ...], width: int, inner: int, groups: int, norm: str) -> None:
    """The published ones have width 64, inner 64 and groups 1, or 256 and 32."""
    conv(found, f"{prefix}stem.conv1", 7, 3, width, norm)
    inputs = width
    for stage, count in zip((2, 3, 4, 5), blocks, strict=True):
        outputs, between = 4 * width * 2 ** (stage - 2), inner * 2 ** (stage - 2)
        for block in range(count):
            name = f"{prefix}res{stage}.{block}"
            if block == 0:
                conv(found, f"{name}.shortcut", 1, inputs, outputs, norm)
            conv(found, f"{name}.conv1", 1, inputs, between, norm)
            conv(found, f"{name}.conv2", 3, between // groups, between, norm)
            conv(found, f"{name}.conv3", 1, between, outputs, norm)
            inputs = outputs


def detector(
    blocks: tuple[int, ...] = R50,
    width: int = 64,
    inner: int = 64,
    groups: int = 1,
    pyramid: int = 256,
    fc: int = 1024,
    classes: int = 80,
    masks: bool = True,
    backbone_norm: str = "BN",
    norm: str = "",
    rpn_convs: int = 1,
    box_convs: int = 0,
    fcs: int = 2,
) -> Shapes:
    """Faster or Mask R-CNN with FPN; `norm` is that of the pyramid and of the heads' convolutions."""
    found: Shapes = {}
    for stage in (2, 3, 4, 5):
        conv(found, f"backbone.fpn_lateral{stage}", 1, 4 * width * 2 ** (stage - 2), pyramid, norm)
        conv(found, f"backbone.fpn_output{stage}", 3, pyramid, pyramid, norm)
    resnet(found, "backbone.bottom_up.", blocks, width, inner, groups, backbone_norm)
    if rpn_convs == 1:
        conv(found, "proposal_generator.rpn_head.conv", 3, pyramid, pyramid)
    else:
        conv(found, "proposal_generator.rpn_head.conv.conv0", 3, pyramid, pyramid)
        conv(found, "proposal_generator.rpn_head.conv.conv1", 3, pyramid, pyramid)
    conv(found, "proposal_generator.rpn_head.objectness_logits", 1, pyramid, 3)
    conv(found, "proposal_generator.rpn_head.anchor_deltas", 1, pyramid, 12)
    for i in range(box_convs):
        conv(found, f"roi_heads.box_head.conv{i + 1}", 3, pyramid, pyramid, norm)
    linear(found, "roi_heads.box_head.fc1", pyramid * 7 * 7, fc)
    if fcs == 2:
        linear(found, "roi_heads.box_head.fc2", fc, fc)
    linear(found, "roi_heads.box_predictor.cls_score", fc, classes + 1)
    linear(found, "roi_heads.box_predictor.bbox_pred", fc, 4 * classes)
    if masks:
        for i in (1, 2, 3, 4):
            conv(found, f"roi_heads.mask_head.mask_fcn{i}", 3, pyramid, pyramid, norm)
        found["roi_heads.mask_head.deconv.weight"] = (pyramid, pyramid, 2, 2)  # inputs, outputs
        found["roi_heads.mask_head.deconv.bias"] = (pyramid,)
        conv(found, "roi_heads.mask_head.predictor", 1, pyramid, classes)
    return found


LSJ = {"norm": "BN", "rpn_convs": 2, "box_convs": 4, "fcs": 1}
"""What the "new baselines" have more than the old ones."""

SMALL = {"width": 8, "inner": 8, "pyramid": 16, "fc": 32, "classes": 3}
"""Fast in NumPy."""

BUFFERS: Shapes = {
    "pixel_mean": (3, 1, 1),
    "pixel_std": (3, 1, 1),
    "proposal_generator.anchor_generator.cell_anchors.0": (3, 4),
    "anchor_generator.cell_anchors.4": (3, 4),
    "backbone.bottom_up.res2.0.conv1.norm.num_batches_tracked": (),
}
"""What files have besides weights: buffers of old detectors, the counters of synchronised batch norm."""


def caffe2_resnet(blocks: tuple[int, ...], width: int, statistics: tuple[str, ...]) -> Shapes:
    """A backbone in Caffe2's names; a norm's `statistics` are "s" and "b" if folded, else "rm" and "riv", too."""
    found: Shapes = {
        "conv1_w": (width, 3, 7, 7),
        "conv1_b": (width,),
        "fc1000_w": (1000, 32 * width),
        "fc1000_b": (1000,),
    }
    found |= {f"res_conv1_bn_{s}": (width,) for s in statistics}
    inputs = width
    for stage, count in zip((2, 3, 4, 5), blocks, strict=True):
        inner = width * 2 ** (stage - 2)
        for block in range(count):
            name = f"res{stage}_{block}_branch"
            layers = {"2a": (inner, inputs, 1, 1), "2b": (inner, inner, 3, 3), "2c": (4 * inner, inner, 1, 1)}
            if block == 0:
                layers["1"] = (4 * inner, inputs, 1, 1)
            for branch, shape in layers.items():
                found[f"{name}{branch}_w"] = shape
                found |= {f"{name}{branch}_bn_{s}": shape[:1] for s in statistics}
            inputs = 4 * inner
    return found


SCALE = {
    "stem.conv1": 1 / 60,
    "objectness_logits": 0.5,
    "anchor_deltas": 0.1,
    "cls_score": 3.0,
    "bbox_pred": 1.0,
}
"""Of layers whose inputs are pixels, or whose outputs are probabilities or boxes."""


def random_arrays(rng: np.random.Generator, shapes: Shapes) -> dict[str, np.ndarray]:
    """Values that keep a network lively: signals neither vanish nor grow, and no two norms are alike."""

    def one(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) > 1:
            factor = next((value for layer, value in SCALE.items() if f"{layer}." in name), 1.0)
            inputs = shape[0] if "deconv" in name else np.prod(shape[1:])
            return rng.normal(0, factor * np.sqrt(2 / inputs), shape)
        if name.endswith(("norm.weight", "bn_s")):
            return rng.uniform(0.4, 0.8, shape)
        return rng.uniform(0.7, 1.4, shape) if name.endswith(("var", "riv")) else rng.uniform(-0.2, 0.2, shape)

    return {name: one(name, shape).astype(np.float32) for name, shape in shapes.items()}


def write(path: Path, arrays: dict[str, np.ndarray], **more: object) -> None:
    """As the model zoo does: a pickle of a dict of NumPy arrays under "model"."""
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo", **more}, protocol=2))
