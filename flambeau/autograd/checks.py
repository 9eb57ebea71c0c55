"""gradcheck and gradgradcheck: gradients against finite differences.

Complex tensors are seen as pairs of real numbers, so one comparison of real Jacobians serves all types.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

from .. import _C
from .._composites._primitives import P

Tensor = _C.Tensor
__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """Gradients and finite differences disagree."""


def _floating(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.dtype.is_floating_point or value.dtype.is_complex)


def _outputs_of(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _real_vector(t: Tensor) -> Tensor:
    """The elements as real numbers in a row."""
    t = t.detach()
    flat = P.reshape(t, (-1,)) if t.numel() else P.zeros((0,), dtype=t.dtype)
    return P.reshape(P.view_as_real(flat), (-1,)) if t.dtype.is_complex else flat


def _from_real(vector: Tensor, like: Tensor) -> Tensor:
    if like.dtype.is_complex:
        vector = P.view_as_complex(P.reshape(vector, (-1, 2)))
    return P.reshape(vector, tuple(like.shape))


def _numerical(func: Callable, inputs: tuple[Any, ...], place: int, eps: float) -> list[Tensor]:
    """For each differentiable output, its real Jacobian (outputs, inputs) by central differences."""
    x = inputs[place]
    columns: list[list[Tensor]] = []
    directions = (1, 1j) if x.dtype.is_complex else (1,)
    data = x.data
    for index in itertools.product(*map(range, x.shape)):
        for direction in directions:
            before = data[index].item()
            values = []
            for sign in (1, -1):
                data[index] = before + sign * eps * direction
                outputs = [o for o in _outputs_of(func(*inputs)) if _floating(o)]
                values.append([_real_vector(o).clone() for o in outputs])
            data[index] = before
            columns.append([(a - b) / (2 * eps) for a, b in zip(*values, strict=True)])
    if not columns:
        return []
    return [P.stack([c[i] for c in columns], 1) for i in range(len(columns[0]))]


def _analytical(output: Tensor, inputs: list[Tensor], retain: bool = True) -> list[Tensor]:
    """For each input, the real Jacobian by one backward for each real number of the output."""
    from . import grad

    size = output.numel() * (2 if output.dtype.is_complex else 1)
    rows: list[list[Tensor]] = [[] for _ in inputs]
    for k in range(size):
        weight = P.zeros((size,), dtype=output.dtype.to_real() if output.dtype.is_complex else output.dtype)
        weight[k] = 1
        grads = grad(output, inputs, _from_real(weight, output), retain_graph=retain, allow_unused=True)
        for row, g, x in zip(rows, grads, inputs, strict=True):
            row.append(_real_vector(P.zeros_like(x) if g is None else g))
    width = [x.numel() * (2 if x.dtype.is_complex else 1) for x in inputs]
    return [P.stack(row, 0) if row else P.zeros((0, w), dtype=output.dtype) for row, w in zip(rows, width, strict=True)]


def _forward(func: Callable, inputs: tuple[Any, ...], place: int) -> list[Tensor]:
    """For each differentiable output, the real Jacobian by forward mode with respect to one input."""
    from ..func import jvp

    x = inputs[place].detach()
    size = x.numel() * (2 if x.dtype.is_complex else 1)

    def of_one(value: Tensor) -> tuple[Tensor, ...]:
        filled = [v.detach() if isinstance(v, Tensor) else v for v in inputs]
        filled[place] = value
        return tuple(o for o in _outputs_of(func(*filled)) if _floating(o))

    columns = []
    for k in range(size):
        direction = P.zeros((size,), dtype=x.dtype.to_real() if x.dtype.is_complex else x.dtype)
        direction[k] = 1
        columns.append([_real_vector(t) for t in jvp(of_one, (x,), (_from_real(direction, x),))[1]])
    return [P.stack([c[i] for c in columns], 1) for i in range(len(columns[0]))] if columns else []


def _close(a: Tensor, b: Tensor, rtol: float, atol: float) -> bool:
    if a.numel() == 0:
        return True
    a, b = a.to(_C.float64), b.to(_C.float64)
    same = (a - b).abs() <= atol + rtol * b.abs()
    return bool((same | (a == b) | (a.isnan() & b.isnan())).all())


def _mismatch(numerical: Tensor, analytical: Tensor, output: int, place: int, what: str = "") -> str:
    return (
        f"Jacobian {what}mismatch for output {output} with respect to input {place},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def _check_inputs(inputs: tuple[Any, ...]) -> list[int]:
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for i in wanted:
        x = inputs[i]
        if x.dtype not in (_C.float64, _C.complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. "
                "This check will likely fail if all the inputs are not of double precision floating point or complex. ", stacklevel=3,
            )
        if any(stride == 0 and size > 1 for stride, size in zip(x.stride(), x.shape, strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                f"non-overlapping to be able "
                "to compute the numerical gradients correctly. You should call .contiguous on the input before "
                "passing it to gradcheck."
            )
        x.retain_grad()
    return wanted


def gradcheck(
    func: Callable, inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True,
    nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False, check_forward_ad: bool = False, check_backward_ad: bool = True,
    fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Whether the gradients of func at the inputs agree with central differences; raises GradcheckError where not.

    Inputs that require gradients should be float64 or complex128. All elements are checked; fast_mode is accepted and
    checks as much. check_forward_ad compares forward mode, check_batched_grad backward under vmap.

    >>> import flambeau as torch
    >>> torch.autograd.gradcheck(torch.sin, (torch.ones(2, dtype=torch.float64, requires_grad=True),))
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    try:
        _gradcheck(func, inputs, eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, check_batched_grad,
                   check_forward_ad, check_backward_ad)  # fmt: skip
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _gradcheck(
    func: Callable, inputs: tuple[Any, ...], eps: float, atol: float, rtol: float, nondet_tol: float, undefined: bool, dtypes: bool,
    batched: bool, forward: bool, backward: bool,
) -> None:  # fmt: skip
    from . import grad

    wanted = _check_inputs(inputs)
    leaves = [inputs[i] for i in wanted]
    outputs = [o for o in _outputs_of(func(*inputs)) if _floating(o)]
    differentiable = [o for o in outputs if o.requires_grad]
    numerical = {i: _numerical(func, inputs, i, eps) for i in wanted}
    if not differentiable:
        for columns in numerical.values():
            if any(not _close(c, P.zeros_like(c), rtol, atol) for c in columns):
                raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    if forward:
        for i in wanted:
            for k, (found, expected) in enumerate(zip(_forward(func, inputs, i), numerical[i], strict=True)):
                if not _close(found, expected, rtol, atol):
                    raise GradcheckError(_mismatch(expected, found, k, i, "computed with forward mode "))
    if not backward:
        return
    for k, output in enumerate(outputs):
        if not output.requires_grad:
            continue
        if not numerical[wanted[0]] and not output.numel():
            continue
        found = _analytical(output, leaves)
        for i, jacobian in zip(wanted, found, strict=True):
            if numerical[i] and not _close(jacobian, numerical[i][k], rtol, atol):
                raise GradcheckError(_mismatch(numerical[i][k], jacobian, k, i))
        for first, again in zip(found, _analytical(output, leaves), strict=True):
            if not _close(first, again, 0.0, nondet_tol):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    "gives "
                    "different values, although analytical gradient matches numerical gradient. The tolerance for "
                    f"nondeterminism was {nondet_tol}."
                )
        weight = P.fill(output.detach(), 1)
        for i, g in zip(wanted, grad(output, leaves, weight, retain_graph=True, allow_unused=True), strict=True):
            if g is None:
                continue
            if g.shape != inputs[i].shape:
                raise GradcheckError(f"grad is incorrect size: expected {tuple(inputs[i].shape)}, got {tuple(g.shape)}")
            if dtypes and g.dtype is not inputs[i].dtype:
                raise GradcheckError(f"grad dtype {g.dtype} does not match its input's {inputs[i].dtype}")
        if batched:
            _check_batched(output, leaves, weight, rtol, atol)


def _check_batched(output: Tensor, leaves: list[Tensor], weight: Tensor, rtol: float, atol: float) -> None:
    from . import grad

    weights = P.stack([weight, weight * 0.5], 0)
    together = grad(output, leaves, weights, retain_graph=True, allow_unused=True, is_grads_batched=True)
    for k in range(2):
        alone = grad(output, leaves, weights[k], retain_graph=True, allow_unused=True)
        for a, b in zip(together, alone, strict=True):
            if a is not None and b is not None and not _close(_real_vector(a[k]), _real_vector(b), rtol, atol):
                raise GradcheckError(f"For output, expected the batched gradient to equal the gradient of each "
                                     f"slice:\n{a[k]}\n{b}")


def gradgradcheck(
    func: Callable, inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True, fast_mode: bool = False, masked: bool = False,
) -> bool:  # fmt: skip
    """gradcheck of the gradient itself, with respect to the inputs and to grad_outputs (random where not given).

    >>> import flambeau as torch
    >>> torch.autograd.gradgradcheck(torch.sin, (torch.ones(2, dtype=torch.float64, requires_grad=True),))
    True
    """
    from . import grad

    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    outputs = [o for o in _outputs_of(func(*inputs)) if _floating(o) and o.requires_grad]
    if grad_outputs is None:
        from .. import randn

        def random(o: Tensor) -> Tensor:
            g = randn(tuple(o.shape), dtype=o.dtype)
            if gen_non_contig_grad_outputs and g.dim():
                g = P.select(P.stack([g, g], g.dim()), g.dim(), 0)
            return g.detach().requires_grad_()

        grads = tuple(random(o) for o in outputs)
    else:
        grads = tuple(grad_outputs) if isinstance(grad_outputs, (tuple, list)) else (grad_outputs,)
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    count = len(inputs)

    def gradient(*args: Any) -> tuple[Tensor, ...]:
        values, weights = args[:count], args[count:]
        values = tuple(
            v if not isinstance(v, Tensor) or v.requires_grad or i not in wanted else v.detach().requires_grad_() for i, v in enumerate(values)
        )
        found = [o for o in _outputs_of(func(*values)) if _floating(o) and o.requires_grad]
        result = grad(found, [values[i] for i in wanted], weights, create_graph=True, allow_unused=True)
        return tuple(P.zeros_like(values[i]) if g is None else g for i, g in zip(wanted, result, strict=True))

    return gradcheck(
        gradient, inputs + grads, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad,
        check_backward_ad=check_rev_over_rev or not check_fwd_over_rev, fast_mode=fast_mode, masked=masked,
    )  # fmt: skip
