"""Finds the weights of the model in a checkpoint."""

import reprlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

CONTAINERS = (
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "module",
    "params",
    "weights",
    "student",
    "model_ema",
    "ema",
    "ema_state_dict",
    "state_dict_ema",
    "model_ema_state_dict",
    "params_ema",
    "ema_model",
    "teacher",
    "blobs",
)
"""Keys under which training programs save weights; the first that holds some is used: the model before its average."""

OPTIMIZER = "_momentum"
"""Suffix of Caffe2's optimizer state, which is saved among the weights."""

DEPTH = 3
"""Nested dicts that are searched: `{"checkpoint": {"model": {"state_dict": …}}}`."""

SHARE = 0.1
"""Dicts with fewer arrays than this share of the largest are no state dicts, but statistics or settings."""

Kind = Callable[[Any], str]
"""Describes an entry in a few words."""


class StateDict(NamedTuple):
    """The weights in a checkpoint and the entries around them."""

    arrays: dict[str, Any]
    """By name."""
    path: str
    """Dotted path of the dict that holds them, such as "model"; empty for the checkpoint itself."""
    beside: dict[str, str]
    """Entries among them that are no arrays: name → description."""
    others: tuple[str, ...]
    """Paths of other dicts with as many arrays, such as an average, which are not used."""


def find_state_dict(loaded: Any, is_array: Callable[[Any], bool], kind: Kind) -> StateDict | None:
    """The weights in a checkpoint of a training program; None if it holds none.

    Where several dicts hold arrays, the first in the order of `CONTAINERS` is used; of dicts with other names the one
    with the most. Entries that are no arrays are left out, and so is Caffe2's optimizer state.
    Counters such as `num_batches_tracked` stay: they distinguish a trained batch norm from a frozen one.

    Args:
        loaded: the checkpoint.
        is_array: whether an entry is an array.
        kind: describes an entry in a few words.
    """
    if not isinstance(loaded, Mapping):
        return None
    counts = {
        path: sum(isinstance(name, str) and is_array(value) for name, value in entries.items())
        for path, entries in _dicts(loaded)
        if not any("optim" in name or "scheduler" in name for name in path)
    }
    largest = max(counts.values(), default=0)
    if largest == 0:
        return None
    paths = [path for path, count in counts.items() if count > 0 and count >= SHARE * largest]
    paths.sort(key=lambda path: (_rank(path), -counts[path]))
    entries = loaded
    for step in paths[0]:
        entries = entries[step]
    named = {name: value for name, value in entries.items() if isinstance(name, str) and not name.endswith(OPTIMIZER)}
    return StateDict(
        {name: value for name, value in named.items() if is_array(value)},
        ".".join(paths[0]),
        {name: kind(value) for name, value in named.items() if not is_array(value)},
        tuple(".".join(path) for path in paths[1:] if path),
    )


def summary(loaded: Any, kind: Kind) -> str:
    """Describes a checkpoint by the kinds of its entries alone, as the values may be of any size."""
    if not isinstance(loaded, Mapping):
        return f"a {kind(loaded)}"
    entries = [f"{reprlib.repr(key)}: {kind(value)}" for key, value in list(loaded.items())[:10]]
    return f"a dict of {len(loaded)} entries, {{{', '.join(entries)}}}"


def _dicts(loaded: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """A dict and the dicts in it, each once, with their paths; in a pickle they may contain each other."""
    seen: set[int] = set()
    waiting: deque[tuple[tuple[str, ...], Any]] = deque([((), loaded)])
    while waiting:
        path, entries = waiting.popleft()
        if id(entries) in seen:
            continue
        seen.add(id(entries))
        yield path, entries
        if len(path) < DEPTH:
            inner = ((name, value) for name, value in entries.items() if isinstance(value, Mapping))
            waiting += [((*path, name), value) for name, value in inner if isinstance(name, str)]


def _rank(path: tuple[str, ...]) -> tuple[int, ...]:
    """The sort key of a path: the positions of its keys in `CONTAINERS`, outermost first; other paths come last."""
    known = tuple(CONTAINERS.index(name) for name in path if name in CONTAINERS)
    return known or (len(CONTAINERS),)
