"""Products of vectors and matrices over mm, bmm, matmul and addmm."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from . import shape
from ._primitives import P, Tensor
from .helpers import broadcast_of, dtype_name, error, is_integral, wrap_dim
from .registry import composite
from .shape import conj

# vectors


def vectors_wanted(input: Tensor, other: Tensor, name: str) -> None:
    """Raises unless both are vectors of one length and dtype."""
    if input.dim() != 1 or other.dim() != 1:
        phrase = f"1D tensors expected, but got {input.dim()}D and {other.dim()}D tensors"
        raise error(RuntimeError, phrase, name, "two vectors", (input, other))
    if input.dtype != other.dtype:
        phrase = f"{name} : expected both vectors to have same dtype, but found {dtype_name(input.dtype)}"
        raise error(RuntimeError, f"{phrase} and {dtype_name(other.dtype)}", name, "one dtype", (input, other))
    if input.numel() != other.numel():
        phrase = f"inconsistent tensor size, expected tensor [{input.numel()}] and src [{other.numel()}]"
        phrase += " to have the same number of elements"
        raise error(RuntimeError, f"{phrase}, but got {input.numel()} and {other.numel()} elements respectively")


@composite(out=True)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements.

    >>> torch.dot(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor(11)
    """
    vectors_wanted(input, tensor, "dot")
    return P.view(P.mm(P.unsqueeze(input, 0), P.unsqueeze(tensor, 1)), ())


@composite(out=True)
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """As dot, with input conjugated.

    >>> torch.vdot(torch.tensor([1j]), torch.tensor([1j]))
    tensor(1.+0.j)
    """
    vectors_wanted(input, other, "vdot")
    return dot(conj(input), other)


@composite(out=True)
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Products summed over the last dimensions of both; with a scalar the plain product.

    >>> torch.inner(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor(11)
    """
    if input.dim() == 0 or other.dim() == 0:
        return P.mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        phrase = "inner() the last dimension must match on both input tensors but got shapes"
        phrase = f"{phrase} {list(input.shape)} and {list(other.shape)}"
        raise error(RuntimeError, phrase, "inner", "equal last extents", (input, other))
    return tensordot(input, other, ([-1], [-1]))


@composite(out=True, aliases=("ger",))
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of an element of one vector with an element of another.

    >>> torch.outer(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    for vector, label in ((input, "self"), (vec2, "vec2")):
        if vector.dim() != 1:
            phrase = f"outer: Expected 1-D argument {label}, but got {vector.dim()}-D"
            raise error(RuntimeError, phrase, "outer", "two vectors", (input, vec2))
    return P.mul(P.unsqueeze(input, 1), vec2)


@composite(method=False, out=True, namespace="linalg")
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum along a dimension of the products, x conjugated.

    >>> torch.linalg.vecdot(torch.tensor([[1., 2.]]), torch.tensor([[3., 4.]]))
    tensor([11.])
    """
    if is_integral(x.dtype):
        return P.sum(P.mul(x, y), dim, dtype=P.result_type(x, y))
    return P.sum(P.mul(conj(x), y), dim)


# products with something added


@composite(out=True)
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector.

    >>> torch.mv(torch.tensor([[1, 2]]), torch.tensor([3, 4]))
    tensor([11])
    """
    if input.dim() != 2 or vec.dim() != 1:
        phrase = f"vector + matrix @ vector expected, got 1, {input.dim()}, {vec.dim()}"
        raise error(RuntimeError, phrase, "mv", "a matrix and a vector", (input, vec))
    if input.shape[1] != vec.shape[0]:
        phrase = f"size mismatch, got input ({input.shape[0]}), mat ({input.shape[0]}x{input.shape[1]})"
        raise error(RuntimeError, f"{phrase}, vec ({vec.shape[0]})", "mv", "matching extents", (input, vec))
    return P.squeeze(P.mm(input, P.unsqueeze(vec, 1)), 1)


def combined(input: Tensor, product: Tensor, beta: Any, alpha: Any, name: str) -> Tensor:
    """beta * input + alpha * product; with beta 0 what input holds does not matter, nan included."""
    if is_integral(product.dtype):
        beta, alpha = int(beta), int(alpha)
    size = broadcast_of(input.shape, product.shape)
    if size != tuple(product.shape):
        phrase = f"The expanded size of the tensor must match the existing size: {list(input.shape)} does not expand"
        raise error(RuntimeError, f"{phrase} to {list(product.shape)}", name, "a size that expands", (input, product))
    product = product if alpha == 1 else scaled(product, alpha)
    if beta == 0:
        return product
    return P.add(product, input if beta == 1 else scaled(input, beta))


def scaled(input: Tensor, factor: Any) -> Tensor:
    """input * factor in input's dtype; for bools a factor is either true or false."""
    return P.mul(input, bool(factor) if input.dtype == P.bool else factor)


def same_dtype(name: str, *tensors: Tensor) -> None:
    """Raises unless all tensors have one dtype."""
    for tensor in tensors[1:]:
        if tensor.dtype != tensors[0].dtype:
            phrase = f"{name}: expected all tensors to have the same dtype: {dtype_name(tensors[0].dtype)}"
            raise error(RuntimeError, f"{phrase} != {dtype_name(tensor.dtype)}", name, "one dtype", tensors)


@composite(out=True, inplace="function")
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec).

    >>> torch.addmv(torch.tensor([1]), torch.tensor([[1, 2]]), torch.tensor([3, 4]))
    tensor([12])
    """
    return combined(input, mv(mat, vec), beta, alpha, "addmv")


@composite(out=True, inplace=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2).

    >>> torch.addr(torch.tensor([[1]]), torch.tensor([2]), torch.tensor([3]))
    tensor([[7]])
    """
    for vector, label in ((vec1, "vec1"), (vec2, "vec2")):
        if vector.dim() != 1:
            phrase = f"addr: Expected 1-D argument {label}, but got {vector.dim()}-D"
            raise error(RuntimeError, phrase, "addr", "two vectors", (vec1, vec2))
    product = outer(vec1, vec2)
    for value, label in ((beta, "beta"), (alpha, "alpha")):
        if is_integral(P.promote_types(input.dtype, product.dtype)) and isinstance(value, float):
            phrase = f"For integral input tensors, argument {label} must not be a floating point number."
            raise error(RuntimeError, phrase, "addr", "an integer", value)
    return combined(input, product, beta, alpha, "addr")


@composite(out=True, inplace=True)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix.

    >>> torch.baddbmm(torch.tensor([[[1]]]), torch.tensor([[[2]]]), torch.tensor([[[3]]]))
    tensor([[[7]]])
    """
    return combined(input, P.bmm(batch1, batch2), beta, alpha, "baddbmm")


@composite(out=True, inplace=True)
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * the sum of the matrices batch1 @ batch2.

    >>> torch.addbmm(torch.tensor([[1]]), torch.tensor([[[2]], [[1]]]), torch.tensor([[[3]], [[1]]]))
    tensor([[8]])
    """
    batches_wanted(batch1, batch2)
    left = P.reshape(P.permute(batch1, (1, 0, 2)), (batch1.shape[1], batch1.shape[0] * batch1.shape[2]))
    right = P.reshape(batch2, (batch2.shape[0] * batch2.shape[1], batch2.shape[2]))
    return combined(input, P.mm(left, right), beta, alpha, "addbmm")


def batches_wanted(batch1: Tensor, batch2: Tensor) -> None:
    """Raises unless two batches of matrices can be multiplied."""
    for batch, label in ((batch1, "batch1"), (batch2, "batch2")):
        if batch.dim() != 3:
            raise error(RuntimeError, f"{label} must be a 3D tensor", "addbmm", "3 dimensions", (batch1, batch2))
    if batch1.shape[0] != batch2.shape[0]:
        phrase = "batch1 and batch2 must have same number of batches"
        raise error(RuntimeError, f"{phrase}, got {batch1.shape[0]} and {batch2.shape[0]}")
    if batch1.shape[2] != batch2.shape[1]:
        phrase = f"Incompatible matrix sizes for bmm ({batch1.shape[1]}x{batch1.shape[2]} and"
        raise error(RuntimeError, f"{phrase} {batch2.shape[1]}x{batch2.shape[2]})")


# several matrices


@composite(method=False, out=True, namespace="linalg")
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices, multiplied in the order that needs the fewest operations.

    The first may be a row vector and the last a column vector.

    >>> torch.linalg.multi_dot([torch.eye(2), torch.eye(2), torch.ones(2)])
    tensor([1., 1.])
    """
    if len(tensors) < 2:
        raise error(RuntimeError, f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    for place, tensor in enumerate(tensors):
        outermost = place in (0, len(tensors) - 1)
        if tensor.dim() != 2 and not (outermost and tensor.dim() == 1):
            allowed = "1D or 2D" if outermost else "2D"
            raise error(RuntimeError, f"multi_dot(): tensor {place} must be {allowed} but got {tensor.dim()}D")
    same_dtype("multi_dot()", *tensors)
    matrices, row, column = list(tensors), tensors[0].dim() == 1, tensors[-1].dim() == 1
    matrices[0] = P.unsqueeze(matrices[0], 0) if row else matrices[0]
    matrices[-1] = P.unsqueeze(matrices[-1], 1) if column else matrices[-1]
    result = in_cheapest_order(matrices)
    result = P.squeeze(result, -1) if column else result
    return P.squeeze(result, 0) if row else result


def in_cheapest_order(matrices: list[Tensor]) -> Tensor:
    """The product of matrices by the classic dynamic programme over where to split the chain."""
    extents = [matrices[0].shape[0], *(matrix.shape[1] for matrix in matrices)]
    for left, right in zip(matrices, matrices[1:]):
        if left.shape[1] != right.shape[0]:
            phrase = f"multi_dot(): tensors cannot be multiplied ({left.shape[0]}x{left.shape[1]} and"
            raise error(RuntimeError, f"{phrase} {right.shape[0]}x{right.shape[1]})")
    count = len(matrices)
    best = {(i, i + 1): (0, i) for i in range(count)}
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            j = i + length
            costs = ((best[i, k][0] + best[k, j][0] + extents[i] * extents[k] * extents[j], k) for k in range(i + 1, j))
            best[i, j] = min(costs)

    def product(i: int, j: int) -> Tensor:
        return matrices[i] if j == i + 1 else P.mm(product(i, best[i, j][1]), product(best[i, j][1], j))

    return product(0, count)


@composite(method=False)
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices; linalg.multi_dot is its newer name.

    >>> torch.chain_matmul(torch.eye(2), torch.eye(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    matrices = shape.unpacked(matrices)
    for place, matrix in enumerate(matrices):
        if matrix.dim() != 2:
            raise error(RuntimeError, f"Tensor {place} has size {list(matrix.shape)}, but should be 2D")
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


@composite(method=False, out=True)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Products summed over pairs of dimensions: the last of a with the first of b, or the pairs listed.

    >>> torch.tensordot(torch.tensor([[1, 2]]), torch.tensor([[3], [4]]), 1)
    tensor([[11]])
    """
    left, right = contracted_dims(a, b, dims)
    keep_a = [d for d in range(a.dim()) if d not in left]
    keep_b = [d for d in range(b.dim()) if d not in right]
    for i, j in zip(left, right):
        if a.shape[i] != b.shape[j] and 1 not in (a.shape[i], b.shape[j]):
            phrase = f"contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} and second has"
            raise error(RuntimeError, f"{phrase} size {b.shape[j]} in dim {j}", "tensordot", "equal extents", (a, b))
    # a contracted extent of one broadcasts: its partner is summed beforehand
    a, b = summed_partners(a, left, b, right), summed_partners(b, right, a, left)
    inside = reduce(lambda n, d: n * a.shape[d], left, 1)
    rows, columns = tuple(a.shape[d] for d in keep_a), tuple(b.shape[d] for d in keep_b)
    flat_a = P.reshape(P.permute(a, (*keep_a, *left)), (reduce(lambda n, m: n * m, rows, 1), inside))
    flat_b = P.reshape(P.permute(b, (*right, *keep_b)), (inside, reduce(lambda n, m: n * m, columns, 1)))
    return P.reshape(P.mm(flat_a, flat_b), (*rows, *columns))


def summed_partners(x: Tensor, dims: list[int], other: Tensor, partners: list[int]) -> Tensor:
    """x summed over those contracted dimensions whose partner has extent one."""
    wide = [i for i, j in zip(dims, partners) if other.shape[j] == 1 and x.shape[i] != 1]
    return P.sum(x, tuple(wide), True, dtype=x.dtype) if wide else x


def contracted_dims(a: Tensor, b: Tensor, dims: Any) -> tuple[list[int], list[int]]:
    """The dimensions of a and of b that tensordot is to sum over."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise error(RuntimeError, f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            phrase = f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}"
            raise error(RuntimeError, phrase, "tensordot", "enough dimensions", (a, b))
        return list(range(a.dim() - dims, a.dim())), list(range(dims))
    left, right = ((d,) if isinstance(d, int) else tuple(d) for d in dims)
    if len(left) != len(right):
        raise error(RuntimeError, "both dimension lists should have same length", "tensordot", "pairs", (left, right))
    return [wrap_dim(d, a.dim()) for d in left], [wrap_dim(d, b.dim()) for d in right]


@composite(out=True)
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every element of input times a whole other.

    >>> torch.kron(torch.tensor([1, 2]), torch.tensor([1, 10]))
    tensor([ 1, 10,  2, 20])
    """
    ndim = max(input.dim(), other.dim())
    a, b = ((1,) * (ndim - x.dim()) + tuple(x.shape) for x in (input, other))
    left = P.reshape(input, [extent for size in a for extent in (size, 1)])
    right = P.reshape(other, [extent for size in b for extent in (1, size)])
    return P.reshape(P.mul(left, right), [m * n for m, n in zip(a, b)])


# one matrix


@composite(out=True, aliases=("linalg.matrix_power",))
def matrix_power(input: Tensor, n: int) -> Tensor:
    """Square matrices to an integer power, by repeated squaring; negative powers invert.

    >>> torch.matrix_power(torch.tensor([[1., 1.], [0., 1.]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    if input.dim() < 2 or input.shape[-1] != input.shape[-2]:
        phrase = "linalg.matrix_power: A must be batches of square matrices, but they are"
        phrase = f"{phrase} {' by '.join(map(str, input.shape[-2:]))} matrices"
        raise error(RuntimeError, phrase, "matrix_power", "square matrices", input)
    if n == 0:
        side = P.arange(input.shape[-1], device=input.device)
        ones = P.to(P.eq(P.unsqueeze(side, 1), side), input.dtype)
        return P.where(P.full((), False, dtype=P.bool), input, P.expand(ones, tuple(input.shape)))
    square, n = (P.linalg_inv(input), -n) if n < 0 else (input, n)
    result = None
    while n:
        if n % 2:
            result = square if result is None else P.matmul(result, square)
        n //= 2
        square = P.matmul(square, square) if n else square
    return P.clone(result) if result is input else result


@composite
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    >>> torch.trace(torch.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    if input.dim() != 2:
        raise error(RuntimeError, "trace: expected a matrix", "trace", "2 dimensions", input)
    return P.sum(P.diagonal(input))


@composite(method=False, out=True, namespace="linalg", name="cross")
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of three elements along dim.

    >>> torch.linalg.cross(torch.tensor([1., 0., 0.]), torch.tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    if input.dim() != other.dim():
        raise error(RuntimeError, "linalg.cross: inputs must have the same number of dimensions.")
    dim = wrap_dim(dim, input.dim())
    for x in (input, other):
        if x.dim() == 0 or x.shape[dim] != 3:
            phrase = (
                f"linalg.cross: inputs dimension {dim} must have length 3. Got {[t.shape[dim] for t in (input, other)]}"
            )
            raise error(RuntimeError, phrase, "linalg.cross", "3 elements", (input, other))
    size = broadcast_of(input.shape, other.shape)
    a, b = ([P.roll(P.expand(x, size), shift, dim) for shift in (-1, -2)] for x in (input, other))
    return P.sub(P.mul(a[0], b[1]), P.mul(a[1], b[0]))


@composite(out=True)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product along dim, by default the first dimension with three elements.

    >>> torch.cross(torch.tensor([1., 0., 0.]), torch.tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    if dim is None:
        size = broadcast_of(input.shape, other.shape)
        if 3 not in size:
            raise error(RuntimeError, "no dimension of size 3 in input", "cross", "a dimension of 3", (input, other))
        dim = size.index(3)
    return linalg_cross(input, other, dim=dim)


@composite(method=False, out=True, namespace="linalg", name="matmul")
def linalg_matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product; another name of matmul.

    >>> torch.linalg.matmul(torch.eye(2), torch.ones(2))
    tensor([1., 1.])
    """
    return P.matmul(input, other)


@composite(method=False, namespace="linalg", name="vander")
def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of every element, in a new last dimension.

    >>> torch.linalg.vander(torch.tensor([2, 3]), N=3)
    tensor([[1, 2, 4],
            [1, 3, 9]])
    """
    x = P.unsqueeze(x, 0) if x.dim() == 0 else x
    if N is None:
        N = x.shape[-1]
    elif N <= 1:
        raise error(RuntimeError, "N must be greater than 1.", "linalg.vander", "N > 1", N)
    return powers(x, N)


def powers(x: Tensor, count: int) -> Tensor:
    """The powers 0 to count - 1 of every element; products, not pow, so that derivatives exist at zero."""
    x = P.unsqueeze(x, -1)
    first = P.to(P.full((*x.shape[:-1], 1), 1, dtype=P.int64, device=x.device), P.result_type(x, 1))
    if count <= 1:
        return P.slice(first, -1, 0, count, 1)
    return P.cat([first, P.cumprod(P.expand(x, (*x.shape[:-1], count - 1)), -1)], -1)


@composite(method=False)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The matrix of powers of a vector's elements, the highest first unless increasing.

    >>> torch.vander(torch.tensor([2, 3]))
    tensor([[2, 1],
            [3, 1]])
    """
    if x.dim() != 1:
        raise error(RuntimeError, "x must be a one-dimensional tensor.", "vander", "1 dimension", x)
    N = x.shape[0] if N is None else N
    if N < 0:
        raise error(RuntimeError, "N must be non-negative.", "vander", "N >= 0", N)
    table = powers(x, N)
    return table if increasing else P.flip(table, (-1,))
