"""The classes of VIA's regions: the value of one of their attributes."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from maskrcnn_jax.data.prepare.json_values import finite, whole
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.messages.counts import pluralize

CLASS_NAMES = ("class", "label", "name", "type", "category")
"""Attributes that say the class where there are several, best first."""


def attributes_of(region: Any) -> dict[str, Any]:
    """The attributes of a region; none if it has none or is no region."""
    attributes = region.get("region_attributes") if isinstance(region, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def choose_attribute(regions: Iterable[Any], wanted: str | None, where: str) -> str | None:
    """The attribute that says the class, whatever its case in each region; None if regions have none at all.

    Args:
        regions: Of all images.
        wanted: The one that the user names.
        where: What messages call the VIA files.

    Raises:
        DatasetError: It cannot be told, or regions do not have the one that is wanted.
    """
    found: dict[str, str] = {}
    times: Counter[str] = Counter()
    total = 0
    for region in regions:
        total += 1
        for name in attributes_of(region):
            found.setdefault(name.casefold(), name)
            times[name.casefold()] += 1
    if wanted is not None:
        if wanted.casefold() not in found:
            known = ", ".join(found.values()) or "none"
            raise DatasetError(
                f"class_attribute = {wanted!r}: the regions of {where} have not this attribute but {known}"
            )
        return found[wanted.casefold()]
    if len(found) <= 1:
        return next(iter(found.values()), None)
    for name in CLASS_NAMES:
        if name in found:
            return found[name]
    counts = ", ".join(f"{name} ({times[folded]})" for folded, name in found.items())
    raise DatasetError(
        f"{where}: of {pluralize(total, 'region')} these have the attributes {counts}; say which of them is the class "
        "(--class-attribute), or read all objects as one class (--class-name)"
    )


def class_of(region: Any, attribute: str) -> str | None:
    """A region's class; None if its attribute does not say one.

    A checkbox gives a dictionary of options, of which one must be ticked. Numbers are names, too.
    """
    values: dict[str, list[Any]] = defaultdict(list)
    for name, value in attributes_of(region).items():
        values[name.casefold()].append(value)
    said = {text for value in values[attribute.casefold()] if (text := text_of(value))}
    return said.pop() if len(said) == 1 else None


def text_of(value: Any) -> str | None:
    """The class that a value names."""
    if isinstance(value, dict):
        ticked = [option for option, is_on in value.items() if is_on is True]
        value = ticked[0] if len(ticked) == 1 else None
    if isinstance(value, str):
        return value.strip() or None
    if finite(value) is None:
        return None
    number = whole(value)
    return str(value if number is None else number)
