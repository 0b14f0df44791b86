"""Which entries of a checkpoint are the weights of the model."""

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
"""Where training programs put the weights; the first that holds some is taken: what was trained before its average."""

OPTIMIZER = "_momentum"
"""How the names of Caffe2's optimiser state end, which lies among the weights."""

DEPTH = 3
"""Dicts in dicts that are looked into: `{"checkpoint": {"model": {"state_dict": …}}}`."""

SHARE = 0.1
"""Dicts that hold fewer arrays than this share of the largest are no state dicts: statistics, an average's decay."""

Kind = Callable[[Any], str]
"""Gives what an entry is, in a few words."""


class StateDict(NamedTuple):
    """The weights in a checkpoint, and what lies around them."""

    arrays: dict[str, Any]
    """By name."""
    place: str
    """The dict that holds them, such as "model"; empty for the checkpoint itself."""
    beside: dict[str, str]
    """What is no array among them, by name: what it is."""
    others: tuple[str, ...]
    """Places of other dicts that hold as many arrays and are not taken, such as an average."""


def find_state_dict(loaded: Any, is_array: Callable[[Any], bool], kind: Kind) -> StateDict | None:
    """The weights in a checkpoint of a training program; None if it holds none.

    Where several dicts hold arrays, the first in the order of `CONTAINERS` is taken, and of dicts that are called
    otherwise the one with the most. Entries that are no arrays are left out, and so is Caffe2's optimiser state.
    Counters such as `num_batches_tracked` stay: they tell a batch norm that was trained from a frozen one.

    Args:
        loaded: the checkpoint.
        is_array: whether an entry is an array.
        kind: what an entry is, in a few words.
    """
    if not isinstance(loaded, Mapping):
        return None
    counts = {
        place: sum(isinstance(name, str) and is_array(value) for name, value in entries.items())
        for place, entries in _dicts(loaded)
        if not any("optim" in name or "scheduler" in name for name in place)
    }
    largest = max(counts.values(), default=0)
    if largest == 0:
        return None
    places = [place for place, count in counts.items() if count > 0 and count >= SHARE * largest]
    places.sort(key=lambda place: (_rank(place), -counts[place]))
    entries = loaded
    for step in places[0]:
        entries = entries[step]
    named = {name: value for name, value in entries.items() if isinstance(name, str) and not name.endswith(OPTIMIZER)}
    return StateDict(
        {name: value for name, value in named.items() if is_array(value)},
        ".".join(places[0]),
        {name: kind(value) for name, value in named.items() if not is_array(value)},
        tuple(".".join(place) for place in places[1:] if place),
    )


def summary(loaded: Any, kind: Kind) -> str:
    """What a checkpoint is, by the kinds of its entries alone: the values may be of any size."""
    if not isinstance(loaded, Mapping):
        return f"a {kind(loaded)}"
    entries = [f"{reprlib.repr(key)}: {kind(value)}" for key, value in list(loaded.items())[:10]]
    return f"a dict of {len(loaded)} entries, {{{', '.join(entries)}}}"


def _dicts(loaded: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """A dict and those in it, each once, with their places: of a pickle they may hold each other."""
    seen: set[int] = set()
    waiting: deque[tuple[tuple[str, ...], Any]] = deque([((), loaded)])
    while waiting:
        place, entries = waiting.popleft()
        if id(entries) in seen:
            continue
        seen.add(id(entries))
        yield place, entries
        if len(place) < DEPTH:
            inner = ((name, value) for name, value in entries.items() if isinstance(value, Mapping))
            waiting += [((*place, name), value) for name, value in inner if isinstance(name, str)]


def _rank(place: tuple[str, ...]) -> tuple[int, ...]:
    """What known containers come before, in the order of their names from the outermost in."""
    known = tuple(CONTAINERS.index(name) for name in place if name in CONTAINERS)
    return known or (len(CONTAINERS),)
