"""Powers and the error function in float32: how far from the true value, and what happens at the edges."""
import math

import numpy as np
import pytest

import flambeau as ft

EDGES = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, math.inf, -math.inf, math.nan, 3.0, -3.0, 1e30, -1e30, 1e-40, 1e38,
         16777217.0, 33554432.0, 1.5, -1.5]


def ulps(got: np.ndarray, true: np.ndarray) -> float:
    fits = np.isfinite(true) & (np.abs(true) < 3.4e38)
    spacing = np.spacing(np.abs(true[fits]).astype(np.float32)).astype(np.float64)
    return float(np.max(np.abs(got[fits].astype(np.float64) - true[fits]) / spacing, initial=0))


@pytest.mark.parametrize("exponent", EDGES)
def test_powers_at_the_edges(exponent: float) -> None:
    x = np.array(EDGES, np.float32)
    with np.errstate(all="ignore"):
        true = np.power(x.astype(np.float64), np.full(len(x), np.float32(exponent), np.float64))  # for one number NumPy takes a square root
    for got in (ft.from_numpy(x) ** exponent, ft.from_numpy(x) ** ft.full((len(EDGES),), exponent)):
        with np.errstate(over="ignore"):
            expected = true.astype(np.float32)
        assert np.array_equal(np.isnan(got.numpy()), np.isnan(expected))
        assert np.array_equal(np.signbit(got.numpy()[~np.isnan(expected)]), np.signbit(expected[~np.isnan(expected)]))
        assert np.allclose(got.numpy(), expected, rtol=3e-7, atol=0, equal_nan=True)


@pytest.mark.parametrize("exponent", [1.7, 0.5, -0.5, 2.0, 3.0, -1.0, 2.5, -37.25, 1e-3, 1000.0, -1000.0])
def test_powers_are_within_an_ulp_and_a_half(exponent: float) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([np.exp(rng.uniform(-3, 3, 50000)), 1 + rng.uniform(-1e-3, 1e-3, 50000)]).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        true = np.power(x.astype(np.float64), np.float64(np.float32(exponent)))
    assert ulps((ft.from_numpy(x) ** exponent).numpy(), true) <= 1.5


def test_an_exponent_of_its_own_for_every_element_gives_the_same_bits() -> None:
    x = np.random.default_rng(2).uniform(-4, 4, 4096).astype(np.float32)
    exponents = [2.0, 3.0, -1.0, 0.5, 1.7, 4.0, -2.0, 0.0]
    mixed = ft.from_numpy(x) ** ft.tensor(exponents * 512)
    for i, exponent in enumerate(exponents):
        assert np.array_equal(mixed.numpy()[i::8], (ft.from_numpy(x) ** exponent).numpy()[i::8], equal_nan=True)


def test_erf_is_within_two_ulps_and_a_half() -> None:
    x = np.concatenate([np.geomspace(1e-30, 6, 100000), [0.0, 10.0, math.inf]]).astype(np.float32)
    true = np.array([math.erf(v) for v in x.tolist()])
    got = ft.erf(ft.from_numpy(x)).numpy()
    assert ulps(got, true) <= 2.5
    assert np.array_equal(ft.erf(ft.from_numpy(-x)).numpy(), -got)
    assert np.isnan(ft.erf(ft.tensor(math.nan)).item())


def test_gelu_of_large_numbers_is_exact() -> None:
    assert ft.nn.functional.gelu(ft.tensor([-100.0, -7.0, 7.0, 100.0])).tolist() == [0.0, 0.0, 7.0, 100.0]
