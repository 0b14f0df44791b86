"""Steps on the input of the network and its backbone."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from maskrcnn_jax.inspect.data.stored_steps import boxes_figure
from maskrcnn_jax.inspect.model.inspected import InspectedImage
from maskrcnn_jax.inspect.panels import panel
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.tensors import trace_table
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure
from maskrcnn_jax.structs import Array


def image(seen: InspectedImage) -> Step:
    """The image inside the network's input."""
    trace, view, config = seen.trace, seen.view, seen.config
    text = "What the network sees: resized, with its normalisation undone. All boxes of the steps are in its pixels."
    if seen.annotated is None:
        text += (
            " Its objects are not known, so the steps that compare with them are left out: anchor targets, recall, "
            "precision, overlaps and errors."
        )
    if config.mask_head is None:
        text += " The network has no mask head: the steps on masks are left out."
    figure, _ = panel(view.image, "{} × {} pixels".format(*view.image.shape))
    return Step(
        "The image",
        text,
        [figure],
        facts={
            "Image": seen.image.shape[:2],
            "resized": view.image.shape[:2],
            "padded": trace.images.shape[1:3],
            "its corner in the padded input": "({:.0f}, {:.0f})".format(*view.corner.tolist()),
            "Mean subtracted": ", ".join(f"{value:g}" for value in config.input.mean),
            "divided by": ", ".join(f"{value:g}" for value in config.input.std),
            "Channels": "blue, green, red" if config.input.bgr else "red, green, blue",
        },
    )


def tensors(seen: InspectedImage) -> Step:
    """Every tensor of the forward pass."""
    return Step(
        "Every tensor",
        "All that the forward pass computes, in order; take(trace, name) gives one of them. Of arrays with padding the "
        "numbers are those of the valid slots.",
        tables=[trace_table(seen.trace)],
    )


def annotated_objects(seen: InspectedImage) -> Step | None:
    """The objects that are annotated; None if they are not known."""
    if seen.annotated is None:
        return None
    source, position, example, _ = seen.annotated
    return Step(
        "Annotated objects",
        "The masks, the boxes around them, and the annotated boxes, dashed.",
        [boxes_figure(example, source.class_names)],
        facts={
            "Image": f"{position} of {len(source):,}, id {example.image_id}",
            "Objects": len(example.labels),
            "of them crowds": int(example.is_crowd.sum()),
        },
    )


def backbone(seen: InspectedImage) -> Step:
    """The outputs of the backbone's stages."""
    return Step(
        "The backbone",
        "What the stages of the backbone return: their first four channels, each from its least value (dark) to its "
        "greatest (yellow), and the mean magnitude of all channels. Early stages show edges and colours where they are "
        "in the image; later ones have larger cells and features of larger parts.",
        [activation_figure(seen.activations)],
    )


def pyramid(seen: InspectedImage) -> Step:
    """The outputs of the feature pyramid."""
    return Step(
        "The pyramid",
        "The feature pyramid brings the stages to one number of channels and adds the coarse levels to the fine ones. "
        "All later steps use these maps alone.",
        [activation_figure(dict(zip(seen.config.level_names, seen.trace.features, strict=True)))],
    )


def activation_figure(stages: Mapping[str, Array], count: int = 4) -> Figure:
    """The first channels of each stage, `[1, h, w, channels]`, and the mean magnitude of all its channels."""
    grid = []
    for stage in stages.values():
        values = np.asarray(stage[0], np.float32)
        tiles = [_tile(values[..., channel], f"channel {channel}") for channel in range(min(count, values.shape[2]))]
        grid.append([*tiles, _tile(np.abs(values).mean(axis=2), "mean magnitude")])
    names = [f"{name}\n{stage.shape[1]} × {stage.shape[2]}\n× {stage.shape[3]}" for name, stage in stages.items()]
    return tile_figure(grid, names)


def _tile(values: Float[np.ndarray, "h w"], name: str) -> Tile:
    return Tile(heat(values), f"{name}: {values.min():.3g} … {values.max():.3g}".replace("-", "−"))
