"""L-BFGS: a quasi-Newton method over all parameters as one vector, with an optional strong Wolfe line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.optim.optimizer import Optimizer, Params, Tensor, check_lr, to_number

_Point = tuple[float, float, Any, float]  # step size, loss, flat gradient, slope along the direction


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5).

    Every `step(closure)` runs up to `max_iter` iterations; `closure` clears the gradients, computes the loss, calls
    `backward()` and returns the loss.

    Args:
        params: parameters; a single group.
        lr: step size, or the first trial of the line search.
        max_iter, max_eval: iterations and evaluations of closure per step; max_eval defaults to 5/4 of max_iter.
        tolerance_grad: stop when no entry of the gradient is larger.
        tolerance_change: stop when neither loss nor parameters change by more.
        history_size: pairs of changes that stand for the Hessian.
        line_search_fn: None or "strong_wolfe".

    Raises:
        ValueError: more than one parameter group.
        RuntimeError: another line search.
    """

    _own_step = False

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    # the parameters as one vector

    def _flat_gradient(self) -> Any:
        parts = []
        for parameter in self._params:
            grad = parameter.grad
            if grad is None:
                grad = flambeau.zeros_like(parameter)
            elif getattr(grad, "is_sparse", False):
                grad = grad.to_dense()
            parts.append((flambeau.view_as_real(grad) if grad.is_complex() else grad).reshape(-1))
        return flambeau.cat(parts, 0)

    def _move(self, step_size: float, direction: Any) -> None:
        offset = 0
        for parameter in self._params:
            values = flambeau.view_as_real(parameter) if parameter.is_complex() else parameter
            size = values.numel()
            values.add_(direction[offset : offset + size].view_as(values), alpha=step_size)
            offset += size

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Runs up to max_iter iterations and returns the loss before the first.

        Raises:
            TypeError: without a closure.
        """
        with flambeau.no_grad():
            return self._step(closure)

    def _evaluate(self, closure: Callable[[], Any]) -> Any:
        with flambeau.enable_grad():
            return closure()

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr, tolerance_change = to_number(group["lr"]), group["tolerance_change"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = self._evaluate(closure)
        loss, evaluations = float(first_loss), 1
        state["func_evals"] += 1
        grad = self._flat_gradient()
        flat_enough = grad.abs().max() <= group["tolerance_grad"]
        if flat_enough:
            return first_loss

        direction, size = state.get("d"), to_number(state.get("t"))
        previous_grad, previous_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                direction = grad.neg()
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            else:
                self._remember(state, grad.sub(previous_grad), direction.mul(size), group["history_size"])
                direction = self._direction(state, grad, group["history_size"])
            previous_grad = grad.clone()
            previous_loss = loss
            size = min(1.0, 1.0 / grad.abs().sum().item()) * lr if state["n_iter"] == 1 else lr
            slope = grad.dot(direction).item()
            if slope > -tolerance_change:
                break
            tried = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                start = [parameter.clone() for parameter in self._params]

                def probe(step_size: float) -> tuple[float, Any]:
                    self._move(step_size, direction)  # noqa: B023
                    value = float(self._evaluate(closure))
                    gradient = self._flat_gradient()
                    for parameter, saved in zip(self._params, start):  # noqa: B023
                        parameter.copy_(saved)
                    return value, gradient

                loss, grad, size, tried = _strong_wolfe(probe, size, direction, loss, grad, slope)
                self._move(size, direction)
                flat_enough = grad.abs().max() <= group["tolerance_grad"]
            else:
                self._move(size, direction)
                if iterations != group["max_iter"]:
                    loss = float(self._evaluate(closure))
                    grad = self._flat_gradient()
                    flat_enough = grad.abs().max() <= group["tolerance_grad"]
                    tried = 1
            evaluations += tried
            state["func_evals"] += tried
            if (
                iterations == group["max_iter"]
                or evaluations >= group["max_eval"]
                or flat_enough
                or direction.mul(size).abs().max() <= tolerance_change
                or abs(loss - previous_loss) < tolerance_change
            ):
                break
        if isinstance(group["lr"], Tensor):
            size = flambeau.full_like(group["lr"], size)
        state.update(d=direction, t=size, prev_flat_grad=previous_grad, prev_loss=previous_loss)
        return first_loss

    @staticmethod
    def _remember(state: dict[str, Any], change_of_grad: Any, change: Any, history: int) -> None:
        curvature = change_of_grad.dot(change)
        if curvature > 1e-10:
            if len(state["old_dirs"]) == history:
                for name in ("old_dirs", "old_stps", "ro"):
                    state[name].pop(0)
            state["old_dirs"].append(change_of_grad)
            state["old_stps"].append(change)
            state["ro"].append(1.0 / curvature)
            state["H_diag"] = curvature / change_of_grad.dot(change_of_grad)

    @staticmethod
    def _direction(state: dict[str, Any], grad: Any, history: int) -> Any:
        """The approximate inverse Hessian times -grad (two-loop recursion)."""
        changes, steps, inverse = state["old_dirs"], state["old_stps"], state["ro"]
        weights = state.setdefault("al", [None] * history)
        result = grad.neg()
        for index in reversed(range(len(changes))):
            weights[index] = steps[index].dot(result) * inverse[index]
            result.sub_(changes[index] * weights[index])
        result = result * state["H_diag"]
        for index in range(len(changes)):
            result.add_(steps[index] * (weights[index] - changes[index].dot(result) * inverse[index]))
        return result


def _minimum_of_cubic(a: _Point, b: _Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with these slopes has its minimum, within the bounds (or between them)."""
    (x1, f1, _, g1), (x2, f2, _, g2) = a, b
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if square < 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    if x1 <= x2:
        best = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        best = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(best, low), high)


def _strong_wolfe(
    probe: Callable[[float], tuple[float, Any]],
    size: float,
    direction: Any,
    loss: float,
    grad: Any,
    slope: float,
    sufficient: float = 1e-4,
    curvature: float = 0.9,
    tolerance: float = 1e-9,
    most: int = 25,
) -> tuple[float, Any, float, int]:
    """A step size with sufficient decrease and small slope (Nocedal and Wright, algorithms 3.5 and 3.6).

    Returns loss, gradient, step size and the number of probes.
    """
    longest = direction.abs().max().item()

    def at(step_size: float) -> _Point:
        value, gradient = probe(step_size)
        return step_size, value, gradient, gradient.dot(direction).item()

    origin = previous = (0.0, loss, grad.clone(), slope)
    point = at(size)
    probes, rounds, done = 1, 0, False
    bracket: list[_Point] = []
    while rounds < most:
        size = point[0]
        if point[1] > loss + sufficient * size * slope or (rounds > 1 and point[1] >= previous[1]):
            bracket = [previous, point]
            break
        if abs(point[3]) <= -curvature * slope:
            bracket, done = [point], True
            break
        if point[3] >= 0:
            bracket = [previous, point]
            break
        bounds = (size + 0.01 * (size - previous[0]), size * 10)
        following = _minimum_of_cubic(previous, point, bounds)
        previous, point = point, at(following)
        probes += 1
        rounds += 1
    if rounds == most:
        bracket = [origin, point]

    low, high = (0, len(bracket) - 1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
    stuck = False
    while not done and rounds < most:
        ends = sorted(p[0] for p in bracket)
        if (ends[1] - ends[0]) * longest < tolerance:
            break
        size = _minimum_of_cubic(bracket[0], bracket[1])
        margin = 0.1 * (ends[1] - ends[0])
        if min(ends[1] - size, size - ends[0]) < margin:  # too close to an end, twice: step away from it
            if stuck or size >= ends[1] or size <= ends[0]:
                size = ends[1] - margin if abs(size - ends[1]) < abs(size - ends[0]) else ends[0] + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = at(size)
        probes += 1
        rounds += 1
        if point[1] > loss + sufficient * size * slope or point[1] >= bracket[low][1]:
            bracket[high] = point
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if abs(point[3]) <= -curvature * slope:
                done = True
            elif point[3] * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
    best = bracket[low]
    return best[1], best[2], best[0], probes
