"""nn.functional: values against NumPy, shapes and error texts."""

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F

rng = np.random.default_rng(0)


def tensor(*shape):
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def close(found, wanted, tolerance=1e-5):
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=tolerance, atol=tolerance)


def test_losses_against_numpy():
    x, y = tensor(5, 4), tensor(5, 4)
    a, b = x.numpy(), y.numpy()
    d = np.abs(a - b)
    close(F.mse_loss(x, y), (d**2).mean())
    close(F.l1_loss(x, y, reduction="sum"), d.sum(), 1e-4)
    close(F.smooth_l1_loss(x, y, beta=0.5), np.where(d < 0.5, d**2, d - 0.25).mean())
    close(F.huber_loss(x, y, delta=0.7), np.where(d <= 0.7, d**2 / 2, 0.7 * (d - 0.35)).mean())
    t = (b > 0).astype(np.float32)
    logits = np.logaddexp(0, a) - t * a
    close(F.binary_cross_entropy_with_logits(x, torch.from_numpy(t), reduction="none"), logits)
    close(F.binary_cross_entropy(torch.sigmoid(x), torch.from_numpy(t)), logits.mean())


def test_cross_entropy_is_log_softmax_and_nll():
    x = tensor(6, 5)
    target = torch.tensor([0, 1, 2, 3, 4, 0])
    a = x.numpy()
    logp = a - np.log(np.exp(a).sum(1, keepdims=True))
    close(F.cross_entropy(x, target), -logp[np.arange(6), target.numpy()].mean())
    close(F.nll_loss(F.log_softmax(x, 1), target, ignore_index=0), -logp[1:5, 1:5].diagonal().mean())


def test_margin_losses():
    x = torch.tensor([[0.1, 0.2, 0.4, 0.8]])
    close(F.multi_margin_loss(x, torch.tensor([3])), (0.3 + 0.4 + 0.6) / 4)
    close(F.multilabel_margin_loss(x, torch.tensor([[3, 0, -1, 1]])), 0.85)


def test_normalisations_against_numpy():
    x = tensor(3, 6, 4)
    a = x.numpy()
    normal = (a - a.mean(2, keepdims=True)) / np.sqrt(a.var(2, keepdims=True) + 1e-5)
    close(F.instance_norm(x), normal, 1e-4)
    close(F.layer_norm(x, (4,)), normal, 1e-4)
    mean, var = torch.zeros(6), torch.ones(6)
    F.batch_norm(x, mean, var, training=True, momentum=0.5)
    close(mean, a.mean((0, 2)) / 2)
    close(var, 0.5 + a.var((0, 2), ddof=1) / 2)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        F.batch_norm(torch.ones(1, 3), None, None, training=True)


def test_unfold_and_fold_are_transposes():
    x = tensor(2, 3, 6, 7)
    settings = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 2), "stride": (1, 2)}
    columns = F.unfold(x, **settings)
    y = tensor(*columns.shape)
    folded = F.fold(y, (6, 7), **settings)
    close((columns * y).sum(), float((x * folded).sum()), 1e-3)


def test_pixel_shuffle_and_back():
    x = tensor(2, 8, 3, 4)
    assert F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2).tolist() == x.tolist()
    assert F.pixel_shuffle(torch.arange(4.0).reshape(4, 1, 1), 2).tolist() == [[[0.0, 1.0], [2.0, 3.0]]]


def test_padding_modes():
    x = torch.arange(4.0).reshape(1, 1, 4)
    for mode, numpy_mode in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
        close(F.pad(x, (2, 1), mode), np.pad(x.numpy(), ((0, 0), (0, 0), (2, 1)), numpy_mode))
    close(F.pad(x, (-1, 2), value=5.0), np.array([[[1.0, 2.0, 3.0, 5.0, 5.0]]]))


def test_unpooling_restores_places():
    x = tensor(1, 2, 4, 4)
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(pooled, indices, 2)
    assert tuple(back.shape) == (1, 2, 4, 4)
    assert F.max_pool2d(back.abs(), 2).tolist() == pooled.abs().tolist()
    with pytest.raises(ValueError, match="invalid output_size"):
        F.max_unpool2d(pooled, indices, 2, output_size=(9, 9))


def test_embedding_bag_modes():
    weight = tensor(5, 3)
    table = weight.numpy()
    index, offsets = torch.tensor([0, 1, 4, 2]), torch.tensor([0, 2, 2])
    for mode, combine in (("sum", np.sum), ("mean", np.mean), ("max", np.max)):
        wanted = np.stack([combine(table[[0, 1]], 0), np.zeros(3), combine(table[[4, 2]], 0)])
        close(F.embedding_bag(index, weight, offsets, mode=mode), wanted)


def test_embedding_limits_norms_in_place():
    weight = torch.ones(3, 4)
    F.embedding(torch.tensor([1, 1]), weight, max_norm=1.0)
    close(weight.norm(2, 1), np.array([2.0, 1.0, 2.0]), 1e-4)


def test_attention_forms_agree():
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = tensor(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    slow, weights = attention(x, x, x, attn_mask=mask)
    fast, nothing = attention(x, x, x, attn_mask=mask, need_weights=False)
    assert nothing is None
    close(fast, slow.detach().numpy(), 1e-4)
    close(weights.sum(-1), np.ones((2, 5)))
    assert float(weights[:, 0, 1:].abs().sum()) == 0.0


def test_grid_sample_identity():
    x = tensor(1, 2, 4, 5)
    theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    for align in (True, False):
        grid = F.affine_grid(theta, (1, 2, 4, 5), align_corners=align)
        for mode in ("bilinear", "nearest", "bicubic"):
            close(F.grid_sample(x, grid, mode=mode, align_corners=align), x.numpy(), 1e-4)


def test_dropout_scales_and_keeps():
    torch.manual_seed(0)
    x = torch.ones(4, 50, 3, 3)
    values = F.dropout2d(x, 0.5)
    channels = values.reshape(200, 9)
    assert set(channels.reshape(-1).tolist()) == {0.0, 2.0}
    assert bool((channels == channels[:, :1]).all())
    assert F.alpha_dropout(x, 0.5, training=False) is x


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.dropout(torch.ones(1), 3.0), ValueError, "has to be between 0 and 1, but got 3.0"),
        (lambda: F.mse_loss(torch.ones(1), torch.ones(1), reduction="x"), ValueError, "not a valid value"),
        (lambda: F.glu(torch.ones(3)), RuntimeError, "Halving dimension must be even"),
        (lambda: F.one_hot(torch.tensor([-1])), RuntimeError, "Class values must be non-negative"),
        (lambda: F.interpolate(torch.ones(1, 1, 2)), ValueError, "either size or scale_factor should be defined"),
        (lambda: F.pad(torch.ones(2), (1,)), RuntimeError, "Padding length must be divisible by 2"),
        (lambda: F.group_norm(torch.ones(3), 1), RuntimeError, "Expected at least 2 dimensions"),
        (lambda: F.pixel_shuffle(torch.ones(1, 3, 2, 2), 2), RuntimeError, "divisible by the square of upscale_factor"),
        (lambda: F.binary_cross_entropy(torch.ones(2), torch.ones(3)), ValueError, "different to the input size"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("target", [(1,), (5,), (4, 2), (), (4, 2, 1), (3, 2)])
def test_the_primitive_of_nll_loss_checks_its_target(target):
    """It is called with checked targets by nll_loss, and by anybody with any: what is not there may not be read."""
    for shape in ((4, 3), (4,), (4, 3, 2)):
        if (shape, target) == ((4, 3, 2), (4, 2)):
            continue
        with pytest.raises((ValueError, RuntimeError, IndexError)):
            torch._C.ops["class_nll"](torch.zeros(shape), torch.zeros(target, dtype=torch.int64))


@pytest.mark.parametrize("call", [
    lambda ops, n: ops["take_backward"](torch.ones(n), (3, 4), torch.zeros(2000, dtype=torch.int64)),
    lambda ops, n: ops["embedding_backward"](torch.ones(n, 4), torch.zeros(2000, dtype=torch.int64), 5, -1),
    lambda ops, n: ops["index_select_backward"](torch.ones(n), (5,), 0, torch.zeros(2000, dtype=torch.int64)),
    lambda ops, n: ops["index_select_backward"](torch.ones(n, 3), (5, 4), 0, torch.zeros(n, dtype=torch.int64)),
])  # fmt: skip
@pytest.mark.parametrize("n", [0, 1, 1999])
def test_the_primitives_of_gradients_by_index_check_their_cotangent(call, n):
    with pytest.raises(RuntimeError, match="expected a cotangent of shape"):
        call(torch._C.ops, n)


def test_running_statistics_come_together():
    x, there = torch.ones(3, 2), torch.ones(2)
    for mean, var in ((there, None), (None, there)):
        with pytest.raises(ValueError, match="must either both be None or neither be None"):
            F.batch_norm(x, mean, var, training=True)
    for mean, var, which in ((there, None, "var"), (None, there, "mean"), (None, None, "mean")):
        with pytest.raises(RuntimeError, match=f"running_{which} must be defined in evaluation mode"):
            F.batch_norm(x, mean, var)


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0), (0, 3, 2**40), (2**18, 3, 2**40, 0)])
@pytest.mark.parametrize("norm", [
    lambda x, w, b: F.batch_norm(x, torch.zeros(3), torch.ones(3), w, b),
    lambda x, w, b: F.group_norm(x, 3, w, b),
])  # fmt: skip
def test_gradients_of_norms_of_nothing(norm, shape):
    """No elements, but extents whose product is beyond any memory: zeros, not what lay there, and no walk along them."""
    w, b = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    y = norm(torch.empty(shape, requires_grad=True), w, b)
    torch.full((3,), 5.0), torch.full((3,), 6.0)
    y.sum().backward()
    assert w.grad.tolist() == b.grad.tolist() == [0, 0, 0]


def test_batch_norm_of_more_images_of_nothing_than_can_be_counted():
    F.batch_norm(torch.empty((2**58, 3, 0), requires_grad=True), torch.zeros(3), torch.ones(3)).sum().backward()


def test_group_norm_without_weights_of_more_channels_than_there_is_memory():
    x = torch.empty((0, 2**62), requires_grad=True)
    F.group_norm(x, 2).sum().backward()
    assert x.grad.shape == x.shape


def test_addmm_of_an_input_with_too_many_dimensions():
    for shape in ((1, 2, 4), (1,) * 12 + (2, 4)):
        with pytest.raises(RuntimeError, match="must be greater or equal to the number of dimensions"):
            torch.addmm(torch.ones(shape), torch.ones(2, 3), torch.ones(3, 4))


def test_positions_outside_of_what_was_pooled():
    """What max_pool_backward leaves out, its own gradient may not read."""
    at = torch.tensor([[-1, 2, 5, 10**6, -(10**6)]])
    g = torch.ones(1, 5, requires_grad=True)
    back = torch._C.ops["max_pool_backward"](g, at, (1, 5), 1)
    assert back.tolist() == [[0, 0, 1, 0, 0]]
    back.sum().backward()
    assert g.grad.tolist() == [[0, 1, 0, 0, 0]]
    assert torch._C.ops["max_pool_gather"](torch.ones(1, 5), at, 1).tolist() == [[0, 1, 0, 0, 0]]


@pytest.mark.parametrize("mode", ["replicate", "reflect", "circular"])
def test_borders_of_nothing(mode):
    with pytest.raises(RuntimeError):
        F.pad(torch.empty(1, 2, 3, 0), (1, 1, 0, 0), mode=mode)
    assert F.pad(torch.empty(0, 2, 3), (1, 1), mode=mode).shape == (0, 2, 5)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("wrong", [{"stride": 0}, {"stride": -1}, {"padding": -1}, {"dilation": 0}, {"dilation": -2}])
def test_steps_of_convolutions_are_checked(n, wrong):
    """By the layers' functions and their transposes alike, whatever else is given."""
    x, w = torch.ones(1, 2, *[5] * n), torch.ones(2, 2, *[3] * n)
    for name in (f"conv{n}d", f"conv_transpose{n}d"):
        with pytest.raises(RuntimeError, match="not supported|greater than zero"):
            getattr(F, name)(x, w, **wrong)


@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_a_weight_of_too_few_dimensions_is_an_error(padding):
    with pytest.raises(RuntimeError, match="weight"):
        F.conv2d(torch.ones(1, 2, 5, 5), torch.ones(3), padding=padding)
