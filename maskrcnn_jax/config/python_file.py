"""Python files that define experiments, run as modules that are named after their path."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def run_python_file(path: Path) -> ModuleType:
    """Runs a file and returns its module.

    The module is known to Python under the file's path as given, so that its classes and functions can be named in a
    run folder and found again, and so that tools find their source. Running the file again replaces it.

    Raises:
        Exception: Any that the file raises.
    """
    spec = importlib.util.spec_from_file_location(str(path), path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(str(path))
    sys.modules[str(path)] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[str(path)]
        if before is not None:
            sys.modules[str(path)] = before
        raise
    return module
