"""Every primitive of the library, one row each, one file per family.

This package imports only the standard library: the build runs it before anything is compiled, and the tests read it.
Files are found by looking, so a new family is a new file.
"""

from __future__ import annotations

import importlib
import pathlib

from rows.row import Row, RowError, registered

__all__ = ["Row", "RowError", "all_rows", "families"]


def families() -> list[str]:
    """Names of the rows files, sorted."""
    folder = pathlib.Path(__file__).parent
    return sorted(p.stem for p in folder.glob("*.py") if p.stem not in ("__init__", "row", "formula"))


def all_rows() -> list[Row]:
    """All rows, sorted by name."""
    for family in families():
        importlib.import_module(f"rows.{family}")
    return [row for _, row in sorted(registered().items())]
