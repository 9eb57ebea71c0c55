"""Creation: new tensors from sizes and numbers. Every row also takes device, layout, pin_memory and requires_grad."""

from __future__ import annotations

from rows.row import ALL, row


def creation(name: str, schema: str, **says) -> None:
    row(name, schema, ALL, cls="creation", inplace=False, **({"method": False} | says))


creation("empty", "size: ints, *, dtype: dtype? = None", fails="empty(-1)",
    doc="A tensor of `size` whose elements are whatever the memory held.")
creation("zeros", "size: ints, *, dtype: dtype? = None", fails="zeros(-1)",
    doc="A tensor of zeros.")
creation("ones", "size: ints, *, dtype: dtype? = None", fails="ones(-1)",
    doc="A tensor of ones.")
creation("full", "size: ints, fill_value: number, *, dtype: dtype? = None", fails="full((-1,), 0)",
    doc="A tensor whose elements are all `fill_value`, of the value's type unless `dtype` names another.")
creation("empty_like", "input, *, dtype: dtype? = None, memory_format: str? = None", fails="empty_like(3)",
    doc="An uninitialised tensor of the input's size, type and order of strides.")
creation("arange", "start: number = 0, end: number? = None, step: number = 1, *, dtype: dtype? = None", fails="arange(0, 1, 0)",
    doc="Numbers from start (0 if one number is given) up to and without end, `step` apart.")
creation("rand", "size: ints, *, dtype: dtype? = None, generator: generator? = None", fails="rand(-1)",
    doc="Uniform numbers from [0, 1).")
creation("randn", "size: ints, *, dtype: dtype? = None, generator: generator? = None", fails="randn(-1)",
    doc="Normal numbers of mean 0 and variance 1.")
creation("randperm", "n: int, *, dtype: dtype? = None, generator: generator? = None", fails="randperm(-1)",
    doc="The numbers from 0 to n - 1 in random order, int64 unless `dtype` names another type.")
