"""Activation functions: those with an ``inplace`` switch, and those that need more than one primitive."""

from __future__ import annotations

import flambeau
from flambeau import _C

from ._primitives import quick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = [
    "celu", "elu", "gelu", "glu", "gumbel_softmax", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax",
    "mish", "prelu", "relu", "relu6", "rrelu", "rrelu_", "selu", "sigmoid", "silu", "softmax", "softmin", "softsign",
    "tanh", "tanhshrink", "threshold",
]


@quick(flambeau.relu)
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(x, 0)``, element by element. With ``inplace`` the input itself is changed and returned.

    >>> import flambeau as torch
    >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return flambeau.relu_(input) if inplace else flambeau.relu(input)


@quick(_C.ops["relu6"])
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(x, 0), 6)``."""
    return _C._nn.relu6_(input) if inplace else _C._nn.relu6(input)


@quick(_C.ops["elu"])
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere."""
    return _C._nn.elu_(input, alpha) if inplace else _C._nn.elu(input, alpha)


@quick(flambeau.selu)
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising ELU, with its two fixed constants (Klambauer et al. 2017)."""
    return flambeau.selu_(input) if inplace else flambeau.selu(input)


@quick(flambeau.celu)
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``: an ELU with a continuous slope."""
    return flambeau.celu_(input, alpha) if inplace else flambeau.celu(input, alpha)


@quick(_C.ops["leaky_relu"])
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where it is positive, ``negative_slope * x`` elsewhere."""
    if inplace:
        return _C._nn.leaky_relu_(input, negative_slope)
    return _C._nn.leaky_relu(input, negative_slope)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` limited to ``[min_val, max_val]``."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _C._nn.hardtanh_(input, min_val, max_val) if inplace else _C._nn.hardtanh(input, min_val, max_val)


@quick(_C.ops["hardsigmoid"])
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(x + 3, 0), 6) / 6``, a sigmoid made of straight lines."""
    return _C._nn.hardsigmoid_(input) if inplace else _C._nn.hardsigmoid(input)


@quick(_C.ops["hardswish"])
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * hardsigmoid(x)``."""
    return _C._nn.hardswish_(input) if inplace else _C._nn.hardswish(input)


@quick(_C.ops["silu"])
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * sigmoid(x)``, also called swish."""
    return _C._nn.silu_(input) if inplace else _C._nn.silu(input)


@quick(_C.ops["mish"])
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * tanh(softplus(x))``."""
    return _C._nn.mish_(input) if inplace else _C._nn.mish(input)


@quick(_C.ops["gelu"])
def gelu(input: Tensor, *, approximate: str = "none", out: Tensor | None = None) -> Tensor:
    """``x`` times the probability that a normal number is below ``x``.

    With ``approximate="tanh"`` the probability is that of a cheaper formula (Hendrycks and Gimpel 2016).

    Raises:
        RuntimeError: if ``approximate`` is neither ``"none"`` nor ``"tanh"``.
    """
    if approximate == "none":
        return _C._nn.gelu(input) if out is None else _C._nn.gelu(input, out=out)
    if approximate != "tanh":
        raise RuntimeError(
            f"approximate argument must be either none or tanh.\ngelu: expected none or tanh; got {approximate!r}"
        )
    return _C._nn.gelu_tanh(input) if out is None else _C._nn.gelu_tanh(input, out=out)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``x`` where it is above ``threshold``, ``value`` elsewhere."""
    return (_C._nn.threshold_ if inplace else _C._nn.threshold)(input, threshold, value)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``x`` where it is positive, ``weight * x`` elsewhere; one weight for all, or one per channel (dimension 1).

    Raises:
        RuntimeError: if the number of weights is neither one nor the number of channels.
    """
    if weight.numel() != 1:
        if input.dim() == 0:
            raise RuntimeError(
                "Not allow zero-dim input tensor.\n"
                f"prelu: expected an input with channels for {weight.numel()} weights; got shape ()"
            )
        channels = input.shape[1] if input.dim() > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} "
                f"and channel size = {channels}.\n"
                f"prelu: expected one weight or {channels}; got weight {tuple(weight.shape)}, "
                f"input {tuple(input.shape)}"
            )
    if weight.dim() > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}"
        )
    if weight.dtype != input.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}")
    if input.dim() > 1:
        weight = weight.reshape([-1] + [1] * (input.dim() - 2))
    elif input.dim() == 0:
        weight = weight.reshape(())
    return flambeau.where(input > 0, input, weight * input)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Leaky ReLU with a slope drawn from ``[lower, upper]`` for each negative element (its mean when not training)."""
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound; got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    with flambeau.no_grad():
        slopes = flambeau.ones_like(input)
        negative = input <= 0
        # one draw for each element that needs it, in double precision whatever the input is
        draws = flambeau.empty(int(negative.sum()), dtype=flambeau.float64, device=input.device)
        slopes[negative] = draws.uniform_(lower, upper).to(input.dtype)
    return input.mul_(slopes) if inplace else input * slopes


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """``rrelu`` that changes its input."""
    return rrelu(input, lower, upper, training, inplace=True)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """``a * sigmoid(b)`` where ``a`` and ``b`` are the two halves of the input along ``dim``.

    Raises:
        RuntimeError: if the size of ``dim`` is odd, or for an input without dimensions.
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    size = input.shape[dim]
    if size % 2 != 0:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % input.dim()} is size {size}\n"
            f"glu: expected an even size of dimension {dim}; got input {tuple(input.shape)}"
        )
    first, second = input.narrow(dim, 0, size // 2), input.narrow(dim, size // 2, size // 2)
    return first * flambeau.sigmoid(second)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return flambeau.tanh(input)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return flambeau.sigmoid(input)


def tanhshrink(input: Tensor) -> Tensor:
    """``x - tanh(x)``."""
    return input - flambeau.tanh(input)


def softsign(input: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return input / (flambeau.abs(input) + 1)


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    import warnings

    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


@quick(flambeau.softmax)
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``exp(x)`` divided by its sum along ``dim``; with ``dtype`` the input is converted first.

    >>> import flambeau as torch
    >>> torch.nn.functional.softmax(torch.zeros(1, 4), dim=1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    if dim is None:
        dim = _implicit_dim("softmax", input.dim(), _stacklevel)
    return flambeau.softmax(input, dim) if dtype is None else flambeau.softmax(input, dim, dtype=dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``softmax(-x)``."""
    if dim is None:
        dim = _implicit_dim("softmin", input.dim(), _stacklevel)
    return flambeau.softmax(-input, dim) if dtype is None else flambeau.softmax(-input, dim, dtype=dtype)


@quick(flambeau.log_softmax)
def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``log(softmax(x))``, computed without overflow."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input.dim(), _stacklevel)
    return flambeau.log_softmax(input, dim) if dtype is None else flambeau.log_softmax(input, dim, dtype=dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution (Jang et al. 2016).

    Args:
        logits: unnormalised log-probabilities, of any shape.
        tau: temperature.
        hard: return one-hot vectors whose gradient is that of the soft sample.
        eps: has no effect; kept for old programs.
        dim: the dimension over which the classes run.
    """
    if eps != 1e-10:
        import warnings

        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -flambeau.empty_like(logits, memory_format=flambeau.legacy_contiguous_format).exponential_().log()
    soft = flambeau.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = flambeau.zeros_like(logits, memory_format=flambeau.legacy_contiguous_format).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
