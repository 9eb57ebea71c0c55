"""einsum: reads the equation, plans the order of contractions, contracts pair by pair through mm and bmm."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ._primitives import P, Tensor
from .helpers import error
from .registry import composite

Labels = tuple[Any, ...]  # letters, and numbers for the dimensions of an ellipsis, counted from the right: -1, -2, ...
EXHAUSTIVE = 4  # up to so many operands every order is tried; beyond, the cheapest pair is taken each time


@composite(method=False)
def einsum(*args: Any) -> Tensor:
    """Sums products of the operands' elements as an equation of subscripts says.

    Accepts "ij,jk->ik" with operands, an ellipsis for further dimensions, repeated subscripts for diagonals, and the
    form with lists of numbers: `einsum(a, [0, 1], b, [1, 2], [0, 2])`.

    >>> torch.einsum("ij,j->i", torch.eye(2), torch.tensor([1., 2.]))
    tensor([1., 2.])
    """
    equation, operands = equation_of(args)
    inputs, output = parse(equation, tuple(operand.dim() for operand in operands))
    diagonals = [diagonal_of(operand, labels) for operand, labels in zip(operands, inputs)]
    tensors, terms = [pair[0] for pair in diagonals], [pair[1] for pair in diagonals]
    sizes = extents(tensors, terms)
    for left, right in plan(tuple(terms), tuple(sizes.items()), output):
        kept = set(output).union(*(terms[k] for k in range(len(terms)) if k not in (left, right)))
        tensor, labels = contract(tensors[left], terms[left], tensors[right], terms[right], kept)
        for place in (right, left):
            del tensors[place], terms[place]
        tensors.append(tensor)
        terms.append(labels)
    return arranged(tensors[0], terms[0], output)


# reading


def equation_of(args: Sequence[Any]) -> tuple[str, list[Tensor]]:
    """The equation as text and the operands, from either way to call einsum."""
    if not args:
        raise error(ValueError, "einsum(): must specify the equation string and at least one operand, or at least one")
    if isinstance(args[0], str):
        operands = list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
            operands = list(operands[0])
        if not operands:
            raise error(RuntimeError if len(args) > 1 else ValueError, "einsum(): must provide at least one operand")
        return args[0], operands
    if len(args) < 2:
        raise error(ValueError, "einsum(): must specify the equation string and at least one operand")
    terms = [term_of(sublist) for sublist in args[1::2]]
    equation = ",".join(terms)
    if len(args) % 2:
        equation += "->" + term_of(args[-1])
    return equation, list(args[: len(args) // 2 * 2 : 2])


def term_of(sublist: Sequence[Any]) -> str:
    """A list of subscript numbers as letters."""
    letters = string.ascii_uppercase + string.ascii_lowercase
    for number in sublist:
        if number is not Ellipsis and not 0 <= number < 52:
            raise error(ValueError, "einsum(): expected subscripts in the list format to be in the range [0, 52)")
    return "".join("..." if number is Ellipsis else letters[number] for number in sublist)


@lru_cache(maxsize=1024)
def parse(equation: str, dims: tuple[int, ...]) -> tuple[list[Labels], Labels]:
    """The labels of each operand's dimensions and those of the result."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) < len(dims):
        raise error(RuntimeError, "einsum(): more operands were provided than specified in the equation")
    if len(terms) > len(dims):
        raise error(RuntimeError, "einsum(): fewer operands were provided than specified in the equation")
    inputs = [labels_of(term, ndim, place) for place, (term, ndim) in enumerate(zip(terms, dims))]
    used = [label for labels in inputs for label in labels]
    dots = sorted({label for label in used if isinstance(label, int)})
    if not arrow:
        letters = sorted(label for label in set(used) if not isinstance(label, int) and used.count(label) == 1)
        return inputs, (*dots, *letters)
    return inputs, output_labels(right, dots, used)


def labels_of(term: str, ndim: int, place: int) -> Labels:
    """The labels of one operand's dimensions."""
    before, dots, after = term.partition("...")
    check_letters(before + after, term)
    missing = ndim - len(before) - len(after)
    if missing < 0 or (missing and not dots):
        phrase = f"einsum(): the number of subscripts in the equation ({len(before) + len(after)}) does not match the"
        raise error(
            RuntimeError, f"{phrase} number of dimensions ({ndim}) for operand {place} and no ellipsis was given"
        )
    return (*before, *range(-missing, 0), *after)


def check_letters(letters: str, term: str) -> None:
    """Raises for subscripts that are not letters."""
    for letter in letters:
        if letter == ".":
            raise error(RuntimeError, f"einsum(): found '.' that is not part of any ellipsis in '{term}'")
        if letter not in string.ascii_letters:
            raise error(RuntimeError, f"einsum(): invalid subscript given at '{term}', subscripts must be in [a-zA-Z]")


def output_labels(right: str, dots: list[int], used: list[Any]) -> Labels:
    """The labels that the equation gives the result."""
    before, ellipsis, after = right.partition("...")
    check_letters(before + after, right)
    for letter in before + after:
        if (before + after).count(letter) > 1:
            raise error(RuntimeError, f"einsum(): output subscript {letter} appears more than once in the output")
        if letter not in used:
            phrase = f"einsum(): output subscript {letter} does not appear in the equation for any input operand"
            raise error(RuntimeError, phrase)
    return (*before, *(dots if ellipsis else ()), *after)


# single operands


def diagonal_of(tensor: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """A view in which every label occurs once: repeated ones become a diagonal, which goes last."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if tensor.shape[first] != tensor.shape[second]:
                phrase = f"einsum(): subscript {label} is repeated for an operand but the sizes don't match"
                raise error(RuntimeError, f"{phrase}, {tensor.shape[second]} != {tensor.shape[first]}")
            tensor = P.diagonal(tensor, 0, first, second)
            labels = (*labels[:first], *labels[first + 1 : second], *labels[second + 1 :], label)
    return tensor, labels


def extents(tensors: Sequence[Tensor], terms: Sequence[Labels]) -> dict[Any, int]:
    """The extent of every label; an extent of one broadcasts."""
    sizes: dict[Any, int] = {}
    for place, (tensor, labels) in enumerate(zip(tensors, terms)):
        for label, extent in zip(labels, tensor.shape):
            known = sizes.get(label, 1)
            if 1 not in (known, extent) and known != extent:
                phrase = "einsum(): operands do not broadcast with remapped shapes [original->remapped]:"
                raise error(
                    RuntimeError, f"{phrase} subscript {label} has size {extent} for operand {place}, not {known}"
                )
            sizes[label] = extent if known == 1 else known
    return sizes


def arranged(tensor: Tensor, labels: Labels, output: Labels) -> Tensor:
    """The last operand with the result's dimensions in their order."""
    gone = [place for place, label in enumerate(labels) if label not in output]
    if gone:
        tensor = P.sum(tensor, tuple(gone), False, dtype=tensor.dtype)
        labels = tuple(label for label in labels if label in output)
    return P.permute(tensor, tuple(labels.index(label) for label in output)) if labels != output else tensor


# planning


@lru_cache(maxsize=1024)
def plan(terms: tuple[Labels, ...], sizes: tuple[tuple[Any, int], ...], output: Labels) -> list[tuple[int, int]]:
    """The pairs to contract, in order; each result is appended to the list of operands."""
    return (cheapest if len(terms) <= EXHAUSTIVE else greedy)(list(terms), dict(sizes), output)[1]


def step_of(terms: list[Labels], i: int, j: int, sizes: dict[Any, int], output: Labels) -> tuple[float, list[Labels]]:
    """The number of multiplications of contracting a pair, and the operands afterwards."""
    rest = [term for k, term in enumerate(terms) if k not in (i, j)]
    both = dict.fromkeys(terms[i] + terms[j])
    kept = set(output).union(*rest)
    cost = math.prod(sizes[label] for label in both)
    return cost, [*rest, tuple(label for label in both if label in kept)]


def cheapest(terms: list[Labels], sizes: dict[Any, int], output: Labels) -> tuple[float, list[tuple[int, int]]]:
    """The best of all orders."""
    if len(terms) == 1:
        return 0, []
    best: tuple[float, list[tuple[int, int]]] | None = None
    for j in range(1, len(terms)):
        for i in range(j):
            cost, after = step_of(terms, i, j, sizes, output)
            further, pairs = cheapest(after, sizes, output)
            if best is None or cost + further < best[0]:
                best = cost + further, [(i, j), *pairs]
    assert best is not None
    return best


def greedy(terms: list[Labels], sizes: dict[Any, int], output: Labels) -> tuple[float, list[tuple[int, int]]]:
    """The order that takes the cheapest pair each time."""
    total, pairs = 0.0, []
    while len(terms) > 1:
        choices = [(step_of(terms, i, j, sizes, output)[0], i, j) for j in range(len(terms)) for i in range(j)]
        cost, i, j = min(choices)
        total += cost
        pairs.append((i, j))
        terms = step_of(terms, i, j, sizes, output)[1]
    return total, pairs


# contracting a pair


def contract(a: Tensor, a_labels: Labels, b: Tensor, b_labels: Labels, kept: set[Any]) -> tuple[Tensor, Labels]:
    """The product of two operands, summed over the labels that nothing else needs."""
    a, a_labels, b, b_labels = without_ones(a, a_labels, b, b_labels)
    b, b_labels, a, a_labels = without_ones(b, b_labels, a, a_labels)
    a, a_labels = summed(a, a_labels, kept | set(b_labels))
    b, b_labels = summed(b, b_labels, kept | set(a_labels))
    shared = [label for label in a_labels if label in b_labels]
    batch, inner = [label for label in shared if label in kept], [label for label in shared if label not in kept]
    left = [label for label in a_labels if label not in shared]
    right = [label for label in b_labels if label not in shared]
    a = P.permute(a, tuple(a_labels.index(label) for label in (*batch, *left, *inner)))
    b = P.permute(b, tuple(b_labels.index(label) for label in (*batch, *inner, *right)))
    return product(a, b, len(batch), len(left), len(inner)), (*batch, *left, *right)


def without_ones(a: Tensor, a_labels: Labels, b: Tensor, b_labels: Labels) -> tuple[Tensor, Labels, Tensor, Labels]:
    """Drops the dimensions of extent one that the other operand has too: they broadcast."""
    ones = [place for place, label in enumerate(a_labels) if a.shape[place] == 1 and label in b_labels]
    if ones:
        a = P.squeeze(a, tuple(ones))
        a_labels = tuple(label for place, label in enumerate(a_labels) if place not in ones)
    return a, a_labels, b, b_labels


def summed(tensor: Tensor, labels: Labels, needed: set[Any]) -> tuple[Tensor, Labels]:
    """Sums over the labels that nobody needs."""
    gone = tuple(place for place, label in enumerate(labels) if label not in needed)
    if not gone:
        return tensor, labels
    return P.sum(tensor, gone, False, dtype=tensor.dtype), tuple(label for label in labels if label in needed)


def product(a: Tensor, b: Tensor, batch: int, left: int, inner: int) -> Tensor:
    """(batch, left, inner) times (batch, inner, right) with several dimensions in each place."""
    shape_a, shape_b = tuple(a.shape), tuple(b.shape)
    outside, rows, columns = shape_a[:batch], shape_a[batch : batch + left], shape_b[batch + inner :]
    if not inner:  # nothing to sum: a broadcast product needs no copies
        a = P.reshape(a, (*outside, *rows, *(1 for _ in columns))) if columns else a
        b = P.reshape(b, (*outside, *(1 for _ in rows), *columns)) if rows else b
        return P.mul(a, b)
    k = math.prod(shape_a[batch + left :])
    a = P.reshape(a, (*((math.prod(outside),) if batch else ()), math.prod(rows), k))
    b = P.reshape(b, (*((math.prod(outside),) if batch else ()), k, math.prod(columns)))
    return P.reshape((P.bmm if batch else P.mm)(a, b), (*outside, *rows, *columns))
