"""A plan as text and as JSON."""

from typing import Any

from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.plan.compiled import Figures
from maskrcnn_jax.plan.report import Plan
from maskrcnn_jax.plan.targets import GIB, Device


def to_text(plan: Plan) -> str:
    """The plan, as it is printed."""
    target = plan.target
    lines = [f"{target.name}: {target.count} × {target.device.name}, compiled with {target.compiler}"]
    for title, figures in (("Train step", plan.train), ("Prediction", plan.predict)):
        lines += ["", *(_program(title, figures, plan) if figures else [f"{title}: does not fit"])]
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


def _program(title: str, figures: Figures, plan: Plan) -> list[str]:
    device, images, (height, width) = plan.target.device, figures.images, figures.size
    limit = "" if device.memory is None else f" of {device.memory / GIB:.2f}"
    share = other_share(figures)
    verdict = "" if device.memory is None else (": fits" if figures.total <= device.memory else ": DOES NOT FIT")
    lines = [
        f"{title}: {pluralize(images, 'image')} of {height} × {width} per device, {plan.dtype}; "
        f"compiled in {figures.seconds:.0f} s",
        "  memory per device, GiB",
        *(_row(name, f"{size / GIB:.3f}") for name, size in figures.memory.items()),
        _row("together", f"{figures.total / GIB:.3f}") + limit + verdict,
        "  arithmetic per image, GFLOP",
        _row("as compiled", f"{figures.flops / images / 1e9:.1f}"),
        _row("the model's own", f"{figures.model_flops / images / 1e9:.1f}"),
        _row("not the model's, share", "unknown" if share is None else f"{100 * share:.1f} %"),
    ]
    if figures.moved is not None:
        lines.append(f"  memory traffic: {figures.moved / 1e9:.1f} GB")
    if bounds := peak_seconds(figures, device):
        spent = (f"{name} {1000 * time:.1f} ms ({images / time:.0f} images/s)" for name, time in bounds.items())
        lines.append(f"  at the device's peak: {', '.join(spent)}")
    lines.append("  collectives" + ("" if figures.collectives else ": none"))
    for row in figures.collectives:
        place = " in a loop" if row.looped else ""
        what = " and ".join(row.purposes)
        lines.append(f"    {row.instructions:4d} × {row.kind:<12}{row.bytes / 2**20:10.3f} MiB{place}  {what}")
    return lines


def _row(name: str, number: str) -> str:
    return f"    {name:<36}{number:>10}"


def _batches(seen: dict[int, int], memory: int) -> list[str]:
    largest = max((images for images, size in seen.items() if size <= memory), default=0)
    lines = [f"Images per device: {largest} is the largest of those compiled that fits {memory / GIB:.2f} GiB"]
    return lines + [
        f"  {images:4d}{size / GIB:10.2f} GiB  {'fits' if size <= memory else 'does not fit'}"
        for images, size in sorted(seen.items())
    ]


def other_share(figures: Figures) -> float | None:
    """The share of the compiled FLOPs that is not the model's own arithmetic.

    None where fewer were counted than the model has, as on CPUs: there convolutions take fewer multiplications, and
    XLA counts one group of the mask head's slots.
    """
    share = 1 - figures.model_flops / figures.flops
    return share if share >= 0 else None


def peak_seconds(figures: Figures, device: Device) -> dict[str, float]:
    """How long a program takes where one thing alone limits it: its arithmetic, or its memory traffic."""
    seconds = {}
    if device.flops is not None:
        seconds["arithmetic"] = figures.flops / device.flops
    if device.bandwidth is not None and figures.moved is not None:
        seconds["memory traffic"] = figures.moved / device.bandwidth
    return seconds


def _numbers(figures: Figures, device: Device) -> dict[str, Any]:
    return {
        "images": figures.images,
        "size": figures.size,
        "memory": figures.memory | {"together": figures.total},
        "flops": figures.flops,
        "model_flops": figures.model_flops,
        "other_share": other_share(figures),
        "bytes_moved": figures.moved,
        "peak_seconds": peak_seconds(figures, device),
        "collectives": [row._asdict() for row in figures.collectives],
        "compile_seconds": figures.seconds,
    }
