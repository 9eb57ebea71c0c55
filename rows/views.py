"""Views: results that share the memory of their input. An entry in core/ops/views.cpp states sizes, strides and offset."""

from __future__ import annotations

from rows.formula import P
from rows.row import ALL, COMPLEX, FLOAT, row


def view(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, says.pop("dtypes", ALL), cls="view", linear=("input",), grad=grad, **({"inplace": False} | says))


view("view", "input, size: ints",
    lambda g, input: P.reshape(g, input.shape), function=False, method=False, kernel="view_as_shape",
    fails="ones(2, 3).view(4)",
    doc="The same elements under another shape, without a copy; one extent may be -1. The strides must allow it.")
view("expand", "input, size: ints",
    lambda g, input: P.sum_to_size(g, input.shape), function=False,
    fails="ones(2, 3).expand(4, 3)",
    doc="Repeats dimensions of size 1 up to `size` without copying; -1 keeps an extent.")
view("permute", "input, dims: ints",
    lambda g, dims: P.unpermute(g, dims),
    fails="permute(ones(2, 3), (0, 0))",
    doc="The dimensions in another order: result dimension i is input dimension dims[i].")
view("unpermute", "input, dims: ints",
    lambda g, dims: P.permute(g, dims), function=False, method=False,
    fails="_ops.unpermute(ones(2, 3), (0, 0))",
    doc="The inverse of permute(dims).")
view("transpose", "input, dim0: int, dim1: int",
    lambda g, dim0, dim1: P.transpose(g, dim0, dim1), aliases=("swapaxes", "swapdims"),
    fails="transpose(ones(2, 3), 0, 5)",
    doc="Exchanges two dimensions.")
view("t", "input",
    lambda g: P.t(g), fails="t(ones(2, 2, 2))",
    doc="The transpose of a matrix; vectors and scalars stay as they are.")
view("select", "input, dim: int, index: int",
    lambda g, input, dim, index: P.select_backward(g, input.shape, dim, index),
    fails="select(ones(2, 3), 0, 5)",
    doc="The slice at `index` along `dim`, which the result lacks.")
view("slice", "input, dim: int = 0, start: int? = None, end: int? = None, step: int = 1",
    lambda g, input, dim, start, end, step: P.slice_backward(g, input.shape, dim, start, end, step),
    function=False, method=False, fails="_ops.slice(ones(3), 0, 0, 2, 0)",
    doc="Every step-th element from start to end along `dim`, with Python's rules for bounds.")
view("narrow", "input, dim: int, start: int, length: int",
    lambda g, input, dim, start, length: P.narrow_backward(g, input.shape, dim, start, length),
    fails="narrow(ones(3), 0, 2, 2)",
    doc="`length` elements from `start` on along `dim`.")
view("unsqueeze", "input, dim: int",
    lambda g, input: P.reshape(g, input.shape), fails="unsqueeze(ones(2), 5)",
    doc="Inserts a dimension of size 1 at `dim`.")
view("squeeze", "input, dim: dims = None",
    lambda g, input: P.reshape(g, input.shape), fails="squeeze(ones(2, 1), 5)",
    doc="Drops the dimensions of size 1: all of them, or those named.")
view("diagonal", "input, offset: int = 0, dim1: int = 0, dim2: int = 1",
    lambda g, input, offset, dim1, dim2: P.diagonal_backward(g, input.shape, offset, dim1, dim2),
    fails="diagonal(ones(2, 2), 0, 1, 1)",
    doc="The diagonal of the plane of `dim1` and `dim2`, as the last dimension of the result.")
view("unfold", "input, dimension: int, size: int, step: int",
    lambda g, input, dimension, size, step: P.unfold_backward(g, input.shape, dimension, size, step), function=False,
    fails="ones(3).unfold(0, 5, 1)",
    doc="All windows of `size` elements along `dimension`, `step` apart; the windows' elements are a new last dimension.")
view("as_strided", "input, size: ints, stride: ints, storage_offset: int? = None", vjp="as_strided", saves=("input",),
    fails="as_strided(ones(2), (5,), (1,))",
    doc="A view of the input's storage with the given sizes and strides, in elements.")
view("view_as_real", "input",
    lambda g: P.view_as_complex(P.contiguous(g)), dtypes=COMPLEX, fails="view_as_real(ones(2))",
    doc="A complex tensor as a real one with a last dimension of two: real and imaginary parts.")
view("view_as_complex", "input",
    lambda g: P.view_as_real(P.resolve_conj(g)), dtypes=FLOAT, fails="view_as_complex(ones(3))",
    doc="A real tensor whose last dimension is two as a complex one.")
view("view_dtype", "input, dtype: dtype?", function=False, method=False, fails="_ops.view_dtype(ones(3, dtype=uint8), float32)",
    doc="The same bytes read as another element type.")
view("alias", "input", lambda g: g, function=False, method=False, fails="_ops.alias(3)",
    doc="A view of the whole input.")
