"""The base of all optimizers: parameter groups, state, hooks, state_dict, and the step that every rule shares.

A rule (SGD, Adam, ...) names the state tensors it keeps (`_state_names`), makes them for a parameter that meets its
first gradient (`_initial_state`), and updates a list of parameters (`_update`). The base gathers the lists once and
keeps them until a parameter list or the state changes, so that a step is a few dictionary reads and one call into the
core for each parameter group.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from operator import is_
from typing import Any

import flambeau

Tensor = flambeau.Tensor
StateDict = dict[str, Any]
Params = Iterable[Any]


class _Required:
    """Marks an option that every parameter group has to bring itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
_next_hook = iter(range(1 << 62))
_global_pre_hooks: dict[int, Callable] = OrderedDict()
_global_post_hooks: dict[int, Callable] = OrderedDict()


class RemovableHandle:
    """Takes a hook out of the table it was put into; also a context manager."""

    def __init__(self, table: dict[int, Any]) -> None:
        self.table, self.id = table, next(_next_hook)

    def remove(self) -> None:
        self.table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def _register(table: dict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(table)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)  # type: ignore[attr-defined]
    return handle


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Calls `hook(optimizer, args, kwargs)` before every step of every optimizer."""
    return _register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Calls `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return _register(_global_post_hooks, hook)


class _State(defaultdict):
    """A defaultdict(dict) that notices when someone outside reaches into it: gathered lists may be stale then."""

    def __init__(self, *args: Any) -> None:
        super().__init__(dict, *args)
        self.touched = True

    def __reduce__(self) -> Any:
        return defaultdict, (dict, dict(dict.items(self)))


def _noticing(name: str) -> Callable:
    plain = getattr(defaultdict, name)

    def method(self: _State, *args: Any, **kwargs: Any) -> Any:
        self.touched = True
        return plain(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name in (
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__iter__",
    "get",
    "items",
    "values",
    "keys",
    "pop",
    "popitem",
    "clear",
    "update",
    "setdefault",
):
    setattr(_State, _name, _noticing(_name))


class _Plan:
    """The gathered lists of one parameter group."""

    __slots__ = ("group", "source", "members", "names", "params", "states", "waiting")

    def __init__(self, group: dict[str, Any], names: tuple[str, ...]) -> None:
        self.group = group
        self.source = group["params"]  # the list itself, and what it held when the plan was made
        self.members = tuple(self.source)
        self.names = names
        self.params: list[Any] = []  # parameters that have state
        self.states: tuple[list[Any], ...] = tuple([] for _ in names)
        self.waiting: list[Any] = []  # parameters that have not met a gradient yet

    def admit(self, parameter: Any, state: dict[str, Any]) -> None:
        self.params.append(parameter)
        for values, name in zip(self.states, self.names):
            values.append(state[name])


def state_scalar(value: float) -> Any:
    """A number kept as a 0-d tensor, as checkpoints of PyTorch hold it (the step count, above all)."""
    double = flambeau.get_default_dtype() == flambeau.float64
    return flambeau.tensor(value, dtype=flambeau.float64 if double else flambeau.float32)


def zeros_as(parameter: Any) -> Any:
    """Zeros of the shape, dtype, device and memory layout of a parameter."""
    return flambeau.zeros_like(parameter, memory_format=flambeau.preserve_format)


def to_number(value: Any) -> Any:
    """A Python number for a number or a tensor of one element."""
    return value.item() if isinstance(value, Tensor) else value


class Optimizer:
    """Base of all optimizers.

    Args:
        params: tensors, `(name, tensor)` pairs, or dictionaries that describe parameter groups: `"params"` holds the
            tensors, the other keys are options of that group.
        defaults: options of the groups that do not bring their own.

    Raises:
        TypeError: params is a single tensor or a set, or holds something other than tensors.
        ValueError: no parameters, a parameter that is not a leaf, or one that appears twice.

    Write a new optimizer by overriding `step`.
    """

    param_groups: list[dict[str, Any]]
    state: defaultdict[Any, Any]
    defaults: dict[str, Any]
    _own_step = False  # True where `step` calls the hooks itself

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._prepare_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {params.type() if hasattr(params, 'type') else type(params).__name__}\n"
                f"{type(self).__name__}: expected a list of parameters; got one tensor of shape {tuple(params.shape)}\n"
                "hint: pass [tensor], or model.parameters()"
            )
        self.state = _State()
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError(
                "optimizer got an empty parameter list\n"
                f"{type(self).__name__}: expected at least one parameter; got none\n"
                "hint: model.parameters() is used up after one pass; call it again, or assign layers as attributes"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _prepare_hooks(self) -> None:
        self._optimizer_step_pre_hooks: dict[int, Callable] = OrderedDict()
        self._optimizer_step_post_hooks: dict[int, Callable] = OrderedDict()
        self._optimizer_state_dict_pre_hooks: dict[int, Callable] = OrderedDict()
        self._optimizer_state_dict_post_hooks: dict[int, Callable] = OrderedDict()
        self._optimizer_load_state_dict_pre_hooks: dict[int, Callable] = OrderedDict()
        self._optimizer_load_state_dict_post_hooks: dict[int, Callable] = OrderedDict()
        self._plans: list[_Plan] | None = None
        self._opt_called = False
        self._stepping = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__ and not cls.__dict__.get("_own_step", False):
            cls.step = _with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    # copies, pickles, text

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not hasattr(self, "_optimizer_step_pre_hooks"):
            self._prepare_hooks()
        if isinstance(self.state, dict) and not isinstance(self.state, _State):
            self.state = _State(self.state)
        self._plans = None
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {index}"] if index == 0 else ["", f"Parameter Group {index}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    # groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters, `{"params": tensors, option: value, ...}`; missing options get the defaults.

        Raises:
            TypeError: not a dictionary, parameters in a set, or members that are not tensors.
            ValueError: a parameter that is not a leaf or is in another group already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        params = list(params)
        names = [item[0] for item in params if isinstance(item, tuple)]
        if names:
            if len(names) != len(params):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            params = [item[1] for item in params]
            param_group["param_names"] = names
        param_group["params"] = params
        for item in params:
            if not isinstance(item, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {_type_name(item)}")
            if not self.defaults.get("differentiable", None) and not (item.is_leaf or item.retains_grad):
                raise ValueError(
                    "can't optimize a non-leaf Tensor\n"
                    f"{type(self).__name__}: expected a leaf; got a result of shape {tuple(item.shape)}\n"
                    "hint: optimize the tensor it was computed from, or detach it first"
                )
        for key, value in self.defaults.items():
            if value is required and key not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {key}")
            param_group.setdefault(key, value)
        if len(set(map(id, params))) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each of them is updated twice a step",
                stacklevel=3,
            )
        if not set(map(id, params)).isdisjoint(id(p) for group in self.param_groups for p in group["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        if self.param_groups and ("param_names" in param_group) != ("param_names" in self.param_groups[0]):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                + ("with names" if names else "without names")
                + " to the optimizer"
            )
        self.param_groups.append(param_group)
        self._plans = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters; with `set_to_none=False` fills them with zeros instead."""
        for group in self.param_groups:
            params = group["params"]
            if set_to_none:
                if _core_zero_grad is not None:
                    _core_zero_grad(params)
                    continue
                for parameter in params:
                    parameter.grad = None
                continue
            for parameter in params:
                grad = parameter.grad
                if grad is None:
                    continue
                if grad.requires_grad:
                    parameter.grad = grad = grad.detach()
                with flambeau.no_grad():
                    grad.zero_()

    # the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates the parameters once; `closure`, where given, recomputes the loss, which is returned."""
        raise NotImplementedError

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(optimizer, args, kwargs)` before each step; it may return new `(args, kwargs)`."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(optimizer, args, kwargs)` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    # state_dict

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls `hook(optimizer)` before state_dict() collects."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls `hook(optimizer, state_dict)` on the result; it may return another."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls `hook(optimizer, state_dict)` before load_state_dict(); it may return another."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls `hook(optimizer)` after load_state_dict()."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self) -> StateDict:
        """`{"state": ..., "param_groups": ...}` with parameters replaced by their position in all groups together.

        The tensors are the optimizer's own, not copies. PyTorch's optimizers load it, and the reverse.
        """
        for hook in list(self._optimizer_state_dict_pre_hooks.values()):
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            packed["params"] = [numbers[id(parameter)] for parameter in group["params"]]
            groups.append(packed)
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        result: StateDict = {"state": state, "param_groups": groups}
        for hook in list(self._optimizer_state_dict_post_hooks.values()):
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Takes over the state and options that state_dict() of the same kind of optimizer gave.

        State tensors are cast to the dtype of their parameter, step counts keep theirs.

        Raises:
            ValueError: another number of groups, or of parameters in one of them.
        """
        state_dict = state_dict.copy()
        for hook in list(self._optimizer_load_state_dict_pre_hooks.values()):
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        saved = deepcopy(state_dict["param_groups"])
        if len(saved) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups\n"
                f"load_state_dict: expected {len(self.param_groups)} groups; got {len(saved)}"
            )
        for index, (own, group) in enumerate(zip(self.param_groups, saved)):
            if len(own["params"]) != len(group["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group\n"
                    f"load_state_dict: expected {len(own['params'])} parameters in group {index}; "
                    f"got {len(group['params'])}"
                )
        parameters = dict(
            zip(
                chain.from_iterable(g["params"] for g in saved),
                chain.from_iterable(g["params"] for g in self.param_groups),
            )
        )
        state = _State()
        for key, value in state_dict["state"].items():
            if key in parameters:
                state[parameters[key]] = _cast_state(parameters[key], value, None)
            else:
                state[key] = value
        groups = []
        for own, group in zip(self.param_groups, saved):
            group["params"] = own["params"]
            if "param_names" in own and "param_names" not in group:
                group["param_names"] = own["param_names"]
            groups.append(group)
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in list(self._optimizer_load_state_dict_post_hooks.values()):
            hook(self)


_core_zero_grad = getattr(getattr(flambeau, "_C", None), "zero_grad", None)


def _type_name(value: Any) -> str:
    return value.type() if isinstance(value, Tensor) else type(value).__name__


def _cast_state(parameter: Any, value: Any, key: Any) -> Any:
    """State of a parameter in its dtype and on its device; in new containers."""
    if isinstance(value, Tensor):
        if key == "step":
            return value.clone()
        if parameter.is_floating_point():
            return value.to(dtype=parameter.dtype, device=parameter.device, copy=True)
        return value.to(device=parameter.device, copy=True)
    if isinstance(value, dict):
        return {name: _cast_state(parameter, item, name) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast_state(parameter, item, key) for item in value)
    return value


def _run_with_hooks(optimizer: Any, step: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    if optimizer._stepping:  # an overriding step() called its parent's: the hooks have run
        return step(optimizer, *args, **kwargs)
    optimizer._stepping = True
    optimizer._opt_called = True
    try:
        for hook in [*_global_pre_hooks.values(), *optimizer._optimizer_step_pre_hooks.values()]:
            changed = hook(optimizer, args, kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise RuntimeError(f"{step} must return None or a tuple of (new_args, new_kwargs), but got {changed}.")
            args, kwargs = changed
        result = step(optimizer, *args, **kwargs)
        for hook in [*optimizer._optimizer_step_post_hooks.values(), *_global_post_hooks.values()]:
            hook(optimizer, args, kwargs)
        return result
    finally:
        optimizer._stepping = False


def _with_hooks(step: Callable) -> Callable:
    """`step` of a class written outside of this package, with the hooks around it."""
    from functools import wraps

    @wraps(step)
    def hooked(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _run_with_hooks(self, step, args, kwargs)

    hooked.hooked = True  # type: ignore[attr-defined]
    return hooked


class RuleOptimizer(Optimizer):
    """An optimizer that updates every parameter by the same rule, all parameters of a group in one call."""

    _own_step = True

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient.

        Args:
            closure: recomputes the loss and its gradients; called once, with gradients enabled.

        Returns:
            What `closure` returned, or None.
        """
        if (
            self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or _global_pre_hooks or _global_post_hooks
        ) and not self._stepping:
            return _run_with_hooks(self, type(self).step, (closure,) if closure is not None else (), {})
        self._opt_called = True
        loss = None
        if closure is not None:
            with flambeau.enable_grad():
                loss = closure()
        plans = self._plans
        state = self.state
        if plans is None or type(state) is not _State or state.touched:
            plans = self._gather()
        for plan in plans:
            group = plan.group
            source = group["params"]
            if (
                source is not plan.source
                or len(source) != len(plan.members)
                or not all(map(is_, source, plan.members))
                or self._state_names(group) != plan.names
            ):
                plan = self._regather(plan)
            if plan.waiting:
                self._admit(plan)
            if plan.params:
                self._update(group, plan.params, plan.states)
        return loss

    def _gather(self) -> list[_Plan]:
        state = self.state
        plans = []
        for group in self.param_groups:
            names = self._state_names(group)
            plan = _Plan(group, names)
            for parameter in group["params"]:
                own = dict.get(state, parameter)
                if not names or (own and all(own.get(name) is not None for name in names)):
                    plan.admit(parameter, own or {})
                else:
                    plan.waiting.append(parameter)
            plans.append(plan)
        self._plans = plans
        if type(state) is _State:
            state.touched = False
        return plans

    def _regather(self, plan: _Plan) -> _Plan:
        index = next(i for i, group in enumerate(self.param_groups) if group is plan.group)
        return self._gather()[index]

    def _admit(self, plan: _Plan) -> None:
        """Gives state to the parameters that meet their first gradient."""
        waiting = []
        for parameter in plan.waiting:
            if parameter.grad is None:
                waiting.append(parameter)
                continue
            own = dict.get(self.state, parameter)
            if own is None:
                own = {}
                dict.__setitem__(self.state, parameter, own)
            with flambeau.no_grad():
                for name, value in self._initial_state(plan.group, parameter).items():
                    if own.get(name) is None:
                        own[name] = value
            plan.admit(parameter, own)
        plan.waiting = waiting

    # what a rule says

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the state that the rule keeps with these options, in the order `_update` expects it."""
        return ()

    def _initial_state(self, group: dict[str, Any], parameter: Any) -> dict[str, Any]:
        """State of a parameter before its first step."""
        return {}

    def _update(self, group: dict[str, Any], params: list[Any], states: tuple[list[Any], ...]) -> None:
        """Updates those of the parameters that have a gradient."""
        raise NotImplementedError


def check_implementation_flags(foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """Refuses flags that contradict each other. There is one implementation here; the flags do not change results."""
    if fused:
        if differentiable:
            raise RuntimeError("`fused` does not support `differentiable`")
        if foreach:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def check_range(name: str, value: Any, low: float = 0.0, high: float | None = None) -> None:
    """Raises PyTorch's ValueError unless low <= value (< high)."""
    if not low <= value or (high is not None and not value < high):
        raise ValueError(f"Invalid {name}: {value}")


def check_lr(lr: Any) -> None:
    if isinstance(lr, Tensor):
        if lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        lr = lr.item()
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_betas(betas: Any) -> None:
    for index, beta in enumerate(betas):
        if not 0.0 <= to_number(beta) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {to_number(beta)}")
