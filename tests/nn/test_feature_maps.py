"""Errors for maps that are not what a backbone or a neck declares."""

import jax.numpy as jnp
import pytest

from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.nn.feature_maps import require_maps


def maps(*shapes):
    return [jnp.zeros((1, *shape)) for shape in shapes]


def test_sizes_may_be_rounded_up_or_down():
    for size in (3, 4):
        require_maps("model.backbone", maps((13, 25, 8), (size, 6, 16)), (8, 16), (8, 32), (100, 200))


@pytest.mark.parametrize(
    ("shapes", "channels", "strides", "message"),
    [
        ([(16, 16, 8)], (8, 16), (4, 8), "model.backbone.strides = (4, 8): the module returns 1 map"),
        ([(16, 16, 8)], (8,), (2,), "model.backbone.strides = (2,): map 0 of the module is"),
        ([(16, 16, 8)], (9,), (4,), "model.backbone.channels = (9,): map 0 of the module is"),
    ],
)
def test_errors(shapes, channels, strides, message):
    with pytest.raises(ConfigError) as error:
        require_maps("model.backbone", maps(*shapes), channels, strides, (64, 64))
    assert message in str(error.value)
