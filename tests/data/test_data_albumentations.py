"""Transforms of albumentations, which is optional: a stand-in has what the adapter asks of it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from maskrcnn_jax.config import Albumentations, ConfigError


class ImageOnlyTransform:
    """Every transform of pixels."""


class Noise(ImageOnlyTransform):
    """Adds random numbers up to `most`."""

    def __init__(self, most: int = 9):
        self.most = most

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image + rng.integers(0, self.most, image.shape, np.uint8)


class Turn:
    """Changes geometry."""


class Compose:
    """Applies transforms, seeded."""

    def __init__(self, transforms: list, seed: int):
        self.transforms, self.seed = transforms, seed

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.seed)
        for transform in self.transforms:
            image = transform(image, rng)
        return {"image": image}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(ImageOnlyTransform=ImageOnlyTransform, Compose=Compose, Noise=Noise, Turn=Turn)
    monkeypatch.setitem(sys.modules, "albumentations", stand_in)


def image() -> np.ndarray:
    return np.full((6, 8, 3), 100, np.uint8)


def test_it_is_seeded_by_the_generator(library: None):
    noise = Albumentations("Noise", '{"most": 5}')
    first, again, other = (noise.recolor(image(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and first.min() >= 100 and first.max() == 104


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (Albumentations("Nois"), r"data.transforms.albumentations.transform = 'Nois': must be a transform"),
        (Albumentations("Turn", name="turned"), r"data.transforms.turned.transform = 'Turn': .*changes pixels alone"),
        (Albumentations("Noise", '{"mos": 5}'), r"parameters = .*: Noise does not accept them .*unexpected keyword"),
    ],
)
def test_what_it_does_not_have_is_an_error(library: None, transform: Albumentations, message: str):
    with pytest.raises(ConfigError, match=message):
        transform.recolor(image(), np.random.default_rng(0))


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ConfigError, match=r"needs albumentations, .*pip install albumentations"):
        Albumentations().recolor(image(), np.random.default_rng(0))


@pytest.mark.parametrize("parameters", ["{", "[1]", "no"])
def test_parameters_must_be_json(parameters: str):
    with pytest.raises(ConfigError, match=r"x.parameters = .*: must be a JSON object"):
        Albumentations(parameters=parameters).validate("x")
    Albumentations(parameters='{"p": 0.5}').validate("x")
