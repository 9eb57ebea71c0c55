"""Top-level functions that are not operations: making tensors from data, seeds, switches; and attaching the operations."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import _C, _device, _tensor

Tensor = _C.Tensor
__all__ = [
    "as_tensor", "asarray", "are_deterministic_algorithms_enabled", "from_dlpack", "frombuffer", "get_default_device",
    "get_num_interop_threads", "get_rng_state", "initial_seed", "is_storage", "manual_seed", "numel", "seed",
    "set_default_tensor_type", "set_flush_denormal", "set_num_interop_threads", "set_printoptions", "set_rng_state",
    "set_warn_always", "tensor", "typename", "use_deterministic_algorithms", "is_autocast_enabled", "is_deterministic",
    "clear_autocast_cache", "detach", "detach_", "get_deterministic_debug_mode", "get_device", "get_float32_matmul_precision",
    "is_autocast_cache_enabled", "is_autocast_cpu_enabled", "is_deterministic_algorithms_warn_only_enabled", "is_inference",
    "is_warn_always_enabled", "resize_as_", "set_default_device", "set_deterministic_debug_mode", "set_float32_matmul_precision", "to_dlpack",
]  # fmt: skip


if TYPE_CHECKING:

    def tensor(
        data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False, names: Any = None
    ) -> Tensor: ...

else:
    tensor = _C.tensor


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory and history where it can.

    >>> import flambeau as torch, numpy as np
    >>> torch.as_tensor(np.zeros(2))
    tensor([0., 0.], dtype=torch.float64)
    """
    _device.require_cpu(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if hasattr(data, "__array_interface__"):
        shared = _C.from_numpy(data)
        return shared if dtype is None else shared.to(dtype)
    return _C.tensor_from(data, dtype)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: Any = None, requires_grad: bool = False) -> Tensor:
    """`obj` as a tensor; copy: True always, False never, None where needed."""
    if isinstance(obj, Tensor):
        result = obj if requires_grad else obj.detach() if obj.requires_grad else obj
        if dtype is not None:
            if copy is False and dtype is not obj.dtype:
                raise ValueError("can't alias tensor with dtype " + str(obj.dtype) + " into dtype " + str(dtype))
            result = result.to(dtype)
        if copy and result is obj:
            result = result.clone()
    else:
        shares = hasattr(obj, "__array_interface__")
        if copy is False and not shares:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        result = _C.tensor_from(obj, dtype) if copy or not shares else as_tensor(obj, dtype)
    return result.requires_grad_() if requires_grad and not result.requires_grad else result


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A vector over the memory of an object with the buffer protocol."""
    result = _C.from_buffer(buffer, dtype, count, offset)
    return result.requires_grad_() if requires_grad else result


def from_dlpack(ext_tensor: Any, **_: Any) -> Tensor:
    """A tensor over the memory of another library's tensor."""
    capsule = ext_tensor.__dlpack__() if hasattr(ext_tensor, "__dlpack__") else ext_tensor
    return _C.from_dlpack(capsule)


# ---- random state ----


def manual_seed(seed: int) -> Any:
    """Starts the random stream that `seed` names; the streams are PyTorch's.

    >>> import flambeau as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(1)
    tensor([0.4963])
    """
    return _C.default_generator.manual_seed(int(seed))


def seed() -> int:
    """Starts a stream from a random number; returns that number."""
    return _C.default_generator.seed()


def initial_seed() -> int:
    """The number that the random stream started from."""
    return _C.default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default random generator."""
    return _C.default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Takes up a state that get_rng_state gave."""
    _C.default_generator.set_state(new_state)


# ---- settings ----

_settings: dict[str, Any] = {"deterministic": False, "warn_only": False, "warn_always": False, "matmul": "highest"}


def set_default_tensor_type(t: Any) -> None:
    """Sets the default dtype by the name of a tensor type."""
    name = t if isinstance(t, str) else getattr(t, "__name__", str(t))
    for dtype, label in _tensor._TYPE_NAMES.items():
        if name.endswith(f"{label}Tensor"):
            _C.set_default_dtype(dtype)
            return
    raise TypeError(f"invalid type object: {name}")


def get_default_device() -> Any:
    """Where new tensors go: the CPU."""
    return _device.cpu


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Results here never depend on the number of threads; the flag is only remembered."""
    _settings.update(deterministic=bool(mode), warn_only=bool(warn_only))


def are_deterministic_algorithms_enabled() -> bool:
    """What use_deterministic_algorithms said last."""
    return _settings["deterministic"]


is_deterministic = are_deterministic_algorithms_enabled


def get_num_interop_threads() -> int:
    """Threads between operations: one."""
    return 1


def set_num_interop_threads(n: int) -> None:
    """Accepted and ignored: operations run one after another."""


def set_flush_denormal(mode: bool) -> bool:
    """Not supported: always False."""
    return False


def set_printoptions(**options: Any) -> None:
    """How tensors are printed: precision, threshold, edgeitems, linewidth, profile, sci_mode."""
    from . import _tensor_text

    _tensor_text.set_printoptions(**options)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()


def is_storage(obj: Any) -> bool:
    """Whether obj is a storage."""
    return isinstance(obj, (_tensor.UntypedStorage, _tensor.TypedStorage))


def typename(obj: Any) -> str:
    """The full name of an object's type."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    return f"{kind.__module__}.{kind.__qualname__}" if kind.__module__ not in ("builtins", None) else kind.__qualname__


def is_autocast_enabled(device_type: Any = None) -> bool:
    """Whether mixed precision is on for a device; without an argument, for GPUs."""
    return device_type == "cpu" and _C.get_autocast() is not None


def is_autocast_cpu_enabled() -> bool:
    """Whether mixed precision is on."""
    return _C.get_autocast() is not None


def is_autocast_cache_enabled() -> bool:
    """Converted weights are not kept: False."""
    return False


def clear_autocast_cache() -> None:
    """Nothing to clear: converted weights are not kept."""


def set_default_device(device: Any) -> None:
    """Where new tensors go from now on: only the CPU is there to be chosen."""
    _device.require_cpu(device)


def get_float32_matmul_precision() -> str:
    """What set_float32_matmul_precision said last."""
    return _settings["matmul"]


def set_float32_matmul_precision(precision: str) -> None:
    """Products of float32 are always computed in float32; the wish is only remembered."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"float32 matmul precision should be one of highest, high, medium; got {precision!r}")
    _settings["matmul"] = precision


def is_warn_always_enabled() -> bool:
    """Whether set_warn_always was called with True."""
    return _settings["warn_always"]


def set_warn_always(b: bool) -> None:
    """Remembered and otherwise ignored: Python's filters decide."""
    _settings["warn_always"] = bool(b)


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether use_deterministic_algorithms was called with warn_only."""
    return _settings["warn_only"]


def get_deterministic_debug_mode() -> int:
    """0: not asked for, 1: warn, 2: raise. Results here are deterministic in any case."""
    return 0 if not _settings["deterministic"] else 1 if _settings["warn_only"] else 2


def set_deterministic_debug_mode(debug_mode: Any) -> None:
    """use_deterministic_algorithms by number or name: 0 default, 1 warn, 2 error."""
    level = {"default": 0, "warn": 1, "error": 2}.get(debug_mode, debug_mode)
    if level not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected `default`, `warn`, `error`, 0, 1 or 2, but got {debug_mode}")
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_device(input: Tensor) -> int:
    """The number of the tensor's GPU; -1 on the CPU."""
    return input.get_device()


def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made under inference_mode."""
    return input.is_inference()


def detach(input: Tensor) -> Tensor:
    """The same memory without history."""
    return input.detach()


def detach_(input: Tensor) -> Tensor:
    """Drops the history of the tensor."""
    return input.detach_()


def resize_as_(input: Tensor, the_template: Tensor) -> Tensor:
    """Gives the tensor the size of another."""
    return input.resize_as_(the_template)


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule over the tensor's memory, to be taken up once."""
    return tensor.__dlpack__()


# ---- attaching operations ----


def install(package: ModuleType) -> None:
    """Puts rows, then composites, where they belong; gives the tensor its methods."""
    from . import _composites

    spaces: dict[str, Any] = {"": package}
    for name, space, operation, in_place, is_function, is_method, kind in _C.operations:
        if is_function and space not in ("nn.functional",):
            owner = spaces.get(space)
            if owner is None:
                owner = package
                for part in space.split("."):
                    owner = getattr(owner, part)
                spaces[space] = owner
            setattr(owner, name, operation)
            if in_place is not None and not space:
                setattr(owner, name + "_", in_place)
        if is_method and not space:
            setattr(Tensor, name, operation)
        if in_place is not None and not space:
            setattr(Tensor, name + "_", in_place)
    _settle(_composites)
    _composites.install(package, Tensor)
    _tensor.install()
    _find_blas()


def _settle(composites: Any) -> None:
    """A row that is itself a composite or a factory in C++ stands before a Python function of the same name."""
    for name in [n for n in composites.METHODS if n.startswith("__r") and n in dir(Tensor)]:
        del composites.METHODS[name]  # the slots of the type have it
    for name, space, _, _, is_function, is_method, kind in _C.operations:
        if kind in ("composite", "creation") and not space:
            if is_function:
                composites.FUNCTIONS.pop(name, None)
            if is_method:
                composites.METHODS.pop(name, None)


def _find_blas() -> None:
    """Tells the core where the BLAS library is; it is opened when first needed."""
    for folder in sys.path:
        path = os.path.join(folder or ".", "scipy_openblas32", "lib", "libscipy_openblas.so")
        if os.path.exists(path):
            _C.set_blas_path(path)
            return


