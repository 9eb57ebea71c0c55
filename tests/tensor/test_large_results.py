"""Elementwise results larger than the caches, which are written around them."""
import numpy as np
import pytest

import flambeau as ft

MANY = (1 << 24) + 37  # 64 MB of float32, and a tail


@pytest.fixture(scope="module")
def numbers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.standard_normal(MANY, dtype=np.float32), rng.standard_normal(MANY, dtype=np.float32)


def test_fresh_and_given_results_hold_every_element(numbers: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = map(ft.from_numpy, numbers)
    assert np.array_equal((a + b).numpy(), numbers[0] + numbers[1])
    out = ft.zeros(MANY)
    ft.mul(a, b, out=out)
    assert np.array_equal(out.numpy(), numbers[0] * numbers[1])


def test_a_result_in_place_of_an_operand(numbers: tuple[np.ndarray, np.ndarray]) -> None:
    a = ft.from_numpy(numbers[0].copy())
    ft.add(a, ft.from_numpy(numbers[1]), out=a)
    assert np.array_equal(a.numpy(), numbers[0] + numbers[1])


def test_a_view_that_starts_and_ends_between_vectors(numbers: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = map(ft.from_numpy, numbers)
    whole = ft.full((MANY + 8,), 7.0)
    ft.sub(a, b, out=whole[3:MANY + 3])
    expected = np.full(MANY + 8, 7, np.float32)
    expected[3:MANY + 3] = numbers[0] - numbers[1]
    assert np.array_equal(whole.numpy(), expected)


@pytest.mark.parametrize("dtype", ["float64", "int32", "int8"])
def test_other_types(dtype: str, numbers: tuple[np.ndarray, np.ndarray]) -> None:
    x = (numbers[0] * 10).astype(dtype)
    x = np.concatenate([x, x]) if dtype == "int8" else x
    assert np.array_equal((ft.from_numpy(x) + 3).numpy(), x + np.asarray(3, dtype))


def test_gradients_of_large_operands(numbers: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (ft.from_numpy(n).requires_grad_() for n in numbers)
    (a * b).backward(ft.ones(MANY))
    assert np.array_equal(a.grad.numpy(), numbers[1])
    assert np.array_equal(b.grad.numpy(), numbers[0])
