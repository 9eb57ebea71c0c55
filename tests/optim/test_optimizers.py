"""Update rules against NumPy, and the contract of the Optimizer base."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import flambeau as torch
from flambeau.optim import optimizer as base


def parameter(*values):
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


def run(make, steps=5):
    """Steps with the gradient 2 * w of the sum of squares; the parameter after each step."""
    w = parameter(1.0, -2.0, 0.5)
    optimizer = make([w])
    trace = []
    for _ in range(steps):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        trace.append(w.detach().numpy().copy())
    return np.array(trace)


def reference(rule, steps=5):
    w, state, trace = np.array([1.0, -2.0, 0.5]), {}, []
    for number in range(1, steps + 1):
        w = rule(w, 2 * w, state, number)
        trace.append(w)
    return np.array(trace)


def sgd(w, g, s, t):
    g = g + 0.1 * w
    s["b"] = g if t == 1 else 0.9 * s["b"] + 0.5 * g
    return w - 0.05 * s["b"]


def nesterov(w, g, s, t):
    s["b"] = 0.9 * s.get("b", 0) + g
    return w - 0.05 * (g + 0.9 * s["b"])


def adam(w, g, s, t, decay=0.0, decoupled=False):
    w, g = (w * (1 - 0.01 * decay), g) if decoupled else (w, g + decay * w)
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    return w - 0.01 * (s["m"] / (1 - 0.9**t)) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def rmsprop(w, g, s, t):
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * g * g
    return w - 0.01 * g / (np.sqrt(s["v"]) + 1e-8)


def adagrad(w, g, s, t):
    s["v"] = s.get("v", 0) + g * g
    return w - 0.01 / (1 + (t - 1) * 0.3) * g / (np.sqrt(s["v"]) + 1e-10)


@pytest.mark.parametrize(
    ("name", "options", "rule"),
    [
        ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}, sgd),
        ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, nesterov),
        ("Adam", {"lr": 0.01, "weight_decay": 0.2}, lambda *a: adam(*a, decay=0.2)),
        ("AdamW", {"lr": 0.01, "weight_decay": 0.2}, lambda *a: adam(*a, decay=0.2, decoupled=True)),
        ("RMSprop", {}, rmsprop),
        ("Adagrad", {"lr_decay": 0.3}, adagrad),
    ],
)
def test_rule_equals_numpy(name, options, rule):
    np.testing.assert_allclose(run(lambda p: getattr(torch.optim, name)(p, **options)), reference(rule), rtol=1e-9)


RULES = [
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "NAdam",
    "RAdam",
    "ASGD",
    "Rprop",
    "Adafactor",
]


@pytest.mark.parametrize("name", RULES)
def test_maximize_mirrors_minimize(name):
    cls = getattr(torch.optim, name)
    w, v = parameter(1.0, -2.0), parameter(1.0, -2.0)
    down, up = cls([w], lr=0.1), cls([v], lr=0.1, maximize=True)
    for _ in range(4):
        grad = torch.tensor([0.3, -0.7], dtype=torch.float64)
        w.grad, v.grad = grad, -grad
        down.step()
        up.step()
    np.testing.assert_allclose(v.detach().numpy(), w.detach().numpy(), rtol=1e-12)
    assert abs(w.detach().numpy() - [1.0, -2.0]).max() > 1e-4


@pytest.mark.parametrize("name", RULES)
def test_every_rule_descends_and_resumes(name):
    cls = getattr(torch.optim, name)
    straight = run(lambda p: cls(p, lr=0.02), 8)
    assert (straight[-1] ** 2).sum() < 5.25
    w = parameter(1.0, -2.0, 0.5)
    optimizer = cls([w], lr=0.02)
    for number in range(8):
        if number == 4:  # through a pickle, into a new optimizer
            state = pickle.loads(pickle.dumps(optimizer.state_dict()))
            w = torch.nn.Parameter(w.detach().clone())
            optimizer = cls([w], lr=9.0)
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    # the scalars kept in float32 are rounded once more on the way
    np.testing.assert_allclose(w.detach().numpy(), straight[-1], rtol=1e-6)


def test_parameters_without_gradient_stay_and_have_no_state():
    w, v = parameter(1.0), parameter(1.0)
    optimizer = torch.optim.Adam([w, v])
    w.grad = torch.ones_like(w)
    optimizer.step()
    assert v.item() == 1.0 and v not in optimizer.state and w in optimizer.state
    v.grad = torch.ones_like(v)
    optimizer.step()
    assert v.item() < 1.0
    assert optimizer.state[w]["step"].item() == 2 and optimizer.state[v]["step"].item() == 1


def test_changes_from_outside_are_seen():
    w, v = parameter(1.0), parameter(1.0)
    optimizer = torch.optim.SGD([w], lr=1.0, momentum=0.5)

    def step():
        for tensor in (w, v):
            tensor.grad = torch.ones_like(tensor)
        optimizer.step()

    step()
    optimizer.state[w]["momentum_buffer"] = torch.zeros_like(w)
    step()
    assert w.item() == 1.0 - 1.0 - 1.0
    optimizer.param_groups[0]["params"][0] = v  # another tensor of equal shape in the same list
    step()
    assert (w.item(), v.item()) == (-1.0, 0.0)
    optimizer.param_groups[0]["momentum"] = 0
    optimizer.param_groups[0]["lr"] = 0.25
    step()
    assert v.item() == -0.25
    optimizer.add_param_group({"params": [w], "lr": 1.0})
    step()
    assert (w.item(), v.item()) == (-2.5, -0.5)  # w still has its momentum


def test_closure_and_hooks_run_in_order():
    w = parameter(1.0)
    optimizer = torch.optim.SGD([w], lr=0.5)
    order = []

    def closure():
        order.append("closure")
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: order.append("before")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: order.append("after")),
        base.register_optimizer_step_pre_hook(lambda o, args, kwargs: order.append("global")),
    ]
    assert optimizer.step(closure).item() == 1.0
    assert order == ["global", "before", "closure", "after"]
    for handle in handles:
        handle.remove()
    with torch.no_grad():
        optimizer.step(closure)
    assert order[4:] == ["closure"]


def test_own_optimizer_gets_hooks_once():
    class Half(torch.optim.SGD):
        def step(self, closure=None):
            calls.append("own")
            return super().step(closure)

    calls = []
    w = parameter(1.0)
    optimizer = Half([w], lr=0.5)
    optimizer.register_step_post_hook(lambda *a: calls.append("hook"))
    w.grad = torch.ones_like(w)
    optimizer.step()
    assert calls == ["own", "hook"] and w.item() == 0.5


def test_state_dict_hooks_replace():
    optimizer = torch.optim.SGD([parameter(1.0)], lr=0.5)
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    assert optimizer.state_dict()["extra"] == 1
    seen = []
    optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append("extra" in state))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == [True]


def test_text_form():
    assert repr(torch.optim.SGD([parameter(1.0)], lr=0.5)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n    foreach: None\n    fused: None\n"
        "    lr: 0.5\n    maximize: False\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n)"
    )


@pytest.mark.parametrize(
    ("params", "options", "error", "phrase"),
    [
        (lambda: [], {}, ValueError, "optimizer got an empty parameter list"),
        (lambda: parameter(1.0), {}, TypeError, "should be an iterable of Tensors or dicts"),
        (lambda: [3], {}, TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
        (lambda: [parameter(1.0) * 2], {}, ValueError, "can't optimize a non-leaf Tensor"),
        (lambda: [{"params": {parameter(1.0)}}], {}, TypeError, "need to be organized in ordered collections"),
        (lambda: [{"params": [w]} for w in [parameter(1.0)] * 2], {}, ValueError, "more than one parameter group"),
        (lambda: [parameter(1.0)], {"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
        (lambda: [parameter(1.0)], {"momentum": -1.0}, ValueError, "Invalid momentum value: -1.0"),
        (lambda: [parameter(1.0)], {"nesterov": True}, ValueError, "Nesterov momentum requires"),
        (lambda: [parameter(1.0)], {"lr": torch.ones(2)}, ValueError, "Tensor lr must be 1-element"),
        (lambda: [parameter(1.0)], {"foreach": True, "fused": True}, RuntimeError, "cannot be `True` together"),
    ],
)
def test_construction_errors(params, options, error, phrase):
    with pytest.raises(error, match=phrase):
        torch.optim.SGD(params(), **options)


def test_loading_another_models_state():
    one = torch.optim.SGD([parameter(1.0)])
    two = torch.optim.SGD([parameter(1.0), parameter(2.0)])
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        one.load_state_dict(two.state_dict())
    state = one.state_dict()
    state["param_groups"] = []
    with pytest.raises(ValueError, match="different number of parameter groups"):
        one.load_state_dict(state)


def test_duplicates_warn_and_copies_work():
    w = parameter(1.0)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        torch.optim.SGD([w, w])
    optimizer = torch.optim.Adam([w])
    w.grad = torch.ones_like(w)
    optimizer.step()
    again = copy.deepcopy(optimizer)
    (clone,) = again.param_groups[0]["params"]
    assert clone is not w and again.state[clone]["step"].item() == 1
    again.register_step_post_hook(lambda *a: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.step()


def test_lbfgs_finds_a_minimum():
    for search in (None, "strong_wolfe"):
        w = parameter(-1.5, 1.0)
        optimizer = torch.optim.LBFGS([w], lr=1 if search else 0.1, max_iter=60, line_search_fn=search)

        def closure(w=w, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (w[0] - 1) ** 2 + 5 * (w[1] - w[0] ** 2) ** 2
            loss.backward()
            return loss

        for _ in range(8):
            optimizer.step(closure)
        np.testing.assert_allclose(w.detach().numpy(), [1.0, 1.0], atol=1e-3)


def test_named_parameters():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.named_parameters())
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": [parameter(1.0)]})


def test_zero_grad_forgets_or_clears():
    w = parameter(1.0)
    optimizer = torch.optim.SGD([w])
    w.grad = torch.ones_like(w)
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.item() == 0
    optimizer.zero_grad()
    assert w.grad is None
