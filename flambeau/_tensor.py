"""The methods of Tensor that are about the object: conversion, text, pickling, hooks, overrides.

Operations on elements are rows (rows/*.py) and composites (_composites); both are attached in `install`.
"""

from __future__ import annotations

import functools
from typing import Any

from . import _C, _device
from ._composites._primitives import P

Tensor = _C.Tensor
Parameter: Any = None  # set when nn is there


# ---- conversion ----


def to(self: Tensor, *args: Any, **options: Any) -> Tensor:
    """The tensor on another device or as another type: itself where nothing changes.

    >>> import flambeau as torch
    >>> torch.ones(2).to(torch.int64)
    tensor([1, 1])
    """
    dtype, where, other = options.pop("dtype", None), options.pop("device", None), options.pop("other", None)
    copy, memory_format = options.pop("copy", False), options.pop("memory_format", None)
    options.pop("non_blocking", None)
    if options:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(options))}'")
    flags = []
    for arg in args:
        if isinstance(arg, _C.dtype):
            dtype = arg
        elif isinstance(arg, Tensor):
            other = arg
        elif isinstance(arg, bool):
            flags.append(arg)
        elif isinstance(arg, (str, _device.device, int)):
            where = arg
        elif arg is not None:
            raise TypeError(f"to() received an invalid combination of arguments - got ({type(arg).__name__})")
    if len(flags) > 1:
        copy = flags[1]
    if other is not None:
        dtype = other.dtype
    _device.require_cpu(where)
    result = self
    if dtype is not None and dtype is not self.dtype:
        result = P.cast(self, dtype)
    elif copy:
        result = P.clone(self)
    if memory_format in (_device.channels_last, _device.contiguous_format):
        result = P.contiguous(result, memory_format)
    return result


def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor in the memory of the CPU."""
    return self


def cuda(self: Tensor, device: Any = None, *args: Any, **options: Any) -> Tensor:
    """The tensor on a GPU; this build has none."""
    _device.require_cpu("cuda" if device is None else device)
    return self


def numpy(self: Tensor, *, force: bool = False) -> Any:
    """A NumPy array over the same memory. force: detach and copy where sharing is impossible.

    >>> import flambeau as torch
    >>> torch.ones(2).numpy()
    array([1., 1.], dtype=float32)
    """
    return _C.to_numpy(self.detach() if force else self)


def __array__(self: Tensor, dtype: Any = None, copy: Any = None) -> Any:
    array = _C.to_numpy(self)
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


def __array_wrap__(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    if array.dtype == bool:
        array = array.astype("uint8")
        return P.cast(_C.from_numpy(array), _C.bool)
    if array.ndim == 0:
        return _C.tensor_from(array, None)
    return _C.from_numpy(array)


def tolist(self: Tensor) -> Any:
    """The elements as nested lists of Python numbers; a number for a 0-d tensor.

    >>> import flambeau as torch
    >>> torch.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return _C.tolist(self)


def __dlpack__(self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
    return _C.to_dlpack(self.clone() if copy else self)


def __dlpack_device__(self: Tensor) -> tuple[int, int]:
    return (1, 0)


# ---- text ----


def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    from ._tensor_text import text

    return text(self)


def __format__(self: Tensor, spec: str) -> str:
    if self.dim() == 0 and type(self) is Tensor:
        return self.item().__format__(spec)
    return object.__format__(self, spec)


# ---- history ----


def backward(self: Tensor, gradient: Any = None, retain_graph: Any = None, create_graph: bool = False, inputs: Any = None) -> None:
    """Adds the gradient of this tensor to .grad of the leaves it was computed from.

    gradient: the cotangent, of this tensor's shape; needed unless there is one element.

    >>> import flambeau as torch
    >>> x = torch.tensor([1., 2.], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    if inputs is None and gradient is None:
        _C.run_backward((self,), (None,), (), bool(create_graph if retain_graph is None else retain_graph), create_graph)
        return
    from . import autograd

    autograd.backward(self, gradient, retain_graph, create_graph, inputs)


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away; also a context manager."""

    def __init__(self, remove: Any) -> None:
        self._remove = remove

    def remove(self) -> None:
        if self._remove is not None:
            self._remove()
            self._remove = None

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


def register_hook(self: Tensor, hook: Any) -> RemovableHandle:
    """Calls hook(grad) whenever the gradient of this tensor is computed; a returned tensor replaces it."""
    return _registered(self, hook, False)


def register_post_accumulate_grad_hook(self: Tensor, hook: Any) -> RemovableHandle:
    """Calls hook(tensor) after .grad of this leaf was added to."""
    if not self.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return _registered(self, hook, True)


def _registered(tensor: Tensor, hook: Any, after: bool) -> RemovableHandle:
    import weakref

    node, index, number = _C.add_hook(tensor, hook, after)
    kept = weakref.ref(tensor)
    return RemovableHandle(lambda: _C.remove_hook(kept(), node, index, number))


# ---- copies ----


def __deepcopy__(self: Tensor, memo: dict[Any, Any]) -> Tensor:
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment."
        )
    if id(self) in memo:
        return memo[id(self)]
    import copy

    key = ("storage", self._storage_bytes().data_ptr(), self._storage_bytes().numel())
    with_storage = memo.get(key)
    if with_storage is None:
        with_storage = P.clone(self._storage_bytes())
        memo[key] = with_storage
    result = _rebuild(type(self), with_storage, self.dtype, self.storage_offset(), tuple(self.shape), self.stride(), self.requires_grad)
    memo[id(self)] = result
    if self.grad is not None:
        result.grad = copy.deepcopy(self.grad, memo)
    if self.__dict__:
        result.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return result


def __copy__(self: Tensor) -> Tensor:
    """A tensor of its own over the same memory."""
    result = _rebuild(
        type(self), self._storage_bytes(), self.dtype, self.storage_offset(), tuple(self.shape), self.stride(), self.requires_grad
    )
    if self.__dict__:
        result.__dict__.update(self.__dict__)
    return result


def _size(sizes: tuple[int, ...]) -> Any:
    return _C.Size(sizes)


def __complex__(self: Tensor) -> complex:
    return complex(self.item())


def _rebuild(cls: type, storage: Tensor, dtype: Any, offset: int, size: Any, stride: Any, requires_grad: bool) -> Tensor:
    """A tensor over the bytes of a storage: what copying and unpickling end in."""
    usable = storage.numel() // dtype.itemsize * dtype.itemsize
    whole = storage if usable == storage.numel() else P.slice(storage, 0, 0, usable)
    typed = P.view_dtype(whole, dtype)
    result = Tensor._make_subclass(cls, P.as_strided(typed, size, stride, offset), requires_grad) if cls is not Tensor else (
        P.as_strided(typed, size, stride, offset).detach().requires_grad_(requires_grad)
    )
    return result


def _rebuild_from_bytes(cls: type, data: bytes, dtype: str, offset: int, size: Any, stride: Any, requires_grad: bool, state: Any) -> Tensor:
    storage = P.clone(_C.from_buffer(bytearray(data), _C.uint8, -1, 0)) if data else P.empty((0,), dtype=_C.uint8)
    result = _rebuild(cls, storage, getattr(_C, dtype), offset, size, stride, requires_grad)
    if state:
        result.__dict__.update(state)
    return result


def __reduce_ex__(self: Tensor, protocol: Any) -> Any:
    if not self.is_leaf and self.requires_grad:
        raise RuntimeError("Only leaf tensors can be pickled: use detach() on a tensor that has a history")
    raw = _C.to_numpy(self._storage_bytes()).tobytes()
    name = str(self.dtype).removeprefix("torch.")
    return _rebuild_from_bytes, (
        type(self), raw, name, self.storage_offset(), tuple(self.shape), self.stride(), self.requires_grad, dict(self.__dict__) or None,
    )  # fmt: skip


# ---- storage ----


class UntypedStorage:
    """The bytes that a tensor and its views share."""

    def __init__(self, tensor: Tensor) -> None:
        self._bytes = tensor._storage_bytes()

    def nbytes(self) -> int:
        return self._bytes.numel()

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        return self._bytes.data_ptr()

    def __getitem__(self, index: Any) -> Any:
        return self._bytes[index].item()

    def tolist(self) -> list[int]:
        return self._bytes.tolist()


class TypedStorage:
    """The memory that a tensor and its views share, read as elements of the tensor's type."""

    def __init__(self, tensor: Tensor) -> None:
        data = tensor._storage_bytes()
        usable = data.numel() // tensor.dtype.itemsize * tensor.dtype.itemsize
        self._elements = P.view_dtype(P.slice(data, 0, 0, usable), tensor.dtype)
        self._untyped = UntypedStorage(tensor)
        self.dtype, self.device = tensor.dtype, tensor.device

    def __len__(self) -> int:
        return self._elements.numel()

    size = __len__

    def nbytes(self) -> int:
        return self._untyped.nbytes()

    def element_size(self) -> int:
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        return self._elements.data_ptr()

    def untyped(self) -> UntypedStorage:
        return self._untyped

    def tolist(self) -> list[Any]:
        return self._elements.tolist()

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._elements[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._elements[index] = value

    def __repr__(self) -> str:
        lines = "".join(f" {value}\n" for value in self.tolist())
        return f"{lines}[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"


def typed_storage(self: Tensor) -> TypedStorage:
    """The memory behind the tensor, as elements of its type."""
    return TypedStorage(self)


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The bytes behind the tensor."""
    return UntypedStorage(self)


def set_(self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Tensor:
    """Makes this tensor share the memory of another."""
    if source is None:
        return self._set_from(P.empty((0,), dtype=self.dtype), 0, (0,), (1,))
    if size is None:
        return self._set_from(source, source.storage_offset(), tuple(source.shape), source.stride())
    return self._set_from(source, storage_offset, tuple(size), stride if stride is not None else P.empty(tuple(size)).stride())


def is_shared(self: Tensor) -> bool:
    """Whether other processes see the same memory."""
    return getattr(self, "_shared", False)


def share_memory_(self: Tensor) -> Tensor:
    """Moves the elements into memory that forked processes share."""
    import mmap

    size = max(1, self._storage_bytes().numel())
    block = mmap.mmap(-1, size)
    shared = _C.from_buffer(block, _C.uint8, -1, 0)
    P.copy_(P.slice(shared, 0, 0, self._storage_bytes().numel()), self._storage_bytes())
    fresh = _rebuild(Tensor, P.slice(shared, 0, 0, self._storage_bytes().numel()), self.dtype, self.storage_offset(),
                     tuple(self.shape), self.stride(), False)  # fmt: skip
    self.data = fresh
    self._shared = True
    return self


def new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """A tensor of new data, of this tensor's type unless `dtype` names another."""
    _device.require_cpu(device)
    result = _C.tensor_from(data, dtype or self.dtype)
    return result.requires_grad_() if requires_grad else result


def new(self: Tensor, *args: Any, **options: Any) -> Tensor:
    """A tensor of this tensor's type: `x.new(2, 3)` of a size, uninitialised, `x.new([1, 2])` of values."""
    _device.require_cpu(options.pop("device", None))
    if len(args) == 1 and isinstance(args[0], Tensor):
        return args[0].detach()
    if len(args) == 1 and not isinstance(args[0], (int, _C.Size)):
        return _C.tensor_from(args[0], self.dtype)
    return P.empty(tuple(args[0] if args and isinstance(args[0], _C.Size) else args) or (0,), dtype=self.dtype)


def _elementwise_in_python(self: Tensor, function: Any, *others: Tensor) -> Tensor:
    columns = [P.expand(other, tuple(self.shape)).flatten().tolist() for other in others]
    values = [function(*row) for row in zip(self.detach().flatten().tolist(), *columns)]
    return P.copy_(self, P.reshape(_C.tensor_from(values, self.dtype), tuple(self.shape)))


def apply_(self: Tensor, callable: Any) -> Tensor:
    """Overwrites each element with callable(element); slow, for the CPU only.

    >>> import flambeau as torch
    >>> torch.tensor([1, 2]).apply_(lambda v: v * 10)
    tensor([10, 20])
    """
    return _elementwise_in_python(self, callable)


def map_(self: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """Overwrites each element with callable(element, element of tensor)."""
    return _elementwise_in_python(self, callable, tensor)


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Any) -> Tensor:
    """Overwrites each element with callable(element, element of x, element of y)."""
    return _elementwise_in_python(self, callable, x, y)


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same view of the same memory."""
    same = self.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    return same and (self.shape, self.stride(), self.storage_offset()) == (tensor.shape, tensor.stride(), tensor.storage_offset())


def dim_order(self: Tensor, **_: Any) -> tuple[int, ...]:
    """The dimensions from the outermost in memory to the innermost."""
    return tuple(sorted(range(self.dim()), key=lambda d: (-self.stride(d), d)))


def __dir__(self: Tensor) -> list[str]:
    return sorted({*dir(type(self)), *self.__dict__})


def __setstate__(self: Tensor, state: Any) -> None:
    self.__dict__.update(state)


def element_type(self: Tensor, dtype: Any = None, non_blocking: bool = False, **_: Any) -> Any:
    """The name of the tensor's type; with a dtype, the tensor as that type."""
    if dtype is None:
        return f"torch.{_TYPE_NAMES[self.dtype]}Tensor"
    if isinstance(dtype, type):
        dtype = getattr(dtype, "dtype", None)  # torch.LongTensor and its like
        if not isinstance(dtype, _C.dtype):
            raise TypeError("invalid type object")
    elif isinstance(dtype, str):
        dtype = {f"torch.{name}Tensor": kind for kind, name in _TYPE_NAMES.items()}[dtype]
    return to(self, dtype)


_TYPE_NAMES = {
    _C.float32: "Float", _C.float64: "Double", _C.float16: "Half", _C.bfloat16: "BFloat16", _C.uint8: "Byte", _C.int8: "Char",
    _C.int16: "Short", _C.int32: "Int", _C.int64: "Long", _C.bool: "Bool", _C.complex64: "ComplexFloat",
    _C.complex128: "ComplexDouble",
}  # fmt: skip


def __contains__(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, int, float, complex, bool)):
        equal: Any = self == element
        return bool(equal.any())
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


def __reversed__(self: Tensor) -> Tensor:
    return self if self.dim() == 0 else self.flip(0)


# ---- overrides ----


def __torch_function__(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Runs func without overrides, and gives results the class of the operand."""
    before = _C.disable_overrides(True)
    try:
        result = func(*args, **(kwargs or {}))
    finally:
        _C.disable_overrides(before)
    return _converted(result, cls)


def _converted(value: Any, cls: type) -> Any:
    if cls is Tensor:
        return value
    if type(value) is Tensor:
        return value.as_subclass(cls)
    if isinstance(value, (tuple, list)) and value and any(isinstance(v, Tensor) for v in value):
        items = [_converted(v, cls) for v in value]
        return type(value)(items) if type(value) in (tuple, list) else type(value)(items)
    return value


def _disabled_torch_function_impl(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    before = _C.disable_overrides(True)
    try:
        return func(*args, **(kwargs or {}))
    finally:
        _C.disable_overrides(before)


class _DisabledImpl:
    """`__torch_function__ = _disabled_torch_function_impl` switches a class off; called, it runs func as on plain tensors."""

    def __get__(self, instance: Any, owner: type) -> Any:
        return functools.partial(_disabled_torch_function_impl, owner)

    def __call__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _disabled_torch_function_impl(Tensor, func, types, args, kwargs)


def _dispatch_override(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], call: Any = None) -> Any:
    """Asks the classes of the operands, subclasses first, as PyTorch's protocol has it.

    call: the arguments and keywords of the call, where the operands to look at are others.
    """
    found: list[Any] = []

    def look(value: Any) -> None:
        if isinstance(value, (tuple, list)):
            for entry in value:
                look(entry)
        elif type(value) is not Tensor and type(value) is not Parameter and hasattr(type(value), "__torch_function__"):
            if all(type(value) is not type(other) for other in found):
                at = next((i for i, other in enumerate(found) if issubclass(type(value), type(other))), len(found))
                found.insert(at, value)

    look(args)
    look(tuple(kwargs.values()))
    types = tuple(type(value) for value in found)
    if call is not None:
        args, kwargs = call
    for value in found:
        result = value.__torch_function__(func, types, args, kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(f"no implementation found for {func!r} on types that implement __torch_function__: {list(types)}")


def install() -> None:
    """Attaches everything: rows, then this file's methods."""
    names = ("to", "cpu", "cuda", "numpy", "__array__", "__array_wrap__", "tolist", "__dlpack__", "__dlpack_device__", "__repr__",
             "__format__", "backward", "register_hook", "register_post_accumulate_grad_hook", "__deepcopy__", "__copy__", "__complex__", "__reduce_ex__",
             "untyped_storage", "set_", "is_shared", "share_memory_", "new_tensor", "dim_order", "__dir__", "__setstate__",
             "__reversed__", "new", "apply_", "map_", "map2_", "is_set_to")  # fmt: skip
    for name in names:
        setattr(Tensor, name, globals()[name])
    Tensor.type = element_type
    Tensor.storage = typed_storage
    Tensor.__torch_function__ = classmethod(__torch_function__)
    Tensor.__array_priority__ = 1000
    Tensor.layout = property(lambda self: _device.strided)
    Tensor.name = property(lambda self: None)
    Tensor.__module__ = "torch"
    Tensor.pin_memory = lambda self, device=None: self
    Tensor.is_pinned = lambda self, device=None: False
    Tensor.get_device = lambda self: -1
    Tensor.__reduce__ = lambda self: __reduce_ex__(self, 2)
    _C.set_override_handler(_dispatch_override)
    _C._disabled_torch_function_impl = _DisabledImpl()



