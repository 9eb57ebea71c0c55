"""Derivatives of functions: grad and vjp in reverse, jvp forward, and the Jacobians and Hessians made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import _C
from .._composites._primitives import P
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from .vectorize import vmap

Tensor = _C.Tensor
TRACKED, DUAL = 0, 1


def _floating(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.dtype.is_floating_point or value.dtype.is_complex)


def _below(tree: Any, level: int) -> Any:
    """Tensors of the level become those below; the rest stays."""
    return tree_map(lambda value: _C.unwrap(value, level) if isinstance(value, Tensor) else value, tree)


class _Level:
    """A level of the given kind for the time of a with statement; `outside` is whether the world around it records."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def __enter__(self) -> _Level:
        self.outside = _C.is_grad_enabled()
        self.id = _C.push_level(self.kind)
        if self.kind == TRACKED:
            _C.set_grad_enabled(True)
        return self

    def __exit__(self, *error: Any) -> None:
        _C.set_grad_enabled(self.outside)
        _C.pop_level(self.id)


def _chosen(args: tuple[Any, ...], argnums: Any) -> tuple[Any, ...]:
    """The arguments that argnums names, checked."""
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not isinstance(numbers, tuple) or not all(isinstance(n, int) for n in numbers):
        raise RuntimeError(f"argnum must be int or Tuple[int, ...], got: {type(argnums)}")
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
    places = [n % len(args) for n in numbers]
    if len(set(places)) != len(places):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    chosen = tuple(args[n] for n in numbers)
    return chosen if isinstance(argnums, tuple) else chosen[0]


def _replaced(args: tuple[Any, ...], argnums: Any, values: Any) -> tuple[Any, ...]:
    result = list(args)
    for n, value in zip(argnums, values, strict=True) if isinstance(argnums, tuple) else [(argnums, values)]:
        result[n] = value
    return tuple(result)


def _tracked(tree: Any, level: int, name: str) -> tuple[Any, list[Tensor]]:
    """The tree as leaves of the level's graph, and those leaves."""
    leaves, spec = tree_flatten(tree)
    for value in leaves:
        if not isinstance(value, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(value)}")
        if not _floating(value):
            raise RuntimeError(f"{name}: only Tensors of floating point and complex dtype can require gradients, got "
                               f"{value.dtype}")
    wrapped = [_C.wrap_tracked(value, level) for value in leaves]
    return tree_unflatten(wrapped, spec), wrapped


def _split_aux(output: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return output, None
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return output


def grad_and_value(func: Callable, argnums: Any = 0, has_aux: bool = False) -> Callable:
    """Like grad, giving (gradient, value), or (gradient, (value, aux)) with has_aux.

    >>> import flambeau as torch
    >>> torch.func.grad_and_value(lambda x: x ** 2)(torch.tensor(3.))
    (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = _chosen(args, argnums)
        with _Level(TRACKED) as level:
            inputs, leaves = _tracked(chosen, level.id, "grad_and_value")
            output = func(*_replaced(args, argnums, inputs), **kwargs)
            output, aux = _split_aux(output, has_aux, "grad_and_value(f)(*args)")
            if not isinstance(output, Tensor):
                raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return a tensor, got "
                                   f"{type(output)}")
            if output.dim() != 0:
                raise RuntimeError("grad_and_value(f)(*args): Expected f(*args) to return a scalar tensor, got tensor "
                                   "with "
                                   f"{output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?")  # fmt: skip
            value = _C.unwrap(output, level.id)
            found = _C.run_backward_at(level.id, (output,), (P.fill(value, 1),), tuple(leaves), False, level.outside)
            _C.set_grad_enabled(level.outside)
            grads = [P.zeros_like(_C.unwrap(leaf, level.id)) if g is None else g for g, leaf in zip(found, leaves, strict=True)]
            result = tree_unflatten(grads, tree_flatten(chosen)[1])
            return (result, (value, _below(aux, level.id))) if has_aux else (result, value)

    return wrapped


def grad(func: Callable, argnums: Any = 0, has_aux: bool = False) -> Callable:
    """The gradient of a function that returns one number, with respect to the arguments that argnums names.

    The gradient has the structure of those arguments. has_aux: func returns (output, aux), and the result is
    (gradient, aux).

    Raises:
        RuntimeError: func returns something else than a tensor without dimensions.

    >>> import flambeau as torch
    >>> torch.func.grad(torch.func.grad(torch.sin))(torch.tensor(1.))
    tensor(-0.8415)
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return wrapped


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> Any:
    """(func(*primals), pull): pull(cotangents of the output) gives the cotangents of the primals, as a tuple.

    With has_aux, func returns (output, aux) and the result is (output, pull, aux).

    >>> import flambeau as torch
    >>> y, pull = torch.func.vjp(torch.exp, torch.zeros(2))
    >>> pull(torch.tensor([1., 2.]))
    (tensor([1., 2.]),)
    """
    with _Level(TRACKED) as level:
        inputs, leaves = _tracked(primals, level.id, "vjp")
        output, aux = _split_aux(func(*inputs), has_aux, "vjp(f, *primals)")
        flat, spec = tree_flatten(output)
        if not flat or not all(isinstance(value, Tensor) for value in flat):
            raise RuntimeError(f"vjp(f, *primals): Expected f(*primals) to return only tensors, got unsupported type "
                               f"{type(output)}")
        below = [_C.unwrap(value, level.id) for value in flat]
        plain = [_C.unwrap(leaf, level.id) for leaf in leaves]
        aux = _below(aux, level.id)
        # A tensor from outside that was changed in place leaves the level with it; an alias of it stays.
        flat = [P.alias(value) if _C.layer_of(value) else value for value in flat]
    primals_spec, name = tree_flatten(primals)[1], level.id

    def pull(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given = cotangents[0] if len(cotangents) == 1 and not (isinstance(output, tuple) and len(output) == 1) else cotangents
        given_flat, given_spec = tree_flatten(given)
        if given_spec != spec:
            given_flat, given_spec = tree_flatten(cotangents)
        if given_spec != spec and len(given_flat) != len(flat):
            raise RuntimeError(f"Expected pytree structure of cotangents to be the same as pytree structure of "
                               f"outputs to the function. cotangents: {given_spec}, primal output: {spec}")
        for g, value in zip(given_flat, below, strict=True):
            if tuple(g.shape) != tuple(value.shape):
                raise RuntimeError(f"Mismatch in shape: grad_output has a shape of {g.shape} and output has a shape "
                                   f"of {value.shape}.")
        recording = _C.is_grad_enabled() if create_graph is None else create_graph
        found = _C.run_backward_at(name, tuple(flat), tuple(given_flat), tuple(leaves), retain_graph, recording)
        grads = [P.zeros_like(x) if g is None else g for g, x in zip(found, plain, strict=True)]
        return tree_unflatten(grads, primals_spec)

    result = tree_unflatten(below, spec)
    return (result, pull, aux) if has_aux else (result, pull)


def jvp(func: Callable, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """(func(*primals), the derivative of func at the primals in the direction of the tangents), in one forward pass.

    primals and tangents are tuples of the same structure. With has_aux, func returns (output, aux) and the result is
    (output, tangents, aux).

    Raises:
        RuntimeError: primals or tangents are no tuples, or differ in structure or shape.

    >>> import flambeau as torch
    >>> torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))
    (tensor([0.]), tensor([1.]))
    """
    if not isinstance(primals, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to "
                           "call f(*primals).")
    flat, spec = tree_flatten(primals)
    flat_tangents, tangents_spec = tree_flatten(tangents)
    if spec != tangents_spec:
        raise RuntimeError(f"jvp(f, primals, tangents): Expected primals and tangents to have the same python "
                           f"structure. For example, if primals is a tuple of 3 tensors, tangents also must be. Got "
                           f"primals with structure {spec} and tangents with structure {tangents_spec}")
    for x, t in zip(flat, flat_tangents, strict=True):
        if not isinstance(x, Tensor) or not isinstance(t, Tensor):
            raise RuntimeError(f"jvp(f, primals, tangents): Expected primals and tangents to contain only tensors, "
                               f"got {type(t if isinstance(x, Tensor) else x)}")
        if tuple(x.shape) != tuple(t.shape):
            raise RuntimeError(f"Expected tangent to have the same shape as its primal\njvp: got a primal "
                               f"{tuple(x.shape)} and a tangent {tuple(t.shape)}")
    with _Level(DUAL) as level:
        inputs = [_C.wrap_dual(x, t, level.id) for x, t in zip(flat, flat_tangents, strict=True)]
        output, aux = _split_aux(func(*tree_unflatten(inputs, spec)), has_aux, "jvp(f, primals, tangents)")
        leaves, out_spec = tree_flatten(output)
        if not all(isinstance(value, Tensor) for value in leaves):
            raise RuntimeError(f"jvp(f, primals, tangents): Expected f(*args) to return only tensors, got unsupported "
                               f"type {type(output)}")
        pairs = [_C.unpack_dual(value, level.id) for value in leaves]
        if strict and any(t is None for _, t in pairs):
            raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. "
                               "This is not allowed with strict=True.")
        values = tree_unflatten([x for x, _ in pairs], out_spec)
        moved = tree_unflatten([P.zeros_like(x) if t is None else t for x, t in pairs], out_spec)
        return (values, moved, _below(aux, level.id)) if has_aux else (values, moved)


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """(func(*primals), push): push(*tangents) is the derivative of func at the primals in that direction.

    >>> import flambeau as torch
    >>> y, push = torch.func.linearize(torch.sin, torch.zeros(1))
    >>> push(torch.ones(1))
    tensor([1.])
    """
    output = func(*primals)

    def push(*tangents: Any) -> Any:
        return jvp(func, primals, tangents)[1]

    return output, push


# ---- Jacobians ----


def _bases(values: list[Tensor]) -> tuple[Tensor, ...]:
    """For each value, the directions along every element of every value: (all elements, *shape)."""
    total, start, result = sum(v.numel() for v in values), 0, []
    for value in values:
        n = value.numel()
        block = P.zeros((total, n), dtype=value.dtype)
        P.fill_(P.diagonal(P.narrow(block, 0, start, n)), 1)
        result.append(P.reshape(block, (total, *value.shape)))
        start += n
    return tuple(result)


def jacrev(
    func: Callable, argnums: Any = 0, *, has_aux: bool = False, chunk_size: int | None = None, _preallocate_and_copy: bool = False
) -> Callable:
    """The Jacobian of func by reverse mode, a row at a time over all outputs together: shape (*output, *input).

    Outputs and arguments may be nested; the result has the structure of the outputs, with that of the arguments in each
    place. chunk_size bounds how many rows are worked on together.

    >>> import flambeau as torch
    >>> torch.func.jacrev(torch.sin)(torch.zeros(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = _chosen(args, argnums)
        single = not isinstance(argnums, tuple)
        primals = (chosen,) if single else chosen

        def inner(*values: Any) -> Any:
            return func(*_replaced(args, argnums, values[0] if single else values), **kwargs)

        found = vjp(inner, *primals, has_aux=has_aux)
        output, pull = found[:2]
        outputs, out_spec = tree_flatten(output)
        inputs, in_spec = tree_flatten(primals)

        def rows(*cotangents: Tensor) -> Any:
            return pull(tree_unflatten(cotangents, out_spec))

        columns = tree_flatten(vmap(rows, chunk_size=chunk_size)(*_bases(outputs)))[0]
        jacobians, start = [], 0
        for value in outputs:
            parts = [P.reshape(P.narrow(c, 0, start, value.numel()), (*value.shape, *x.shape)) for c, x in zip(columns, inputs, strict=True)]
            entry = tree_unflatten(parts, in_spec)
            jacobians.append(entry[0] if single else entry)
            start += value.numel()
        result = tree_unflatten(jacobians, out_spec)
        return (result, found[2]) if has_aux else result

    return wrapped


def jacfwd(
    func: Callable, argnums: Any = 0, has_aux: bool = False, *, chunk_size: int | None = None, randomness: str = "error"
) -> Callable:
    """The Jacobian of func by forward mode, a column at a time over all inputs together: shape (*output, *input).

    >>> import flambeau as torch
    >>> torch.func.jacfwd(torch.sin)(torch.zeros(2))
    tensor([[1., 0.],
            [0., 1.]])
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = _chosen(args, argnums)
        single = not isinstance(argnums, tuple)
        primals = (chosen,) if single else chosen
        inputs, in_spec = tree_flatten(primals)

        def inner(*values: Any) -> Any:
            return func(*_replaced(args, argnums, values[0] if single else values), **kwargs)

        def push(*tangents: Tensor) -> Any:
            found = jvp(inner, primals, tree_unflatten(tangents, in_spec), has_aux=has_aux)
            return (found[1], found[0], found[2]) if has_aux else (found[1], found[0])

        found = vmap(push, randomness=randomness, chunk_size=chunk_size)(*_bases(inputs))
        tangents, out_spec = tree_flatten(found[0])
        jacobians = []
        for t in tangents:
            parts, start = [], 0
            last = P.permute(t, (*range(1, t.dim()), 0))
            for x in inputs:
                part = P.narrow(last, last.dim() - 1, start, x.numel())
                parts.append(P.reshape(part, (*t.shape[1:], *x.shape)))
                start += x.numel()
            entry = tree_unflatten(parts, in_spec)
            jacobians.append(entry[0] if single else entry)
        result = tree_unflatten(jacobians, out_spec)
        if not has_aux:
            return result
        return result, tree_map(lambda value: P.select(value, 0, 0) if isinstance(value, Tensor) else value, found[2])

    return wrapped


def hessian(func: Callable, argnums: Any = 0) -> Callable:
    """The matrix of second derivatives of func: forward mode over reverse mode.

    >>> import flambeau as torch
    >>> torch.func.hessian(lambda x: (x ** 3).sum())(torch.ones(2))
    tensor([[6., 0.],
            [0., 6.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """func itself: in-place changes and views go through every transform here as they are."""
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize(f, remove='mutations'|'mutations_and_views'): received invalid argument "
                           f"for `remove`. Got {remove}")
    return func


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The tensor below the innermost transform (with recurse: below all of them)."""
    while (layer := _C.layer_of(tensor)) is not None:
        tensor = _C.unwrap(tensor, layer[0])
        if not recurse:
            break
    return tensor
