"""Export to torchvision: a state dict, and a Python file that builds the model it belongs to."""

import sys
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path

import numpy as np

from maskrcnn_jax.checkpoints.convert.parts import fpn, resnet
from maskrcnn_jax.checkpoints.convert.torchvision import entry
from maskrcnn_jax.checkpoints.convert.torchvision_script import script
from maskrcnn_jax.checkpoints.formats.torch_writer import write_state_dict
from maskrcnn_jax.config import ConfigError, ModelConfig, require
from maskrcnn_jax.files.ending import require_ending
from maskrcnn_jax.files.writing import written_whole

Arrays = Mapping[str, np.ndarray]

EXPRESSIBLE: dict[str, tuple[object, ...]] = {
    "input.interpolation": ("exact", "rounded", "antialiased"),
    "input.enlarge_only": (False,),
    "input.centered": (False,),
    "input.black_padding": (False,),
    "backbone.norm": ("frozen_batch", "batch", "group"),
    "backbone.pool_after": (False,),
    "fpn.p6": ("subsample",),
    "rpn.proposals.joint": (False,),
    "rpn.proposals.clip_to_canvas": (False,),
    "pool.method": ("roi_align",),
    "rpn.anchors.scales": ((1.0,),),
    "box_head.fc_norm": ("none",),
    "box_head.class_agnostic": (False,),
    "detect.best_class_only": (False,),
    "inclusive_boxes": (False,),
}
"""Fields of which torchvision supports these values only."""

ENDINGS = (".pth", ".pt")
"""Of the file of weights."""


def written_files(path: Path) -> list[Path]:
    """What `write_torchvision` writes for a path: the file of weights, and beside it the Python file.

    Raises:
        WrongEnding: the path does not end in .pth or .pt.
        ConfigError: Python would import the second file in place of a module that it needs.
    """
    require_ending(path, ENDINGS, "a state dict of torch")
    builder = path.with_suffix(".py")
    taken = builder.stem in sys.stdlib_module_names | {"torch", "torchvision", "numpy"}
    remedy = f"{builder.name} beside it would be imported in place of Python's or torch's module; choose another name"
    require(not taken, "out", str(path), remedy)
    return [path, builder]


def write_torchvision(path: Path, arrays: Arrays, config: ModelConfig, *, overwrite: bool = True) -> list[Path]:
    """Writes `to_torchvision`'s state dict to `path` and `script`'s file beside it, with the suffix .py.

    Both files are complete before either replaces an existing one.

    Args:
        path: the file of weights, .pth or .pt.
        arrays: parameters and statistics by name.
        config: of the model that has them.
        overwrite: whether existing files may be replaced.

    Returns:
        What was written.

    Raises:
        ConfigError: torchvision has no such model, or the name is one of Python's modules.
        WrongEnding: the path does not end in .pth or .pt.
        OSError: a file cannot be written, or exists and may not be replaced.
    """
    weights, builder = written_files(path)
    state_dict = to_torchvision(arrays, config)
    with written_whole(builder, overwrite=overwrite) as text, written_whole(weights, overwrite=overwrite) as file:
        text.write_text(script(config, weights.name), encoding="utf-8")
        write_state_dict(file, state_dict)
    return [weights, builder]


def to_torchvision(arrays: Arrays, config: ModelConfig) -> dict[str, np.ndarray]:
    """Parameters and statistics in torchvision's names and layouts, for the model that `script` builds.

    For input in BGR the first kernel's channels are reversed. Outputs for background, where the model has none, are
    zero.

    Args:
        arrays: parameters and statistics by name.
        config: of the model that has them.

    Returns:
        float32 arrays, and int64 counters of batch norm, by torchvision's names. Those whose layout is the same share
        memory with `arrays`.

    Raises:
        ConfigError: torchvision has no such model; the message names the field.
    """
    require_expressible(config)
    state_dict: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        array = np.asarray(value)
        if name == "backbone.stem.conv.kernel" and config.input.bgr:
            array = array[:, :, ::-1]
        found = entry(name, config)
        if found is None:
            raise ConfigError(f"{name} {array.shape}: torchvision's models have no such array")
        state_dict[found.name] = found.layout.write(array)
        if name.endswith(".mean") and _norm(name, config) == "batch":
            state_dict[found.name.replace("running_mean", "num_batches_tracked")] = np.zeros((), np.int64)
    return state_dict


def _norm(name: str, config: ModelConfig) -> str:
    return getattr(config, name.partition(".")[0]).norm


def require_expressible(config: ModelConfig) -> None:
    """Checks that torchvision has such a model.

    Detections less than a hundredth of a pixel wide are dropped there and may be kept here; this is ignored.

    Raises:
        ConfigError: it has none; the message names the first field that it does not support.
    """
    backbone, neck = resnet(config), fpn(config)
    require(not config.heads, "model.heads", [head.name for head in config.heads], "torchvision has no such heads")
    for where, values in EXPRESSIBLE.items():
        value = attrgetter(where)(config)
        require(value in values, f"model.{where}", value, f"torchvision has only {', '.join(map(repr, values))}")
    channels, anchors = config.rpn.channels, config.rpn.anchors
    plain = backbone.groups == 1 and backbone.inner_width in (None, backbone.width)
    require(plain or backbone.depth >= 50, "model.backbone", backbone, "in torchvision only bottlenecks have groups")
    remedy = f"in torchvision it is that of the pyramid, {neck.channels}"
    require(channels in (None, neck.channels), "model.rpn.channels", channels, remedy)
    remedy = "torchvision has none, unless model.rpn.anchors.floor_stride is False"
    require(anchors.offset == 0 or not anchors.floor_stride, "model.rpn.anchors.offset", anchors.offset, remedy)
    require(len(config.box_head.fcs) > 0, "model.box_head.fcs", (), "torchvision needs a fully connected layer")
    require((config.detect.min_size or 0) <= 1e-2, "model.detect.min_size", config.detect.min_size, "is 0.01 there")
    if config.mask_head is not None:
        agnostic = config.mask_head.class_agnostic
        require(not agnostic, "model.mask_head.class_agnostic", agnostic, "torchvision has a mask per class")
        paste = config.mask_head.paste
        require(paste != "rounded", "model.mask_head.paste", paste, "torchvision has only 'outward' and 'exact'")
