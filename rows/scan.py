"""Scans: running sums, products, extremes and logarithms of sums of exponentials along a dimension."""

from __future__ import annotations

from rows.formula import P
from rows.row import ALL, BOOL, COMPLEX, FLOAT, REAL, row


def scan(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, says.pop("dtypes", ALL), cls="scan", grad=grad, **({"inplace": False} | says))


scan("cumsum", "input, dim: int, *, dtype: dtype? = None", lambda g, dim: P.sum_behind(g, dim), linear=("input",), inplace=True,
    kernel="running_sum",
    fails="cumsum(ones(2), 5)",
    reference="ref.scan(np.cumsum, input, dim)",
    doc="The sum of every element and all before it along `dim`; integers add up as int64.")
scan("sum_behind", "input, dim: int", lambda g, dim: P.cumsum(g, dim), linear=("input",), function=False, method=False,
    fails="_ops.sum_behind(ones(2), 5)",
    reference="ref.scan(lambda x, d: np.flip(np.cumsum(np.flip(x, d), d), d), input, dim)",
    doc="The sum of every element and all behind it along `dim`.")
scan("cumprod", "input, dim: int, *, dtype: dtype? = None", vjp="cumprod", saves=("input", "result"), inplace=True,
    fails="cumprod(ones(2), 5)",
    reference="ref.scan(np.cumprod, input, dim)",
    doc="The product of every element and all before it along `dim`; integers multiply as int64.")
scan("cummax", "input, dim: int", lambda g, input, dim, indices: P.gather_backward(g, input.shape, dim, indices), dtypes=REAL | BOOL,
    outputs=("values", "indices"), fails="cummax(ones(2), 5)",
    reference="ref.running(input, dim, 1)",
    doc="The greatest element so far along `dim`, and where it was last.")
scan("cummin", "input, dim: int", lambda g, input, dim, indices: P.gather_backward(g, input.shape, dim, indices), dtypes=REAL | BOOL,
    outputs=("values", "indices"), fails="cummin(ones(2), 5)",
    reference="ref.running(input, dim, -1)",
    doc="The least element so far along `dim`, and where it was last.")
scan("logcumsumexp", "input, dim: int", kernel="running_logsumexp", vjp="running_logsumexp", saves=("input", "result"), dtypes=FLOAT | COMPLEX,
    fails="logcumsumexp(ones(2), 5)",
    reference="ref.scan(lambda x, d: np.log(np.cumsum(np.exp(x), d)), input, dim)",
    doc="log(sum(exp(x))) over every element and all before it along `dim`, without overflow.")
