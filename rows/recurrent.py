"""Whole recurrent layers over time, given the product with the input for all steps: what is left is sequential.

Gates come as rows of all steps: (steps, batch, gates), or packed rows whose step t has sizes[t] of them. `reserve` is what
the gradient reads. Gradients are hand-written; second derivatives differentiate the same steps written as compositions.
"""

from __future__ import annotations

from rows.row import FLOAT, row

REST = "weight_hh, bias: Tensor? = None, sizes: ints = (), reverse: bool = False"


def layer(name: str, schema: str, outputs: tuple[str, ...], more: tuple[str, ...] = (), **says) -> None:
    saves = ("input_gates", "hx", "weight_hh", "bias", "reserve", *more)
    row(name, schema, FLOAT, cls="kernel", vjp=name, saves=saves, outputs=(*outputs, "reserve"), function=False, method=False, inplace=False, **says)


layer("lstm_layer", "input_gates, hx, cx, " + REST, ("output", "hy", "cy"), ("cx",),
    fails="_ops.lstm_layer(ones(2), ones(2), ones(2), ones(2))",
    doc="An LSTM (Hochreiter and Schmidhuber 1997) over all steps: gates in the order input, forget, cell, output.")
layer("gru_layer", "input_gates, hx, " + REST, ("output", "hy"),
    fails="_ops.gru_layer(ones(2), ones(2), ones(2))",
    doc="Gated recurrent units (Cho et al. 2014) over all steps: gates in the order reset, update, new.")
layer("rnn_layer", "input_gates, hx, " + REST + ", relu: bool = False", ("output", "hy"), ("output",),
    fails="_ops.rnn_layer(ones(2), ones(2), ones(2))",
    doc="A plain recurrent layer over all steps, with tanh or relu.")
