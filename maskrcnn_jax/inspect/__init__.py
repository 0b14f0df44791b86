"""Every step to look at: the tensors of a trace by name, the inside of the network, reports on weights.

`python -m maskrcnn_jax inspect` writes a report as a folder of pictures and a page of HTML.
"""

from maskrcnn_jax.inspect.activations import activations, module_names
from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.inspect.page import Step, write_page
from maskrcnn_jax.inspect.tables import table, take, trace_table
from maskrcnn_jax.inspect.time_figure import time_figure
from maskrcnn_jax.inspect.weight_change import change_table, compare, part_table
from maskrcnn_jax.inspect.weight_figures import change_figures, histogram_figures, layer_figures
from maskrcnn_jax.inspect.weight_rows import weight_rows, weight_table
from maskrcnn_jax.inspect.weight_source import read_source
from maskrcnn_jax.inspect.weights import config_table, inspect_weights

__all__ = [
    "Step",
    "Table",
    "activations",
    "change_figures",
    "change_table",
    "compare",
    "config_table",
    "histogram_figures",
    "inspect_weights",
    "layer_figures",
    "module_names",
    "part_table",
    "read_source",
    "table",
    "take",
    "time_figure",
    "trace_table",
    "weight_rows",
    "weight_table",
    "write_page",
]
