"""The update rules, each written once, over a list of parameters.

`update(rule, params, states, options)` hands the whole list to the core's multi-tensor kernel. What that does not cover
(half and complex types, strided parameters, differentiable steps, rules without a kernel) runs through the functions
below: plain compositions over tensor operations, which are also the specification of the kernels.

The core function, `flambeau._C.optimizer_step(rule, params, states, options) -> bool`:

* `params`: list of tensors; their gradients are read from `.grad`, those without one are skipped.
* `states`: tuple of lists parallel to `params`, in the order of the rule below. Step counts are 0-d float tensors that
  the call increments.
* `options`: tuple of Python numbers and bools, in the order of the rule below.
* False, with nothing changed, where it does not cover some tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flambeau

_core_step = getattr(getattr(flambeau, "_C", None), "optimizer_step", None)
_RULES: dict[str, Callable] = {}


def update(
    rule: str, params: list[Any], states: tuple[list[Any], ...], options: tuple, differentiable: bool = False
) -> None:
    """Updates every parameter that has a gradient by the named rule."""
    if _core_step is not None and not differentiable and _core_step(rule, params, states, options):
        return
    compose(rule, params, states, options, differentiable)


def compose(rule: str, params: list[Any], states: tuple[list[Any], ...], options: tuple, differentiable: bool) -> None:
    """The same through tensor operations, one parameter after the other."""
    apply = _RULES[rule]
    with flambeau.set_grad_enabled(differentiable):
        for index, parameter in enumerate(params):
            grad = parameter.grad
            if grad is None:
                continue
            state = [values[index] for values in states]
            if parameter.is_complex() and rule not in ("sgd", "adafactor"):
                real = flambeau.view_as_real
                state = [real(value) if value.is_complex() else value for value in state]
                parameter, grad = real(parameter), real(grad)
            apply(parameter, grad, state, *options)


def _rule(function: Callable) -> Callable:
    _RULES[function.__name__.lstrip("_")] = function
    return function


def is_sparse(tensor: Any) -> bool:
    return bool(getattr(tensor, "is_sparse", False))


def _dense(grad: Any, rule: str) -> None:
    if is_sparse(grad):
        raise RuntimeError(f"{rule} does not support sparse gradients")


def _subtract(parameter: Any, change: Any, scale: Any) -> None:
    """parameter -= scale * change, where the scale may be a tensor with a gradient."""
    if isinstance(scale, flambeau.Tensor):
        parameter.sub_(change * scale)
    else:
        parameter.add_(change, alpha=-scale)


def _decay(parameter: Any, grad: Any, lr: Any, weight_decay: Any, decoupled: bool, maximize: bool) -> Any:
    """The gradient after sign and weight decay; decoupled decay shrinks the parameter instead."""
    if maximize:
        grad = -grad
    if isinstance(weight_decay, flambeau.Tensor) or weight_decay != 0:
        if decoupled:
            parameter.mul_(1 - lr * weight_decay)
        elif isinstance(weight_decay, flambeau.Tensor):
            grad = grad + weight_decay * parameter
        else:
            grad = grad.add(parameter, alpha=weight_decay)
    return grad


def _advance(step: Any) -> float:
    step.add_(1)
    return step.item()


@_rule
def _sgd(p, g, state, lr, momentum, dampening, weight_decay, nesterov, maximize):  # state: momentum_buffer or nothing
    g = _decay(p, g, lr, weight_decay, False, maximize)
    if momentum != 0:
        (buffer,) = state
        buffer.mul_(momentum).add_(g, alpha=1 - dampening)
        g = g.add(buffer, alpha=momentum) if nesterov else buffer
    _subtract(p, g, lr)


@_rule
def _adam(p, g, state, lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, decoupled):
    # state: step, exp_avg, exp_avg_sq, and max_exp_avg_sq with amsgrad
    _dense(g, "Adam")
    step, mean, square = state[:3]
    t = _advance(step)
    g = _decay(p, g, lr, weight_decay, decoupled, maximize)
    mean.lerp_(g, 1 - beta1)
    square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    if amsgrad:
        largest = state[3]
        largest.copy_(flambeau.maximum(largest, square))
        square = largest
    denominator = square.sqrt().div_(_root(1 - beta2**t)).add_(eps)
    _subtract(p, mean / denominator, lr / (1 - beta1**t))


def _root(value: Any) -> Any:
    return value.sqrt() if isinstance(value, flambeau.Tensor) else math.sqrt(value)


@_rule
def _rmsprop(p, g, state, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    # state: step, square_avg, grad_avg if centered, momentum_buffer if momentum > 0
    _dense(g, "RMSprop")
    _advance(state[0])
    g = _decay(p, g, lr, weight_decay, False, maximize)
    square = state[1]
    square.mul_(alpha).addcmul_(g, g, value=1 - alpha)
    if centered:
        mean = state[2]
        mean.lerp_(g, 1 - alpha)
        root = square.addcmul(mean, mean, value=-1).sqrt_().add_(eps)
    else:
        root = square.sqrt().add_(eps)
    if momentum > 0:
        buffer = state[-1]
        buffer.mul_(momentum).addcdiv_(g, root)
        _subtract(p, buffer, lr)
    else:
        _subtract(p, g / root, lr)


@_rule
def _adagrad(p, g, state, lr, lr_decay, weight_decay, eps, maximize):  # state: step, sum
    step, total = state
    t = _advance(step)
    if is_sparse(g):
        if weight_decay != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        return _adagrad_rows(p, -g if maximize else g, total, lr / (1 + (t - 1) * lr_decay), eps)
    g = _decay(p, g, lr, weight_decay, False, maximize)
    total.addcmul_(g, g)
    _subtract(p, g / total.sqrt().add_(eps), lr / (1 + (t - 1) * lr_decay))


def _adagrad_rows(p, g, total, rate, eps):
    """Adagrad for the entries of a sparse gradient."""
    g = g.coalesce()
    where = tuple(g.indices())
    values = g.values()
    sums = total[where] + values * values
    total[where] = sums
    p[where] = p[where] - rate * values / (sums.sqrt() + eps)


@_rule
def _adadelta(p, g, state, lr, rho, eps, weight_decay, maximize):  # state: step, square_avg, acc_delta
    _dense(g, "Adadelta")
    step, square, changes = state
    _advance(step)
    g = _decay(p, g, lr, weight_decay, False, maximize)
    square.mul_(rho).addcmul_(g, g, value=1 - rho)
    change = changes.add(eps).sqrt_().div_(square.add(eps).sqrt_()).mul_(g)
    changes.mul_(rho).addcmul_(change, change, value=1 - rho)
    _subtract(p, change, lr)


@_rule
def _adamax(p, g, state, lr, beta1, beta2, eps, weight_decay, maximize):  # state: step, exp_avg, exp_inf
    _dense(g, "Adamax")
    step, mean, norm = state
    t = _advance(step)
    g = _decay(p, g, lr, weight_decay, False, maximize)
    mean.lerp_(g, 1 - beta1)
    norm.copy_(flambeau.maximum(norm * beta2, g.abs().add_(eps)))
    _subtract(p, mean / norm, lr / (1 - beta1**t))


@_rule
def _nadam(p, g, state, lr, beta1, beta2, eps, weight_decay, momentum_decay, decoupled, maximize):
    # state: step, mu_product, exp_avg, exp_avg_sq
    _dense(g, "NAdam")
    step, product, mean, square = state
    t = _advance(step)
    g = _decay(p, g, lr, weight_decay, decoupled, maximize)
    now = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    following = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    product.mul_(now)
    passed = product.item()
    mean.lerp_(g, 1 - beta1)
    square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    root = square.div(1 - beta2**t).sqrt_().add_(eps)
    _subtract(p, g / root, lr * (1 - now) / (1 - passed))
    _subtract(p, mean / root, lr * following / (1 - passed * following))


@_rule
def _radam(p, g, state, lr, beta1, beta2, eps, weight_decay, decoupled, maximize):  # state: step, exp_avg, exp_avg_sq
    _dense(g, "RAdam")
    step, mean, square = state
    t = _advance(step)
    g = _decay(p, g, lr, weight_decay, decoupled, maximize)
    mean.lerp_(g, 1 - beta1)
    square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    correction = 1 - beta2**t
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / correction
    change, rate = mean, lr / (1 - beta1**t)
    if length > 5:
        trust = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        change = mean / square.sqrt().add_(eps)
        rate = rate * math.sqrt(trust * correction)
    _subtract(p, change, rate)


@_rule
def _asgd(p, g, state, lr, lambd, alpha, t0, weight_decay, maximize):  # state: step, eta, mu, ax
    _dense(g, "ASGD")
    step, eta, mu, average = state
    t = _advance(step)
    g = _decay(p, g, lr, weight_decay, False, maximize)
    rate, share = eta.item(), mu.item()
    p.mul_(1 - lambd * rate)
    p.add_(g, alpha=-rate)
    if share == 1:
        average.copy_(p)
    else:
        average.lerp_(p, share)
    eta.fill_(lr / (1 + lambd * lr * t) ** alpha)
    mu.fill_(1 / max(1, t - t0))


@_rule
def _rprop(p, g, state, smaller, larger, least, most, maximize):  # state: step, prev, step_size
    _dense(g, "Rprop")
    step, previous, size = state
    _advance(step)
    g = -g if maximize else g
    agreement = g * previous
    size.mul_(flambeau.where(agreement > 0, larger, flambeau.where(agreement < 0, smaller, 1.0)).to(size.dtype))
    size.clamp_(least, most)
    g = flambeau.where(agreement < 0, flambeau.zeros_like(g), g)  # after a turn: stay, and forget the direction
    p.addcmul_(g.sign(), size, value=-1)
    previous.copy_(g)


@_rule
def _adafactor(p, g, state, lr, beta2_decay, eps1, eps2, d, weight_decay, maximize):
    # state: step, then row_var and col_var of a matrix, or variance of a vector
    if p.is_complex():
        raise RuntimeError("Adafactor does not support complex parameters")
    _dense(g, "Adafactor")
    t = _advance(state[0])
    g = -g if maximize else g
    eps1 = flambeau.finfo(p.dtype).eps if eps1 is None else eps1
    weight = t**beta2_decay
    scale = max(eps2, p.norm(2).item() / math.sqrt(p.numel())) * min(lr, 1 / math.sqrt(t))
    if weight_decay != 0:
        p.mul_(1 - lr * weight_decay)
    squares = g * g
    if g.dim() > 1:
        rows, columns = state[1:]
        rows.lerp_(squares.mean(-1, keepdim=True), weight)
        columns.lerp_(squares.mean(-2, keepdim=True), weight)
        variance = (rows @ columns).div_(rows.mean(-2, keepdim=True).clamp_(min=eps1))
    else:
        state[1].lerp_(squares, weight)
        variance = state[1].clone()
    change = variance.clamp_(min=eps1 * eps1).rsqrt_().mul_(g)
    clip = max(1.0, change.norm(2).item() / (math.sqrt(p.numel()) * d))
    p.add_(change, alpha=-scale / clip)


@_rule
def _muon(
    p, g, state, lr, weight_decay, momentum, nesterov, coefficients, eps, steps, adjust
):  # state: momentum_buffer
    if p.is_complex():
        raise RuntimeError("Muon does not support complex parameters")
    _dense(g, "Muon")
    (buffer,) = state
    buffer.lerp_(g, 1 - momentum)
    change = _orthogonal(g.lerp(buffer, momentum) if nesterov else buffer, coefficients, eps, steps)
    rows, columns = p.shape[:2]
    if adjust == "match_rms_adamw":
        rate = lr * 0.2 * math.sqrt(max(rows, columns))
    else:
        rate = lr * math.sqrt(max(1, rows / columns))
    p.mul_(1 - lr * weight_decay)
    p.add_(change.to(p.dtype), alpha=-rate)


def _orthogonal(matrix: Any, coefficients: tuple[float, float, float], eps: float, steps: int) -> Any:
    """Roughly U V^T of the singular value decomposition, by a quintic Newton-Schulz iteration in bfloat16."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.bfloat16()
    x = x.t() if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.t()
        x = flambeau.addmm(x, flambeau.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x
