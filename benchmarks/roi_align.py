"""RoIAlign of 1000 boxes from four levels of the pyramid of an image of 800 × 1088, 256 channels, to 7 × 7.

make bench ARGS=roi_align
"""

from collections import OrderedDict
from functools import partial

import jax
import numpy as np
import torch
import tyro
from images import random_boxes
from pair import alternate, report
from torchvision.ops import MultiScaleRoIAlign

from maskrcnn_jax.config import PoolConfig
from maskrcnn_jax.model.stages import pool

SHAPE = (800, 1088)


def main(rounds: int = 31, count: int = 1000) -> None:
    """Times level assignment and pooling together, with two samples per bin and axis."""
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(SHAPE[0] // s, SHAPE[1] // s, 256)).astype(np.float32) for s in (4, 8, 16, 32)]
    boxes = random_boxes(rng, count, SHAPE)

    run = jax.jit(partial(pool, image_shape=SHAPE, bins=7, config=PoolConfig(aligned=False)))
    ours = jax.device_put((tuple(features), boxes))
    layer = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    theirs = OrderedDict(
        (str(i), torch.from_numpy(f).permute(2, 0, 1)[None].contiguous()) for i, f in enumerate(features)
    )
    their_boxes = torch.from_numpy(boxes)

    @torch.inference_mode()
    def their_pooling():
        return layer(theirs, [their_boxes], [SHAPE])

    apart = np.abs(run(*ours)[0] - their_pooling().permute(0, 2, 3, 1).numpy()).max()
    assert apart < 1e-3, f"the results differ by {apart}"
    report("roi_align", {"pool": alternate(lambda: jax.block_until_ready(run(*ours)), their_pooling, rounds).summary()})


if __name__ == "__main__":
    tyro.cli(main)
