"""Parametrizations that are ready to use: weight normalisation, spectral normalisation, orthogonal matrices."""

from __future__ import annotations

import flambeau

from ..functional import normalize
from ..modules.module import Module
from . import parametrize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _named_tensor(module: Module, name: str) -> Tensor:
    tensor = getattr(module, name, None)
    if not isinstance(tensor, flambeau.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return tensor


def norm_except(tensor: Tensor, dim: int) -> Tensor:
    """The 2-norm over all dimensions but one (over all, for -1), shaped to divide the tensor."""
    if dim == -1:
        return tensor.norm()
    dims = [each for each in range(tensor.dim()) if each != dim % tensor.dim()]
    return flambeau.linalg.vector_norm(tensor, 2, dims, keepdim=True) if dims else tensor.abs()


class _WeightNorm(Module):
    """``g * v / norm(v)``."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Trains the length and the direction of a weight separately (Salimans and Kingma 2016).

    ``dim`` is the dimension with one length per element; None for a single length. The length becomes
    ``parametrizations.weight.original0``, the direction ``original1``.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def from_older_layout(
        state_dict: Any, prefix: str, local_metadata: Any, strict: Any, missing: Any, unexpected: Any, errors: Any
    ) -> None:
        old = (f"{prefix}{name}_g", f"{prefix}{name}_v")
        if all(key in state_dict for key in old):
            for number, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{number}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(from_older_layout)
    return module


class _SpectralNorm(Module):
    """The weight divided by its largest singular value, which power iteration follows."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.dim()
        if dim >= ndim or dim < -ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._reshape_weight_to_matrix(weight)
            height, width = matrix.size()
            u = matrix.new_empty(height).normal_(0, 1)
            v = matrix.new_empty(width).normal_(0, 1)
            self.register_buffer("_u", normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            weight = weight.permute(self.dim, *(each for each in range(weight.dim()) if each != self.dim))
        return weight.flatten(1)

    def _power_method(self, matrix: Tensor, iterations: int) -> None:
        with flambeau.no_grad():
            for _ in range(iterations):
                self._u = normalize(flambeau.mv(matrix, self._v), dim=0, eps=self.eps, out=self._u)
                self._v = normalize(flambeau.mv(matrix.t(), self._u), dim=0, eps=self.eps, out=self._v)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        # copies, because the next iteration changes the vectors that this graph needs
        u, v = self._u.clone(), self._v.clone()
        return weight / flambeau.dot(u, flambeau.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divides a weight by its largest singular value (Miyato et al. 2018).

    Args:
        n_power_iterations: steps of power iteration at each use in training.
        eps: keeps the division from being one by zero.
        dim: the output dimension; 0, or 1 for transposed convolutions.
    """
    weight = _named_tensor(module, name)
    if dim is None:
        from ..modules.conv import _ConvTransposeNd

        dim = 1 if isinstance(module, _ConvTransposeNd) else 0
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module


class _Orthogonal(Module):
    """An orthogonal matrix from a square or tall one, by the matrix exponential, Cayley's map or reflections."""

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        n, k = X.shape[-2:]
        wide = n < k
        if wide:
            X = X.mT
            n, k = k, n
        if self.orthogonal_map in ("matrix_exp", "cayley"):
            X = X.tril()
            if n != k:  # missing columns are zeros
                X = flambeau.cat([X, X.new_zeros(n, n - k).expand(*X.shape[:-2], -1, -1)], dim=-1)
            A = X - X.mH
            if self.orthogonal_map == "matrix_exp":
                Q = flambeau.linalg.matrix_exp(A)
            else:
                identity = flambeau.eye(n, dtype=A.dtype, device=A.device)
                Q = flambeau.linalg.solve(identity - 0.5 * A, identity + 0.5 * A)
            if n != k:
                Q = Q[..., :k]
        else:
            A = X.tril(diagonal=-1)
            tau = 2.0 / (1.0 + (A * A).sum(dim=-2))
            Q = flambeau.linalg.householder_product(A, tau)
            # the diagonal keeps the signs, so that the inverse finds the same matrix
            Q = Q * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        if hasattr(self, "base") and self.base is not None:
            Q = self.base @ Q
        return Q.mT if wide else Q

    def right_inverse(self, Q: Tensor) -> Tensor:
        with flambeau.no_grad():
            if Q.shape != self.shape:
                raise ValueError(
                    f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
                )
            n, k = Q.size(-2), Q.size(-1)
            wide = n < k
            matrix = Q.mT if wide else Q
            n, k = matrix.size(-2), matrix.size(-1)
            if not hasattr(self, "base"):
                if self.orthogonal_map in ("cayley", "matrix_exp"):
                    raise NotImplementedError(
                        "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                        "use_trivialization=False."
                    )
                A, tau = flambeau.geqrf(matrix)
                # H = I - tau v v^T has eigenvalues 1 and -1; a tau of zero means no reflection
                A.diagonal(dim1=-2, dim2=-1).sign_()
                A.diagonal(dim1=-2, dim2=-1)[tau == 0.0] *= -1
                return A.mT if wide else A
            if n == k:
                base = _orthogonal_part(matrix) if not _is_orthogonal(matrix) else matrix.clone()
            else:
                noise = flambeau.randn(
                    *matrix.shape[:-2], n, n - k, dtype=matrix.dtype, device=matrix.device
                )
                base = _orthogonal_part(flambeau.cat([matrix, noise], dim=-1))
            self.base = base
            # minus one: a reflection without a vector flips its axis, and the diagonal flips it back;
            # the other two maps do not see the diagonal
            start = flambeau.zeros_like(matrix)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return start.mT if wide else start


def _is_orthogonal(matrix: Tensor) -> bool:
    n, k = matrix.size(-2), matrix.size(-1)
    identity = flambeau.eye(k, dtype=matrix.dtype, device=matrix.device)
    eps = 10.0 * n * flambeau.finfo(matrix.dtype).eps
    return bool(flambeau.allclose(matrix.mH @ matrix, identity, atol=eps))


def _orthogonal_part(matrix: Tensor) -> Tensor:
    """Q of the QR decomposition with a positive diagonal of R."""
    q, r = flambeau.linalg.qr(matrix)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keeps a matrix (or a batch of them) orthogonal, or with orthonormal rows or columns.

    Args:
        orthogonal_map: "matrix_exp", "cayley" or "householder"; by default the first for square and complex matrices,
            the last for others.
        use_trivialization: multiply by a fixed orthogonal matrix, so that the map starts at its best conditioned point
            (Lezcano Casado 2019).
    """
    weight = _named_tensor(module, name)
    if weight.dim() < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.size(-2) == weight.size(-1) or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    parametrization = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, parametrization, unsafe=True)
    return module
