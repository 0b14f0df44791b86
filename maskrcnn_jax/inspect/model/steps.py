"""The story of a picture on its way through a network, step by step."""

from collections.abc import Iterator

from maskrcnn_jax.inspect.model.activation_figures import activation_figure, delta_figure
from maskrcnn_jax.inspect.model.detection_figures import (
    class_suppression_figure,
    class_suppression_table,
    detection_figure,
    filter_table,
    picture_figure,
    splash_figure,
)
from maskrcnn_jax.inspect.model.head_figures import (
    likely_class_table,
    probability_figure,
    roi_class_figure,
    roi_feature_figure,
    roi_level_figure,
    roi_level_table,
    roi_refinement_figure,
)
from maskrcnn_jax.inspect.model.mask_figures import class_mask_figure, mask_figure
from maskrcnn_jax.inspect.model.proposal_figures import (
    corner_figure,
    objectness_figure,
    refined_figure,
    suppression_figure,
    top_anchor_figure,
)
from maskrcnn_jax.inspect.model.subject import Subject
from maskrcnn_jax.inspect.model.truth import Truth
from maskrcnn_jax.inspect.model.truth_steps import (
    anchor_target_step,
    object_step,
    outcome_steps,
    recall_step,
    score_step,
)
from maskrcnn_jax.inspect.page import Step
from maskrcnn_jax.inspect.tables import trace_table
from maskrcnn_jax.model.mask_rcnn import MaskRCNN

SURE = 0.5
"""Score from which detections are drawn, as `predict` does."""


def model_steps(model: MaskRCNN, subject: Subject, truth: Truth | None, pictures: int) -> Iterator[Step]:
    """The steps of the report, in order.

    Args:
        model: the network.
        subject: the picture, and what the network makes of it.
        truth: its annotated objects; steps that need them are left out if None.
        pictures: of the same data, whose average precision is taken; none are if 0.
    """
    yield from _input_steps(subject, truth)
    if truth is not None:
        yield object_step(truth)
    yield from _feature_steps(subject)
    if truth is not None:
        yield from anchor_target_step(subject, truth)
    yield from _proposal_steps(subject)
    if truth is not None:
        yield from recall_step(subject, truth)
    yield from _box_head_steps(subject)
    yield from _detection_steps(subject)
    if truth is not None:
        yield from outcome_steps(subject, truth)
        if pictures:
            yield score_step(model, truth, pictures)


def _input_steps(subject: Subject, truth: Truth | None) -> Iterator[Step]:
    trace, config = subject.trace, subject.config
    left_out = []
    if truth is None:
        left_out.append(
            "Nothing is known of its objects, so the steps that compare with them are left out: anchor targets, "
            "recall, precision, overlaps and errors."
        )
    if config.mask_head is None:
        left_out.append("The network has no mask head: the steps on masks are left out.")
    x, y = subject.view.corner.tolist()
    yield Step(
        "The picture",
        "What the network sees: resized, and with its normalisation undone, in the colours that it has inside. All "
        "boxes on this page are in its pixels. " + " ".join(left_out),
        picture_figure(subject.view),
        facts={
            "Picture": subject.image.shape[:2],
            "resized": subject.view.image.shape[:2],
            "padded": trace.images.shape[1:3],
            "its corner in the padded input": f"({x:.0f}, {y:.0f})",
            "Mean subtracted": ", ".join(f"{value:g}" for value in config.input.mean),
            "divided by": ", ".join(f"{value:g}" for value in config.input.std),
            "Channels": "blue, green, red" if config.input.bgr else "red, green, blue",
        },
    )
    yield Step(
        "Every tensor",
        "All that the forward pass computes, in order; each name works with take(trace, name). Of arrays with "
        "padding the numbers are those of the valid slots.",
        tables=[trace_table(trace)],
    )


def _feature_steps(subject: Subject) -> Iterator[Step]:
    yield Step(
        "The backbone",
        "What the stages of the backbone return: their first four channels, each on its own scale from its least value "
        "(dark) to its greatest (yellow), and the mean size of all channels. From stage to stage cells get larger and "
        "mean more.",
        activation_figure(subject.activations),
    )
    levels = {f"P{level}": array for level, array in enumerate(subject.trace.features, start=2)}
    yield Step(
        "The pyramid",
        "The feature pyramid brings the stages to one number of channels, and what the coarse ones know down to the "
        "fine ones.",
        activation_figure(levels),
    )


def _proposal_steps(subject: Subject) -> Iterator[Step]:
    trace, view = subject.trace, subject.view
    candidates = trace.candidates
    yield Step(
        "Objectness",
        "The region proposal network says of every anchor how sure it is of an object, of whatever class. For each "
        "cell the surest of its anchors is shown.",
        objectness_figure(trace),
        facts={"Anchors": f"{len(trace.anchors):,}"},
    )
    yield Step(
        "Top anchors",
        "The anchors with the highest objectness before anything moves them. They may leave the picture.",
        top_anchor_figure(trace, view),
    )
    yield Step(
        "Refined and clipped",
        "The best anchors of each level are candidates. Each is moved by its deltas, then clipped to the picture.",
        refined_figure(trace, view),
        facts={"Candidates": int(candidates.valid[0].sum())},
    )
    yield Step(
        "Suppression and proposals",
        f"Of two candidates of a level that overlap by more than {subject.config.rpn.proposals.nms_iou} the better "
        "stays. The best of those that stay are the proposals.",
        suppression_figure(trace, view),
        facts={
            "Candidates": int(candidates.valid[0].sum()),
            "kept": int(candidates.keep[0].sum()),
            "Proposals": int(trace.proposals.valid[0].sum()),
        },
    )
    yield Step(
        "Where proposals lie",
        "The corners of all proposals. An even spread says that the network does not know where objects are.",
        corner_figure(trace, view),
    )
    yield Step(
        "Deltas",
        "By how much boxes are moved, (dx, dy) in units of their sides, and stretched, (dw, dh) as logarithms; each "
        "times its weight. Above, those of the region proposal network; below, those of the box head for the classes "
        "that pass its threshold.",
        delta_figure(trace),
    )


def _box_head_steps(subject: Subject) -> Iterator[Step]:
    trace, view, names = subject.trace, subject.view, subject.config.class_names
    yield Step(
        "Levels of rois",
        "Every proposal is a region of interest, a roi. Its features are pooled from the level that fits its size.",
        roi_level_figure(trace, view),
        tables=[roi_level_table(trace)],
    )
    yield Step(
        "Features of rois",
        "Whatever the size of a roi, the box head gets a square of features. Above, what rois show; below, the mean "
        "size of their features and the two channels that vary most among them.",
        roi_feature_figure(trace, view),
    )
    yield Step(
        "Classes of rois",
        "The box head gives every roi a probability for each class and for background. Named are the most likely "
        "objects of those that are drawn.",
        roi_class_figure(trace, view, names),
        tables=[likely_class_table(trace, names)],
    )
    yield Step(
        "Class probabilities",
        "Rois that are least likely background, a row each. Several bright columns in a row are a choice between "
        "classes.",
        probability_figure(trace, names),
    )
    yield Step(
        "Deltas of classes",
        "The box head has deltas for each class of a roi. Before and after, for some pairs of a roi and a class that "
        "pass the threshold.",
        roi_refinement_figure(trace, view, names),
    )
    yield Step(
        "Suppression class by class",
        "Pairs of a roi and a class whose probability passes the threshold. Of two pairs of one class that overlap too "
        "much the better stays; classes do not see each other.",
        class_suppression_figure(trace, view, names),
        tables=[filter_table(trace, subject.config), class_suppression_table(trace, names)],
    )


def _detection_steps(subject: Subject) -> Iterator[Step]:
    trace, view, config = subject.trace, subject.view, subject.config
    found, sure = int(trace.detections.valid[0].sum()), int((trace.detections.scores[0] >= SURE).sum())
    yield Step(
        "Detections",
        f"What is left, with class and score; those below {SURE} are not drawn."
        + ("" if found else " Nothing was found."),
        detection_figure(trace, view, config, SURE),
        facts={"Detections": found, "Threshold": config.detect.score_threshold, f"{SURE} or more": sure},
    )
    if config.mask_head is None or not found:
        return
    yield Step(
        "Masks",
        "For each detection the mask head answers with a square of probabilities over its box, from 0 (dark) to 1 "
        "(yellow). Pasted into the picture they are cut at one half.",
        mask_figure(trace, view, config),
    )
    if config.num_classes > 1:
        yield Step(
            "Masks of other classes",
            "The mask head draws a mask for every class and does not choose among them: the box head's class decides "
            "which is taken.",
            class_mask_figure(trace, config.class_names),
        )
    yield Step(
        "Colour splash",
        f"Gray where no object with a score of {SURE} or more is.",
        splash_figure(trace, view, config, SURE),
    )
