"""x[...] for reading and writing, against NumPy: basic, advanced, boolean; and the gradients of both."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as torch

FEW = settings(max_examples=300, deadline=None, derandomize=True)


@st.composite
def cases(draw, kinds=("int", "slice", "none", "ellipsis", "list", "array", "mask")):
    """A shape and an index that fits it; slices have positive steps, which is all that PyTorch allows."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    index, dim, ellipsis_seen = [], 0, False
    together = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))  # shape of index arrays, which broadcast
    while dim < len(shape) and draw(st.integers(0, 4)):
        kind = draw(st.sampled_from(kinds))
        n = shape[dim]
        if kind == "int":
            index.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 2, n + 2)
            index.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
        elif kind == "none":
            index.append(None)
            continue
        elif kind == "ellipsis":
            if ellipsis_seen:
                continue
            ellipsis_seen = True
            index.append(Ellipsis)
            dim += draw(st.integers(0, len(shape) - dim))
            if dim < len(shape):  # what the ellipsis stands for has to be what is left over
                index += [slice(None)] * (len(shape) - dim)
            break
        elif kind == "list":
            index.append(draw(st.lists(st.integers(-n, n - 1), min_size=together[-1], max_size=together[-1])))
        elif kind == "array":
            size = draw(st.sampled_from([together, together[-1:], ()]))
            index.append(np.array(draw(st.integers(-n, n - 1))) if not size else draw_array(draw, size, -n, n - 1))
        else:
            bits = draw(st.lists(st.booleans(), min_size=n, max_size=n))
            if sum(bits) not in (1, together[-1]):
                continue
            index.append(np.array(bits))
        dim += 1
    return shape, tuple(index)


def draw_array(draw, size, low, high):
    count = int(np.prod(size))
    return np.array(draw(st.lists(st.integers(low, high), min_size=count, max_size=count))).reshape(size)


def ours(index):
    return tuple(torch.from_numpy(i.copy()) if isinstance(i, np.ndarray) else i for i in index)


def array(shape):
    return np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape) + 1


def expected(shape, index):
    """NumPy's answer, or None where it has none.

    A number selects first: it is no index array that others broadcast with, and does not move their dimensions.
    """
    a, rest, dim = array(shape), [], 0
    try:
        for entry in index:
            if isinstance(entry, int) or (isinstance(entry, np.ndarray) and entry.ndim == 0):
                a = np.take(a, int(entry), dim)
                continue
            rest.append(entry)
            dim += entry is not None  # after an ellipsis only whole dimensions come
        return a[tuple(rest)]
    except IndexError:
        return None


@FEW
@given(cases())
def test_reading(case):
    shape, index = case
    want = expected(shape, index)
    if want is None:
        return
    got = torch.from_numpy(array(shape))[ours(index)]
    assert tuple(got.shape) == want.shape
    np.testing.assert_array_equal(got.numpy(), want)


@FEW
@given(cases(kinds=("int", "slice", "none", "ellipsis")))
def test_basic_indexing_gives_views(case):
    shape, index = case
    x = torch.from_numpy(array(shape))
    view = x[index if index else ...]
    if not view.numel():
        return
    assert view.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    view.zero_()
    want = array(shape)
    want[index if index else ...] = 0
    np.testing.assert_array_equal(x.numpy(), want)


@FEW
@given(cases(), st.booleans())
def test_writing(case, whole):
    shape, index = case
    place = expected(shape, index)
    positions = None if place is None else np.asarray(place).reshape(-1)
    if place is None or len(set(positions.tolist())) != positions.size:
        return  # which of several values for one place stays is free
    value = -np.arange(1.0, place.size + 1).reshape(place.shape) if whole else -1.0
    want, x = array(shape), torch.from_numpy(array(shape))
    want[index] = value
    x[ours(index)] = torch.from_numpy(np.array(value)) if whole else value
    np.testing.assert_array_equal(x.numpy(), want)


@FEW
@given(cases())
def test_gradient_of_reading(case):
    """Each place gets the cotangents of all elements that were read from it."""
    shape, index = case
    place = expected(shape, index)
    if place is None:
        return
    x = torch.from_numpy(array(shape)).requires_grad_()
    y = x[ours(index)]
    weights = np.arange(1.0, place.size + 1).reshape(place.shape)
    (y * torch.from_numpy(np.array(weights))).sum().backward()
    want = np.zeros(int(np.prod(shape)))
    np.add.at(want, np.asarray(place).reshape(-1).astype(int) - 1, weights.reshape(-1))
    np.testing.assert_allclose(x.grad.numpy().reshape(-1), want)


def test_gradient_of_writing():
    x, v = torch.ones(4, requires_grad=True), torch.tensor([5.0, 6.0], requires_grad=True)
    y = x * 2
    y[torch.tensor([3, 0])] = v
    (y * torch.arange(1.0, 5.0)).sum().backward()
    assert x.grad.tolist() == [0.0, 4.0, 6.0, 0.0]
    assert v.grad.tolist() == [4.0, 1.0]


def test_masks_of_several_dimensions():
    a, m = array((3, 4)), array((3, 4)) % 3 == 0
    x, mask = torch.from_numpy(a.copy()), torch.from_numpy(m)
    np.testing.assert_array_equal(x[mask].numpy(), a[m])
    x[mask] = 0
    a[m] = 0
    np.testing.assert_array_equal(x.numpy(), a)
    assert x[torch.tensor(True)].shape == (1, 3, 4)
    assert x[torch.zeros(3, dtype=torch.bool)].shape == (0, 4)


def test_augmented_assignment():
    x = torch.arange(5.0)
    x[1:3] += 10
    x[torch.tensor([0, 0])] += 1  # read, add, write: once
    assert x.tolist() == [1.0, 11.0, 12.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("index", "kind", "phrase"),
    [
        (5, IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
        (-4, IndexError, "index -4 is out of bounds for dimension 0 with size 3"),
        ((0, 0, 0), IndexError, "too many indices for tensor of dimension 2"),
        (slice(None, None, -1), ValueError, "step must be greater than zero"),
        (1.5, (TypeError, IndexError), "indices"),
        ("a", (TypeError, IndexError), "invalid data type"),
        ([0, 7], IndexError, "index 7 is out of bounds for dimension 0 with size 3"),
        (([0, 1], [0, 1, 0]), IndexError, "shape mismatch"),
        ([True, False], IndexError, "does not match the shape of the indexed tensor"),
    ],
)
def test_bad_indices(index, kind, phrase):
    x = torch.zeros(3, 2)
    index = torch.tensor(index) if index == [True, False] else index
    with pytest.raises(kind, match=phrase):
        x[index]
    with pytest.raises(kind, match=phrase):
        x[index] = 1.0


def test_values_that_do_not_fit():
    with pytest.raises(RuntimeError, match="expand|shape mismatch"):
        torch.zeros(3)[:2] = torch.ones(3)
