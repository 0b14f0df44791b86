"""A Matterport checkpoint with random values, written key by key as Keras 2 writes it."""

from pathlib import Path

import h5py
import numpy as np

BLOCKS = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}
BLOCKS_OF_101 = BLOCKS | {4: "abcdefghijklmnopqrstuvw"}


def layers(
    blocks: dict[int, str], classes: int, width: int, pyramid: int, rpn: int, fc: int, mask: int
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes by layer and weight; `classes` counts background. The published file has 81, 64, 256, 512, 1024, 256."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}

    def conv(name: str, size: int, inputs: int, outputs: int) -> None:
        found[name] = {"kernel": (size, size, inputs, outputs), "bias": (outputs,)}

    def dense(name: str, inputs: int, outputs: int) -> None:
        found[name] = {"kernel": (inputs, outputs), "bias": (outputs,)}

    def norm(name: str, channels: int) -> None:
        found[name] = {part: (channels,) for part in ("gamma", "beta", "moving_mean", "moving_variance")}

    conv("conv1", 7, 3, width)
    norm("bn_conv1", width)
    inputs = width
    for stage, inner in ((2, width), (3, 2 * width), (4, 4 * width), (5, 8 * width)):
        for block in blocks[stage]:
            conv(f"res{stage}{block}_branch2a", 1, inputs, inner)
            norm(f"bn{stage}{block}_branch2a", inner)
            conv(f"res{stage}{block}_branch2b", 3, inner, inner)
            norm(f"bn{stage}{block}_branch2b", inner)
            conv(f"res{stage}{block}_branch2c", 1, inner, 4 * inner)
            norm(f"bn{stage}{block}_branch2c", 4 * inner)
            if block == "a":
                conv(f"res{stage}a_branch1", 1, inputs, 4 * inner)
                norm(f"bn{stage}a_branch1", 4 * inner)
            inputs = 4 * inner
    conv("fpn_c5p5", 1, 32 * width, pyramid)
    conv("fpn_c4p4", 1, 16 * width, pyramid)
    conv("fpn_c3p3", 1, 8 * width, pyramid)
    conv("fpn_c2p2", 1, 4 * width, pyramid)
    conv("fpn_p5", 3, pyramid, pyramid)
    conv("fpn_p4", 3, pyramid, pyramid)
    conv("fpn_p3", 3, pyramid, pyramid)
    conv("fpn_p2", 3, pyramid, pyramid)
    conv("rpn_conv_shared", 3, pyramid, rpn)
    conv("rpn_class_raw", 1, rpn, 6)
    conv("rpn_bbox_pred", 1, rpn, 12)
    conv("mrcnn_class_conv1", 7, pyramid, fc)
    norm("mrcnn_class_bn1", fc)
    conv("mrcnn_class_conv2", 1, fc, fc)
    norm("mrcnn_class_bn2", fc)
    dense("mrcnn_class_logits", fc, classes)
    dense("mrcnn_bbox_fc", fc, 4 * classes)
    inputs = pyramid
    for i in (1, 2, 3, 4):
        conv(f"mrcnn_mask_conv{i}", 3, inputs, mask)
        norm(f"mrcnn_mask_bn{i}", mask)
        inputs = mask
    found["mrcnn_mask_deconv"] = {"kernel": (2, 2, mask, mask), "bias": (mask,)}  # 2, 2, outputs, inputs
    conv("mrcnn_mask", 1, mask, classes)
    return found


def shapes_by_name(found: dict[str, dict[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    return {f"{layer}/{weight}": shape for layer, weights in found.items() for weight, shape in weights.items()}


SCALE = {
    "conv1": 1 / 60,
    "fpn_p3": 1.5,
    "fpn_p4": 3.0,
    "fpn_p5": 8.0,
    "rpn_class_raw": 0.5,
    "rpn_bbox_pred": 0.5,
    "mrcnn_class_logits": 3.0,
    "mrcnn_bbox_fc": 0.5,
}
"""Of layers whose inputs are pixels, or whose outputs are probabilities or boxes; all levels have good anchors."""


def random_arrays(rng: np.random.Generator, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Values that keep a network lively: signals neither vanish nor grow, and no two norms are alike."""

    def one(name: str, shape: tuple[int, ...]) -> np.ndarray:
        layer, weight = name.split("/")
        if weight == "kernel":
            inputs = shape[3] if layer == "mrcnn_mask_deconv" else np.prod(shape[:-1])
            return rng.normal(0, SCALE.get(layer, 1) * np.sqrt(2 / inputs), shape)
        low, high = {"gamma": (0.4, 0.8), "moving_variance": (0.7, 1.4)}.get(weight, (-0.2, 0.2))
        return rng.uniform(low, high, shape)

    return {name: one(name, shape).astype(np.float32) for name, shape in shapes.items()}


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As `model.save_weights` of Keras 2: one group per layer, those of the RPN in the group of its own model."""
    with h5py.File(path, "w") as file:
        for layer in ("input_image", "fpn_p6", "mrcnn_bbox", "ROI"):  # layers without weights have groups, too
            file.create_group(layer).attrs["weight_names"] = np.array([], "S1")
        for name, array in arrays.items():
            layer, weight = name.split("/")
            group = "rpn_model" if layer.startswith("rpn_") else layer
            file.create_dataset(f"{group}/{layer}/{weight}:0", data=array)
        file.attrs["layer_names"] = [layer.encode() for layer in file]
        for layer in file:
            inside = [name.encode() for name in arrays if file[layer].get(f"{name}:0") is not None]
            file[layer].attrs["weight_names"] = np.array(inside, "S64")
