"""Losses element by element: what mse_loss and its kin average. Not public by themselves."""

from rows.formula import P, m, where
from rows.row import FLOAT, elementwise


def loss(name, schema, formula, grad, doc, **says):
    elementwise(name, schema, FLOAT, formula, grad, function=False, method=False, inplace=False, doc=doc, **says)


loss("squared_error", "input, target", lambda x, y: m.square(x - y),
    lambda g, input, target: (2 * g * (input - target), -2 * g * (input - target)),
    "The squared difference.", reference="(input - target) ** 2")
loss("absolute_error", "input, target", lambda x, y: m.abs(x - y),
    lambda g, input, target: (g * P.sign(input - target), -g * P.sign(input - target)),
    "The absolute difference.", reference="np.abs(input - target)")


def smooth_l1_slope(g, d, beta):
    return where(P.abs(d) < beta, g * d / beta, g * P.sign(d))


loss("smooth_l1", "input, target, beta: number = 1.0",
    lambda x, y, beta: where(m.abs(x - y) < beta, m.square(x - y) * 0.5 / beta, m.abs(x - y) - beta * 0.5),
    lambda g, input, target, beta: (
        smooth_l1_slope(g, input - target, beta), -smooth_l1_slope(g, input - target, beta)),
    "Squared within `beta` of the target, straight beyond.")


def huber_slope(g, d, delta):
    return g * where(P.abs(d) <= delta, d, delta * P.sign(d))


loss("huber", "input, target, delta: number = 1.0",
    lambda x, y, delta: where(
        m.abs(x - y) <= delta, m.square(x - y) * 0.5, delta * (m.abs(x - y) - delta * 0.5)),
    lambda g, input, target, delta: (
        huber_slope(g, input - target, delta), -huber_slope(g, input - target, delta)),
    "Half the square within `delta` of the target, straight beyond.")

loss("bce", "input, target",
    lambda x, t: (t - 1) * m.maximum(m.log1p(-x), -100) - t * m.maximum(m.log(x), -100),
    lambda g, input, target: (
        g * (input - target) / P.maximum((1 - input) * input, 1e-12),
        g * (P.maximum(P.log1p(-input), -100) - P.maximum(P.log(input), -100))),
    "Binary cross entropy of the probability `input`; logarithms are cut at -100.", domain=((0.05, 0.95), (0, 1)))

loss("bce_with_logits", "input, target, pos_weight",
    lambda x, t, w: (1 - t) * x + (1 + (w - 1) * t) * (m.log1p(m.exp(-m.abs(x))) - m.minimum(x, 0)),
    lambda g, input, target, pos_weight: (
        g * ((1 - target) - (1 + (pos_weight - 1) * target) * P.sigmoid(-input)),
        g * ((1 - pos_weight) * P.logsigmoid(input) - input),
        -g * (target * P.logsigmoid(input))),
    "Binary cross entropy of sigmoid(`input`), positive examples weighted.", domain=((-3, 3), (0, 1), (0.5, 2)))
