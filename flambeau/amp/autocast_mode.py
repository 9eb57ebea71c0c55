"""autocast: a region in which matrix products and convolutions compute in bfloat16 or float16."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import _C

# The type that a device uses unless told otherwise.
_chosen: dict[str, Any] = {"cpu": _C.bfloat16, "cuda": _C.float16}


def is_autocast_available(device_type: str) -> bool:
    """Whether a device has mixed precision."""
    return device_type == "cpu"


def get_autocast_dtype(device_type: str) -> Any:
    """The type that matrix products are computed in under autocast.

    >>> import flambeau as torch
    >>> torch.get_autocast_dtype("cpu")
    torch.bfloat16
    """
    if device_type not in _chosen:
        raise RuntimeError(f"unknown device type for autocast in get_autocast_dtype: {device_type}")
    active = _C.get_autocast() if device_type == "cpu" else None
    return active or _chosen[device_type]


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Chooses the type for regions that name none."""
    _chosen[device_type] = dtype


class autocast:
    """A region, or a function, in which matrix products and convolutions are computed in `dtype`.

    Operands are converted on the way in, gradients on the way back; losses over classes are computed in float32.

    Args:
        device_type: "cpu"; for a device that is not there a warning is given and nothing changes.
        dtype: bfloat16 (the default) or float16.

    >>> import flambeau as torch
    >>> with torch.autocast("cpu"):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: Any = None) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if device_type != "cpu" and enabled:
            warnings.warn(
                f"User provided device_type of '{device_type}', but {device_type.upper()} is not available. Disabling", stacklevel=2
            )
            enabled = False
        if enabled and self.fast_dtype not in (_C.bfloat16, _C.float16):
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"CPU Autocast only supports dtype of torch.bfloat16, torch.float16 currently; got {self.fast_dtype}.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = bool(enabled)
        self._before: list[Any] = []

    def __enter__(self) -> autocast:
        if self.device == "cpu":
            self._before.append(_C.set_autocast(self.fast_dtype if self._enabled else None))
        return self

    def __exit__(self, *error: Any) -> None:
        if self.device == "cpu":
            _C.set_autocast(self._before.pop())

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return decorated


def custom_fwd(fwd: Any = None, *, device_type: str = "cpu", cast_inputs: Any = None) -> Any:
    """For the forward of an autograd.Function: remembers whether autocast was on, or converts operands and switches it off."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        active = _C.get_autocast() if device_type == "cpu" else None
        ctx._fwd_autocast = None if cast_inputs is not None else active
        if cast_inputs is None or active is None:
            return fwd(ctx, *args, **kwargs)

        def converted(value: Any) -> Any:
            eligible = isinstance(value, flambeau.Tensor) and value.is_floating_point() and value.dtype is not _C.float64
            return value.to(cast_inputs) if eligible else value

        with autocast(device_type, enabled=False):
            return fwd(ctx, *map(converted, args), **{name: converted(value) for name, value in kwargs.items()})

    return decorated


def custom_bwd(bwd: Any = None, *, device_type: str = "cpu") -> Any:
    """For the backward of an autograd.Function: runs it with autocast as it was in forward."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        before = _C.set_autocast(ctx._fwd_autocast)
        try:
            return bwd(ctx, *args, **kwargs)
        finally:
            _C.set_autocast(before)

    return decorated
