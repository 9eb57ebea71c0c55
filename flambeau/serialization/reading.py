"""From the pickle and the storages of a checkpoint to the object."""

from __future__ import annotations

import importlib
import io
import pickle
import struct
from collections import OrderedDict
from typing import Any

import flambeau
from flambeau.serialization import adapter
from flambeau.serialization.archive import ArchiveReader
from flambeau.serialization.unpickler import PLAIN, SafeUnpickler

safe_types: dict[tuple[str, str], Any] = {}  # what users allowed


class _StorageType:
    """A storage class that a pickle names: FloatStorage and the like."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype  # "" for untyped bytes


class _Storage:
    """Bytes that tensors are rebuilt over, with the element type the persistent id named."""

    def __init__(self, base: Any, dtype: str) -> None:
        self.base, self.dtype = base, dtype

    def nbytes(self) -> int:
        return self.base.numel()


# what pickles may call to make tensors


def _tensor(storage: Any, offset: int, size: Any, stride: Any, dtype: Any = None) -> Any:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("not a valid checkpoint: a tensor without a storage")
    numbers = (offset, *size, *stride)
    if any(type(number) is not int or abs(number) >= 1 << 62 for number in numbers):
        raise pickle.UnpicklingError("not a valid checkpoint: sizes that are not integers")
    if dtype is None:
        dtype = adapter.dtype_named(storage.dtype)
    if not isinstance(dtype, flambeau.dtype):
        raise pickle.UnpicklingError("not a valid checkpoint: a tensor of unknown type")
    return adapter.rebuild(storage.base, dtype, offset, tuple(size), tuple(stride))


def _rebuild_tensor(storage: Any, offset: int, size: Any, stride: Any) -> Any:
    return _tensor(storage, offset, size, stride)


def _rebuild_tensor_v2(
    storage: Any, offset: int, size: Any, stride: Any, requires_grad: bool, hooks: Any, metadata: Any = None
) -> Any:
    tensor = _tensor(storage, offset, size, stride)
    return tensor.requires_grad_(True) if requires_grad else tensor


def _rebuild_tensor_v3(
    storage: Any, offset: int, size: Any, stride: Any, requires_grad: bool, hooks: Any, dtype: Any, metadata: Any = None
) -> Any:
    tensor = _tensor(storage, offset, size, stride, dtype)
    return tensor.requires_grad_(True) if requires_grad else tensor


def _rebuild_parameter(data: Any, requires_grad: bool, hooks: Any) -> Any:
    return flambeau.nn.Parameter(data, requires_grad=bool(requires_grad))


def _rebuild_parameter_with_state(data: Any, requires_grad: bool, hooks: Any, state: Any) -> Any:
    return _with_attributes(_rebuild_parameter(data, requires_grad, hooks), state)


def _with_attributes(value: Any, state: Any) -> Any:
    if isinstance(state, tuple) and len(state) == 2:
        state = {**(state[0] or {}), **(state[1] or {})}
    if not isinstance(state, dict):
        raise pickle.UnpicklingError("not a valid checkpoint: attributes of a tensor")
    value.__dict__.update(state)
    return value


def _rebuild_from_type_v2(function: Any, kind: Any, args: tuple, state: Any) -> Any:
    if function not in _REBUILD.values():
        raise pickle.UnpicklingError("not a valid checkpoint: a tensor made by an unknown function")
    value = function(*args)
    if kind is not flambeau.Tensor and type(value) is not kind and isinstance(kind, type):
        value = value.as_subclass(kind)
    return _with_attributes(value, state)


def _get_layout(name: str) -> Any:
    value = getattr(flambeau, name.rpartition(".")[2], None)
    if not isinstance(value, flambeau.layout):
        raise pickle.UnpicklingError(f"unknown layout {name}")
    return value


def _size(values: Any = ()) -> Any:
    return flambeau.Size(tuple(values))


def _device(*args: Any) -> Any:
    return flambeau.device(*args)


_REBUILD: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter_with_state,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type_v2,
}
_CALLABLE = {
    **_REBUILD,
    **PLAIN,
    ("torch.serialization", "_get_layout"): _get_layout,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
}
_CALLABLE_IDS = {id(value) for value in _CALLABLE.values()}
_STORAGE_TYPES = {name: _StorageType(dtype) for name, dtype in adapter.DTYPE_NAMES.items()}
_UNTYPED = _StorageType("")


def _known(module: str, name: str) -> Any:
    """The object for a name that checkpoints of data contain, or None."""
    if module.partition(".")[0] == "flambeau":
        module = "torch" + module[len("flambeau") :]
    value = _CALLABLE.get((module, name))
    if value is not None:
        return value
    if module == "torch":
        if name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        if name == "Tensor":
            return flambeau.Tensor
        value = getattr(flambeau, name, None)
        formats = getattr(flambeau, "memory_format", flambeau.dtype)
        return value if isinstance(value, (flambeau.dtype, formats)) else None
    if (module, name) == ("torch.storage", "UntypedStorage"):
        return _UNTYPED
    if (module, name) == ("torch.nn.parameter", "Parameter"):
        return flambeau.nn.Parameter
    return None


def _find_safe(module: str, name: str) -> Any:
    value = safe_types.get((module, name))
    return value if value is not None else _known(module, name)


def _may_call(value: Any) -> bool:
    return id(value) in _CALLABLE_IDS or any(value is own for own in safe_types.values())


def _is_own(value: Any) -> bool:
    return any(value is own for own in safe_types.values())


class _FullUnpickler(pickle.Unpickler):
    """Everything a pickle may hold; PyTorch's names lead to this package."""

    persistent: Any = None

    def persistent_load(self, pid: Any) -> Any:
        return self.persistent(pid)

    def find_class(self, module: str, name: str) -> Any:
        value = safe_types.get((module, name))
        if value is None and module.partition(".")[0] in ("torch", "flambeau"):
            value = _known(module, name)
            if value is None and module.partition(".")[0] == "torch":
                value = _counterpart(module, name)
        return super().find_class(module, name) if value is None else value


def _counterpart(module: str, name: str) -> Any:
    """This package's object for a name of PyTorch's, wherever it lies here."""
    places = ["flambeau" + module[len("torch") :]]
    places += [
        place
        for prefix, place in (("torch.nn.modules", "flambeau.nn"), ("torch.optim", "flambeau.optim"))
        if module.startswith(prefix)
    ]
    for place in places:
        try:
            value: Any = importlib.import_module(place)
            for part in name.split("."):
                value = getattr(value, part)
            return value
        except (ImportError, AttributeError):
            continue
    raise pickle.UnpicklingError(f"load: {module}.{name} has no counterpart in this package")


def _unpickle(data: bytes, persistent_load: Any, safe: bool) -> Any:
    if safe:
        return SafeUnpickler(data, _find_safe, persistent_load, _may_call, _is_own).load()
    unpickler = _FullUnpickler(io.BytesIO(data))
    unpickler.persistent = persistent_load
    return unpickler.load()


# where storages go


def _check_location(location: Any, map_location: Any, storage: Any) -> None:
    """Refuses devices that are not here; a map_location may name another."""
    if map_location is None:
        wanted = location
    elif isinstance(map_location, dict):
        wanted = map_location.get(location, location)
    elif callable(map_location) and not isinstance(map_location, flambeau.device):
        result = map_location(storage, location)
        wanted = location if result is None else "cpu"
    else:
        wanted = str(map_location)
    kind = str(wanted).partition(":")[0]
    if kind == "cpu":
        return
    if kind == "cuda":
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are "
            "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your "
            "storages to the CPU."
        )
    raise RuntimeError(f"don't know how to restore data location of storage (tagged with {wanted})")


def _parse(pid: Any, fields: int) -> tuple[Any, ...]:
    if not isinstance(pid, tuple) or len(pid) != fields or pid[0] != "storage":
        raise pickle.UnpicklingError("not a valid checkpoint: unknown persistent id")
    if not isinstance(pid[1], _StorageType) or type(pid[4]) is not int or not 0 <= pid[4] < 1 << 60:
        raise pickle.UnpicklingError("not a valid checkpoint: malformed storage")
    return pid[1:]


def load_archive(reader: ArchiveReader, path: str | None, map_location: Any, safe: bool, mmap: bool) -> Any:
    """The object of a zip checkpoint."""
    version = reader.read(".data/version" if ".data/version" in reader else "version").strip()
    if not version.isdigit() or not 1 <= int(version) <= 10:
        raise RuntimeError(
            f"Attempted to read a PyTorch file with version {version.decode(errors='replace')}, but the maximum "
            "supported version for reading is 10.\nload: expected a version between 1 and 10"
        )
    swap = "byteorder" in reader and reader.read("byteorder") == b"big"
    bases: dict[str, Any] = {}
    mapped = _map(path) if mmap and path is not None else None

    def storage(pid: Any) -> _Storage:
        kind, key, location, count = _parse(pid, 5)
        record = f"data/{key}"
        itemsize = getattr(flambeau, kind.dtype).itemsize if kind.dtype else 1
        if key not in bases:
            size = reader.size(record)
            if size != count * itemsize:
                raise RuntimeError(
                    f"PytorchStreamReader failed reading file {record}: invalid header or archive is corrupted\nload: "
                    f"expected {count * itemsize} bytes, as data.pkl says; got a record of {size}"
                )
            if mapped is not None and reader.info(record).compress_type == 0 and not swap and size:
                start = reader.offset(record)
                base = adapter.storage_over(mapped[start : start + size])
            else:
                base, target = adapter.new_storage(size)
                reader.read_into(record, target)
                if swap and size:
                    _swap(target, adapter.swap_width(kind.dtype) if kind.dtype else 1)
            bases[key] = base
        result = _Storage(bases[key], kind.dtype)
        _check_location(location, map_location, result)
        return result

    return _unpickle(reader.read("data.pkl"), storage, safe)


def _map(path: str) -> Any:
    import numpy as np

    return np.memmap(path, dtype=np.uint8, mode="c").view(np.ndarray)


def _swap(target: memoryview, width: int) -> None:
    import numpy as np

    if width > 1:
        np.frombuffer(target, dtype=f"u{width}").byteswap(inplace=True)


class _Pickles:
    """Several pickles one after the other in a file."""

    def __init__(self, file: Any) -> None:
        self.data = file.read()
        self.position = 0

    def next(self, persistent_load: Any, safe: bool) -> Any:
        if safe:
            reader = SafeUnpickler(self.data, _find_safe, persistent_load, _may_call, _is_own, self.position)
            value = reader.load()
            self.position = reader.position
            return value
        stream = io.BytesIO(self.data)
        stream.seek(self.position)
        unpickler = _FullUnpickler(stream)
        unpickler.persistent = persistent_load
        value = unpickler.load()
        self.position = stream.tell()
        return value


def load_legacy(file: Any, map_location: Any, safe: bool) -> Any:
    """The object of a checkpoint in the format before the zip files (PyTorch up to 1.5)."""
    pickles = _Pickles(file)
    storages: dict[str, tuple[_Storage, memoryview]] = {}
    claimed = 0

    def storage(pid: Any) -> _Storage:
        nonlocal claimed
        if isinstance(pid, tuple) and len(pid) == 6 and pid[5] is not None:
            raise pickle.UnpicklingError("not a valid checkpoint: views of storages are not supported")
        kind, key, location, count = _parse(pid[:5] if isinstance(pid, tuple) else pid, 5)
        if key not in storages:
            size = count * (getattr(flambeau, kind.dtype).itemsize if kind.dtype else 1)
            claimed += size
            if claimed > len(pickles.data):
                raise RuntimeError(
                    f"unexpected EOF, expected {size} more bytes. The file might be corrupted.\n"
                    f"load: storages claim {claimed} bytes in a file of {len(pickles.data)}"
                )
            base, target = adapter.new_storage(size)
            storages[key] = _Storage(base, kind.dtype), target
        _check_location(location, map_location, storages[key][0])
        return storages[key][0]

    def nothing(pid: Any) -> Any:
        raise pickle.UnpicklingError("not a valid checkpoint: unexpected storage")

    pickles.next(nothing, True)  # the magic number, which was seen already
    if pickles.next(nothing, True) != 1001:
        raise RuntimeError("Invalid protocol version")
    system = pickles.next(nothing, True)
    if not isinstance(system, (dict, OrderedDict)) or not system.get("little_endian", True):
        raise RuntimeError("load: expected a little-endian legacy checkpoint\nhint: save it again with a newer PyTorch")
    result = pickles.next(storage, safe)
    keys = pickles.next(nothing, True)
    for key in keys:
        if key not in storages:
            raise RuntimeError(f"load: storage {key!r} of the file belongs to no tensor")
        own, target = storages[key]
        itemsize = getattr(flambeau, own.dtype).itemsize if own.dtype else 1
        start = pickles.position + 8
        header = pickles.data[pickles.position : start]
        if (
            len(header) < 8
            or struct.unpack("<q", header)[0] * itemsize != len(target)
            or (start + len(target) > len(pickles.data))
        ):
            raise RuntimeError(f"unexpected EOF, expected {len(target)} more bytes. The file might be corrupted.")
        target[:] = pickles.data[start : start + len(target)]
        pickles.position = start + len(target)
    if len(keys) != len(storages):
        raise RuntimeError("unexpected EOF. The file might be corrupted.\nload: storages are missing")
    return result


__all__ = ["load_archive", "load_legacy", "safe_types"]
