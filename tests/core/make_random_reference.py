"""Write random_reference.h: numbers drawn by real PyTorch, which random_test.cpp compares with ours.

Run by hand, with PyTorch installed, when a fill is added: python make_random_reference.py > random_reference.h
"""

from __future__ import annotations

from collections.abc import Callable

import torch

SEEDS = (0, 1, 1234)
TYPES = {
    "Float32": torch.float32,
    "Float64": torch.float64,
    "Float16": torch.float16,
    "BFloat16": torch.bfloat16,
    "Int64": torch.int64,
    "Int32": torch.int32,
    "UInt8": torch.uint8,
    "Bool": torch.bool,
}


def fills() -> list[tuple[str, str, int, Callable[[torch.Tensor], torch.Tensor]]]:
    """(name of the fill in the test, dtype, elements, what PyTorch calls it)."""
    rows: list[tuple[str, str, int, Callable[[torch.Tensor], torch.Tensor]]] = []
    floats = ("Float32", "Float64", "Float16", "BFloat16")
    for dtype in floats:
        rows += [("Uniform", dtype, n, lambda x: x.uniform_(-0.3, 1.1)) for n in (5, 1000)]
        rows += [("Normal", dtype, n, lambda x: x.normal_(0.1, 1.7)) for n in (5, 15, 16, 17, 1007)]
        rows += [("LogNormal", dtype, 21, lambda x: x.log_normal_(0.1, 0.7))]
        rows += [("Exponential", dtype, 21, lambda x: x.exponential_(2.5))]
        rows += [("Cauchy", dtype, 21, lambda x: x.cauchy_(0.5, 1.7))]
        rows += [("BernoulliEach", dtype, 50, lambda x: torch.bernoulli(torch.linspace(0, 1, 50).to(x.dtype)))]
        rows += [("Dropout", dtype, 50, lambda x: torch.dropout(torch.arange(50).to(x.dtype), 0.3, True))]
        rows += [("Replace", dtype, 9, lambda x: torch.multinomial(torch.arange(1, 21).to(x.dtype), 9, True))]
        rows += [("Race", dtype, 9, lambda x: torch.multinomial(torch.arange(1, 21).to(x.dtype), 9))]
    for dtype in TYPES:
        rows += [("Bernoulli", dtype, 50, lambda x: x.bernoulli_(0.3)), ("Random", dtype, 20, lambda x: x.random_())]
        if dtype != "Bool":
            rows += [("Geometric", dtype, 20, lambda x: x.geometric_(0.3))]
            rows += [("Range", dtype, 20, lambda x: x.random_(3, 100))]
            rows += [("Permutation", dtype, 100, lambda x: torch.randperm(100, dtype=x.dtype))]
    rows += [("WideRange", "Int64", 20, lambda x: x.random_(-(2**40), 2**41))]
    return rows


def main() -> None:
    """Print the header."""
    print("// Made by make_random_reference.py from PyTorch", torch.__version__.split("+")[0] + ": the last six elements of")
    print("// each fill, and the next float32 of the stream after it. Do not edit.")
    print("constexpr Reference kReferences[] = {")
    for name, dtype, n, draw in fills():
        for seed in SEEDS:
            torch.manual_seed(seed)
            values = draw(torch.empty(n, dtype=TYPES[dtype]))[-6:].tolist()
            values = [0.0] * (6 - len(values)) + [float(v) for v in values]
            text = ", ".join(f"{v:.17g}" for v in values)
            print(f"    {{k{name}, DType::{dtype}, {n}, {seed}, {{{text}}}, {torch.rand(1).item():.9g}f}},")
    print("};")


if __name__ == "__main__":
    main()
