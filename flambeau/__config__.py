"""How the package was built."""

from __future__ import annotations

from . import _C, _version


def show() -> str:
    """A text that says what was built and what was found.

    >>> import flambeau as torch
    >>> torch.__config__.show().startswith("PyTorch's API built with:")
    True
    """
    found = "".join(f"  - {name}: {value}\n" for name, value in _C.info().items())
    return f"PyTorch's API built with:\n  - Flambeau: {_version.__version__}\n{found}"


def parallel_info() -> str:
    """A text about threads."""
    return f"ATen/Parallel:\n\tat::get_num_threads() : {_C.get_num_threads()}\n"
