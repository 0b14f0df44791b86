"""Fuzz targets with one fault each, which the harness must find."""

import asyncio
import ctypes
import os
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
from fuzz_target import FuzzTarget

from maskrcnn_jax.data.prepare.problems import DatasetError


def nothing(rng, folder: Path) -> None:
    (folder / "number").write_text(str(rng.random()))


def read(folder: Path) -> None:
    (folder / "number").read_text()


def refuse(folder: Path) -> None:
    raise DatasetError(f"{folder}: holds no data set; give another folder")


def lack_a_file(folder: Path) -> None:
    (folder / "nowhere").read_text()


def show_a_type_error(folder: Path) -> None:
    len(3)  # type: ignore[arg-type]


def die_of_a_segmentation_fault(folder: Path) -> None:
    ctypes.string_at(0)


def hang(folder: Path) -> None:
    time.sleep(3600)


def take_time(folder: Path) -> None:
    began = time.process_time()
    while time.process_time() - began < 1.8:
        pass


def take_memory(folder: Path) -> None:
    np.ones(300_000_000, np.uint8)


def print_a_traceback(folder: Path) -> None:
    thread = threading.Thread(target=lambda: print("Traceback (most recent call last)", file=sys.stderr))
    thread.start()
    thread.join()


def say_nothing(folder: Path) -> None:
    raise DatasetError("it does not work")


def say_too_much(folder: Path) -> None:
    try:
        len(3)  # type: ignore[arg-type]
    except TypeError:
        raise DatasetError(f"{folder}: {traceback.format_exc()}") from None


def say_how_it_is_made(folder: Path) -> None:
    try:
        {}["width"]
    except KeyError as error:
        raise DatasetError(f"{folder}: {error!r}") from error


def leave_a_task_behind(folder: Path) -> None:
    """Its error is printed when it is freed, by asyncio."""

    async def fail() -> None:
        raise ValueError(f"{folder}: nobody waits for this")

    async def main() -> None:
        task = asyncio.ensure_future(fail())
        task.circle = task  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    asyncio.run(main())


def leave(folder: Path) -> None:
    os._exit(3)


FINE = (read, refuse, lack_a_file)
FAULTS = (
    (show_a_type_error, "TypeError in planted.py:show_a_type_error"),
    (die_of_a_segmentation_fault, "SIGSEGV in die_of_a_segmentation_fault"),
    (hang, "hangs in hang"),
    (take_time, "time (take_time)"),
    (take_memory, "memory (take_memory)"),
    (print_a_traceback, "prints a traceback"),
    (say_nothing, "message: the message names neither a file nor a field (DatasetError in planted.py:say_nothing)"),
    (say_too_much, "message: the message holds a traceback (DatasetError in planted.py:say_too_much)"),
    (
        say_how_it_is_made,
        "message: the message speaks of the program's inside (DatasetError in planted.py:say_how_it_is_made)",
    ),
    (leave_a_task_behind, "prints a traceback"),
    (leave, "ends the process with status 3 in leave"),
)
TARGETS = tuple(FuzzTarget(read.__name__, nothing, read) for read in (*FINE, *(fault for fault, _ in FAULTS)))
