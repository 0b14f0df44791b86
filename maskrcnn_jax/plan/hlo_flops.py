"""FLOPs of the matrix products and convolutions in a program compiled for GPUs.

XLA gives no count for a GPU that is not present, and none for calls of cuDNN and cuBLAS.
"""

import math
import re

from maskrcnn_jax.plan.arithmetic import taps_met

DEFINITION = re.compile(r"\s*(?:ROOT )?%(?P<name>[\w.\-]+) = \(?\w+\[(?P<shape>[\d,]*)\]")
OPERANDS = re.compile(r" (?:dot|convolution|custom-call)\(%([\w.\-]+), %([\w.\-]+)")
CONTRACTED = re.compile(r'lhs_contracting_dim(?:s=\{|ensions":\[)([\d,"]*)[\}\]]')

Shape = tuple[int, ...]


def product_flops(hlo: str) -> float:
    """FLOPs of all products of a module; a multiplication and an addition are two, padding does not count.

    Args:
        hlo: the text of an optimised module.
    """
    lines = hlo.splitlines()
    shapes = {
        match["name"]: tuple(int(side) for side in match["shape"].split(",") if side)
        for line in lines
        if (match := DEFINITION.match(line))
    }
    total = 0.0
    for line in lines:
        if operands := OPERANDS.search(line):
            left, right = (shapes[name] for name in operands.groups())
            name = DEFINITION.match(line)
            assert name is not None, "an instruction begins with its name and shape"
            total += _flops(line, left, right, shapes[name["name"]])
    return total


def _flops(line: str, left: Shape, right: Shape, result: Shape) -> float:
    if labels := re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", line):
        # The window and the labels of a backward pass are those of its forward pass.
        if "convBackwardInput" in line:
            left, result = result, left
        elif "convBackwardFilter" in line:
            right, result = result, right
        return _convolution(line, (left, right, result), labels.groups())
    if contracted := CONTRACTED.search(line):
        axes = (int(axis.strip('"')) for axis in contracted[1].split(",") if axis)
        return 2.0 * math.prod(result) * math.prod(left[axis] for axis in axes)
    return 0.0


def _convolution(line: str, shapes: tuple[Shape, Shape, Shape], labels: tuple[str, ...]) -> float:
    image, kernel, result = (dict(zip(names, shape, strict=True)) for names, shape in zip(labels, shapes, strict=True))
    met = 1
    for axis in (letter for letter in labels[0] if letter.isdigit()):
        stride, spread, dilation = (
            _of_window(line, name, int(axis)) for name in ("stride", "lhs_dilate", "rhs_dilate")
        )
        low, high = _padding(line, int(axis))
        met *= taps_met(image[axis], kernel[axis], result[axis], stride, (low, high), spread, dilation)
    return 2.0 * result["b"] * result["f"] * kernel["i"] * met


def _of_window(line: str, name: str, axis: int) -> int:
    found = re.search(rf"window=\{{[^}}]*\b{name}=([\dx]+)", line)
    return int(found[1].split("x")[axis]) if found else 1


def _padding(line: str, axis: int) -> tuple[int, int]:
    found = re.search(r"window=\{[^}]*\bpad=([\d_x\-]+)", line)
    low, high = found[1].split("x")[axis].split("_") if found else (0, 0)
    return int(low), int(high)
