"""The examples in CONTRIBUTING.md work."""

import re
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from maskrcnn_jax.config.loading import load_config, read_trusted_config, save_config
from maskrcnn_jax.model.mask_rcnn import forward
from maskrcnn_jax.structs import BoxOutput, Rois

ROOT = Path(__file__).parents[1]


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)


def test_the_fork_replaces_the_mask_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    example, _ = examples()
    (tmp_path / "fork.py").write_text(example)
    save_config(load_config(tmp_path / "fork.py"), tmp_path)
    config = read_trusted_config(tmp_path)

    def masks(images: jax.Array, sizes: jax.Array) -> jax.Array | None:
        model = config.model.build(rngs=nnx.Rngs(0))
        assert type(model.mask_head).__name__ == "LinearMaskModule"
        return forward(model, images, sizes).mask_logits

    logits = jax.eval_shape(masks, jnp.zeros((1, 128, 128, 3), jnp.uint8), jnp.full((1, 2), 128.0))
    # 100 detections, twice the 14 cells that are pooled, 80 classes
    assert logits.shape == (1, 100, 28, 28, 80)
    assert logits.dtype == jnp.float32


def test_the_fork_replaces_the_box_loss(tmp_path: Path):
    _, example = examples()
    (tmp_path / "fork.py").write_text(example)
    config = load_config(tmp_path / "fork.py", ["--losses.giou.weight", "3"])
    assert [loss.name for loss in config.losses] == ["rpn_objectness", "rpn_box", "classification", "giou", "mask"]
    loss = config.losses[3]
    assert loss.weight == 3.0
    # Two foreground RoIs, one background RoI and a padded one, each predicted to be where it is.
    rois = Rois(
        boxes=jnp.array([[[0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 9, 9], [0, 0, 0, 0]]], jnp.float32),
        valid=jnp.array([[True, True, True, False]]),
        labels=jnp.array([[0, 2, 3, 3]]),
        matched_index=jnp.array([[0, 1, 0, 0]]),
    )
    objects = SimpleNamespace(boxes=jnp.array([[[0, 0, 10, 10], [10, 0, 20, 20]]], jnp.float32))

    def value(deltas: jax.Array) -> jax.Array:
        trace = SimpleNamespace(rois=rois, box=BoxOutput(jnp.zeros((1, 4, 4)), deltas))
        batch = SimpleNamespace(ground_truth=objects)
        return loss(SimpleNamespace(config=config.model), trace, batch, jax.random.key(0))

    found, gradient = jax.value_and_grad(value)(jnp.zeros((1, 4, 3, 4)))
    # The first fits: 0. The second shares nothing with its object: areas 100 and 200 in a hull of 400, so 1 + 1/4.
    np.testing.assert_allclose(found, 1.25 / 3, rtol=1e-6)
    assert np.isfinite(gradient).all() and gradient[0, 1, 2].any() and not gradient[0, 2:].any()
