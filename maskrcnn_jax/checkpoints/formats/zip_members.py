"""The members of an uncompressed ZIP file as views of the mapped file, without copies."""

import struct
import zipfile
import zlib
from pathlib import Path

from maskrcnn_jax.checkpoints.formats.stored import WeightFileError, damaged

LOCAL_HEADER = b"PK\x03\x04"


class Member:
    """A member of a ZIP file.

    Args:
        path: the name of the ZIP file, for messages.
        name: of the member.
        data: its bytes.
        crc: their checksum in the file; 0 where torch was told to write none.
    """

    def __init__(self, path: Path, name: str, data: memoryview, crc: int) -> None:
        self.data = data
        self._path, self._name, self._crc = path, name, crc
        self._is_verified = crc == 0

    def verify(self) -> None:
        """Compares the bytes with their checksum, once.

        Raises:
            WeightFileError: they are not the bytes that were written.
        """
        if self._is_verified:
            return
        if zlib.crc32(self.data) != self._crc:
            raise damaged(self._path, f"the checksum of {self._name!r:.200} does not match its bytes")
        self._is_verified = True


def zip_members(path: Path, whole: memoryview) -> dict[str, Member]:
    """The members of a ZIP file by name.

    Args:
        path: the file, whose directory is read.
        whole: the bytes of the file.

    Raises:
        WeightFileError: it is damaged, compressed or encrypted.
    """
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise damaged(path, error) from error
    return {entry.filename: _member(path, entry, whole) for entry in entries}


def _member(path: Path, entry: zipfile.ZipInfo, whole: memoryview) -> Member:
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise WeightFileError(f"{path} is compressed or encrypted: save it again with torch.save")
    header = bytes(whole[max(entry.header_offset, 0) : max(entry.header_offset, 0) + 30])
    if len(header) < 30 or not header.startswith(LOCAL_HEADER) or entry.compress_size != entry.file_size:
        raise damaged(path, f"{entry.filename!r:.200} is not where the directory of the ZIP file says")
    # The lengths of the name and of the extra field may differ from those of the directory at the end.
    start = entry.header_offset + 30 + sum(struct.unpack("<2H", header[26:]))
    if start + entry.file_size > len(whole):
        raise damaged(path, f"{entry.filename!r:.200} reaches beyond the end")
    return Member(path, entry.filename, whole[start : start + entry.file_size], entry.CRC)
