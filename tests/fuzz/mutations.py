"""Damage done at random to bytes, JSON, names and files."""

import copy
import gzip
import io
import json
import math
import os
import struct
import zipfile
from pathlib import Path
from random import Random
from typing import Any

NUMBERS = (
    0, -1, 1, -0.0, 0.5, 1.0, 7, 255, 65536, 1e8, -1e8, 1e19, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63) - 1,
    1e300, 10**400, -(10**400), math.nan, math.inf, -math.inf, 1e-300,
)  # fmt: skip
TEXTS = (
    "", " ", "0", "7", "false", "true", "null", "NaN", "1e5", "\x00", "\x1b[31mred\x1b[0m", "a\nb", "\u202egnp.txt",
    "\ud800", "日本語", "e\u0301", "/dev/zero", "/etc/passwd", "../../../etc/passwd", "..\\..\\a.png", "C:\\a.png",
    "a" * 300, "x" * 100_000, ".", "..", "/", "%s%n", "$x_{$", "<b>&amp;", "con", "-rf",
)  # fmt: skip
NAMES = (
    "ä.png", "a\u0308.png", "\x1b[2J.png", "a b.png", "b\n.png", "\u202eb.png", "\udcff.png", "A.PNG", "..png",
    ".hidden.png", "x" * 250, "-a.png", "a.png ", "日本.jpg", "a.jpg.exe", "$(id).png",
)  # fmt: skip


def odd_value(rng: Random) -> Any:
    """A value that no format means."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(NUMBERS)
    if kind == 1:
        return rng.choice(TEXTS)
    if kind == 2:
        return rng.choice([None, True, False, [], {}, [[]], [None], [[[]]], [{}], {"": None}, {"a": {"b": []}}])
    if kind == 3:
        return nested(rng.choice([5, 60, 400]), rng.random() < 0.5)
    if kind == 4:
        return [rng.choice(NUMBERS) for _ in range(rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 50]))]
    return rng.choice([str, lambda number: [number], lambda number: {"value": number}])(rng.choice(NUMBERS))


def nested(depth: int, lists: bool) -> Any:
    """Lists or objects inside each other."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


def spots(tree: Any, limit: int = 5000) -> list[tuple[Any, Any]]:
    """(container, key) of every value in a tree of lists and dicts."""
    found, waiting = [], [tree]
    while waiting and len(found) < limit:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            found.append((node, key))
            waiting.append(node[key])
    return found


def damaged_tree(rng: Random, tree: Any, times: int | None = None) -> Any:
    """A copy of a tree of JSON with values exchanged, deleted, repeated or made odd."""
    tree = copy.deepcopy(tree)
    for _ in range(times or rng.choice([1, 1, 1, 2, 4])):
        found = spots(tree)
        if not found or rng.random() < 0.02:
            return odd_value(rng)
        node, key = rng.choice(found)
        value, kind = node[key], rng.randrange(10)
        if kind < 4:
            node[key] = odd_value(rng)
        elif kind == 4:
            del node[key]
        elif kind == 5:
            other, its = rng.choice(found)
            if its in other if isinstance(other, dict) else its < len(other):
                node[key] = copy.deepcopy(other[its])
        elif kind == 6:
            node[key] = otherwise(rng, value)
        elif kind == 7 and isinstance(node, list):
            node.extend(copy.deepcopy(rng.choice(node)) for _ in range(rng.choice([1, 3, 100])))
        elif kind == 8 and isinstance(node, dict):
            node[rng.choice(TEXTS)] = node.pop(key)
        else:
            node[key] = [value] if rng.random() < 0.5 else {"0": value}
    return tree


def otherwise(rng: Random, value: Any) -> Any:
    """The same value as another type, or another one of its type."""
    if isinstance(value, bool):
        return rng.choice([str(value), int(value), not value])
    if isinstance(value, int | float):
        if abs(value) > 10**300:  # Already changed, to a whole number that no float holds.
            return None
        return rng.choice([str(value), -value, value * 1e8, value + 0.5, float(value), bool(value), value * 10, None])
    if isinstance(value, str):
        return rng.choice(
            [value.upper(), value + " ", value[::-1], value.encode().hex(), value * 50, rng.choice(TEXTS)]
        )
    if isinstance(value, list):
        return rng.choice([value[::-1], value * 3, value[:-1], dict(enumerate(map(str, value))), [*value, None]])
    if isinstance(value, dict):
        return rng.choice([list(value.values()), list(value), dict(reversed(value.items()))])
    return odd_value(rng)


def written_json(rng: Random, tree: Any) -> bytes:
    """A tree as a file: mostly UTF-8, at times another encoding, or what is no JSON at all."""
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    kind = rng.randrange(40)
    if kind == 0:
        return "\n".join(json.dumps(part) for part in (tree if isinstance(tree, list) else [tree, tree])).encode()
    if kind == 1:
        return ("[" * 100_000 + text + "]" * 100_000).encode("utf-8", "surrogatepass")
    if kind == 2:
        return gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0)
    if kind == 3:
        return zipped({"a.json": text.encode("utf-8", "surrogatepass")})
    if kind == 4:
        return text[:-1].encode("utf-8", "surrogatepass") + b",}"
    if kind < 10:
        encoding = rng.choice(["utf-16", "utf-16-be", "utf-32", "utf-8-sig", "gb18030", "latin-1", "cp1252"])
        return text.encode(encoding, "replace")
    return text.encode("utf-8", "surrogatepass")


def zipped(files: dict[str, bytes]) -> bytes:
    """A ZIP archive with these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return content.getvalue()


def damaged_bytes(rng: Random, data: bytes) -> bytes:
    """A copy of a file with bits, fields or blocks changed, missing or too many."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if not content:
            return bytes(rng.randbytes(rng.choice([0, 1, 8, 200])))
        # Headers lie at the beginning, directories at the end.
        at = rng.choice([rng.randrange(len(content)), rng.randrange(min(len(content), 200)), max(0, len(content) - 1 -
                         rng.randrange(min(len(content), 200)))])  # fmt: skip
        length = rng.choice([1, 2, 4, 8, 30, 1000])
        kind = rng.randrange(9)
        if kind < 2:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            content[at] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        elif kind == 3:
            number = rng.choice([0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 50_000, 2**20])
            content[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
        elif kind == 4:
            number = rng.choice([0, 1, 2**32, 2**63 - 1, 2**64 - 1, 2**40])
            content[at : at + 8] = struct.pack(rng.choice("<>") + "Q", number)
        elif kind == 5:
            del content[at : at + length]
        elif kind == 6:
            content[at:at] = content[at : at + length]
        elif kind == 7:
            content[at:at] = rng.randbytes(length)
        else:
            del content[at:]
    return bytes(content)


def files_in(folder: Path) -> list[Path]:
    """All regular files below a folder, in a stable order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def damage_a_file(rng: Random, folder: Path, among: list[Path] | None = None) -> None:
    """Does something to one file below a folder: content, kind, name or absence."""
    files = among or files_in(folder)
    if not files:
        return
    path = rng.choice(files)
    data, kind = path.read_bytes(), rng.randrange(16)
    if kind < 7:
        path.write_bytes(damaged_bytes(rng, data))
    elif kind == 7:
        path.write_bytes(rng.choice([b"", b"\x00" * 100, gzip.compress(data, mtime=0), zipped({"a": data}), b"<html>"]))
    elif kind == 8:
        path.unlink()
    elif kind == 9:
        path.unlink()
        path.mkdir()
    elif kind == 10:
        path.unlink()
        os.mkfifo(path)
    elif kind == 11:
        path.unlink()
        path.symlink_to(rng.choice([path.name, "/dev/zero", "nowhere", "..", "/etc/hostname", "/dev/stdin"]))
    elif kind == 12:
        other = rng.choice(files)
        path.write_bytes(other.read_bytes())
    elif kind == 13:
        path.rename(path.with_name(rng.choice(NAMES)))
    elif kind == 14:
        path.with_name(rng.choice(NAMES)).write_bytes(data)
    else:
        path.rename(path.with_suffix(rng.choice([".txt", ".JPG", "", ".json", ".tif"])))
