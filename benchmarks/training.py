"""A training step of Mask R-CNN R50-FPN: two images of 512 × 512, from images to updated weights.

make bench ARGS=training
"""

import dataclasses

import jax
import models
import numpy as np
import torch
import tyro
from images import ground_truth, random_image
from pair import alternate, report

from maskrcnn_jax.config import (
    BoxRegression,
    Classification,
    Config,
    DataConfig,
    Mask,
    OptimizerConfig,
    Phase,
    RPNBox,
    RPNObjectness,
    RunConfig,
)
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.step import start

RATE = 1e-6
"""Learning rate: so small that all rounds do the same work."""
LOSSES = (
    RPNObjectness(normalizer="sampled"),
    RPNBox(beta=1 / 9, normalizer="sampled"),
    Classification(),
    BoxRegression(beta=1 / 9),
    Mask(binary_targets=False, samples=0, aligned=False),
)
"""Losses as torchvision computes them."""


def torch_targets(boxes: np.ndarray, height: int, width: int) -> dict[str, torch.Tensor]:
    """The same objects in torchvision's format, with masks over the whole image."""
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width)[None] + 0.5
    x0, y0, x1, y1 = (edge[:, None, None] for edge in boxes.T)
    u, v = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
    masks = (u >= 0) & (v >= 0) & (u + v < 1)
    labels = torch.ones(len(boxes), dtype=torch.int64)
    return {"boxes": torch.from_numpy(boxes), "labels": labels, "masks": torch.from_numpy(masks).to(torch.uint8)}


def objects(model: torch.nn.Module, image: np.ndarray, count: int) -> np.ndarray:
    """Boxes of detections, used as objects, so that proposals match them as after training."""
    with torch.no_grad():
        found = model([models.to_torch(image)])[0]["boxes"]
    sides = found[:, 2:] - found[:, :2]
    return found[(sides > 16).all(dim=1)][:count].numpy()


def main(rounds: int = 11, side: int = 512, count: int = 8) -> None:
    """Times whole steps: losses, gradients of everything but the first two stages, and momentum."""
    images = [random_image(side, side, seed) for seed in range(2)]
    theirs, ours = models.models(images[0], background=3.0)
    boxes = [objects(theirs, image, count) for image in images]

    theirs.train()
    for name, value in theirs.backbone.body.named_parameters():
        value.requires_grad_(not name.startswith(("conv1", "layer1")))
    trainable = [value for value in theirs.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=RATE, momentum=0.9, weight_decay=1e-4)
    tensors, targets = [models.to_torch(x) for x in images], [torch_targets(b, side, side) for b in boxes]
    foreground = []
    theirs.roi_heads.mask_head.register_forward_hook(lambda _layer, inputs, _out: foreground.append(len(inputs[0])))

    def their_step():
        losses = theirs(tensors, targets)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        return {name: loss.item() for name, loss in losses.items()}

    proposals = dataclasses.replace(ours.config.rpn.proposals, train_top_k=2000, train_count=2000)
    ours.config = dataclasses.replace(ours.config, rpn=dataclasses.replace(ours.config.rpn, proposals=proposals))
    config = Config(
        model=ours.config,
        losses=LOSSES,
        optimizer=OptimizerConfig(learning_rate=RATE, warmup_steps=0, phases=(Phase("3+"),)),
        run=RunConfig(steps=10**6),
    )
    state, step = start(ours, config)
    step = jax.jit(step, donate_argnums=0)
    sizes, ids = np.full((2, 2), side, np.float32), np.arange(2)
    batch = jax.device_put(Batch(np.stack(images), sizes, ground_truth(boxes, DataConfig().mask_size), ids))

    def our_step():
        nonlocal state
        state, metrics = step(state, batch)
        return {name: float(value) for name, value in metrics.items()}

    print("losses", their_step(), our_step())
    times = alternate(our_step, their_step, rounds).summary()
    report("training", {"step": times | {"foreground rois": float(np.median(foreground))}})


if __name__ == "__main__":
    tyro.cli(main)
