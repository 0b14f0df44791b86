"""Which split the name of a file or folder says."""

import re

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of a split, in small letters, and what the prepared split is called."""


def split_in(name: str) -> str | None:
    """The split that a name's words say: "train" of "lvis_v1_train" and of "Train2017"; None if none or several do."""
    said = {SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLITS}
    return said.pop() if len(said) == 1 else None


def storable(name: str) -> str:
    """A name as a prepared split may be called: letters, digits, "_" and "-", and not "all", TFDS's word for all."""
    plain = re.sub(r"[^\w-]+", "_", name).strip("_") or "split"
    return "all_images" if plain == "all" else plain
