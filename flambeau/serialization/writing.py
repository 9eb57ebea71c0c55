"""From an object to the pickle and the storages of a checkpoint."""

from __future__ import annotations

import io
import pickle
from typing import Any

import flambeau
from flambeau.serialization import adapter


class _Global:
    """A name that the pickle shall hold, whether or not such a module is installed here."""

    def __init__(self, module: str, name: str) -> None:
        self.line = f"c{module}\n{name}\n".encode()


class _Call:
    """A call that the pickle shall make."""

    def __init__(self, function: _Global, *args: Any) -> None:
        self.function, self.args = function, args


class Storage:
    """A storage that tensors of the object share."""

    def __init__(self, tensor: Any, key: int, kind: _Global) -> None:
        self.tensor = tensor  # keeps the bytes alive
        self.key, self.kind = str(key), kind
        _, self.address, self.size = adapter.storage_of(tensor)

    def bytes(self) -> memoryview:
        return adapter.bytes_at(self.address, self.size)


_GLOBALS: dict[tuple[str, str], _Global] = {}


def _name(module: str, name: str) -> _Global:
    return _GLOBALS.setdefault((module, name), _Global(module, name))


_TEXT_CONSTANTS = tuple(
    kind for kind in (getattr(flambeau, name, None) for name in ("layout", "memory_format")) if kind is not None
)


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]  # the Python one: it lets us write names as they are
    def __init__(self, file: Any) -> None:
        super().__init__(file, 2)
        self.storages: list[Storage] = []
        self._by_key: dict[Any, Storage] = {}
        self._kept: list[Any] = []  # the memo goes by identity, so what it saw has to live

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is _Typed:
            # tuples made anew each time, as the memo may not join them
            return ("storage", obj.kind, obj.storage.key, "cpu", obj.count)
        return None

    def save(self, obj: Any, save_persistent_id: bool = True) -> Any:
        kind = type(obj)
        if kind is _Global:
            known = self.memo.get(id(obj))
            if known is not None:
                self.write(self.get(known[0]))
            else:
                self.write(obj.line)
                self.memoize(obj)
            return None
        if kind is _Call:
            self.save(obj.function)
            self.save(obj.args)
            self.write(pickle.REDUCE)
            return None
        if save_persistent_id:
            replacement = self._replacement(obj, kind)
            if replacement is not None:
                known = self.memo.get(id(obj))
                if known is not None:
                    self.write(self.get(known[0]))
                    return None
                if type(replacement) is _Global:
                    return self.save(replacement)
                self._kept.append(replacement)
                self.save(replacement)
                if id(obj) not in self.memo:
                    self.memoize(obj)
                    self._kept.append(obj)
                return None
        return super().save(obj, save_persistent_id)

    def _replacement(self, obj: Any, kind: type) -> Any:
        if isinstance(obj, flambeau.Tensor):
            return self._tensor(obj)
        if kind is flambeau.Size:
            return _Call(_name("torch", "Size"), tuple(obj))
        if kind is flambeau.dtype:
            return _name("torch", adapter.dtype_name(obj))
        if kind is flambeau.device:
            return _Call(_name("torch", "device"), *([obj.type] if obj.index is None else [obj.type, obj.index]))
        if kind in _TEXT_CONSTANTS:
            if kind is getattr(flambeau, "layout", None):
                return _Call(_name("torch.serialization", "_get_layout"), str(obj))
            return _name("torch", str(obj).rpartition(".")[2])
        return None

    def _tensor(self, tensor: Any) -> Any:
        attributes = {name: value for name, value in getattr(tensor, "__dict__", {}).items() if name != "_shared"}
        if isinstance(tensor, flambeau.nn.Parameter):
            function = _name("torch._utils", "_rebuild_parameter")
            args: tuple[Any, ...] = (self._data(tensor.detach()), tensor.requires_grad, _Call(_ORDERED))
            if attributes:
                function, args = _name("torch._utils", "_rebuild_parameter_with_state"), (*args, attributes)
            return _Call(function, *args)
        data = self._data(tensor)
        if not attributes:
            return data
        return _Call(
            _name("torch._tensor", "_rebuild_from_type_v2"),
            data.function,
            _name("torch", "Tensor"),
            data.args,
            attributes,
        )

    def _data(self, tensor: Any) -> _Call:
        if getattr(tensor, "is_sparse", False):
            raise pickle.PicklingError("save: expected dense tensors; got a sparse one\nhint: save tensor.to_dense()")
        requires_grad = tensor.requires_grad
        tensor = tensor.detach()
        for flag, resolve in (("is_conj", "resolve_conj"), ("is_neg", "resolve_neg")):
            if hasattr(tensor, flag) and getattr(tensor, flag)():
                tensor = getattr(tensor, resolve)()
        dtype = adapter.dtype_name(tensor.dtype)
        legacy = adapter.STORAGE_NAMES.get(dtype)
        kind = _name("torch", legacy) if legacy else _name("torch.storage", "UntypedStorage")
        key = adapter.storage_of(tensor)[0]
        storage = self._by_key.get(key)
        if storage is None:
            storage = self._by_key[key] = Storage(tensor, len(self.storages), kind)
            self.storages.append(storage)
        count = storage.size // tensor.dtype.itemsize if legacy else storage.size
        args = [
            _Typed(storage, kind, count),
            tensor.storage_offset(),
            tuple(tensor.shape),
            tuple(tensor.stride()),
            requires_grad,
            _Call(_ORDERED),
        ]
        if legacy:
            return _Call(_name("torch._utils", "_rebuild_tensor_v2"), *args)
        return _Call(_name("torch._utils", "_rebuild_tensor_v3"), *args, _name("torch", dtype))


class _Typed:
    """A storage seen as elements of one type: what a persistent id names."""

    def __init__(self, storage: Storage, kind: _Global, count: int) -> None:
        self.storage, self.kind, self.count = storage, kind, count


_ORDERED = _name("collections", "OrderedDict")


def pack(obj: Any) -> tuple[bytes, list[Storage]]:
    """The pickle of an object, and the storages that it refers to."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    try:
        pickler.dump(obj)
    except RecursionError:
        raise pickle.PicklingError("save: the object is nested too deeply, or contains itself") from None
    except AttributeError as error:  # what can't be pickled: local classes and functions
        raise pickle.PicklingError(str(error)) from error
    return file.getvalue(), pickler.storages
