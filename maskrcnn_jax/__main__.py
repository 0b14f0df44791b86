"""The command line: `python -m maskrcnn_jax COMMAND --help`."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import tyro


def prepare(
    folder: Annotated[Path, tyro.conf.Positional],
    out: Path,
    splits: tuple[str, ...] = (),
    images: Path | None = None,
) -> None:
    """Write a COCO-format data set as records that training reads: checks everything, then writes.

    Args:
        folder: Holds annotations/instances_SPLIT.json and SPLIT/ or images/, or the official zips; or one JSON file.
        out: Folder for the records. An earlier data set there is replaced once the new one is complete.
        splits: Splits to write, such as "train val"; all if none is named.
        images: Image folder, if it is not beside the annotations.
    """
    from maskrcnn_jax.data.prepare import prepare as write

    for split, count in write(folder, out, splits, images).items():
        print(f"{split}: {count} images in {out}")


COMMANDS = {"prepare": prepare}
"""Each command imports what it needs when it is called, so that `--help` is quick."""


def main() -> None:
    """Runs the command that the arguments name; bad input ends with its message alone."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="python -m maskrcnn_jax")
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
