"""Automatic differentiation: running backward, switching recording on and off, functions with gradients of their own.

The graph and the engine are C++ (core/autograd); this package is their Python face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _C
from .function import Function, FunctionCtx, once_differentiable
from .mode import detect_anomaly, enable_grad, inference_mode, no_grad, set_detect_anomaly, set_grad_enabled

Tensor = _C.Tensor
_LATER = ("functional", "forward_ad", "graph", "anomaly")

__all__ = [
    "Function", "FunctionCtx", "backward", "detect_anomaly", "enable_grad", "grad", "gradcheck", "gradgradcheck",
    "inference_mode", "no_grad", "once_differentiable", "set_detect_anomaly", "set_grad_enabled", "Variable",
]  # fmt: skip


def _tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, Tensor) else tuple(value)


def _cotangents(outputs: tuple[Tensor, ...], grads: Any, batched: bool = False) -> tuple[Any, ...]:
    """One cotangent per output, checked against its shape."""
    if grads is None:
        return (None,) * len(outputs)
    grads = _tuple(grads)
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    for i, (output, grad) in enumerate(zip(outputs, grads, strict=True)):
        if grad is not None and grad.shape != output.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {grad.shape} and output[{i}] has a shape of "
                f"{output.shape}."
            )
        if grad is not None and grad.dtype.is_complex != output.dtype.is_complex:
            raise RuntimeError(
                "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in "
                "dtype: "
                f"grad_output[{i}] has a dtype of {grad.dtype} and output[{i}] has a dtype of {output.dtype}."
            )
    return grads


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
    grad_variables: Any = None, inputs: Any = None,
) -> None:  # fmt: skip
    """Adds to .grad of all leaves (or of `inputs`) the gradients of the tensors, weighted by grad_tensors.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.backward([x.sum(), (x * x).sum()])
    >>> x.grad
    tensor([3., 3.])
    """
    outputs = _tuple(tensors)
    if inputs is not None:
        targets = _tuple(inputs)
        if not targets:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    grads = _cotangents(outputs, grad_tensors if grad_tensors is not None else grad_variables)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        _C.run_backward(outputs, grads, (), bool(retain), bool(create_graph))
        return
    found = _C.run_backward(outputs, grads, targets, bool(retain), bool(create_graph))
    for target, grad in zip(targets, found, strict=True):
        if grad is not None:
            target.grad = grad.detach() if target.grad is None and not create_graph else (
                grad if target.grad is None else target.grad + grad
            )


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
    only_inputs: bool = True, allow_unused: bool | None = None, is_grads_batched: bool = False, materialize_grads: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """The gradients of outputs (weighted by grad_outputs) with respect to inputs, without touching .grad.

    Raises:
        RuntimeError: an input does not take part and allow_unused is not set.

    >>> import flambeau as torch
    >>> x = torch.tensor(3., requires_grad=True)
    >>> torch.autograd.grad(x ** 2, x)
    (tensor(6.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
                         "allow_unused=False.")
    outputs, inputs = _tuple(outputs), _tuple(inputs)
    if is_grads_batched:
        from ..func import vmap

        def one(*cotangents: Tensor) -> Any:
            return grad(outputs, inputs, cotangents, True, create_graph, allow_unused=allow_unused, materialize_grads=materialize_grads)

        return vmap(one)(*_tuple(grad_outputs))
    retain = create_graph if retain_graph is None else retain_graph
    for i, tensor in enumerate(inputs):
        if not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = _C.run_backward(outputs, _cotangents(outputs, grad_outputs), inputs, bool(retain), bool(create_graph))
    if any(f is None for f in found):
        if materialize_grads:
            found = tuple(f if f is not None else _C.ops["zeros_like"](t) for f, t in zip(found, inputs, strict=True))
        elif not allow_unused:
            first = next(i for i, f in enumerate(found) if f is None)
            raise RuntimeError(
                f"The differentiated Tensor at index {first} appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
    return found


def Variable(data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    """The tensor itself, as a leaf: kept for old programs."""
    return data.detach().requires_grad_(requires_grad)


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("gradcheck", "gradgradcheck", "GradcheckError"):
        return getattr(importlib.import_module(f"{__name__}.checks"), name)
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
