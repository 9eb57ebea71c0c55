"""Training in several processes: not in this version. What asks gets an answer, so that programs run alone."""

from __future__ import annotations


def is_available() -> bool:
    """Whether processes can train together: no.

    >>> import flambeau as torch
    >>> torch.distributed.is_available()
    False
    """
    return False


def is_initialized() -> bool:
    """Whether there is a group of processes: no."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether a launcher started this process: no."""
    return False
