"""Outputs of any module inside the network, by the module's path of attributes."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from maskrcnn_jax.inspect.tensors import did_you_mean
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, forward
from maskrcnn_jax.ops.images import Images, ImageSizes
from maskrcnn_jax.structs import Trace


class _Tap(nnx.Module):
    """Wraps a module and keeps its outputs."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.kept = nnx.Intermediate(())

    def __call__(self, *inputs: Any) -> Any:
        result = self.module(*inputs)
        self.kept.set_value((*self.returned, result))
        return result

    @property
    def returned(self) -> tuple[Any, ...]:
        return self.kept.get_value()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


def module_names(model: nnx.Module) -> list[str]:
    """Names of the modules whose activations are available, such as "backbone.layer1.0"."""
    return [".".join(map(str, path)) for path, module in nnx.iter_modules(model) if path and callable(module)]


def activations(
    model: MaskRCNN, images: Images, image_sizes: ImageSizes, names: Sequence[str]
) -> dict[str, jax.Array | tuple]:
    """The outputs of modules in one forward pass; see `observe` for arguments and errors.

    Under `jit`, with `static_argnames="names"`, nothing after the last of them is computed.
    """
    return observe(model, images, image_sizes, names)[1]


def observe(
    model: MaskRCNN, images: Images, image_sizes: ImageSizes, names: Sequence[str]
) -> tuple[Trace, dict[str, jax.Array | tuple]]:
    """One forward pass: its trace, and the outputs of modules.

    The model is not changed: the modules of a copy, which shares its weights, are wrapped.

    Args:
        model: the network.
        images: `[b, H, W, 3]` as `forward` takes them.
        image_sizes: `[b, 2]` as `forward` takes them.
        names: of modules, "backbone.stem" or "backbone.layer3.2"; `module_names` gives all of them.

    Returns:
        The trace, and by name: the array `[b, h, w, channels]`; a tuple where the module returns more than one, as
        "fpn" does, or is called more than once, as "rpn_head.logits" is for each level.

    Raises:
        ValueError: there is no such module, and the message names similar ones; or the forward pass does not call it.
    """
    known = module_names(model)
    for name in names:
        if name not in known:
            parts = sorted({known_name.partition(".")[0] for known_name in known})
            hint = did_you_mean(name, known) or f"its parts are {', '.join(parts)}"
            raise ValueError(f"the model has no module {name!r} that returns something; {hint}")
    wrapped = jax.tree.map(lambda leaf: leaf, model)
    modules = dict(nnx.iter_modules(wrapped))
    paths: dict[str, tuple[Any, ...]] = {".".join(map(str, path)): path for path in modules}
    taps = {name: _Tap(modules[paths[name]]) for name in names}
    for name, tap in taps.items():
        *place, key = paths[name]
        parent = modules[tuple(place)]
        if isinstance(parent, nnx.List):
            parent[key] = tap
        else:
            setattr(parent, key, tap)
    trace = forward(wrapped, images, image_sizes)
    silent = [name for name, tap in taps.items() if not tap.returned]
    if silent:
        raise ValueError(f"the forward pass does not call {', '.join(silent)}; name the module around it")
    returned = {name: tap.returned[0] if len(tap.returned) == 1 else tap.returned for name, tap in taps.items()}
    return trace, returned
