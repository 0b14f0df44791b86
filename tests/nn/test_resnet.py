"""ResNet: parameter counts of torchvision, strides from the inputs that each output depends on."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from maskrcnn_jax.nn.backbones.resnet import BLOCKS, Block, ResNet, ResNetModule, max_pool


@functools.cache
def abstract_resnet(depth, width=64, norm="batch", dtype=jnp.float32, **fields) -> ResNetModule:
    """Shapes and types only."""
    config = ResNet(depth=depth, width=width, norm=norm, **fields)
    return nnx.eval_shape(lambda: config.build(dtype=dtype, rngs=nnx.Rngs(0)))


def count(net):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))


def abstract_block(inputs, inner, outputs, stride, bottleneck, groups=1, stride_in_1x1=False):
    settings = {"groups": groups, "stride_in_1x1": stride_in_1x1, "norm": "none", "eps": 1e-5, "dtype": jnp.float32}
    return nnx.eval_shape(lambda: Block(inputs, inner, outputs, stride, bottleneck, **settings, rngs=nnx.Rngs(0)))


def positive(*shape):
    return jnp.asarray(np.random.default_rng(0).uniform(1, 2, shape), jnp.float32)


def block(*arguments, **options):
    """A block of positive weights, so that no ReLU hides a dependence."""
    graph, state = nnx.split(abstract_block(*arguments, **options))
    return nnx.merge(graph, jax.tree.map(lambda leaf: positive(*leaf.shape), state))


@pytest.mark.parametrize(
    ("depth", "published", "classifier"),
    [
        # torchvision's counts for the whole network, and for its 1000-class layer of 512 or 2048 inputs.
        (18, 11_689_512, 513_000),
        (34, 21_797_672, 513_000),
        (50, 25_557_032, 2_049_000),
    ],
)
def test_parameters_are_those_of_torchvision(depth, published, classifier):
    assert count(abstract_resnet(depth)) == published - classifier


@pytest.mark.parametrize(
    ("shallow", "deep", "difference"), [(50, 101, 44_549_160 - 25_557_032), (101, 152, 60_192_808 - 44_549_160)]
)
def test_deeper_nets_have_the_blocks_that_torchvisions_counts_imply(shallow, deep, difference):
    # The difference of torchvision's counts for two nets must be whole further blocks of the second and third stage:
    # 1×1, 3×3, 1×1 and twice as many norm numbers as channels.
    second = 512 * 128 + 9 * 128 * 128 + 128 * 512 + 2 * (128 + 128 + 512)
    third = 1024 * 256 + 9 * 256 * 256 + 256 * 1024 + 2 * (256 + 256 + 1024)
    more = [b - a for a, b in zip(BLOCKS[shallow], BLOCKS[deep], strict=True)]
    assert more[0] == more[3] == 0
    assert more[1] * second + more[2] * third == difference


def resnext():
    """ResNeXt-50 32×8d; 101 has 17 further blocks in its third stage."""
    return abstract_resnet(50, inner_width=256, groups=32)


def test_parameters_are_those_of_resnext():
    # torchvision's resnext101_32x8d has 88 791 336 parameters, 2 049 000 of them its classifier's.
    net = resnext()
    assert count(net) + 17 * count(net.layer3[1]) == 88_791_336 - 2_049_000
    # Frozen norms have no parameters: without them there are fewer by twice the channels, 64 in the stem, 256, 512,
    # 1024 and 2048 in the four projections, and (256 + 256 + 256) · 2^i in each of stage i's 3, 4, 6 and 3 blocks.
    norms = 2 * 64 + 2 * (256 + 512 + 1024 + 2048) + 2 * 768 * (3 * 1 + 4 * 2 + 6 * 4 + 3 * 8)
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)) if leaf.ndim == 1) == norms


def test_inner_width_doubles_from_stage_to_stage_and_does_not_change_the_outputs():
    net = resnext()
    assert ResNet(depth=50, inner_width=256, groups=32).channels == (256, 512, 1024, 2048)
    for i, stage in enumerate((net.layer1, net.layer2, net.layer3, net.layer4)):
        outputs = inner = 256 * 2**i
        shapes = [unit.conv.kernel.shape for unit in stage[1].convs]
        assert shapes == [(1, 1, outputs, inner), (3, 3, inner // 32, inner), (1, 1, inner, outputs)]


@pytest.mark.parametrize("stride", [1, 2])
def test_grouped_bottleneck_equals_a_loop_over_groups(stride):
    groups, x = 3, np.asarray(positive(1, 4, 6, 4)) - 1.5
    module = block(4, 6, 8, stride, bottleneck=True, groups=groups)
    reduce, middle, expand, shortcut = (
        (np.asarray(unit.conv.kernel[...]), np.asarray(unit.conv.bias[...]))
        for unit in (*module.convs, module.shortcut)
    )
    hidden = np.pad(np.maximum(x[0] @ reduce[0][0, 0] + reduce[1], 0), ((1, 1), (1, 1), (0, 0)))
    height, width = 4 // stride, 6 // stride
    grouped = np.tile(middle[1], (height, width, 1))
    for g in range(groups):
        part = slice(2 * g, 2 * g + 2)
        for i, j, di, dj in np.ndindex(height, width, 3, 3):
            grouped[i, j, part] += hidden[stride * i + di, stride * j + dj, part] @ middle[0][di, dj, :, part]
    branch = np.maximum(grouped, 0) @ expand[0][0, 0] + expand[1]
    expected = np.maximum(branch + x[0, ::stride, ::stride] @ shortcut[0][0, 0] + shortcut[1], 0)
    np.testing.assert_allclose(jax.jit(module)(jnp.asarray(x))[0], expected, rtol=1e-5)


@pytest.mark.parametrize("depth", BLOCKS)
def test_depth_counts_the_layers(depth):
    # The stem and the classifier are the other two layers.
    assert 2 + sum(BLOCKS[depth]) * (3 if depth >= 50 else 2) == depth


def test_frozen_batch_norm_leaves_only_parameters_of_convolutions():
    # 53 120 parameters are scale and bias of norms.
    assert count(abstract_resnet(50, norm="frozen_batch")) == 23_508_032 - 53_120


@pytest.mark.parametrize(
    ("depth", "expansion", "height", "width"), [(18, 1, 64, 96), (18, 1, 37, 41), (18, 1, 1, 33), (50, 4, 65, 97)]
)
def test_strides_round_up(depth, expansion, height, width):
    net = abstract_resnet(depth)
    features = jax.eval_shape(lambda n, x: n(x), net, jax.ShapeDtypeStruct((2, height, width, 3), jnp.float32))
    config = ResNet(depth=depth)
    expected = [(2, -(-height // s), -(-width // s), c) for s, c in zip((4, 8, 16, 32), config.channels, strict=True)]
    assert [f.shape for f in features] == expected
    assert config.channels == tuple(64 * expansion * 2**i for i in range(4))
    assert config.strides == (4, 8, 16, 32)


def depends_on(module, x):
    """Which pixels of the input the first output cell depends on."""
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(module(x)[0, 0, 0])))(x)
    return np.abs(np.asarray(gradient[0])).sum(axis=-1) > 0


def test_bottleneck_strides_in_its_3x3():
    seen = depends_on(block(4, 2, 8, 2, bottleneck=True), positive(1, 6, 6, 4))
    # The 3×3 around the corner, at full resolution.
    expected = np.zeros((6, 6), bool)
    expected[:2, :2] = True
    np.testing.assert_array_equal(seen, expected)


def test_bottleneck_strides_in_its_1x1_if_asked():
    seen = depends_on(block(4, 2, 8, 2, bottleneck=True, stride_in_1x1=True), positive(1, 6, 6, 4))
    # The first 1×1 drops every odd row and column; the 3×3 then sees its neighbours two pixels away.
    expected = np.zeros((6, 6), bool)
    expected[np.ix_([0, 2], [0, 2])] = True
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("stride_in_1x1", [False, True])
def test_basic_block_strides_in_its_first_3x3(stride_in_1x1):
    seen = depends_on(block(4, 8, 8, 2, bottleneck=False, stride_in_1x1=stride_in_1x1), positive(1, 8, 8, 4))
    # The second 3×3 sees cells 0 and 1 of the coarse grid, the first extends them to indices 0 … 1 and 1 … 3. With the
    # stride in the second, index 3 would be out of reach.
    expected = np.zeros((8, 8), bool)
    expected[:4, :4] = True
    np.testing.assert_array_equal(seen, expected)


def test_block_adds_its_branch_to_the_shortcut():
    module = block(2, 2, 2, 1, bottleneck=False)
    assert module.shortcut is None
    first, second = module.convs
    # Centre taps only: the branch is relu(2x + 1) · 3 - 6, added to x.
    for unit, factor, bias in ((first, 2.0, 1.0), (second, 3.0, -6.0)):
        kernel = np.zeros((3, 3, 2, 2), np.float32)
        kernel[1, 1] = factor * np.eye(2)
        unit.conv.kernel[...] = jnp.asarray(kernel)
        unit.conv.bias[...] = jnp.full(2, bias)
    x = jnp.array([-4.0, -1, 0, 0.5, 1, 2]).reshape(1, 1, 3, 2)
    expected = [max(3 * max(2 * v + 1, 0) - 6 + v, 0) for v in (-4.0, -1, 0, 0.5, 1, 2)]
    np.testing.assert_allclose(module(x).reshape(-1), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "inner", "outputs", "stride", "bottleneck", "projects"),
    [
        (8, 8, 8, 1, False, False),
        (8, 8, 8, 2, False, True),
        (4, 8, 8, 1, False, True),
        (8, 2, 8, 1, True, False),
        (8, 8, 32, 1, True, True),
    ],
)
def test_shortcut_projects_only_where_shapes_differ(inputs, inner, outputs, stride, bottleneck, projects):
    module = abstract_block(inputs, inner, outputs, stride, bottleneck)
    assert (module.shortcut is not None) == projects


@pytest.mark.parametrize("shape", [(6, 5), (7, 8), (1, 2)])
def test_max_pool_equals_the_definition(shape):
    # All negative: padding must not win.
    x = -np.random.default_rng(0).uniform(1, 2, (1, *shape, 2)).astype(np.float32)
    height, width = -(-shape[0] // 2), -(-shape[1] // 2)
    expected = np.zeros((1, height, width, 2), np.float32)
    for i in range(height):
        for j in range(width):
            near = x[0, max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
            expected[0, i, j] = near.max(axis=(0, 1))
    np.testing.assert_array_equal(max_pool(jnp.asarray(x), before=1), expected)


def same(size, stride, cells):
    """TensorFlow's SAME: as many outputs as strides begin, the padding split in two, the odd cell after."""
    outputs = -(-cells // stride)
    total = max((outputs - 1) * stride + size - cells, 0)
    return outputs, total // 2


@pytest.mark.parametrize("shape", [(6, 4), (2, 8), (16, 24)])
def test_max_pool_without_padding_before_is_that_of_tensorflow_on_even_sides(shape):
    x = -np.random.default_rng(0).uniform(1, 2, (1, *shape, 2)).astype(np.float32)
    (height, top), (width, left) = (same(3, 2, cells) for cells in shape)
    expected = np.zeros((1, height, width, 2), np.float32)
    for i in range(height):
        for j in range(width):
            near = x[0, max(2 * i - top, 0) : 2 * i - top + 3, max(2 * j - left, 0) : 2 * j - left + 3]
            expected[0, i, j] = near.max(axis=(0, 1))
    np.testing.assert_array_equal(max_pool(jnp.asarray(x), before=0), expected)


@pytest.mark.parametrize(("pool_after", "first", "last"), [(False, -5, 5), (True, -3, 7)])
def test_pool_after_shifts_what_the_first_stage_sees(pool_after, first, last):
    # Stage 1 of a net without blocks is its stem. The window of cell 2, indices 3 … 5 of the 7×7 convolution with its
    # padding of 3, reaches from pixel 2 · 3 - 3 to 2 · 5 + 3: 8 - 5 … 8 + 5. One stem cell later it is 8 - 3 … 8 + 7.
    net = abstract_resnet(18, 1, pool_after=pool_after, norm="none")
    net.layer1, net.layer2, net.layer3, net.layer4 = (nnx.List() for _ in range(4))
    graph, state = nnx.split(net)
    net = nnx.merge(graph, jax.tree.map(lambda leaf: positive(*leaf.shape), state))
    x = jnp.ones((1, 32, 32, 3))

    def changed(row):
        before, after = (net(v)[0][0, 2, 2, 0] for v in (x, x.at[0, row].add(1)))
        return before != after

    # Under positive weights and a constant image, whatever grows inside the window makes its largest cell larger.
    seen = [row for row in range(32) if changed(row)]
    assert seen == list(range(8 + first, 8 + last + 1))


def test_stages_are_named_as_in_torchvision_and_run_in_order():
    net = abstract_resnet(50)
    assert [len(s) for s in (net.layer1, net.layer2, net.layer3, net.layer4)] == [3, 4, 6, 3]
    for stage, stride in ((net.layer1, 1), (net.layer2, 2), (net.layer3, 2), (net.layer4, 2)):
        # The first block of a stage strides and projects, the others do neither.
        assert stage[0].shortcut.conv.strides in (stride, (stride, stride))
        assert all(b.shortcut is None for b in list(stage)[1:])


def test_bfloat16_features_have_float32_weights():
    net = abstract_resnet(18, 8, norm="frozen_batch", dtype=jnp.bfloat16)
    features = jax.eval_shape(lambda n, x: n(x), net, jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
    assert {f.dtype for f in features} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(net))} == {jnp.dtype(jnp.float32)}
