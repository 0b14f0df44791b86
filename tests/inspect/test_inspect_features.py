"""Features of noise are about 1 of sound weights, and above all bounds of weights with wrong conventions."""

import jax
import numpy as np
import pytest
from small import CONFIG, build

from maskrcnn_jax.inspect.weights.features import exploded, feature_means
from maskrcnn_jax.inspect.weights.source import WeightSource
from maskrcnn_jax.nn.params import flatten


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    _, params, statistics = flatten(build(CONFIG.model))
    return {name: np.array(array) for name, array in jax.device_get(params | statistics).items()}


def means(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    return feature_means(WeightSource("x", arrays, "", CONFIG.model))


def test_sound_weights_have_small_features(arrays: dict[str, np.ndarray]):
    found = means(arrays)
    assert list(found) == ["P2", "P3", "P4", "P5", "P6"]
    assert all(0 < mean < 100 for mean in found.values()) and exploded(found) == []


def test_features_explode_where_a_norm_divides_by_nearly_nothing(arrays: dict[str, np.ndarray]):
    """As with variances of 0 and an epsilon of 1e-5: everything 300 times as large, layer after layer."""
    small = {name: array * 0 if name.endswith(".var") else array for name, array in arrays.items()}
    assert "P5" in exploded(means(small))
    broken = {name: array * np.nan if name.endswith("stem.conv.kernel") else array for name, array in arrays.items()}
    assert exploded(means(broken)) == ["P2", "P3", "P4", "P5", "P6"]


def test_a_backbone_alone_is_run_alone(arrays: dict[str, np.ndarray]):
    backbone = {name: array for name, array in arrays.items() if name.startswith("backbone.")}
    assert list(means(backbone)) == ["C2", "C3", "C4", "C5"]
    assert means({name: array for name, array in backbone.items() if "stem" not in name}) == {}
    assert feature_means(WeightSource("x", arrays, "", None)) == {}
