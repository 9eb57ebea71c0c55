"""Padding layers: a constant, zeros, reflection, replication and the opposite side, in one to three dimensions."""

from __future__ import annotations

from .. import functional as F
from .module import Module
from .utils import _ntuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]


class _PadNd(Module):
    """Padding of a fixed mode; ``padding`` holds pairs (before, after), the last dimension first."""

    __constants__ = ["padding"]
    _dims = 1
    _mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self._dims)(padding)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts ``(C, ...)`` and ``(N, C, ...)``."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    __constants__ = ["padding", "value"]

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pads the last dimension with ``value``.

    >>> import flambeau as torch
    >>> torch.nn.ConstantPad1d((1, 0), 7.0)(torch.zeros(1, 2))
    tensor([[7., 0., 0.]])
    """


class ConstantPad2d(_ConstantPadNd):
    """Pads the last two dimensions with ``value``."""

    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads the last three dimensions with ``value``."""

    _dims = 3


class ZeroPad1d(ConstantPad1d):
    """Pads the last dimension with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pads the last two dimensions with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pads the last three dimensions with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPadNd(_PadNd):
    _mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """Pads ``(N, C, W)`` by reflection at the edges."""


class ReflectionPad2d(_ReflectionPadNd):
    """Pads ``(N, C, H, W)`` by reflection at the edges."""

    _dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pads ``(N, C, D, H, W)`` by reflection at the edges."""

    _dims = 3


class _ReplicationPadNd(_PadNd):
    _mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """Pads ``(N, C, W)`` with the outermost elements."""


class ReplicationPad2d(_ReplicationPadNd):
    """Pads ``(N, C, H, W)`` with the outermost elements."""

    _dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pads ``(N, C, D, H, W)`` with the outermost elements."""

    _dims = 3


class _CircularPadNd(_PadNd):
    _mode = "circular"

    def _check_input_dim(self, input: Tensor) -> None:
        dims = self._dims
        if input.dim() not in (dims + 1, dims + 2):
            raise ValueError(f"expected {dims + 1}D or {dims + 2}D input (got {input.dim()}D input)")


class CircularPad1d(_CircularPadNd):
    """Pads ``(N, C, W)`` with the elements of the opposite side."""


class CircularPad2d(_CircularPadNd):
    """Pads ``(N, C, H, W)`` with the elements of the opposite side."""

    _dims = 2


class CircularPad3d(_CircularPadNd):
    """Pads ``(N, C, D, H, W)`` with the elements of the opposite side."""

    _dims = 3
