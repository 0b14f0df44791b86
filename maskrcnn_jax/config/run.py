"""Optimisation and the course of a run: lengths, intervals, folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Phase:
    """A part of a run and its trainable parameters."""

    trains: str = "all"
    """"heads" (all but the backbone), "5+", "4+" or "3+" (with the backbone from that stage on; `Backbone.stages` names
    them), "all", or a regular expression, matched from the start of a parameter's dotted name. The others are frozen:
    their backward pass is not computed, and their batch norms use and keep their running statistics."""
    until: int | None = None
    """Its last step; None in the last phase, which ends with the run."""
    rate: float = 1.0
    """Share of the learning rate."""


@dataclass(frozen=True)
class OptimizerConfig:
    """SGD with momentum or AdamW, the schedule, trainable parameters per phase and rate multipliers."""

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.02
    momentum: float = 0.9
    """Of SGD; AdamW's first moment decay."""
    beta2: float = 0.999
    """AdamW's second moment decay."""
    weight_decay: float = 1e-4
    """Never applied to norms and biases."""
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[float, ...] = (60_000, 80_000)
    """Steps at which the learning rate falls to a tenth (schedule = step)."""
    warmup_steps: int = 1000
    warmup_start: float = 0.001
    """Share of the learning rate at step 0; it grows linearly to 1."""
    clip_norm: float | None = None
    """Upper bound of the global gradient norm."""
    phases: tuple[Phase, ...] = (Phase(),)
    """Trainable parameters by phase. Published recipes freeze the backbone's first two stages: "3+"."""
    groups: tuple[tuple[str, float], ...] = ()
    """Learning rate multipliers: (regular expression, factor) pairs, matched from the start of a parameter's dotted
    name; the first match counts."""
    ema_decay: float | None = None
    """Decay of the moving average of the weights; evaluation uses the average when it is on."""


@dataclass(frozen=True)
class RunConfig:
    """Length of a run, and what it writes when."""

    folder: Path = Path("runs/default")
    """Run folder; a run that finds its own checkpoints here continues."""
    init: Annotated[Path | None, tyro.conf.arg(aliases=("--init",))] = None
    """Run folder or weight file to start from, of torchvision, Detectron2, Matterport or this package; None starts
    fresh. Parameters that it lacks, and the last layers for other classes, start fresh as well."""
    steps: int = 90_000
    accumulate: int = 1
    """Micro-batches per step whose gradients are averaged."""
    log_every: int = 20
    evaluate_every: int = 5000
    """Evaluation interval in steps; 0 evaluates at the end only. The end is always evaluated."""
    save_every: int = 1000
    keep: int = 3
    """Latest checkpoints to keep, besides the best."""
    best: str = "segm/AP"
    """The metric that decides which checkpoint is the best."""
    seed: int = 0
    fsdp: int = 1
    """Devices over which large weights, their optimizer state and averages are spread, to save memory; they share the
    batch with all others. It must divide the number of devices; those of one host are best."""
    rematerialize: tuple[str, ...] = ()
    """Parts of the model whose inner values the backward pass computes again instead of keeping them, to save memory,
    by dotted name: "mask_head", or "backbone.layer1", each of whose blocks is such a part."""
    profile_steps: Annotated[tuple[int, int] | None, tyro.conf.arg(aliases=("--profile-steps",))] = None
    """First and last step of a profile for XProf, in the run folder's `profile/`; the first steps compile."""
