"""Data sets of every format, damaged, through `prepare` and back from the records."""

import json
import re
from pathlib import Path
from random import Random

import data_sets
from fuzz_images import image_file
from fuzz_target import FuzzTarget
from mutations import TEXTS, damage_a_file, damaged_bytes, damaged_tree, files_in, written_json

from maskrcnn_jax.config import CocoSource
from maskrcnn_jax.data.prepare.run import prepare

XML_TEXT = re.compile(r">[^<>]+<")
XML_TAG = re.compile(r"</?\w+>")
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><annotation><filename>&i;</filename></annotation>"
)


def damaged_xml(rng: Random, data: bytes) -> bytes:
    """XML with texts exchanged, tags missing or too many, or written to do harm."""
    text, kind = data.decode(), rng.randrange(12)
    if kind == 0:
        return LAUGHS.encode()
    if kind == 1:
        return ("<a>" * 50_000 + text + "</a>" * 50_000).encode()
    if kind == 2:
        return text.encode(rng.choice(["utf-16", "utf-8-sig", "latin-1"]))
    if kind == 3:
        file = (
            b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation><filename>&e;</filename></annotation>'
        )
        return file
    for _ in range(rng.choice([1, 1, 2, 3])):
        spots = [*(XML_TEXT if kind < 9 else XML_TAG).finditer(text)]
        if not spots:
            break
        spot = rng.choice(spots)
        odd = rng.choice([*map(str, (-1, 0, 1e308, "nan", "inf", 10**30, 0.5, "7 7")), *TEXTS])
        new = f">{odd}<" if kind < 9 else rng.choice(["", spot[0] * 2, "<x>", "<object>"])
        text = text[: spot.start()] + new + text[spot.end() :]
    return text.encode("utf-8", "surrogatepass")


def maker(kind: str):
    """What writes a damaged data set of a format, and the options to read it with."""

    def make(rng: Random, folder: Path) -> None:
        data = folder / "data"
        data.mkdir()
        data_sets.FORMATS[kind](rng, data)
        files = files_in(data)
        written = [path for path in files if path.suffix in (".json", ".xml")]
        how = rng.randrange(10)
        if how < 6 and written:
            path = rng.choice(written)
            if path.suffix == ".xml":
                path.write_bytes(damaged_xml(rng, path.read_bytes()))
            else:
                path.write_bytes(written_json(rng, damaged_tree(rng, json.loads(path.read_bytes()))))
        elif how == 6 and written:
            path = rng.choice(written)
            path.write_bytes(damaged_bytes(rng, path.read_bytes()))
        elif how == 7:
            path = rng.choice([path for path in files if path not in written])
            path.write_bytes(image_file(rng, data_sets.SIZE))
        else:
            for _ in range(rng.choice([1, 1, 2])):
                damage_a_file(rng, data)
        options: dict = {}
        if rng.random() < 0.3:
            options |= rng.choice(
                [
                    {"class_name": "thing"},
                    {"validation_share": 0.4},
                    {"splits": ["train"]},
                    {"splits": ["nowhere"]},
                    {"images": str(folder / "data")},
                    {"class_attribute": "class"},
                    {"crowds_as_objects": True},
                    {"boxes_from_masks": True},
                    {"raster": "upright"},
                    {"outside_images": True},
                ]
            )
        (folder / "options.json").write_text(json.dumps(options))

    return make


def read(folder: Path) -> None:
    options = json.loads((folder / "options.json").read_text())
    if "images" in options:
        options["images"] = Path(options["images"])
    summary = prepare(folder / "data", folder / "out", **options)
    list(summary.lines())
    for split in summary.splits:
        source = CocoSource(folder / "out", split.name, keep_empty=True).open()
        for index in range(len(source)):
            source[index]


TARGETS = tuple(FuzzTarget(f"data set: {kind}", maker(kind), read) for kind in data_sets.FORMATS)
