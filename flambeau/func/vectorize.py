"""vmap: a function of one example becomes a function of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import _C
from .._composites._primitives import P
from ..utils._pytree import broadcast_to, tree_flatten, tree_unflatten

Tensor = _C.Tensor
BATCHED = 2
_RANDOMNESS = {"error": 0, "different": 1, "same": 2}


def _name(func: Callable) -> str:
    return getattr(func, "__name__", repr(func))


def _checked_inputs(func: Callable, in_dims: Any, args: tuple[Any, ...]) -> tuple[list[Any], list[Any], Any, int]:
    """The leaves of args, a dimension (or None) for each, their structure, and the size of the batch."""
    name = _name(func)
    head = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(head + "expected `in_dims` to be int or a (potentially nested) tuple matching the structure "
                                "of inputs, "
                         f"got: {type(in_dims)}.")  # fmt: skip
    if not args:
        raise ValueError(f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying "
                         f"to vmap over a "
                         "function with no inputs. The latter is unsupported.")  # fmt: skip
    leaves, spec = tree_flatten(args)
    dims = broadcast_to(in_dims, spec)
    if dims is None:
        raise ValueError(head + "in_dims is not compatible with the structure of `inputs`. in_dims has structure "
                         f"{tree_flatten(in_dims)[1]} but inputs has structure {spec}.")  # fmt: skip
    sizes: list[int] = []
    for i, (leaf, dim) in enumerate(zip(leaves, dims, strict=True)):
        if dim is None:
            continue
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise ValueError(head + f"Got in_dim={dim} for an input but in_dim must be either an integer dimension or "
                                    f"None.")
        if not isinstance(leaf, Tensor):
            raise ValueError(head + f"Got in_dim={dim} for an input but the input is of type {type(leaf)}. We cannot "
                                    f"vmap over "
                             "non-Tensor arguments, please use None as the respective in_dim")  # fmt: skip
        if not -leaf.dim() <= dim < leaf.dim():
            raise ValueError(head + f"Got in_dim={dim} for some input, but that input is a Tensor of dimensionality "
                                    f"{leaf.dim()} "
                             f"so expected in_dim to satisfy -{leaf.dim()} <= in_dim < {leaf.dim()}.")  # fmt: skip
        dims[i] = dim % leaf.dim()
        sizes.append(leaf.shape[dims[i]])
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(size != sizes[0] for size in sizes):
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
                         f"{sizes} for the mapped dimension")
    return leaves, dims, spec, sizes[0]


def _unwrapped(func: Callable, outputs: Any, out_dims: Any, level: int, batch: int) -> Any:
    name = _name(func)
    leaves, spec = tree_flatten(outputs)
    for leaf in leaves:
        if not isinstance(leaf, Tensor) and out_dims is not None and not isinstance(out_dims, (tuple, list, dict)):
            raise ValueError(f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(leaf)}. Did you "
                             f"mean to set out_dims= to None for output?")
    dims = broadcast_to(out_dims, spec)
    if dims is None and isinstance(out_dims, tuple) and len(out_dims) == 1:
        dims = broadcast_to(out_dims[0], spec)
    if dims is None:
        raise ValueError(f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the "
                         f"structure of `outputs`. "
                         f"out_dims has structure {tree_flatten(out_dims)[1]} but outputs has structure {spec}.")  # fmt: skip
    results = []
    for leaf, dim in zip(leaves, dims, strict=True):
        if dim is None:
            if isinstance(leaf, Tensor) and (layer := _C.layer_of(leaf)) and layer[0] == level:
                raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
            results.append(leaf)
            continue
        if not isinstance(dim, int):
            raise ValueError(f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python "
                             f"collection of ints and None representing where in the outputs the vmapped dimension "
                             f"should appear.")
        if not isinstance(leaf, Tensor):
            raise ValueError(f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(leaf)}. Did you "
                             f"mean to set out_dims= to None for output?")
        results.append(_C.unwrap_batched(leaf, level, dim, batch))
    return tree_unflatten(results, spec)


def _run(func: Callable, leaves: list[Any], dims: list[Any], spec: Any, out_dims: Any, randomness: str, batch: int, kwargs: Any) -> Any:
    level = _C.push_level(BATCHED, batch, _RANDOMNESS[randomness])
    try:
        inner = [leaf if dim is None else _C.wrap_batched(leaf, dim, level) for leaf, dim in zip(leaves, dims, strict=True)]
        outputs = func(*tree_unflatten(inner, spec), **kwargs)
        return _unwrapped(func, outputs, out_dims, level, batch)
    finally:
        _C.pop_level(level)


def vmap(func: Callable, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None) -> Callable:
    """A function that runs func on every slice of its inputs at once.

    in_dims says along which dimension each input is sliced (None: passed whole), as one int for all or nested like the
    inputs; out_dims says where the batch stands in the outputs. randomness: what random operations do ('error', the
    same numbers for all slices, or 'different' ones). chunk_size bounds how many slices are worked on together.
    Keyword arguments are passed whole.

    Raises:
        ValueError: dimensions that do not fit the inputs or outputs.
        RuntimeError: control flow or .item() on a slice; changing an unbatched tensor in place by a batched one.

    >>> import flambeau as torch
    >>> torch.func.vmap(torch.dot)(torch.ones(2, 3), torch.ones(2, 3))
    tensor([3., 3.])
    """
    if randomness not in _RANDOMNESS:
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and not (isinstance(chunk_size, int) and chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, dims, spec, batch = _checked_inputs(func, in_dims, args)
        if chunk_size is None or batch <= chunk_size:
            return _run(func, leaves, dims, spec, out_dims, randomness, batch, kwargs)
        parts: list[list[Any]] = []
        out_spec: Any = None
        for start in range(0, batch, chunk_size):
            size = min(chunk_size, batch - start)
            slices = [leaf if dim is None else P.narrow(leaf, dim, start, size) for leaf, dim in zip(leaves, dims, strict=True)]
            result = _run(func, slices, dims, spec, out_dims, randomness, size, kwargs)
            flat, out_spec = tree_flatten(result)
            parts.append(flat)
        where: Any = broadcast_to(out_dims, out_spec) or broadcast_to(out_dims[0], out_spec)
        joined = [column[0] if dim is None else P.cat(list(column), dim) for column, dim in zip(zip(*parts, strict=True), where, strict=True)]
        return tree_unflatten(joined, out_spec)

    return wrapped
