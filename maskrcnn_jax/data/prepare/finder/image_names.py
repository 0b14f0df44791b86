"""Interpretations of image names in annotation files, and names that differ in form only."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""A scheme has two characters at least: `C:/` is a drive."""
DRIVE = re.compile(r"[A-Za-z]:(?=[/\\])")

Parts = tuple[str, ...]
Form = Callable[[str], str]


def readings(name: str) -> Iterator[Parts]:
    r"""The relative paths that a name may mean, most literal first, each as its parts; ".." stays.

    As it stands; with backslashes as separators and without drive; the path of a URL; Label Studio's
    `/data/local-files/?d=PATH`; each also with `%20` and the like decoded. Absolute paths lose their root.
    """
    texts = [name, DRIVE.sub("", name, count=1).replace("\\", "/")]
    if URL.match(name):
        try:
            texts = [urlsplit(name).path]
        except ValueError:  # such as brackets that are not closed
            texts = [name.partition("://")[2].partition("/")[2]]
    texts += [text.replace("\\", "/") for text in parse_qs(name.partition("?")[2]).get("d", [])]
    seen: set[Parts] = set()
    for text in [*texts, *map(unquote, texts)]:
        parts = tuple(part for part in PurePosixPath(text).parts if not part.startswith("/"))
        if parts and parts not in seen:
            seen.add(parts)
            yield parts


def ends(parts: Parts) -> Iterator[Parts]:
    """The shorter ends of a path, longest first; none holds ".."."""
    first = max((index + 1 for index, part in enumerate(parts) if part == ".."), default=1)
    for start in range(first, len(parts)):
        yield parts[start:]


def same_form(name: str) -> str:
    """A name in Unicode's form NFC: Apple's systems write letters and their accents apart."""
    return unicodedata.normalize("NFC", name)


def same_but_ending(name: str) -> str:
    """A name whose ending's case does not count."""
    stem, dot, ending = same_form(name).rpartition(".")
    return f"{stem}{dot}{ending.casefold()}"


def same_letters(name: str) -> str:
    """A name whose case does not count."""
    return same_form(same_form(name).casefold())


FORMS: tuple[Form, ...] = (same_form, same_but_ending, same_letters)
"""Normal forms of names, strictest first: names that are equal in one are equal in those after it."""
