"""A description of folders and files of unknown format, with the remedy."""

from collections import Counter
from pathlib import Path

from maskrcnn_jax.data.images.file_kind import ENDINGS
from maskrcnn_jax.data.prepare.formats.layout import visible
from maskrcnn_jax.files.walking import files_below

HELP = "`python -m maskrcnn_jax prepare --help` says what is understood"
TO_COCO = "convert it to COCO's format (annotations/instances_train.json and train/)"

MOST_FILES, LONGEST_START = 2000, 4096
"""Files that are inspected, and bytes of each."""

ARCHIVES = {
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
}


def describe_folder(folder: Path) -> str:
    """Describes a folder, with the remedy, as the end of a message."""
    files = [path for _, path in zip(range(MOST_FILES), files_below(folder), strict=False)]
    names = {path.name.lower() for path in files}
    endings = Counter(path.suffix.lower() for path in files)
    folders = {path.name for path in visible(folder) if path.is_dir()}
    if not any(folder.iterdir()):
        return f"an empty folder; {HELP}"
    if {"data.yaml", "dataset.yaml"} & names or (
        endings[".txt"] and any(path.parent.name == "labels" for path in files)
    ):
        return f"looks like YOLO (labels in .txt files); {TO_COCO}"
    if "labelmap.txt" in names or {"SegmentationObject", "SegmentationClass"} & folders:
        return (
            "looks like masks in Pascal VOC's layout (SegmentationObject/) without Annotations/; export it in COCO's "
            "format, or put the images into images/ and the masks of SegmentationObject/ into masks/"
        )
    if any(path.stem.lower().endswith(("_masks", "_seg", "_cp_masks")) for path in files):
        return (
            "looks like Cellpose's (NAME_masks beside NAME); put the images into images/ and the masks, called as "
            "their images, into masks/"
        )
    for path in files:
        if path.suffix.lower() == ".xml":
            return f"{describe_xml(path)}; {HELP}"
    if endings[".csv"]:
        which = next(path.name for path in files if path.suffix.lower() == ".csv")
        return f"holds CSV ({which}), which is not read; export JSON from VIA, or {TO_COCO}"
    if archives := [
        path.name for path in files if path.suffix.lower() in (".zip", ".gz", ".tar", ".tgz", ".rar", ".7z")
    ]:
        return f"holds archives ({', '.join(archives[:3])}); unpack them and give the folder with what is inside"
    if any(endings[ending] for ending in ENDINGS):
        return f"in no known format: images without annotations; {HELP}"
    return f"in no known format; {HELP}"


def describe_xml(path: Path) -> str:
    """Describes the XML of an unknown layout."""
    start = start_of(path)
    if b"<annotations" in start:
        return f"{path.name} is CVAT's own XML, which is not read; export it in COCO's format"
    if b"<annotation" in start:
        return (
            f"{path.name} looks like Pascal VOC, as labelImg writes it; put the XML files into Annotations/ and the "
            "images into JPEGImages/ beside it"
        )
    return f"in no known format ({path.name})"


def describe_file(path: Path) -> str | None:
    """Describes a file that is no JSON, with the remedy; None if it may be JSON."""
    start = start_of(path)
    for signature, kind in ARCHIVES.items():
        if start.startswith(signature):
            return f"{kind}; unpack it and give the folder with what is inside"
    if path.suffix.lower() in ENDINGS:
        return "an image, not annotations; give the folder of the data set, or its annotation file"
    if start.lstrip().startswith(b"<"):
        return f"XML; give the folder of the data set (Pascal VOC: the one that holds Annotations/). {HELP}"
    if path.suffix.lower() in (".csv", ".txt", ".yaml", ".yml"):
        return f"a {path.suffix[1:].upper()} file, which is not read; give a folder or a JSON file. {HELP}"
    return None


def start_of(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(LONGEST_START)
