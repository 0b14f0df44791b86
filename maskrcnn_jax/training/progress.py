"""The metrics of each step, read one step late."""

import math

import jax
import numpy as np

from maskrcnn_jax.training import metrics


class NonFiniteLoss(RuntimeError):
    """A loss or gradient became infinite or NaN; nothing of that step was saved."""


class Progress:
    """Reads each step's metrics one step late, so that the device never waits for the host."""

    def __init__(self, writer: metrics.Writer, every: int):
        self.writer, self.every = writer, every
        self.pending: tuple[int, dict[str, jax.Array], np.ndarray] | None = None

    def add(self, step: int, step_metrics: dict[str, jax.Array], image_ids: np.ndarray) -> None:
        """Takes a step's metrics and writes those of the step before."""
        self.catch_up()
        self.pending = (step, step_metrics, image_ids)

    def catch_up(self) -> None:
        """Checks and writes what is pending; after it the state is known to be finite."""
        if self.pending is None:
            return
        step, on_device, image_ids = self.pending
        self.pending = None
        values = {name: float(value) for name, value in jax.device_get(on_device).items()}
        if not all(map(math.isfinite, values.values())):
            listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            raise NonFiniteLoss(
                f"step {step} is not finite: {listed}; image ids {image_ids.tolist()}. Nothing of it was saved: the "
                "run resumes from its last checkpoint. Look at these images, lower optimizer.learning_rate, raise "
                "optimizer.warmup_steps or set optimizer.clip_norm."
            )
        if step % self.every == 0:
            self.writer.write(step, values)
