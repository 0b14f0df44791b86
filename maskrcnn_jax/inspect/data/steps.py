"""Steps of the report on a data set: pictures as they are stored, as training gets them, and all of them in numbers."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from maskrcnn_jax.config import Config
from maskrcnn_jax.data.transforms.copy_paste import augment_together
from maskrcnn_jax.inspect.data.crop_figures import crop_overlaps, crops_figure, mask_crops
from maskrcnn_jax.inspect.data.number_figures import class_figure, object_figure, size_figure
from maskrcnn_jax.inspect.data.numbers import area_table, class_table, object_size_table, spread_table
from maskrcnn_jax.inspect.data.rows import network_scales, training_row, without_chance
from maskrcnn_jax.inspect.data.sample_figures import box_table, boxes_figure, input_figure, sample_figure
from maskrcnn_jax.inspect.data.study import Study
from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.inspect.page import Step
from maskrcnn_jax.inspect.tables import trace_table
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.structs import Batch

SAMPLES = 4
"""Pictures that are shown with their masks."""
ROWS, COLUMNS = 6, 3
"""Panels of what chance makes of a picture."""
SCALES, STRENGTH = (1.0, 2.0), 0.4
"""Of scale and colour jitter: what random crops would be where there are none."""


def stored_steps(study: Study) -> Iterator[Step]:
    """Classes, samples and boxes."""
    source, numbers, example = study.source, study.numbers, study.example
    names = source.class_names
    broken = [Table(("message",), [(message,) for message in numbers.broken], "Broken pictures")]
    yield Step(
        "The data set",
        "Labels count from 0, and background is no class. Classes without an object among the pictures looked at are "
        "marked.",
        facts={
            "Pictures": f"{len(source):,}",
            "of them looked at": f"{len(numbers.images):,}",
            "of them broken": len(numbers.broken),
            "Classes": len(names),
        },
        tables=[class_table(numbers, source), *(broken if numbers.broken else [])],
    )
    drawn = study.rng(1).permutation([image.position for image in numbers.images])[:SAMPLES].tolist()
    yield Step(
        "Samples with masks",
        f"{pluralize(len(drawn), 'picture')}, drawn at random. Beside each are the classes that cover most of it, with "
        "their share of the picture; every instance has a colour of its own.",
        (sample_figure(source[position], names) for position in drawn),
    )
    distances = numbers.objects("distances")
    worst = max(numbers.images, key=lambda image: image.distances.max(initial=0))
    yield Step(
        "Boxes from masks",
        "A mask's box reaches from its first to its last column and row. Annotated boxes stem from outlines, so they "
        "may differ by a pixel or so; where they differ by more, box and mask do not belong together. The picture is "
        "that of the next steps, too.",
        boxes_figure(example, names),
        facts={
            "Picture": f"id {example.image_id}",
            "Objects": len(example.labels),
            "Objects looked at": len(distances),
            "Largest distance of their sides": f"{distances.max(initial=0):.2f} pixels, in picture {worst.image_id}",
            "above 2 pixels": int((distances > 2).sum()),
        },
        tables=[box_table(example, names)],
    )


def row_steps(study: Study) -> Iterator[Step]:
    """What training makes of a picture."""
    example, config, names = study.example, study.config, study.source.class_names
    data, bucket = config.data, study.bucket
    plain = dataclasses.replace(config, data=without_chance(data))
    row = training_row(example, plain, bucket, study.seed)
    height, width = row.image_sizes.astype(int).tolist()
    stored = example.image.shape[:2]
    yield Step(
        "Resized and padded",
        "The picture gets its size and is put on a canvas of one of a few sizes, each of which is compiled once. Boxes "
        "are carried along; every mask is sampled from the stored one over its box. Slots without an object are "
        "padding, marked by valid.",
        input_figure([row], names, 1),
        facts={
            "Stored": stored,
            "resized": (height, width),
            "padded": bucket,
            "Scale": f"{height / stored[0]:.3f} × {width / stored[1]:.3f}",
            "Padding": f"{1 - height * width / (bucket[0] * bucket[1]):.1%}",
        },
        tables=[trace_table(row)],
    )
    flipped = dataclasses.replace(plain, data=dataclasses.replace(plain.data, flip=1.0))
    crops = mask_crops(example, data.mask_size)
    overlaps = crop_overlaps(example, crops)
    mirrored = training_row(example, flipped, bucket, study.seed)

    def figures() -> Iterator[Figure]:
        if crops:
            yield crops_figure(example, crops, names)
        yield input_figure([row, mirrored], names, 2)

    full = len(crops) * stored[0] * stored[1]
    yield Step(
        "Crops against full masks",
        "Training keeps of every mask its box alone, at a fixed number of cells; what that loses shows when the crop "
        "is put back at full size. Below, all crops are put back over the network's input, as it is and mirrored.",
        figures(),
        facts={
            "Cells of a crop": (data.mask_size, data.mask_size),
            "Mean IoU with the full masks": float(overlaps.mean()) if crops else None,
            "least": float(overlaps.min()) if crops else None,
            "Crops": f"{len(crops) * data.mask_size**2 / 1e3:.0f} kB",
            "full masks": f"{full / 1e3:.0f} kB",
        },
    )
    yield from _augmentation_steps(study)


def _augmentation_steps(study: Study) -> Iterator[Step]:
    config, data, names = study.config, study.config.data, study.source.class_names

    def rows(config: Config) -> list[Batch]:
        return [training_row(study.example, config, study.bucket, study.seed, step) for step in range(ROWS)]

    random = data != without_chance(data)
    strength = data.color_jitter
    yield Step(
        "Augmentation",
        "The same picture in different steps of training."
        if random
        else "Nothing is random in this configuration: every step of training gets the picture as it is above.",
        input_figure(rows(config), names, COLUMNS) if random else (),
        facts={
            "Flip": f"{data.flip:.0%}",
            "Shorter side": ", ".join(map(str, data.shortest_edges)) if data.scale_jitter is None else None,
            "Scale jitter": "none" if data.scale_jitter is None else "{:g} … {:g}".format(*data.scale_jitter),
            "Brightness, contrast, saturation": f"× {1 - strength:g} … {1 + strength:g}" if strength else "none",
        },
    )
    if data.scale_jitter is None:
        more = dataclasses.replace(data, flip=0.5, scale_jitter=SCALES, color_jitter=STRENGTH)
        yield Step(
            "Random crops",
            f"This configuration keeps the whole picture. With data.scale_jitter = {SCALES} it is enlarged by a random "
            "factor and cropped at a random place: objects at the edge get the box of what remains of them. Here also "
            f"with data.flip = 0.5 and data.color_jitter = {STRENGTH}.",
            input_figure(rows(dataclasses.replace(config, data=more)), names, COLUMNS),
        )
    yield Step(
        "Copy-paste",
        "The same picture with objects of others, cut out along their masks. What they cover is taken from the masks "
        "of the objects below, and boxes shrink to what is left."
        + ("" if data.copy_paste else " This configuration does not do it: data.copy_paste is the probability."),
        input_figure(pasted_rows(study), names, COLUMNS),
        facts={"Probability": f"{data.copy_paste:.0%}"},
    )


def pasted_rows(study: Study) -> list[Batch]:
    """The picture with objects of pictures that have some, each drawn at random."""
    config, rng = study.config, study.rng(4)
    donors = [image.position for image in study.numbers.images if not image.is_crowd.all()]
    some = rng.choice(donors, ROWS).tolist() if donors else []
    return [
        augment_together(
            study.example, study.source[donor], rng, config.data, study.bucket, config.model.input.centered
        )
        for donor in some
    ] or [training_row(study.example, config, study.bucket, study.seed)]


def number_steps(study: Study) -> Iterator[Step]:
    """Sizes, colours, objects and classes of many pictures."""
    numbers, source, expected = study.numbers, study.source, study.config.model.input
    mean, deviation = numbers.colors()
    sizes = np.asarray(source.sizes)
    scales = network_scales([image.size for image in numbers.images], study.config.data)
    yield Step(
        "Sizes and colours",
        "Sizes of all pictures of the split; colours of those looked at, on the scale from 0 to 255, beside what the "
        "network subtracts and divides by.",
        size_figure(sizes),
        facts={
            "Mean of red, green, blue": _three(mean),
            "subtracted": _three(expected.mean),
            "Standard deviation": _three(deviation),
            "divided by": _three(expected.std),
        },
        tables=[spread_table((("height", sizes[:, 0]), ("width", sizes[:, 1])), "Sizes, pixels")],
    )
    yield Step(
        "Objects",
        "How many there are, how large they are and of what shape. Sizes on the figure are those that the network "
        "sees, beside the sizes and the aspect ratios of its anchors.",
        object_figure(numbers, scales, study.config.model.rpn.anchors),
        tables=[object_size_table(numbers), area_table(numbers)],
    )
    yield Step(
        "Classes",
        "Objects of each class in the pictures looked at.",
        class_figure(numbers, source.class_names),
    )


def _three(values: object) -> str:
    return ", ".join(f"{value:.1f}" for value in np.asarray(values).tolist())
