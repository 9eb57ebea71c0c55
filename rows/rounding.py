"""Signs, magnitudes and rounding."""

from rows.arithmetic import zero
from rows.formula import P, m, where
from rows.row import ALL, BOOL, COMPLEX, FLOAT, NUMBER, REAL, elementwise

elementwise("abs", "input", NUMBER, m.abs,
    lambda g, input: g * P.sgn(input),
    jvp=lambda g, input: P.real_part(g * P.conj_physical(P.sgn(input))),
    result="real", holomorphic=False, aliases="absolute", reference="np.abs(input)",
    doc="The magnitude of each element; of a complex tensor it is real.")

elementwise("sign", "input", REAL | BOOL, m.sign, zero,
    reference="np.sign(input)", doc="-1, 0 or 1 by the sign of each element.")

elementwise("sgn", "input", ALL, m.sgn,
    lambda g, input, result: where(
        input == 0, 0, (g - result * P.real_part(g * P.conj_physical(result))) / P.abs(input)),
    jvp=lambda g, input, result: where(
        input == 0, 0, (g - result * P.real_part(g * P.conj_physical(result))) / P.abs(input)),
    holomorphic=False, doc="Each element divided by its magnitude; 0 for 0. On real numbers it is sign.")

elementwise("signbit", "input", REAL | BOOL, m.signbit, result="bool",
    inplace=False, reference="np.signbit(input)", doc="True where the sign is minus, that of -0.0 included.")

elementwise("copysign", "input, other", FLOAT, m.copysign,
    lambda g, input, result: (where(input == 0, 0, g * (result / input)), 0),
    promote="float", reference="np.copysign(input, other)",
    doc="The magnitude of `input` with the sign of `other`.")

elementwise("floor", "input", REAL, m.floor, zero, reference="np.floor(input)",
    doc="The greatest whole number that is not above each element.")
elementwise("ceil", "input", REAL, m.ceil, zero, reference="np.ceil(input)",
    doc="The least whole number that is not below each element.")
elementwise("trunc", "input", REAL, m.trunc, zero, aliases="fix", reference="np.trunc(input)",
    doc="Each element without its fraction.")
elementwise("round", "input", REAL, m.round, zero, reference="np.round(input)",
    doc="The nearest whole number; halves go to the even one.")
elementwise("round_scaled", "input, multiplier: number, divisor: number", FLOAT,
    lambda x, up, down: m.round(x * up / down) / up * down, zero,
    function=False, method=False, doc="round() with decimals: 10^decimals as multiplier, or 10^-decimals as divisor.")
elementwise("frac", "input", FLOAT, lambda x: x - m.trunc(x), lambda g: g,
    reference="input - np.trunc(input)", doc="The fraction of each element, with its sign.")

elementwise("heaviside", "input, values", REAL | BOOL,
    lambda x, values: where(x == 0, values, where(x > 0, 1, 0)),
    reference="np.heaviside(input, values)", doc="0 below zero, 1 above, `values` at zero.")

elementwise("nextafter", "input, other", FLOAT, m.nextafter, reference="np.nextafter(input, other)",
    doc="The next number that the type has from `input` towards `other`.")

elementwise("replace_nonfinite", "input, nan: number, posinf: number, neginf: number", FLOAT,
    lambda x, nan, posinf, neginf: where(m.isnan(x), nan, where(m.isinf(x), where(x > 0, posinf, neginf), x)),
    lambda g, input: where(P.isfinite(input), g, 0),
    function=False, method=False, node="NanToNum", doc="nan_to_num with all three substitutes given.")

# ---- complex numbers -------------------------------------------------------------------------------------------------

elementwise("conj_physical", "input", ALL, m.conj, lambda g: P.conj_physical(g),
    reference="np.conj(input)", doc="The complex conjugate of each element, computed.")

elementwise("real_part", "input", FLOAT | COMPLEX, m.real, lambda g: g, jvp=lambda g: P.real_part(g),
    result="real", function=False, method=False, reference="np.real(input)", doc="The real part as a tensor of its own.")

elementwise("imag_part", "input", COMPLEX, m.imag, lambda g: P.complex(0, g), jvp=lambda g: P.imag_part(g),
    result="real", function=False, method=False, reference="np.imag(input)", doc="The imaginary part as a tensor of its own.")

elementwise("angle", "input", COMPLEX, m.angle,
    lambda g, input: where(
        input == 0, 0, g * P.complex(-P.imag_part(input), P.real_part(input)) / P.square(P.abs(input))),
    jvp=lambda g, input: P.imag_part(g / input),
    result="real", holomorphic=False, inplace=False, reference="np.angle(input)",
    doc="The angle of each complex number to the positive real axis, in radians.")

elementwise("angle_of_real", "input", FLOAT, m.angle, zero,
    promote="float", function=False, method=False, reference="np.angle(input)",
    doc="angle() of real numbers: pi where negative.")

elementwise("complex", "real, imag", FLOAT, m.make_complex,
    lambda g: (P.real_part(g), P.imag_part(g)),
    jvp=None, result="complex", method=False, inplace=False, linear=("real", "imag"), reference="real + 1j * imag",
    doc="Complex numbers from their real and imaginary parts.")

elementwise("polar", "abs, angle", FLOAT, m.polar,
    lambda g, abs, angle: (
        P.real_part(g) * P.cos(angle) + P.imag_part(g) * P.sin(angle),
        abs * (P.imag_part(g) * P.cos(angle) - P.real_part(g) * P.sin(angle))),
    result="complex", method=False, inplace=False, reference="abs * np.exp(1j * angle)",
    doc="Complex numbers from their magnitudes and angles.")
