"""Hooks of modules: handles, registration, hooks for all modules, and the call path that runs them."""

from __future__ import annotations

import weakref
from collections import OrderedDict

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away. Also a context manager.

    Args:
        hooks_dict: the dictionary the hook will stand in, under ``handle.id``.
        extra_dict: one more dictionary (or several) from which ``remove`` deletes the same key.
    """

    next_id = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        if extra_dict is None:
            extra_dict = ()
        elif not isinstance(extra_dict, (list, tuple)):
            extra_dict = (extra_dict,)
        self.extra_dict_ref = tuple(weakref.ref(extra) for extra in extra_dict)

    def remove(self) -> None:
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        hooks, self.id, *extra = state
        # a handle whose dictionary is gone must still answer to remove()
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        extras = extra[0] if extra else ()
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if each is None else each) for each in extras)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.remove()


# One dictionary for the global hooks of every kind, so that a call tests only one thing.
global_hooks: OrderedDict[int, tuple[str, Callable[..., Any], bool, bool]] = OrderedDict()
registration_hooks: dict[str, OrderedDict[int, Callable[..., Any]]] = {
    "buffer": OrderedDict(), "module": OrderedDict(), "parameter": OrderedDict(),
}


def _register_global(kind: str, hook: Callable[..., Any], kwargs: bool = False, always: bool = False) -> Any:
    handle = RemovableHandle(global_hooks)
    global_hooks[handle.id] = (kind, hook, kwargs, always)
    return handle


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """``hook(module, args)`` runs before the forward of every module; a result replaces the arguments."""
    return _register_global("forward_pre", hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """``hook(module, args, output)`` runs after the forward of every module; a result replaces the output."""
    return _register_global("forward", hook, with_kwargs, always_call)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """``hook(module, grad_output)`` runs before every module's gradients are computed."""
    return _register_global("full_backward_pre", hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """``hook(module, grad_input, grad_output)`` runs once the gradients of a module's inputs are known."""
    _refuse_mixture("full_backward", "backward")
    return _register_global("full_backward", hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """The older form, which sees only the last operation of each module; prefer the full hook."""
    _refuse_mixture("backward", "full_backward")
    return _register_global("backward", hook)


def _refuse_mixture(kind: str, other: str) -> None:
    if any(entry[0] == other for entry in global_hooks.values()):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )


def _register_registration(kind: str, hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(registration_hooks[kind])
    registration_hooks[kind][handle.id] = hook
    return handle


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """``hook(module, name, buffer)`` runs at each ``register_buffer``; a result replaces the buffer."""
    return _register_registration("buffer", hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """``hook(module, name, submodule)`` runs when a child is registered; a result replaces the child."""
    return _register_registration("module", hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """``hook(module, name, parameter)`` runs when a parameter is registered; a result replaces it."""
    return _register_registration("parameter", hook)


class ModuleHooks:
    """The part of ``Module`` that registers hooks and runs the calls of modules that have some."""

    def _add_hook(self, hooks: Any, hook: Any, prepend: bool = False, **marks: bool) -> RemovableHandle:
        """Puts a hook into one dictionary, and its id into those of ``marks`` that are true."""
        extra = [getattr(self, name) for name in marks]
        handle = RemovableHandle(hooks, extra_dict=extra)
        hooks[handle.id] = hook
        for name, wanted in marks.items():
            if wanted:
                getattr(self, name)[handle.id] = True
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Runs ``hook(module, args)`` before each forward.

        The hook may return new positional arguments (a tuple, or one value). With ``with_kwargs`` it is called as
        ``hook(module, args, kwargs)`` and returns a pair ``(args, kwargs)`` or None. ``prepend`` puts it before the
        hooks that are there.
        """
        return self._add_hook(
            self._forward_pre_hooks, hook, prepend, _forward_pre_hooks_with_kwargs=with_kwargs
        )

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Runs ``hook(module, args, output)`` after each forward; what it returns replaces the output.

        With ``with_kwargs`` the call is ``hook(module, args, kwargs, output)``. With ``always_call`` the hook also
        runs when forward, or a hook before it, raised an exception.

        >>> import flambeau as torch
        >>> layer, seen = torch.nn.Linear(2, 3), []
        >>> handle = layer.register_forward_hook(lambda module, args, output: seen.append(tuple(output.shape)))
        >>> _ = layer(torch.ones(4, 2))
        >>> handle.remove()
        >>> seen
        [(4, 3)]
        """
        return self._add_hook(
            self._forward_hooks, hook, prepend,
            _forward_hooks_with_kwargs=with_kwargs, _forward_hooks_always_called=always_call,
        )

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Runs ``hook(module, grad_output)`` before the gradients of the module are computed.

        ``grad_output`` is a tuple with one gradient per output (None where there is none); a result replaces it.
        """
        return self._add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Runs ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are known.

        Both are tuples that follow the positional inputs and the outputs of forward. A result replaces
        ``grad_input`` for what comes before the module.
        """
        if self._is_full_backward_hook is False:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = True
        return self._add_hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older form: the hook sees the gradients of the module's last operation only."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = False
        return self._add_hook(self._backward_hooks, hook)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a module that has hooks of its own, or while there are hooks for all modules."""
        called: set[int] = set()
        output = None
        try:
            args, kwargs = self._run_forward_pre_hooks(args, kwargs)
            watch = None
            full, before, older = self._backward_hooks_in_force()
            if full or before:
                watch = BackwardWatch(self, full, before)
                args = watch.watch_inputs(args)
            output = self.forward(*args, **kwargs)
            for key, hook, with_kwargs, _ in self._forward_hooks_in_force():
                called.add(key)
                result = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
                if result is not None:
                    output = result
            if watch is not None:
                output = watch.watch_outputs(output)
            if older:
                _watch_last_operation(self, older, output)
            return output
        except Exception:
            self._run_always_called(args, kwargs, output, called)
            raise

    def _run_forward_pre_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        hooks = [(entry[1], False) for entry in global_hooks.values() if entry[0] == "forward_pre"]
        hooks += [(hook, key in self._forward_pre_hooks_with_kwargs) for key, hook in self._forward_pre_hooks.items()]
        for hook, with_kwargs in hooks:
            if with_kwargs:
                result = hook(self, args, kwargs)
                if result is None:
                    continue
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise RuntimeError(
                        f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {result}."
                    )
                args, kwargs = result
            else:
                result = hook(self, args)
                if result is not None:
                    args = result if isinstance(result, tuple) else (result,)
        return args, kwargs

    def _forward_hooks_in_force(self) -> list[tuple[int, Callable[..., Any], bool, bool]]:
        hooks = [(key, *entry[1:]) for key, entry in global_hooks.items() if entry[0] == "forward"]
        for key, hook in self._forward_hooks.items():
            hooks.append((key, hook, key in self._forward_hooks_with_kwargs, key in self._forward_hooks_always_called))
        return hooks

    def _backward_hooks_in_force(self) -> tuple[list[Any], list[Any], list[Any]]:
        """The full hooks, the hooks before them, and those of the older form."""
        def of(kind: str) -> list[Any]:
            return [entry[1] for entry in global_hooks.values() if entry[0] == kind]

        full, older, before = of("full_backward"), of("backward"), of("full_backward_pre")
        (full if self._is_full_backward_hook else older).extend(self._backward_hooks.values())
        return full, before + list(self._backward_pre_hooks.values()), older

    def _run_always_called(self, args: Any, kwargs: Any, output: Any, called: set[int]) -> None:
        """After an exception: the hooks that asked for it run all the same, and may not hide the exception."""
        for key, hook, with_kwargs, always in self._forward_hooks_in_force():
            if not always or key in called:
                continue
            try:
                result = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
                if result is not None:
                    output = result
            except Exception as error:
                import warnings

                kind = "global module" if key in global_hooks else "module"
                warnings.warn(
                    f"{kind} forward hook with ``always_call=True`` raised an exception that was silenced as another "
                    f"error was raised in forward: {error!s}",
                    stacklevel=2,
                )


_watch_function: Any = None


def _watch(callback: Callable[..., Any], tensors: list[Any]) -> tuple[Any, ...]:
    """The same tensors, behind a node of the graph that hands their gradients to ``callback``."""
    global _watch_function
    if _watch_function is None:

        class BackwardHookFunction(flambeau.autograd.Function):
            @staticmethod
            def forward(ctx: Any, callback: Any, *tensors: Any) -> tuple[Any, ...]:
                ctx.callback = callback
                ctx.set_materialize_grads(False)
                ctx.mark_non_differentiable(*[tensor for tensor in tensors if not tensor.requires_grad])
                return tensors

            @staticmethod
            def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
                return (None, *ctx.callback(gradients))

        _watch_function = BackwardHookFunction
    return _watch_function.apply(callback, *tensors)


class BackwardWatch:
    """Runs a module's full backward hooks during one backward pass.

    An identity node stands after the module (where ``grad_output`` becomes known) and one before it (where
    ``grad_input`` does). Where no input needs a gradient the hooks run at the first of them.
    """

    def __init__(self, module: Any, hooks: list[Any], pre_hooks: list[Any]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.inputs = self.outputs = 0
        self.input_places: list[int] = []
        self.output_places: list[int] = []
        self.inputs_watched = False

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.inputs = len(args)
        args, self.input_places, self.inputs_watched = self._put_node(args, self._on_inputs)
        return args

    def watch_outputs(self, result: Any) -> Any:
        if isinstance(result, flambeau.Tensor):
            self.outputs = 1
            outputs, self.output_places, _ = self._put_node((result,), self._on_outputs)
            return outputs[0]
        if not isinstance(result, tuple):
            import warnings

            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(result)}", stacklevel=4,
            )
            return result
        self.outputs = len(result)
        outputs, self.output_places, _ = self._put_node(result, self._on_outputs)
        return type(result)._make(outputs) if hasattr(result, "_make") else outputs

    @staticmethod
    def _put_node(values: tuple[Any, ...], callback: Any) -> tuple[tuple[Any, ...], list[int], bool]:
        places = [place for place, value in enumerate(values) if isinstance(value, flambeau.Tensor)]
        tensors = [values[place] for place in places]
        if not flambeau.is_grad_enabled() or not any(tensor.requires_grad for tensor in tensors):
            return values, places, False
        watched = list(values)
        for place, tensor in zip(places, _watch(callback, tensors)):
            watched[place] = tensor
        return tuple(watched), places, True

    @staticmethod
    def _spread(gradients: Any, places: list[int], length: int) -> tuple[Any, ...]:
        full = [None] * length
        for place, gradient in zip(places, gradients):
            full[place] = gradient
        return tuple(full)

    def _on_outputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        current = self._spread(gradients, self.output_places, self.outputs)
        for hook in self.pre_hooks:
            current = self._replaced(hook(self.module, current), current, "Backward pre hook", "grad_output")
        self.grad_outputs = current
        if not self.inputs_watched:
            nothing = (None,) * self.inputs
            for hook in self.hooks:
                result = hook(self.module, nothing, current)
                if result is not None and not (isinstance(result, tuple) and all(each is None for each in result)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None "
                        "or None for all gradients."
                    )
            self.grad_outputs = None
        return tuple(current[place] for place in self.output_places)

    def _on_inputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:
            raise RuntimeError(
                "Module backward hook for grad_input is called before the grad_output one. This happens because the "
                "gradient in your nn.Module flows to the Module's input without passing through the Module's output. "
                "Make sure that the output depends on the input and that the loss is computed based on the output."
            )
        current = self._spread(gradients, self.input_places, self.inputs)
        for hook in self.hooks:
            result = hook(self.module, current, self.grad_outputs)
            current = self._replaced(result, current, "Backward hook", "grad_input")
        self.grad_outputs = None
        return tuple(current[place] for place in self.input_places)

    @staticmethod
    def _replaced(result: Any, current: tuple[Any, ...], what: str, name: str) -> tuple[Any, ...]:
        if result is None:
            return current
        if not isinstance(result, tuple):
            result = (result,)
        if len(result) != len(current):
            raise RuntimeError(
                f"{what} returned an invalid number of {name}, got {len(result)}, but expected {len(current)}"
            )
        return result


def _watch_last_operation(module: Any, hooks: list[Any], output: Any) -> None:
    """Hangs hooks of the older form on the node that made the first tensor of the output."""
    while not isinstance(output, flambeau.Tensor):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    node = output.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(lambda grad_input, grad_output, hook=hook: hook(module, grad_input, grad_output))
