"""Indexing: gathering and scattering by tensors of positions and by masks; counting and searching."""

from __future__ import annotations

from rows.formula import P
from rows.row import ALL, FLOAT, REAL, row


def indexing(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, says.pop("dtypes", ALL), cls="indexing", grad=grad, **({"inplace": False} | says))


INTERNAL = dict(function=False, method=False)

# ---- x[...] ----
indexing("index", "input, indices: Tensors", vjp="index", saves=("indices",), linear=("input",), **INTERNAL,
    fails="_ops.index(ones(3), [tensor([5])])",
    samples=(
        "index(x(4, 3), [whole(4, 5)])",
        "index(x(4, 3, 2), [whole(4, 2, 1), whole(3, 3)])",
        "index(x(4, 3, 2), [None, mask(3)])",
        "index(x(2, 3, 4), [whole(2, 2), None, whole(4, 2)])",
    ),
    reference="input[tuple(np.s_[:] if i is None else i for i in indices)]",
    doc="Elements at the given positions: an int64 tensor per dimension, or a mask for as many dimensions as it has (None: the whole dimension).")
indexing("index_put", "input, indices: Tensors, values, accumulate: bool = False", vjp="index_put", saves=("indices",),
    linear=("input", "values"), inplace=True, fails="index_put(ones(3), [tensor([5])], ones(1))",
    samples=(
        "index_put(x(4, 3), [distinct(4)[:2], whole(3, 2)], x(2))",
        "index_put(x(4, 3), [whole(4, 6)], x(6, 3), True)",
        "index_put(x(4, 3), [mask(4)], x(3))",
    ),
    reference="ref.index_put(input, indices, values, accumulate)",
    doc="A copy of the input with `values` written at (or, with accumulate, added to) the given positions.")

# ---- along one dimension, a position for each element ----
indexing("gather", "input, dim: int, index, *, sparse_grad: bool = False",
    lambda g, input, dim, index: (P.gather_backward(g, input.shape, dim, index), None), linear=("input",),
    fails="gather(ones(2, 2), 0, tensor([[5]]))",
    samples=(
        "gather(x(3, 4), 1, whole(4, 3, 2))",
        "gather(x(3, 4), 0, whole(3, 2, 3))",
        "gather(x(5), 0, whole(5, 7))",
    ),
    reference="ref.gather(input, dim, index)",
    doc="result[i][j] = input[index[i][j]][j] for dim 0, and likewise for any other: a result of the shape of `index`.")
indexing("gather_backward", "input, size: ints, dim: int, index",
    lambda g, dim, index: (P.gather(g, dim, index), None), linear=("input",), **INTERNAL,
    fails="_ops.gather_backward(ones(1, 1), (2, 2), 0, tensor([[5]]))",
    samples="gather_backward(x(3, 2), (3, 4), 1, whole(4, 3, 2))",
    doc="Zeros of `size` with the input added at the positions along `dim`.")
indexing("scatter", "input, dim: int, index, src: operand? = None, value: number? = None, *, reduce: str? = None",
    vjp="scatter", saves=("index",), linear=("input", "src"), inplace=True,
    fails="scatter(ones(2, 2), 0, tensor([[5]]), 1.0)",
    samples=(
        "scatter(x(3, 4), 1, distinct(4).reshape(2, 2), x(2, 2))",
        "scatter(x(5), 0, distinct(5)[:3], 1)",
    ),
    reference="ref.scatter(input, dim, index, src)",
    doc="A copy of the input with result[index[i][j]][j] = src[i][j] for dim 0, and likewise for any other. `src` may be a number; "
        "reduce 'add' or 'multiply' joins it with what stands there.")
indexing("scatter_value", "input, dim: int, index, value: number, *, reduce: str? = None",
    vjp="scatter", saves=("index",), inplace=True, **INTERNAL, fails="_ops.scatter_value(ones(2, 2), 0, tensor([[5]]), 1.0)",
    samples="scatter_value(x(3, 4), 1, distinct(4).reshape(2, 2), 1)",
    reference="ref.scatter(input, dim, index, value)",
    doc="scatter of a number.")
indexing("scatter_add", "input, dim: int, index, src", vjp="scatter_add", saves=("index",), linear=("input", "src"), inplace=True,
    fails="scatter_add(ones(2, 2), 0, tensor([[5]]), ones(1, 1))",
    samples=("scatter_add(x(3, 4), 1, whole(4, 3, 6), x(3, 6))", "scatter_add(x(3), 0, whole(3, 5), x(5))"),
    reference="ref.scatter_add(input, dim, index, src)",
    doc="A copy of the input with `src` added at the positions along `dim`.")
indexing("scatter_reduce", "input, dim: int, index, src, reduce: str, *, include_self: bool = True", vjp="scatter_reduce",
    saves=("input", "index", "src", "result"), inplace=True,
    fails="scatter_reduce(ones(2, 2), 0, tensor([[0]]), ones(1, 1), 'median')",
    samples=(
        "scatter_reduce(x(3, 4), 1, whole(4, 3, 6), x(3, 6), 'sum')",
        "scatter_reduce(x(3, 4), 1, whole(4, 3, 6), x(3, 6), 'prod', include_self=False)",
        "scatter_reduce(x(5), 0, whole(5, 9), x(9), 'amax' if real else 'sum')",
        "scatter_reduce(x(5), 0, whole(5, 9), x(9), 'amin' if real else 'prod', include_self=False)",
    ),
    reference="ref.scatter_reduce(input, dim, index, src, reduce, include_self)",
    doc="A copy of the input with `src` folded into the positions along `dim`: sum, prod, mean, amax or amin; include_self tells "
        "whether the element that stood there counts.")

# ---- whole slices by position ----
indexing("index_select", "input, dim: int, index",
    lambda g, input, dim, index: (P.index_select_backward(g, input.shape, dim, index), None), linear=("input",),
    fails="index_select(ones(2), 0, tensor([5]))",
    samples=("index_select(x(3, 4), 1, whole(4, 6))", "index_select(x(3), 0, whole(3, 2))"),
    reference="np.take(input, index, dim)",
    doc="The slices along `dim` that `index`, a vector, names.")
indexing("index_select_backward", "input, size: ints, dim: int, index",
    lambda g, dim, index: (P.index_select(g, dim, index), None), linear=("input",), **INTERNAL,
    fails="_ops.index_select_backward(ones(1), (2,), 0, tensor([5]))",
    samples="index_select_backward(x(3, 6), (3, 4), 1, whole(4, 6))",
    doc="Zeros of `size` with the input's slices added at the positions along `dim`.")
indexing("index_add", "input, dim: int, index, source, *, alpha: number = 1", vjp="index_add", saves=("index",),
    linear=("input", "source"), inplace=True, fails="index_add(ones(2), 0, tensor([5]), ones(1))",
    samples=("index_add(x(3, 4), 1, whole(4, 5), x(3, 5))", "index_add(x(3), 0, whole(3, 4), x(4), alpha=1)"),
    reference="ref.index_add(input, dim, index, source)",
    doc="A copy of the input with alpha * source[i] added to its slice index[i] along `dim`, one after the other.")
indexing("index_copy", "input, dim: int, index, source", vjp="index_copy", saves=("index",), linear=("input", "source"), inplace=True,
    fails="index_copy(ones(2), 0, tensor([5]), ones(1))",
    samples="index_copy(x(3, 4), 1, distinct(4)[:2], x(3, 2))",
    reference="ref.index_copy(input, dim, index, source)",
    doc="A copy of the input whose slice index[i] along `dim` is source[i].")
indexing("index_fill", "input, dim: int, index, value: operand", vjp="index_fill", saves=("index",), linear=("input", "value"),
    inplace=True, fails="index_fill(ones(2), 0, tensor([5]), 1.0)",
    samples="index_fill(x(3, 4), 1, whole(4, 2), 1)",
    reference="ref.index_copy(input, dim, index, np.asarray(value))",
    doc="A copy of the input whose slices at `index` along `dim` hold a value: a number or a tensor without dimensions.")
indexing("take", "input, index", lambda g, input, index: (P.take_backward(g, input.shape, index), None), linear=("input",),
    fails="take(ones(2), tensor([5]))",
    samples=("take(x(3, 4), whole(12, 2, 3))", "take(x(5), whole(5))"),
    reference="input.reshape(-1)[index]",
    doc="Elements of the input by position as if it were flat; negative positions count from its end.")
indexing("take_backward", "input, size: ints, index", lambda g, index: (P.take(g, index), None), linear=("input",), **INTERNAL,
    fails="_ops.take_backward(ones(1), (2,), tensor([5]))",
    samples="take_backward(x(2, 3), (3, 4), whole(12, 2, 3))",
    doc="Zeros of `size` with the input added at positions counted as if they were flat.")
indexing("embedding", "weight, indices, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False",
    vjp="embedding", saves=("indices",), linear=("weight",), method=False, fails="embedding(ones(2, 3), tensor([5]))",
    samples=("embedding(x(5, 3), whole(5, 2, 4))", "embedding(x(50*n, 8), whole(50*n, 300))"),
    reference="weight[indices]",
    doc="The rows of `weight`, a matrix, that `indices` name. The row padding_idx gets no gradient; scale_grad_by_freq divides "
        "the gradient of a row by how often it was taken.")
indexing("embedding_backward", "input, indices, rows: int, padding_idx: int", vjp="embedding_backward", saves=("indices",),
    linear=("input",), **INTERNAL, fails="_ops.embedding_backward(ones(1, 2), tensor([5]), 3, -1)",
    samples="embedding_backward(x(2, 4, 3), whole(5, 2, 4), 5, -1)",
    doc="A matrix of zeros with `rows` rows, to which the input's vectors are added where `indices` name them, but for padding_idx.")

# ---- masks ----
indexing("masked_select", "input, mask", vjp="masked_select", saves=("mask",), linear=("input",),
    fails="masked_select(ones(2), ones(2))",
    samples=("masked_select(x(3, 4), mask(3, 4))", "masked_select(x(3, 4), mask(4))"),
    reference="input[np.broadcast_to(mask, input.shape)]",
    doc="The elements at which the mask is true, in order, as a vector.")
indexing("masked_scatter", "input, mask, source", vjp="masked_scatter", saves=("mask",), linear=("input", "source"), inplace=True,
    fails="masked_scatter(ones(2), ones(2), ones(2))",
    samples="masked_scatter(x(3, 4), mask(3, 4), x(12))",
    reference="ref.masked_scatter(input, mask, source)",
    doc="A copy of the input with the elements of `source`, in order, where the mask is true.")
indexing("nonzero", "input", fails="nonzero(3)",
    samples=("nonzero(x(3, 4))", "nonzero(x(0, 2))", "nonzero(x())"),
    reference="np.argwhere(input)",
    doc="The positions of all elements that are not zero, one row each: an int64 matrix (count, ndim).")

# ---- counting and searching ----
indexing("bincount", "input, weights: Tensor? = None, minlength: int = 0", dtypes=REAL, fails="bincount(tensor([-1]))",
    samples=("bincount(whole(5, 9))", "bincount(whole(5, 9), x(9), 7)"),
    reference="np.bincount(input, weights, minlength)",
    doc="How often each number from 0 on occurs in a vector of integers (or the sum of the weights where it does).")
indexing("histc", "input, bins: int = 100, min: number = 0, max: number = 0", dtypes=FLOAT, fails="histc(ones(2), 0)",
    samples="histc(x(30), 5, -2, 2)",
    reference="np.histogram(input, bins, (min, max))[0]",
    doc="How many elements fall into each of `bins` equal intervals from min to max (both 0: from the least to the greatest element).")
indexing("searchsorted",
    "sorted_sequence, input: operand, *, out_int32: bool = False, right: bool = False, side: str? = None, sorter: Tensor? = None",
    dtypes=REAL, method=False, fails="searchsorted(ones(2, 3), ones(2))",
    samples=("searchsorted(ascending(x(6)), x(2, 3))", "searchsorted(ascending(x(6)), x(5), right=True)"),
    reference="np.searchsorted(sorted_sequence, input, 'right' if right else 'left')",
    doc="Where values would be put into sorted sequences (one, or one for each row of the input) to keep them sorted: before equal "
        "elements, or after them with right=True or side='right'.")
