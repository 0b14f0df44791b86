"""Hardware to plan for: its peaks, and its devices as the compiler describes them."""

import contextlib
import importlib.util
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from types import MappingProxyType
from typing import Literal

import jax
from jax.experimental import topologies

from maskrcnn_jax.messages.counts import pluralize

GIB = 2**30


class TargetError(ValueError):
    """A target that cannot be planned for here; the message has the remedy."""


@dataclass(frozen=True)
class Device:
    """One chip or card."""

    name: str
    platform: Literal["tpu", "cuda", "cpu"]
    flops: float | None = None
    """Peak of matrix products in bfloat16, FLOP/s."""
    bandwidth: float | None = None
    """Of its memory, bytes per second."""
    memory: int | None = None
    """Memory that a program can use, bytes."""
    accelerator: str = ""
    """Google's name for a TPU; 16 chips are `v5litepod-16`."""


DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        # cloud.google.com/tpu/docs/v5e and /v6e: 16 and 32 GB of HBM, of which the compiler keeps a quarter and three
        # quarters of a GiB; its message about a program that is too large names the rest.
        "v5e": Device("TPU v5e", "tpu", 197e12, 819e9, int(15.75 * GIB), "v5litepod"),
        "v6e": Device("TPU v6e", "tpu", 918e12, 1640e9, int(31.25 * GIB), "v6e"),
        # NVIDIA H100 datasheet, SXM: bfloat16 without sparsity, 80 GB of HBM3. A JAX process takes three quarters of
        # them unless XLA_PYTHON_CLIENT_MEM_FRACTION says otherwise (docs.jax.dev, "GPU memory allocation").
        "h100": Device("NVIDIA H100 SXM", "cuda", 989e12, 3350e9, int(0.75 * 84942979072)),
        "cpu": Device("CPU", "cpu"),
    }
)


@dataclass(frozen=True)
class Target:
    """Some devices of one kind in one job."""

    device: Device
    name: str
    """As on the command line: `v5e:4x4`, `h100:8`."""
    count: int
    """Number of devices."""

    @property
    def compiler(self) -> str:
        """The packages that compile for it, with their versions."""
        packages = {"tpu": ("jax", "libtpu"), "cuda": ("jax", "jax-cuda13-plugin"), "cpu": ("jax",)}
        return ", ".join(f"{package} {version(package)}" for package in packages[self.device.platform])

    @property
    def options(self) -> dict[str, str | bool]:
        """Options of the compiler. Without the GPU XLA cannot time kernels to choose the fastest."""
        return {"xla_gpu_autotune_level": "0"} if self.device.platform == "cuda" else {}


def parse(text: str) -> Target:
    """Reads a target as it is given on the command line.

    Args:
        text: `v5e:4x4` or `v6e:2x2`, the grid of chips; `h100` or `h100:8`, GPUs of one host; `cpu:8`, CPU
            devices of one process.

    Raises:
        TargetError: it is none of these.
    """
    kind, _, size = text.partition(":")
    device = DEVICES.get(kind)
    known = "give v5e:ROWSxCOLUMNS, v6e:ROWSxCOLUMNS, h100, h100:COUNT or cpu:COUNT"
    if device is None:
        raise TargetError(f"target = {text!r}: {kind!r} is not known; {known}")
    form = r"[1-9]\d*x[1-9]\d*" if device.platform == "tpu" else r"[1-9]\d*"
    if device.platform != "tpu" and ":" not in text:
        size = "1"
    if not re.fullmatch(form, size):
        raise TargetError(f"target = {text!r}: the size {size!r} cannot be read; {known}")
    return Target(device, text, math.prod(map(int, size.split("x"))))


def devices(target: Target) -> list[jax.Device]:
    """The target's devices, as far as the compiler needs them: nothing runs on those that are not present.

    JAX itself runs on the CPU from here on: call it before anything else asks JAX for a device.

    Raises:
        TargetError: the compiler for the target is not installed or does not support the topology, or JAX has
            already started with fewer CPU devices.
    """
    jax.config.update("jax_platforms", "cpu")
    return {"tpu": _tpu, "cuda": _cuda, "cpu": _cpu}[target.device.platform](target)


def _tpu(target: Target) -> list[jax.Device]:
    _require("libtpu", "jax[tpu]", target)
    # libtpu would query the machine for its TPU; these variables replace the query.
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    os.environ["TPU_ACCELERATOR_TYPE"] = f"{target.device.accelerator}-{target.count}"
    os.environ["TPU_WORKER_HOSTNAMES"] = "localhost"
    # Another process may be planning, or training on TPUs of this machine: nothing is run on them here.
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
    return _topology(target, topology_name=target.name, platform="tpu")


def _cuda(target: Target) -> list[jax.Device]:
    _require("jax_plugins.xla_cuda13", "jax[cuda13]", target)
    card = resources.files(__package__).joinpath(f"{target.name.partition(':')[0]}.txtpb").read_text(encoding="utf-8")
    # Processes × GPUs of each × 1.
    return _topology(target, topology=f"1x{target.count}x1", platform="cuda", target_config=card)


def _cpu(target: Target) -> list[jax.Device]:
    with contextlib.suppress(RuntimeError):  # JAX has started: the number is fixed
        jax.config.update("jax_num_cpu_devices", target.count)
    found = jax.devices("cpu")
    if len(found) < target.count:
        started = pluralize(len(found), "CPU device")
        raise TargetError(
            f"target = {target.name!r}: JAX has already started in this process, with {started}; "
            "plan in a new process, with an experiment whose file computes nothing with JAX when it is loaded"
        )
    return found[: target.count]


def _topology(target: Target, **arguments: str) -> list[jax.Device]:
    try:
        found = topologies.get_topology_desc(**arguments).devices
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise TargetError(f"target = {target.name!r}: the compiler does not support such devices ({reason})") from error
    return found


def _require(module: str, package: str, target: Target) -> None:
    parent = module.partition(".")[0]
    if importlib.util.find_spec(parent) is None or importlib.util.find_spec(module) is None:
        raise TargetError(
            f"target = {target.name!r}: the compiler for {target.device.name} is not installed, and needs no such "
            f'device: pip install "{package}=={jax.__version__}"'
        )
