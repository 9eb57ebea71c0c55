"""What the composites share: dimensions, sizes, dtypes, error texts. No tensor is computed but by conversion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ._primitives import P, Tensor

SCALAR_NAMES = {
    "bool": "Bool",
    "uint8": "Byte",
    "int8": "Char",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "float32": "Float",
    "float64": "Double",
    "complex32": "ComplexHalf",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}


def error(kind: type[Exception], phrase: str, op: str = "", expected: str = "", got: Any = None) -> Exception:
    """An exception whose first line is PyTorch's phrase and whose second says what was expected and what came."""
    return kind(f"{phrase}\n{op}: expected {expected}; got {describe(got)}" if op else phrase)


def describe(value: Any) -> str:
    """A tensor as its dtype and shape, sequences of them likewise, anything else as Python writes it."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).rpartition('.')[2]}{list(value.shape)}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(describe, value)) + ")"
    return repr(value)


def dtype_name(dtype: Any) -> str:
    """The dtype's name in PyTorch's error texts: Float, Long, ComplexDouble."""
    short = str(dtype).rpartition(".")[2]
    return SCALAR_NAMES.get(short, short)


# dimensions


def wrap_dim(dim: int, ndim: int) -> int:
    """dim counted from the front; a scalar counts as having one dimension."""
    bound = ndim or 1
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return dim % bound


def wrap_dims(dims: int | Iterable[int] | None, ndim: int) -> list[int]:
    """Distinct dimensions counted from the front; None and, as in PyTorch's reductions, () mean all."""
    dims = (dims,) if isinstance(dims, int) else tuple(dims or ())
    if not dims:
        return list(range(ndim))
    wrapped = [wrap_dim(dim, ndim) for dim in dims]
    for dim in wrapped:
        if wrapped.count(dim) > 1:
            raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    return wrapped


def sizes_of(args: Sequence[Any]) -> tuple[int, ...]:
    """The size meant by varargs: `f(2, 3)` and `f((2, 3))` are the same."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        return tuple(args[0])
    return tuple(args)


def replace(shape: Sequence[int], dim: int, *extents: int) -> tuple[int, ...]:
    """shape with the extent at dim replaced by other extents."""
    return (*shape[:dim], *extents, *shape[dim + 1 :])


def infer_size(shape: Sequence[int], numel: int) -> tuple[int, ...]:
    """shape with its -1 worked out, checked against the number of elements."""
    shape = tuple(shape)
    known = math.prod(extent for extent in shape if extent != -1)
    if any(extent < -1 for extent in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)}")
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if -1 in shape and known == 0 == numel:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size -1 "
            "can be any value and is ambiguous"
        )
    if known != numel if -1 not in shape else known == 0 or numel % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return tuple(numel // known if extent == -1 else extent for extent in shape)


def broadcast_of(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The common shape of several under NumPy's broadcasting rule."""
    ndim = max((len(shape) for shape in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for place, extent in enumerate(shape, ndim - len(shape)):
            if extent != 1 and result[place] not in (1, extent):
                raise RuntimeError(
                    f"The size of tensor a ({result[place]}) must match the size of tensor b ({extent}) "
                    f"at non-singleton dimension {place}"
                )
            if extent != 1:
                result[place] = extent
    return tuple(result)


# dtypes


def is_integral(dtype: Any) -> bool:
    """Whether the dtype is bool or an integer type."""
    return not (dtype.is_floating_point or dtype.is_complex)


def floating(dtype: Any) -> Any:
    """dtype itself, or the default dtype for integers and bool."""
    return P.get_default_dtype() if is_integral(dtype) else dtype


def as_floating(input: Tensor) -> Tensor:
    """input, converted to the default dtype where it holds integers or bools."""
    return P.to(input, P.get_default_dtype()) if is_integral(input.dtype) else input


def common_dtype(tensors: Sequence[Tensor]) -> Any:
    """The dtype that all tensors are promoted to."""
    dtype = tensors[0].dtype
    for tensor in tensors[1:]:
        dtype = P.promote_types(dtype, tensor.dtype)
    return dtype


def cast(input: Tensor, dtype: Any) -> Tensor:
    """input in the dtype; None leaves it as it is."""
    return input if dtype is None or input.dtype == dtype else P.to(input, dtype)


def running_sum(input: Tensor, dim: int) -> Tensor:
    """The sum of every element and all before it along `dim`."""
    return P.cumsum(input, dim)


def require_tensor(value: Any, op: str, position: int = 1, parameter: str = "input") -> None:
    """Raises TypeError unless the argument is a tensor."""
    if not isinstance(value, Tensor):
        phrase = f"{op}(): argument '{parameter}' (position {position}) must be Tensor, not {type(value).__name__}"
        raise error(TypeError, phrase)


def require_tensors(values: Any, op: str) -> tuple[Tensor, ...]:
    """The items of a sequence of tensors; raises TypeError for anything else."""
    if not isinstance(values, (tuple, list)) or not all(isinstance(value, Tensor) for value in values):
        phrase = f"{op}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(values).__name__}"
        raise error(TypeError, phrase)
    return tuple(values)
