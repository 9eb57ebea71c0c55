"""Movement: copies, casts, joins and rearrangements of elements; and the scatters that undo views."""

from __future__ import annotations

from rows.formula import P
from rows.row import ALL, row


def movement(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, says.pop("dtypes", ALL), cls="movement", grad=grad, **({"inplace": False, "linear": ("input",)} | says))


movement("clone", "input, *, memory_format: str? = None", lambda g: g, fails="clone(3)",
    samples=("clone(x(2, 3))", "clone(x())", "clone(x(0, 2))"),
    reference="input",
    doc="A copy of the elements in memory of its own; strides keep their order where the input has no holes.")
movement("cast", "input, dtype: dtype?", lambda g, input: g, function=False, method=False, fails="_ops.cast(3, float32)",
    samples=("cast(x(2, 3), complex128)", "cast(x(5), bool)"),
    reference="input.astype(str(dtype).split('.')[1])",
    node="ToCopy", doc="The elements as another type. Complex to real keeps the real part; real to integer truncates.")
movement("copy", "input, other, non_blocking: bool = False", vjp="copy", function=False, method=False, inplace=True,
    linear=("other",), fails="ones(2).copy_(ones(3))",
    samples=("copy(x(2, 3), x(2, 3))", "copy(x(2, 3), x(3))"),
    reference="np.broadcast_to(other, input.shape)",
    doc="Overwrites the input with `other`, broadcast and cast to it.")
movement("fill", "input, value: number", lambda g: P.zeros_like(g), inplace=True, linear=(), fails="fill(ones(2), 1j)",
    samples="fill(x(2, 3), 1)",
    reference="np.full_like(input, value)",
    doc="Every element becomes `value`.")
movement("cat", "tensors: Tensors, dim: int = 0", method=False, vjp="cat", linear=("tensors",), aliases=("concat", "concatenate"),
    fails="cat([ones(2, 3), ones(2, 4)])",
    samples=("cat([x(2, 3), x(2, 4)], 1)", "cat([x(2), x(3), x(0)])"),
    reference="np.concatenate(tensors, dim)",
    doc="Joins tensors along an existing dimension; the other extents agree.")
movement("stack", "tensors: Tensors, dim: int = 0", method=False, vjp="stack", linear=("tensors",),
    fails="stack([ones(2), ones(3)])",
    samples=("stack([x(2, 3), x(2, 3)], 1)", "stack([x(), x(), x()])"),
    reference="np.stack(tensors, dim)",
    doc="Joins tensors of one shape along a new dimension.")
movement("flip", "input, dims: ints", lambda g, dims: P.flip(g, dims), fails="flip(ones(2), (3,))",
    samples=("flip(x(2, 3, 4), (0, 2))", "flip(x(3), (-1,))"),
    reference="np.flip(input, dims)",
    doc="Reverses the order of elements along each of `dims`; a copy.")
movement("roll", "input, shifts: ints, dims: ints = ()", lambda g, shifts, dims: P.roll_back(g, shifts, dims),
    fails="roll(ones(2, 2), (1, 1), (0,))",
    samples=("roll(x(3, 4), (1, -2), (0, 1))", "roll(x(2, 3), (2,))"),
    reference="np.roll(input, shifts, dims) if dims else np.roll(input, shifts)",
    doc="Shifts elements along `dims` (or along the flattened tensor); what leaves at one end enters at the other.")
movement("roll_back", "input, shifts: ints, dims: ints = ()", lambda g, shifts, dims: P.roll(g, shifts, dims), function=False,
    method=False, fails="_ops.roll_back(ones(2, 2), (1, 1), (0,))",
    samples="roll_back(x(3, 4), (1, -2), (0, 1))",
    reference="np.roll(input, np.negative(shifts), dims)",
    doc="The inverse of roll.")
movement("tril", "input, diagonal: int = 0", lambda g, diagonal: P.tril(g, diagonal), inplace=True, fails="tril(ones(2))",
    samples=("tril(x(3, 4))", "tril(x(2, 3, 3), -1)"),
    reference="np.tril(input, diagonal)",
    doc="Keeps the elements on and below a diagonal of each matrix, and zeros above it.")
movement("triu", "input, diagonal: int = 0", lambda g, diagonal: P.triu(g, diagonal), inplace=True, fails="triu(ones(2))",
    samples=("triu(x(3, 4))", "triu(x(2, 3, 3), 1)"),
    reference="np.triu(input, diagonal)",
    doc="Keeps the elements on and above a diagonal of each matrix, and zeros below it.")
movement("pad_constant", "input, pad: ints, value: number = 0", vjp="pad_constant", function=False,
    method=False, linear=(), fails="_ops.pad_constant(ones(2), (1,))",
    samples=("pad_constant(x(2, 3), (1, 2), 1)", "pad_constant(x(3, 4), (-1, 1, 2, 0))"),
    reference="ref.pad_constant(input, pad, value)",
    node="ConstantPadNd", doc="Adds (or, where negative, cuts) elements at both ends of the last dimensions: pad is (left, right) per dimension, last first.")
movement("sum_to_size", "input, size: ints", lambda g, input: P.expand(g, input.shape), function=False, method=False,
    fails="_ops.sum_to_size(ones(2, 3), (4,))",
    samples=("sum_to_size(x(2, 3), (1, 3))", "sum_to_size(x(2, 3, 4), (3, 1))"),
    reference="ref.sum_to(input, size)",
    doc="Sums over the dimensions that broadcasting `size` to the input's shape would have repeated.")

# ---- scatters into zeros: what the gradients of views are made of ----
movement("select_backward", "input, size: ints, dim: int, index: int", lambda g, dim, index: P.select(g, dim, index),
    function=False, method=False, fails="_ops.select_backward(ones(2), (2, 3), 5, 0)",
    samples="select_backward(x(3), (2, 3), 0, 1)",
    doc="Zeros of `size` with the input at `index` along `dim`.")
movement("slice_backward", "input, size: ints, dim: int, start: int?, end: int?, step: int",
    lambda g, dim, start, end, step: P.slice(g, dim, start, end, step), function=False, method=False,
    fails="_ops.slice_backward(ones(2), (3,), 4, 0, 2, 1)",
    samples="slice_backward(x(2, 3), (2, 7), 1, 1, 6, 2)",
    doc="Zeros of `size` with the input in the slice.")
movement("narrow_backward", "input, size: ints, dim: int, start: int, length: int",
    lambda g, dim, start, length: P.narrow(g, dim, start, length), function=False, method=False,
    fails="_ops.narrow_backward(ones(2), (3,), 4, 0, 2)",
    samples="narrow_backward(x(2, 3), (2, 5), 1, 1, 3)",
    doc="Zeros of `size` with the input from `start` on.")
movement("diagonal_backward", "input, size: ints, offset: int, dim1: int, dim2: int",
    lambda g, offset, dim1, dim2: P.diagonal(g, offset, dim1, dim2), function=False, method=False,
    fails="_ops.diagonal_backward(ones(2), (2, 2), 0, 1, 1)",
    samples="diagonal_backward(x(3), (3, 4), 1, 0, 1)",
    doc="Zeros of `size` with the input on a diagonal.")
movement("unfold_backward", "input, size: ints, dimension: int, window: int, step: int",
    lambda g, dimension, window, step: P.unfold(g, dimension, window, step), function=False, method=False,
    fails="_ops.unfold_backward(ones(2, 2), (3,), 4, 2, 1)",
    samples="unfold_backward(x(3, 3), (7,), 0, 3, 2)",
    doc="Adds windows up where they overlap: the adjoint of unfold.")
movement("as_strided_backward", "input, size: ints, stride: ints, view_stride: ints, offset: int",
    vjp="as_strided_backward", function=False, method=False, fails="_ops.as_strided_backward(3, (2,), (1,), (1,), 0)",
    samples="as_strided_backward(x(2, 2), (3, 4), (4, 1), (1, 4), 1)",
    doc="Adds the input up at the positions it would have as a view of a tensor with the given sizes and strides.")
