"""Output of the commands beside their results: log lines, and errors in one line."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from maskrcnn_jax.files.printable import PrintableFormatter, printable
from maskrcnn_jax.messages.system_errors import external_cause, format_error


def program() -> str:
    """The program that was called, as one types it: `python train.py` or `maskrcnn-jax train`."""
    name = Path(sys.argv[0]).name
    return f"python {name}" if name.endswith(".py") else name


def log_to_terminal(form: str) -> None:
    """Sends log records to standard error, in a form such as "%(message)s"; the handlers of libraries are replaced."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter(form))
    logging.basicConfig(handlers=[handler], force=True)


@contextlib.contextmanager
def errors_in_one_line(*expected: type[Exception]) -> Iterator[None]:
    """Within the context these errors end the program with their message alone.

    So do errors of the operating system, the memory and the devices. Others keep their traceback: they are
    faults of this package.
    """
    try:
        yield
    except expected as error:
        sys.exit(printable(f"error: {format_error(error)}"))
    except Exception as error:
        if (cause := external_cause(error)) is None:
            raise
        sys.exit(printable(f"error: {cause}"))
