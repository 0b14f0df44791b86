"""Trains Mask R-CNN: `python train.py --help`."""

from maskrcnn_jax.cli.train import main

if __name__ == "__main__":
    main()
