"""Forward mode with dual tensors: make_dual puts a tangent to a tensor, unpack_dual takes it off the results."""

from __future__ import annotations

from typing import NamedTuple

from .. import _C

Tensor = _C.Tensor
__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]
_DUAL = 1
_levels: list[int] = []


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent (None: it has none)."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level() -> int:
    """Opens a level; returns its number."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append(_C.push_level(_DUAL))
    return len(_levels) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """Closes the level that was opened last."""
    if not _levels or (level is not None and level != len(_levels) - 1):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
            if _levels else "Trying to exit a forward AD level but no level is active"
        )  # fmt: skip
    _C.pop_level(_levels.pop())


class dual_level:
    """A context in which dual tensors live; at its end all tangents are gone.

    >>> import flambeau as torch
    >>> from flambeau.autograd import forward_ad
    >>> with forward_ad.dual_level():
    ...     x = forward_ad.make_dual(torch.tensor(3.), torch.tensor(1.))
    ...     forward_ad.unpack_dual(x * x).tangent
    tensor(6.)
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error: object) -> None:
        exit_dual_level()


def _current(level: int | None) -> int | None:
    number = len(_levels) - 1 if level is None else level
    return _levels[number] if 0 <= number < len(_levels) else None


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """The tensor with a tangent: what is computed with it carries the derivative along."""
    current = _current(level)
    if current is None:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to "
                           "enter_dual_level() first.")
    for name, value in (("tensor", tensor), ("tangent", tangent)):
        if not (value.dtype.is_floating_point or value.dtype.is_complex):
            raise ValueError(f"Expected {'primal' if name == 'tensor' else name} to be floating point or complex, but "
                             f"got: {value.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(f"Expected tangent to have the same shape as its primal\nmake_dual: got a primal "
                           f"{tuple(tensor.shape)} and a tangent {tuple(tangent.shape)}")
    if tensor.dtype is not tangent.dtype:
        raise RuntimeError(f"Expected tangent to have the same dtype as its primal\nmake_dual: got a primal "
                           f"{tensor.dtype} and a tangent {tangent.dtype}")
    return _C.wrap_dual(tensor, tangent, current)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor and its tangent at the current level; no tangent outside of levels."""
    current = _current(level)
    if current is None:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(*_C.unpack_dual(tensor, current))
