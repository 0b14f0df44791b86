"""Prefixes and wrappers are removed from names where that leads to a known system, in files and mappings alike."""

import json
from pathlib import Path

import numpy as np
import pytest
from detectron2_checkpoint import R50, SMALL, detector, resnet

from maskrcnn_jax.checkpoints.convert.naming import namings
from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.checkpoints.convert.systems import SYSTEMS, Recognised, recognise

Shapes = dict[str, tuple[int, ...]]


def torchvision(model: str = "mask_rcnn_v1") -> Shapes:
    text = (Path(__file__).parent / "data" / f"torchvision_{model}.json").read_text()
    return {name: tuple(shape) for name, shape in json.loads(text).items()}


def backbone() -> Shapes:
    found: Shapes = {}
    resnet(found, "backbone.bottom_up.", R50, 64, 64, 1, "BN")
    return found


def recognised(shapes: Shapes) -> Recognised:
    return recognise({name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()})


def named(found: Recognised) -> str:
    return next(name for name, system in SYSTEMS.items() if system is found.system)


PREFIXES = [
    *("module.", "_orig_mod.", "model.", "features.", "backbone.", "encoder.", "net.", "detector."),
    *("model._orig_mod.", "model.module.", "module.model.backbone.net.", "student.", "a.b.c.d.e.f."),
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("system", ["torchvision", "plain ResNet", "Detectron2"])
def test_any_prefix_is_taken_off_and_named(prefix: str, system: str):
    shapes = {
        "torchvision": torchvision(),
        "plain ResNet": torchvision("resnet18"),
        "Detectron2": detector(**SMALL),
    }[system]
    whole, plain = recognised({prefix + name: shape for name, shape in shapes.items()}), recognised(shapes)
    assert (whole.system, whole.config) == (plain.system, plain.config)
    assert set(whole.arrays) == set(shapes)
    wrappers = [part for part in prefix.split(".") if part in ("module", "_orig_mod")]
    rest = ".".join(part for part in prefix.split(".") if part not in wrappers)
    expected = [", ".join(repr(f"{part}.") for part in wrappers)] * bool(wrappers) + [repr(rest)] * bool(rest)
    assert whole.notes == (f"removed from the names of the weights: {' and '.join(expected)}",)


def test_names_as_they_are_come_first():
    """The names of torchvision's and Detectron2's own detectors begin with "backbone."."""
    for shapes in (torchvision(), detector(**SMALL), torchvision("resnet18")):
        found = recognised(shapes)
        assert set(found.arrays) == set(shapes) and found.notes == ()


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_wrappers_in_between_are_taken_off(wrapper: str):
    """A backbone that was compiled, or wrapped, alone; and all of it inside of another module."""
    shapes = torchvision()
    for prefix in ("", "model."):
        wrapped = {f"{prefix}{n}".replace("backbone.", f"backbone.{wrapper}."): shape for n, shape in shapes.items()}
        found = recognised(wrapped)
        assert named(found) == "torchvision" and set(found.arrays) == set(shapes)
        assert found.notes == (
            f"removed from the names of the weights: '{wrapper}.'" + (" and 'model.'" if prefix else ""),
        )


def test_arrays_beside_the_network_are_left_out_and_named():
    """Lightning's module with a loss; torch's averaged model with its counter."""
    shapes = torchvision()
    beside: Shapes = {"criterion.weight": (91,), "n_averaged": (), "ema.decay": ()}
    for prefix in ("", "module."):
        found = recognised({f"{prefix}{name}": shape for name, shape in shapes.items()} | beside)
        assert set(found.arrays) == set(shapes)
        assert found.notes[-1] == "unused arrays beside the network: 3: criterion.weight, n_averaged, ema.decay"


def test_of_two_copies_the_first_is_taken():
    """As in the files of momentum contrast."""
    shapes = torchvision("resnet18")
    both = {f"module.encoder_{which}.{name}": shape for which in "qk" for name, shape in shapes.items()}
    both["module.queue"] = (128, 65536)
    found = recognised(both)
    assert found.notes[0] == "removed from the names of the weights: 'module.' and 'encoder_q.'"
    assert len(found.arrays) == len(shapes) and f"network: {len(shapes) + 1}: module.encoder_k" in found.notes[1]


OTHERS: dict[str, tuple[Shapes, str, bool]] = {
    "RetinaNet of torchvision": (
        {n: s for n, s in torchvision().items() if n.startswith("backbone.")} | {"head.x.weight": (1, 2)},
        "torchvision",
        False,
    ),
    "DeepLab": (
        {f"backbone.{n}": s for n, s in torchvision("resnet18").items()} | {"classifier.4.weight": (21, 256)},
        "torchvision",
        False,
    ),
    # It keeps MSRA's input, which a bare "stem.conv1" would not have.
    "RetinaNet of Detectron2": (backbone() | {"head.cls_subnet.0.weight": (256, 256, 3, 3)}, "Detectron2", True),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_of_other_detectors_the_backbone_is_taken(kind: str):
    shapes, system, bgr = OTHERS[kind]
    found = recognised(shapes)
    assert named(found) == system and found.config.input.bgr == bgr
    assert "unused arrays beside the network" in found.notes[-1]


def test_a_mapping_reads_as_before_when_no_prefix_leads_anywhere():
    with pytest.raises(ConversionError, match=r"unrecognised checkpoint format: 40 arrays such as model\.a0"):
        recognise({f"model.{letter}{i}": np.zeros(2) for letter in "ab" for i in range(20)})


def test_many_names_give_few_ways_to_read_them():
    names = [f"a{i}.b{j}.c" for i in range(100) for j in range(100)]
    assert len(list(namings(names))) <= 102
    assert next(iter(namings(names))).names == {name: name for name in names}
