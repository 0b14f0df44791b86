"""Inference of Mask R-CNN R50-FPN: one image of 800 × 1088, 100 objects found.

make bench ARGS=inference
"""

from unittest import mock

import jax
import models
import torch
import tyro
from images import random_image
from pair import alternate, report

import maskrcnn_jax as mr
from maskrcnn_jax.prediction.detector import Detector


def main(rounds: int = 15, height: int = 800, width: int = 1088) -> None:
    """Times the network alone, and all steps from the image to masks in image size."""
    image = random_image(height, width, seed=0)
    theirs, ours = models.models(image, background=3.0)
    tensor = models.to_torch(image)
    fitted = mr.fit(image, ours.config.input)
    detector = Detector(ours)
    predictor = mr.Predictor(ours)

    @torch.inference_mode()
    def their_network():
        with mock.patch.object(theirs.transform, "postprocess", lambda found, *_: found):
            return theirs([tensor])

    @torch.inference_mode()
    def their_prediction():
        return theirs([models.to_torch(image)])

    def our_network():
        return jax.block_until_ready(detector(fitted.image[None], fitted.size[None]))

    counts = len(their_network()[0]["boxes"]), int(our_network().valid.sum())
    assert counts == (100, 100), f"objects found by torchvision and by this project: {counts}"
    results = {
        "network": alternate(our_network, their_network, rounds).summary(),
        "image to masks": alternate(lambda: predictor([image]), their_prediction, rounds).summary(),
    }
    report("inference", results)


if __name__ == "__main__":
    tyro.cli(main)
