"""Anomaly detection: the stack of the forward call, kept with each node and shown when its backward fails."""

from __future__ import annotations

import traceback
import warnings
from typing import Any


def capture() -> Any:
    """The stack of the caller, without the frames of this package's own entry."""
    return traceback.extract_stack()[:-1]


def report(name: str, stack: Any) -> None:
    """Says where the operation was called whose backward failed."""
    lines = "".join(traceback.format_list(stack))
    warnings.warn(
        f"Error detected in {name}. Traceback of forward call that caused the error:\n{lines}", stacklevel=2
    )
