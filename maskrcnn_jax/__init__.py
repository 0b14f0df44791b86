"""Mask R-CNN in JAX and Flax: one forward pass that returns every intermediate tensor by name."""

from maskrcnn_jax.checkpoints.pretrained import load_pretrained, trained_config
from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.config import CocoSource, Config, ModelConfig, ShapesSource
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.data.transforms.geometry import fit
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, forward, predict
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.prediction.result import Result
from maskrcnn_jax.prediction.tiling import predict_tiled
from maskrcnn_jax.structs import Batch, Detections, GroundTruth, Proposals, Trace

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "CocoSource",
    "Config",
    "Detections",
    "GroundTruth",
    "MaskRCNN",
    "ModelConfig",
    "Predictor",
    "Proposals",
    "Result",
    "ShapesSource",
    "Trace",
    "__version__",
    "fit",
    "forward",
    "load_config",
    "load_pretrained",
    "predict",
    "predict_tiled",
    "save_pretrained",
    "trained_config",
]
