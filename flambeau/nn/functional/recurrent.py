"""Recurrent networks: single steps, and whole sequences of several layers and both directions.

The products with the input are done for all steps at once; only what depends on the step before goes step by step: in
the core for float32 and float64, in the compositions below for projections and the other types.
Weights come as PyTorch orders them: per layer and direction ``w_ih, w_hh[, b_ih, b_hh][, w_hr]``.
"""

from __future__ import annotations

import flambeau
from flambeau import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from flambeau import Tensor

State = "tuple[Tensor, ...]"


def rnn_tanh_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """``tanh(W_ih x + b_ih + W_hh h + b_hh)`` for ``(N, I)`` and ``(N, H)``."""
    return flambeau.tanh(_C._nn.linear(input, w_ih, b_ih) + _C._nn.linear(hx, w_hh, b_hh))


def rnn_relu_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """``relu(W_ih x + b_ih + W_hh h + b_hh)``."""
    return flambeau.relu(_C._nn.linear(input, w_ih, b_ih) + _C._nn.linear(hx, w_hh, b_hh))


def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM (Hochreiter and Schmidhuber 1997): new hidden and cell state, ``(N, H)`` each."""
    return _lstm_step(_C._nn.linear(input, w_ih, b_ih), tuple(hx), w_hh, b_hh, None)


def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """One step of a gated recurrent unit (Cho et al. 2014): the new hidden state, ``(N, H)``."""
    return _gru_step(_C._nn.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh, None)[0]


# One step, given the product with the input: (gates, state, w_hh, b_hh, w_hr) -> state


def _lstm_step(gates: Tensor, state: Any, w_hh: Tensor, b_hh: Any, w_hr: Any) -> Any:
    hidden, cell = state
    gates = gates + _C._nn.linear(hidden, w_hh, b_hh)
    size = gates.shape[-1] // 4
    remember = flambeau.sigmoid(gates.narrow(-1, size, size))
    admit = flambeau.sigmoid(gates.narrow(-1, 0, size))
    cell = remember * cell + admit * flambeau.tanh(gates.narrow(-1, 2 * size, size))
    hidden = flambeau.sigmoid(gates.narrow(-1, 3 * size, size)) * flambeau.tanh(cell)
    if w_hr is not None:
        hidden = _C._nn.linear(hidden, w_hr)
    return hidden, cell


def _gru_step(gates: Tensor, state: Any, w_hh: Tensor, b_hh: Any, w_hr: Any) -> Any:
    hidden = state[0]
    inner = _C._nn.linear(hidden, w_hh, b_hh)
    size = hidden.shape[-1]
    both = flambeau.sigmoid(gates.narrow(-1, 0, 2 * size) + inner.narrow(-1, 0, 2 * size))
    reset, update = both.narrow(-1, 0, size), both.narrow(-1, size, size)
    new = flambeau.tanh(gates.narrow(-1, 2 * size, size) + reset * inner.narrow(-1, 2 * size, size))
    return (new + update * (hidden - new),)


def _tanh_step(gates: Tensor, state: Any, w_hh: Tensor, b_hh: Any, w_hr: Any) -> Any:
    return (flambeau.tanh(gates + _C._nn.linear(state[0], w_hh, b_hh)),)


def _relu_step(gates: Tensor, state: Any, w_hh: Tensor, b_hh: Any, w_hr: Any) -> Any:
    return (flambeau.relu(gates + _C._nn.linear(state[0], w_hh, b_hh)),)


def _run_layer(
    step: Any, gates: Tensor, sizes: list[int] | None, state: Any, w_hh: Tensor, b_hh: Any, backward: bool
) -> Any:
    """All steps of one direction in one call of the core."""
    rows = sizes if sizes is not None else ()
    if step is _lstm_step:
        output, hidden, cell, _ = _C._nn.lstm_layer(gates, *state, w_hh, b_hh, rows, backward)
        return output, (hidden, cell)
    if step is _gru_step:
        output, hidden, _ = _C._nn.gru_layer(gates, *state, w_hh, b_hh, rows, backward)
    else:
        output, hidden, _ = _C._nn.rnn_layer(gates, *state, w_hh, b_hh, rows, backward, step is _relu_step)
    return output, (hidden,)


def _run_padded(step: Any, gates: Tensor, state: Any, w_hh: Tensor, b_hh: Any, w_hr: Any, backward: bool) -> Any:
    """All steps of one direction over ``(T, N, gates)``; every sample is as long as the others."""
    rows = gates.unbind(0)
    outputs = []
    for row in reversed(rows) if backward else rows:
        state = step(row, state, w_hh, b_hh, w_hr)
        outputs.append(state[0])
    if backward:
        outputs.reverse()
    return flambeau.stack(outputs), state


def _run_packed(
    step: Any, gates: Tensor, sizes: list[int], state: Any, w_hh: Tensor, b_hh: Any, w_hr: Any, backward: bool
) -> Any:
    """All steps of one direction over packed rows: the samples are sorted, longest first."""
    starts, total = [], 0
    for size in sizes:
        starts.append(total)
        total += size
    outputs: list[Any] = [None] * len(sizes)
    finished: list[Any] = []
    if backward:
        current = tuple(part[:sizes[-1]] for part in state)
        for number in reversed(range(len(sizes))):
            size = sizes[number]
            missing = size - current[0].shape[0]
            if missing:  # samples that end here begin their way back
                current = tuple(
                    flambeau.cat([part, whole[size - missing:size]]) for part, whole in zip(current, state)
                )
            current = step(gates.narrow(0, starts[number], size), current, w_hh, b_hh, w_hr)
            outputs[number] = current[0]
        return flambeau.cat(outputs), current
    current = state
    for number, size in enumerate(sizes):
        ended = current[0].shape[0] - size
        if ended:
            finished.append(tuple(part[size:] for part in current))
            current = tuple(part[:size] for part in current)
        current = step(gates.narrow(0, starts[number], size), current, w_hh, b_hh, w_hr)
        outputs[number] = current[0]
    finished.append(current)
    finished.reverse()
    return flambeau.cat(outputs), tuple(flambeau.cat(list(parts)) for parts in zip(*finished))


def _sequence(
    step: Callable[..., Any],
    input: Tensor,
    sizes: list[int] | None,
    state: tuple[Tensor, ...],
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    projected: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Layers on top of each other; the state parts are ``(layers * directions, N, size)``."""
    directions = 2 if bidirectional else 1
    per = (4 if has_biases else 2) + (1 if projected else 0)
    finals: list[Any] = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            own = weights[number * per:(number + 1) * per]
            w_ih, w_hh = own[0], own[1]
            b_ih, b_hh = (own[2], own[3]) if has_biases else (None, None)
            w_hr = own[-1] if projected else None
            gates = _C._nn.linear(input, w_ih, b_ih)
            start = tuple(part[number] for part in state)
            backward = direction == 1
            if w_hr is None and gates.dtype in (flambeau.float32, flambeau.float64):
                output, final = _run_layer(step, gates, sizes, start, w_hh, b_hh, backward)
            elif sizes is None:
                output, final = _run_padded(step, gates, start, w_hh, b_hh, w_hr, backward)
            else:
                output, final = _run_packed(step, gates, sizes, start, w_hh, b_hh, w_hr, backward)
            outputs.append(output)
            finals.append(final)
        input = outputs[0] if directions == 1 else flambeau.cat(outputs, -1)
        if dropout and train and layer < num_layers - 1:
            input = flambeau.dropout(input, dropout, True)
    return input, tuple(flambeau.stack(list(parts)) for parts in zip(*finals))


def _either(step: Any, args: tuple[Any, ...], states: int, projected: bool = False) -> tuple[Any, ...]:
    """PyTorch's two call forms: padded ``(input, hx, weights, ...)`` and packed ``(data, batch_sizes, hx, ...)``."""
    if isinstance(args[2], (list, tuple)) and isinstance(args[3], bool):
        input, hx, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first = args
        state = tuple(hx) if states > 1 else (hx,)
        if batch_first:
            input = input.transpose(0, 1)
        if input.shape[0] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        output, final = _sequence(
            step, input, None, state, weights, has_biases, num_layers, dropout, train, bidirectional, projected
        )
        return (output.transpose(0, 1) if batch_first else output, *final)
    data, batch_sizes, hx, weights, has_biases, num_layers, dropout, train, bidirectional = args
    state = tuple(hx) if states > 1 else (hx,)
    output, final = _sequence(
        step, data, batch_sizes.tolist(), state, weights, has_biases, num_layers, dropout, train, bidirectional,
        projected,
    )
    return (output, *final)


def rnn_tanh(*args: Any) -> tuple[Tensor, Tensor]:
    """A recurrent network with tanh over a sequence; returns the output and the last hidden state."""
    return _either(_tanh_step, args, 1)


def rnn_relu(*args: Any) -> tuple[Tensor, Tensor]:
    """A recurrent network with relu over a sequence; returns the output and the last hidden state."""
    return _either(_relu_step, args, 1)


def gru(*args: Any) -> tuple[Tensor, Tensor]:
    """Gated recurrent units over a sequence; returns the output and the last hidden state."""
    return _either(_gru_step, args, 1)


def lstm(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """An LSTM over a sequence; returns the output, the last hidden state and the last cell state.

    A network with projections is recognised by states of different sizes.
    """
    hx = args[1] if isinstance(args[1], (list, tuple)) else args[2]
    return _either(_lstm_step, args, 2, projected=hx[0].shape[-1] != hx[1].shape[-1])
