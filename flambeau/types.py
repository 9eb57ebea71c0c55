"""Names for what functions take and give, for annotations."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import Any, Union

from ._C import Generator, Size, Tensor
from ._C import dtype as _dtype
from ._device import device, layout

Number = Union[builtins.int, builtins.float, builtins.bool]
Device = Union[device, str, builtins.int, None]
FileLike = Union[str, os.PathLike[str], Any]
TensorOrTensors = Union[Tensor, Sequence[Tensor]]
_TensorOrTensors = TensorOrTensors
_int, _float, _bool = builtins.int, builtins.float, builtins.bool
_size = Union[Size, list[builtins.int], tuple[builtins.int, ...]]
_layout = layout
_device = device

__all__ = ["Device", "FileLike", "Generator", "Number", "Size", "Tensor", "TensorOrTensors", "_dtype", "_size"]
