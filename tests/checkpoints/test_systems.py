"""Which system weights are of."""

import json
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.checkpoints.convert.systems import SYSTEMS, recognise
from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS


def torchvision(model: str) -> dict[str, np.ndarray]:
    shapes = json.loads((Path(__file__).parent / "data" / f"torchvision_{model}.json").read_text())
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def test_torchvisions_arrays_are_torchvisions():
    found = recognise(torchvision("mask_rcnn_v1"))
    assert found.system is SYSTEMS["torchvision"] and found.config == CONVENTIONS


def test_a_configuration_does_not_change_whose_they_are():
    found = recognise(torchvision("resnet18"), CONVENTIONS)
    assert found.system is SYSTEMS["torchvision"] and found.config.backbone.depth == 18


@pytest.mark.parametrize("model", ["mask_rcnn_v1", "mask_rcnn_v2", "faster_rcnn_resnext50", "resnet18"])
def test_one_system_alone_knows_them(model: str):
    shapes = {name: array.shape for name, array in torchvision(model).items()}
    assert [name for name, system in SYSTEMS.items() if system.recognise(shapes)] == ["torchvision"]


def test_the_unknown_is_answered_with_its_names_and_the_known():
    arrays = {f"layer{i}.weight": np.zeros((i, 3)) for i in range(20)}
    with pytest.raises(ConversionError) as refused:
        recognise(arrays)
    message = str(refused.value)
    assert "20 arrays such as layer0.weight (0, 3), layer1.weight (1, 3)" in message and "layer8" not in message
    assert all(name in message for name in ("torchvision", "Detectron2", "Matterport", "run folders", ".safetensors"))
    with pytest.raises(ConversionError, match="unrecognised checkpoint format: 0 arrays"):
        recognise({})
