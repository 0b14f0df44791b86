"""The folder of an evaluation's results, with a description of the checkpoint and the data."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from maskrcnn_jax.config import CocoSource, ModelConfig, Source
from maskrcnn_jax.config.serialization import to_plain
from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.reading import read_bytes
from maskrcnn_jax.files.writing import write_text

DESCRIPTION = "evaluation.json"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A checkpoint and the data that it is evaluated on."""

    checkpoint: Path
    """A run folder or a file of weights."""
    step: int | None
    """Of a run folder."""
    data: Source
    model: ModelConfig
    """Including the changes of the command line."""

    def make_folder(self) -> Path:
        """Makes the folder for the results and describes the evaluation in it; returns the folder.

        It is `RUN/evaluation/step_000400_coco_mini_val`, or `WEIGHTS.evaluation/coco_mini_val`. The same evaluation
        gets the same folder again. Another with the same name, on a data set in another folder or with other
        thresholds, gets one that ends in `_2`, and so on: results never overwrite those of another evaluation.

        Raises:
            OSError: The folder cannot be made or written.
        """
        run = self.checkpoint.is_dir()
        parent = self.checkpoint / "evaluation" if run else self.checkpoint.with_suffix(".evaluation")
        name = f"step_{self.step:06}_{_name(self.data)}" if run and self.step is not None else _name(self.data)
        described = self._described()
        number, folder = 1, parent / name
        while folder.exists() and _read(folder / DESCRIPTION) not in (None, described):
            number += 1
            folder = parent / f"{name}_{number}"
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / DESCRIPTION, json.dumps(described, indent=2) + "\n")
        return folder

    def _described(self) -> dict[str, Any]:
        """The evaluation as JSON, with the absolute path of the data."""
        data = self.data
        if isinstance(data, CocoSource):
            data = dataclasses.replace(data, folder=data.folder.resolve())
        this = {"checkpoint": self.checkpoint.resolve().name, "step": self.step}
        return this | {"data": to_plain(data), "model": to_plain(self.model)}


def _name(data: Source) -> str:
    """A short name for a data set that a file name can hold."""
    kind = type(data).__name__.removesuffix("Source").lower()
    given = f"{data.folder.name}_{data.split}" if isinstance(data, CocoSource) else kind
    return re.sub(r"[^\w.]+", "_", given).strip("_.")[:100] or "data"


def _read(file: Path) -> Any:
    """The description in a folder; None if it was never written, as by a process that was killed."""
    try:
        return parse_json(read_bytes(file))
    except FileNotFoundError:
        return None
    except JsonError:
        return {}
