"""The same bits for 1, 2 and 4 threads: one line for each kind of work, with sizes that are split among threads.

tests/rows tries every row in small; these are large enough for chunks, partial sums and panels to be cut, alone and one
after the other, forward and backward. That the work was split is checked as well: otherwise the test would say nothing.
"""

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn

F = nn.functional


class Given:
    """Makes operands, the same in every run; those of floating types take part in the gradient."""

    def __init__(self):
        self.rng, self.leaves = np.random.default_rng(0), []

    def __call__(self, *shape, dtype=torch.float32, grad=True):
        values = self.rng.standard_normal(shape)
        if dtype.is_complex:
            values = values + 1j * self.rng.standard_normal(shape)
        elif not dtype.is_floating_point:
            values, grad = 20 * values, False
        t = torch.from_numpy(np.asarray(values)).to(dtype)
        if grad:
            self.leaves.append(t.requires_grad_())
        return t

    def positive(self, *shape):
        t = self(*shape, grad=False).abs() + 0.1
        self.leaves.append(t.requires_grad_())
        return t

    def whole(self, end, *shape):
        return torch.from_numpy(self.rng.integers(0, end, shape))

    def mask(self, *shape):
        return torch.from_numpy(self.rng.random(shape) < 0.5)


f64, half, bfloat, c64, c128 = torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128

# name -> work over operands made by x; its results and their gradients are compared
OPERATIONS = {
    # products of matrices
    "mm": lambda x: x(300, 200) @ x(200, 250),
    "mm of few rows": lambda x: x(5, 900) @ x(900, 700),
    "mm of a long sum": lambda x: x(20, 30000) @ x(30000, 24),
    "mm, float64": lambda x: x(300, 200, dtype=f64) @ x(200, 250, dtype=f64),
    "mm, complex": lambda x: (x(200, 100, dtype=c64) @ x(100, 150, dtype=c64)).abs(),
    "mm, bfloat16": lambda x: x(300, 200, dtype=bfloat) @ x(200, 250, dtype=bfloat),
    "mm, float16": lambda x: x(300, 200, dtype=half) @ x(200, 250, dtype=half),
    "mm, int64": lambda x: x(200, 150, dtype=torch.int64) @ x(150, 200, dtype=torch.int64),
    "mm, transposed": lambda x: x(200, 300).t() @ x(250, 200).t(),
    "mv": lambda x: x(900, 1100) @ x(1100),
    "mv, float64": lambda x: x(900, 1100, dtype=f64) @ x(1100, dtype=f64),
    "dot": lambda x: x(2_000_000) @ x(2_000_000),
    "bmm": lambda x: x(24, 60, 70) @ x(24, 70, 50),
    "bmm, small": lambda x: x(3000, 8, 6) @ x(3000, 6, 9),
    "baddbmm": lambda x: torch.baddbmm(x(24, 60, 50), x(24, 60, 70), x(24, 70, 50), beta=0.5, alpha=2),
    "addmm": lambda x: torch.addmm(x(250), x(300, 200), x(200, 250)),
    "linear": lambda x: F.linear(x(64, 30, 100), x(120, 100), x(120)),
    "einsum": lambda x: torch.einsum("bij,bkj->bik", x(16, 60, 50), x(16, 70, 50)),
    "outer": lambda x: torch.outer(x(900), x(800)),
    # convolutions
    "conv1d": lambda x: F.conv1d(x(8, 16, 900), x(24, 16, 5), x(24), padding=2),
    "conv2d 3x3": lambda x: F.conv2d(x(8, 16, 40, 40), x(32, 16, 3, 3), x(32), padding=1),
    "conv2d 3x3, many channels": lambda x: F.conv2d(x(2, 160, 14, 14), x(160, 160, 3, 3), padding=1),
    "conv2d 3x3, stride 2": lambda x: F.conv2d(x(8, 32, 40, 40), x(48, 32, 3, 3), x(48), stride=2, padding=1),
    "conv2d 4x4, stride 2": lambda x: F.conv2d(x(8, 32, 40, 40), x(48, 32, 4, 4), stride=2, padding=1),
    "conv2d 5x5": lambda x: F.conv2d(x(8, 8, 40, 40), x(16, 8, 5, 5), padding=2),
    "conv2d 7x7, stride 2": lambda x: F.conv2d(x(4, 3, 112, 112), x(32, 3, 7, 7), stride=2, padding=3),
    "conv2d 1x1": lambda x: F.conv2d(x(8, 64, 30, 30), x(96, 64, 1, 1), x(96)),
    "conv2d, dilated": lambda x: F.conv2d(x(8, 16, 40, 40), x(24, 16, 3, 3), dilation=2),
    "conv2d, groups": lambda x: F.conv2d(x(8, 32, 40, 40), x(32, 8, 3, 3), groups=4),
    "conv2d, depthwise": lambda x: F.conv2d(x(8, 64, 40, 40), x(64, 1, 3, 3), x(64), padding=1, groups=64),
    "conv2d, float64": lambda x: F.conv2d(x(8, 8, 30, 30, dtype=f64), x(16, 8, 3, 3, dtype=f64)),
    "conv2d, bfloat16": lambda x: F.conv2d(x(8, 16, 40, 40, dtype=bfloat), x(32, 16, 3, 3, dtype=bfloat)),
    "conv2d, channels last": lambda x: F.conv2d(
        x(8, 16, 40, 40).to(memory_format=torch.channels_last), x(32, 16, 3, 3), padding=1
    ),
    "conv3d": lambda x: F.conv3d(x(2, 8, 16, 16, 16), x(16, 8, 3, 3, 3), padding=1),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x(8, 32, 20, 20), x(32, 16, 4, 4), x(16), stride=2, padding=1),
    "conv_transpose1d": lambda x: F.conv_transpose1d(x(8, 32, 400), x(32, 16, 5), stride=3),
    "unfold and fold": lambda x: F.fold(F.unfold(x(8, 16, 32, 32), 3, padding=1), (32, 32), 3, padding=1),
    # normalisation and softmax
    "batch_norm": lambda x: F.batch_norm(x(32, 24, 20, 20), None, None, x(24), x(24), training=True),
    "batch_norm of columns": lambda x: F.batch_norm(x(4000, 100), None, None, x(100), x(100), training=True),
    "batch_norm, running": lambda x: F.batch_norm(x(32, 24, 20, 20), torch.ones(24), torch.ones(24), x(24), x(24)),
    "layer_norm": lambda x: F.layer_norm(x(3000, 100), (100,), x(100), x(100)),
    "layer_norm of few rows": lambda x: F.layer_norm(x(6, 60000), (60000,), x(60000), x(60000)),
    "layer_norm, bfloat16": lambda x: F.layer_norm(x(3000, 100, dtype=bfloat), (100,)),
    "group_norm": lambda x: F.group_norm(x(16, 32, 24, 24), 8, x(32), x(32)),
    "instance_norm": lambda x: F.instance_norm(x(16, 32, 24, 24), weight=x(32), bias=x(32)),
    "rms_norm": lambda x: F.rms_norm(x(3000, 100), (100,), x(100)),
    "local_response_norm": lambda x: F.local_response_norm(x(8, 32, 24, 24), 5),
    "normalize": lambda x: F.normalize(x(3000, 100)),
    "softmax": lambda x: x(3000, 100).softmax(1),
    "softmax of columns": lambda x: x(8, 300, 100).softmax(1),
    "softmax of long rows": lambda x: x(5, 60000).softmax(1),
    "log_softmax": lambda x: x(3000, 100).log_softmax(1),
    "log_softmax, bfloat16": lambda x: x(3000, 100, dtype=bfloat).log_softmax(1),
    "logsumexp": lambda x: x(3000, 100).logsumexp(0),
    "cross_entropy": lambda x: F.cross_entropy(x(3000, 100), x.whole(100, 3000), label_smoothing=0.1),
    "cross_entropy of planes": lambda x: F.cross_entropy(x(8, 20, 50, 50), x.whole(20, 8, 50, 50), x.positive(20)),
    "cross_entropy of chances": lambda x: F.cross_entropy(x(3000, 100), x(3000, 100).softmax(1)),
    "nll_loss": lambda x: F.nll_loss(x(3000, 100), x.whole(100, 3000)),
    "mse_loss": lambda x: F.mse_loss(x(900_001), x(900_001)),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x(900_001), x(900_001)),
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x(300_001), x(300_001).sigmoid()),
    "kl_div": lambda x: F.kl_div(x(3000, 100), x(3000, 100).softmax(1), reduction="batchmean"),
    "attention": lambda x: F.scaled_dot_product_attention(x(4, 6, 150, 32), x(4, 6, 150, 32), x(4, 6, 150, 32)),
    "attention, causal": lambda x: F.scaled_dot_product_attention(
        x(2, 6, 300, 32), x(2, 6, 300, 32), x(2, 6, 300, 32), is_causal=True
    ),
    "attention, masked": lambda x: F.scaled_dot_product_attention(
        x(4, 6, 150, 32), x(4, 6, 150, 32), x(4, 6, 150, 32), x(150, 150)
    ),
    # pooling and resampling
    "max_pool2d": lambda x: F.max_pool2d(x(16, 32, 40, 40), 3, 2, 1),
    "max_pool1d": lambda x: F.max_pool1d(x(16, 64, 900), 3),
    "avg_pool2d": lambda x: F.avg_pool2d(x(16, 32, 40, 40), 3, 2, 1),
    "avg_pool3d": lambda x: F.avg_pool3d(x(4, 16, 20, 20, 20), 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x(16, 32, 40, 40), 7),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x(16, 32, 40, 40), 7),
    "interpolate, nearest": lambda x: F.interpolate(x(8, 16, 40, 40), scale_factor=2),
    "interpolate, bilinear": lambda x: F.interpolate(x(8, 16, 40, 40), size=(55, 61), mode="bilinear"),
    "interpolate, bicubic": lambda x: F.interpolate(x(8, 16, 40, 40), size=(55, 61), mode="bicubic"),
    "grid_sample": lambda x: F.grid_sample(x(8, 8, 40, 40), x(8, 50, 50, 2), align_corners=False),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x(8, 36, 40, 40), 3),
    "pad, reflected": lambda x: F.pad(x(8, 16, 60, 60), (3, 4, 5, 6), mode="reflect"),
    # reductions and scans
    "sum": lambda x: x(1_000_003).sum(),
    "sum of rows": lambda x: x(300, 3000).sum(1),
    "sum of columns": lambda x: x(3000, 300).sum(0),
    "sum of the middle": lambda x: x(20, 300, 150).sum(1),
    "sum of the outer ones": lambda x: x(50, 60, 300).sum((0, 2)),
    "sum of a transposed one": lambda x: x(900, 1000).t().sum(0),
    "sum, float64": lambda x: x(1_000_003, dtype=f64).sum(),
    "sum, bfloat16": lambda x: x(1_000_003, dtype=bfloat).sum(),
    "sum, float16": lambda x: x(900, 1000, dtype=half).sum(0),
    "sum, complex": lambda x: torch.view_as_real(x(500_003, dtype=c128).sum()),
    "sum, int64": lambda x: x(1_000_003, dtype=torch.int64).sum(),
    "mean": lambda x: x(1000, 900).mean(1),
    "var": lambda x: x(1_000_003).var(),
    "std": lambda x: x(1000, 900).std(0),
    "prod": lambda x: (1 + 1e-3 * x(1000, 900)).prod(1),
    "norm": lambda x: x(1_000_003).norm(),
    "norm 3": lambda x: torch.linalg.vector_norm(x(1000, 900), 3, dim=0),
    "amax": lambda x: x(1000, 900).amax(1),
    "max": lambda x: x(1000, 900).max(0)[0],
    "argmax": lambda x: x(1000, 900, grad=False).argmax(1),
    "any": lambda x: x.mask(1000, 900).any(1),
    "count_nonzero": lambda x: torch.count_nonzero(x.mask(1_000_003)),
    "nansum": lambda x: x(1_000_003).nansum(),
    "cumsum": lambda x: x(40, 30000).cumsum(1),
    "cumsum of columns": lambda x: x(300, 3000).cumsum(0),
    "cumprod": lambda x: (1 + 1e-3 * x(300, 3000)).cumprod(1),
    "logcumsumexp": lambda x: x(300, 1000).logcumsumexp(1),
    "cummax": lambda x: x(300, 3000).cummax(1)[0],
    # elements, copies
    "add": lambda x: x(1_000_003) + x(1_000_003),
    "broadcast": lambda x: x(1000, 1) * x(900),
    "broadcast, middle": lambda x: x(30, 200, 100) * x(200, 1),
    "exp": lambda x: x(1_000_003).exp(),
    "gelu": lambda x: F.gelu(x(1_000_003)),
    "pow": lambda x: x.positive(300_001) ** x(300_001),
    "transcendental, float64": lambda x: x(300_001, dtype=f64).tanh().erf(),
    "tanh, bfloat16": lambda x: x(1_000_003, dtype=bfloat).tanh(),
    "where": lambda x: torch.where(x.mask(1000, 900), x(1000, 900), x(900)),
    "prelu": lambda x: F.prelu(x(32, 64, 400), x(64)),
    "conversion": lambda x: x(1_000_003, grad=False).to(torch.int16).to(f64),
    "transposed copy": lambda x: x(1000, 900).t().contiguous(),
    "permuted copy": lambda x: x(60, 70, 80, 4).permute(3, 1, 0, 2).contiguous(),
    "cat": lambda x: torch.cat([x(300, 900), x(500, 900)]),
    "cat of columns": lambda x: torch.cat([x(900, 300), x(900, 500)], 1),
    "roll": lambda x: x(1000, 900).roll((3, 5), (0, 1)),
    "flip": lambda x: x(1000, 900).flip(0, 1),
    "tril": lambda x: x(1000, 900).tril(),
    "repeat": lambda x: x(300, 40).repeat(10, 10),
    # positions
    "embedding": lambda x: F.embedding(x.whole(500, 20000), x(500, 64)),
    "embedding of few rows": lambda x: F.embedding(x.whole(3, 20000), x(3, 64)),
    "embedding_bag": lambda x: F.embedding_bag(x.whole(500, 2000, 10), x(500, 64), mode="mean"),
    "gather": lambda x: x(2000, 300).gather(1, x.whole(300, 2000, 200)),
    "index_select": lambda x: x(2000, 300).index_select(0, x.whole(2000, 3000)),
    "advanced index": lambda x: x(2000, 300)[x.whole(2000, 90000), x.whole(300, 90000)],
    "mask": lambda x: x(1000, 900)[x.mask(1000, 900)],
    "masked_fill": lambda x: x(1000, 900).masked_fill(x.mask(1000, 900), 2.0),
    "masked_scatter": lambda x: x(1000, 900).masked_scatter(x.mask(1000, 900), x(1000, 900)),
    "scatter_add": lambda x: x(400, 300).scatter_add(0, x.whole(400, 4000, 300), x(4000, 300)),
    "scatter_reduce": lambda x: x(400, 300).scatter_reduce(0, x.whole(400, 4000, 300), x(4000, 300), "amax"),
    "index_add": lambda x: x(50, 300).index_add(0, x.whole(50, 4000), x(4000, 300)),
    "index_put, accumulating": lambda x: x(500).index_put((x.whole(500, 300_000),), x(300_000), accumulate=True),
    "nonzero": lambda x: x.mask(1000, 900).nonzero(),
    "bincount": lambda x: torch.bincount(x.whole(500, 900_000), x(900_000, grad=False)),
    "histc": lambda x: torch.histc(x(900_000, grad=False), 50),
    "searchsorted": lambda x: torch.searchsorted(x(5000, grad=False).sort()[0], x(300_000, grad=False)),
    "sort": lambda x: x(1_000_003).sort()[0],
    "sort of rows": lambda x: x(1000, 900).sort(1, descending=True)[0],
    "sort of equals": lambda x: torch.sort(x.whole(9, 1_000_003), stable=True),
    "topk": lambda x: x(1000, 900).topk(20)[0],
    "median": lambda x: x(1000, 901).median(1)[0],
    "unique": lambda x: torch.unique(x.whole(5000, 900_000), return_inverse=True, return_counts=True),
    "lstm": lambda x: nn.LSTM(40, 64, 2)(x(12, 48, 40))[0],
    "gru": lambda x: nn.GRU(40, 64, bidirectional=True)(x(12, 48, 40))[0],
    # random numbers
    "rand": lambda x: torch.rand(1_000_003),
    "rand, float64": lambda x: torch.rand(1000, 900, dtype=f64),
    "randn": lambda x: [torch.randn(1_000_003), torch.randn(10)],
    "randn, transposed": lambda x: torch.empty(1000, 900).t().normal_(),
    "randint": lambda x: torch.randint(-7, 1000, (900_001,)),
    "exponential": lambda x: torch.empty(900_001).exponential_(),
    "bernoulli": lambda x: x(1_000_003).sigmoid().bernoulli(),
    "normal": lambda x: torch.normal(x(300_001, grad=False), x.positive(300_001).detach()),
    "dropout": lambda x: F.dropout(x(1_000_003), 0.3),
    "dropout2d": lambda x: F.dropout2d(x(64, 64, 20, 10), 0.3),
    # results of a gradient that is itself differentiated
    "gradient of a gradient": lambda x: torch.autograd.grad((x(300, 200) @ x(200, 250)).tanh().sum(), x.leaves, create_graph=True),
    "gradient of a convolution's": lambda x: torch.autograd.grad(
        F.conv2d(x(8, 16, 24, 24), x(24, 16, 3, 3)).tanh().sum(), x.leaves, create_graph=True
    ),
}  # fmt: skip


def flat(value):
    return [value] if isinstance(value, torch.Tensor) else [t for part in value for t in flat(part)]


def bits(tensors):
    return [t.detach().clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors]


def outcome(work):
    torch.manual_seed(0)
    given = Given()
    results = flat(work(given))
    graded = [t for t in results if t.requires_grad]
    found = list(results)
    if graded:
        weights = [torch.from_numpy(given.rng.standard_normal(tuple(t.shape))).to(t.dtype) for t in graded]
        found += [g for g in torch.autograd.grad(graded, given.leaves, weights, allow_unused=True) if g is not None]
    return bits(found)


def same_for_all_threads(run):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = run()
        for threads in (2, 4):
            torch.set_num_threads(threads)
            split = torch._C.split_regions()
            assert run() == expected, f"{threads} threads give other bits than one"
            assert torch._C.split_regions() > split, "too small: nothing was split among threads"
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name):
    same_for_all_threads(lambda: outcome(OPERATIONS[name]))


NONE = {torch.optim.Optimizer, torch.optim.SparseAdam}  # the base; one for sparse gradients, which do not exist yet
OPTIMIZERS = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind not in NONE
)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    def run():
        given = Given()
        shapes = [(600, 500), (300,), (40, 50)] if name != "Muon" else [(120, 100), (100, 300)]  # Muon: matrices only
        parameters = [given(*shape) for shape in shapes]
        optimizer = getattr(torch.optim, name)(parameters)
        gradients = [given(*shape, grad=False) for shape in shapes]

        def closure():
            for p, g in zip(parameters, gradients):
                p.grad = g * p.detach()
            return sum((g * p.detach() ** 2).sum() for p, g in zip(parameters, gradients))

        for _ in range(3):
            optimizer.step(closure)
        state = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
        return bits([p.detach() for p in parameters] + state)

    same_for_all_threads(run)


def test_clipping():
    def run():
        given = Given()
        parameters = [given(600, 500), given(300, 1000)]
        for p in parameters:
            p.grad = given(*p.shape, grad=False)
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        first = bits([norm, *(p.grad for p in parameters)])
        nn.utils.clip_grad_value_(parameters, 1e-4)
        return first + bits([p.grad for p in parameters])

    same_for_all_threads(run)
