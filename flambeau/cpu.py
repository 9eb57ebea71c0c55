"""The CPU under the names that devices have."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Whether it can be computed on: yes."""
    return True


def device_count() -> int:
    """How many there are: the CPUs of a machine count as one."""
    return 1


def current_device() -> str:
    """The name of the device that new tensors are on."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Waits for work that is under way: operations here are done when they return."""
