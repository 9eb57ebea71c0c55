"""Creation: tensors from a size, a range or a value. Keywords of all: dtype, device, requires_grad."""

from __future__ import annotations

from rows.row import ALL, REAL, row


def creation(name: str, schema: str, **says) -> None:
    row(name, schema, says.pop("dtypes", ALL), cls="creation", **({"method": False, "inplace": False} | says))


creation("empty", "size: ints, *, dtype: dtype? = None, memory_format: str? = None", fails="empty(-1)",
    doc="A tensor whose elements are whatever was in memory.")
creation("zeros", "size: ints, *, dtype: dtype? = None", fails="zeros(-1)",
    doc="A tensor of zeros.")
creation("ones", "size: ints, *, dtype: dtype? = None", fails="ones(-1)",
    doc="A tensor of ones.")
creation("full", "size: ints, fill_value: number, *, dtype: dtype? = None", fails="full((-1,), 0)",
    doc="A tensor that holds one value throughout; its type is that of the value unless `dtype` names another.")
creation("empty_like", "input, *, dtype: dtype? = None, memory_format: str? = None", fails="empty_like(3)",
    doc="A tensor of the shape (and, unless `dtype` says otherwise, the type) of the input, with whatever was in memory.")
creation("ones_like", "input, *, dtype: dtype? = None, memory_format: str? = None", fails="ones_like(3)",
    doc="Ones in the shape and type of the input.")
creation("full_like", "input, fill_value: number, *, dtype: dtype? = None, memory_format: str? = None", fails="full_like(3, 0)",
    doc="One value in the shape and type of the input.")
creation("empty_strided", "size: ints, stride: ints, *, dtype: dtype? = None", fails="empty_strided((2,), (1, 1))",
    doc="An uninitialised tensor with the given strides.")
creation("scalar_tensor", "s: number, *, dtype: dtype? = None", fails="scalar_tensor('a')",
    doc="A tensor without dimensions that holds a number, of the default type unless `dtype` names another.")
creation("arange", "start: number? = None, end: number? = None, step: number = 1, *, dtype: dtype? = None", dtypes=REAL,
    fails="arange(0, 1, 0)",
    doc="Numbers from start (0 where only an end is given) up to and without end, `step` apart; integers if all three are.")
creation("linspace", "start: operand, end: operand, steps: int, *, dtype: dtype? = None", fails="linspace(0, 1, -1)",
    doc="`steps` numbers from start to end, both included, equally far apart.")
creation("logspace", "start: operand, end: operand, steps: int, base: float = 10.0, *, dtype: dtype? = None", fails="logspace(0, 1, -1)",
    doc="Powers of `base` whose exponents run from start to end, equally far apart.")
creation("eye", "n: int, m: int? = None, *, dtype: dtype? = None", fails="eye(-1)",
    doc="A matrix with ones on the diagonal and zeros elsewhere.")
