"""Devices, layouts, memory formats and the limits of number types: small values that tensors are described with."""

from __future__ import annotations

from typing import Any

from . import _C


class device:
    """Where a tensor's memory is.

    >>> import flambeau as torch
    >>> torch.device("cpu")
    device(type='cpu')
    """

    __slots__ = ("type", "index")
    TYPES = ("cpu", "cuda", "meta", "mps", "xpu", "mkldnn", "ipu", "hpu", "xla", "vulkan")

    def __new__(cls, type: Any = None, index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if isinstance(type, int):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        name, colon, number = type.partition(":")
        if name not in cls.TYPES:
            raise RuntimeError(
                f"Expected one of {', '.join(cls.TYPES)} device type at start of device string: {type}"
            )
        if colon:
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}'")
            index = int(number)
        if name == "cpu" and index is None and _CPU:
            return _CPU[0]
        self = object.__new__(cls)
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", index)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"attribute '{name}' of 'device' objects is not writable")

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type,) if self.index is None else (self.type, self.index)

    def __enter__(self) -> device:
        require_cpu(self)
        return self

    def __exit__(self, *error: Any) -> None:
        return None


_CPU: list[device] = []
_CPU.append(device("cpu"))
cpu = _CPU[0]
_C.set_cpu_device(cpu)


def require_cpu(where: Any) -> None:
    """Raises PyTorch's error for a device that this build does not have."""
    if where is None or where is cpu:
        return
    found = device(where)
    if found.type == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled\ndevice: expected cpu; got " + str(found))
    if found.type != "cpu":
        raise RuntimeError(f"device: expected cpu; got {found}, which this build does not support")


class _Named:
    """A named constant of PyTorch, such as torch.strided."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    def __deepcopy__(self, memo: Any) -> _Named:
        return self


class layout(_Named):
    """How the elements are stored; here always strided."""


class memory_format(_Named):
    """In which order dimensions lie in memory."""


strided, sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc = map(
    layout, ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")
)
contiguous_format, preserve_format, channels_last, channels_last_3d = map(
    memory_format, ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")
)
legacy_contiguous_format = contiguous_format

_FLOATS = {  # bits, bits of the fraction, smallest and largest binary exponent
    _C.float16: (16, 10, -14, 15), _C.bfloat16: (16, 7, -126, 127),
    _C.float32: (32, 23, -126, 127), _C.float64: (64, 52, -1022, 1023),
}  # fmt: skip


class finfo:
    """The limits of a floating type.

    >>> import flambeau as torch
    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: Any = None) -> None:
        kind = (_C.get_default_dtype() if type is None else type).to_real()
        if kind not in _FLOATS:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo', got {type}")
        self.bits, fraction, low, high = _FLOATS[kind]
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0**high
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**low
        self.resolution = 10.0 ** -int(fraction * 0.30103)
        self.dtype = str(kind).removeprefix("torch.")

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny", "dtype")
        return f"finfo({', '.join(f'{n}={getattr(self, n)}' for n in names)})"


class iinfo:
    """The limits of an integer type.

    >>> import flambeau as torch
    >>> torch.iinfo(torch.int8).max
    127
    """

    def __init__(self, type: Any) -> None:
        name = str(type).removeprefix("torch.")
        if not isinstance(type, _C.dtype) or "int" not in name:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'")
        self.bits = type.itemsize * 8
        unsigned = name.startswith("u")
        self.min = 0 if unsigned else -(2 ** (self.bits - 1))
        self.max = 2 ** (self.bits - (not unsigned)) - 1
        self.dtype = name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
