"""The graph's life: what the collector frees, deep chains, hooks, custom functions, anomaly mode, saved-tensor hooks."""

import gc
import weakref

import pytest

import flambeau as torch
from flambeau.autograd import Function
from flambeau.autograd.graph import (
    disable_saved_tensors_hooks,
    register_multi_grad_hook,
    save_on_cpu,
    saved_tensors_hooks,
)


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


class Marker:
    pass


def test_cycle_through_a_hook_is_collected():
    marker = Marker()
    alive = weakref.ref(marker)

    def build(marker):
        x = leaf(1.0)
        y = (x * 2).exp()
        y.register_hook(lambda g, kept=(y, marker): None)

    build(marker)
    del marker
    gc.collect()
    assert alive() is None


def test_cycle_through_a_leaf_hook_is_collected():
    marker = Marker()
    alive = weakref.ref(marker)

    def build(marker):
        x = leaf(1.0)
        x.register_hook(lambda g, kept=(x, marker): None)

    build(marker)
    del marker
    gc.collect()
    assert alive() is None


def test_cycle_through_a_kept_graph_and_a_context_is_collected():
    marker = Marker()
    alive = weakref.ref(marker)

    class Keep(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    def build(marker):
        x = leaf(1.0)
        y = Keep.apply(x)
        z = y * y
        z.held = (z, marker)
        y.register_hook(lambda g, kept=z: None)

    build(marker)
    del marker
    gc.collect()
    assert alive() is None


def test_saved_output_of_a_custom_function_is_freed_without_the_collector():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            result = x.exp()
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, g):
            (result,) = ctx.saved_tensors
            return g * result

    x = leaf(0.5)
    y = Exp.apply(x)
    alive = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert alive() is None
    finally:
        gc.enable()
    (first,) = torch.autograd.grad(Exp.apply(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert second.item() == pytest.approx(torch.tensor(0.5).exp().item())


def test_a_used_graph_is_not_collected():
    x = leaf(1.0)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    gc.collect()
    (y * 2).backward()
    assert seen == [2.0] and x.grad.item() == 6.0


def test_a_long_chain_runs_and_is_freed():
    x = leaf(1.0)
    y = x
    for _ in range(200_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1.0
    for _ in range(200_000):
        y = y * 1
    del y  # a chain that was never run


def test_a_long_chain_of_gradients_of_gradients_is_freed():
    """The graph that create_graph leaves is as deep as the one it came from, and holds on to it at every step."""
    x = leaf(0.5)
    y = x
    for i in range(200_000):
        y = (y * x).sin() if i % 50_000 == 0 else y * 1.00001
    alive = weakref.ref(y)
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, retain_graph=True)
    assert first.grad_fn is not None and second.item() != 0
    z = first * 2
    del first, second
    z.backward()
    assert x.grad is not None
    del y, z
    gc.collect()
    assert alive() is None


def test_a_long_chain_of_gradients_kept_in_a_cycle_is_collected():
    x = leaf(0.5)
    y = x
    for _ in range(200_000):
        y = y * 1.00001
    (first,) = torch.autograd.grad(y * y, x, create_graph=True)
    first.register_hook(lambda g, kept=(first, y): None)
    alive = weakref.ref(y)
    del first, y
    gc.collect()
    assert alive() is None


def test_tensor_hooks_run_in_order_and_can_be_removed():
    x = leaf(1.0, 2.0)
    y = x * 3
    order = []
    first = y.register_hook(lambda g: order.append("first"))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: order.append(g.tolist()))
    y.sum().backward(retain_graph=True)
    assert order == ["first", [10.0, 10.0]] and x.grad.tolist() == [30.0, 30.0]
    first.remove()
    y.sum().backward()
    assert order[2:] == [[10.0, 10.0]]


def test_node_hooks():
    x = leaf(2.0)
    y = x * 3
    seen = []
    y.grad_fn.register_hook(lambda inputs, outputs: seen.append(("after", outputs[0].item())))
    y.grad_fn.register_prehook(lambda grads: (grads[0] * 2,))
    y.backward()
    assert x.grad.item() == 6.0 and seen == [("after", 2.0)]


def test_post_accumulate_and_retained_gradients():
    x = leaf(2.0)
    seen = []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    (y * 5).backward()
    assert seen == [30.0] and y.grad.item() == 10.0
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        torch.ones(1).retain_grad()


def test_hooks_over_several_tensors():
    a, b = leaf(1.0), leaf(2.0)
    seen = []
    handle = register_multi_grad_hook([a, b], lambda grads: seen.append([None if g is None else g.item() for g in grads]))
    (a * b).sum().backward()
    assert seen == [[2.0, 1.0]]
    (a * 3).sum().backward()
    assert seen[1:] == [[3.0, None]]
    handle.remove()
    (a * b).sum().backward()
    assert len(seen) == 2


# ---- custom functions ----


class Scale(Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None


def test_custom_function_counts_gradients():
    class Wrong(Scale):
        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(RuntimeError, match="returned an incorrect number of gradients"):
        Wrong.apply(leaf(1.0), 2.0).backward()
    x = leaf(1.0)
    Scale.apply(x, 4.0).backward()
    assert x.grad.item() == 4.0


def test_needs_input_grad_and_unused_outputs():
    seen = []

    class Two(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b, a * b

        @staticmethod
        def backward(ctx, first, second):
            seen.append((ctx.needs_input_grad, first.tolist(), second.tolist()))
            return first, None

    a = leaf(1.0)
    Two.apply(a, torch.ones(1))[0].backward()
    assert seen == [((True, False), [1.0], [0.0])]


def test_gradients_that_are_not_materialised():
    class Two(Function):
        @staticmethod
        def forward(ctx, a):
            ctx.set_materialize_grads(False)
            return a * 1, a * 2

        @staticmethod
        def backward(ctx, first, second):
            assert second is None
            return first

    a = leaf(1.0)
    Two.apply(a)[0].backward()
    assert a.grad.item() == 1.0


def test_non_differentiable_outputs():
    class Sorted(Function):
        @staticmethod
        def forward(ctx, a):
            index = a * 0 + 1
            ctx.mark_non_differentiable(index)
            return a * 2, index

        @staticmethod
        def backward(ctx, g, _):
            return g * 2

    value, index = Sorted.apply(leaf(1.0))
    assert value.requires_grad and not index.requires_grad


def test_mark_dirty():
    class AddOne(Function):
        @staticmethod
        def forward(ctx, a):
            a.add_(1)
            ctx.mark_dirty(a)
            return a

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = leaf(1.0)
    y = x * 2
    z = AddOne.apply(y)
    assert z is y and "AddOneBackward" in repr(y.grad_fn)
    z.backward()
    assert x.grad.item() == 10.0
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        AddOne.apply(leaf(1.0))


def test_saved_tensors_are_checked_and_freed():
    class Square(Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * a

        @staticmethod
        def backward(ctx, g):
            (a,) = ctx.saved_tensors
            return g * 2 * a

    x = leaf(3.0)
    y = x * 1
    z = Square.apply(y)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    z = Square.apply(x * 1)
    z.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        z.backward()

    class Text(Scale):
        @staticmethod
        def forward(ctx, a, factor):
            ctx.save_for_backward(a, "text")
            return a

    with pytest.raises(TypeError, match="save_for_backward can only save variables, but argument 1 is of type str"):
        Text.apply(x, 1.0)


def test_once_differentiable():
    class Once(Function):
        @staticmethod
        def forward(ctx, a):
            return a * 2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return g * 2

    x = leaf(1.0)
    (g,) = torch.autograd.grad(Once.apply(x) ** 2, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.backward()


# ---- anomaly mode ----


def test_anomaly_mode_names_the_forward_call():
    x = leaf(0.0)
    with torch.autograd.detect_anomaly(), pytest.warns(UserWarning, match="Error detected in SqrtBackward0"):
        y = (x * 0).sqrt() * 0
        with pytest.raises(RuntimeError, match="returned nan values in its 0th output"):
            y.backward()


# ---- hooks on saved tensors ----


def test_saved_tensors_hooks_see_what_is_saved():
    x, packed, unpacked = leaf(1.0, 2.0), [], []

    def pack(t):
        packed.append(t.tolist())
        return [t * 1]

    def unpack(held):
        unpacked.append(held[0].tolist())
        return held[0]

    with saved_tensors_hooks(pack, unpack):
        y = (x * x).exp().sum()
    assert packed == [[1.0, 2.0], [1.0, 2.0], pytest.approx([2.718282, 54.59815])]
    y.backward()
    expected = 2 * x.detach() * (x.detach() ** 2).exp()
    assert torch.allclose(x.grad, expected) and len(unpacked) == 3


def test_saved_tensors_hooks_and_second_derivatives():
    x = leaf(2.0)
    with save_on_cpu():
        y = x**3 + x.exp()
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        (second,) = torch.autograd.grad(first, x, create_graph=True)
    assert second.item() == pytest.approx(12 + torch.tensor(2.0).exp().item(), rel=1e-5)


def test_saved_tensors_hooks_and_custom_functions():
    class Square(Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * a

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    x = leaf(3.0)
    with saved_tensors_hooks(lambda t: t.item(), lambda value: torch.tensor([value])):
        y = Square.apply(x)
    y.backward()
    assert x.grad.item() == 6.0


def test_disabled_saved_tensors_hooks():
    with disable_saved_tensors_hooks("not now"), pytest.raises(RuntimeError, match="not now"):
        with saved_tensors_hooks(lambda t: t, lambda t: t):
            pass
