"""A folder that is filled beside its place and then moved there."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.files.lock import Locked, lock

LOCK, EARLIER, RECORDS = "lock", "earlier", "records"


@contextlib.contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """An empty folder for what is to become `out`: `finish` renames it, otherwise it is removed.

    It lies in `.NAME.unfinished` beside `out`, locked by the process that fills it. What a killed process left there is
    removed by the next, which also puts back an earlier `out` that was just being replaced.

    Args:
        out: The folder in the end; its parents are made.

    Yields:
        The empty folder.

    Raises:
        DatasetError: Another process is filling it.
        OSError: The file system refuses.
    """
    place = out.resolve()
    scratch = place.with_name(f".{place.name}.unfinished")
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(scratch / LOCK))
        except Locked as error:
            raise DatasetError(f"out = {out}: another prepare writes it ({error})") from error
        try:
            if (scratch / EARLIER).exists() and not place.exists():
                os.replace(scratch / EARLIER, place)
            for left in (scratch / EARLIER, scratch / RECORDS):
                if left.exists():
                    shutil.rmtree(left)
            (scratch / RECORDS).mkdir()
            yield scratch / RECORDS
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def finish(written: Path, out: Path) -> None:
    """Puts a finished folder of `unfinished` in the place of an earlier one."""
    place, earlier = out.resolve(), written.with_name(EARLIER)
    if place.exists():
        os.replace(place, earlier)
    try:
        os.replace(written, place)
    except OSError:
        if earlier.exists():
            os.replace(earlier, place)
        raise
