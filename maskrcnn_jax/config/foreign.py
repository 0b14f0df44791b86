"""Functions that a run folder names and that are not part of this package."""

from pathlib import Path
from typing import Any

from maskrcnn_jax.messages.config_error import ConfigError


class ForeignFunction:
    """Stands for a function outside this package by its name: nothing is imported or run.

    Args:
        name: "module:function" or "file.py:function".
        file: The file that names it, for the message.
    """

    def __init__(self, name: str, file: Path | None = None) -> None:
        self.name, self.file = name, file

    def __call__(self, model: Any) -> Any:
        """Raises an error.

        Raises:
            ConfigError: Always; it names the code and the remedy.
        """
        where = "" if self.file is None else f"{self.file}: "
        raise ConfigError(
            f"{where}customize = {self.name!r} is code outside maskrcnn_jax, and a run folder never runs code. Give "
            "the experiment that it belongs to, load_pretrained(run, config=load_config('EXPERIMENT.py')); or add "
            "--trust-code to the command if you trust the author of this folder"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ForeignFunction) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"ForeignFunction({self.name!r})"
