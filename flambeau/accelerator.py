"""Whatever accelerator there is, by one name: none in this build."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Whether there is an accelerator: no.

    >>> import flambeau as torch
    >>> torch.accelerator.is_available()
    False
    """
    return False


def device_count() -> int:
    """How many accelerators there are: none."""
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """The device of the accelerator: None."""
    return None


def synchronize(device: Any = None) -> None:
    """Waits for an accelerator: there is none to wait for."""
    raise RuntimeError("Cannot access accelerator device when none is available.")
