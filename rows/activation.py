"""Activation functions of neural networks."""

from rows.formula import P, m, where
from rows.row import COMPLEX, FLOAT, REAL, elementwise

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al., 2017: the fixed point of mean 0, variance 1
SQRT_HALF, SQRT_2_OVER_PI, INV_SQRT_2PI = 0.7071067811865476, 0.7978845608028654, 0.3989422804014327


def activation(name, schema, formula, grad, doc, **says):
    elementwise(name, schema, says.pop("dtypes", FLOAT), formula, grad,
        **({"namespace": "nn.functional", "method": False, "doc": doc} | says))


activation("relu", "input", lambda x: where(x <= 0, 0, x), lambda g, result: where(result <= 0, 0, g),
    "The element where it is positive, 0 elsewhere.", dtypes=REAL, namespace="", method=True,
    aliases="nn.functional.relu", domain=((0.1, 3),), reference="np.maximum(input, 0)")
activation("relu6", "input", lambda x: m.minimum(m.maximum(x, 0), 6),
    lambda g, input: where((input > 0) & (input < 6), g, 0),
    "relu with a ceiling of 6.", dtypes=REAL, domain=((0.1, 5),), reference="np.clip(input, 0, 6)")
activation("leaky_relu", "input, negative_slope: number = 0.01",
    lambda x, slope: where(x > 0, x, x * slope),
    lambda g, input, negative_slope: where(input > 0, g, g * negative_slope),
    "The element where positive, `negative_slope` times it elsewhere.",
    reference="np.where(input > 0, input, input * negative_slope)")
activation("prelu_kernel", "input, weight", lambda x, w: where(x > 0, x, w * x),
    lambda g, input, weight: (where(input > 0, g, weight * g), where(input > 0, 0, g * input)),
    "leaky_relu with a slope to be learned; prelu() reshapes the weight for it.", function=False, namespace="",
    reference="np.where(input > 0, input, weight * input)")
activation("threshold", "input, threshold: number, value: number",
    lambda x, threshold, value: where(x <= threshold, value, x),
    lambda g, input, threshold: where(input <= threshold, 0, g),
    "The element where it exceeds `threshold`, `value` elsewhere.", dtypes=REAL,
    reference="np.where(input <= threshold, value, input)")

activation("elu", "input, alpha: number = 1.0", lambda x, alpha: where(x > 0, x, alpha * m.expm1(x)),
    lambda g, input, alpha: where(input > 0, g, g * (alpha * P.exp(input))),
    "The element where positive, alpha (exp(x) - 1) elsewhere.",
    reference="np.where(input > 0, input, alpha * np.expm1(input))")
activation("celu", "input, alpha: number = 1.0", lambda x, alpha: where(x > 0, x, alpha * m.expm1(x / alpha)),
    lambda g, input, alpha: where(input > 0, g, g * P.exp(input / alpha)),
    "The element where positive, alpha (exp(x / alpha) - 1) elsewhere.", aliases="celu",
    reference="np.where(input > 0, input, alpha * np.expm1(input / alpha))")
activation("selu", "input", lambda x: SELU_SCALE * where(x > 0, x, SELU_ALPHA * m.expm1(x)),
    lambda g, input: SELU_SCALE * where(input > 0, g, g * (SELU_ALPHA * P.exp(input))),
    "The scaled elu whose layers keep mean 0 and variance 1.", aliases="selu",
    reference="1.0507009873554805 * np.where(input > 0, input, 1.6732632423543772 * np.expm1(input))")

activation("gelu", "input", lambda x: x * 0.5 * (1 + m.erf(x * SQRT_HALF)),
    lambda g, input: g * (0.5 * (1 + P.erf(input * SQRT_HALF))
                          + input * (INV_SQRT_2PI * P.exp(-0.5 * (input * input)))),
    "x times the normal distribution's probability of less than x.", inplace=False,
    reference="input * sp.ndtr(input)")


def gelu_tanh_gradient(g, input):
    square = input * input
    t = P.tanh(SQRT_2_OVER_PI * input * (1 + 0.044715 * square))
    return g * (0.5 * (1 + t) + 0.5 * input * (1 - t * t) * (SQRT_2_OVER_PI * (1 + 3 * 0.044715 * square)))


activation("gelu_tanh", "input", lambda x: 0.5 * x * (1 + m.tanh(SQRT_2_OVER_PI * x * (1 + 0.044715 * (x * x)))),
    gelu_tanh_gradient, "gelu by way of tanh, the cheaper form.", function=False, inplace=False, namespace="")
activation("silu", "input", lambda x: x * m.sigmoid(x),
    lambda g, input: g * (P.sigmoid(input) * (1 + input * (1 - P.sigmoid(input)))),
    "x sigmoid(x).", dtypes=FLOAT | COMPLEX, reference="input / (1 + np.exp(-input))")
activation("softplus", "input, beta: number = 1.0, threshold: number = 20.0",
    lambda x, beta, threshold: where(x * beta > threshold, x, m.log1p(m.exp(x * beta)) / beta),
    lambda g, input, beta, threshold: where(input * beta > threshold, g, g * P.sigmoid(input * beta)),
    "A smooth relu: log(1 + exp(beta x)) / beta, and x itself where beta x exceeds `threshold`.", inplace=False,
    reference="np.log1p(np.exp(input * beta)) / beta")


def mish_formula(x):
    e = m.exp(m.minimum(x, 20))  # tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2)
    n = e * (e + 2)
    return x * (n / (n + 2))


def mish_gradient(g, input):
    t = P.tanh(P.softplus(input))
    return g * (t + input * P.sigmoid(input) * (1 - t * t))


activation("mish", "input", mish_formula, mish_gradient, "x tanh(softplus(x)).",
    reference="input * np.tanh(np.log1p(np.exp(input)))")
activation("softsign", "input", lambda x: x / (1 + m.abs(x)),
    lambda g, input: g / P.square(1 + P.abs(input)), "x / (1 + |x|).", inplace=False,
    reference="input / (1 + np.abs(input))")
activation("tanhshrink", "input", lambda x: x - m.tanh(x), lambda g, input: g * P.square(P.tanh(input)),
    "x - tanh(x).", inplace=False, reference="input - np.tanh(input)")
activation("logsigmoid", "input", lambda x: m.minimum(x, 0) - m.log1p(m.exp(-m.abs(x))),
    lambda g, input: g * P.sigmoid(-input), "log(sigmoid(x)) without underflow.", inplace=False,
    reference="-np.log1p(np.exp(-input))")

activation("hardtanh", "input, min_val: number = -1.0, max_val: number = 1.0",
    lambda x, low, high: m.minimum(m.maximum(x, low), high),
    lambda g, input, min_val, max_val: where((input > min_val) & (input < max_val), g, 0),
    "The element, moved into the interval from `min_val` to `max_val`.",
    dtypes=REAL - {"uint8"}, reference="np.clip(input, min_val, max_val)")
activation("hardsigmoid", "input", lambda x: m.minimum(m.maximum(x + 3, 0), 6) / 6,
    lambda g, input: where((input > -3) & (input < 3), g / 6, 0),
    "A sigmoid of three straight lines: (x + 3) / 6 between 0 and 1.", reference="np.clip(input + 3, 0, 6) / 6")
activation("hardswish", "input", lambda x: x * m.minimum(m.maximum(x + 3, 0), 6) / 6,
    lambda g, input: where(input <= -3, 0, where(input < 3, g * (input / 3 + 0.5), g)),
    "x hardsigmoid(x).", reference="input * np.clip(input + 3, 0, 6) / 6")
activation("hardshrink", "input, lambd: number = 0.5", lambda x, l: where((x >= -l) & (x <= l), 0, x),
    lambda g, input, lambd: where((input < -lambd) | (input > lambd), g, 0),
    "0 within `lambd` of zero, the element elsewhere.", inplace=False, aliases="hardshrink",
    reference="np.where(np.abs(input) <= lambd, 0, input)")
activation("softshrink", "input, lambd: number = 0.5",
    lambda x, l: where(x > l, x - l, where(x < -l, x + l, where(m.isnan(x), x, 0))),
    lambda g, input, lambd: where((input < -lambd) | (input > lambd), g, 0),
    "The element moved `lambd` towards zero, 0 if that crosses it.", inplace=False,
    reference="np.sign(input) * np.maximum(np.abs(input) - lambd, 0)")
