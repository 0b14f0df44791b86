"""The steps of a picture's way through a network that compare with its annotated objects."""

from collections.abc import Iterator

import jax
import numpy as np

from maskrcnn_jax.inspect.data.anchor_figures import positive_anchor_figure
from maskrcnn_jax.inspect.data.sample_figures import boxes_figure
from maskrcnn_jax.inspect.data.training_anchors import anchor_answers, assignment_table
from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.inspect.model.match_figures import error_figure, error_table, overlap_figure, precision_figure
from maskrcnn_jax.inspect.model.matches import picture_precision
from maskrcnn_jax.inspect.model.proposal_figures import trace_pyramid
from maskrcnn_jax.inspect.model.recall import object_recall_table, recall_figure, recall_table, stage_overlaps
from maskrcnn_jax.inspect.model.subject import Subject
from maskrcnn_jax.inspect.model.truth import (
    Truth,
    compare_picture,
    network_truth,
    object_names,
    same_input,
    score_pictures,
)
from maskrcnn_jax.inspect.page import Step
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.model.mask_rcnn import MaskRCNN


def object_step(truth: Truth) -> Step:
    """What is there."""
    example, names = truth.example, truth.source.class_names
    return Step(
        "Annotated objects",
        "What is there: masks, the boxes around them, and the annotated boxes, dashed.",
        boxes_figure(example, names),
        facts={
            "Picture": f"{truth.position} of {len(truth.source):,}, id {example.image_id}",
            "Objects": len(example.labels),
            "of them crowds": int(example.is_crowd.sum()),
        },
    )


def anchor_target_step(subject: Subject, truth: Truth) -> Iterator[Step]:
    """What training asks of the region proposal network; without objects it asks for background everywhere."""
    objects = network_truth(truth, subject)
    if not (~objects.is_crowd).any():
        return
    view, pyramid = subject.view, trace_pyramid(subject.trace)
    answers = anchor_answers(jax.random.key(0), pyramid.anchors, objects, truth.config)
    shown = answers._replace(refined=view.place(answers.refined))
    placed = objects._replace(boxes=view.place(objects.boxes))
    onto = pyramid._replace(anchors=view.place(pyramid.anchors))
    yield Step(
        "Anchor targets",
        "What training would ask of the region proposal network here: anchors that overlap an object enough are "
        "positive, and their targets lead onto its box.",
        positive_anchor_figure(view.image, onto, shown, placed, truth.source.class_names),
        tables=[assignment_table(pyramid, answers)],
    )


def recall_step(subject: Subject, truth: Truth) -> Iterator[Step]:
    """How many of the objects each stage still has."""
    objects = network_truth(truth, subject)
    boxes = objects.boxes[~objects.is_crowd]
    if not len(boxes):
        return
    overlaps = stage_overlaps(subject.trace, boxes)
    yield Step(
        "Recall by stage",
        "The share of objects that a box of the stage overlaps. What the proposals have lost, no later step finds "
        "again. Marked objects have no proposal that overlaps by one half.",
        recall_figure(overlaps),
        tables=[recall_table(overlaps), object_recall_table(overlaps, object_names(truth))],
    )


def outcome_steps(subject: Subject, truth: Truth) -> Iterator[Step]:
    """What was found beside what is there."""
    outcome, names = compare_picture(subject, truth), truth.category_names
    what = "masks" if subject.config.mask_head is not None else "boxes"
    if (~outcome.is_crowd).any() and len(outcome.scores):
        yield Step(
            "Precision and recall",
            f"Going from the best detection to the worst: the share of them that are right, and the share of objects "
            f"that are found, by the overlap of {what}. Dots are measured, the line is raised to the greatest "
            "precision at a higher recall, and AP is the area below it. All classes count together.",
            precision_figure(outcome),
            facts={f"AP at {threshold:g}": picture_precision(outcome, threshold) for threshold in (0.5, 0.75)},
        )
    if outcome.iou.size:
        yield Step(
            "Overlaps",
            f"The overlap (IoU of {what}) of every detection with every object. ✓ the detection has the object, × they "
            "are of different classes.",
            overlap_figure(outcome, names),
        )
    yield Step(
        "Errors by kind",
        f"Detections with class, score and, after the stroke, their best overlap of {what} with an object. Poorly "
        "localised: on an object of its class, with an overlap between 0.1 and 0.5. Wrong class: on an object of "
        "another class. Duplicate: a better detection has the object. On nothing: overlaps no object by more than 0.1. "
        "A missed object has no detection near it; the kinds are those of TIDE. Of many errors of a kind the best are "
        "drawn.",
        error_figure(subject.image, outcome, names),
        tables=[error_table(outcome)],
    )


def score_step(model: MaskRCNN, truth: Truth, pictures: int) -> Step:
    """Average precision of several pictures."""
    indices = same_input(truth, pictures)
    table, figures = score_pictures(model, truth, indices)
    rows = [(name, *(figures.get(f"{kind}/{name}") for kind in ("bbox", "segm"))) for name in ("AP", "AP50", "AP75")]
    kinds = ("boxes", "masks") if "segm/AP" in figures else ("boxes",)
    together = Table(("", *kinds), [row[: 1 + len(kinds)] for row in rows], "All of them together, mean over classes")
    return Step(
        "Average precision of several pictures",
        f"{pluralize(len(indices), 'picture')} of the data, drawn at random among those that are padded to the same "
        "size. A picture's AP takes all classes together; its mean over pictures is no mean over classes, so COCO's "
        "figures for the same pictures stand beside it.",
        facts={"Pictures": len(indices), "Objects": int(np.sum([row[2] for row in table.rows[:-1]]))},
        tables=[together, table],
    )
