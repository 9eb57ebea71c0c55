"""Functions whose gradient the user writes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _C

Tensor = _C.Tensor


class _Output(NamedTuple):
    """A saved output, without its history, and which one it is."""

    tensor: Any
    index: int  # type: ignore[assignment]  # no caller counts in these tuples


class _Packed:
    """A saved tensor as saved_tensors_hooks keep it."""

    def __init__(self, saved: Any, hooks: tuple[Any, Any]) -> None:
        tensor, index = saved if isinstance(saved, _Output) else (saved, None)
        self.index: int | None = index
        self.unpack = hooks[1]
        _C.push_saved_hooks(_unchanged, _unchanged)
        before = _C.set_grad_enabled(False)
        try:
            self.value = hooks[0](tensor)
        finally:
            _C.set_grad_enabled(before)
            _C.pop_saved_hooks()

    def restored(self, node: Any) -> Any:
        tensor = self.unpack(self.value)
        return tensor if self.index is None or node is None else _C.continued(tensor, node, self.index)


def _unchanged(tensor: Any) -> Any:
    return tensor


class FunctionCtx:
    """What forward and backward of one call share."""

    _saved: tuple[Any, ...] = ()
    _versions: tuple[int, ...] = ()
    _changed: tuple[Any, ...] = ()
    _constant: tuple[Any, ...] = ()
    _materialize = True
    _released = False
    _node: Any = None  # the graph's node, while its backward runs under create_graph
    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors for backward, where saved_tensors gives them back."""
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {i} is of type "
                                f"{type(t).__name__}")
        self._saved = tensors
        self._versions = tuple(t._version if t is not None else 0 for t in tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors of save_for_backward; changing them in place meanwhile is an error."""
        if self._released:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have "
                "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
                "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time "
                "or if "
                "you need to access saved tensors after calling backward."
            )
        return tuple(self._restored(saved, version) for saved, version in zip(self._saved, self._versions, strict=True))

    saved_variables = saved_tensors

    def _restored(self, saved: Any, version: int) -> Any:
        if isinstance(saved, _Packed):
            return saved.restored(self._node)
        index = None
        if isinstance(saved, _Output):
            saved, index = saved
        if saved is None:
            return None
        if saved._version != version:
            kind = saved.type().replace("torch.", "")
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"[torch.{kind} {list(saved.shape)}] is at version {saved._version}; expected version {version} "
                f"instead."
            )
        return saved if index is None or self._node is None else _C.continued(saved, self._node, index)

    def _settle(self, outputs: tuple[Any, ...]) -> None:
        """After forward: saved outputs lose the history that would tie them to this context; hooks pack what is saved."""
        saved = [
            next((_Output(s.detach(), i) for i, o in enumerate(outputs) if o is s and s.requires_grad), s) for s in self._saved
        ]
        if (hooks := _C.top_saved_hooks()) is not None:
            saved = [s if s is None else _Packed(s, hooks) for s in saved]
        self._saved = tuple(saved)

    def mark_dirty(self, *tensors: Any) -> None:
        """Says that forward changed these inputs in place."""
        self._changed = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Says that these outputs have no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs that nobody used."""
        self._materialize = value

    def save_for_forward(self, *tensors: Any) -> None:
        """Keeps tensors for jvp."""
        self.saved_for_forward = tensors


class _FunctionMeta(type):
    def __init__(cls, name: str, bases: Any, attributes: Any) -> None:
        super().__init__(name, bases, attributes)
        cls._context_class = type(name + "Backward", (FunctionCtx,), {"_function": cls, "_run_backward": _run_backward})


def _run_backward(context: FunctionCtx, grads: tuple[Any, ...]) -> Any:
    function = context._function
    if function.backward is Function.backward and function.vjp is Function.vjp:
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )
    rule = function.backward if function.backward is not Function.backward else function.vjp
    return rule(context, *grads)


class Function(metaclass=_FunctionMeta):
    """A differentiable operation of one's own: forward computes, backward gives the cotangents of forward's arguments.

    >>> import flambeau as torch
    >>> class Double(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = torch.ones(1, requires_grad=True)
    >>> Double.apply(x).backward()
    >>> x.grad
    tensor([2.])
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def vjp(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it with "
                                  "forward mode AD.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward and records backward for the tensors among the arguments that require gradients."""
        layers = [layer for a in args if (layer := _C.layer_of(a)) is not None]
        if layers:
            from ..func.custom import apply_at_level

            return apply_at_level(cls, max(layers), args, kwargs)
        return cls._apply_plain(args, kwargs)[0]

    @classmethod
    def _apply_plain(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """(output, context) of a call without transforms."""
        context = cls._context_class()
        recorded = _C.is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in args)
        context.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        before = _C.set_grad_enabled(False)
        try:
            if cls.setup_context is Function.setup_context:
                output = cls.forward(context, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(context, args, output)
        finally:
            _C.set_grad_enabled(before)
        if not recorded:
            return output, context
        single = not isinstance(output, (tuple, list))
        outputs = (output,) if single else tuple(output)
        fresh = tuple(_as_result(o, args, context) if isinstance(o, Tensor) else o for o in outputs)
        constant = [any(o is c for c in context._constant) for o in fresh]
        tracked = tuple(o if isinstance(o, Tensor) and not c else None for o, c in zip(fresh, constant, strict=True))
        _C.record_function(context, cls.__name__ + "Backward", args, tracked, (), context._materialize)
        context._settle(tracked)
        return (fresh[0] if single else fresh), context


def _as_result(output: Tensor, inputs: tuple[Any, ...], context: FunctionCtx) -> Tensor:
    """An output that is one of the inputs, unchanged, becomes a tensor of its own."""
    if any(output is c for c in context._changed):
        if output.requires_grad and output.is_leaf:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        return output
    if any(output is i for i in inputs):
        result = output.detach()
        context._constant = tuple(result if c is output else c for c in context._constant)
        context._saved = tuple(context._saved)
        return result
    return output


class InplaceFunction(Function):
    """Kept for old programs: a function that may change its input."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


def once_differentiable(backward: Callable) -> Callable:
    """Decorates a backward that cannot itself be differentiated."""

    @functools.wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        before = _C.set_grad_enabled(False)
        try:
            outputs = backward(ctx, *grads)
        finally:
            _C.set_grad_enabled(before)
        if not before or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return outputs

        class Refuse(Function):
            @staticmethod
            def forward(c: Any, *values: Any) -> Any:
                return values if len(values) > 1 else values[0]

            @staticmethod
            def backward(c: Any, *g: Any) -> Any:
                raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")

        values = outputs if isinstance(outputs, tuple) else (outputs,)
        marked = Refuse.apply(*(v.detach().requires_grad_() if isinstance(v, Tensor) and v.dtype.is_floating_point else v for v in values))
        return marked

    return wrapper
