"""The core's kernels against the composition over tensor operations: the same rule, twice."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.optim import _multi

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "maximize": True}),
    ("AdamW", {"betas": (0.8, 0.9), "amsgrad": True}),
    ("RMSprop", {"weight_decay": 0.1}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.5, "maximize": True}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adadelta", {"rho": 0.8, "weight_decay": 0.1}),
    ("Adamax", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"weight_decay": 0.1, "maximize": True}),
]


def trace(name, options, dtype):
    """Parameters and state after 12 steps; one parameter goes without a gradient now and then."""
    random = np.random.default_rng(0)
    params = [
        torch.nn.Parameter(torch.tensor(random.standard_normal(shape)).to(dtype)) for shape in [(70, 30), (5,), ()]
    ]
    optimizer = getattr(torch.optim, name)(params, **options)
    for step in range(12):
        for number, parameter in enumerate(params):
            grad = torch.tensor(random.standard_normal(tuple(parameter.shape))).to(dtype)
            parameter.grad = None if (step + number) % 5 == 4 else grad
        optimizer.step()
    state = optimizer.state_dict()["state"]
    values = [p.detach() for p in params] + [state[i][key] for i in sorted(state) for key in sorted(state[i])]
    return [value.double().numpy() for value in values]


@pytest.mark.skipif(_multi._core_step is None, reason="this core has no optimizer kernels")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_kernel_equals_composition(name, options, dtype, monkeypatch):
    calls = []
    core = _multi._core_step
    monkeypatch.setattr(_multi, "_core_step", lambda *args: calls.append(core(*args)) or calls[-1])
    fused = trace(name, options, getattr(torch, dtype))
    assert len(calls) >= 12 and all(calls)  # the kernels covered every step
    monkeypatch.setattr(_multi, "_core_step", None)
    composed = trace(name, options, getattr(torch, dtype))
    for got, want in zip(fused, composed):
        tolerance = 2e-5 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.skipif(_multi._core_step is None, reason="this core has no optimizer kernels")
@pytest.mark.parametrize("make", [lambda: torch.ones(3, dtype=torch.bfloat16), lambda: torch.ones(4, 6).t()])
def test_what_kernels_do_not_cover_still_steps(make):
    parameter = torch.nn.Parameter(make())
    optimizer = torch.optim.Adam([parameter], lr=0.5)
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert parameter.detach().double().numpy() == pytest.approx(0.5, abs=0.01)
    assert optimizer.state[parameter]["step"].item() == 1


def test_a_step_counts_as_a_change_in_place():
    parameter = torch.nn.Parameter(torch.ones(3))
    loss = (parameter * parameter).sum()
    parameter.grad = torch.ones(3)
    torch.optim.SGD([parameter], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
