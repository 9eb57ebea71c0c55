"""Adam and the optimizers that keep its two moments: AdamW, Adamax, NAdam, RAdam, SparseAdam."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau.optim import _multi
from flambeau.optim.optimizer import (
    Params,
    RuleOptimizer,
    Tensor,
    check_betas,
    check_implementation_flags,
    check_lr,
    check_range,
    state_scalar,
    to_number,
    zeros_as,
)


class _Moments(RuleOptimizer):
    """State and options that the whole family shares."""

    _moments: tuple[str, str] = ("exp_avg", "exp_avg_sq")
    _old_defaults: dict[str, Any] = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._old_defaults.items():
                group.setdefault(name, value)
            for parameter in group["params"]:  # step counts were plain numbers in old checkpoints
                own = dict.get(self.state, parameter)
                if own and "step" in own and not isinstance(own["step"], Tensor):
                    own["step"] = state_scalar(float(own["step"]))

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", *self._moments)

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        state = {"step": state_scalar(0.0)}
        for name in self._moments:
            state[name] = zeros_as(parameter)
        return state

    @staticmethod
    def _numbers(group: dict[str, Any]) -> tuple[Any, Any, Any]:
        """lr and betas, as numbers unless gradients shall flow through them."""
        lr, (beta1, beta2) = group["lr"], group["betas"]
        if (type(lr) is float and type(beta1) is float) or group["differentiable"]:
            return lr, beta1, beta2
        return to_number(lr), to_number(beta1), to_number(beta2)


class Adam(_Moments):
    """Adam: steps scaled by running means of the gradient and of its square (Kingma and Ba, 2014).

    `m = lerp(m, g, 1 - beta1)`, `v = lerp(v, g * g, 1 - beta2)`, and with both corrected for their start at zero,
    `p = p - lr * m / (sqrt(v) + eps)`.

    Args:
        params: parameters or groups of them, see `Optimizer`.
        lr: learning rate, a number or a tensor of one element.
        betas: decay of the two means, numbers in [0, 1) or tensors of one element.
        eps: added to the root.
        weight_decay: added to the gradient times the parameter, or, with `decoupled_weight_decay`, as in AdamW.
        amsgrad: divide by the largest v so far (Reddi et al., 2018).
        maximize: follow the gradient upwards.
        differentiable: let gradients flow through the step.
        foreach, fused, capturable: accepted; there is one implementation, for all tensors at once.

    Raises:
        ValueError: an option out of range.
    """

    _decoupled = False
    _weight_decay = 0.0

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        check_lr(lr)
        check_range("epsilon value", eps)
        check_betas(betas)
        check_range("weight_decay value", weight_decay)
        if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
            raise ValueError("betas must be either both floats or both Tensors")
        for index, beta in enumerate(betas):
            if isinstance(beta, Tensor):
                if foreach and not capturable:
                    raise ValueError(
                        f"betas[{index}] as a Tensor is not supported for capturable=False and foreach=True"
                    )
                if beta.numel() != 1:
                    raise ValueError(f"Tensor betas[{index}] must be 1-element")
        check_implementation_flags(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("fused", None)

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return _ADAM_AMSGRAD if group["amsgrad"] else _ADAM

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        state = super()._initial_state(group, parameter)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_as(parameter)
        return state

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        lr, beta1, beta2 = self._numbers(group)
        options = (
            lr,
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["amsgrad"],
            group["maximize"],
            group["decoupled_weight_decay"],
        )
        _multi.update("adam", params, states, options, group["differentiable"])


_ADAM = ("step", "exp_avg", "exp_avg_sq")
_ADAM_AMSGRAD = (*_ADAM, "max_exp_avg_sq")


class AdamW(Adam):
    """Adam with decoupled weight decay: parameters shrink by `lr * weight_decay` before each step, and the decay stays
    out of the running means (Loshchilov and Hutter, 2017). The options are Adam's.

    >>> import flambeau as torch
    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    >>> optimizer.param_groups[0]["weight_decay"]
    0.01
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


class Adamax(_Moments):
    """Adam with the infinity norm of past gradients in place of the root of their mean square (Kingma and Ba, 2014,
    section 7.1). Options as in Adam.
    """

    _moments = ("exp_avg", "exp_inf")
    _old_defaults = {"maximize": False, "foreach": None, "capturable": False, "differentiable": False}

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range("epsilon value", eps)
        check_betas(betas)
        check_range("weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (*self._numbers(group), group["eps"], group["weight_decay"], group["maximize"])
        _multi.update("adamax", params, states, options, group["differentiable"])


class NAdam(_Moments):
    """Adam with Nesterov momentum, whose weight grows over the steps at the rate `momentum_decay` (Dozat, 2016)."""

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range("epsilon value", eps)
        check_betas(betas)
        check_range("weight_decay value", weight_decay)
        check_range("momentum_decay value", momentum_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", "mu_product", "exp_avg", "exp_avg_sq")

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        state = super()._initial_state(group, parameter)
        return {"step": state.pop("step"), "mu_product": state_scalar(1.0), **state}

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (
            *self._numbers(group),
            group["eps"],
            group["weight_decay"],
            group["momentum_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )
        _multi.update("nadam", params, states, options, group["differentiable"])


class RAdam(_Moments):
    """Adam that takes plain momentum steps until the mean square rests on enough gradients (Liu et al., 2019)."""

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range("epsilon value", eps)
        check_betas(betas)
        check_range("weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (
            *self._numbers(group),
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )
        _multi.update("radam", params, states, options, group["differentiable"])


class SparseAdam(RuleOptimizer):
    """Adam for sparse gradients: only the entries that the gradient names change, and their moments with them."""

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_lr(lr)
        check_range("epsilon value", eps, low=math.ulp(0.0))
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        members = [parameter for group in self.param_groups for parameter in group["params"]]
        sparse = [index for index, parameter in enumerate(members) if _multi.is_sparse(parameter)]
        if sparse:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors\n"
                "hint: the gradients shall be sparse, the parameters dense"
            )
        if any(parameter.is_complex() for parameter in members):
            raise ValueError("SparseAdam does not support complex parameters")

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return _ADAM

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        return {"step": 0, "exp_avg": zeros_as(parameter), "exp_avg_sq": zeros_as(parameter)}

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        lr, (beta1, beta2), eps = to_number(group["lr"]), group["betas"], group["eps"]
        with flambeau.no_grad():
            for parameter in params:
                grad = parameter.grad
                if grad is None:
                    continue
                if not _multi.is_sparse(grad):
                    raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
                state = dict.__getitem__(self.state, parameter)
                state["step"] += 1
                grad = grad.coalesce()
                where = tuple(grad.indices())
                values = -grad.values() if group["maximize"] else grad.values()
                if values.numel() == 0:
                    continue
                mean = state["exp_avg"][where].lerp(values, 1 - beta1)
                square = state["exp_avg_sq"][where].lerp(values * values, 1 - beta2)
                state["exp_avg"][where], state["exp_avg_sq"][where] = mean, square
                step_size = lr * math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
                parameter[where] = parameter[where] - step_size * mean / (square.sqrt() + eps)
