"""Optimizers with a step size for each entry: RMSprop, Adagrad, Adadelta, Rprop, Adafactor; and averaged SGD."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.optim import _multi
from flambeau.optim.optimizer import (
    Params,
    RuleOptimizer,
    Tensor,
    check_implementation_flags,
    check_lr,
    check_range,
    state_scalar,
    to_number,
    zeros_as,
)


class _Adaptive(RuleOptimizer):
    """Fills in the options that old checkpoints lack."""

    _old_defaults: dict[str, Any] = {"maximize": False, "foreach": None, "differentiable": False, "capturable": False}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._old_defaults.items():
                group.setdefault(name, value)
            for parameter in group["params"]:
                own = dict.get(self.state, parameter)
                for name in ("step", "eta", "mu"):
                    if own and name in own and not isinstance(own[name], Tensor):
                        own[name] = state_scalar(float(own[name]))

    @staticmethod
    def _lr(group: dict[str, Any]) -> Any:
        lr = group["lr"]
        return lr if type(lr) is float or group.get("differentiable") else to_number(lr)


class RMSprop(_Adaptive):
    """Divides by a running root mean square of the gradient (Hinton, lecture notes, 2012; centered: Graves, 2013).

    Args:
        params: parameters or groups of them, see `Optimizer`.
        lr: learning rate, a number or a tensor of one element.
        alpha: decay of the mean square.
        eps: added to the root.
        weight_decay: added to the gradient times the parameter.
        momentum: of the scaled gradient.
        centered: subtract the square of the mean gradient, so that the root is a standard deviation.
        maximize: follow the gradient upwards.
        differentiable: let gradients flow through the step.
        foreach, capturable: accepted; there is one implementation, for all tensors at once.
    """

    _old_defaults = {**_Adaptive._old_defaults, "momentum": 0, "centered": False}

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range("epsilon value", eps)
        check_range("momentum value", momentum)
        check_range("weight_decay value", weight_decay)
        check_range("alpha value", alpha)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return _RMSPROP_STATES[bool(group["centered"]), group["momentum"] > 0]

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        state = {"step": state_scalar(0.0), "square_avg": zeros_as(parameter)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_as(parameter)
        if group["centered"]:
            state["grad_avg"] = zeros_as(parameter)
        return state

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (
            self._lr(group),
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["centered"],
            group["maximize"],
        )
        _multi.update("rmsprop", params, states, options, group["differentiable"])


_RMSPROP_STATES = {
    (centered, momentum): (
        "step",
        "square_avg",
        *(["grad_avg"] if centered else []),
        *(["momentum_buffer"] if momentum else []),
    )
    for centered in (False, True)
    for momentum in (False, True)
}


class Adagrad(_Adaptive):
    """Divides by the root of the sum of all squared gradients so far (Duchi et al., 2011).

    Args:
        lr_decay: the learning rate of step t is `lr / (1 + (t - 1) * lr_decay)`.
        initial_accumulator_value: start of the sum.

    The other options are those of RMSprop.
    """

    _old_defaults = {"maximize": False, "foreach": None, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_range("lr_decay value", lr_decay)
        check_range("weight_decay value", weight_decay)
        check_range("initial_accumulator_value value", initial_accumulator_value)
        check_range("epsilon value", eps)
        check_implementation_flags(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter].update(self._initial_state(group, parameter))

    def share_memory(self) -> None:
        """Moves the sums into memory that other processes share."""
        for state in self.state.values():
            state["step"].share_memory_()
            state["sum"].share_memory_()

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", "sum")

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        start = group["initial_accumulator_value"]
        if parameter.is_complex():
            start = complex(start, start)
        return {"step": state_scalar(0.0), "sum": flambeau.full_like(parameter, start)}

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (self._lr(group), group["lr_decay"], group["weight_decay"], group["eps"], group["maximize"])
        _multi.update("adagrad", params, states, options, group["differentiable"])


class Adadelta(_Adaptive):
    """Scales the gradient by the ratio of the running root mean squares of past updates and of gradients, with decay
    `rho` (Zeiler, 2012). The other options are those of RMSprop.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_range("epsilon value", eps)
        check_range("weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", "square_avg", "acc_delta")

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        return {"step": state_scalar(0.0), "square_avg": zeros_as(parameter), "acc_delta": zeros_as(parameter)}

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (self._lr(group), group["rho"], group["eps"], group["weight_decay"], group["maximize"])
        _multi.update("adadelta", params, states, options, group["differentiable"])


class ASGD(_Adaptive):
    """SGD with decaying rate that keeps the mean of the parameters from step `t0` on in `state[p]["ax"]`
    (Polyak and Juditsky, 1992). Step t uses the rate `lr / (1 + lambd * lr * t) ** alpha`, and lambd as weight decay.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range("weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", "eta", "mu", "ax")

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        return {
            "step": state_scalar(0.0),
            "eta": state_scalar(float(to_number(group["lr"]))),
            "mu": state_scalar(1.0),
            "ax": zeros_as(parameter),
        }

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (
            to_number(group["lr"]),
            group["lambd"],
            group["alpha"],
            group["t0"],
            group["weight_decay"],
            group["maximize"],
        )
        _multi.compose("asgd", params, states, options, group["differentiable"])


class Rprop(_Adaptive):
    """Steps by the sign of the gradient; each entry's step grows while the sign stays and shrinks when it turns, by
    the factors `etas`, within `step_sizes` (Riedmiller and Braun, 1993). For full batches.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", "prev", "step_size")

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        start = to_number(group["lr"])
        if parameter.is_complex():
            start = complex(start, start)
        return {
            "step": state_scalar(0.0),
            "prev": zeros_as(parameter),
            "step_size": flambeau.full_like(parameter, start),
        }

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (*group["etas"], *group["step_sizes"], group["maximize"])
        _multi.compose("rprop", params, states, options, group["differentiable"])


class Adafactor(_Adaptive):
    """Adam's scaling with the mean square of a matrix kept as one row and one column (Shazeer and Stern, 2018).

    Args:
        beta2_decay: step t mixes new squares in with the weight `t ** beta2_decay`.
        eps: floor of the mean square (None: the machine epsilon of the dtype) and of the parameter's own scale.
        d: the update's root mean square is clipped at this.
        weight_decay: decoupled.
    """

    _old_defaults = {"foreach": None}

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr)
        if beta2_decay > 0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def _gather(self) -> Any:
        """Matrices and vectors keep different state, so the lists hold whole state dictionaries."""
        plans = super()._gather()
        for plan in plans:
            plan.params, plan.waiting = [], list(plan.members)
        return plans

    def _admit(self, plan: Any) -> None:
        for parameter in plan.waiting:
            own = self.state[parameter]
            if parameter.grad is not None and not own:
                shape = list(parameter.shape)
                own["step"] = state_scalar(0.0)
                if len(shape) > 1:
                    own["row_var"] = parameter.grad.new_zeros([*shape[:-1], 1])
                    own["col_var"] = parameter.grad.new_zeros([*shape[:-2], 1, shape[-1]])
                else:
                    own["variance"] = parameter.grad.new_zeros(shape)
            elif not own:
                del self.state[parameter]
        self._update(plan.group, plan.waiting, ())

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        options = (
            to_number(group["lr"]),
            group["beta2_decay"],
            *group["eps"],
            group["d"],
            group["weight_decay"],
            group["maximize"],
        )
        for parameter in params:
            if parameter.grad is not None:
                own = self.state[parameter]
                names = ("step", "row_var", "col_var") if parameter.dim() > 1 else ("step", "variance")
                _multi.compose("adafactor", [parameter], tuple([own[name]] for name in names), options, False)
