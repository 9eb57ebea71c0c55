"""Tensor types by element: FloatTensor, LongTensor and their like, as programs of PyTorch's first years name them.

They construct (`LongTensor([1, 2])`, `FloatTensor(2, 3)`), and `isinstance(x, LongTensor)` asks for the dtype. No tensor
is an instance of them in Python's sense: what they make is a plain Tensor.
"""

from __future__ import annotations

from typing import Any

from . import _C, _tensor
from ._composites._primitives import P


class _ElementType(type):
    dtype: Any

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, _C.Tensor) and value.dtype is cls.dtype

    def __call__(cls, *args: Any, **options: Any) -> Any:
        from . import _device

        _device.require_cpu(options.pop("device", None))
        if options:
            raise TypeError(f"{cls.__name__}() got an unexpected keyword argument '{next(iter(options))}'")
        first = args[0] if args else None
        if len(args) == 1 and isinstance(first, _C.Tensor):
            if first.dtype is not cls.dtype:
                raise TypeError(f"expected {cls.__name__} (got {first.type()})")
            return first.detach()
        if len(args) == 1 and not isinstance(first, (int, _C.Size)):
            return _C.tensor_from(first, cls.dtype)
        return P.empty(tuple(first if isinstance(first, _C.Size) else args) or (0,), dtype=cls.dtype)


TYPES: dict[str, type] = {
    f"{name}Tensor": _ElementType(f"{name}Tensor", (), {"dtype": dtype, "__module__": "torch", "__doc__": f"Tensors of {dtype}."})
    for dtype, name in _tensor._TYPE_NAMES.items()
    if not dtype.is_complex
}
__all__ = list(TYPES)
globals().update(TYPES)
