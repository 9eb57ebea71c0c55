"""What the collector frees of cycles through the graph, what it must not free, and that long graphs cost it little."""

import gc
import weakref

import pytest

import flambeau as torch
from flambeau import nn


class Keeper(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)


def with_hook(seen=None):
    """A module that holds an output of its own, and a leaf whose hook holds the module."""
    module = Keeper()
    module.output = module.layer(torch.ones(2, 3)).sum()
    seen = [] if seen is None else seen
    module.layer.weight.register_hook(lambda g, module=module: seen.append(g.shape))
    return module


def test_a_module_that_holds_an_output_and_is_held_by_a_leafs_hook():
    alive = weakref.ref(with_hook())
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("holder", ["output", "later result", "node", "saved tensor", "gradient"])
def test_what_c_holds_from_outside_stays(holder):
    seen = []
    module = with_hook(seen)
    alive, weight = weakref.ref(module), weakref.ref(module.layer.weight)
    output = module.output
    if holder == "later result":
        output = output * 2
    elif holder == "saved tensor":
        output = (torch.ones(3, 3, requires_grad=True) * module.layer.weight).sum()
    elif holder == "gradient":
        weight().grad = torch.ones(3, 3)
        other = torch.nn.Parameter(torch.ones(2))
        other.grad = module.output.expand(2)
        output = other
    if holder == "node":
        output = output.grad_fn
    del module
    gc.collect()
    assert alive() is not None and weight() is not None
    if holder in ("output", "later result", "saved tensor"):
        output.backward()
        assert seen == [(3, 3)]
    elif holder == "gradient":
        output.grad.sum().backward()
        assert seen == [(3, 3)]
    else:
        assert "Backward0" in output.name()
    del output
    if holder == "gradient":
        del other
    gc.collect()
    assert alive() is None and weight() is None


def test_two_outputs_of_one_graph_in_one_cycle():
    def build():
        module = with_hook()
        hidden = module.layer(torch.ones(2, 3))
        module.first, module.second = hidden.sum(), hidden.mean()
        hidden.register_hook(lambda g, module=module: None)
        return weakref.ref(module)

    alive = build()
    gc.collect()
    assert alive() is None


def test_a_cycle_through_changes_of_a_view():
    def build():
        x = torch.ones(4, requires_grad=True)
        y = x * 1
        y[1:3].mul_(2)
        y.register_hook(lambda g, y=y: None)
        y.held = Keeper()
        return weakref.ref(y.held)

    alive = build()
    gc.collect()
    assert alive() is None


def test_a_tensor_that_holds_itself():
    x = torch.ones(2)
    x.held = [x]
    alive = weakref.ref(x)
    del x
    gc.collect()
    assert alive() is None


def test_a_kept_tensor_outlives_its_name_and_keeps_its_attributes():
    x = nn.Parameter(torch.ones(2))
    x.note = {"a": 1}
    x.register_hook(lambda g: None)
    y = (x * 2).sum()
    del x
    gc.collect()
    leaf = y.grad_fn.next_functions[0][0].next_functions[0][0].variable
    assert leaf.note == {"a": 1} and type(leaf) is nn.Parameter


def test_a_finalizer_that_saves_the_graph():
    saved = []

    class Phoenix:
        def __init__(self, module):
            self.module = module

        def __del__(self):
            saved.append(self.module.output)

    def build():
        module = with_hook()
        module.phoenix = Phoenix(module)

    build()
    gc.collect()
    (output,) = saved
    output.backward()
    assert torch.isfinite(output).item()


def test_work_is_linear_in_the_graph():
    """5,000 live tensors over one graph: walks that start anew for each of them would take minutes."""
    x = torch.ones(1, requires_grad=True)
    x.register_hook(lambda g: None)
    y, live = x, []
    for i in range(100_000):
        y = y + 1
        if i % 20 == 0:
            live.append(y)
            y.register_hook(lambda g: None)
    for _ in range(3):
        gc.collect()
    live[-1].backward()
    assert x.grad.item() == 1.0


def test_partial_collections_leave_graphs_alone():
    module = with_hook()
    alive = weakref.ref(module)
    output = module.output
    del module
    for generation in (0, 1, 0, 1):
        gc.collect(generation)
    assert alive() is not None
    output.backward()


# ---- depth: nothing is freed or run by recursion ----


def chain_of_gradients(depth):
    p = torch.ones(1, requires_grad=True)
    for _ in range(depth):
        q = torch.ones(1, requires_grad=True)
        q.grad = p
        p = q
    return p


def chain_of_bases(depth):
    p = torch.ones(1, requires_grad=True)
    for _ in range(depth):
        with torch.no_grad():
            q = p.view(1)
        p = q.requires_grad_()
    return p


def chain_of_attributes(depth):
    p = torch.ones(1)
    for _ in range(depth):
        q = p.detach()
        q.before = p
        p = q
    return p


def chain_of_functions(depth):
    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.other = x
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g

    p = torch.ones(1, requires_grad=True)
    for _ in range(depth):
        p = Keep.apply(p)
    return p


def chain_of_hooks(depth):
    p = torch.ones(1, requires_grad=True)
    for _ in range(depth):
        q = p + 1
        q.before = p
        q.register_hook(lambda g, q=q: None)
        p = q
    return p


@pytest.mark.parametrize(
    "build", [chain_of_gradients, chain_of_bases, chain_of_attributes, chain_of_functions, chain_of_hooks]
)
def test_long_chains_are_freed(build):
    p = build(200_000)
    if p.grad_fn is not None:
        p.backward(retain_graph=True)
    alive = weakref.ref(p)
    del p
    gc.collect()
    assert alive() is None


# ---- width ----


def test_more_than_65536_edges():
    x = torch.ones(1, requires_grad=True)
    torch.cat([x] * 70_000).sum().backward()
    assert x.grad.item() == 70_000
    x.grad = None
    torch.cat([x.view(1, 1)] * 40_000).sum().backward()  # 80,000 extents
    assert x.grad.item() == 40_000


def test_more_than_256_results():
    class Many(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, count):
            return tuple(x * i for i in range(count))

        @staticmethod
        def backward(ctx, *grads):
            return sum(g * i for i, g in enumerate(grads)), None

    x = torch.ones(1, requires_grad=True)
    results = Many.apply(x, 300)
    assert results[257].output_nr == 257
    results[257].backward()
    assert x.grad.item() == 257
