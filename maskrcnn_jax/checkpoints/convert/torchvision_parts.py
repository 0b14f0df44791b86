"""The parts of the Python file beside an exported state dict, as text: what every file has, and what torchvision lacks.

Words in capitals are replaced by the model's values.
"""

from maskrcnn_jax.checkpoints.convert.parts import fpn, resnet
from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS
from maskrcnn_jax.config import ModelConfig

HEADER = '''\
"""A detector that maskrcnn_jax trained, as a model of torchvision. Its weights lie beside this file.

    model = load_model()
    [found] = model([image])    # [3, height, width] float RGB in [0, 1]
    [CATEGORIES[label] for label in found["labels"]]
"""
'''

IMPORTS = """\
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import LevelMapper
"""
"""Imports of a file; unused ones are left out."""

LOAD = '''\
def load_model(path=Path(__file__).with_name(WEIGHTS)):
    """The model with its weights, ready for prediction."""
    model = build_model()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()
'''

NARROW_RESNET = '''\
class NarrowResNet(ResNet):
    """A ResNet with STEM instead of 64 channels after the stem, and all others in proportion."""

    def __init__(self, block, layers, norm_layer, **options):
        super().__init__(block, layers, norm_layer=norm_layer, **options)
        self.conv1 = nn.Conv2d(3, STEM, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(STEM)

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        if planes == 64:
            self.inplanes = STEM
        return super()._make_layer(block, planes * STEM // 64, blocks, stride, dilate)
'''

GROUP_NORM = '''\
def group_norm(eps):
    """Group norm of 32 groups, or one per channel if there are fewer channels."""
    return lambda channels: nn.GroupNorm(min(32, channels), channels, eps)
'''

ANCHORS = '''\
class Anchors(AnchorGenerator):
    """Anchors where maskrcnn_jax has them."""
'''

EXACT_SIDES = """
    def generate_anchors(self, scales, aspect_ratios, dtype=torch.float32, device="cpu"):
        root = torch.tensor(aspect_ratios, dtype=torch.float64, device=device).sqrt()
        sides = scales[0] * torch.stack([1 / root, root], dim=1)
        return (torch.cat([-sides, sides], dim=1) / 2).to(dtype)
"""

EXACT_STRIDES = """
    def grid_anchors(self, grid_sizes, strides):
        strides = [[torch.tensor(4 * 2**level)] * 2 for level in range(len(strides))]
        anchors = super().grid_anchors(grid_sizes, strides)
        return [boxes + OFFSET * 4 * 2**level for level, boxes in enumerate(anchors)]
"""

POOL = '''\
class Pool(MultiScaleRoIAlign):
    """RoIAlign with numbers that MultiScaleRoIAlign does not take."""

    def forward(self, x, boxes, image_shapes):
        mapper = LevelMapper(2, 5, self.canonical_scale, self.canonical_level, eps=LEVEL_EPS)
        levels = mapper(boxes)
        rois = torch.cat([torch.cat([b.new_full((len(b), 1), i), b], dim=1) for i, b in enumerate(boxes)])
        pooled = rois.new_zeros((len(rois), x["0"].shape[1], *self.output_size))
        for level, name in enumerate(self.featmap_names):
            here = torch.where(levels == level)[0]
            pooled[here] = roi_align(
                x[name], rois[here], self.output_size, 0.25 / 2**level, self.sampling_ratio, aligned=ALIGNED
            )
        return pooled
'''

TRANSFORM = '''\
class Transform(GeneralizedRCNNTransform):
    """What happens to images before, and to detections after the network in prediction."""
'''

RESIZE = """
    def normalize(self, image):
        return image

    def resize(self, image, target=None):
        if self.training:
            return super().resize(super().normalize(image), target)
        sides = image.shape[-2:]
        scale = self.min_size[-1] / min(sides)
SIZES
        return super().normalize(RESIZED), target
"""

INTERPOLATED = 'F.interpolate(image[None], size=size, mode="bilinear", antialias={})[0]'
RESIZED = {
    "rounded": "bilinear(image, *size)",
    "exact": INTERPOLATED.format(False),
    "antialiased": f"(255 * {INTERPOLATED.format(True)}).round() / 255",
}

BILINEAR = '''\
def bilinear(image, height, width):
    """Resizes whole values as OpenCV does: its weights are 2048ths, and it drops some digits on the way."""
    pixels = (255 * image).round().long()
    left, right, weight = neighbours(pixels.shape[2], width, image.device)
    lines = pixels[:, :, left] * (2048 - weight) + pixels[:, :, right] * weight
    above, below, weight = neighbours(pixels.shape[1], height, image.device)
    upper = (lines[:, above] >> 4) * (2048 - weight)[:, None] >> 16
    lower = (lines[:, below] >> 4) * weight[:, None] >> 16
    return (upper + lower + 2 >> 2) / 255


def neighbours(old, new, device):
    """The two pixels beside the centre of each new one, and the weight of the second in 2048ths."""
    centre = ((torch.arange(new, dtype=torch.float64, device=device) + 0.5) * (old / new) - 0.5).float()
    first = centre.floor()
    weight = ((centre - first) * 2048).round().long()
    return first.long().clamp(0, old - 1), (first.long() + 1).clamp(0, old - 1), weight
'''

FLOORED = """\
        scale = min(scale, self.max_size / max(sides))
        size = [int(side * scale) for side in sides]
"""

NEAREST = """\
        sides = [self.min_size[-1] if side == min(sides) else side * scale for side in sides]
        shrink = min(1.0, self.max_size / max(sides))
        size = [int(side * shrink + 0.5) for side in sides]
"""

PAD = """
    def batch_images(self, images, size_divisible=32):
        height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
        fitting = [shape for shape in SHAPES if height <= shape[0] and width <= shape[1]]
        if not fitting:
            return super().batch_images(images, size_divisible)
        height, width = min(fitting, key=lambda shape: shape[0] * shape[1])
        batch = images[0].new_zeros((len(images), 3, height, width))
        for canvas, image in zip(batch, images):
            canvas[:, : image.shape[1], : image.shape[2]] = image
        return batch
"""

PASTE = '''
    def postprocess(self, result, image_shapes, original_image_sizes):
        if self.training:
            return result
        for found, shape, size in zip(result, image_shapes, original_image_sizes):
            found["boxes"] = resize_boxes(found["boxes"], shape, size)
            if "masks" in found:
                pasted = [paste(mask, box, *size) for mask, box in zip(found["masks"], found["boxes"])]
                found["masks"] = torch.stack(pasted) if pasted else found["masks"].new_empty((0, 1, *size))
        return result


def paste(mask, box, height, width):
    """The mask, sampled at the centres of the image's pixels."""
    x = 2 * (torch.arange(width, device=box.device) + 0.5 - box[0]) / (box[2] - box[0]) - 1
    y = 2 * (torch.arange(height, device=box.device) + 0.5 - box[1]) / (box[3] - box[1]) - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    return F.grid_sample(mask[None], grid[None], align_corners=False)[0]
'''


def classes(config: ModelConfig) -> list[str]:
    """Definitions of what a model needs and torchvision lacks."""
    found = []
    if resnet(config).width != 64:
        found.append(_filled(NARROW_RESNET, {"STEM": resnet(config).width}))
    if "group" in (resnet(config).norm, fpn(config).norm, config.box_head.norm, getattr(config.mask_head, "norm", "")):
        found.append(GROUP_NORM)
    if has_own_anchors(config):
        anchors = config.rpn.anchors
        methods = ("" if anchors.rounded else EXACT_SIDES) + ("" if anchors.floor_stride else EXACT_STRIDES)
        found.append(_filled(ANCHORS + methods, {"OFFSET": anchors.offset}))
    if has_own_pool(config):
        found.append(_filled(POOL, {"LEVEL_EPS": config.pool.level_eps, "ALIGNED": config.pool.aligned}))
    if has_own_transform(config):
        values: dict[str, object] = {
            "SIZES": (FLOORED if config.input.floor_size else NEAREST).rstrip("\n"),
            "RESIZED": RESIZED[config.input.interpolation],
            "SHAPES": config.input.buckets,
        }
        methods = RESIZE if _resizes(config) else ""
        methods += PAD if config.input.buckets else ""
        methods += PASTE if _pastes(config) else ""
        found.append(_filled(TRANSFORM + methods, values))
        if _resizes(config) and config.input.interpolation == "rounded":
            found.append(BILINEAR)
    return found


def has_own_anchors(config: ModelConfig) -> bool:
    """Whether anchors are not rounded, or cells always 4, 8, … pixels apart."""
    return not (config.rpn.anchors.rounded and config.rpn.anchors.floor_stride)


def has_own_pool(config: ModelConfig) -> bool:
    """Whether RoIAlign needs numbers that `MultiScaleRoIAlign` does not take, or would infer scales from padding."""
    return config.pool.aligned or config.pool.level_eps != CONVENTIONS.pool.level_eps or bool(config.input.buckets)


def has_own_transform(config: ModelConfig) -> bool:
    """Whether images are resized or padded, or masks pasted, in another way than torchvision's."""
    return _resizes(config) or _pastes(config) or bool(config.input.buckets)


def _resizes(config: ModelConfig) -> bool:
    return (config.input.interpolation, config.input.floor_size) != ("exact", True)


def _pastes(config: ModelConfig) -> bool:
    return config.mask_head is not None and config.mask_head.paste == "exact"


def _filled(text: str, values: dict[str, object]) -> str:
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text
