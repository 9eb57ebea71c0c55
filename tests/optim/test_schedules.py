"""Learning rate schedules against their formulas."""

import math
import warnings

import pytest

import flambeau as torch
from flambeau.optim import lr_scheduler as schedules


def optimizer(lr=1.0):
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr, momentum=0.9)


def rates(make, epochs=12):
    o = optimizer()
    schedule = make(o)
    values = [o.param_groups[0]["lr"]]
    for _ in range(epochs):
        o.step()
        schedule.step()
        values.append(o.param_groups[0]["lr"])
    return values


FORMULAS = {
    "LambdaLR": (lambda o: schedules.LambdaLR(o, lambda e: 0.9**e), lambda e: 0.9**e),
    "MultiplicativeLR": (lambda o: schedules.MultiplicativeLR(o, lambda e: 0.9), lambda e: 0.9**e),
    "StepLR": (lambda o: schedules.StepLR(o, 3, 0.5), lambda e: 0.5 ** (e // 3)),
    "MultiStepLR": (lambda o: schedules.MultiStepLR(o, [2, 5], 0.5), lambda e: 0.5 ** ((e >= 2) + (e >= 5))),
    "ConstantLR": (lambda o: schedules.ConstantLR(o, 0.5, 4), lambda e: 0.5 if e < 4 else 1.0),
    "LinearLR": (lambda o: schedules.LinearLR(o, 0.2, 0.7, 5), lambda e: 0.2 + 0.5 * min(e, 5) / 5),
    "ExponentialLR": (lambda o: schedules.ExponentialLR(o, 0.8), lambda e: 0.8**e),
    "PolynomialLR": (lambda o: schedules.PolynomialLR(o, 8, 2.0), lambda e: (1 - min(e, 8) / 8) ** 2),
    "CosineAnnealingLR": (
        lambda o: schedules.CosineAnnealingLR(o, 5, 0.1),
        lambda e: 0.1 + 0.9 * (1 + math.cos(math.pi * e / 5)) / 2,
    ),
    "CosineAnnealingWarmRestarts": (
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 4),
        lambda e: (1 + math.cos(math.pi * (e % 4) / 4)) / 2,
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_closed_form(name):
    make, formula = FORMULAS[name]
    assert rates(make) == pytest.approx([formula(epoch) for epoch in range(13)], abs=1e-12)


def test_chained_schedules_multiply():
    values = rates(
        lambda o: schedules.ChainedScheduler([schedules.ConstantLR(o, 0.1, 2), schedules.ExponentialLR(o, 0.9)]), 4
    )
    assert values == pytest.approx([0.1, 0.09, 0.81, 0.729, 0.6561])


def test_sequential_schedules_follow():
    values = rates(
        lambda o: schedules.SequentialLR(o, [schedules.ConstantLR(o, 0.1, 9), schedules.ExponentialLR(o, 0.5)], [2]), 4
    )
    assert values == pytest.approx([0.1, 0.1, 1.0, 0.5, 0.25])


def test_one_cycle_rises_and_falls_with_momentum_opposed():
    o = optimizer()
    schedule = schedules.OneCycleLR(o, 1.0, total_steps=11, pct_start=0.3)
    lrs, momenta = [], []
    for _ in range(10):
        lrs.append(o.param_groups[0]["lr"])
        momenta.append(o.param_groups[0]["momentum"])
        o.step()
        schedule.step()
    assert lrs[0] == pytest.approx(0.04) and max(lrs) > 0.95 and o.param_groups[0]["lr"] == pytest.approx(4e-6)
    assert lrs.index(max(lrs)) == momenta.index(min(momenta))
    o.step()
    schedule.step()
    with pytest.raises(ValueError, match="Tried to step 12 times"):
        schedule.step()


def test_cyclic_is_a_triangle():
    values = rates(lambda o: schedules.CyclicLR(o, 0.0, 1.0, step_size_up=2, cycle_momentum=False), 8)
    assert values == pytest.approx([0, 0.5, 1, 0.5, 0, 0.5, 1, 0.5, 0])


def test_plateau_waits_reduces_and_cools_down():
    o = optimizer()
    schedule = schedules.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    seen = []
    for value in [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]:
        schedule.step(value)
        seen.append(o.param_groups[0]["lr"])
    assert seen == pytest.approx([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2])


@pytest.mark.parametrize("name", FORMULAS)
def test_state_dict_resumes(name):
    make, _ = FORMULAS[name]
    straight = rates(make)
    o = optimizer()
    schedule = make(o)
    for _ in range(5):
        o.step()
        schedule.step()
    states = o.state_dict(), schedule.state_dict()
    o = optimizer()
    schedule = make(o)
    o.load_state_dict(states[0])
    schedule.load_state_dict(states[1])
    assert schedule.get_last_lr() == pytest.approx([straight[5]])
    for _ in range(7):
        o.step()
        schedule.step()
    assert o.param_groups[0]["lr"] == pytest.approx(straight[-1])


def test_wrong_order_warns_and_right_order_does_not():
    schedule = schedules.StepLR(optimizer(), 2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        schedule.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rates(lambda o: schedules.StepLR(o, 2))


def test_errors():
    with pytest.raises(TypeError, match="list is not an Optimizer"):
        schedules.StepLR([], 2)
    with pytest.raises(KeyError, match="initial_lr"):
        schedules.StepLR(optimizer(), 2, last_epoch=3)
    with pytest.raises(ValueError, match="You must define either total_steps OR"):
        schedules.OneCycleLR(optimizer(), 1.0)
    with pytest.raises(ValueError, match="max_lr must have the same length"):
        schedules.OneCycleLR(optimizer(), [1.0, 2.0], total_steps=3)
    with pytest.raises(ValueError, match="Factor should be < 1.0"):
        schedules.ReduceLROnPlateau(optimizer(), factor=1.0)


def test_averaged_model_is_the_mean():
    from flambeau.optim.swa_utils import AveragedModel

    model = torch.nn.Linear(1, 1)
    averaged = AveragedModel(model)
    for value in (1.0, 2.0, 6.0):
        with torch.no_grad():
            model.weight.fill_(value)
        averaged.update_parameters(model)
    assert averaged.module.weight.item() == pytest.approx(3.0)
