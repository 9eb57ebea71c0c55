"""Extremes with their positions: argmax and argmin, max and min along a dimension."""

from __future__ import annotations

from rows.row import BOOL, REAL, row

for name, word in (("max", "greatest"), ("min", "least")):
    row(name, "input, dim: int, keepdim: bool = False", REAL | BOOL, cls="reduction", kernel=f"{name}_along", vjp="extreme_along",
        saves="indices", outputs=("values", "indices"), function=False, method=False, inplace=False, fails=f"_ops.{name}(ones(2), 3)",
        doc=f"The {word} element along `dim` and its position; the first of equals, and nan before all else.")
    row(f"arg{name}", "input, dim: int? = None, keepdim: bool = False", REAL | BOOL, cls="reduction", kernel=f"arg{name}",
        inplace=False, empty_fails=True, fails=f"arg{name}(ones(2), 3)",
        doc=f"The position of the {word} element along `dim`, or in the flattened tensor; the first of equals.")
