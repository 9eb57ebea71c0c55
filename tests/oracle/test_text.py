"""Against PyTorch: the text of tensors, character for character."""

import math

import pytest

torch = pytest.importorskip("torch")
import numpy as np  # noqa: E402

import flambeau  # noqa: E402

INF, NAN = math.inf, math.nan
MAKERS = {
    "empty": lambda t: t.empty(0),
    "empty_matrix": lambda t: t.empty(0, 3),
    "empty_middle": lambda t: t.empty(2, 0, 3, dtype=t.int64),
    "scalar": lambda t: t.tensor(3.14159),
    "scalar_int": lambda t: t.tensor(7),
    "scalar_bool": lambda t: t.tensor(True),
    "scalar_complex": lambda t: t.tensor(1 + 2j),
    "whole_floats": lambda t: t.tensor([1.0, 2.0, -3.0]),
    "mixed": lambda t: t.tensor([1.0, 2.5, -3.25]),
    "nan_inf": lambda t: t.tensor([1.0, NAN, INF, -INF]),
    "nan_only": lambda t: t.tensor([NAN, NAN]),
    "inf_and_fraction": lambda t: t.tensor([0.5, INF]),
    "zeros": lambda t: t.zeros(2, 2),
    "negative_zero": lambda t: t.tensor([-0.0, 1.5]),
    "large": lambda t: t.tensor([1e9, 1.0]),
    "large_whole": lambda t: t.tensor([123456789.0]),
    "just_under": lambda t: t.tensor([99999999.0, 1.0]),
    "thousand": lambda t: t.tensor([1000.0, 1.0]),
    "thousand_and_half": lambda t: t.tensor([1000.5, 1.0]),
    "ratio": lambda t: t.tensor([1001.5, 1.0]),
    "small": lambda t: t.tensor([1e-5, 1.0]),
    "tiny": lambda t: t.tensor([1e-5, 2e-5]),
    "tiny_limit": lambda t: t.tensor([1e-4, 2e-4]),
    "denormal": lambda t: t.tensor([1e-40]),
    "float64": lambda t: t.tensor([0.1, 0.2], dtype=t.float64),
    "float16": lambda t: t.tensor([0.1, 65504.0], dtype=t.float16),
    "bfloat16": lambda t: t.tensor([0.1, 3.0], dtype=t.bfloat16),
    "ints": lambda t: t.tensor([[1, -20], [300, 4]]),
    "int32": lambda t: t.tensor([1, 2], dtype=t.int32),
    "uint8": lambda t: t.tensor([[0, 255]], dtype=t.uint8),
    "bools": lambda t: t.tensor([[True, False], [False, True]]),
    "complex64": lambda t: t.tensor([1 + 2j, -0.5 - 1e-3j]),
    "complex128": lambda t: t.tensor([1 + 2j, 3j], dtype=t.complex128),
    "complex_nan": lambda t: t.tensor([complex(NAN, INF), 1 - 1j]),
    "complex_large": lambda t: t.tensor([1e6 + 1j, 1e-6 - 3j]),
    "row_of_40": lambda t: t.arange(40),
    "row_of_floats": lambda t: t.arange(30) * 0.37,
    "cube": lambda t: t.arange(24).reshape(2, 3, 4),
    "four": lambda t: t.arange(16.0).reshape(2, 2, 2, 2),
    "column": lambda t: t.arange(5.0).reshape(5, 1),
    "long": lambda t: t.arange(2000),
    "long_floats": lambda t: t.arange(1500) / 7,
    "big_matrix": lambda t: t.arange(10000).reshape(100, 100),
    "tall": lambda t: t.arange(3000.0).reshape(1500, 2),
    "wide": lambda t: t.arange(3000.0).reshape(2, 1500),
    "cube_cut": lambda t: t.arange(8000).reshape(20, 20, 20),
    "exactly_threshold": lambda t: t.arange(1000),
    "over_threshold": lambda t: t.arange(1001),
    "transposed": lambda t: t.arange(6).reshape(2, 3).t(),
    "expanded": lambda t: t.tensor([1.5]).expand(3, 2),
    "requires_grad": lambda t: t.tensor([1.0, 2.0], requires_grad=True),
    "grad_fn": lambda t: t.tensor([1.0, 2.0], requires_grad=True) * 2,
    "grad_fn_long": lambda t: (t.arange(12.0) + 0.5).requires_grad_() * 3,
    "grad_fn_view": lambda t: t.ones(2, 2, requires_grad=True).t(),
    "grad_fn_sum": lambda t: t.ones(2, 2, requires_grad=True).sum(),
    "dtype_and_grad": lambda t: t.ones(3, dtype=t.float64, requires_grad=True),
    "dtype_and_grad_fn": lambda t: t.ones(3, dtype=t.float64, requires_grad=True).exp(),
    "parameter": lambda t: t.nn.Parameter(t.ones(2)),
    "wide_dtype": lambda t: (t.arange(9) / 3).to(t.float64),
    "empty_grad": lambda t: t.empty(0, requires_grad=True),
    "size": lambda t: t.ones(2, 3).shape,
    "dtype": lambda t: t.float32,
    "device": lambda t: t.device("cpu"),
    "max": lambda t: t.tensor([[1.0, 2.0]]).max(1),
}  # fmt: skip
OPTIONS = {
    "default": {},
    "precision": {"precision": 2},
    "many_digits": {"precision": 10},
    "short": {"profile": "short"},
    "full": {"profile": "full"},
    "narrow": {"linewidth": 40},
    "edges": {"threshold": 10, "edgeitems": 2},
    "scientific": {"sci_mode": True},
    "plain": {"sci_mode": False},
}


@pytest.fixture(params=OPTIONS)
def options(request):
    for t in (torch, flambeau):
        t.set_printoptions(**OPTIONS[request.param])
    yield request.param
    for t in (torch, flambeau):
        t.set_printoptions(profile="default")


@pytest.mark.parametrize("name", MAKERS)
def test_text(name, options):
    if options == "full" and name in ("big_matrix", "cube_cut", "tall", "wide"):
        pytest.skip("long")
    assert repr(MAKERS[name](flambeau)) == repr(MAKERS[name](torch))
    assert str(MAKERS[name](flambeau)) == str(MAKERS[name](torch))


def test_text_of_random_tensors():
    rng = np.random.default_rng(0)
    for _ in range(300):
        shape = tuple(rng.integers(0, 5, rng.integers(0, 4)))
        scale = 10.0 ** rng.integers(-6, 7)
        values = rng.standard_normal(shape) * scale
        if rng.random() < 0.3:
            values = np.round(values)
        values = np.array(values.astype(rng.choice(["float32", "float64", "int64", "complex64", "int16"])))
        assert repr(flambeau.from_numpy(values.copy())) == repr(torch.from_numpy(values.copy())), values


def test_format_specifiers():
    for t in (torch, flambeau):
        t.set_printoptions(profile="default")
    for spec in ("", ".3f", "8.2e"):
        assert format(flambeau.tensor(1.5), spec) == format(torch.tensor(1.5), spec)
    assert f"{flambeau.tensor([1.5])}" == f"{torch.tensor([1.5])}"


def test_default_dtype_changes_what_is_said():
    try:
        for t in (torch, flambeau):
            t.set_default_dtype(t.float64)
        for make in (lambda t: t.tensor([1.5]), lambda t: t.tensor([1.5], dtype=t.float32), lambda t: t.tensor([1j])):
            assert repr(make(flambeau)) == repr(make(torch))
    finally:
        for t in (torch, flambeau):
            t.set_default_dtype(t.float32)
