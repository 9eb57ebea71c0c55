"""torch.linalg on top of factorizations: conditions, ranks, pseudo-inverses, tensor equations, exponentials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .diagonals import diag_embed
from .helpers import dtype_name, error, is_integral, wrap_dim
from .matrix import matrix_power
from .reductions import linalg_norm
from .registry import composite
from .shape import m_adjoint, movedim, real
from .slices import per_slice


def square_wanted(A: Tensor, name: str) -> None:
    """Raises unless A holds square matrices."""
    if A.dim() < 2:
        phrase = f"{name}: The input tensor A must have at least 2 dimensions."
        raise error(RuntimeError, phrase, name, "square matrices", A)
    if A.shape[-1] != A.shape[-2]:
        phrase = f"{name}: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        raise error(RuntimeError, phrase, name, "square matrices", A)


def floats_wanted(A: Tensor, name: str) -> None:
    """Raises for integers, bools and half precision."""
    if is_integral(A.dtype) or A.dtype in (P.float16, P.bfloat16):
        phrase = f"{name}: Expected a floating point or complex tensor as input. Got {dtype_name(A.dtype)}"
        raise error(RuntimeError, phrase, name, "float32, float64 or complex", A)


@composite(method=False, out=True, namespace="linalg")
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number: the norm of A times the norm of its inverse; infinite for singular matrices.

    >>> torch.linalg.cond(torch.tensor([[1., 0.], [0., 4.]]))
    tensor(4.)
    """
    if A.dim() < 2:
        phrase = "linalg.cond: The input tensor A must have at least 2 dimensions."
        raise error(RuntimeError, phrase, "linalg.cond", "matrices", A)
    if p in (None, 2, -2):
        values = P.linalg_svdvals(A)
        if values.shape[-1] == 0:
            return P.full(tuple(values.shape[:-1]), 0.0, dtype=values.dtype, device=A.device)
        ends = P.select(values, -1, 0), P.select(values, -1, -1)
        return P.div(ends[1], ends[0]) if p == -2 else P.div(ends[0], ends[1])
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf):
        raise error(RuntimeError, f"linalg.cond got an invalid norm type: {p}", "linalg.cond", "a known norm", p)
    square_wanted(A, "linalg.cond")
    inverse, info = P.linalg_inv_ex(A)
    result = P.mul(linalg_norm(A, p, (-2, -1)), linalg_norm(inverse, p, (-2, -1)))
    return P.where(P.eq(info, 0), result, P.full((), math.inf, dtype=result.dtype, device=A.device))


def threshold(largest: Tensor, A: Tensor, atol: Any, rtol: Any) -> Tensor:
    """Below which size a singular value counts as zero; by default so many epsilons of the largest as A has sides."""
    if rtol is None:
        eps = P.finfo(A.dtype).eps * max(A.shape[-2:])
        if isinstance(atol, Tensor):
            rtol = P.where(P.gt(atol, 0), P.full((), 0.0, dtype=largest.dtype), P.full((), eps, dtype=largest.dtype))
        else:
            rtol = 0.0 if atol else eps
    atol = 0.0 if atol is None else atol
    bounds = [P.unsqueeze(x, -1) if isinstance(x, Tensor) and x.dim() else x for x in (atol, rtol)]
    relative = P.mul(largest, bounds[1])
    if isinstance(bounds[0], Tensor):
        return P.maximum(relative, P.to(bounds[0], relative.dtype))
    return P.clamp_min(relative, bounds[0])


def sizes_of_values(A: Tensor, hermitian: bool) -> Tensor:
    """The singular values, for hermitian matrices by way of the eigenvalues."""
    return P.abs(P.linalg_eigvalsh(A)) if hermitian else P.linalg_svdvals(A)


@composite(method=False, out=True, namespace="linalg")
def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """How many singular values are above a threshold: tol, or the larger of atol and rtol times the largest.

    >>> torch.linalg.matrix_rank(torch.tensor([[1., 1.], [1., 1.]]))
    tensor(1)
    """
    if A.dim() < 2:
        phrase = "linalg.matrix_rank: The input tensor must be a matrix or a batch of matrices"
        raise error(RuntimeError, phrase, "linalg.matrix_rank", "at least 2 dimensions", A)
    if hermitian:
        square_wanted(A, "linalg.matrix_rank")
    if tol is not None:
        atol, rtol = tol, 0.0
    values = P.detach(sizes_of_values(A, hermitian))
    if A.numel() == 0:
        return P.full(tuple(A.shape[:-2]), 0, dtype=P.int64, device=A.device)
    return P.sum(P.gt(values, threshold(P.amax(values, (-1,), True), A, atol, rtol)), -1)


@composite(method=False, out=True, namespace="linalg")
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The Moore-Penrose inverse, from the singular value decomposition with small values left out.

    >>> torch.linalg.pinv(torch.tensor([[2., 0.], [0., 0.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    floats_wanted(A, "linalg.pinv")
    if A.dim() < 2:
        phrase = "linalg.pinv: The input tensor A must have at least 2 dimensions."
        raise error(RuntimeError, phrase, "linalg.pinv", "matrices", A)
    rtol = rcond if rcond is not None else rtol
    if A.numel() == 0:
        return P.clone(P.transpose(A, -2, -1), memory_format=P.contiguous_format)
    if hermitian:
        square_wanted(A, "linalg.pinv")
        A = from_lower_triangle(A)
        values, left = P.linalg_eigh(P.detach(A))
        right, sizes = left, P.abs(values)
    else:
        left, values, inner = P.linalg_svd(P.detach(A), False)
        right, sizes = m_adjoint(inner), values
    kept = P.gt(sizes, threshold(P.amax(sizes, (-1,), True), A, atol, rtol))
    one, nought = (P.full((), value, dtype=values.dtype, device=A.device) for value in (1.0, 0.0))
    inverse = P.unsqueeze(P.where(kept, P.reciprocal(P.where(kept, values, one)), nought), -2)
    return inverse_near(A, P.mul(left, inverse), P.mul(right, inverse), diag_embed(P.where(kept, nought, one)))


def from_lower_triangle(A: Tensor) -> Tensor:
    """The hermitian matrix whose lower triangle is A's: all that eigh looks at."""
    lower, diagonal = P.tril(A, -1), real(P.diagonal(A, 0, -2, -1))
    return P.add(P.add(lower, m_adjoint(lower)), P.to(diag_embed(diagonal), A.dtype))


def inverse_near(A: Tensor, left: Tensor, right: Tensor, free: Tensor) -> Tensor:
    """The pseudo-inverse of A from fixed bases, scaled so that left^H A and A right are orthonormal.

    Every matrix of A's rank near A is C M^-1 R with C = A right, R = left^H A, M = left^H A right; its pseudo-inverse
    R^+ M C^+ is smooth, so that derivatives of any order are right where those of the decomposition do not exist.
    free has ones on the diagonal for the directions left out.
    """
    columns, rows = P.matmul(A, right), P.matmul(m_adjoint(left), A)
    free = P.to(free, A.dtype)
    from_columns = P.linalg_solve(P.add(P.matmul(m_adjoint(columns), columns), free), m_adjoint(columns))
    from_rows = P.matmul(m_adjoint(rows), P.linalg_inv(P.add(P.matmul(rows, m_adjoint(rows)), free)))
    return P.matmul(P.matmul(from_rows, P.matmul(rows, right)), from_columns)


@composite
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The Moore-Penrose inverse; linalg.pinv is its newer name.

    >>> torch.pinverse(torch.tensor([[2.]]))
    tensor([[0.5000]])
    """
    return pinv(input, rcond)


@composite(method=False, out=True, namespace="linalg")
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of tensordot with A: the first `ind` dimensions are the rows of a square matrix.

    >>> torch.linalg.tensorinv(torch.eye(4).reshape(2, 2, 4), ind=2).shape
    torch.Size([4, 2, 2])
    """
    if ind <= 0:
        raise error(RuntimeError, f"Expected a strictly positive integer for 'ind', but got {ind}")
    rows, columns = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(rows) != math.prod(columns):
        phrase = "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got"
        raise error(RuntimeError, f"{phrase} {math.prod(columns)} != {math.prod(rows)}", "tensorinv", "a square", A)
    square = P.reshape(A, (math.prod(rows), math.prod(columns)))
    return P.reshape(P.linalg_inv(square), (*columns, *rows))


@composite(method=False, out=True, namespace="linalg")
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X with tensordot(A, X, X.dim()) = B; dims of A are moved to its end beforehand.

    >>> torch.linalg.tensorsolve(torch.eye(4).reshape(2, 2, 4), torch.ones(2, 2)).shape
    torch.Size([4])
    """
    if dims is not None:
        dims = [wrap_dim(d, A.dim()) for d in dims]
        A = movedim(A, dims, list(range(A.dim() - len(dims), A.dim())))
    columns = tuple(A.shape[B.dim() :])
    if math.prod(columns) != math.prod(A.shape[: B.dim()]):
        phrase = (
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim])"
        )
        phrase = f"{phrase}, but got {math.prod(columns)} != {math.prod(A.shape[: B.dim()])}"
        raise error(RuntimeError, phrase, "tensorsolve", "a square system", (A, B))
    square = P.reshape(A, (math.prod(columns), math.prod(columns)))
    return P.reshape(P.linalg_solve(square, P.reshape(B, (-1,))), columns)


# the matrix exponential: Pade approximant of order 13 after scaling, then squaring (Higham, 2005)

PADE = (
    64764752532480000,
    32382376266240000,
    7771770303897600,
    1187353796428800,
    129060195264000,
    10559470521600,
    670442572800,
    33522128640,
    1323241920,
    40840800,
    960960,
    16380,
    182,
    1,
)
LARGEST_NORM = 4.25  # up to which the approximant is exact in double precision (5.37), with room


@composite(aliases=("linalg.matrix_exp",))
@per_slice
def matrix_exp(A: Tensor) -> Tensor:
    """The exponential of each square matrix: the sum of A^k / k!.

    >>> torch.matrix_exp(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if A.dtype in (P.float16, P.bfloat16):
        return P.to(matrix_exp(P.to(A, P.float32)), A.dtype)
    floats_wanted(A, "linalg.matrix_exp")
    square_wanted(A, "linalg.matrix_exp")
    if A.numel() == 0:
        return P.clone(A)
    largest = P.amax(P.sum(P.abs(P.detach(A)), -2)).item()
    halvings = max(0, math.ceil(math.log2(largest / LARGEST_NORM))) if 0 < largest < math.inf else 0
    scaled = P.mul(A, 0.5**halvings)
    result = pade(scaled)
    for _ in range(halvings):
        result = P.matmul(result, result)
    return result


def pade(A: Tensor) -> Tensor:
    """The quotient of two polynomials in A that stands for its exponential."""
    ones = matrix_power(P.detach(A), 0)
    squares = P.matmul(A, A)
    even, odd, power = P.mul(ones, PADE[0] / PADE[0]), P.mul(ones, PADE[1] / PADE[0]), None
    for k in range(2, len(PADE), 2):
        power = squares if power is None else P.matmul(power, squares)
        even = P.add(even, P.mul(power, PADE[k] / PADE[0]))
        odd = P.add(odd, P.mul(power, PADE[k + 1] / PADE[0]))
    odd = P.matmul(A, odd)
    return P.linalg_solve(P.sub(even, odd), P.add(even, odd))


@composite
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; nan where the determinant is negative.

    >>> torch.logdet(torch.eye(2))
    tensor(0.)
    """
    floats_wanted(input, "logdet")
    square_wanted(input, "linalg.det")
    sign, logarithm = P.linalg_slogdet(input)
    return P.add(logarithm, P.log(sign))


# decompositions of low rank by random projection (Halko, Martinsson and Tropp, 2009)


@composite(method=False)
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """About the q largest singular values of A - M with their vectors: U, S, V with A close to U diag(S) V^H.

    >>> [part.shape for part in torch.svd_lowrank(torch.eye(8), 2)]
    [torch.Size([8, 2]), torch.Size([2]), torch.Size([8, 2])]
    """
    A = A if M is None else P.sub(A, M)
    wide = A.shape[-2] < A.shape[-1]
    A = m_adjoint(A) if wide else A
    basis = range_of(A, 6 if q is None else q, 2 if niter is None else niter)
    left, values, right = P.linalg_svd(P.matmul(m_adjoint(basis), A), False)
    left, right = P.matmul(basis, left), m_adjoint(right)
    return (right, values, left) if wide else (left, values, right)


def range_of(A: Tensor, q: int, niter: int) -> Tensor:
    """An orthonormal basis of q vectors that catches most of what A can produce."""
    basis = P.linalg_qr(P.matmul(A, P.randn((A.shape[-1], q), dtype=A.dtype, device=A.device)))[0]
    for _ in range(niter):
        basis = P.linalg_qr(P.matmul(m_adjoint(A), basis))[0]
        basis = P.linalg_qr(P.matmul(A, basis))[0]
    return basis


@composite(method=False)
def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """About the q first principal components of the rows of A, as svd_lowrank of A less its mean row.

    >>> [part.shape for part in torch.pca_lowrank(torch.eye(8), 2)]
    [torch.Size([8, 2]), torch.Size([2]), torch.Size([8, 2])]
    """
    rows, columns = A.shape[-2:]
    q = min(6, rows, columns) if q is None else q
    if not 0 <= q <= min(rows, columns):
        raise error(
            ValueError, f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(rows, columns)}"
        )
    if niter < 0:
        raise error(ValueError, f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(P.sub(A, P.mean(A, (-2,), True)) if center else A, q, niter)
