"""Writes the names and shapes of torchvision's state dicts that tests without torch read.

python tests/parity/torchvision_names.py
"""

import json
from pathlib import Path

import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.detection import FasterRCNN, maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

FOLDER = Path(__file__).parents[1] / "checkpoints" / "data"


def models() -> dict[str, nn.Module]:
    """v1 with frozen batch norm, as with trained weights, v2, a ResNeXt without masks, and a plain ResNet."""
    v1 = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    v1.backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
    return {
        "mask_rcnn_v1": v1,
        "mask_rcnn_v2": maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None),
        "faster_rcnn_resnext50": FasterRCNN(resnet_fpn_backbone(backbone_name="resnext50_32x4d", weights=None), 5),
        "resnet18": resnet18(),
    }


if __name__ == "__main__":
    with torch.device("meta"):
        found = models()
    for name, model in found.items():
        lines = (f"{json.dumps(key)}: {list(value.shape)}" for key, value in model.state_dict().items())
        (FOLDER / f"torchvision_{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
