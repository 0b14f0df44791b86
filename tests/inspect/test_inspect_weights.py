"""What is wrong with weights: every fault put in by hand is found, and nothing else is."""

import re

import jax
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from small import CONFIG, abstract, build

from maskrcnn_jax.inspect.weights.figures import histogram_figures, layer_figures
from maskrcnn_jax.inspect.weights.layer_kinds import fan_in, layer_kinds
from maskrcnn_jax.inspect.weights.source import in_order
from maskrcnn_jax.inspect.weights.tensor_stats import tensor_stats
from maskrcnn_jax.nn.params import flatten

LAYER = "backbone.layer2.0.convs.0"
KERNEL, NORM = f"{LAYER}.conv.kernel", f"{LAYER}.norm"


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    _, params, statistics = flatten(build(CONFIG.model))
    return {name: np.array(array) for name, array in jax.device_get(params | statistics).items()}


def flags(arrays: dict[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
    return {row.name: row.flags for row in tensor_stats(arrays) if row.flags}


def test_a_fresh_network_has_no_flags(arrays: dict[str, np.ndarray]):
    assert {(arrays[f"{NORM}.{leaf}"] == value).all() for leaf, value in (("scale", 1), ("var", 1), ("mean", 0))} == {
        True
    }
    assert flags(arrays) == {}


@pytest.mark.parametrize(
    ("name", "where", "value", "flag"),
    [
        (KERNEL, (0, 0, 0, 0), np.nan, "non-finite: 1 of 1152 values"),  # 3 · 3 · 8 · 16
        (KERNEL, (0, 0, 0), -np.inf, "non-finite: 16 of 1152 values"),
        (KERNEL, ..., 0.0, "dead: all values are 0"),
        (KERNEL, ..., 0.1, "dead: all values are 0.1"),
        (KERNEL, (..., slice(3)), 0.0, "dead channels: 3 of 16"),
        (KERNEL, (..., 1), 1e-9, "dead channels: 1 of 16"),
        (f"{NORM}.scale", ..., 0.0, "dead: all values are 0"),
        (f"{NORM}.bias", ..., 0.5, "dead: all values are 0.5"),
        (f"{NORM}.mean", ..., 2.0, "dead: all values are 2"),
        (f"{NORM}.var", 0, -0.1, "negative variance: -0.1"),
        (f"{NORM}.mean", 0, -1001.0, "overflow: up to 1001 in magnitude"),
        (f"{NORM}.var", 0, 1000.0**2 + 1, "overflow: up to 1e+06 in magnitude"),
        ("box_head.logits.bias", 0, 1000.5, "overflow: up to 1000.5 in magnitude"),
    ],
)
def test_a_fault_is_flagged(arrays: dict, name: str, where: object, value: float, flag: str):
    arrays[name][where] = value
    assert flags(arrays) == {name: (flag,)}


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("box_head.logits.bias", ..., 0.5),  # nothing says that biases must differ
        (f"{NORM}.bias", ..., 0.0),
        ("backbone.stem.norm.var", 0, 110557.97),  # Matterport's, of images on the scale to 255
        (f"{NORM}.mean", 0, 900.0),
        (KERNEL, (0, 0, 0, 0), 0.0),
    ],
)
def test_what_is_as_it_should_be_is_not_flagged(arrays: dict, name: str, where: object, value: float):
    arrays[name][where] = value
    assert flags(arrays) == {}


@pytest.mark.parametrize("factor", [20.0, 1 / 20])
def test_an_unusual_kernel_is_flagged_with_its_factor(arrays: dict, factor: float):
    arrays[KERNEL] *= factor
    [(name, [flag])] = flags(arrays).items()
    said = re.fullmatch(r"unusual: ([\d.]+) times as large as most of its kind \(3×3 kernel\)", flag)
    # All 3×3 kernels have deviation 1 / √fan-in up to sampling, so they have size 1.
    assert name == KERNEL and float(said[1]) == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_three_times_as_large_is_usual(arrays: dict, factor: float):
    arrays[KERNEL] *= factor
    assert flags(arrays) == {}


def test_wide_layers_are_no_smaller_than_narrow_ones():
    rng = np.random.default_rng(0)
    shapes = [(3, 3, 4 * 4**n, 8) for n in range(5)]
    same = {f"layer{n}.kernel": rng.normal(0, (9 * s[2]) ** -0.5, s) for n, s in enumerate(shapes)}
    assert [row.size for row in tensor_stats(same)] == pytest.approx([1] * 5, rel=0.1)


def test_every_array_of_the_network_has_a_kind():
    _, params, statistics = flatten(abstract(CONFIG.model))
    kinds = layer_kinds({name: array.shape for name, array in (params | statistics).items()})
    groups = {kind.group for kind in kinds.values()}
    assert groups == {
        *("1×1 kernel", "3×3 kernel", "7×7 kernel", "linear kernel", "output kernel"),
        *("bias", "norm scale", "norm bias", "mean", "variance"),
    }
    assert {name for name, kind in kinds.items() if kind.group == "output kernel"} == {
        *("rpn_head.logits.kernel", "rpn_head.deltas.kernel", "box_head.logits.kernel", "box_head.deltas.kernel"),
        "mask_head.logits.kernel",
    }


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"a.conv.weight": (8, 4, 3, 3)}, ["3×3 kernel"]),
        ({"a.bn.weight": (8,), "a.bn.bias": (8,)}, ["norm scale", "norm bias"]),
        ({"a.fc.weight": (8, 4), "a.fc.bias": (8,)}, ["linear kernel", "bias"]),
        ({"bn.running_mean": (8,), "bn.running_var": (8,)}, ["mean", "variance"]),
        ({"bn.num_batches_tracked": ()}, ["other"]),
        ({"bn1/gamma": (8,), "bn1/beta": (8,), "bn1/moving_variance": (8,)}, ["norm scale", "norm bias", "variance"]),
        ({"conv1/kernel:0": (7, 7, 3, 64), "conv1/bias:0": (64,)}, ["7×7 kernel", "bias"]),
        ({"conv1_w": (64, 3, 7, 7), "bn_s": (64,), "bn_b": (64,)}, ["7×7 kernel", "norm scale", "norm bias"]),
        ({"weight": (3, 2), "anchors": (3, 4)}, ["linear kernel", "other"]),
    ],
)
def test_kinds_of_other_systems(shapes: dict, expected: list[str]):
    assert [kind.group for kind in layer_kinds(shapes).values()] == expected


def test_outputs_come_first_in_torch_and_last_in_flax():
    """8 outputs, each of 4 · 3 · 3 numbers; the second is dead."""
    torch = np.random.default_rng(0).normal(size=(8, 4, 3, 3))
    torch[1] = 0
    flax = torch.transpose(2, 3, 1, 0)
    stats = tensor_stats({"a.weight": torch, "b.kernel": flax})
    assert [row.dead_channels for row in stats] == [1, 1]
    assert [fan_in(row.shape, row.kind) for row in stats] == [36, 36]


def test_layers_come_in_the_order_of_an_image():
    names = ["rpn_head.logits.bias", "backbone.layer1.10.a", "backbone.layer1.9.a", "backbone.stem.a", "zoo.a"]
    names += ["mask_head.logits.a", "mask_head.upsample.a", "mask_head.convs.0.a", "fpn.output.0.a", "fpn.lateral.0.a"]
    assert list(in_order({name: np.zeros(1) for name in names})) == [
        *("backbone.stem.a", "backbone.layer1.9.a", "backbone.layer1.10.a", "fpn.lateral.0.a", "fpn.output.0.a"),
        *("rpn_head.logits.bias", "mask_head.convs.0.a", "mask_head.upsample.a", "mask_head.logits.a", "zoo.a"),
    ]


def test_histograms_count_the_whole_array(arrays: dict):
    """The notebook that this follows drew a slice only."""
    arrays[KERNEL][0, 0, 0, :2] = np.nan
    stats = tensor_stats(arrays)
    figures = list(histogram_figures(arrays, stats, "kernel"))
    drawn = [axes for figure in figures for axes in figure.axes if axes.axison]
    kernels = [row for row in stats if row.kind.role == "kernel"]
    assert len(drawn) == len(kernels) > 24 and len(figures) == 2
    for axes, row in zip(drawn, kernels, strict=True):
        [stairs] = axes.patches
        counts, edges, _ = stairs.get_data()
        assert len(counts) == 50 and counts.sum() == arrays[row.name].size - row.numbers.non_finite
        assert (edges[0], edges[-1]) == pytest.approx((row.numbers.min, row.numbers.max), rel=1e-6)
        assert row.name.startswith(axes.get_title()) or row.name.endswith(axes.get_title()[1:])


def test_flagged_kernels_look_different(arrays: dict):
    arrays[KERNEL][..., 0] = 0
    stats = tensor_stats(arrays)
    [figure] = layer_figures(stats)
    dots, crosses = figure.axes[0].lines
    assert (
        len(crosses.get_xdata()) == 1
        and len(dots.get_xdata()) == len([r for r in stats if r.kind.role == "kernel"]) - 1
    )
    norm = next(row.numbers.norm for row in stats if row.name == KERNEL)
    assert crosses.get_xdata()[0] == pytest.approx(norm)
    zeros = figure.axes[2].lines[1]
    assert zeros.get_xdata()[0] == pytest.approx(100 / 16)  # one of 16 channels
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[int(crosses.get_ydata()[0])] == LAYER


def test_no_text_of_a_figure_covers_another(arrays: dict):
    stats = tensor_stats(arrays)
    for figure in [*layer_figures(stats), *histogram_figures(arrays, stats, "kernel")]:
        FigureCanvasAgg(figure).draw()
        boxes = []
        for axes in filter(lambda axes: axes.axison, figure.axes):
            low, high = sorted(axes.get_xlim())
            labels = [x for x in axes.get_xticklabels() if low <= x.get_position()[0] <= high]
            texts = [axes.title, axes.xaxis.label, *labels, *axes.get_yticklabels()]
            boxes += [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
        assert len(boxes) > 40
        assert not any(box.overlaps(other) for place, box in enumerate(boxes) for other in boxes[place + 1 :])
