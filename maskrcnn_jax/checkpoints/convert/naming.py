"""Prefixes and wrappers in the names of arrays, which are removed to recognise them."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from maskrcnn_jax.checkpoints.formats.stored import ArrayMapping, shape_of

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
"""Parts of names that torch's wrappers insert: data parallelism, compilation, sharding, recomputation."""

DEPTH = 6
"""Parts of a prefix, at most."""
TRIED = 100
"""Prefixes to try, at most; the most frequent first."""


class Naming(NamedTuple):
    """A way to read the names of arrays."""

    names: Mapping[str, str]
    """Read name → name in the mapping; arrays without the prefix are left out."""
    change: str
    """What is removed from the names, for messages; empty if nothing is."""


class RenamedArrays(ArrayMapping):
    """Arrays of a mapping under other names."""

    def __init__(self, arrays: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self._arrays, self._names = arrays, names

    def shape(self, name: str) -> tuple[int, ...]:
        return shape_of(self._arrays, self._names[name])

    def __getitem__(self, name: str) -> Any:
        return self._arrays[self._names[name]]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def namings(names: Collection[str]) -> Iterator[Naming]:
    """Ways to read names: as they are, without wrappers anywhere, and then without a prefix that many share.

    A prefix may have several parts: "model.", "net.backbone.". The most frequent come first, of equally frequent ones
    those that occur first.
    """
    yield Naming({name: name for name in names}, "")
    bare: dict[str, str] = {}
    for name in names:
        bare.setdefault(".".join(part for part in name.split(".") if part not in WRAPPERS), name)
    found = [part for part in WRAPPERS if any(part in name.split(".") for name in names)]
    change = ", ".join(repr(f"{part}.") for part in found)
    if found:
        yield Naming(bare, change)
    counts: Counter[str] = Counter()
    for name in bare:
        parts = name.split(".")[:-1]
        counts.update(".".join(parts[: length + 1]) + "." for length in range(min(len(parts), DEPTH)))
    for prefix, count in counts.most_common(TRIED):
        if count > 1:
            inside = {name.removeprefix(prefix): whole for name, whole in bare.items() if name.startswith(prefix)}
            yield Naming(inside, f"{change} and {prefix!r}" if change else repr(prefix))
