"""Non-maximum suppression: 1000 candidates on each of five levels, and 1000 detections of 80 classes.

make bench ARGS=nms
"""

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro
from images import clustered_boxes
from pair import alternate, report
from torchvision.ops import batched_nms

from maskrcnn_jax.ops.nms import nms

SHAPE = (800, 1088)


@jax.jit
def of_levels(boxes: jax.Array, scores: jax.Array) -> jax.Array:
    """Which candidates each level keeps, as in the choice of proposals: `[levels, k]`."""
    return jax.vmap(lambda b, s: _sorted(b, s, 0.7, None))(boxes, scores)


@jax.jit
def of_classes(boxes: jax.Array, scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Which detections are kept, class by class."""
    return _sorted(boxes, scores, 0.5, labels)


def _sorted(boxes, scores, threshold, labels):
    order = jax.lax.top_k(scores, len(scores))[1]
    keep = nms(boxes[order], jnp.ones(len(scores), bool), threshold, None if labels is None else labels[order])
    return jnp.zeros_like(keep).at[order].set(keep)


def main(rounds: int = 31, count: int = 1000, levels: int = 5, classes: int = 80) -> None:
    """Times sorting and suppression; both keep the same boxes."""
    rng = np.random.default_rng(0)
    results = {}
    for name, threshold, groups, ours in (
        ("proposals", 0.7, levels, of_levels),
        ("classes", 0.5, classes, of_classes),
    ):
        total = count * levels if name == "proposals" else count
        boxes = clustered_boxes(rng, total, SHAPE)
        scores = rng.permutation(total).astype(np.float32) / total
        group = np.arange(total) // count if name == "proposals" else rng.integers(0, groups, total)
        theirs = [torch.from_numpy(x) for x in (boxes, scores, group)]
        arguments = (
            (boxes.reshape(levels, count, 4), scores.reshape(levels, count))
            if name == "proposals"
            else (boxes, scores, group)
        )
        arguments = jax.device_put(arguments)
        kept = batched_nms(*theirs, threshold).numpy()
        assert set(np.flatnonzero(ours(*arguments))) == set(kept), "the systems keep different boxes"
        times = alternate(
            lambda ours=ours, arguments=arguments: jax.block_until_ready(ours(*arguments)),
            lambda theirs=theirs, threshold=threshold: batched_nms(*theirs, threshold),
            rounds,
        )
        results[name] = times.summary() | {"boxes": total, "kept": len(kept)}
    report("nms", results)


if __name__ == "__main__":
    tyro.cli(main)
