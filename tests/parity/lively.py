"""torchvision models with random weights that behave like trained ones.

A freshly initialised network has nearly constant outputs: no class passes a threshold, nothing is suppressed, and a
comparison shows nothing. Here layers are calibrated on a few images: norms get the statistics of their inputs, outputs
the spread of a trained network's.
"""

from collections.abc import Callable

import torch
from torch import nn
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

CLASSES = 91
"""COCO's category ids and background, as in torchvision."""


def v1(**options: float) -> MaskRCNN:
    """`maskrcnn_resnet50_fpn` with frozen batch norm, as torchvision builds it for trained weights."""
    return MaskRCNN(resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5), CLASSES, **options)


def v2(**options: float) -> MaskRCNN:
    """`maskrcnn_resnet50_fpn_v2`: batch norm in all parts, two convolutions in the RPN, four in the box head."""
    return maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=CLASSES, **options)


def lively(
    make: Callable[[], MaskRCNN], images: list[torch.Tensor], background: float, *, active: float = 0.0, seed: int = 0
) -> MaskRCNN:
    """A model in evaluation mode that finds many objects of many classes.

    Args:
        make: makes the model; its weights are those of `seed`.
        images: `[3, h, w]` in `[0, 1]` each, for the calibration.
        background: logit of background, where every class has mean 0 and standard deviation 1.5; it decides how many
            objects are found.
        active: mean of the inputs of the ReLUs, in standard deviations. A ReLU has two gradients at zero: of a million
            values within a millionth of it float errors put one on the other side, which changes gradients by one in a
            thousand from layer to layer. Away from zero they can be compared.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    model = make().eval()
    heads = {
        model.rpn.head.cls_logits: _spread(2.0),
        model.rpn.head.bbox_pred: _spread(0.1),
        model.roi_heads.box_predictor.cls_score: _spread(1.5),
        model.roi_heads.box_predictor.bbox_pred: _spread(0.5),
        model.roi_heads.mask_predictor.mask_fcn_logits: _spread(2.0),
    }
    norms = {
        # The end of a residual branch is small compared with its shortcut, as in a trained network: else float errors
        # would grow from block to block.
        layer: _statistics(0.2 if name.endswith("bn3") else 1.0, active)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.BatchNorm2d | FrozenBatchNorm2d)
    }
    inner = {layer: _offset(active) for layer in _before_relus(model)} if active else {}
    for layer, calibrate in (inner | heads | norms).items():
        layer.register_forward_pre_hook(_once(calibrate))
    with torch.no_grad():
        model(images)
        model.roi_heads.box_predictor.cls_score.bias[0] += background
    for layer in inner | heads | norms:
        layer._forward_pre_hooks.clear()
    # It infers the scales of the levels from the first image that it sees.
    model.roi_heads.box_roi_pool.scales = model.roi_heads.mask_roi_pool.scales = None
    return model


def _once(calibrate: Callable[[nn.Module, torch.Tensor], None]) -> Callable[..., None]:
    """A hook that uses only the first input: for the RPN's head, the finest level."""
    seen: list[nn.Module] = []

    def hook(layer: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if not seen:
            calibrate(layer, inputs[0])
            seen.append(layer)

    return hook


def _before_relus(model: MaskRCNN) -> list[nn.Module]:
    """The layers of the heads that are followed by a ReLU without a norm between."""
    heads = [model.rpn.head.conv, model.roi_heads.box_head, model.roi_heads.mask_head]
    layers = [layer for head in heads for layer in head.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return [*(layer for layer in layers if layer.bias is not None), model.roi_heads.mask_predictor.conv5_mask]


def _offset(active: float) -> Callable[[nn.Module, torch.Tensor], None]:
    """Sets the mean of each output, in its standard deviations."""

    def calibrate(layer: nn.Module, x: torch.Tensor) -> None:
        y = type(layer).forward(layer, x)
        over = [axis for axis in range(y.ndim) if axis != 1]
        layer.bias.add_(active * y.std(dim=over) - y.mean(dim=over))

    return calibrate


def _statistics(scale: float, active: float) -> Callable[[nn.Module, torch.Tensor], None]:
    """Sets the norm's statistics to those of its input, and random scale and bias."""

    def calibrate(norm: nn.Module, x: torch.Tensor) -> None:
        norm.running_mean.copy_(x.mean(dim=(0, 2, 3)))
        norm.running_var.copy_(x.var(dim=(0, 2, 3)))
        norm.weight.copy_(torch.empty_like(norm.weight).uniform_(0.6, 1.4) * scale)
        norm.bias.copy_(torch.empty_like(norm.bias).normal_(std=0.2) * scale + active * norm.weight)

    return calibrate


def _spread(std: float) -> Callable[[nn.Module, torch.Tensor], None]:
    """Sets the mean of each output to 0, and its standard deviation."""

    def calibrate(layer: nn.Module, x: torch.Tensor) -> None:
        y = type(layer).forward(layer, x)
        over = [axis for axis in range(y.ndim) if axis != 1]
        factor = std / y.std(dim=over)
        layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
        layer.bias.copy_((layer.bias - y.mean(dim=over)) * factor)

    return calibrate
