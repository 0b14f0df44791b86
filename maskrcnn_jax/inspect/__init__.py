"""Every step to look at: the tensors of a trace by name, the inside of the network, reports on data and weights.

`python -m maskrcnn_jax inspect` writes a report as a folder of pictures and a page of HTML.
"""

from maskrcnn_jax.inspect.activations import activations, module_names
from maskrcnn_jax.inspect.anchor_figures import anchor_figure, other_anchor_figure, positive_anchor_figure
from maskrcnn_jax.inspect.crop_figures import crop_overlaps, crops_figure, mask_crops
from maskrcnn_jax.inspect.data import data_steps, inspect_data
from maskrcnn_jax.inspect.data_number_figures import class_figure, object_figure, size_figure
from maskrcnn_jax.inspect.data_numbers import area_table, class_table, object_size_table, read_numbers, spread_table
from maskrcnn_jax.inspect.data_rows import as_inside, bucket_of, network_scales, training_row, without_chance
from maskrcnn_jax.inspect.data_study import find_image, open_study
from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.inspect.page import Step, write_page
from maskrcnn_jax.inspect.roi_figures import mask_target_figure, roi_figure, share_figure
from maskrcnn_jax.inspect.sample_figures import box_table, boxes_figure, input_figure, mask_boxes, sample_figure
from maskrcnn_jax.inspect.tables import table, take, trace_table
from maskrcnn_jax.inspect.time_figure import time_figure
from maskrcnn_jax.inspect.training_anchors import (
    anchor_answers,
    anchor_table,
    assignment_table,
    build_pyramid,
    nearest,
    object_anchor_table,
)
from maskrcnn_jax.inspect.training_rois import (
    count_rois,
    random_proposals,
    roi_answers,
    roi_class_table,
    roi_count_table,
)
from maskrcnn_jax.inspect.weight_change import change_table, compare, part_table
from maskrcnn_jax.inspect.weight_figures import change_figures, histogram_figures, layer_figures
from maskrcnn_jax.inspect.weight_rows import weight_rows, weight_table
from maskrcnn_jax.inspect.weight_source import read_source
from maskrcnn_jax.inspect.weights import config_table, inspect_weights

__all__ = [
    "Step",
    "Table",
    "activations",
    "anchor_answers",
    "anchor_figure",
    "anchor_table",
    "area_table",
    "as_inside",
    "assignment_table",
    "box_table",
    "boxes_figure",
    "bucket_of",
    "build_pyramid",
    "change_figures",
    "change_table",
    "class_figure",
    "class_table",
    "compare",
    "config_table",
    "count_rois",
    "crop_overlaps",
    "crops_figure",
    "data_steps",
    "find_image",
    "histogram_figures",
    "input_figure",
    "inspect_data",
    "inspect_weights",
    "layer_figures",
    "mask_boxes",
    "mask_crops",
    "mask_target_figure",
    "module_names",
    "nearest",
    "network_scales",
    "object_anchor_table",
    "object_figure",
    "object_size_table",
    "open_study",
    "other_anchor_figure",
    "part_table",
    "positive_anchor_figure",
    "random_proposals",
    "read_numbers",
    "read_source",
    "roi_answers",
    "roi_class_table",
    "roi_count_table",
    "roi_figure",
    "sample_figure",
    "share_figure",
    "size_figure",
    "spread_table",
    "table",
    "take",
    "time_figure",
    "trace_table",
    "training_row",
    "weight_rows",
    "weight_table",
    "without_chance",
    "write_page",
]
