"""Conversions of the element type, and the questions one asks about it."""

from __future__ import annotations

from typing import Any

from ._primitives import P, Tensor
from .registry import METHODS, composite

CONVERSIONS = {
    "bool": "bool",
    "byte": "uint8",
    "char": "int8",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "half": "float16",
    "bfloat16": "bfloat16",
    "float": "float32",
    "double": "float64",
    "chalf": "complex32",
    "cfloat": "complex64",
    "cdouble": "complex128",
}


def conversion(name: str, dtype_name: str) -> None:
    """Registers the method that converts to one dtype."""

    def method(input: Tensor, memory_format: Any = None) -> Tensor:
        dtype = getattr(P, dtype_name)
        if memory_format is None or memory_format == P.preserve_format:
            return input if input.dtype == dtype else P.to(input, dtype)
        return P.contiguous(P.to(input, dtype), memory_format=memory_format)

    method.__name__ = method.__qualname__ = name
    summary = f"The tensor converted to {dtype_name}; itself where it is that already."
    method.__doc__ = f"{summary}\n\n    >>> torch.ones(1).{name}().dtype\n    torch.{dtype_name}\n    "
    METHODS[name] = method


for _name, _dtype in CONVERSIONS.items():
    if hasattr(P, _dtype):
        conversion(_name, _dtype)


@composite(public=False)
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """input converted to the dtype of other.

    >>> torch.tensor([1]).type_as(torch.tensor([1.]))
    tensor([1.])
    """
    return input if input.dtype == other.dtype else P.to(input, other.dtype)


@composite(method=False)
def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floating point numbers.

    >>> torch.is_floating_point(torch.tensor([1.]))
    True
    """
    return input.dtype.is_floating_point


@composite(method=False)
def is_complex(input: Tensor) -> bool:
    """Whether the elements are complex numbers.

    >>> torch.is_complex(torch.tensor([1.]))
    False
    """
    return input.dtype.is_complex


@composite(method=False)
def is_signed(input: Tensor) -> bool:
    """Whether the element type has negative numbers.

    >>> torch.is_signed(torch.tensor([1.]))
    True
    """
    return input.dtype not in (P.bool, P.uint8)


@composite(method=False)
def is_conj(input: Tensor) -> bool:
    """Whether a conjugation is left undone: never.

    >>> torch.is_conj(torch.tensor([1.]))
    False
    """
    return False


@composite(method=False)
def is_neg(input: Tensor) -> bool:
    """Whether a negation is left undone: never.

    >>> torch.is_neg(torch.tensor([1.]))
    False
    """
    return False


@composite(method=False)
def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor.

    >>> torch.is_tensor(3)
    False
    """
    return isinstance(obj, Tensor)
