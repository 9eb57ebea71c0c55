"""All that saving and loading need to know about tensors: the bytes of a storage, and a tensor over such bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau

# Names that checkpoints give to storages of each element type.
STORAGE_NAMES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "uint8": "ByteStorage",
    "int8": "CharStorage",
    "int16": "ShortStorage",
    "int32": "IntStorage",
    "int64": "LongStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
    "complex128": "ComplexDoubleStorage",
}
DTYPE_NAMES = {storage: dtype for dtype, storage in STORAGE_NAMES.items()}
_SWAP_WIDTH = {"complex64": 4, "complex128": 8}  # what a change of byte order turns around


def dtype_name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def dtype_named(name: str) -> Any:
    """The dtype of that name, or None."""
    value = getattr(flambeau, name, None)
    return value if isinstance(value, flambeau.dtype) else None


def swap_width(dtype: str) -> int:
    return _SWAP_WIDTH.get(dtype) or getattr(flambeau, dtype).itemsize


def storage_of(tensor: Any) -> tuple[Any, int, int]:
    """A key that tells storages apart, the address of the storage's first byte, and its size in bytes."""
    storage = tensor.untyped_storage()
    size = storage.nbytes()
    address = storage.data_ptr()
    return (address, size) if size else ("empty", id(tensor)), address, size


def bytes_at(address: int, size: int) -> memoryview:
    """The bytes themselves, not a copy; valid while their storage lives."""
    if size == 0:
        return memoryview(b"")
    import ctypes

    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")


def new_storage(size: int) -> tuple[Any, memoryview]:
    """A storage of that many bytes, as a uint8 tensor, and its bytes for writing."""
    base = flambeau.empty(size, dtype=flambeau.uint8)
    return base, memoryview(base.numpy()).cast("B") if size else memoryview(bytearray())


def storage_over(array: np.ndarray) -> Any:
    """A storage over existing bytes (a mapped file), without a copy; the array is kept alive by it."""
    return flambeau.from_numpy(array)


def rebuild(base: Any, dtype: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Any:
    """A tensor over the uint8 tensor `base`; tensors rebuilt over the same base share its memory."""
    itemsize = dtype.itemsize
    length = base.numel() // itemsize
    reach = offset + sum((n - 1) * s for n, s in zip(size, stride)) + 1 if 0 not in size else 0
    if len(size) != len(stride) or min((offset, *size, *stride)) < 0 or reach > length:
        raise RuntimeError(
            f"Trying to resize storage that is not resizable\nload: expected a tensor within its storage of {length} "
            f"elements; got size {size}, stride {stride}, offset {offset}"
        )
    if not length:
        return flambeau.empty(0, dtype=dtype).as_strided(size, stride, 0)
    whole = base if base.numel() == length * itemsize else base[: length * itemsize]
    return whole.view(dtype).as_strided(size, stride, offset)
