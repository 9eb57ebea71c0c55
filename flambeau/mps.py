"""Apple's GPUs: none in this build."""

from __future__ import annotations


def is_available() -> bool:
    """Whether there is one to compute on: no."""
    return False


def device_count() -> int:
    """How many there are: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds its generator: nothing to do without one."""


def empty_cache() -> None:
    """Gives cached memory back: there is none."""
