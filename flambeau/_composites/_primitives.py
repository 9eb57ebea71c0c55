"""The one door through which composites reach the core.

`P` holds the operations of `_C.ops` (rows, and in-place forms with a trailing underscore), the dtypes and formats,
and the few questions that only the core can answer: promotion, default dtype, whether gradients are recorded.
Composites use nothing else, so that autograd, batching and capture see primitives only.
"""

from __future__ import annotations

from types import SimpleNamespace

from .. import _C

Tensor = _C.Tensor

P = SimpleNamespace(**{name: getattr(_C, name) for name in dir(_C) if not name.startswith("_")}, **_C.ops)
P.detach, P.resize_ = Tensor.detach, Tensor.resize_

__all__ = ["P", "Tensor"]
