"""Several processes that run one experiment: joined, and of one mind."""

import json
import os
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from maskrcnn_jax.messages.config_error import ConfigError

ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
"""Environment variables: where process 0 listens (host:port), how many processes there are, which of them this is."""


def join_processes() -> None:
    """Makes this process one of those that run an experiment together, if the environment says that there are several.

    The three variables say so anywhere; TPU pods, SLURM, Open MPI and Kubernetes jobs (with the package `kubernetes`)
    are recognised without them. `JAX_NUM_PROCESSES=1` keeps a process alone wherever it runs. To be called before the
    first computation.

    Raises:
        ConfigError: the variables are incomplete or no numbers, or the other processes cannot be reached.
    """
    address, count, index = (os.environ.get(name) for name in (ADDRESS, COUNT, INDEX))
    if count == "1":
        return
    # SIGTERM is ours: see StopRequest.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(address, int(count) if count else None, int(index) if index else None)
    except (ValueError, RuntimeError) as error:
        if not (address or count or index) and "coordinator_address should be defined" in str(error):
            return  # JAX's way to say that nothing here looks like several processes
        given = ", ".join(f"{name}={os.environ.get(name, '')}" for name in (ADDRESS, COUNT, INDEX))
        raise ConfigError(
            f"this process could not join the others: {error} Set all of {given}, or {COUNT}=1 to run this one alone"
        ) from error


def is_first() -> bool:
    """Whether this is the process that writes to the run folder and to the console."""
    return jax.process_index() == 0


def gather(entries: list[Any]) -> list[Any]:
    """The entries of all processes in the order of the processes, in each of them; JSON must be able to hold them."""
    if jax.process_count() == 1:
        return entries
    mine = np.frombuffer(json.dumps(entries).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array(len(mine)))
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(mine)] = mine
    everyone = multihost_utils.process_allgather(padded)
    texts = [row[:length].tobytes() for row, length in zip(everyone, lengths, strict=True)]
    return [entry for text in texts for entry in json.loads(text)]
