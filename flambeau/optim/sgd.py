"""Stochastic gradient descent, and Muon, which orthogonalises the momentum of matrices."""

from __future__ import annotations

from typing import Any

from flambeau.optim import _multi
from flambeau.optim.optimizer import (
    Params,
    RuleOptimizer,
    Tensor,
    check_implementation_flags,
    check_lr,
    check_range,
    to_number,
    zeros_as,
)


class SGD(RuleOptimizer):
    """Stochastic gradient descent with optional (Nesterov) momentum.

    With gradient g (plus weight_decay * p), momentum buffer b and its first value g:
    `b = momentum * b + (1 - dampening) * g`, `p = p - lr * b`; Nesterov momentum uses `g + momentum * b` in place of b
    (Sutskever et al., On the importance of initialization and momentum in deep learning, 2013).

    Args:
        params: parameters or groups of them, see `Optimizer`.
        lr: learning rate, a number or a tensor of one element.
        momentum, dampening, weight_decay: see above.
        nesterov: needs momentum and no dampening.
        maximize: follow the gradient upwards.
        differentiable: let gradients flow through the step.
        foreach, fused: accepted; there is one implementation, for all tensors at once.

    Raises:
        ValueError: an option out of range.

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = torch.optim.SGD([w], lr=0.5)
    >>> w.sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.5000, 0.5000])
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_range("momentum value", momentum)
        check_range("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_implementation_flags(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in (
                ("nesterov", False),
                ("maximize", False),
                ("foreach", None),
                ("differentiable", False),
                ("fused", False),
            ):
                group.setdefault(name, value)

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        if not group["momentum"]:
            return {}
        if group["dampening"] == 0:
            return {"momentum_buffer": zeros_as(parameter)}
        # the value from which the ordinary update gives the first gradient, which dampening shall not touch
        grad = _multi._decay(parameter, parameter.grad, 0, group["weight_decay"], False, group["maximize"])
        return {"momentum_buffer": grad * (group["dampening"] / group["momentum"])}

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        lr, weight_decay, differentiable = group["lr"], group["weight_decay"], group["differentiable"]
        if not differentiable:
            if type(lr) is not float:
                lr = to_number(lr)
            if type(weight_decay) is not float and type(weight_decay) is not int:
                weight_decay = to_number(weight_decay)
        options = (lr, group["momentum"], group["dampening"], weight_decay, group["nesterov"], group["maximize"])
        _multi.update("sgd", params, states, options, differentiable)


class Muon(RuleOptimizer):
    """Momentum whose update is orthogonalised, for the matrices of hidden layers (Keller Jordan, 2024).

    `b = lerp(b, g, 1 - momentum)`; the update is U V^T of `g` (Nesterov: mixed with b), found by `ns_steps` steps of a
    Newton-Schulz iteration in bfloat16 with `ns_coefficients`; weight decay is decoupled.

    Args:
        adjust_lr_fn: "original" (default) scales lr by sqrt(max(1, rows / columns)); "match_rms_adamw" by
            0.2 * sqrt(max(rows, columns)).

    Raises:
        ValueError: a parameter that is not a matrix, or an option out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        if not momentum >= 0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        if ns_steps >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        if len(ns_coefficients) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{tuple(parameter.shape)}\nhint: give biases and embeddings to AdamW"
                    )

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",)

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        return {"momentum_buffer": zeros_as(parameter)}

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (
            to_number(group["lr"]),
            group["weight_decay"],
            group["momentum"],
            group["nesterov"],
            group["ns_coefficients"],
            group["eps"],
            group["ns_steps"],
            group["adjust_lr_fn"],
        )
        _multi.compose("muon", params, states, options, False)
