"""Every step to look at: tensors of a trace by name, the inside of the network, reports on data, models and weights.

`python -m maskrcnn_jax inspect` writes a report as a folder of pictures and a page of HTML.
"""

from maskrcnn_jax.inspect.activations import activations, module_names, observe
from maskrcnn_jax.inspect.choice import choose_image, draw_image, find_image
from maskrcnn_jax.inspect.data.anchor_figures import anchor_figure, other_anchor_figure, positive_anchor_figure
from maskrcnn_jax.inspect.data.crop_figures import crop_overlaps, crops_figure, mask_crops
from maskrcnn_jax.inspect.data.number_figures import class_figure, object_figure, size_figure
from maskrcnn_jax.inspect.data.numbers import (
    area_table,
    class_table,
    object_size_table,
    read_numbers,
    spread_table,
)
from maskrcnn_jax.inspect.data.report import data_steps, inspect_data
from maskrcnn_jax.inspect.data.roi_figures import mask_target_figure, roi_figure, share_figure
from maskrcnn_jax.inspect.data.rows import bucket_of, network_scales, training_row, without_chance
from maskrcnn_jax.inspect.data.sample_figures import (
    box_table,
    boxes_figure,
    input_figure,
    mask_boxes,
    sample_figure,
)
from maskrcnn_jax.inspect.data.study import open_study
from maskrcnn_jax.inspect.data.training_anchors import (
    anchor_answers,
    anchor_table,
    assignment_table,
    build_pyramid,
    nearest,
    object_anchor_table,
)
from maskrcnn_jax.inspect.data.training_rois import (
    count_rois,
    random_proposals,
    roi_answers,
    roi_class_table,
    roi_count_table,
)
from maskrcnn_jax.inspect.document import Table
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
from maskrcnn_jax.inspect.model.match_figures import error_figure, error_table, overlap_figure, precision_figure
from maskrcnn_jax.inspect.model.matches import compare_results, error_kinds, match_predictions, precision_recall
from maskrcnn_jax.inspect.model.proposal_figures import (
    corner_figure,
    objectness_figure,
    refined_figure,
    suppression_figure,
    top_anchor_figure,
)
from maskrcnn_jax.inspect.model.recall import object_recall_table, recall_figure, recall_table, stage_overlaps
from maskrcnn_jax.inspect.model.report import inspect_model
from maskrcnn_jax.inspect.model.steps import model_steps
from maskrcnn_jax.inspect.model.subject import Subject, View, in_view, look
from maskrcnn_jax.inspect.model.truth import compare_picture, network_truth, read_truth, score_pictures
from maskrcnn_jax.inspect.model.truth_steps import anchor_target_step, outcome_steps, recall_step, score_step
from maskrcnn_jax.inspect.page import Step, write_page
from maskrcnn_jax.inspect.tables import table, take, trace_table
from maskrcnn_jax.inspect.time_figure import time_figure
from maskrcnn_jax.inspect.weights.change import change_table, compare, part_table
from maskrcnn_jax.inspect.weights.figures import change_figures, histogram_figures, layer_figures
from maskrcnn_jax.inspect.weights.report import config_table, inspect_weights
from maskrcnn_jax.inspect.weights.rows import weight_rows, weight_table
from maskrcnn_jax.inspect.weights.source import read_source

__all__ = [
    "Step",
    "Subject",
    "Table",
    "View",
    "activation_figure",
    "activations",
    "anchor_answers",
    "anchor_figure",
    "anchor_table",
    "anchor_target_step",
    "area_table",
    "assignment_table",
    "box_table",
    "boxes_figure",
    "bucket_of",
    "build_pyramid",
    "change_figures",
    "change_table",
    "choose_image",
    "class_figure",
    "class_mask_figure",
    "class_suppression_figure",
    "class_suppression_table",
    "class_table",
    "compare",
    "compare_picture",
    "compare_results",
    "config_table",
    "corner_figure",
    "count_rois",
    "crop_overlaps",
    "crops_figure",
    "data_steps",
    "delta_figure",
    "detection_figure",
    "draw_image",
    "error_figure",
    "error_kinds",
    "error_table",
    "filter_table",
    "find_image",
    "histogram_figures",
    "in_view",
    "input_figure",
    "inspect_data",
    "inspect_model",
    "inspect_weights",
    "layer_figures",
    "likely_class_table",
    "look",
    "mask_boxes",
    "mask_crops",
    "mask_figure",
    "mask_target_figure",
    "match_predictions",
    "model_steps",
    "module_names",
    "nearest",
    "network_scales",
    "network_truth",
    "object_anchor_table",
    "object_figure",
    "object_recall_table",
    "object_size_table",
    "objectness_figure",
    "observe",
    "open_study",
    "other_anchor_figure",
    "outcome_steps",
    "overlap_figure",
    "part_table",
    "picture_figure",
    "positive_anchor_figure",
    "precision_figure",
    "precision_recall",
    "probability_figure",
    "random_proposals",
    "read_numbers",
    "read_source",
    "read_truth",
    "recall_figure",
    "recall_step",
    "recall_table",
    "refined_figure",
    "roi_answers",
    "roi_class_figure",
    "roi_class_table",
    "roi_count_table",
    "roi_feature_figure",
    "roi_figure",
    "roi_level_figure",
    "roi_level_table",
    "roi_refinement_figure",
    "sample_figure",
    "score_pictures",
    "score_step",
    "share_figure",
    "size_figure",
    "splash_figure",
    "spread_table",
    "stage_overlaps",
    "suppression_figure",
    "table",
    "take",
    "time_figure",
    "top_anchor_figure",
    "trace_table",
    "training_row",
    "weight_rows",
    "weight_table",
    "without_chance",
    "write_page",
]
