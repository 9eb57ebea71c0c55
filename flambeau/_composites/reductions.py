"""Reductions: deviations, norms, medians, counts, and those that pass over nan."""

from __future__ import annotations

import math
from typing import Any

from ._primitives import P, Tensor
from .helpers import cast, describe, dtype_name, error, is_integral, require_tensor, wrap_dim, wrap_dims
from .registry import composite

Dims = Any


# variance and standard deviation


def spread_options(name: str, input: Tensor, dim: Any, unbiased: Any, correction: Any) -> tuple[tuple[int, ...], float]:
    """Dimensions and correction from the several ways to call std and var."""
    if isinstance(dim, bool):  # the old form: std(input, unbiased)
        dim, unbiased = None, dim
    if is_integral(input.dtype):
        phrase = f"{name} only support floating point and complex dtypes"
        raise error(RuntimeError, phrase, name, "a floating or complex dtype", input)
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    return tuple(wrap_dims(dim, input.dim())), correction


@composite(out=True)
def var(
    input: Tensor, dim: Dims = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """The variance; the sum of squared deviations is divided by the count less the correction (1 by default).

    >>> torch.var(torch.tensor([1., 3.]))
    tensor(2.)
    """
    dims, correction = spread_options("var", input, dim, unbiased, correction)
    return variance(input, dims, correction, keepdim)


@composite(out=True)
def std(
    input: Tensor, dim: Dims = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """The standard deviation: the square root of var.

    >>> torch.std(torch.tensor([1., 3.]), correction=0)
    tensor(1.)
    """
    dims, correction = spread_options("std", input, dim, unbiased, correction)
    if input.dtype.is_complex:
        return root(variance(input, dims, correction, keepdim))
    return P.std(input, dims, correction=correction, keepdim=keepdim)


def variance(input: Tensor, dims: tuple[int, ...], correction: float, keepdim: bool) -> Tensor:
    """The variance; that of complex numbers is the sum of those of both parts."""
    if not input.dtype.is_complex:
        return P.var(input, dims, correction=correction, keepdim=keepdim)
    if input.dim() == 0:
        return variance(P.unsqueeze(input, 0), (0,), correction, False)
    return P.sum(P.var(P.view_as_real(input), dims, correction=correction, keepdim=keepdim), -1)


def root(squares: Tensor) -> Tensor:
    """The square root, with a gradient of zero where the root is zero."""
    zero = P.eq(squares, 0)
    one = P.full((), 1.0, dtype=squares.dtype, device=squares.device)
    return P.where(zero, P.mul(squares, 0), P.sqrt(P.where(zero, one, squares)))


@composite
def var_mean(
    input: Tensor, dim: Dims = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """Variance and mean.

    >>> torch.var_mean(torch.tensor([1., 3.]))
    (tensor(2.), tensor(2.))
    """
    dims, correction = spread_options("var_mean", input, dim, unbiased, correction)
    return variance(input, dims, correction, keepdim), P.mean(input, dims, keepdim)


@composite
def std_mean(
    input: Tensor, dim: Dims = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean.

    >>> torch.std_mean(torch.tensor([1., 3.]), correction=0)
    (tensor(1.), tensor(2.))
    """
    dims, correction = spread_options("std_mean", input, dim, unbiased, correction)
    return std(input, dims, keepdim=keepdim, correction=correction), P.mean(input, dims, keepdim)


# passing over nan


@composite(out=True)
def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements that are not nan.

    >>> torch.nansum(torch.tensor([1., float("nan")]))
    tensor(1.)
    """
    if input.dtype.is_complex:
        raise error(RuntimeError, "nansum does not support complex inputs", "nansum", "a real dtype", input)
    dims = tuple(wrap_dims(dim, input.dim()))
    if is_integral(input.dtype):
        return P.sum(input, dims, keepdim, dtype=dtype)
    return P.sum(without_nan(input), dims, keepdim, dtype=dtype)


def without_nan(input: Tensor) -> Tensor:
    """input with zeros in place of nan."""
    return P.where(P.isnan(input), P.full((), 0.0, dtype=input.dtype, device=input.device), input)


@composite(out=True)
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are not nan.

    >>> torch.nanmean(torch.tensor([1., 3., float("nan")]))
    tensor(2.)
    """
    if is_integral(input.dtype):
        phrase = f"nanmean(): expected input to have floating point or complex dtype but got {dtype_name(input.dtype)}"
        raise error(RuntimeError, phrase, "nanmean", "a floating or complex dtype", input)
    dims = tuple(wrap_dims(dim, input.dim()))
    count = P.sum(P.logical_not(P.isnan(input)), dims, keepdim)
    total = P.sum(without_nan(input), dims, keepdim, dtype=dtype)
    return P.div(total, P.to(count, total.dtype))


@composite(out=True)
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower of two; with a dimension also its place. nan wins over everything.

    >>> torch.median(torch.tensor([3, 1, 2, 4]))
    tensor(2)
    """
    return P.median_all(input) if dim is None else P.median_dim(input, dim, keepdim)


@composite(out=True)
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of the elements that are not nan; with a dimension also its place.

    >>> torch.nanmedian(torch.tensor([3., float("nan"), 1.]))
    tensor(1.)
    """
    return P.nanmedian_all(input) if dim is None else P.nanmedian_dim(input, dim, keepdim)


# counting and norms


@composite
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements differ from zero.

    >>> torch.count_nonzero(torch.tensor([0, 1, 2]))
    tensor(2)
    """
    return P.sum(P.ne(input, 0), tuple(wrap_dims(dim, input.dim())))


def p_norm(input: Tensor, p: float, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """The p-norm along dimensions, which are all where none is named, by the primitive that fits p."""
    dims = dims or tuple(range(input.dim()))
    input = P.abs(input) if input.dtype.is_complex else input
    if p == 2:
        return P.norm2(input, dims, keepdim)
    if p == 1:
        return P.norm1(input, dims, keepdim)
    if p == 0:
        return P.sum(P.abs(P.sign(input)), dims, keepdim)
    if math.isinf(p):
        return (P.amax if p > 0 else P.amin)(P.abs(input), dims, keepdim)
    return P.norm_p(input, p, dims, keepdim)


@composite(method=False, out=True, namespace="linalg", name="vector_norm")
def vector_norm(x: Tensor, ord: Any = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The norm of order ord of x as one vector, or along dimensions.

    >>> torch.linalg.vector_norm(torch.tensor([3., 4.]))
    tensor(5.)
    """
    floating_only(x, "linalg.vector_norm")
    check_norm_dtype(x, dtype, "linalg.vector_norm")
    if isinstance(ord, complex):
        raise error(RuntimeError, "Expected a non-complex scalar as the order of norm.")
    dims = wrap_dims(dim, x.dim())
    extents: list[Any] = [x.shape[d] for d in dims] if x.dim() else [1]
    if 0 in extents and (ord < 0 or ord == math.inf) and not (dim is not None and extents and math.prod(extents)):
        phrase = f"linalg.vector_norm cannot compute the {ord} norm on an empty"
        raise error(RuntimeError, f"{phrase} tensor because the operation does not have an identity")
    return p_norm(cast(x, dtype), ord, tuple(dims), keepdim)


def floating_only(input: Tensor, name: str) -> None:
    """Raises for integers and bools."""
    require_tensor(input, name)
    if is_integral(input.dtype):
        phrase = f"{name}: Expected a floating point or complex tensor as input. Got {dtype_name(input.dtype)}"
        raise error(RuntimeError, phrase, name, "a floating or complex dtype", input)


def check_norm_dtype(input: Tensor, dtype: Any, name: str) -> None:
    """Raises where a norm is wanted in a dtype that would lose part of the input."""
    if dtype is None:
        return
    if is_integral(dtype):
        raise error(RuntimeError, f"{name}: dtype should be floating point or complex, but got {dtype_name(dtype)}")
    if input.dtype.is_complex != dtype.is_complex:
        kind = "complex" if input.dtype.is_complex else "real"
        raise error(RuntimeError, f"{name}: dtype should be {kind} for {kind} inputs, but got {dtype_name(dtype)}")
    if P.promote_types(input.dtype, dtype) != dtype:
        phrase = f"{name}: the dtype of the input ({dtype_name(input.dtype)}) should be convertible without narrowing"
        raise error(RuntimeError, f"{phrase} to the specified dtype ({dtype_name(dtype)})")


@composite(method=False, out=True, namespace="linalg", name="matrix_norm")
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of matrices: "fro", "nuc", or of order 1, 2, inf and their negatives.

    >>> torch.linalg.matrix_norm(torch.tensor([[1., -2.], [3., 4.]]), 1)
    tensor(6.)
    """
    floating_only(A, "linalg.matrix_norm")
    if A.dim() < 2:
        phrase = "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        raise error(RuntimeError, phrase, "linalg.matrix_norm", "at least 2 dimensions", A)
    check_norm_dtype(A, dtype, "linalg.matrix_norm")
    if isinstance(dim, int) or len(dim) != 2:
        raise error(RuntimeError, f"linalg.matrix_norm: dim must be a 2-tuple. Got {describe(dim)}")
    first, second = (wrap_dim(d, A.dim()) for d in dim)
    if first == second:
        raise error(RuntimeError, f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return vector_norm(A, 2, (first, second), keepdim, dtype=dtype)
    A = cast(A, dtype)
    if ord in ("nuc", 2, -2):
        return spectral_norm(A, ord, first, second, keepdim)
    if not isinstance(ord, (int, float)) or abs(ord) not in (1, math.inf):
        raise error(RuntimeError, f"linalg.matrix_norm: Order {ord} not supported.")
    return summed_norm(A, ord, first, second, keepdim)


def summed_norm(A: Tensor, ord: float, row: int, column: int, keepdim: bool) -> Tensor:
    """The norms that are the largest or smallest sum of absolute values of a column (1) or of a row (inf)."""
    summed, kept = (row, column) if abs(ord) == 1 else (column, row)
    sums = p_norm(A, 1, (summed,), True)
    largest = P.amax if A.shape[kept] else P.sum  # the largest of no sums is 0; the smallest does not exist
    result = (largest if ord > 0 else P.amin)(sums, (kept,), True)
    return result if keepdim else P.squeeze(result, tuple(sorted((row, column))))


def spectral_norm(A: Tensor, ord: Any, row: int, column: int, keepdim: bool) -> Tensor:
    """The norms made of singular values: their sum ("nuc"), the largest (2), the smallest (-2)."""
    rest = [d for d in range(A.dim()) if d not in (row, column)]
    values = P.linalg_svdvals(P.permute(A, (*rest, row, column)))
    result = P.sum(values, -1) if ord == "nuc" else (P.amax if ord == 2 else P.amin)(values, -1)
    for d in sorted((row, column)) if keepdim else ():
        result = P.unsqueeze(result, d)
    return result


@composite(method=False, out=True, namespace="linalg", name="norm")
def linalg_norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A vector norm or a matrix norm, by the number of dimensions; without an order the 2-norm of all elements.

    >>> torch.linalg.norm(torch.tensor([[3., 0.], [0., 4.]]))
    tensor(5.)
    """
    floating_only(A, "linalg.norm")
    dims = (dim,) if isinstance(dim, int) else None if dim is None else tuple(dim)
    if dims is not None and len(dims) > 2 and ord is not None:
        raise error(RuntimeError, f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if dims is None and ord is not None and A.dim() not in (1, 2):
        phrase = "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D."
        raise error(RuntimeError, f"{phrase} Got {A.dim()}D.")
    matrix = ord is not None and (len(dims) == 2 if dims is not None else A.dim() == 2)
    if matrix:
        return matrix_norm(A, ord, dims or (0, 1), keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise error(RuntimeError, f"linalg.norm: Order {ord} not supported for vectors")
    return vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype)


@composite(out=True)
def norm(input: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm of input as one vector or along dimensions; "nuc" takes matrices.

    >>> torch.norm(torch.tensor([3., 4.]))
    tensor(5.)
    """
    if p == "nuc":
        dims = tuple(wrap_dims(dim, input.dim()))
        if len(dims) != 2:
            raise error(RuntimeError, f"linalg.matrix_norm: dim must be a 2-tuple. Got {describe(dims)}")
        return matrix_norm(input, "nuc", dims, keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise error(RuntimeError, f"only valid string values are 'fro' and 'nuc', found {p}")
    return vector_norm(input, 2 if p in (None, "fro") else p, dim, keepdim, dtype=dtype)


@composite(out=True)
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other.

    >>> torch.dist(torch.tensor([3., 4.]), torch.zeros(2))
    tensor(5.)
    """
    gap = P.sub(input, other)
    return p_norm(gap, p, tuple(range(gap.dim())), False)


@composite(inplace=True, out=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Scales the slices along dim whose p-norm exceeds maxnorm down to it.

    >>> torch.renorm(torch.tensor([[3., 4.], [0., 1.]]), 2, 0, 1.)
    tensor([[0.6000, 0.8000],
            [0.0000, 1.0000]])
    """
    if p <= 0 or maxnorm < 0 or input.dim() < 2:
        what = "non-positive-norm not supported" if p <= 0 else "expected maxnorm to be >= 0 but got " + str(maxnorm)
        what = what if p <= 0 or maxnorm < 0 else f"input needs at least 2 dimensions, got {input.dim()} dimensions"
        raise error(RuntimeError, f"renorm: {what}", "renorm", "p > 0, maxnorm >= 0, 2 dimensions", (input, p, maxnorm))
    dim = wrap_dim(dim, input.dim())
    length = p_norm(input, p, tuple(d for d in range(input.dim()) if d != dim), True)
    one = P.full((), 1.0, dtype=length.dtype, device=length.device)
    factor = P.where(P.gt(length, maxnorm), P.div(maxnorm, P.add(length, 1e-7)), one)
    return P.mul(input, P.to(factor, input.dtype))


@composite(method=False)
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """The p-norm distance of every row of x1 to every row of x2.

    For p = 2 and more than 25 rows (or as compute_mode says) the distances come from one matrix product.

    >>> torch.cdist(torch.tensor([[0., 0.]]), torch.tensor([[3., 4.]]))
    tensor([[5.]])
    """
    check_cdist(x1, x2, p)
    if compute_mode not in (None, *(f"{use}use_mm_for_euclid_dist{when}" for use, when in CDIST_MODES)):
        raise error(ValueError, f"{compute_mode} is not a valid value for compute_mode")
    many = x1.shape[-2] > 25 or x2.shape[-2] > 25
    if p == 2 and (compute_mode == "use_mm_for_euclid_dist" or many and not str(compute_mode).startswith("donot")):
        return euclidean_distances(x1, x2)
    gap = P.sub(P.unsqueeze(x1, -2), P.unsqueeze(x2, -3))
    return p_norm(gap, p, (gap.dim() - 1,), False)


CDIST_MODES = (("", ""), ("", "_if_necessary"), ("donot_", ""))


def check_cdist(x1: Tensor, x2: Tensor, p: float) -> None:
    """Raises unless distances between the rows make sense."""
    for x, label in ((x1, "X1"), (x2, "X2")):
        if is_integral(x.dtype) or x.dtype.is_complex:
            raise error(RuntimeError, f"cdist only supports floating-point dtypes, {label} got: {dtype_name(x.dtype)}")
        if x.dim() < 2:
            raise error(RuntimeError, f"cdist only supports at least 2D tensors, {label} got: {x.dim()}D")
    if x1.shape[-1] != x2.shape[-1]:
        phrase = f"{x1.dim() - 1}X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        raise error(RuntimeError, phrase[1:], "cdist", "equal numbers of columns", (x1, x2))
    if p < 0:
        raise error(RuntimeError, "cdist only supports non-negative p values", "cdist", "p >= 0", p)


def euclidean_distances(x1: Tensor, x2: Tensor) -> Tensor:
    """Distances as roots of |a|^2 + |b|^2 - 2ab; the gradient at distance zero is zero."""
    squares = [P.sum(P.square(x), -1, True) for x in (x1, x2)]
    total = P.add(squares[0], P.transpose(squares[1], -2, -1))
    return root(P.clamp_min(P.sub(total, P.mul(P.matmul(x1, P.transpose(x2, -2, -1)), 2)), 0))


@composite(method=False, out=True)
def frobenius_norm(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """The root of the sum of squares along dimensions.

    >>> torch.frobenius_norm(torch.tensor([[3., 4.]]), (0, 1))
    tensor(5.)
    """
    return vector_norm(input, 2, dim, keepdim)


@composite(method=False, out=True)
def nuclear_norm(input: Tensor, dim: Dims = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values of matrices.

    >>> torch.nuclear_norm(torch.tensor([[2., 0.], [0., 3.]]))
    tensor(5.)
    """
    return matrix_norm(input, "nuc", tuple(dim), keepdim)


@composite(method=False)
def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norms of the slices along dim, each dimension but dim kept at extent one; -1 takes everything together.

    >>> torch.norm_except_dim(torch.tensor([[3., 4.], [6., 8.]]), 2, 0)
    tensor([[ 5.],
            [10.]])
    """
    dims = tuple(d for d in range(v.dim()) if dim == -1 or d != dim)
    return p_norm(v, pow, dims, dim != -1)
