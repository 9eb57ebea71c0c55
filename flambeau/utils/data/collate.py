"""From a list of samples to a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from copy import copy
from typing import Any

import numpy as np

import flambeau

default_collate_fn_map: dict[Any, Callable] = {}  # what users register: type -> function(batch, collate_fn_map=)


def default_convert(data: Any) -> Any:
    """NumPy arrays become tensors, also inside of dictionaries, lists and tuples; everything else stays."""
    kind = type(data)
    if isinstance(data, flambeau.Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        if data.dtype.kind in "SUOMm":
            return data
        return flambeau.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return kind(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: list[Any]) -> Any:
    """A batch of samples of the same structure: tensors and arrays are stacked along a new first dimension, numbers
    become a tensor, text a list, and dictionaries, lists and tuples are batched member by member.

    Raises:
        RuntimeError: samples of different shapes or lengths.
        TypeError: something that cannot be batched.

    >>> import flambeau as torch
    >>> torch.utils.data.default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Any, *, collate_fn_map: dict[Any, Callable] | None = None) -> Any:
    """default_collate with own functions for some types: `{type: function(batch, collate_fn_map=...)}`."""
    first = batch[0]
    kind = type(first)
    for known, function in (collate_fn_map or {}).items():
        if isinstance(first, known):
            return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, flambeau.Tensor):
        return flambeau.stack(batch, 0)
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "SUOMm":
            raise TypeError(_refusal(first.dtype))
        return flambeau.stack([flambeau.as_tensor(value) for value in batch], 0)
    if isinstance(first, np.generic) and not isinstance(first, (str, bytes)):
        return flambeau.as_tensor(np.asarray(batch))
    if isinstance(first, float):
        return flambeau.tensor(batch, dtype=flambeau.float64)
    if isinstance(first, int):
        return flambeau.tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _like_mapping(
            first, {key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map) for key in first}
        )
    if isinstance(first, Sequence):
        lengths = {len(sample) for sample in batch}
        if len(lengths) > 1:
            raise RuntimeError(
                "each element in list of batch should be of equal size\n"
                f"default_collate: expected samples of one length; got {sorted(lengths)}"
            )
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
        if isinstance(first, tuple) and hasattr(first, "_fields"):
            return kind(*columns)
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise TypeError(_refusal(kind))


def _refusal(kind: Any) -> str:
    return f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {kind}"


def _like_mapping(example: Any, values: dict[Any, Any]) -> Any:
    """The values in a mapping of the example's type, or in a dict where that type cannot be made from one."""
    if type(example) is dict:
        return values
    try:
        if isinstance(example, MutableMapping):
            result = copy(example)
            result.update(values)
            return result
        return type(example)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _like_sequence(example: Any, values: list[Any]) -> Any:
    if type(example) is list:
        return values
    try:
        if isinstance(example, MutableSequence):
            result = copy(example)
            for index, value in enumerate(values):
                result[index] = value
            return result
        return type(example)(values)
    except TypeError:
        return values
