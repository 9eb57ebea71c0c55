"""Custom autograd.Functions inside transforms: the function's own rules at the level that the call belongs to."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import _C
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from .vectorize import BATCHED, vmap

Tensor = _C.Tensor


class VmapInfo(NamedTuple):
    """What a vmap staticmethod is told: the size of the batch and how it treats random numbers."""

    batch_size: int
    randomness: str


def apply_at_level(cls: Any, layer: tuple[int, int], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """cls.apply for arguments of which the highest belongs to the layer (level, kind)."""
    from ..autograd.function import Function

    level, kind = layer
    separate = cls.setup_context is not Function.setup_context
    if kind == 1:
        return _forward_mode(cls, level, args, kwargs, separate)
    if kind == BATCHED:
        return _batched(cls, level, args, kwargs, separate)
    if not separate:
        raise RuntimeError(
            "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it must "
            "override the "
            "setup_context staticmethod. For more details, please see "
            "https://pytorch.org/docs/main/notes/extending.func.html"
        )
    return _tracked(cls, level, args, kwargs)


def _at(value: Any, level: int) -> bool:
    layer = _C.layer_of(value)
    return layer is not None and layer[0] == level


def _below(value: Any, level: int) -> Any:
    return _C.unwrap(value, level) if isinstance(value, Tensor) else value


def _tracked(cls: Any, level: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    inner = cls.apply(*(_below(a, level) for a in args), **kwargs)
    single = not isinstance(inner, (tuple, list))
    outputs = tuple(_C.wrap_tracked(o, level, False) if isinstance(o, Tensor) else o for o in ((inner,) if single else inner))
    lifted = tuple(_C.wrap_tracked(a, level, False) if isinstance(a, Tensor) and not _at(a, level) else a for a in args)
    context = cls._context_class()
    context.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in lifted)
    cls.setup_context(context, lifted, outputs[0] if single else outputs)
    if _C.is_grad_enabled() and any(context.needs_input_grad):
        tracked = tuple(o if isinstance(o, Tensor) and not any(o is c for c in context._constant) else None for o in outputs)
        _C.record_function(context, cls.__name__ + "Backward", lifted, tracked, (), context._materialize)
        # What backward sees of outputs is what is below: their history at this level would tie them to the context.
        context._saved = tuple(_C.unwrap(s, level) if any(s is o for o in outputs) else s for s in context._saved)
        context._settle(())
    return outputs[0] if single else outputs


def _forward_mode(cls: Any, level: int, args: tuple[Any, ...], kwargs: dict[str, Any], separate: bool) -> Any:
    from ..autograd.function import Function

    if cls.jvp is Function.jvp:
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )
    pairs = [_C.unpack_dual(a, level) if isinstance(a, Tensor) else (a, None) for a in args]
    primals = tuple(p for p, _ in pairs)
    if any(_C.layer_of(p) for p in primals):
        output = cls.apply(*primals, **kwargs)
        context = cls._context_class()
        if not separate:
            raise RuntimeError(f"{cls.__name__}: nested transforms need a setup_context staticmethod")
        cls.setup_context(context, primals, output)
    else:
        output, context = cls._apply_plain(primals, kwargs)
    tangents = cls.jvp(context, *(t for _, t in pairs))
    single = not isinstance(output, (tuple, list))
    outputs, moved = ((output,), (tangents,)) if single else (tuple(output), tuple(tangents))
    if len(outputs) != len(moved):
        raise RuntimeError(f"{cls.__name__}.jvp: expected one tangent for each of {len(outputs)} outputs; got "
                           f"{len(moved)}")
    results = tuple(o if t is None or not isinstance(o, Tensor) else _C.wrap_dual(o, t, level) for o, t in zip(outputs, moved, strict=True))
    return results[0] if single else results


def _batched(cls: Any, level: int, args: tuple[Any, ...], kwargs: dict[str, Any], separate: bool) -> Any:
    has_rule = "vmap" in dir(cls) and cls.vmap is not None
    if cls.generate_vmap_rule:
        if has_rule:
            raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and "
                               f"an overriden vmap staticmethod. Please set generate_vmap_rule=False or delete the "
                               f"overriden vmap staticmethod to avoid ambiguity. For more details, please see "
                               f"https://pytorch.org/docs/main/notes/extending.func.html")
        if not separate:
            raise RuntimeError(f"{cls.__name__}: generate_vmap_rule=True needs a setup_context staticmethod")
        return _generated(cls, level, args)
    if not has_rule:
        raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please "
                           f"override and implement the vmap staticmethod or set generate_vmap_rule=True. For more "
                           f"details, please see https://pytorch.org/docs/main/notes/extending.func.html")
    in_dims = tuple(0 if _at(a, level) else None for a in args)
    inner = tuple(_below(a, level) for a in args)
    batch = next(a.shape[0] for a, d in zip(inner, in_dims, strict=True) if d is not None)
    outputs, out_dims = cls.vmap(VmapInfo(batch, "error"), in_dims, *inner, **kwargs)
    leaves, spec = tree_flatten(outputs)
    dims = [out_dims] * len(leaves) if isinstance(out_dims, int) or out_dims is None else tree_flatten(out_dims)[0]
    wrapped = [leaf if dim is None or not isinstance(leaf, Tensor) else _C.wrap_batched(leaf, dim, level) for leaf, dim in zip(leaves, dims, strict=True)]
    return tree_unflatten(wrapped, spec)


def _generated(cls: Any, level: int, args: tuple[Any, ...]) -> Any:
    """The function's forward, backward and jvp, each under vmap: a function of whole batches with gradients of its own."""
    from ..autograd.function import Function

    places = tuple(0 if _at(a, level) else None for a in args)
    inner = tuple(_below(a, level) for a in args)
    batch = next(a.shape[0] for a, d in zip(inner, places, strict=True) if d is not None)

    class Vmapped(Function):
        @staticmethod
        def forward(*values: Any) -> Any:
            return vmap(cls.forward, in_dims=places)(*values)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            def inside(given: Any, result: Any) -> tuple[Any, ...]:
                ctx.inner = cls._context_class()
                ctx.inner.needs_input_grad = ctx.needs_input_grad
                cls.setup_context(ctx.inner, given, result)
                ctx.saved_kinds = [t is None for t in ctx.inner._saved]
                return tuple(t for t in ctx.inner._saved if t is not None)

            saved = vmap(inside, in_dims=(places, 0))(tuple(inputs), output)
            ctx.save_for_backward(*saved)
            ctx.set_materialize_grads(ctx.inner._materialize)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return _with_saved(ctx, cls, grads, places, batch)

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            saved, shown = iter(ctx.saved_tensors), tuple(0 if t is not None else None for t in tangents)

            def inside(values: tuple[Any, ...], given: tuple[Any, ...]) -> Any:
                _fill(ctx, values)
                return cls.jvp(ctx.inner, *given)

            full = tuple(t if t is None or d == 0 else t.expand(batch, *t.shape) for t, d in zip(tangents, places, strict=True))
            return vmap(inside, in_dims=(0, shown))(tuple(saved), full)

    Vmapped.__name__ = cls.__name__
    result = Vmapped.apply(*inner)
    return tree_map(lambda o: _C.wrap_batched(o, 0, level) if isinstance(o, Tensor) else o, result)


def _fill(ctx: Any, values: tuple[Any, ...]) -> None:
    source = iter(values)
    ctx.inner._saved = tuple(None if missing else next(source) for missing in ctx.saved_kinds)
    ctx.inner._versions = tuple(0 if t is None else t._version for t in ctx.inner._saved)


def _with_saved(ctx: Any, cls: Any, grads: tuple[Any, ...], places: tuple[Any, ...], batch: int) -> Any:
    missing: list[bool] = []

    def inside(values: tuple[Any, ...], given: tuple[Any, ...]) -> Any:
        _fill(ctx, values)
        rule = cls.backward if "backward" in cls.__dict__ else cls.vjp
        found = rule(ctx.inner, *given)
        found = found if isinstance(found, tuple) else (found,)
        missing[:] = [g is None for g in found]
        return tuple(g for g in found if g is not None)

    saved = tuple(ctx.saved_tensors)
    found = iter(vmap(inside, in_dims=(0, tuple(None if g is None else 0 for g in grads)))(saved, grads))
    results = [None if empty else next(found) for empty in missing]
    # Arguments that all slices share collect what every slice gives.
    return tuple(g if g is None or place == 0 else g.sum(0) for g, place in zip(results, places, strict=False))
