"""The graph itself: what it saves of tensors and how, its nodes, and hooks over several tensors at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import _C
from .._tensor import RemovableHandle

Tensor = _C.Tensor
__all__ = [
    "GradientEdge", "Node", "disable_saved_tensors_hooks", "get_gradient_edge", "increment_version",
        "register_multi_grad_hook",
    "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip
Node = _C.Node


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor flows in: a node, and which of its results."""

    node: Any
    output_nr: int


_disabled = threading.local()


class saved_tensors_hooks:
    """Within it, every tensor that the graph saves is kept as pack_hook(tensor); unpack_hook gives it back in backward.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(force=True).copy(), torch.from_numpy):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    tensor([2., 2.])
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if (message := getattr(_disabled, "message", None)) is not None:
            raise RuntimeError(message)
        _C.push_saved_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *error: object) -> None:
        _C.pop_saved_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Keeps saved tensors in the CPU's memory: copies of them, where they are there already."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor.detach().clone(), lambda packed: packed)


class disable_saved_tensors_hooks:
    """Within it, saved_tensors_hooks raise a RuntimeError with this message."""

    def __init__(self, error_message: str) -> None:
        self.message = error_message

    def __call__(self, function: Callable) -> Callable:
        import functools

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with disable_saved_tensors_hooks(self.message):
                return function(*args, **kwargs)

        return decorated

    def __enter__(self) -> None:
        self.before = getattr(_disabled, "message", None)
        _disabled.message = self.message

    def __exit__(self, *error: object) -> None:
        _disabled.message = self.before


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge that a tensor's gradient arrives by."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    if tensor.grad_fn is not None:
        return GradientEdge(tensor.grad_fn, tensor.output_nr)
    return GradientEdge(tensor.expand(tensor.shape).grad_fn.next_functions[0][0], 0)


def increment_version(tensor: Any) -> None:
    """Counts as an in-place change of the tensor (or tensors), so that what was saved of them is no longer valid."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        _C.increment_version(t)


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable, *, mode: str = "all") -> RemovableHandle:
    """Calls fn with the gradients of all these tensors (None where there is none), once the last one is there.

    mode='any': fn(gradient) is called once, with the first that arrives.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    state: dict[str, Any] = {"grads": [None] * len(tensors), "count": 0, "queued": False}

    def finish() -> None:
        grads = state["grads"]
        state.update(grads=[None] * len(tensors), count=0, queued=False)
        if mode == "all":
            fn(grads)

    def hook(index: int) -> Callable:
        def arrived(grad: Tensor) -> None:
            with lock:
                first = not state["queued"]
                state["queued"] = True
                state["grads"][index] = grad
                state["count"] += 1
                whole = state["count"] == len(tensors)
            if first:
                _C.queue_callback(reset)
            if mode == "any" and first:
                fn(grad)
            if mode == "all" and whole:
                finish()

        return arrived

    def reset() -> None:
        if state["queued"] and mode == "all":
            finish()
        state.update(grads=[None] * len(tensors), count=0, queued=False)

    handles = [t.register_hook(hook(i)) for i, t in enumerate(tensors)]
    return RemovableHandle(lambda: [h.remove() for h in handles])
