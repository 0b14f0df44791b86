"""A compiled program in numbers: memory, arithmetic, traffic, collectives."""

import math
import re
import time
from typing import Any, NamedTuple

import jax

from maskrcnn_jax.plan.collectives import CollectiveGroup, collectives, group_collectives
from maskrcnn_jax.plan.hlo_flops import product_flops
from maskrcnn_jax.plan.programs import Program


class TooLarge(Exception):
    """A program needs more memory than its device has; `needed` is how much, bytes."""

    def __init__(self, needed: int):
        super().__init__(f"needs {needed / 2**30:.2f} GiB")
        self.needed = needed


class CompiledProgram(NamedTuple):
    """What a compiled program takes on one device."""

    images: int
    size: tuple[int, int]
    """Height and width of the images, pixels."""
    memory: dict[str, int]
    """Bytes by part."""
    flops: float
    """As compiled; for GPUs the products alone, as XLA does not count element-wise operations there."""
    model_flops: float
    """The model's own, see `arithmetic.model_flops`."""
    moved: float | None
    """Bytes that operations read and write, as XLA counts them; None for GPUs."""
    collectives: list[CollectiveGroup]
    seconds: float
    """Time of the compilation."""

    @property
    def total(self) -> int:
        """Bytes of memory."""
        return sum(self.memory.values())


def compile_program(program: Program, options: dict[str, str | bool]) -> CompiledProgram:
    """Compiles a program and reads its costs.

    Args:
        program: the program to compile.
        options: of the compiler.

    Raises:
        TooLarge: the program does not fit the memory of its device.
    """
    begun = time.perf_counter()
    try:
        compiled = program.lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        # libtpu names two sizes in one of several sentences: the program's, then the device's.
        needed = re.search(r"Ran out of memory.*?([\d.]+)([KMGT])\b", str(error), re.DOTALL)
        if needed is None:
            raise
        raise TooLarge(int(float(needed[1]) * 1024 ** (1 + "KMGT".index(needed[2])))) from error
    seconds = time.perf_counter() - begun
    cost, text = compiled.cost_analysis(), compiled.as_text()
    assert text is not None, "XLA always gives the text"
    return CompiledProgram(
        program.images,
        program.size,
        _memory(program.parts, compiled.memory_analysis()),
        product_flops(text) if cost is None else cost["flops"],
        program.model_flops,
        None if cost is None else cost["bytes accessed"],
        group_collectives(collectives(text)),
        seconds,
    )


def _memory(parts: dict[str, Any], stats: Any) -> dict[str, int]:
    given = {name: sum(_bytes(leaf) for leaf in jax.tree.leaves(part)) for name, part in parts.items()}
    # Devices store arrays in tiles; an array that does not fill its tiles takes more memory than its elements.
    filling = max(stats.argument_size_in_bytes - sum(given.values()), 0)
    return {name: size for name, size in given.items() if size} | {
        "filling of tiles": filling,
        "activations, gradients, temporaries": stats.temp_size_in_bytes,
        # Outputs that reuse the memory of a donated argument take none.
        "results": stats.output_size_in_bytes - stats.alias_size_in_bytes,
        "program": stats.generated_code_size_in_bytes,
    }


def _bytes(leaf: jax.ShapeDtypeStruct) -> int:
    return math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
