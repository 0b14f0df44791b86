"""Steps on training samples: size, mask crops, augmentation, copy-paste."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.figure import Figure

from maskrcnn_jax.config import DataConfig
from maskrcnn_jax.data.augment import augment
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.color_jitter import ColorJitter
from maskrcnn_jax.data.transforms.copy_paste import CopyPaste
from maskrcnn_jax.data.transforms.generators import Generators
from maskrcnn_jax.data.transforms.masks import crop_mask
from maskrcnn_jax.data.transforms.placing import Flip, ScaleJitter
from maskrcnn_jax.data.transforms.transform import Transform
from maskrcnn_jax.inspect.colors import Ink, class_colors
from maskrcnn_jax.inspect.data.inspected import InspectedData, without_randomness
from maskrcnn_jax.inspect.panels import draw_boxes, legend, panels, show, tint
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.tensors import trace_table
from maskrcnn_jax.inspect.tiles import Tile, tile_figure
from maskrcnn_jax.masks.paste import paste_mask
from maskrcnn_jax.structs import Batch, GroundTruth

DRAWS, COLUMNS = 6, 3
"""Panels of a random step."""
SCALES, STRENGTH = (1.0, 2.0), 0.4
"""Of the scale and colour jitter that `random_crops` shows."""
OBJECTS = 7
"""Number of objects whose crops are shown, at most."""
BOTH, FULL_ONLY, CROP_ONLY = (190, 190, 190), (213, 94, 0), (86, 180, 233)
"""RGB of pixels in both masks, or only in one."""


def mask_crops(example: Example, size: int) -> list[UInt8[np.ndarray, "{size} {size}"]]:
    """Every object's mask as in training: cropped to its box, sampled at `size` × `size` cells."""
    return [crop_mask(mask, box, size) for mask, box in zip(example.masks, example.boxes, strict=True)]


def crop_overlaps(example: Example, crops: Sequence[UInt8[np.ndarray, "m m"]]) -> Float[np.ndarray, " n"]:
    """IoU of every mask with its crop put back at full size; 1 where both are empty."""
    overlaps = []
    for k, (mask, crop) in enumerate(zip(example.masks, crops, strict=True)):
        back = _restore(example, crop, k)
        union = np.sum((mask > 0) | back)
        overlaps.append(np.sum((mask > 0) & back) / union if union else 1.0)
    return np.array(overlaps)


def resized(data: InspectedData) -> Step:
    """The image at the size and with the padding that training gives it."""
    sample = data.sample
    height, width = sample.image_sizes.astype(int).tolist()
    stored = data.example.image.shape[:2]
    return Step(
        "Resized and padded",
        "The image is resized and put on a canvas of one of a few sizes, each of which is compiled once. Boxes are "
        "scaled with it; every mask is sampled from the stored one over its box. The objects fill the first of a fixed "
        "number of slots; the other slots are padding, and valid says which.",
        [input_figure([sample], data.names, 1)],
        facts={
            "Stored": stored,
            "resized": (height, width),
            "padded": data.bucket,
            "Scale": f"{height / stored[0]:.3f} × {width / stored[1]:.3f}",
            "Padding": f"{1 - height * width / (data.bucket[0] * data.bucket[1]):.1%}",
        },
        tables=[trace_table(sample)],
    )


def crops(data: InspectedData) -> Step:
    """Masks cropped to their boxes, beside the full ones."""
    example, settings = data.example, data.config.data
    made = mask_crops(example, settings.mask_size)
    overlaps = crop_overlaps(example, made)
    plain = without_randomness(settings)
    flipped = data.augmented(dataclasses.replace(plain, transforms=(Flip(1.0), *plain.transforms)))
    figures = [crops_figure(example, made, data.names)] if made else []
    cells, pixels = len(made) * settings.mask_size**2, len(made) * example.image.shape[0] * example.image.shape[1]
    return Step(
        "Crops against full masks",
        "A full-size mask for every object would fill the memory. Training keeps only the box of every mask, at a "
        "fixed number of cells; the loss is visible when the crop is pasted at full size. Below, all crops are pasted "
        "over the network's input, as it is and flipped.",
        [*figures, input_figure([data.sample, flipped], data.names, 2)],
        facts={
            "Cells of a crop": (settings.mask_size, settings.mask_size),
            "Mean IoU with the full masks": float(overlaps.mean()) if made else None,
            "least": float(overlaps.min()) if made else None,
            "Crops": f"{cells / 1e3:.0f} kB",
            "full masks": f"{pixels / 1e3:.0f} kB",
        },
    )


def augmentation(data: InspectedData) -> Step:
    """The image in different steps of training."""
    settings = data.config.data
    random = settings != without_randomness(settings)
    text = "Nothing is random in this configuration: every step of training gets the image as it is above."
    if random:
        text = (
            "The same image in different steps of training. The augmentation depends only on the seed, the step and "
            "the image's slot in the batch."
        )
    facts = {transform.name: settings_of(transform) for transform in settings.transforms}
    return Step("Augmentation", text, [_draws(data, settings)] if random else (), facts)


def random_crops(data: InspectedData) -> Step | None:
    """Random crops of the image; None where `augmentation` shows them already."""
    if data.config.data.transform(ScaleJitter) is not None:
        return None
    transforms = (Flip(0.5), ScaleJitter(*SCALES), ColorJitter(STRENGTH))
    settings = dataclasses.replace(data.config.data, transforms=transforms)
    return Step(
        "Random crops",
        f"This configuration keeps the whole image. With ScaleJitter{SCALES} it is enlarged by a random "
        "factor and cropped at random: objects at the edge get the box of what remains of them. Here also with "
        f"Flip(0.5) and ColorJitter({STRENGTH}).",
        [_draws(data, settings)],
    )


def copy_paste(data: InspectedData) -> Step:
    """The image with pasted objects of other images."""
    pastes = data.config.data.transform(CopyPaste)
    probability = 0.0 if pastes is None else pastes.probability
    return Step(
        "Copy-paste",
        "The same image with objects of others, cut out along their masks. What they cover is taken from the masks of "
        "the objects below, and boxes shrink to what is left."
        + ("" if probability else " This configuration does not use it: --data.copy-paste sets the probability."),
        [input_figure(pasted_samples(data), data.names, COLUMNS)],
        facts={"Probability": f"{probability:.0%}"},
    )


def settings_of(transform: Transform) -> str:
    """The fields of a transform."""
    own = [(field.name, getattr(transform, field.name)) for field in dataclasses.fields(transform)]
    return ", ".join(f"{name} {value}" for name, value in own) or "on"


def pasted_samples(data: InspectedData) -> list[Batch]:
    """The image with objects of images that have some, each drawn at random."""
    config, rng = data.config, data.rng(4)
    donors = [image.position for image in data.numbers.images if not image.is_crowd.all()]
    if not donors:
        return [data.augmented(config.data)]
    given = (data.example, Generators(rng), config.data, data.bucket, config.model.input.centered)
    some = rng.choice(donors, DRAWS).tolist()
    return [augment(*given, [(CopyPaste(), data.source[donor])]) for donor in some]


def _draws(data: InspectedData, settings: DataConfig) -> Figure:
    return input_figure([data.augmented(settings, step) for step in range(DRAWS)], data.names, COLUMNS)


def input_figure(samples: Sequence[Batch], class_names: Sequence[str], columns: int) -> Figure:
    """Inputs of the network: padded images with boxes, dotted those of crowds, and masks pasted from crops.

    The samples, at least one, have one padded size and no leading `B`.
    """
    figure, grid = panels(len(samples), columns, samples[0].images.shape)
    truths = [GroundTruth(*(field[truth.valid] for field in truth)) for _, _, truth, _ in samples]
    chosen = class_colors(label for truth in truths for label in truth.labels.tolist())
    for axes, sample, truth in zip(grid, samples, truths, strict=True):
        show(axes, sample.images, "image {:.0f} × {:.0f}".format(*sample.image_sizes.tolist()))
        colors = [chosen[label] for label in truth.labels.tolist()]
        tint(axes, full_masks(truth, sample.images.shape), colors)
        draw_boxes(axes, truth.boxes, colors, [":" if crowd else "-" for crowd in truth.is_crowd])
    legend(figure, {class_names[label]: Ink(color) for label, color in chosen.items()})
    return figure


def full_masks(truth: GroundTruth, shape: Sequence[int]) -> Iterable[Bool[np.ndarray, "H W"]]:
    """The masks of one image's valid slots over the padded image, one at a time."""
    for slot in np.flatnonzero(truth.valid):
        yield paste_mask(truth.masks[slot].astype(np.float32), truth.mask_extent[slot], shape[0], shape[1])


def crops_figure(example: Example, crops: Sequence[UInt8[np.ndarray, "m m"]], class_names: Sequence[str]) -> Figure:
    """The largest objects, at least one: image, full mask, crop, and where the crop, put back at full size, differs."""
    sides = example.boxes[:, 2:] - example.boxes[:, :2]
    largest = np.argsort(-sides.prod(axis=1), kind="stable")[:OBJECTS].tolist()
    overlaps = crop_overlaps(example, crops)
    tiles: list[list[Tile]] = [[], [], [], []]
    for k in largest:
        (left, top), (right, bottom) = np.floor(example.boxes[k, :2]), np.ceil(example.boxes[k, 2:])
        window = slice(int(top), int(bottom)), slice(int(left), int(right))
        mask, back = example.masks[k][window] > 0, _restore(example, crops[k], k)[window]
        tiles[0].append(Tile(example.image[window], class_names[example.labels[k]]))
        tiles[1].append(Tile(_difference(mask, mask), f"{mask.shape[0]} × {mask.shape[1]}"))
        tiles[2].append(Tile(_difference(crops[k] > 0, crops[k] > 0), f"{len(crops[k])} × {len(crops[k])}"))
        tiles[3].append(Tile(_difference(mask, back), f"IoU {overlaps[k]:.3f}"))
    return tile_figure(tiles, ("image", "full mask", "crop", "crop put back:\norange is lost,\nblue is added"))


def _restore(example: Example, crop: np.ndarray, k: int) -> Bool[np.ndarray, "H W"]:
    height, width = example.image.shape[:2]
    return paste_mask(crop.astype(np.float32), example.boxes[k], height, width)


def _difference(mask: np.ndarray, back: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of both masks gray, of one alone in a colour."""
    image = np.zeros((*mask.shape, 3), np.uint8)
    for pixels, color in ((mask & back, BOTH), (mask & ~back, FULL_ONLY), (back & ~mask, CROP_ONLY)):
        image[pixels] = color
    return image
