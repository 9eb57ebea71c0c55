"""CUDA: none in this build. What asks about GPUs gets an answer; what needs one raises."""

from __future__ import annotations

from typing import Any, NoReturn

from . import amp as amp

_MISSING = "Torch not compiled with CUDA enabled"


def is_available() -> bool:
    """Whether there is a GPU to compute on: no.

    >>> import flambeau as torch
    >>> torch.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """How many GPUs there are: none."""
    return 0


def is_initialized() -> bool:
    """Whether a GPU has been used: no."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU computes with bfloat16: there is none."""
    return False


def is_current_stream_capturing() -> bool:
    """Whether work is being recorded for a GPU: no."""
    return False


def manual_seed(seed: int) -> None:
    """Seeds the generator of the current GPU: nothing to do without one."""


def manual_seed_all(seed: int) -> None:
    """Seeds the generators of all GPUs: nothing to do without one."""


def seed() -> None:
    """Seeds from a random number: nothing to do without a GPU."""


def seed_all() -> None:
    """Seeds from a random number: nothing to do without a GPU."""


def empty_cache() -> None:
    """Gives cached GPU memory back: there is none."""


def ipc_collect() -> None:
    """Releases memory shared between processes: there is none."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory in tensors: none."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes of GPU memory that were in tensors: none."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes of GPU memory taken from the driver: none."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes of GPU memory that were taken from the driver: none."""
    return 0


def get_arch_list() -> list[str]:
    """The architectures that kernels were compiled for: none."""
    return []


def _unavailable(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError(f"{_MISSING}\ncuda.{name}: expected a build with CUDA; got one for the CPU")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Needs a GPU: raises AssertionError in this build."
    return function


for _name in (
    "init", "current_device", "set_device", "get_device_name", "get_device_properties", "get_device_capability", "synchronize",
    "current_stream", "default_stream", "mem_get_info", "reset_peak_memory_stats", "reset_max_memory_allocated",
    "memory_summary", "memory_stats", "get_rng_state", "set_rng_state", "get_rng_state_all", "initial_seed", "utilization",
):  # fmt: skip
    globals()[_name] = _unavailable(_name)


class device:
    """A context in which a GPU is the current one; -1 and None change nothing."""

    def __init__(self, device: Any) -> None:
        self.index = -1 if device is None else device if isinstance(device, int) else getattr(device, "index", 0)

    def __enter__(self) -> None:
        if self.index is not None and self.index >= 0:
            raise AssertionError(_MISSING)

    def __exit__(self, *error: Any) -> None:
        return None


class _Needed:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"{_MISSING}\n{type(self).__name__}: expected a build with CUDA; got one for the CPU")


class Event(_Needed):
    """A mark in the work of a GPU: needs one."""


class Stream(_Needed):
    """A queue of work for a GPU: needs one."""


class OutOfMemoryError(RuntimeError):
    """Raised where a GPU's memory does not suffice."""
