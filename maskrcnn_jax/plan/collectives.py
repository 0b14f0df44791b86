"""Collective operations between devices, read from a compiled program."""

import math
import re
from collections import Counter
from typing import NamedTuple

KINDS = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-[a-z]+|ragged-all-to-all|send|recv"
INSTRUCTION = re.compile(rf"= (?P<shape>\(.*?\)|\S+) (?P<kind>{KINDS})(?P<start>-start)?\(")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s64": 8, "u64": 8, "f64": 8}
"""Of element types that are not four bytes long."""

GRADIENTS, LOSSES, STATISTICS = "gradients", "losses", "norm statistics"
WEIGHTS, NORM = "weights", "norm of the gradient"
"""Of weights that are sharded over devices."""


class Collective(NamedTuple):
    """One instruction."""

    kind: str
    """As XLA calls it: `all-reduce`."""
    bytes: int
    """Of its result on each device."""
    purposes: tuple[str, ...]
    """What it transfers: gradients, losses, norm statistics, sharded weights, the norm of their gradients; else the
    name of the operation."""
    looped: bool
    """It is inside a loop, and so may run more than once."""


class CollectiveGroup(NamedTuple):
    """Collectives of one kind and purpose."""

    kind: str
    purposes: tuple[str, ...]
    looped: bool
    instructions: int
    bytes: int
    """Of all of them together."""


def collectives(hlo: str) -> list[Collective]:
    """Every collective of a program.

    Args:
        hlo: the text of an optimised module.

    Returns:
        In the order of the text. A pair of start and done is one. On one device there are none.
    """
    bodies = computations(hlo)
    loops = {
        name
        for lines in bodies.values()
        for line in lines
        for name in re.findall(r"(?:body|condition)=%?([\w.\-]+)", line)
    }
    looped = reachable(bodies, loops)
    found = []
    for name, lines in bodies.items():
        by_name = {match[1]: line for line in lines if (match := re.match(r"\s*(?:ROOT )?%([\w.\-]+) = ", line))}
        for line in lines:
            if match := INSTRUCTION.search(line):
                size = _size(match["shape"], halved=bool(match["start"]) and match["kind"] != "all-reduce")
                summed = _sums(line, bodies)
                purposes = {_purpose(part, summed) for each in _names(line, by_name) for part in _parts(each)}
                found.append(Collective(match["kind"], size, tuple(sorted(purposes)) or ("unnamed",), name in looped))
    return found


def group_collectives(found: list[Collective]) -> list[CollectiveGroup]:
    """Collectives of one kind and purpose, counted and added up; the largest first."""
    counts = Counter(each._replace(bytes=0) for each in found)
    sizes: Counter[Collective] = Counter()
    for each in found:
        sizes[each._replace(bytes=0)] += each.bytes
    groups = [CollectiveGroup(key.kind, key.purposes, key.looped, counts[key], sizes[key]) for key in counts]
    return sorted(groups, key=lambda group: group.bytes, reverse=True)


def computations(hlo: str) -> dict[str, list[str]]:
    """Name → lines of each computation of a compiled module."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in hlo.splitlines():
        if heading := re.match(r"(?:ENTRY )?%?([\w.\-]+) .*\{$", line):
            lines = found.setdefault(heading[1], [])
        elif line.startswith("  "):
            lines.append(line)
    return found


def reachable(found: dict[str, list[str]], names: set[str]) -> set[str]:
    """These computations and all that they call, by name."""
    todo, seen = list(names), set()
    while todo:
        if (name := todo.pop()) not in seen:
            seen.add(name)
            todo += [word for line in found[name] for word in re.findall(r"%([\w.\-]+)", line) if word in found]
    return seen


def _size(shape: str, halved: bool) -> int:
    """Bytes of a shape or a tuple of shapes.

    The second half of the shape of a start is the result; integers that the device uses may follow.
    """
    parts = re.findall(r"(\w+)\[([\d,]*)\]", shape)
    if halved:
        while parts[-1] in (("u32", ""), ("s32", "")):
            parts.pop()
        parts = parts[len(parts) // 2 :]
    return sum(BYTES.get(kind, 4) * math.prod(int(side) for side in sides.split(",") if side) for kind, sides in parts)


def _names(line: str, by_name: dict[str, str]) -> set[str]:
    """The operations that an instruction is made from; of one without a name, those of its operands."""
    if name := re.search(r'op_name="([^"]*)"', line):
        return {name[1]}
    _, _, read = line.partition("(")
    operands = re.findall(r"%([\w.\-]+)", read.partition("), ")[0])
    return {name for operand in operands if operand in by_name for name in _names(by_name[operand], by_name)}


def _parts(name: str) -> list[str]:
    """The operations that XLA joined into one: `a/(b:c)` is `a/b` and `a/c`."""
    start = name.find("/(")
    if start < 0 or not name.endswith(")"):
        return [name]
    prefix, inside = name[: start + 1], name[start + 2 : -1]
    parts, depth = [""], 0
    for character in inside:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == ":" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [each for part in parts for each in _parts(prefix + part)]


def _sums(line: str, bodies: dict[str, list[str]]) -> bool:
    """Whether a collective sums over devices."""
    reducer = re.search(r"to_apply=%?([\w.\-]+)", line)
    return reducer is not None and any(" add(" in instruction for instruction in bodies.get(reducer[1], []))


def _purpose(name: str, summed: bool) -> str:
    """What an operation of the train step is for.

    `transpose(…)` is the backward pass and `jvp(STAGE)` the forward pass, in which only norms sum over the batch; the
    losses follow the last stage. Sharded weights are gathered by a sharding constraint, and each device then computes a
    part of the gradient's norm.
    """
    if not summed:
        return WEIGHTS if name.endswith("sharding_constraint") else name
    if "transpose(" in name:
        return GRADIENTS
    if "/update/" in name:
        return NORM
    forward = re.search(r"jvp\((jit\(|\w*\))", name)
    if forward is None:
        return name
    return LOSSES if forward[1] in (")", "losses)", "jit(") else STATISTICS
