"""Derivatives of functions through the plain graph: Jacobians, Hessians and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _C
from .._composites._primitives import P

Tensor = _C.Tensor
__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _as_tuple(value: Any, what: str, name: str) -> tuple[tuple[Tensor, ...], bool]:
    """The tensors and whether there was a tuple of them."""
    was_tuple = isinstance(value, tuple)
    values = value if was_tuple else (value,)
    for i, entry in enumerate(values):
        if isinstance(entry, Tensor):
            continue
        if was_tuple:
            raise TypeError(f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the value "
                            f"at index {i} has type {type(entry)}.")
        raise TypeError(f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the given "
                        f"{what} has type {type(entry)}.")
    return values, was_tuple


def _leaves(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """Tensors of their own that the derivatives are taken with respect to; with create_graph tied to the inputs."""
    return tuple(t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_() for t in inputs)


def _grad(outputs: Any, inputs: Any, cotangents: Any, create_graph: bool, retain: bool | None = None) -> tuple[Any, ...]:
    from . import grad

    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o is not None and o.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    given, weights = zip(*pairs, strict=True)
    return grad(given, inputs, weights, retain_graph=retain, create_graph=create_graph, allow_unused=True)


def _filled(grads: Any, like: Any) -> tuple[Tensor, ...]:
    return tuple(P.zeros_like(t) if g is None else g for g, t in zip(grads, like, strict=True))


def _result(values: tuple[Tensor, ...], was_tuple: bool, create_graph: bool) -> Any:
    values = values if create_graph else tuple(v.detach() for v in values)
    return values if was_tuple else values[0]


def _check_outputs(outputs: tuple[Tensor, ...], strict: bool) -> None:
    for i, output in enumerate(outputs):
        if strict and not output.requires_grad:
            raise RuntimeError(f"Output {i} of the user-provided function does not require gradients. The outputs "
                               f"must be computed in a differentiable manner from the input when running in strict "
                               f"mode.")


def _check_vector(v: Any, like: tuple[Tensor, ...], name: str, of: str) -> tuple[Tensor, ...]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if {of} a single Tensor with a single element.")
        return (P.fill(like[0].detach(), 1),)
    vectors, _ = _as_tuple(v, "v", name)
    if len(vectors) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(vectors)}.")
    for i, (vector, t) in enumerate(zip(vectors, like, strict=True)):
        if vector.shape != t.shape:
            entry = f"Entry {i} in " if len(like) > 1 else ""
            raise RuntimeError(f"{entry}v has invalid size: should be {t.shape} but got {vector.shape}.")
    return vectors


class _Recording:
    def __enter__(self) -> None:
        self.before = _C.set_grad_enabled(True)

    def __exit__(self, *error: object) -> None:
        _C.set_grad_enabled(self.before)


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(*inputs), v times the Jacobian of func): v has the shape of the output.

    >>> import flambeau as torch
    >>> torch.autograd.functional.vjp(torch.exp, torch.zeros(2), torch.ones(2))
    (tensor([1., 1.]), tensor([1., 1.]))
    """
    with _Recording():
        values, was_tuple = _as_tuple(inputs, "inputs", "vjp")
        leaves = _leaves(values, create_graph)
        outputs, tuple_out = _as_tuple(func(*leaves), "outputs of the user-provided function", "vjp")
        _check_outputs(outputs, strict)
        v = _check_vector(v, outputs, "vjp", "the user-provided function returns")
        grads = _grad(outputs, leaves, v, create_graph)
        if strict and any(g is None for g in grads):
            raise RuntimeError(f"The output of the user-provided function is independent of input "
                               f"{grads.index(None)}. This is not allowed in strict mode.")
        return _result(outputs, tuple_out, create_graph), _result(_filled(grads, leaves), was_tuple, create_graph)


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(*inputs), the Jacobian of func times v): v has the shape of the inputs.

    >>> import flambeau as torch
    >>> torch.autograd.functional.jvp(torch.exp, torch.zeros(2), torch.ones(2))
    (tensor([1., 1.]), tensor([1., 1.]))
    """
    with _Recording():
        values, _ = _as_tuple(inputs, "inputs", "jvp")
        v = _check_vector(v, values, "jvp", "the input to the user-provided function is")
        leaves = _leaves(values, create_graph)
        outputs, tuple_out = _as_tuple(func(*leaves), "outputs of the user-provided function", "jvp")
        _check_outputs(outputs, strict)
        # The gradient is linear in its cotangent; its own gradient with respect to that is the product.
        cotangents = tuple(P.zeros_like(o).detach().requires_grad_() for o in outputs)
        grads = _grad(outputs, leaves, cotangents, True)
        if strict and any(g is None for g in grads):
            raise RuntimeError(f"The output of the user-provided function is independent of input "
                               f"{grads.index(None)}. This is not allowed in strict mode.")
        result = _filled(_grad(grads, cotangents, v, create_graph), outputs)
        return _result(outputs, tuple_out, create_graph), _result(result, tuple_out, create_graph)


def jacobian(
    func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The Jacobian of func: shape (*output, *input); nested tuples for several outputs and inputs.

    vectorize runs all rows at once through vmap; strategy 'forward-mode' (with vectorize) goes by columns.

    >>> import flambeau as torch
    >>> torch.autograd.functional.jacobian(torch.exp, torch.zeros(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function '
                             'has more outputs than inputs, "forward-mode" tends to be more performant. Otherwise, '
                             'prefer to use "reverse-mode".')
    values, was_tuple = _as_tuple(inputs, "inputs", "jacobian")
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError('torch.autograd.functional.jacobian: `create_graph=True` and '
                                      '`strategy="forward-mode"` are not supported together (yet). Please either set '
                                      '`create_graph=False` or `strategy="reverse-mode"`.')
        if strict:
            raise RuntimeError('torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are '
                               'not supported together (yet). Please either set `strict=False` or '
                               '`strategy="reverse-mode"`.')
        if not vectorize:
            raise NotImplementedError('Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly '
                                      'implemented for `vectorize=True`.')
    if vectorize:
        if strict:
            raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
                               "supported together. Please either set `strict=False` or `vectorize=False`.")
        from ..func import jacfwd, jacrev

        transform = jacfwd if strategy == "forward-mode" else jacrev
        with _Recording():
            given = values if create_graph else tuple(t.detach() for t in values)
            found = transform(func, tuple(range(len(given))))(*given)
        tuple_out = isinstance(found[0], tuple)
        parts = found if tuple_out else (found,)
        if not create_graph:
            parts = tuple(tuple(part.detach() for part in row) for row in parts)
        return _nested(parts, tuple_out, was_tuple)
    with _Recording():
        leaves = _leaves(values, create_graph)
        outputs, tuple_out = _as_tuple(func(*leaves), "outputs of the user-provided function", "jacobian")
        _check_outputs(outputs, strict)
        result = []
        for i, output in enumerate(outputs):
            rows: list[list[Tensor]] = [[] for _ in leaves]
            flat = P.reshape(output, (-1,))
            for k in range(output.numel()):
                grads = _grad((flat[k],), leaves, (None,), create_graph, True)
                for j, (g, leaf) in enumerate(zip(grads, leaves, strict=True)):
                    if g is None and strict:
                        raise RuntimeError(f"Output {i} of the user-provided function is independent of input {j}. "
                                           f"This is not allowed in strict mode.")
                    if strict and create_graph and not g.requires_grad:
                        raise RuntimeError(f"The jacobian of the user-provided function is independent of input {j}. "
                                           f"This is not allowed in strict mode when create_graph=True.")
                    rows[j].append(P.zeros_like(leaf) if g is None else g)
            result.append(tuple(_stacked(row, output, leaf) for row, leaf in zip(rows, leaves, strict=True)))
    if not create_graph:
        result = [tuple(part.detach() for part in row) for row in result]
    return _nested(tuple(result), tuple_out, was_tuple)


def _stacked(rows: list[Tensor], output: Tensor, leaf: Tensor) -> Tensor:
    if not rows:
        return P.zeros((*output.shape, *leaf.shape), dtype=leaf.dtype)
    return P.reshape(P.stack(rows, 0), (*output.shape, *leaf.shape))


def _nested(rows: tuple[tuple[Tensor, ...], ...], tuple_out: bool, tuple_in: bool) -> Any:
    result = tuple(row if tuple_in else row[0] for row in rows)
    return result if tuple_out else result[0]


def _scalar(output: Any, name: str) -> Tensor:
    outputs, was_tuple = _as_tuple(output, "outputs of the user-provided function", name)
    if was_tuple:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return P.reshape(outputs[0], ())


def hessian(
    func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The matrix of second derivatives of a function that returns one number.

    >>> import flambeau as torch
    >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.ones(2))
    tensor([[6., 0.],
            [0., 6.]])
    """
    values, was_tuple = _as_tuple(inputs, "inputs", "hessian")
    if vectorize:
        from ..func import jacfwd, jacrev

        places = tuple(range(len(values)))
        outer = jacfwd if outer_jacobian_strategy == "forward-mode" else jacrev
        with _Recording():
            given = values if create_graph else tuple(t.detach() for t in values)
            found = outer(jacrev(lambda *x: _scalar(func(*x), "hessian"), places), places)(*given)
        if not create_graph:
            found = tuple(tuple(part.detach() for part in row) for row in found)
        return found if was_tuple else found[0][0]

    def gradient(*x: Tensor) -> tuple[Tensor, ...]:
        output = _scalar(func(*x), "hessian")
        _check_outputs((output,), strict)
        grads = _grad((output,), x, (None,), True)
        if strict:
            for j, g in enumerate(grads):
                if g is None:
                    raise RuntimeError(f"The output of the user-provided function is independent of input {j}. This "
                                       f"is not allowed in strict mode.")
                if not g.requires_grad:
                    raise RuntimeError(f"The jacobian of the user-provided function with respect to input {j} is "
                                       f"independent of the input. This is not allowed in strict mode.")
        return _filled(grads, x)

    found = jacobian(gradient, values, create_graph)
    return found if was_tuple else found[0][0]


def _second(func: Callable, inputs: Any, v: Any, create_graph: bool, strict: bool, name: str) -> tuple[Any, ...]:
    values, was_tuple = _as_tuple(inputs, "inputs", name)
    v = _check_vector(v, values, name, "the input to the user-provided function is")
    leaves = _leaves(values, create_graph)
    output = _scalar(func(*leaves), name)
    _check_outputs((output,), strict)
    grads = _grad((output,), leaves, (None,), True)
    for j, g in enumerate(grads):
        if strict and g is None:
            raise RuntimeError(f"The output of the user-provided function is independent of input {j}. This is not "
                               f"allowed in strict mode.")
        if strict and not g.requires_grad:
            raise RuntimeError(f"While computing the hessian, found that the jacobian of the user-provided function "
                               f"with respect to input {j} is independent of the input. This is not allowed in strict "
                               f"mode. You should ensure that your function is twice differentiable and that the "
                               f"jacobian depends on the inputs (this would be violated by a linear function for "
                               f"example).")
    return leaves, output, grads, v, was_tuple


def vhp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(*inputs), v times the Hessian of func).

    >>> import flambeau as torch
    >>> torch.autograd.functional.vhp(lambda x: (x ** 3).sum(), torch.ones(2), torch.ones(2))
    (tensor(2.), tensor([6., 6.]))
    """
    with _Recording():
        leaves, output, grads, v, was_tuple = _second(func, inputs, v, create_graph, strict, "vhp")
        result = _filled(_grad(grads, leaves, v, create_graph), leaves)
        return _result((output,), False, create_graph), _result(result, was_tuple, create_graph)


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(*inputs), the Hessian of func times v): the same numbers as vhp where the Hessian is symmetric.

    >>> import flambeau as torch
    >>> torch.autograd.functional.hvp(lambda x: (x ** 3).sum(), torch.ones(2), torch.ones(2))
    (tensor(2.), tensor([6., 6.]))
    """
    with _Recording():
        leaves, output, grads, v, was_tuple = _second(func, inputs, v, create_graph, strict, "hvp")
        weights = tuple(P.zeros_like(t).detach().requires_grad_() for t in leaves)
        products = _grad(grads, leaves, weights, True)
        result = _filled(_grad(products, weights, v, create_graph), leaves)
        return _result((output,), False, create_graph), _result(result, was_tuple, create_graph)
