"""Indexing: gathering and scattering by tensors of positions."""

from __future__ import annotations

from rows.formula import P
from rows.row import ALL, row


def indexing(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, says.pop("dtypes", ALL), cls="indexing", grad=grad, **({"inplace": False} | says))


indexing("index", "input, indices: Tensors", vjp="index", saves=("indices",), linear=("input",), function=False, method=False,
    fails="_ops.index(ones(3), [tensor([5])])",
    doc="Elements at the given positions: one int64 tensor per dimension (None: the whole dimension), broadcast together.")
indexing("index_put", "input, indices: Tensors, values, accumulate: bool = False", vjp="index_put", saves=("indices",),
    linear=("input", "values"), inplace=True, fails="index_put(ones(3), [tensor([5])], ones(1))",
    doc="A copy of the input with `values` written at (or, with accumulate, added to) the given positions.")
indexing("nonzero", "input", fails="nonzero(3)",
    doc="The positions of all elements that are not zero, one row each: an int64 matrix (count, ndim).")
