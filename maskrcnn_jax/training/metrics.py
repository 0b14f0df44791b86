"""The metrics of a run: one JSON line per record, TensorBoard events and a line on the console."""

import io
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, SupportsFloat, runtime_checkable

from tqdm import tqdm

from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.reading import read_bytes
from maskrcnn_jax.files.writing import write_text
from maskrcnn_jax.messages.system_errors import format_error
from maskrcnn_jax.training.event_file import EventFile

FILE_NAME = "metrics.jsonl"


class RecordError(ValueError):
    """A record that cannot be read."""


def read(folder: Path | str) -> list[dict[str, int | float]]:
    """The records of a run folder in the order in which they were written.

    A last line without newline is a write that was cut off, and is left out; so a run may be read while it runs.

    Args:
        folder: The run folder.

    Returns:
        One dict per record: `step` (int) and the scalars. Values that were not finite are NaN. Empty for a folder
        without records.

    Raises:
        RecordError: The file cannot be read, or a line before the last; the message names file and line.
    """
    path = Path(folder) / FILE_NAME
    try:
        lines = read_bytes(path).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordError(format_error(error)) from error
    return [_record(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _record(line: bytes, where: str) -> dict[str, int | float]:
    try:
        record = parse_json(line)
    except JsonError:
        record = None
    whole = isinstance(record, dict) and type(record.get("step")) is int and all(map(_is_number, record.values()))
    if not whole:
        shown = line[:80].decode("utf-8", "backslashreplace")
        raise RecordError(f"{where} is damaged: {shown!r}; remove that line")
    return {name: math.nan if value is None else value for name, value in record.items()}


def _is_number(value: Any) -> bool:
    return value is None or type(value) is float or (type(value) is int and abs(value) < 2**63)


@runtime_checkable
class Writer(Protocol):
    """Takes the metrics of a run."""

    def write(self, step: int, scalars: Mapping[str, SupportsFloat], *, shown: Sequence[str] | None = None) -> None:
        """Takes one record; see `MetricWriter.write`."""


class NullWriter(Writer):
    """Writes nothing: for all processes of a run but the first."""

    def write(self, step: int, scalars: Mapping[str, SupportsFloat], *, shown: Sequence[str] | None = None) -> None:
        """Ignores the record."""


class MetricWriter(Writer):
    """Writes each record to `metrics.jsonl`, to TensorBoard and to the console.

    On a terminal the console shows one live line, elsewhere one plain line per record. Both tell the rate since the
    previous record and the time left at that rate. A second record at the same step (an evaluation) restarts the
    clock, so that its duration does not count as training.

    Records after `first_step` stem from a part of the run that was lost; opening the folder removes them, and where no
    step is left the evaluation of the last, which is made again. Only one process may write to a folder.

    Args:
        folder: The run folder; created if missing.
        total_steps: Steps at which the run ends.
        first_step: Steps done already: 0, or the step of the checkpoint that the run continues from.
        console: Where the progress goes; standard error by default, as TensorBoard and tqdm do.
    """

    def __init__(
        self, folder: Path | str, *, total_steps: int, first_step: int = 0, console: io.TextIOBase | None = None
    ) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._console = sys.stderr if console is None else console
        self._total = total_steps
        self._last = (first_step, time.perf_counter())
        self._rate = 0.0
        _keep_until(folder, first_step, finished=first_step == total_steps)
        self._file = (folder / FILE_NAME).open("a", encoding="utf-8")
        self._board = EventFile(folder, first_step + 1)
        self._bar = None
        if self._console.isatty():
            form = "{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} {postfix}"
            self._bar = tqdm(
                total=total_steps, initial=first_step, file=self._console, bar_format=form, dynamic_ncols=True
            )

    def write(self, step: int, scalars: Mapping[str, SupportsFloat], *, shown: Sequence[str] | None = None) -> None:
        """Appends one record; it is on its way to the disk when this returns.

        Args:
            step: Steps done, never below that of the record before.
            scalars: Name → value. A name with a slash, "loss/mask", belongs to a group in TensorBoard. What is not
                finite is stored as null.
            shown: Names that go to the console; all by default.

        Raises:
            OSError: The disk is full or the folder is gone.
        """
        values = {name: float(value) for name, value in scalars.items()}
        try:
            self._file.write(_line({"step": int(step), **values}))
            self._file.flush()
            self._board.write(int(step), values)
        except OSError as error:  # of a file that is open, so it does not say which
            raise OSError(error.errno, error.strerror, str(self._folder)) from error
        self._show(step, {name: values[name] for name in (values if shown is None else shown)})

    def close(self) -> None:
        """Flushes and closes all three outputs."""
        if self._bar is not None:
            self._bar.close()
        self._board.close()
        self._file.close()

    def __enter__(self) -> "MetricWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show(self, step: int, values: Mapping[str, float]) -> None:
        now = time.perf_counter()
        last_step, last_time = self._last
        trained = step > last_step
        if trained:
            self._rate = (step - last_step) / max(now - last_time, 1e-9)
        self._last = (step, now)
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        if trained:
            text = f"{self._rate:.3g} steps/s  {_duration((self._total - step) / self._rate)} left  {text}"
        if self._bar is None:
            width = len(str(self._total))
            print(f"step {step:>{width}}/{self._total}  {text}", file=self._console, flush=True)
        elif trained:
            self._bar.n = step
            self._bar.set_postfix_str(text)
        else:
            self._bar.write(f"step {step}  {text}", file=self._console)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps({name: value if math.isfinite(value) else None for name, value in record.items()}) + "\n"


def _keep_until(folder: Path, step: int, finished: bool) -> None:
    """Replaces the file by its records up to `step`; atomic: a crash keeps the old file."""
    records = [record for record in read(folder) if record["step"] <= step]
    while finished and records and records[-1]["step"] == step and "loss" not in records[-1]:
        records.pop()
    write_text(folder / FILE_NAME, "".join(map(_line, records)))


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds: "0:02:45"."""
    minutes, second = divmod(round(max(seconds, 0.0)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"
