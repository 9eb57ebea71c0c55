"""The one door through which composites reach the core.

`P` holds the primitives under the names of their rows, the dtypes, and the few questions that only the core can answer
(promotion, default dtype, whether gradients are recorded). Composites use nothing else, so that autograd, batching and
capture see primitives only.
"""

from __future__ import annotations

import types
from typing import Any

from .. import _C, _device

Tensor = _C.Tensor

P: Any = types.ModuleType("flambeau.primitives", "The primitives, by the names of their rows.")
P.__dict__.update(_C.ops)
for _name in dir(_C):
    if isinstance(getattr(_C, _name), _C.dtype):
        setattr(P, _name, getattr(_C, _name))
for _name in ("Tensor", "Size", "Generator", "default_generator", "promote_types", "result_type", "can_cast",
              "get_default_dtype", "is_grad_enabled", "layer_of", "unwrap", "wrap_batched", "overloaded"):  # fmt: skip
    setattr(P, _name, getattr(_C, _name))
for _name in (
    "strided",
    "contiguous_format",
    "preserve_format",
    "channels_last",
    "channels_last_3d",
    "finfo",
    "iinfo",
    "device",
):
    setattr(P, _name, getattr(_device, _name))
P.detach = Tensor.detach
P.resize_ = Tensor.resize_
P.become = Tensor._become


def _to(input: Tensor, dtype: Any) -> Tensor:
    return input if input.dtype is dtype else P.cast(input, dtype)


P.to = _to
_C._nn = P

__all__ = ["P", "Tensor"]
