"""Pickles and files of torch written part by part, honest and hostile ones, without the modules that they name."""

import io
import pickle
import struct
import zipfile
from typing import Any, NamedTuple


class Name(NamedTuple):
    """A global, by module and name."""

    module: str
    name: str


class Call(NamedTuple):
    """The result of calling `function`, if there is a state then with BUILD."""

    function: Any
    arguments: tuple
    state: Any = None


class Storage(NamedTuple):
    """A storage of torch: a persistent id."""

    kind: str
    key: str
    size: int
    view: tuple | None = None


class Instructions(NamedTuple):
    """Bytes of a pickle, as they are."""

    code: bytes


class Writer(pickle._Pickler):
    legacy = False

    def save_name(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    def save_call(self, obj):
        self.save(obj.function)
        self.save(obj.arguments)
        self.write(pickle.REDUCE)
        if obj.state is not None:
            self.save(obj.state)
            self.write(pickle.BUILD)

    def save_storage(self, obj):
        name = Name(*obj.kind.rsplit(".", 1))
        self.save(("storage", name, obj.key, "cpu", obj.size) + ((obj.view,) if self.legacy else ()))
        self.write(pickle.BINPERSID)

    def save_instructions(self, obj):
        self.write(obj.code)

    dispatch = {  # noqa: RUF012
        **pickle._Pickler.dispatch,
        Name: save_name,
        Call: save_call,
        Storage: save_storage,
        Instructions: save_instructions,
    }


def pickled(obj: Any, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, protocol=2)
    writer.legacy = legacy
    writer.dump(obj)
    return file.getvalue()


def tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Call:
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, offset, shape, strides, False, {}))


def torch_zip(path, obj, storages, byteorder=b"little", compression=zipfile.ZIP_STORED, pickle_name="data.pkl"):
    """A file of torch 1.6 or later; `storages` are bytes by key."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(f"archive/{pickle_name}", pickled(obj))
        if byteorder:
            file.writestr("archive/byteorder", byteorder)
        for key, data in storages.items():
            file.writestr(f"archive/data/{key}", data)
    return path


def torch_legacy(path, obj, storages, little_endian=True):
    """A file of torch before 1.6; `storages` are pairs of number of elements and bytes by key."""
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, system))
    tail = b"".join(struct.pack("<q", count) + data for count, data in storages.values())
    path.write_bytes(head + pickled(obj, legacy=True) + pickle.dumps(list(storages), protocol=2) + tail)
    return path
