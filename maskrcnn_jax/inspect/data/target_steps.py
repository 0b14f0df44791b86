"""Steps of the report on a data set: what training asks of anchors and rois, in one picture and over batches."""

import contextlib
import dataclasses
from collections.abc import Iterator
from itertools import chain, islice

import jax
import numpy as np
from matplotlib.figure import Figure

from maskrcnn_jax.data import train_batches
from maskrcnn_jax.inspect.data.anchor_figures import anchor_figure, other_anchor_figure, positive_anchor_figure
from maskrcnn_jax.inspect.data.roi_figures import mask_target_figure, roi_figure, share_figure
from maskrcnn_jax.inspect.data.rows import training_row, without_chance
from maskrcnn_jax.inspect.data.study import Study
from maskrcnn_jax.inspect.data.training_anchors import (
    anchor_answers,
    anchor_table,
    assignment_table,
    build_pyramid,
    nearest,
    object_anchor_table,
)
from maskrcnn_jax.inspect.data.training_rois import (
    NEAR,
    RANDOM_ROIS,
    count_rois,
    random_proposals,
    roi_answers,
    roi_class_table,
    roi_count_table,
)
from maskrcnn_jax.inspect.page import Step
from maskrcnn_jax.inspect.tables import trace_table
from maskrcnn_jax.ops.images import valid_regions
from maskrcnn_jax.ops.matching import Assignment
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.step import to_model_boxes

BATCHES = 10


def target_steps(study: Study) -> Iterator[Step]:
    """Anchors, rois and batches."""
    plain = dataclasses.replace(study.config, data=without_chance(study.config.data))
    row = training_row(study.example, plain, study.bucket, study.seed)
    row = row._replace(ground_truth=jax.device_get(to_model_boxes(row.ground_truth, plain.model)))
    yield from _anchor_steps(study, row)
    yield from _roi_steps(study, row)
    yield _batch_step(study)


def _anchor_steps(study: Study, row: Batch) -> Iterator[Step]:
    config, names, truth = study.config, study.source.class_names, row.ground_truth
    settings, match = config.model.rpn.anchors, config.sampling.anchors
    pyramid = build_pyramid(config, study.bucket)
    yield Step(
        "Anchors",
        "The reference boxes of the region proposal network, counted level by level, row by row, cell by cell and then "
        "by ratio. Here are those of the cell in the middle of each level, dark to bright in the order of the ratios.",
        anchor_figure(row.images, pyramid, settings),
        facts={
            "Anchors": f"{len(pyramid.anchors):,}",
            "Levels": len(pyramid.counts),
            "Sizes": ", ".join(f"{size:g}" for size in settings.sizes),
            "Ratios, height / width": ", ".join(f"{ratio:g}" for ratio in settings.aspect_ratios),
            "Anchors in a cell": len(settings.aspect_ratios),
            "Shape": pyramid.anchors.shape,
            "Coordinates": f"{pyramid.anchors.min():g} … {pyramid.anchors.max():g} pixels",
        },
        tables=[anchor_table(pyramid, settings)],
    )
    answers = anchor_answers(jax.random.key(study.seed), pyramid.anchors, truth, config)
    positive = answers.which(Assignment.POSITIVE, sampled=False)
    distances = nearest(answers.refined[positive], truth)[1] if len(positive) else positive
    rule = " or is its best one" if match.low_quality else ""
    objects = truth.valid & ~truth.is_crowd

    def figures() -> Iterator[Figure]:
        yield positive_anchor_figure(row.images, pyramid, answers, truth, names)
        yield other_anchor_figure(row.images, pyramid, answers, study.rng(2))

    yield Step(
        "Anchors and objects",
        f"An anchor is positive if it overlaps an object by {match.foreground_iou:g}{rule}, negative if it overlaps "
        f"all by less than {match.background_iou:g}, and ignored otherwise. Of positive and negative ones a sample is "
        "drawn. Moved by its target, every positive anchor must land on an object: dashed lines become full ones.",
        figures(),
        facts={
            "Positive": len(positive),
            "negative": len(answers.which(Assignment.NEGATIVE, sampled=False)),
            "ignored": len(answers.which(Assignment.IGNORE, sampled=False)),
            "Sampled": len(answers.sampled),
            "of them positive": len(answers.which(Assignment.POSITIVE, sampled=True)),
            "Moved anchors and objects, largest distance": _largest(distances),
            f"Objects without an anchor of IoU {match.foreground_iou:g}": int(
                (answers.overlaps[objects] < match.foreground_iou).sum()
            ),
        },
        tables=[
            assignment_table(pyramid, answers),
            object_anchor_table(answers, truth, names, match.foreground_iou),
            trace_table(answers),
        ],
    )


def _roi_steps(study: Study, row: Batch) -> Iterator[Step]:
    config, names, truth = study.config, study.source.class_names, row.ground_truth
    window = np.asarray(valid_regions(row.image_sizes[None], study.bucket, config.model.input))[0]
    proposals = random_proposals(study.rng(3), truth, window)
    key = jax.random.key(study.seed)
    answers = roi_answers(key, proposals, truth, config, len(names))
    rois, foreground = answers.rois, answers.foreground
    matched = truth.boxes[rois.matched_index[foreground]]
    match, total = config.sampling.rois, int(rois.valid.sum())
    own = " The objects' own boxes take part." if config.sampling.append_ground_truth else ""
    yield Step(
        "Rois for training",
        f"The heads learn from boxes that are drawn from the proposals: foreground overlaps an object by "
        f"{match.foreground_iou:g}, and is at most {match.foreground_fraction:.0%} of them.{own} In place of a "
        f"network's proposals there are {RANDOM_ROIS:,} random boxes here, {NEAR:.0%} of them around objects. Dashed "
        "are rois, full the same moved by their targets.",
        roi_figure(row.images, answers, names),
        facts={
            "Rois": total,
            "foreground": int(foreground.sum()),
            "background": total - int(foreground.sum()),
            "Share of foreground": f"{foreground.sum() / max(total, 1):.1%}",
            "Different rois": f"{len(np.unique(rois.boxes[rois.valid], axis=0))} of {total}",
            "Moved rois and objects, largest distance": _largest(np.abs(answers.refined[foreground] - matched)),
        },
        tables=[roi_class_table(answers, names), trace_table(answers)],
    )
    if answers.masks is not None:
        side = answers.masks.shape[1]
        covered = float(answers.masks[foreground].mean()) if foreground.any() else None
        yield Step(
            "Mask targets",
            f"What an object covers of each foreground roi, on the {side} × {side} cells that the mask head answers. "
            "A roi beside its object sees but a part of it.",
            mask_target_figure(row.images, answers, names) if foreground.any() else (),
            facts={"Targets": answers.masks[foreground].shape, "Mean share that objects cover": covered},
        )


def _batch_step(study: Study) -> Step:
    config, background = study.config, len(study.source.class_names)
    batches = train_batches(study.source, config.data, study.seed, 0, centered=config.model.input.centered)
    with contextlib.closing(batches):
        first = next(batches)
        counts = list(count_rois(chain([first], islice(batches, BATCHES - 1)), config, background, study.seed))
    shares = [count.foreground / max(count.rois, 1) for count in counts]
    wanted = config.sampling.rois.foreground_fraction
    return Step(
        "Foreground over batches",
        f"{BATCHES} batches as training reads them, with random boxes as before. Boxes that overlap an object enough "
        "are rare among random ones: a network's proposals have more of them. The last table has the first batch.",
        share_figure(counts, wanted),
        facts={
            "Pictures": len(counts),
            "Mean share of foreground": f"{np.mean(shares):.1%}",
            "at most": f"{wanted:.1%}",
            "Pictures without foreground": sum(share == 0 for share in shares),
        },
        tables=[roi_count_table(counts), trace_table(first)],
    )


def _largest(distances: np.ndarray) -> str | None:
    return f"{distances.max():.1g} pixels" if distances.size else None
