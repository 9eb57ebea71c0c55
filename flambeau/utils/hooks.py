"""The handles that registering a hook returns."""

from __future__ import annotations

from flambeau.nn.modules._hooks import RemovableHandle

__all__ = ["RemovableHandle"]
