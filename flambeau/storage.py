"""The memory behind tensors, as objects."""

from __future__ import annotations

from ._tensor import TypedStorage, UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]
