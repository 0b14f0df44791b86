"""Reports on data, models and weights, and tensors of a trace by name.

A step is a function of an inspected object and returns a `Step`: an explanation with figures and tables. A notebook
displays one step in a cell, `python -m maskrcnn_jax inspect` writes all of them as a page.
`data.steps`, `model.steps` and `weights.steps` list them.
"""

from maskrcnn_jax.inspect.activations import activations, module_names, observe
from maskrcnn_jax.inspect.data.inspected import InspectedData, open_data
from maskrcnn_jax.inspect.data.report import inspect_data
from maskrcnn_jax.inspect.model.annotated import AnnotatedImage, read_annotated
from maskrcnn_jax.inspect.model.inspected import InspectedImage, run_model
from maskrcnn_jax.inspect.model.report import inspect_model
from maskrcnn_jax.inspect.page import write_page
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.inspect.tensors import take, trace_table
from maskrcnn_jax.inspect.weights.inspected import InspectedWeights, open_weights
from maskrcnn_jax.inspect.weights.report import inspect_weights

__all__ = [
    "AnnotatedImage",
    "InspectedData",
    "InspectedImage",
    "InspectedWeights",
    "Step",
    "Table",
    "activations",
    "inspect_data",
    "inspect_model",
    "inspect_weights",
    "module_names",
    "observe",
    "open_data",
    "open_weights",
    "read_annotated",
    "run_model",
    "take",
    "trace_table",
    "write_page",
]
