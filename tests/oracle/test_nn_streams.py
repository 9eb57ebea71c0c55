"""Against PyTorch: the same seed gives the same initial values and the same training noise, bit for bit."""

import warnings

import pytest

torch = pytest.importorskip("torch")
import numpy as np  # noqa: E402

import flambeau  # noqa: E402

LAYERS = {
    "linear": lambda nn: nn.Linear(7, 5),
    "bilinear": lambda nn: nn.Bilinear(3, 4, 5),
    "conv": lambda nn: nn.Conv2d(4, 6, 3, groups=2),
    "conv_transpose": lambda nn: nn.ConvTranspose1d(4, 6, 3),
    "embedding": lambda nn: nn.Embedding(11, 3, padding_idx=2),
    "lstm": lambda nn: nn.LSTM(4, 8, 2, bidirectional=True, proj_size=3),
    "gru_cell": lambda nn: nn.GRUCell(4, 8),
    "attention": lambda nn: nn.MultiheadAttention(8, 2, add_bias_kv=True),
    "attention_sizes": lambda nn: nn.MultiheadAttention(8, 2, kdim=5, vdim=6),
    "transformer": lambda nn: nn.Transformer(8, 2, 1, 1, 16),
    "adaptive": lambda nn: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_initial_values(name):
    states = []
    for package in (torch, flambeau):
        package.manual_seed(5)
        states.append(LAYERS[name](package.nn).state_dict())
    wanted, found = states
    assert list(found) == list(wanted)
    for key, value in wanted.items():
        np.testing.assert_array_equal(found[key].numpy(), value.numpy(), err_msg=key)
    assert {key: value["version"] for key, value in found._metadata.items()} == {
        key: value["version"] for key, value in wanted._metadata.items()
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda p: p.nn.init.trunc_normal_(p.empty(300), std=0.02),
        lambda p: p.nn.init.trunc_normal_(p.empty(300), mean=0.5, a=-0.3, b=2.5),
        lambda p: p.nn.init.trunc_normal_(p.empty(300), a=-0.1, b=0.1),
        pytest.param(
            lambda p: p.nn.init.orthogonal_(p.empty(5, 8)),
            marks=pytest.mark.xfail(strict=True, reason="linalg.qr is missing"),
        ),
        lambda p: p.nn.init.sparse_(p.empty(20, 5), 0.3),
        lambda p: p.nn.functional.dropout(p.ones(40), 0.3),
        lambda p: p.nn.functional.alpha_dropout(p.ones(40), 0.3, training=True),
        lambda p: p.nn.functional.dropout2d(p.ones(4, 10, 2, 2), 0.3),
        lambda p: p.nn.functional.rrelu(-p.ones(40), training=True),
    ],
)
def test_random_functions(call):
    results = []
    for package in (torch, flambeau):
        package.manual_seed(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = call(package)
        results.append((values.numpy(), package.rand(3).numpy()))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(results[1][1], results[0][1])
