"""Nested containers as lists of leaves: tuples, named tuples, lists, dicts and their kin are taken apart and rebuilt."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["TreeSpec", "register_pytree_node", "tree_flatten", "tree_leaves", "tree_map", "tree_map_only",
    "tree_structure",
           "tree_unflatten"]  # fmt: skip


class _Kind(NamedTuple):
    flatten: Callable[[Any], tuple[list[Any], Any]]
    unflatten: Callable[[Any, Any], Any]


_kinds: dict[type, _Kind] = {
    tuple: _Kind(lambda t: (list(t), None), lambda values, _: tuple(values)),
    list: _Kind(lambda t: (list(t), None), lambda values, _: list(values)),
    deque: _Kind(lambda t: (list(t), t.maxlen), lambda values, maxlen: deque(values, maxlen)),
    dict: _Kind(lambda t: (list(t.values()), list(t)), lambda values, keys: dict(zip(keys, values, strict=True))),
    OrderedDict: _Kind(lambda t: (list(t.values()), list(t)), lambda values, keys: OrderedDict(zip(keys, values, strict=True))),
    defaultdict: _Kind(lambda t: (list(t.values()), (t.default_factory, list(t))),
                       lambda values, c: defaultdict(c[0], zip(c[1], values, strict=True))),
}  # fmt: skip


def register_pytree_node(cls: type, flatten_fn: Callable, unflatten_fn: Callable, **_: Any) -> None:
    """Makes a class a container: flatten_fn(value) -> (children, context), unflatten_fn(children, context) -> value."""
    _kinds[cls] = _Kind(flatten_fn, unflatten_fn)


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(type(value), "_fields")


def _is_struct_sequence(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(type(value), "n_sequence_fields")


class TreeSpec(NamedTuple):
    """How a container was built: its type, what else it needs, and the same of its children. A leaf has type None."""

    type: Any
    context: Any
    children_specs: tuple[Any, ...]

    @property
    def num_leaves(self) -> int:
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)

    def is_leaf(self) -> bool:
        return self.type is None

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context}, [{', '.join(map(repr, self.children_specs))}])"


LEAF = TreeSpec(None, None, ())


def _children(tree: Any) -> tuple[list[Any], Any] | None:
    kind = _kinds.get(type(tree))
    if kind is not None:
        children, context = kind.flatten(tree)
        return list(children), context
    if _is_namedtuple(tree) or _is_struct_sequence(tree):
        return list(tree), type(tree)
    return None


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """The leaves, in order, and what tree_unflatten needs to put them back.

    >>> from flambeau.utils._pytree import tree_flatten
    >>> tree_flatten([1, (2, {"a": 3})])[0]
    [1, 2, 3]
    """
    leaves: list[Any] = []

    def walk(node: Any) -> TreeSpec:
        found = None if is_leaf is not None and is_leaf(node) else _children(node)
        if found is None:
            leaves.append(node)
            return LEAF
        children, context = found
        return TreeSpec(type(node), context, tuple(walk(child) for child in children))

    spec = walk(tree)
    return leaves, spec


def tree_unflatten(leaves: Any, treespec: TreeSpec) -> Any:
    """The container of `treespec` with these leaves."""
    source = iter(leaves)

    def build(spec: TreeSpec) -> Any:
        if spec.type is None:
            return next(source)
        children = [build(child) for child in spec.children_specs]
        if spec.type in _kinds:
            return _kinds[spec.type].unflatten(children, spec.context)
        return spec.type(*children) if hasattr(spec.type, "_fields") else spec.type(children)

    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec refers to "
                         f"a pytree that holds {treespec.num_leaves} items ({treespec}).")
    source = iter(leaves)
    return build(treespec)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves, in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The container without its leaves."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable, tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The container with func(leaf, ...) for each leaf."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_leaves(rest, is_leaf) for rest in rests]
    return tree_unflatten([func(*values) for values in zip(leaves, *others, strict=True)], spec)


def tree_map_only(kind: Any, func: Callable, tree: Any) -> Any:
    """The container with func(leaf) for each leaf that is an instance of `kind`."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, kind) else leaf, tree)


def broadcast_to(prefix: Any, spec: TreeSpec) -> list[Any] | None:
    """One entry of `prefix` for each leaf of spec: a leaf of prefix stands for all below it. None: they do not match."""
    if spec.type is None:
        return None if isinstance(prefix, (tuple, list, dict)) else [prefix]
    if not isinstance(prefix, (tuple, list, dict)):
        return [prefix] * spec.num_leaves
    found = _children(prefix)
    same = found is not None and (type(prefix) is spec.type or {type(prefix), spec.type} <= {tuple, list})
    if found is None or not same or len(found[0]) != len(spec.children_specs) or (isinstance(prefix, dict) and list(prefix) != list(spec.context)):
        return None
    result: list[Any] = []
    for child, child_spec in zip(found[0], spec.children_specs, strict=True):
        part = broadcast_to(child, child_spec)
        if part is None:
            return None
        result += part
    return result
