"""The classes of a COCO annotation file."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection

from maskrcnn_jax.data.prepare.coco.types import RawCategory
from maskrcnn_jax.data.prepare.problems import Problems


def classes(
    categories: list[RawCategory], used: Collection[int], problems: Problems, warnings: Problems
) -> list[RawCategory]:
    """The categories that are classes, in the order of their ids, which is that of the labels.

    Unused categories are classes, too, so that the splits of a data set have the same. Left out and named are those
    that own nothing and repeat another's name, or only group the others as the first of Roboflow's does.

    Args:
        categories: As annotated.
        used: The ids that annotations refer to.
        problems: Where two used categories have the same name, or two have the same id.
        warnings: Where one is left out.
    """
    ordered = sorted(categories, key=lambda category: category.category_id)
    for a, b in itertools.pairwise(ordered):
        if a.category_id == b.category_id:
            problems.add("two categories have the same id; give each its own", f"id {a.category_id}")
    below = Counter(category.supercategory for category in ordered)
    by_name: dict[str, list[RawCategory]] = defaultdict(list)
    for category in ordered:
        by_name[category.name].append(category)
    kept = []
    for category in ordered:
        named = f"{category.name} (id {category.category_id})"
        same = by_name[category.name]
        # Where none is used, the last stays, so that a split without objects has the classes of the others.
        stays = category is same[-1] and not any(other.category_id in used for other in same)
        if category.category_id in used or (stays and not is_group(category, below, len(ordered))):
            kept.append(category)
        elif is_group(category, below, len(ordered)):
            warnings.add("left out a category without objects that only groups the others", named)
        else:
            warnings.add("left out a category without objects that repeats the name of another", named)
    for name, count in Counter(category.name for category in kept).items():
        if count > 1:
            problems.add("two categories have the same name; give each its own", name)
    return kept


def is_group(category: RawCategory, below: Counter[str | None], number: int) -> bool:
    """Whether a category is at the top and all others, of `number` in all, are below it."""
    top = category.supercategory in (None, "", "none")
    return top and number > 1 and below[category.name] == number - 1
