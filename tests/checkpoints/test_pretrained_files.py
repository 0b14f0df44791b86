"""Models with weights from files and mappings of any system; what fits in part starts the rest fresh."""

import logging
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from small import CONFIG, abstract, build, change
from whole_runs import TINY

from maskrcnn_jax.checkpoints.convert.own import write_safetensors
from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.checkpoints.convert.torchvision_export import to_torchvision, write_torchvision
from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError
from maskrcnn_jax.checkpoints.pretrained import build_model, load_pretrained
from maskrcnn_jax.config import Config, ConfigError, ModelConfig, ResNet
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.nn.params import flatten

THEIRS = change(
    CONVENTIONS,
    num_classes=3,
    class_names=(),
    backbone=ResNet(depth=18, width=8),
    fpn__channels=16,
    box_head__fcs=(32, 32),
    mask_head__convs=1,
    mask_head__channels=16,
)
HEADS = {f"{layer}.{leaf}" for layer in ("box_head.logits", "box_head.deltas") for leaf in ("kernel", "bias")}
HEADS |= {"mask_head.logits.kernel", "mask_head.logits.bias"}


def arrays(model) -> dict[str, np.ndarray]:
    _, params, statistics = flatten(model)
    return jax.device_get(params | statistics)


def ours(config: ModelConfig = THEIRS) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = {
        name: array.shape for name, array in (flatten(abstract(config))[1] | flatten(abstract(config))[2]).items()
    }
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    # Variances so large that no epsilon matters.
    return {name: np.abs(array) + 0.1 if name.endswith(".var") else array for name, array in arrays.items()}


def backbone_alone(state_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A plain ResNet with ImageNet's classes."""
    prefix = "backbone.body."
    plain = {n.removeprefix(prefix): array for n, array in state_dict.items() if n.startswith(prefix)}
    return plain | {"fc.weight": np.zeros((1000, 64), np.float32), "fc.bias": np.zeros(1000, np.float32)}


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "maskrcnn_jax")
    return caplog


def same(model, expected: dict[str, np.ndarray]) -> set[str]:
    """Names of the arrays of a model that are as expected."""
    found = arrays(model)
    return {name for name in expected if np.array_equal(found[name], expected[name])}


@pytest.mark.parametrize("kind", ["mapping", ".pth", ".safetensors", "text"])
def test_a_model_comes_from_anywhere(kind: str, tmp_path: Path, said: pytest.LogCaptureFixture):
    expected = ours()
    if kind == ".safetensors":
        [source] = write_safetensors(tmp_path / "model.safetensors", expected, THEIRS)
    elif kind == "mapping":
        source = to_torchvision(expected, THEIRS)
    else:
        source = write_torchvision(tmp_path / "model.pth", expected, THEIRS)[0]
    model = load_pretrained(str(source) if kind == "text" else source)
    assert model.config == THEIRS
    assert same(model, expected) == arrays(model).keys() == expected.keys()
    assert said.text == ""


def test_the_arrays_of_the_caller_stay_the_callers():
    source = to_torchvision(ours(), THEIRS)
    model = load_pretrained(source)
    for array in source.values():
        array.setflags(write=True)
        array[...] = 0
    assert same(model, ours()) == ours().keys()


def test_other_classes_start_the_last_layers_fresh_and_say_so(said: pytest.LogCaptureFixture):
    model = load_pretrained(to_torchvision(ours(), THEIRS), class_names=("cat", "dog"))
    assert model.config == replace(THEIRS, num_classes=2, class_names=("cat", "dog"))
    expected, found = ours(), arrays(model)
    assert {name for name in expected if name not in same(model, expected)} == HEADS
    assert found["box_head.logits.kernel"].shape == (32, 3) and found["box_head.deltas.kernel"].shape == (32, 12)
    # As a fresh network has them: normal with deviations 0.01 and 0.001, biases zero.
    assert 0.005 < found["box_head.logits.kernel"].std() < 0.02
    assert 0.0005 < found["mask_head.logits.kernel"].std() < 0.002
    assert (found["box_head.deltas.bias"] == 0).all()
    assert said.messages == [f"these start fresh: {', '.join(sorted(HEADS))}"]


@pytest.mark.parametrize(
    ("theirs", "wanted", "fresh"),
    [
        ((), ("a", "b", "c"), False),
        (("a", "b", "c"), ("a", "b", "c"), False),
        (("a", "b", "c"), ("a", "c", "b"), True),
    ],
    ids=["names for classes without", "the same names", "the same names in another order"],
)
def test_as_many_classes_are_others_if_their_names_are(
    theirs: tuple[str, ...], wanted: tuple[str, ...], fresh: bool, tmp_path: Path
):
    [path] = write_safetensors(tmp_path / "m.safetensors", ours(), replace(THEIRS, class_names=theirs))
    model = load_pretrained(path, class_names=wanted)
    assert model.config.class_names == wanted
    assert ours().keys() - same(model, ours()) == (HEADS if fresh else set())


def test_a_backbone_starts_everything_else_fresh(said: pytest.LogCaptureFixture):
    source = backbone_alone(to_torchvision(ours(), THEIRS))
    config = change(THEIRS, mask_head=None)
    model = load_pretrained(source, config=config)
    expected = {name: array for name, array in ours().items() if name.startswith("backbone.")}
    assert same(model, expected) == expected.keys()
    # 8 convolutions with bias in the pyramid, 3 in the RPN's head; 4 linear layers.
    assert said.messages == [
        "these start fresh: all 8 arrays of box_head, all 16 arrays of fpn, all 6 arrays of rpn_head"
    ]
    assert load_pretrained(source, class_names=("cat",)).config.fpn.channels == 256


def test_a_configuration_takes_the_place_of_what_was_recognised():
    config = change(THEIRS, detect__score_threshold=0.5, rpn__anchors__sizes=(8.0, 16.0, 32.0, 64.0, 128.0))
    model = load_pretrained(to_torchvision(ours(), THEIRS), config=config)
    assert model.config == config and same(model, ours()) == ours().keys()


def test_weights_in_a_world_that_is_not_theirs_are_warned_of(said: pytest.LogCaptureFixture):
    config = change(THEIRS, input__bgr=True, backbone__norm_eps=1e-3)
    load_pretrained(to_torchvision(ours(), THEIRS), config=config)
    assert said.messages == [
        "model.input.bgr = True, but these weights were trained with False",
        "model.backbone.norm_eps = 0.001, but these weights were trained with 1e-05",
    ]


def test_what_does_not_fit_is_listed_with_the_name_of_the_file(tmp_path: Path):
    source = write_torchvision(tmp_path / "model.pth", ours(), THEIRS)[0]
    config = change(THEIRS, fpn__channels=24, mask_head=None)
    with pytest.raises(ConversionError) as refused:
        load_pretrained(source, config=config)
    message = str(refused.value)
    assert message.startswith(f"{source}: these weights belong to another architecture:")
    assert (
        "shape: rpn.head.cls_logits.weight (3, 16, 1, 1) does not make rpn_head.logits.kernel (1, 1, 24, 3)" in message
    )
    assert "unexpected: roi_heads.mask_predictor.mask_fcn_logits.bias (4,)" in message
    with pytest.raises(ConversionError, match=r"give them too: load_config\(path, flags\)$"):
        load_pretrained(source, config=Config(model=config))


def test_bad_sources_are_refused_by_name(tmp_path: Path):
    with pytest.raises(WeightFileError, match=r"nowhere\.pth does not exist"):
        load_pretrained(tmp_path / "nowhere.pth")
    with pytest.raises(ConversionError, match=r"unrecognised checkpoint format: 1 array such as a \(2,\)"):
        load_pretrained({"a": np.zeros(2)})
    with pytest.raises(ValueError, match="step = 3: only run folders have steps"):
        load_pretrained(to_torchvision(ours(), THEIRS), 3)


def test_a_run_takes_other_classes_too(finished_run: Path):
    trained = load_pretrained(finished_run)
    model = load_pretrained(finished_run, class_names=("cat", "dog"))
    assert model.config.class_names == ("cat", "dog") and model.config.rpn == trained.config.rpn
    expected = arrays(trained)
    assert expected.keys() - same(model, {n: a for n, a in expected.items() if n not in HEADS}) == HEADS


def start_from(source: Path | None, **fields) -> Config:
    config = load_config(TINY)
    return replace(change(config, **fields), run=replace(config.run, init=source))


def test_training_starts_from_weights(tmp_path: Path):
    """Of a model with other classes: the experiment's own model, with everything that fits."""
    config = start_from(None)
    trained = replace(config.model, num_classes=7, class_names=())
    expected = ours(trained)
    [source] = write_safetensors(tmp_path / "trained.safetensors", expected, trained)
    model = build_model(start_from(source))
    assert model.config == config.model
    assert expected.keys() - same(model, {n: a for n, a in expected.items() if n not in HEADS}) == HEADS
    # What starts fresh is what the experiment's seed makes it.
    fresh = arrays(build_model(config))
    assert same(model, fresh) >= HEADS


def test_training_does_not_start_from_what_cannot_be(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"run\.init = '.*nothing\.pth': .*does not exist"):
        build_model(start_from(tmp_path / "nothing.pth"))
    [source] = write_safetensors(tmp_path / "other.safetensors", ours(), THEIRS)
    with pytest.raises(ConfigError, match=r"run\.init = '.*other\.safetensors': these weights belong to another"):
        build_model(start_from(source))
    with pytest.raises(ConfigError, match=r"run\.init = .* holds no checkpoint; give the folder of a run"):
        build_model(start_from(tmp_path))


class Lazy(Mapping[str, np.ndarray]):
    """Arrays that exist from when they are read on."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]):
        self.shapes, self.reads = shapes, dict.fromkeys(shapes, 0)

    def __getitem__(self, name: str) -> np.ndarray:
        self.reads[name] += 1
        return np.zeros(self.shapes[name], np.float32)

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def test_memory_holds_one_copy_and_one_array():
    config = change(CONFIG.model, fpn__channels=128, box_head__fcs=(256, 256))
    source = Lazy({name: array.shape for name, array in arrays(build(config)).items()})
    sizes = [4 * int(np.prod(shape)) for shape in source.shapes.values()]
    load_pretrained(source, config=config)
    assert set(source.reads.values()) == {1}
    tracemalloc.start()
    load_pretrained(source, config=config)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # What JAX holds is not traced: its arrays come as NumPy's go. Tracing the model itself takes some memory.
    assert sum(sizes) > 8e6 and max(sizes) > 6e6
    assert peak < sum(sizes) + max(sizes) + 4e6
