"""The example in CONTRIBUTING.md works."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from maskrcnn_jax.config.loading import load_config, read_trusted_config, save_config
from maskrcnn_jax.model.mask_rcnn import forward

ROOT = Path(__file__).parents[1]


def test_the_fork_replaces_the_mask_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
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
