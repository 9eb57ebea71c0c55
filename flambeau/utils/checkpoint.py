"""Checkpointing: a part of the forward computation is run again in backward instead of keeping what it saved."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from .. import _C
from ..autograd import Function, backward
from ..autograd.graph import saved_tensors_hooks

Tensor = _C.Tensor
__all__ = [
    "CheckpointError", "CheckpointFunction", "check_backward_validity", "checkpoint", "checkpoint_sequential",
        "detach_variable",
    "noop_context_fn", "set_checkpoint_debug_enabled", "set_checkpoint_early_stop",
]  # fmt: skip
_settings = {"early_stop": True, "debug": None}


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function did not save what the first one did."""


class _Enough(Exception):
    """Everything that the first run saved is there again."""


def noop_context_fn() -> tuple[Any, Any]:
    """Two contexts that do nothing: the default of checkpoint's context_fn."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Any:
    """Within it, whether the second run ends as soon as everything needed is there."""
    before = _settings["early_stop"]
    _settings["early_stop"] = enable
    try:
        yield
    finally:
        _settings["early_stop"] = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Any:
    """Accepted for programs that use it; messages are as detailed either way."""
    before = _settings["debug"]
    _settings["debug"] = enabled
    try:
        yield
    finally:
        _settings["debug"] = before


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs without history; tensors among them are leaves of their own."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    result = []
    for value in inputs:
        if isinstance(value, Tensor):
            fresh = value.detach()
            if value.requires_grad:
                fresh.requires_grad_()
            value = fresh
        result.append(value)
    return tuple(result)


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warns where no input requires gradients."""
    if not any(t.requires_grad for t in inputs if isinstance(t, Tensor)):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


class _Random:
    """The random state of the first run, for the second."""

    def __init__(self, keep: bool) -> None:
        self.state = _C.default_generator.get_state() if keep else None

    @contextlib.contextmanager
    def again(self) -> Any:
        if self.state is None:
            yield
            return
        now = _C.default_generator.get_state()
        _C.default_generator.set_state(self.state)
        try:
            yield
        finally:
            _C.default_generator.set_state(now)


class CheckpointFunction(Function):
    """use_reentrant=True: forward without a graph, backward through a graph made for it."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable, preserve_rng_state: bool, *args: Any) -> Any:
        check_backward_validity(args)
        ctx.run_function, ctx.random = run_function, _Random(preserve_rng_state)
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        output = run_function(*args)
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        values = list(ctx.others)
        for i, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            values[i] = tensor
        fresh = detach_variable(tuple(values))
        before = _C.set_grad_enabled(True)
        try:
            with ctx.random.again():
                outputs = ctx.run_function(*fresh)
        finally:
            _C.set_grad_enabled(before)
        outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if isinstance(o, Tensor) and o.requires_grad and g is not None]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, *(v.grad if isinstance(v, Tensor) else None for v in fresh))


class _Slot:
    """Stands for a saved tensor between the two runs."""

    __slots__ = ("__weakref__", "index")

    def __init__(self, index: int) -> None:
        self.index = index


class _Region:
    """One call of a checkpointed function: how to run it again, and what the second run saved."""

    def __init__(self, run: Callable[[], Any], random: _Random, context: Any, check: bool, early_stop: bool) -> None:
        self.run, self.random, self.context, self.check, self.early_stop = run, random, context, check, early_stop
        self.slots: list[Any] = []  # weak references, in order of saving
        self.notes: list[Any] = []
        self.found: dict[int, Tensor] = {}

    def pack(self, tensor: Tensor) -> _Slot:
        slot = _Slot(len(self.slots))
        self.slots.append(weakref.ref(slot))
        self.notes.append((tuple(tensor.shape), tensor.dtype))
        return slot

    def unpack(self, slot: _Slot) -> Tensor:
        if slot.index not in self.found:
            self.run_again()
        if slot.index not in self.found:
            raise CheckpointError("torch.utils.checkpoint: Unpack is being triggered for a tensor that was already "
                                  "unpacked once. "
                                  "If you are calling ctx.saved_tensors in backward, make sure to do so only once.")  # fmt: skip
        return self.found[slot.index]

    def run_again(self) -> None:
        count = 0

        def keep(tensor: Tensor) -> Tensor:
            nonlocal count
            if count >= len(self.slots):
                raise CheckpointError("torch.utils.checkpoint: trying to save more tensors during recomputation than "
                                      "during the original forward pass.")
            if self.slots[count]() is not None:
                note = (tuple(tensor.shape), tensor.dtype)
                if self.check and note != self.notes[count]:
                    raise CheckpointError("torch.utils.checkpoint: Recomputed values for the following tensors have "
                                          "different metadata "
                                          f"than during the forward pass.\ntensor at position {count}:\nsaved "
                                          f"metadata: {self.notes[count]}\nrecomputed metadata: {note}")  # fmt: skip
                self.found[count] = tensor.detach()
            count += 1
            if self.early_stop and count == len(self.slots):
                raise _Enough
            return tensor.detach()

        before = _C.set_grad_enabled(True)
        try:
            with self.random.again(), self.context, saved_tensors_hooks(keep, lambda tensor: tensor):
                with contextlib.suppress(_Enough):
                    self.run()
        finally:
            _C.set_grad_enabled(before)
        if count != len(self.slots):
            raise CheckpointError("torch.utils.checkpoint: A different number of tensors was saved during the "
                                  "original forward and recomputation.\n"
                                  f"Number of tensors saved during forward: {len(self.slots)}\nNumber of tensors "
                                  f"saved during recomputation: {count}.")  # fmt: skip


def checkpoint(
    function: Callable, *args: Any, use_reentrant: bool | None = None, context_fn: Callable = noop_context_fn,
    determinism_check: str = "default", debug: bool = False, early_stop: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """function(*args) without keeping what its backward needs: backward runs it again.

    use_reentrant=False (recommended) works with everything that autograd does; True runs a backward inside backward, and
    takes no keyword arguments. The random state is the same in both runs unless preserve_rng_state=False. context_fn gives
    two contexts, for the first and the second run.

    Raises:
        CheckpointError: the second run did other things than the first one.

    >>> import flambeau as torch
    >>> from flambeau.utils.checkpoint import checkpoint
    >>> x = torch.zeros(2, requires_grad=True)
    >>> checkpoint(torch.sin, x, use_reentrant=False).sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. use_reentrant=False is "
            "recommended; "
            "without it, use_reentrant=True is used.", stacklevel=2,
        )  # fmt: skip
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs and use_reentrant:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant:
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    if not _C.is_grad_enabled():
        return function(*args, **kwargs)
    first, second = context_fn()
    region = _Region(lambda: function(*args, **kwargs), _Random(preserve), second, determinism_check == "default",
                     bool(early_stop and _settings["early_stop"]))  # fmt: skip
    with saved_tensors_hooks(region.pack, region.unpack), first:
        return function(*args, **kwargs)


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """Runs modules one after another, in `segments` parts of which all but the last are checkpointed.

    >>> import flambeau as torch
    >>> from flambeau.utils.checkpoint import checkpoint_sequential
    >>> layers = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU())
    >>> checkpoint_sequential(layers, 2, torch.ones(1, requires_grad=True), use_reentrant=False)
    tensor([1.], grad_fn=<ReluBackward0>)
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(functions) // segments

    def part(start: int, end: int) -> Callable:
        def run(value: Any) -> Any:
            for f in functions[start:end]:
                value = f(value)
            return value

        return run

    end = 0
    for start in range(0, size * (segments - 1), max(size, 1)):
        end = start + size
        input = checkpoint(part(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return part(end, len(functions))(input)
