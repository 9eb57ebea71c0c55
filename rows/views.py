"""Views: results that share the memory of their input. An entry in core/ops/views.cpp states sizes, strides and offset."""

from __future__ import annotations

from rows.formula import P
from rows.row import ALL, COMPLEX, FLOAT, row


def view(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, says.pop("dtypes", ALL), cls="view", linear=("input",), grad=grad, **({"inplace": False} | says))


view("view", "input, size: ints",
    lambda g, input: P.reshape(g, input.shape), function=False, method=False, kernel="view_as_shape",
    fails="ones(2, 3).view(4)",
    samples=("view(x(2, 6), (2, 2, 3))", "view(x(4, 3), (1, 4, 3, 1))"),
    reference="input.reshape(size)",
    doc="The same elements under another shape, without a copy; one extent may be -1. The strides must allow it.")
view("expand", "input, size: ints",
    lambda g, input: P.sum_to_size(g, input.shape), function=False,
    fails="ones(2, 3).expand(4, 3)",
    samples=("expand(x(3, 1), (2, 3, 4))", "expand(x(1, 3), (2, -1))"),
    reference="np.broadcast_to(input, [i if s == -1 else s for s, i in zip(size, (1, *input.shape)[-len(size):])])",
    doc="Repeats dimensions of size 1 up to `size` without copying; -1 keeps an extent.")
view("permute", "input, dims: ints",
    lambda g, dims: P.unpermute(g, dims),
    fails="permute(ones(2, 3), (0, 0))",
    samples=("permute(x(2, 3, 4), (2, 0, 1))", "permute(x(2, 3), (-1, 0))"),
    reference="np.transpose(input, dims)",
    doc="The dimensions in another order: result dimension i is input dimension dims[i].")
view("unpermute", "input, dims: ints",
    lambda g, dims: P.permute(g, dims), function=False, method=False,
    fails="_ops.unpermute(ones(2, 3), (0, 0))",
    samples="unpermute(x(2, 3, 4), (2, 0, 1))",
    reference="np.transpose(input, np.argsort(dims))",
    doc="The inverse of permute(dims).")
view("transpose", "input, dim0: int, dim1: int",
    lambda g, dim0, dim1: P.transpose(g, dim0, dim1), aliases=("swapaxes", "swapdims"),
    fails="transpose(ones(2, 3), 0, 5)",
    samples=("transpose(x(2, 3, 4), 0, -1)", "transpose(x(0, 3), 0, 1)"),
    reference="np.swapaxes(input, dim0, dim1)",
    doc="Exchanges two dimensions.")
view("t", "input",
    lambda g: P.t(g), fails="t(ones(2, 2, 2))",
    samples=("t(x(2, 3))", "t(x(3))", "t(x())"),
    reference="input.T",
    doc="The transpose of a matrix; vectors and scalars stay as they are.")
view("select", "input, dim: int, index: int",
    lambda g, input, dim, index: P.select_backward(g, input.shape, dim, index),
    fails="select(ones(2, 3), 0, 5)",
    samples=("select(x(2, 3, 4), 1, -1)", "select(x(3), 0, 1)"),
    reference="np.take(input, index, dim)",
    doc="The slice at `index` along `dim`, which the result lacks.")
view("slice", "input, dim: int = 0, start: int? = None, end: int? = None, step: int = 1",
    lambda g, input, dim, start, end, step: P.slice_backward(g, input.shape, dim, start, end, step),
    function=False, method=False, fails="_ops.slice(ones(3), 0, 0, 2, 0)",
    samples=("slice(x(7), 0, 1, 6, 2)", "slice(x(3, 5), 1, -3)", "slice(x(2, 3), 0, 5, 7)"),
    reference="input[(np.s_[:],) * dim + (np.s_[start:end:step],)]",
    doc="Every step-th element from start to end along `dim`, with Python's rules for bounds.")
view("narrow", "input, dim: int, start: int, length: int",
    lambda g, input, dim, start, length: P.narrow_backward(g, input.shape, dim, start, length),
    fails="narrow(ones(3), 0, 2, 2)",
    samples=("narrow(x(3, 5), 1, 1, 3)", "narrow(x(3), 0, -1, 1)"),
    reference="np.take(input, np.arange(start, start + length) % input.shape[dim], dim)",
    doc="`length` elements from `start` on along `dim`.")
view("unsqueeze", "input, dim: int",
    lambda g, input: P.reshape(g, input.shape), fails="unsqueeze(ones(2), 5)",
    samples=("unsqueeze(x(2, 3), 1)", "unsqueeze(x(), -1)"),
    reference="np.expand_dims(input, dim)",
    doc="Inserts a dimension of size 1 at `dim`.")
view("squeeze", "input, dim: dims = None",
    lambda g, input: P.reshape(g, input.shape), fails="squeeze(ones(2, 1), 5)",
    samples=("squeeze(x(1, 3, 1))", "squeeze(x(1, 3, 1), -1)", "squeeze(x(1, 3, 1), (0, 1))"),
    reference="np.squeeze(input, None if dim is None else tuple(d for d in np.atleast_1d(dim) if input.shape[d] == 1))",
    node_by="dim", doc="Drops the dimensions of size 1: all of them, or those named.")
view("diagonal", "input, offset: int = 0, dim1: int = 0, dim2: int = 1",
    lambda g, input, offset, dim1, dim2: P.diagonal_backward(g, input.shape, offset, dim1, dim2),
    fails="diagonal(ones(2, 2), 0, 1, 1)",
    samples=("diagonal(x(3, 4))", "diagonal(x(2, 3, 4), -1, 2, 1)"),
    reference="np.diagonal(input, offset, dim1, dim2)",
    doc="The diagonal of the plane of `dim1` and `dim2`, as the last dimension of the result.")
view("unfold", "input, dimension: int, size: int, step: int",
    lambda g, input, dimension, size, step: P.unfold_backward(g, input.shape, dimension, size, step), function=False,
    fails="ones(3).unfold(0, 5, 1)",
    samples=("unfold(x(7), 0, 3, 2)", "unfold(x(2, 5), 1, 2, 1)"),
    reference="np.lib.stride_tricks.sliding_window_view(input, size, dimension)[(np.s_[:],) * dimension + (np.s_[::step],)]",
    doc="All windows of `size` elements along `dimension`, `step` apart; the windows' elements are a new last dimension.")
view("as_strided", "input, size: ints, stride: ints, storage_offset: int? = None", vjp="as_strided", saves=("input",),
    fails="as_strided(ones(2), (5,), (1,))",
    samples=("as_strided(x(3, 4), (2, 2), (1, 4), 1)", "as_strided(x(6), (3, 3), (1, 1))"),
    by_layout=True, reference="np.lib.stride_tricks.as_strided(input.reshape(-1)[storage_offset or 0:], size, [s * input.itemsize for s in stride])",
    doc="A view of the input's storage with the given sizes and strides, in elements.")
view("view_as_real", "input",
    lambda g: P.view_as_complex(P.contiguous(g)), dtypes=COMPLEX, fails="view_as_real(ones(2))",
    samples=("view_as_real(x(2, 3))", "view_as_real(x())"),
    reference="np.stack([input.real, input.imag], -1)",
    doc="A complex tensor as a real one with a last dimension of two: real and imaginary parts.")
view("view_as_complex", "input",
    lambda g: P.view_as_real(P.resolve_conj(g)), dtypes=FLOAT, half=False, fails="view_as_complex(ones(3))",
    samples="view_as_complex(x(2, 3, 2))",
    by_layout=True, reference="input[..., 0] + 1j * input[..., 1]",
    doc="A real tensor whose last dimension is two as a complex one.")
view("view_dtype", "input, dtype: dtype?", function=False, method=False, fails="_ops.view_dtype(ones(3, dtype=uint8), float32)",
    samples="view_dtype(x(2, 8), uint8)",
    by_layout=True,
    doc="The same bytes read as another element type.")
view("alias", "input", lambda g: g, function=False, method=False, fails="_ops.alias(3)",
    samples="alias(x(2, 3))",
    reference="input",
    doc="A view of the whole input.")
