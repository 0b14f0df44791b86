"""Pickles read as data.

A pickle is a program for a small stack machine. Reading one is dangerous because the machine fetches any function of
any module by name and calls it. Here it cannot, by these steps:

- Every name goes through `find_class`, which imports nothing. It looks the name up in a table, which holds only strings
  and the stand-ins of this package: no function or class of any other module. What is not there becomes `Unknown`, an
  object that keeps its name and does nothing; training programs save their own classes beside the weights. Names of
  the standard library, and names that run or load something, are rejected instead: a stand-in would be as harmless,
  but such a file is an attack.
- The instructions that call (REDUCE, INST, OBJ, NEWOBJ, NEWOBJ_EX) therefore only ever meet stand-ins, whose
  constructors keep their arguments or drop them. Strings, numbers and containers cannot be called, and no instruction
  fetches an attribute that could be.
- BUILD calls `__setstate__` where there is one and otherwise sets the attributes that the file names. Every stand-in
  has one, so no attribute is set, neither on an object nor (as `__setstate__` of a class takes two arguments) on a
  class.
- The registry of `copyreg`, a second way to names, is closed.
- The instructions run in Python, not in the C version: that one sizes its table of remembered objects by a number in
  the file, so that ten bytes take all memory. Here no object outgrows the bytes that it is read from, and what the
  stand-ins copy in all is bounded by the size of the file.
- Nested tuples are never hashed, which takes exponential time or all of the stack: as keys they are replaced.
"""

import pickle
import struct
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from mmap import mmap
from pathlib import Path
from typing import Any, ClassVar

from maskrcnn_jax.checkpoints.formats.stand_ins import NAMES, StandIn, Unknown, as_key, kind_of
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError, damaged

STANDARD_LIBRARY = sys.stdlib_module_names | {"__builtin__", "copy_reg", "commands", "exceptions", "distutils"}
"""Modules of Python 3 and 2 of which a file may only use names in the table."""

RUNS_CODE = {"eval", "exec", "execfile", "compile", "system", "popen", "call", "run", "spawn", "open", "getattr"}
RUNS_CODE |= {
    "load",
    "loads",
    "load_module",
    "load_library",
    "load_inline",
    "import_module",
    "__import__",
    "__globals__",
}
RUNS_CODE |= {"fromfile", "memmap", "loadtxt", "genfromtxt"}
"""Names that are rejected in every module."""


class _Source:
    """A file with complete lines only: a name that is cut off would read as another one."""

    def __init__(self, file: BytesIO | mmap) -> None:
        self.read = file.read
        self._readline = file.readline

    def readline(self) -> bytes:
        line = self._readline()
        if not line.endswith(b"\n"):
            raise EOFError("the file ends in the middle of a name")
        return line


class Unpickler(pickle._Unpickler):
    """Reads one pickle as data; see the module's description.

    Args:
        file: where the pickle begins; left where it ends.
        path: the name of the file, for messages.
        names: the names that the pickle may use.
    """

    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    append: Callable[[Any], None]
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: BytesIO | mmap, path: Path, names: Mapping[str, type | str] = NAMES) -> None:
        super().__init__(_Source(file), encoding="latin1")
        self._path = path
        self._names = names
        self._to_copy = len(file) if isinstance(file, mmap) else file.getbuffer().nbytes

    def load(self) -> Any:
        """The object: dicts, lists, tuples, numbers, strings, and stand-ins.

        Raises:
            WeightFileError: the pickle is cut off or damaged, uses a name that is rejected, or holds arrays of objects.
        """
        try:
            return super().load()
        except WeightFileError as error:
            raise WeightFileError(f"{self._path} is rejected: {error}") from error
        except Exception as error:
            # Of the errors only Python's own on pickles help a user.
            cause = str(error) if isinstance(error, pickle.UnpicklingError) else ""
            raise damaged(self._path, cause or "its pickle cannot be read to the end") from error

    def find_class(self, module: str, name: str) -> type | str | Unknown:
        whole = f"{module}.{name}"
        known = self._names.get(whole)
        if known is not None:
            return known
        if module.partition(".")[0] in STANDARD_LIBRARY or not RUNS_CODE.isdisjoint(name.split(".")):
            raise WeightFileError(
                f"it asks for {whole!r:.200}, which could run code, and no file of weights needs it. If "
                "you trust the file, load it in the program that wrote it and save the bare `model.state_dict()`, or "
                "write a .safetensors file"
            )
        return Unknown(whole)

    def get_extension(self, code: int) -> None:
        raise WeightFileError(f"it asks for extension {code} of the module copyreg, which no file of weights needs")

    def _call(self, function: Any, arguments: Any, named: Any = None) -> None:
        """Pushes the result of calling a stand-in; only stand-ins are called."""
        is_class = isinstance(function, type) and issubclass(function, StandIn)
        if not is_class and not isinstance(function, Unknown):
            raise WeightFileError(f"it calls a {kind_of(function)}, which is no function")
        if not isinstance(arguments, tuple):
            raise WeightFileError(f"it calls a function with a {kind_of(arguments)}, not with a tuple of arguments")
        self._count(*arguments)
        self.append(function(*arguments))

    def _count(self, *values: Any) -> None:
        """Counts what stand-ins may copy: each byte of the file once; short texts are not counted."""
        self._to_copy -= sum(len(value) for value in values if isinstance(value, str | list | dict) and len(value) > 64)
        if self._to_copy < 0:
            raise WeightFileError("it repeats its content until it is larger than the file")

    def _load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self._call(function, arguments)

    def _load_newobj_ex(self) -> None:
        self.stack.pop()  # named arguments, which no stand-in takes
        self._load_reduce()

    def _load_inst(self) -> None:
        module, name = (self.readline()[:-1].decode("utf-8") for _ in range(2))
        self._call(self.find_class(module, name), tuple(self.pop_mark()))

    def _load_obj(self) -> None:
        function, *arguments = self.pop_mark()
        self._call(function, tuple(arguments))

    def _load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], StandIn):
            raise WeightFileError(f"it gives a state to a {kind_of(self.stack[-1])}, which takes none")
        self._count(*state if isinstance(state, tuple) else (state,))
        self.stack[-1].__setstate__(state)

    def _load_bytearray(self) -> None:
        # As bytes: a bytearray would first be filled with as many zeros as the file claims.
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(size))

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [key, value])

    def _load_setitems(self) -> None:
        items = self.pop_mark()
        self._set(self.stack[-1], items)

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(self.stack[-1], items)

    def _set(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, dict | Unknown):
            raise WeightFileError(f"it gives entries to a {kind_of(target)}, which has none")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[as_key(key)] = value

    def _load_append(self) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, StandIn):
            raise WeightFileError(f"it gives items to a {kind_of(target)}, which has none")

    def _load_set(self) -> None:
        # Sets of training programs are not needed, and their items are not hashed.
        self.pop_mark()
        self.append(Unknown("a set"))

    def _load_empty_set(self) -> None:
        self.append(Unknown("a set"))

    dispatch: ClassVar[dict] = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: _load_reduce,
        pickle.NEWOBJ[0]: _load_reduce,
        pickle.NEWOBJ_EX[0]: _load_newobj_ex,
        pickle.INST[0]: _load_inst,
        pickle.OBJ[0]: _load_obj,
        pickle.BUILD[0]: _load_build,
        pickle.BYTEARRAY8[0]: _load_bytearray,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
        pickle.DICT[0]: _load_dict,
        pickle.APPEND[0]: _load_append,
        pickle.APPENDS[0]: _load_appends,
        pickle.ADDITEMS[0]: _load_appends,
        pickle.FROZENSET[0]: _load_set,
        pickle.EMPTY_SET[0]: _load_empty_set,
    }
