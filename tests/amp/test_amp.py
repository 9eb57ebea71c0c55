"""Mixed precision: what is computed in few bits, what is not, and loss scaling."""

import warnings

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F


def test_products_and_convolutions_are_narrow_and_the_rest_follows():
    with torch.autocast("cpu"):
        assert torch.is_autocast_enabled("cpu") and not torch.is_autocast_enabled()
        hidden = nn.Linear(2, 3)(torch.ones(1, 2))
        assert hidden.dtype is torch.bfloat16
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16
        assert torch.einsum("ij,jk->ik", torch.ones(2, 2), torch.ones(2, 2)).dtype is torch.bfloat16
        assert nn.Conv2d(1, 1, 1)(torch.ones(1, 1, 2, 2)).dtype is torch.bfloat16
        assert nn.ConvTranspose1d(1, 1, 2)(torch.ones(1, 1, 2)).dtype is torch.bfloat16
        assert F.softmax(hidden, -1).dtype is torch.bfloat16
        assert nn.LayerNorm(3)(hidden).dtype is torch.bfloat16
        assert (torch.ones(2) + torch.ones(2)).dtype is torch.float32
        assert F.cross_entropy(hidden, torch.tensor([1])).dtype is torch.float32
        assert F.mse_loss(hidden, torch.ones(1, 3)).dtype is torch.float32
        assert (torch.ones(2, 2).double() @ torch.ones(2, 2).double()).dtype is torch.float64
        with torch.autocast("cpu", enabled=False):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
        with torch.autocast("cpu", dtype=torch.float16):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float16
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_gradients_come_back_in_the_type_of_the_parameters():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    x, y = torch.randn(5, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1])
    F.cross_entropy(net(x), y).backward()
    exact = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    with torch.amp.autocast("cpu"):
        loss = F.cross_entropy(net(x), y)
    loss.backward()
    for p, wanted in zip(net.parameters(), exact):
        assert p.grad.dtype is torch.float32
        torch.testing.assert_close(p.grad, wanted, rtol=0.1, atol=0.02)


def test_decorator_and_nesting_leave_the_mode_as_it_was():
    @torch.autocast("cpu")
    def product(n):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype if n == 0 else product(n - 1)

    assert product(2) is torch.bfloat16
    assert torch.ones(2, 2).mm(torch.ones(2, 2)).dtype is torch.float32
    with pytest.raises(ValueError, match="stop"), torch.autocast("cpu"):
        raise ValueError("stop")
    assert not torch.is_autocast_cpu_enabled()


def test_a_device_that_is_not_there_is_a_warning():
    with pytest.warns(UserWarning, match="CUDA is not available"), torch.autocast("cuda"):
        assert torch.ones(2, 2).mm(torch.ones(2, 2)).dtype is torch.float32


def test_custom_functions_run_backward_as_forward_was():
    seen = []

    class Product(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu")
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a.mm(b)

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            seen.append(torch.is_autocast_cpu_enabled())
            return g.mm(b.t()), a.t().mm(g)

    a = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu"):
        out = Product.apply(a, torch.ones(2, 2))
    assert out.dtype is torch.bfloat16
    out.float().sum().backward()
    assert seen == [True] and not torch.is_autocast_cpu_enabled()


def test_scaler_scales_skips_and_grows():
    w = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    scaler.scale(w.sum()).backward()
    assert w.grad.tolist() == [8.0, 8.0]
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [0.5, 0.5] and scaler.get_scale() == 8.0

    optimizer.zero_grad()
    scaler.scale(w.sum() * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [0.5, 0.5] and scaler.get_scale() == 4.0

    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 8.0
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 8.0


def test_scaler_without_its_device_does_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaler = torch.cuda.amp.GradScaler()
    loss = torch.ones(1)
    assert not scaler.is_enabled() and scaler.scale(loss) is loss and scaler.get_scale() == 1.0 and scaler.state_dict() == {}
