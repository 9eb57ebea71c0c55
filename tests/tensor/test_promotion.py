"""Which type a result has: tensors, tensors without dimensions and Python numbers, by category."""

import itertools

import pytest

import flambeau as torch

ORDER = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128")
# Rows and columns in that order: b u 1 2 4 8 h g f d F D
TABLE = """
b u 1 2 4 8 h g f d F D
u u 2 2 4 8 h g f d F D
1 2 1 2 4 8 h g f d F D
2 2 2 2 4 8 h g f d F D
4 4 4 4 4 8 h g f d F D
8 8 8 8 8 8 h g f d F D
h h h h h h h f f d F D
g g g g g g f g f d F D
f f f f f f f f f d F D
d d d d d d d d d d D D
F F F F F F F F F D F D
D D D D D D D D D D D D
"""
LETTERS = dict(zip("bu1248hgfdFD", ORDER))
PROMOTED = {
    (a, b): LETTERS[letter]
    for a, line in zip(ORDER, TABLE.split("\n")[1:])
    for b, letter in zip(ORDER, line.split())
}


def dtype(name):
    return getattr(torch, name)


@pytest.mark.parametrize(("a", "b"), list(itertools.product(ORDER, ORDER)))
def test_pairs(a, b):
    want = dtype(PROMOTED[a, b])
    assert torch.promote_types(dtype(a), dtype(b)) is want
    x, y = torch.ones(2, dtype=dtype(a)), torch.ones(2, dtype=dtype(b))
    assert (x * y).dtype is want
    assert torch.result_type(x, y) is want
    assert (x == y).dtype is torch.bool
    assert torch.cat([x, y]).dtype is want


CATEGORY = {name: 0 if name == "bool" else 1 if "int" in name else 3 if "complex" in name else 2 for name in ORDER}


@pytest.mark.parametrize(("a", "b"), list(itertools.product(ORDER, ORDER)))
def test_tensors_without_dimensions_count_by_category(a, b):
    x, y = torch.ones(2, dtype=dtype(a)), torch.ones((), dtype=dtype(b))
    if CATEGORY[b] <= CATEGORY[a]:
        want = dtype(a)
    elif CATEGORY[b] == 3 and CATEGORY[a] == 2:  # complex of the real type's width
        want = torch.complex128 if a == "float64" else dtype(b) if a not in ("float32",) else torch.complex64
        want = torch.complex64 if a in ("float32", "bfloat16") else want
        if a == "float16":
            return  # complex numbers of half width are not supported
    else:
        want = dtype(b)
    assert (x + y).dtype is want and (y + x).dtype is want


@pytest.mark.parametrize("name", ORDER)
def test_numbers_count_by_category(name):
    x = torch.ones(2, dtype=dtype(name))
    category = CATEGORY[name]
    assert (x * True).dtype is x.dtype
    assert (x * 2).dtype is (torch.int64 if category == 0 else x.dtype)
    assert (x * 2.0).dtype is (torch.float32 if category < 2 else x.dtype)
    if name != "float16":
        wide = torch.complex128 if name == "float64" else torch.complex64
        assert (x * 2j).dtype is (x.dtype if category == 3 else wide)


def test_division_gives_floats():
    assert (torch.ones(2, dtype=torch.int64) / 2).dtype is torch.float32
    assert (torch.ones(2, dtype=torch.int64) // 2).dtype is torch.int64
    assert torch.sin(torch.ones(2, dtype=torch.uint8)).dtype is torch.float32
    assert torch.ones(2, dtype=torch.bool).sum().dtype is torch.int64


def test_default_dtype():
    try:
        torch.set_default_dtype(torch.float64)
        assert torch.tensor(1.5).dtype is torch.float64
        assert (torch.ones(2, dtype=torch.int32) / 2).dtype is torch.float64
        assert torch.tensor(1j).dtype is torch.complex128
    finally:
        torch.set_default_dtype(torch.float32)


def test_in_place_keeps_the_type():
    x = torch.ones(2)
    x += torch.ones(2, dtype=torch.float64)
    assert x.dtype is torch.float32
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        torch.ones(2, dtype=torch.int64).add_(0.5)
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.add(torch.ones(2), 1, out=torch.ones(2, dtype=torch.int64))


def test_can_cast():
    assert torch.can_cast(torch.float64, torch.float32) and torch.can_cast(torch.int64, torch.float16)
    assert not torch.can_cast(torch.float32, torch.int64) and not torch.can_cast(torch.complex64, torch.float32)
