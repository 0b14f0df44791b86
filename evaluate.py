"""Scores a checkpoint with COCO's box and mask AP: `python evaluate.py --help`."""

from maskrcnn_jax.cli.evaluate import main

if __name__ == "__main__":
    main()
