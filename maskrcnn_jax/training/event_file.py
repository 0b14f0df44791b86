"""TensorBoard's file of a run: one, whatever the number of starts."""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import scalar

HEADER, FOOTER = 12, 4
"""Bytes around a record: its length and the checksum of that; the checksum of its content."""


class EventFile:
    """Appends metrics to the TensorBoard file of a run folder.

    tensorboardX itself begins a new file at every start. A record that a killed process wrote in part is cut off:
    readers would see nothing after it. Readers drop what stands in the file from the first step on.

    Args:
        folder: The run folder.
        first_step: The next step that will be written.

    Raises:
        OSError: The file cannot be read or written.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        found = [path for path in sorted(folder.glob("events.out.tfevents.*")) if path.is_file()]
        path = found[-1] if found else folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._file = path.open("r+b" if found else "w+b")
        self._file.truncate(_whole_length(self._file.read()))
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() == 0:
            self._append(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._append(Event(wall_time=time.time(), step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends values by name; they are on their way to the disk when this returns.

        Raises:
            OSError: The disk is full.
        """
        for name, value in values.items():
            self._append(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _append(self, event: Event) -> None:
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        checksums = (struct.pack("<I", masked_crc32c(data)) for data in (length, content))
        self._file.write(length + next(checksums) + content + next(checksums))
        self._file.flush()


def _whole_length(data: bytes) -> int:
    """Bytes up to the end of the last whole record. Lengths are checked for all records, the content for the last."""
    ends = [0]
    while len(data) >= ends[-1] + HEADER + FOOTER:
        start = ends[-1]
        length, checksum = struct.unpack("<QI", data[start : start + HEADER])
        end = start + HEADER + length + FOOTER
        if end > len(data) or checksum != masked_crc32c(data[start : start + 8]):
            break
        ends.append(end)
    while len(ends) > 1 and not _is_whole(data[ends[-2] : ends[-1]]):
        ends.pop()
    return ends[-1]


def _is_whole(record: bytes) -> bool:
    return struct.unpack("<I", record[-FOOTER:])[0] == masked_crc32c(record[HEADER:-FOOTER])
