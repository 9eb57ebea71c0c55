"""Order: sorting, selection and distinct values. NaN counts as greater than every number."""

from __future__ import annotations

from rows.formula import P
from rows.row import BOOL, REAL, row

ORDERED = REAL | BOOL
INTERNAL = dict(function=False, method=False)


def ordering(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, says.pop("dtypes", ORDERED), cls="indexing", grad=grad,
        **({"inplace": False, "outputs": ("values", "indices")} | says))


ordering("sort", "input, dim: int = -1, descending: bool = False, stable: bool? = False",
    lambda g, input, dim, indices: P.gather_backward(g, input.shape, dim, indices), fails="sort(ones(2), 5)",
    doc="The elements along `dim` in ascending (or descending) order, and where each came from. Equal elements keep their order.")
ordering("topk", "input, k: int, dim: int = -1, largest: bool = True, sorted: bool = True",
    lambda g, input, dim, indices: P.gather_backward(g, input.shape, dim, indices), dtypes=REAL, fails="topk(ones(2), 3)",
    doc="The k largest (or smallest) elements along `dim`, in order, and where they are.")
ordering("kthvalue", "input, k: int, dim: int = -1, keepdim: bool = False", vjp="selected", saves="indices", dtypes=REAL,
    fails="kthvalue(ones(2), 3)",
    doc="The k-th smallest element along `dim`, counted from 1, and where it is.")
ordering("median_dim", "input, dim: int, keepdim: bool = False", vjp="selected", saves="indices", dtypes=REAL, **INTERNAL,
    fails="_ops.median_dim(ones(2), 5)",
    doc="The lower median along `dim` and where it is; NaN where there is one.")
ordering("nanmedian_dim", "input, dim: int, keepdim: bool = False", vjp="selected", saves="indices", dtypes=REAL, **INTERNAL,
    fails="_ops.nanmedian_dim(ones(2), 5)",
    doc="The lower median along `dim` of what is not NaN, and where it is.")
ordering("median_all", "input", vjp="median_all", saves=("input", "result"), dtypes=REAL, outputs=("result",), **INTERNAL,
    fails="_ops.median_all(3)", doc="The lower median of all elements; NaN where there is one.")
ordering("nanmedian_all", "input", vjp="median_all", saves=("input", "result"), dtypes=REAL, outputs=("result",), **INTERNAL,
    fails="_ops.nanmedian_all(3)", doc="The lower median of all elements that are not NaN.")
ordering("mode", "input, dim: int = -1, keepdim: bool = False", vjp="selected", saves="indices", fails="mode(ones(2), 5)",
    doc="The most frequent element along `dim` (the least among equally frequent ones), and where it is last.")
ordering("unique2", "input, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False",
    outputs=("output", "inverse", "counts"), **INTERNAL, fails="_ops.unique2(3)",
    doc="The distinct elements in ascending order; where each element went; how often each occurs (the last two empty unless asked for).")
ordering("unique_consecutive", "input, return_inverse: bool = False, return_counts: bool = False",
    outputs=("output", "inverse", "counts"), **INTERNAL, fails="_ops.unique_consecutive(3)",
    doc="The elements that differ from the one before them; the run of each element; the length of each run.")
