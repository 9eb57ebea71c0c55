"""Recurrent layers: cells against NumPy, packed against padded, projections."""

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn.utils import rnn


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_cell_against_numpy():
    torch.manual_seed(0)
    cell = nn.LSTMCell(3, 4)
    x, h, c = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4)
    wi, wh, bi, bh = (p.detach().numpy() for p in cell.parameters())
    gates = x.numpy() @ wi.T + bi + h.numpy() @ wh.T + bh
    i, f, g, o = np.split(gates, 4, 1)
    new_c = sigmoid(f) * c.numpy() + sigmoid(i) * np.tanh(g)
    hidden, state = cell(x, (h, c))
    np.testing.assert_allclose(state.detach().numpy(), new_c, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(hidden.detach().numpy(), sigmoid(o) * np.tanh(new_c), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTM(4, 6, 2, bidirectional=True),
        lambda: nn.LSTM(4, 6, 2, bidirectional=True, proj_size=3),
        lambda: nn.GRU(4, 6, 2, bidirectional=True),
        lambda: nn.RNN(4, 6, nonlinearity="relu"),
    ],
)
def test_packed_sequences_equal_single_ones(make):
    torch.manual_seed(0)
    layer = make()
    sequences = [torch.randn(length, 4) for length in (2, 5, 1, 5)]
    packed, final = layer(rnn.pack_sequence(sequences, enforce_sorted=False))
    padded, lengths = rnn.pad_packed_sequence(packed)
    assert lengths.tolist() == [2, 5, 1, 5]
    for number, sequence in enumerate(sequences):
        output, state = layer(sequence)
        np.testing.assert_allclose(
            padded[: len(sequence), number].detach().numpy(), output.detach().numpy(), rtol=1e-4, atol=1e-5
        )
        assert float(padded[len(sequence):, number].abs().sum()) == 0.0
        pairs = zip(final, state) if isinstance(final, tuple) else [(final, state)]
        for all_of_them, own in pairs:
            np.testing.assert_allclose(
                all_of_them[:, number].detach().numpy(), own.detach().numpy(), rtol=1e-4, atol=1e-5
            )


def test_pack_and_unpack():
    sequences = [torch.arange(3.0), torch.arange(1.0), torch.arange(2.0)]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.data.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 2.0]
    assert [each.tolist() for each in rnn.unpack_sequence(packed)] == [each.tolist() for each in sequences]
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        rnn.pack_sequence(sequences)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="only supported for LSTM"):
        nn.GRU(3, 4, proj_size=2)
    with pytest.raises(RuntimeError, match=r"must be equal to input_size. Expected 3, got 5"):
        nn.LSTM(3, 4)(torch.ones(2, 1, 5))
    with pytest.raises(RuntimeError, match="Expected hidden size"):
        nn.GRU(3, 4)(torch.ones(2, 1, 3), torch.ones(1, 2, 4))
