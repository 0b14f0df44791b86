"""A plan as text and as JSON."""

from typing import Any

from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.plan.compiled import CompiledProgram
from maskrcnn_jax.plan.report import Plan
from maskrcnn_jax.plan.targets import GIB, Device


def to_text(plan: Plan) -> str:
    """The plan as it is printed."""
    target = plan.target
    lines = [f"{target.name}: {target.count} × {target.device.name}, compiled with {target.compiler}"]
    for title, program in (("Train step", plan.train), ("Prediction", plan.predict)):
        lines += ["", *(_program(title, program, plan) if program else [f"{title}: does not fit"])]
    if target.device.memory is not None:
        lines += ["", *_batches(plan.seen, target.device.memory)]
    return "\n".join(lines)


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan with every number, in bytes, FLOPs and seconds, per device."""
    device = plan.target.device
    return {
        "target": plan.target.name,
        "devices": plan.target.count,
        "device": {"name": device.name, "flops": device.flops, "bandwidth": device.bandwidth, "memory": device.memory},
        "compiler": plan.target.compiler,
        "dtype": plan.dtype,
        "train": plan.train and _numbers(plan.train, device),
        "predict": plan.predict and _numbers(plan.predict, device),
        "bytes_by_images": plan.seen,
    }


def _program(title: str, compiled: CompiledProgram, plan: Plan) -> list[str]:
    device, images, (height, width) = plan.target.device, compiled.images, compiled.size
    limit = "" if device.memory is None else f" of {device.memory / GIB:.2f}"
    share = other_share(compiled)
    verdict = "" if device.memory is None else (": fits" if compiled.total <= device.memory else ": DOES NOT FIT")
    lines = [
        f"{title}: {pluralize(images, 'image')} of {height} × {width} per device, {plan.dtype}; "
        f"compiled in {compiled.seconds:.0f} s",
        "  memory per device, GiB",
        *(_line(name, f"{size / GIB:.3f}") for name, size in compiled.memory.items()),
        _line("together", f"{compiled.total / GIB:.3f}") + limit + verdict,
        "  arithmetic per image, GFLOP",
        _line("as compiled", f"{compiled.flops / images / 1e9:.1f}"),
        _line("the model's own", f"{compiled.model_flops / images / 1e9:.1f}"),
        _line("not the model's, share", "unknown" if share is None else f"{100 * share:.1f} %"),
    ]
    if compiled.moved is not None:
        lines.append(f"  memory traffic: {compiled.moved / 1e9:.1f} GB")
    if bounds := peak_seconds(compiled, device):
        spent = (f"{name} {1000 * time:.1f} ms ({images / time:.0f} images/s)" for name, time in bounds.items())
        lines.append(f"  at the device's peak: {', '.join(spent)}")
    lines.append("  collectives" + ("" if compiled.collectives else ": none"))
    for group in compiled.collectives:
        looped = " in a loop" if group.looped else ""
        purposes = " and ".join(group.purposes)
        lines.append(
            f"    {group.instructions:4d} × {group.kind:<12}{group.bytes / 2**20:10.3f} MiB{looped}  {purposes}"
        )
    return lines


def _line(name: str, number: str) -> str:
    return f"    {name:<36}{number:>10}"


def _batches(seen: dict[int, int], memory: int) -> list[str]:
    largest = max((images for images, size in seen.items() if size <= memory), default=0)
    lines = [f"Images per device: {largest} is the largest of those compiled that fits {memory / GIB:.2f} GiB"]
    return lines + [
        f"  {images:4d}{size / GIB:10.2f} GiB  {'fits' if size <= memory else 'does not fit'}"
        for images, size in sorted(seen.items())
    ]


def other_share(compiled: CompiledProgram) -> float | None:
    """The share of the compiled FLOPs that is not the model's own arithmetic.

    None where fewer were counted than the model has, as on CPUs: there convolutions take fewer multiplications, and
    XLA counts one group of the mask head's slots.
    """
    share = 1 - compiled.model_flops / compiled.flops
    return share if share >= 0 else None


def peak_seconds(compiled: CompiledProgram, device: Device) -> dict[str, float]:
    """The time of a program at the device's peak if only its arithmetic, or only its memory traffic, limited it."""
    seconds = {}
    if device.flops is not None:
        seconds["arithmetic"] = compiled.flops / device.flops
    if device.bandwidth is not None and compiled.moved is not None:
        seconds["memory traffic"] = compiled.moved / device.bandwidth
    return seconds


def _numbers(compiled: CompiledProgram, device: Device) -> dict[str, Any]:
    return {
        "images": compiled.images,
        "size": compiled.size,
        "memory": compiled.memory | {"together": compiled.total},
        "flops": compiled.flops,
        "model_flops": compiled.model_flops,
        "other_share": other_share(compiled),
        "bytes_moved": compiled.moved,
        "peak_seconds": peak_seconds(compiled, device),
        "collectives": [group._asdict() for group in compiled.collectives],
        "compile_seconds": compiled.seconds,
    }
