"""The extension points: what a fork may put into a configuration in place of what the package has.

Each is a frozen dataclass with one method. The configuration holds the value itself, `backbone=ResNet(depth=50)` or
`backbone=my_file.ConvNeXt(widths=(96, 192, 384, 768))`; its fields are command-line flags, are recorded in run folders
with their type, and travel with exported weights. Fields must be of types that JSON can hold: numbers, strings,
booleans, paths, tuples of them, `Literal`s, and other frozen dataclasses. Import the base classes
from `maskrcnn_jax.config`, which has `Source` and `Transform` as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import jax
from flax import nnx
from flax.typing import Dtype

from maskrcnn_jax.structs import Batch, Detections, HeadOutput, ImageRecord, Trace


@dataclass(frozen=True)
class Value:
    """What all extension points have in common."""

    def validate(self, where: str) -> None:
        """Checks the value's own fields; relations to other values are checked by `config.validation`.

        Args:
            where: dotted name of the value in the configuration, for messages.

        Raises:
            ConfigError: a field has a value that cannot work.
        """


@dataclass(frozen=True)
class Backbone(Value):
    """A network from images to feature maps.

    Declares, as fields, properties or class attributes:
        channels: of each feature map, finest first.
        strides: of each feature map, pixels of the input per cell; each is a multiple of the one before.
        stages: name → the attributes of the module that belong to the stage, from the input to the output. Together
            they cover all parameters of the module. `Phase("3+")` trains the stages from "3" on. None by default: then
            phases name "heads", "all" or a regular expression.
    """

    if TYPE_CHECKING:

        @property
        def channels(self) -> tuple[int, ...]: ...
        @property
        def strides(self) -> tuple[int, ...]: ...

    @property
    def stages(self) -> Mapping[str, tuple[str, ...]]:
        """The stages by name."""
        return {}

    def build(self, *, dtype: Dtype, rngs: nnx.Rngs) -> nnx.Module:
        """Makes the module: `[b, H, W, 3]` normalised images to a tuple of maps `[b, H / stride, W / stride, c]`.

        Args:
            dtype: compute type; parameters are float32.
            rngs: of the initial weights.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Neck(Value):
    """A network from the feature maps of a backbone to the levels of a pyramid, all with the same channels.

    Declares, as a field, property or class attribute:
        channels: of every level.
    """

    if TYPE_CHECKING:

        @property
        def channels(self) -> int: ...

    def strides(self, inputs: Sequence[int]) -> tuple[int, ...]:
        """Strides of all levels, finest first, for a backbone of these strides."""
        raise NotImplementedError

    def roi_levels(self, inputs: Sequence[int]) -> int:
        """How many of the levels RoIs are pooled from, counted from the finest; all by default."""
        return len(self.strides(inputs))

    def build(self, inputs: tuple[int, ...], *, dtype: Dtype, rngs: nnx.Rngs) -> nnx.Module:
        """Makes the module: a tuple of maps `[b, h, w, c]` to a tuple of levels `[b, h, w, channels]`.

        Args:
            inputs: channels of the backbone's maps.
            dtype: compute type; parameters are float32.
            rngs: of the initial weights.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Head(Value):
    """A network on the features of each RoI.

    Declares, as fields, properties or class attributes:
        name: under which `Trace.heads` has its output, and `Detections.extras` what `detect` makes of it.
        pool_size: side of the square of cells that each RoI is pooled to.
    """

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...
        @property
        def pool_size(self) -> int: ...

    def build(self, channels: int, classes: int, outputs: int, *, dtype: Dtype, rngs: nnx.Rngs) -> nnx.Module:
        """Makes the module: RoI features `[b, r, pool_size, pool_size, channels]` to an array `[b, r, …]`.

        Args:
            channels: of the features.
            classes: foreground classes `C`.
            outputs: what an output per class counts: `C`, or `C + 1` with `ModelConfig.background_outputs`.
            dtype: compute type; parameters are float32.
            rngs: of the initial weights.
        """
        raise NotImplementedError

    def check_output(self, output: Any, classes: int) -> None:
        """Checks that what the module returned has as many outputs as the configuration says.

        Raises:
            ConfigError: it has not.
        """

    def detect(self, detections: Detections, output: HeadOutput) -> Detections:
        """Adds to the detections what the head found out about them; its output under its name by default."""
        return detections._replace(extras={**detections.extras, self.name: output.output})


@dataclass(frozen=True)
class Loss(Value):
    """A term of the sum that training minimises.

    Declares, as a field, property or class attribute:
        name: `loss/<name>` in the metrics; no two losses of an experiment have the same.
    """

    weight: float = 1.0
    """Factor in the sum."""

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...

    def __call__(self, model: Any, trace: Trace, batch: Batch, key: jax.Array) -> jax.Array:
        """Computes the loss of a batch, a float32 scalar, not weighted.

        Args:
            model: the network; `model.config` has its numbers, such as the classes.
            trace: every tensor of the forward pass in training. `trace.rois` are the sampled RoIs and their matched
                objects, `trace.box` what the box head predicts for each; `structs.py` documents all fields.
            batch: images and ground truth, boxes as in the network (`ModelConfig.inclusive_boxes`).
            key: random key of this loss at this step.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Evaluator(Value):
    """Metrics of an evaluation, beside COCO's.

    Declares, as a field, property or class attribute:
        name: `<name>/<metric>` is what its metrics are called, in the metrics of a run and for `run.best`.
    """

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...

    def start(self, source: Any, model: Any) -> "Scores":
        """Begins an evaluation.

        Args:
            source: the data set, an `ImageSource`.
            model: the `ModelConfig` of the network.
        """
        raise NotImplementedError


class Scores(Protocol):
    """An evaluation in progress: it collects detections and scores them."""

    def add(self, detections: Detections, records: Sequence[ImageRecord]) -> None:
        """Takes the detections of a batch.

        Args:
            detections: NumPy arrays `[B, D, …]` as `prediction.detector.Detector` gives them: boxes in pixels of the
                network input, counted from the upper left corner of the image.
            records: one per image, in the same order; fewer than `B` where the last images only fill the batch.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Scores everything added in all processes, which call this together; every process gets the metrics.

        Each process has added its share of the images: `distributed.processes.gather` gives a list of all processes.
        """
        ...
