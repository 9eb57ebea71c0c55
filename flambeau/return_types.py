"""The types of results with named fields, such as what `torch.max(x, dim=0)` returns."""

from __future__ import annotations

from . import _C
from ._composites.structured import TYPES

for _operation in _C.ops.values():
    _type = None if _operation.__name__.endswith("_") else _operation.result_type
    if _type is not None:
        globals()[_type.__name__] = _type
globals().update(TYPES)
__all__ = sorted(name for name in globals() if isinstance(globals()[name], type) and not name.startswith("_"))
