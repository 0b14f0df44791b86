"""Properties of the architecture: parameter counts, one compilation, no unused work, only necessary communication."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import CONFIG, OBJECTS, SLOTS, abstract, batch, build, jit, mixed, trained, truth

from maskrcnn_jax.checkpoints.pretrained import abstract_model
from maskrcnn_jax.config import Config, ModelConfig
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.distributed.mesh import data_mesh, replicated, to_devices
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, forward, predict
from maskrcnn_jax.nn.params import flatten
from maskrcnn_jax.plan.collectives import computations, reachable
from maskrcnn_jax.structs import Batch, GroundTruth, Proposals
from maskrcnn_jax.training.compilation import Compilations
from maskrcnn_jax.training.step import start

CONFIGS = Path(__file__).parents[1] / "configs"


def parts(config: ModelConfig) -> dict[str, int]:
    """Parameters of each of the model's attributes. Frozen batch norm has none."""
    count: dict[str, int] = {}
    for name, value in flatten(abstract(config))[1].items():
        part = name.partition(".")[0]
        count[part] = count.get(part, 0) + value.size
    return count


def conv(inputs: int, outputs: int, size: int, bias: bool = True) -> int:
    return inputs * outputs * size**2 + bias * outputs


def resnet50() -> int:
    """Convolutions without bias. A block is 1×1, 3×3, 1×1; the first of a stage has a 1×1 shortcut besides."""
    total = conv(3, 64, 7, bias=False)
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        total += inputs * 4 * width
        for _ in range(blocks):
            total += inputs * width + conv(width, width, 3, bias=False) + width * 4 * width
            inputs = 4 * width
    return total


FPN = sum(conv(c, 256, 1) for c in (256, 512, 1024, 2048)) + 4 * conv(256, 256, 3)
RPN = conv(256, 256, 3) + conv(256, 3, 1) + conv(256, 3 * 4, 1)
FCS = conv(256 * 7 * 7, 1024, 1) + conv(1024, 1024, 1)


def test_parameters_of_mask_rcnn_in_torchvisions_form():
    """90 classes and background: 91 class scores, 91 boxes, 91 masks."""
    found = parts(ModelConfig(num_classes=90, background_outputs=True))
    assert found == {
        "backbone": resnet50(),
        "fpn": FPN,
        "rpn_head": RPN,
        "box_head": FCS + conv(1024, 91, 1) + conv(1024, 91 * 4, 1),
        # Four 3×3, a transposed 2×2 (as many parameters as a 2×2), one mask per class.
        "mask_head": 4 * conv(256, 256, 3) + conv(256, 256, 2) + conv(256, 91, 1),
    }
    assert (found["backbone"], found["fpn"], found["rpn_head"]) == (23_454_912, 3_344_384, 593_935)
    assert (found["box_head"], found["mask_head"]) == (14_362_055, 2_646_107)
    assert sum(found.values()) == 44_401_393


def test_parameters_of_faster_rcnn_in_detectron2s_form():
    """80 classes: 81 class scores, 80 boxes."""
    found = parts(ModelConfig(num_classes=80, mask_head=None))
    head = FCS + conv(1024, 81, 1) + conv(1024, 80 * 4, 1)
    assert found == {"backbone": resnet50(), "fpn": FPN, "rpn_head": RPN, "box_head": head}
    assert sum(found.values()) == 41_699_936


FULL, EMPTY = truth(*OBJECTS), truth()
CROWD = truth(*OBJECTS[:2], crowd=True)
POINT, LINE = truth(([20.0, 20, 20, 20], 1)), truth(([20.0, 20, 20, 50], 1))


@pytest.mark.parametrize(
    ("truths", "boxes_and_masks"),
    [
        ([EMPTY] * 4, False),
        ([truth(OBJECTS[0])] * 4, True),
        ([FULL] * 4, True),
        ([FULL, EMPTY, CROWD, truth(OBJECTS[1])], True),
        ([CROWD] * 4, False),
        ([POINT, LINE, POINT, LINE], False),
        ([POINT, FULL, CROWD, EMPTY], True),
    ],
    ids=["none", "one", "as many as slots", "mixed", "crowds", "without area", "all kinds"],
)
def test_one_compilation_and_finite_gradients_for_any_objects(truths: list[GroundTruth], boxes_and_masks: bool):
    """Without an object to find, box and mask loss are exactly 0."""
    state, step = trained()
    step(state, mixed())
    objects = batch(*truths)
    with Compilations() as compilations:
        after, metrics = step(state, objects)
    assert compilations.programs == 0
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["gradient_norm"] > 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))
    for name in ("loss/rpn_box", "loss/box", "loss/mask"):
        assert metrics[name] > 0 if boxes_and_masks else metrics[name] == 0, name
    assert metrics["loss/rpn_objectness"] > 0 and metrics["loss/classification"] > 0


def test_one_compilation_for_any_number_of_proposals_and_detections():
    @jit
    def detect(model, images, sizes, proposals):
        return forward(model, images, sizes, proposals=proposals).detections

    model, (images, sizes, *_), found = build(), mixed(), []
    boxes = jnp.tile(jnp.array([box for box, _ in OBJECTS]), (4, 1, 1))
    for count in range(SLOTS + 1):
        valid = jnp.tile(jnp.arange(SLOTS) < count, (4, 1))
        proposals = Proposals(boxes * valid[..., None], valid.astype(jnp.float32), valid)
        with Compilations() as compilations:
            detections = detect(model, images, sizes, proposals)
        assert compilations.programs == (count == 0)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(detections))
        found.append(int(detections.valid.sum()))
    assert found[0] == 0 < found[1] < found[SLOTS]


def test_the_mask_head_is_not_computed_for_boxes_alone():
    model, (images, sizes, *_) = build(), mixed()

    def flops(function) -> float:
        return jit(function).lower(model, images, sizes).compile().cost_analysis()["flops"]

    boxes = flops(lambda m, i, s: predict(m, i, s).boxes)
    whole = flops(forward)
    # The mask head's 3×3 convolution: 2 · 9 · 16 · 16 · 14² FLOPs each of 8 detections of 4 images, less at borders.
    assert whole - boxes > 0.9 * 2 * 9 * 16 * 16 * 14**2 * 8 * 4


COLLECTIVE = re.compile(
    r" (all-reduce|all-gather|all-to-all|reduce-scatter|collective-\w+|ragged-all-to-all|send|recv)(?:-start)?\("
)


def test_four_devices_equal_one_and_only_reduce():
    """Gradients, losses and norm statistics are summed over the devices; there is no other communication."""
    (state, single), mesh = trained(), data_mesh()
    assert mesh.size == 4
    _, step = start(build(), CONFIG)
    expected, metrics = single(state, mixed())
    with jax.set_mesh(mesh):
        state, spread_batch = jax.device_put(state, replicated(mesh)), to_devices(mixed(), mesh)
        compiled = jit(step).lower(state, spread_batch).compile()
        found, on_four = compiled(state, spread_batch)
        # The output is the next input: the next step needs no further compilation.
        again, _ = compiled(found, spread_batch)

    assert on_four.keys() == metrics.keys()
    for name, value in on_four.items():
        np.testing.assert_allclose(value, metrics[name], rtol=1e-4, err_msg=name)
    for mine, theirs in ((found.params, expected.params), (found.statistics, expected.statistics)):
        for name, value in mine.items():
            np.testing.assert_allclose(value, theirs[name], rtol=1e-3, atol=1e-5, err_msg=name)
            assert value.sharding.is_fully_replicated, name
    assert int(again.step) == 2

    module = computations(compiled.as_text())
    kinds = {kind for lines in module.values() for line in lines for kind in COLLECTIVE.findall(line)}
    assert kinds == {"all-reduce"}
    reducers = {name for lines in module.values() for line in lines for name in reducer(line)}
    for name in reducers:
        assert all(re.search(r" (parameter|add)\(", line) for line in module[name]), module[name]
    loops = {
        name
        for lines in module.values()
        for line in lines
        for name in re.findall(r"(?:body|condition)=%?([\w.\-]+)", line)
    }
    assert loops, "suppression is a loop"
    inside = reachable(module, loops)
    assert not [line for name in inside for line in module[name] if COLLECTIVE.search(line)]


def reducer(line: str) -> list[str]:
    """The computation that combines the devices' values in a line of a compiled module, if it is a collective."""
    return re.findall(r"to_apply=%([\w.\-]+)", line) if COLLECTIVE.search(line) else []


def shaped(config: Config) -> Batch:
    """A batch of the configuration's first bucket, as shapes."""
    count, slots, side = config.data.batch_size, config.data.max_objects, config.data.mask_size
    height, width = config.data.buckets[0]
    f32, i32 = jnp.float32, jnp.int32
    form = jax.ShapeDtypeStruct
    return Batch(
        form((count, height, width, 3), jnp.uint8),
        form((count, 2), f32),
        GroundTruth(
            form((count, slots, 4), f32),
            form((count, slots), i32),
            form((count, slots), jnp.bool_),
            form((count, slots), jnp.bool_),
            form((count, slots, side, side), jnp.uint8),
            form((count, slots, 4), f32),
        ),
        form((count,), i32),
    )


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_every_experiment_can_be_traced(path: Path):
    """Traces its train step and its prediction from shapes: nothing is allocated, no data is needed."""
    config = load_config(path)

    def one_step(model: MaskRCNN, batch: Batch):
        state, step = start(model, config)
        return state, *step(state, batch)

    model, one = abstract_model(config), shaped(config)
    before, after, metrics = jax.eval_shape(one_step, model, one)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), before)
    assert {value.shape for value in metrics.values()} == {()}
    detections = jax.eval_shape(predict, model, one.images, one.image_sizes)
    count, slots = config.data.batch_size, config.model.detect.count
    assert detections.boxes.shape == (count, slots, 4)
    assert (detections.masks is None) == (config.model.mask_head is None)
