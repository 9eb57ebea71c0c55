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
    samples=(
        "sort(x(3, 5))",
        "sort(x(5, 3), 0, True)",
        "sort(x(0))",
        "sort(x())",
        "sort(x(30000*n), -1, False, True)",
    ),
    reference="ref.sort(input, dim, descending)",
    doc="The elements along `dim` in ascending (or descending) order, and where each came from. Equal elements keep their order.")
ordering("topk", "input, k: int, dim: int = -1, largest: bool = True, sorted: bool = True",
    lambda g, input, dim, indices: P.gather_backward(g, input.shape, dim, indices), dtypes=REAL, fails="topk(ones(2), 3)",
    samples=("topk(x(3, 5), 2)", "topk(x(5, 3), 3, 0, False)"),
    reference="ref.topk(input, k, dim, largest)",
    doc="The k largest (or smallest) elements along `dim`, in order, and where they are.")
ordering("kthvalue", "input, k: int, dim: int = -1, keepdim: bool = False", vjp="selected", saves="indices", dtypes=REAL,
    fails="kthvalue(ones(2), 3)",
    samples=("kthvalue(x(3, 5), 2)", "kthvalue(x(5, 3), 4, 0, True)"),
    reference="ref.at_rank(input, k - 1, dim, keepdim)",
    doc="The k-th smallest element along `dim`, counted from 1, and where it is.")
ordering("median_dim", "input, dim: int, keepdim: bool = False", vjp="selected", saves="indices", dtypes=REAL, **INTERNAL,
    fails="_ops.median_dim(ones(2), 5)",
    samples=("median_dim(x(3, 5), 1)", "median_dim(x(4, 3), 0, True)"),
    reference="ref.at_rank(input, (input.shape[dim] - 1) // 2, dim, keepdim)",
    doc="The lower median along `dim` and where it is; NaN where there is one.")
ordering("nanmedian_dim", "input, dim: int, keepdim: bool = False", vjp="selected", saves="indices", dtypes=REAL, **INTERNAL,
    fails="_ops.nanmedian_dim(ones(2), 5)",
    samples="nanmedian_dim(x(3, 5), 1)",
    reference="ref.at_rank(input, (input.shape[dim] - 1) // 2, dim, keepdim)",
    doc="The lower median along `dim` of what is not NaN, and where it is.")
ordering("median_all", "input", vjp="median_all", saves=("input", "result"), dtypes=REAL, outputs=("result",), **INTERNAL,
    fails="_ops.median_all(3)",
    samples=("median_all(x(3, 5))", "median_all(x(4))"),
    reference="np.sort(input.reshape(-1))[(input.size - 1) // 2]",
    doc="The lower median of all elements; NaN where there is one.")
ordering("nanmedian_all", "input", vjp="median_all", saves=("input", "result"), dtypes=REAL, outputs=("result",), **INTERNAL,
    fails="_ops.nanmedian_all(3)",
    samples="nanmedian_all(x(3, 5))",
    reference="np.sort(input.reshape(-1))[(input.size - 1) // 2]",
    doc="The lower median of all elements that are not NaN.")
ordering("mode", "input, dim: int = -1, keepdim: bool = False", vjp="selected", saves="indices", fails="mode(ones(2), 5)",
    samples=("mode(x(3, 5))", "mode(x(5, 2), 0, True)"),
    doc="The most frequent element along `dim` (the least among equally frequent ones), and where it is last.")
ordering("unique2", "input, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False",
    outputs=("output", "inverse", "counts"), **INTERNAL, fails="_ops.unique2(3)",
    samples="unique2(x(3, 5), True, True, True)",
    reference="ref.unique(input)",
    doc="The distinct elements in ascending order; where each element went; how often each occurs (the last two empty unless asked for).")
ordering("unique_consecutive", "input, return_inverse: bool = False, return_counts: bool = False",
    outputs=("output", "inverse", "counts"), **INTERNAL, fails="_ops.unique_consecutive(3)",
    samples="unique_consecutive(ascending(x(9)), True, True)",
    reference="ref.unique(input)",
    doc="The elements that differ from the one before them; the run of each element; the length of each run.")
