"""Sequences of different lengths: packed one step after the other, or padded to a common length."""

from __future__ import annotations

from collections import namedtuple

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from flambeau import Tensor

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]

_FIELDS = ["data", "batch_sizes", "sorted_indices", "unsorted_indices"]
PackedSequence_ = namedtuple("PackedSequence", _FIELDS)  # type: ignore[name-match]  # checkpoints hold this name


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another one."""
    if permutation is None:
        return None
    result = flambeau.empty_like(permutation, memory_format=flambeau.legacy_contiguous_format)
    result.scatter_(0, permutation, flambeau.arange(0, permutation.numel(), device=permutation.device))
    return result


class PackedSequence(PackedSequence_):
    """Sequences of different lengths, all their first steps first, then all their second steps, and so on.

    Attributes:
        data: ``(sum of lengths, *)``; the rows of each step follow the sequences from longest to shortest.
        batch_sizes: how many sequences reach each step, int64, in main memory.
        sorted_indices: the order of the sequences that is from longest to shortest; None if they came so.
        unsorted_indices: its inverse.

    Made by ``pack_padded_sequence`` and ``pack_sequence`` rather than by hand.
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a (data, batch_sizes) tuple when batch_sizes is None")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequence in nn.utils.rnn."
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)  # type: ignore[call-arg]

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedSequence, tuple(self)

    def _mapped(self, data: Tensor) -> PackedSequence:
        """The same sequences with other data; the indices follow its device."""
        if data is self.data:
            return self
        def moved(indices: Any) -> Any:
            return None if indices is None else indices.to(data.device)

        return type(self)(data, self.batch_sizes, moved(self.sorted_indices), moved(self.unsorted_indices))

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Converts the data as ``Tensor.to`` does."""
        return self._mapped(self.data.to(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data in main memory."""
        return self._mapped(self.data.cpu())

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data on a GPU."""
        return self._mapped(self.data.cuda(*args, **kwargs))

    def pin_memory(self) -> PackedSequence:
        """The data in memory from which a GPU copies faster."""
        return type(self)(
            self.data.pin_memory(), self.batch_sizes,
            None if self.sorted_indices is None else self.sorted_indices.pin_memory(),
            None if self.unsorted_indices is None else self.unsorted_indices.pin_memory(),
        )

    def double(self) -> PackedSequence:
        """The data as float64."""
        return self.to(dtype=flambeau.double)

    def float(self) -> PackedSequence:
        """The data as float32."""
        return self.to(dtype=flambeau.float)

    def half(self) -> PackedSequence:
        """The data as float16."""
        return self.to(dtype=flambeau.half)

    def long(self) -> PackedSequence:
        """The data as int64."""
        return self.to(dtype=flambeau.long)

    def int(self) -> PackedSequence:
        """The data as int32."""
        return self.to(dtype=flambeau.int)

    def short(self) -> PackedSequence:
        """The data as int16."""
        return self.to(dtype=flambeau.short)

    def char(self) -> PackedSequence:
        """The data as int8."""
        return self.to(dtype=flambeau.int8)

    def byte(self) -> PackedSequence:
        """The data as uint8."""
        return self.to(dtype=flambeau.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in memory from which a GPU copies faster."""
        return self.data.is_pinned()


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs padded sequences ``(T, N, *)``, or ``(N, T, *)`` with ``batch_first``.

    Args:
        lengths: how long each sequence is, at most ``T`` and at least one.
        enforce_sorted: the sequences come from longest to shortest; otherwise they are sorted here.

    Raises:
        RuntimeError: for lengths that are not positive, or not sorted although they should be.

    >>> import flambeau as torch
    >>> torch.nn.utils.rnn.pack_padded_sequence(torch.zeros(3, 2, 5), [3, 1]).batch_sizes
    tensor([2, 1, 1])
    """
    if not isinstance(lengths, flambeau.Tensor):
        lengths = flambeau.tensor(list(lengths), dtype=flambeau.int64)
    if lengths.device.type != "cpu":
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D {lengths.device} "
            "tensor"
        )
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = flambeau.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    values = [int(length) for length in lengths.tolist()]
    if batch_first:
        input = input.transpose(0, 1)
    if not values or input.shape[1] != len(values):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(values)} (batch_size={input.shape[1]})"
        )
    if any(later > earlier for earlier, later in zip(values, values[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    if values[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= "
            "0"
        )
    if values[0] > input.shape[0]:
        raise RuntimeError(
            f"Expected lengths of at most {input.shape[0]}, the number of steps; got {values[0]}\n"
            f"pack_padded_sequence: input {tuple(input.shape)}, lengths {values}"
        )
    pieces, sizes, step = [], [], 0
    for count in range(len(values), 0, -1):  # the steps that exactly `count` sequences reach lie together
        end = values[count - 1]
        if end > step:
            pieces.append(input[step:end, :count].reshape(-1, *input.shape[2:]))
            sizes += [count] * (end - step)
            step = end
    data = flambeau.cat(pieces) if len(pieces) > 1 else pieces[0]
    return PackedSequence(data, flambeau.tensor(sizes, dtype=flambeau.int64), sorted_indices, None)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The inverse of ``pack_padded_sequence``: the padded sequences, and the lengths of each.

    With ``total_length`` the sequences are padded to it, which may not be less than the longest.
    """
    sizes = sequence.batch_sizes.tolist()
    longest = len(sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {longest}"
            )
        longest = total_length
    data = sequence.data
    batch = sizes[0]
    steps, first = [], 0
    run_start = 0
    shape = list(data.shape[1:])
    for number in range(1, len(sizes) + 1):  # runs of steps with the same number of sequences
        if number < len(sizes) and sizes[number] == sizes[run_start]:
            continue
        count, length = sizes[run_start], number - run_start
        block = data[first:first + count * length].reshape(length, count, *shape)
        if count < batch:
            rest = flambeau.full(
                (length, batch - count, *shape), padding_value, dtype=data.dtype, device=data.device
            )
            block = flambeau.cat([block, rest], 1)
        steps.append(block)
        first += count * length
        run_start = number
    if longest > len(sizes):
        steps.append(
            flambeau.full((longest - len(sizes), batch, *shape), padding_value, dtype=data.dtype, device=data.device)
        )
    padded = flambeau.cat(steps) if len(steps) > 1 else steps[0]
    lengths = flambeau.tensor([sum(size > place for size in sizes) for place in range(batch)], dtype=flambeau.int64)
    if batch_first:
        padded = padded.transpose(0, 1)
    order = sequence.unsorted_indices
    if order is not None:
        return padded.index_select(0 if batch_first else 1, order), lengths.index_select(0, order.cpu())
    return padded, lengths


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences ``(L_i, *)`` padded to the longest: ``(T, N, *)``, or ``(N, T, *)`` with ``batch_first``.

    ``padding_side`` is "right" or "left".
    """
    if isinstance(sequences, flambeau.Tensor):
        sequences = sequences.unbind(0)
    elif not hasattr(sequences, "__iter__"):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    longest = max(sequence.shape[0] for sequence in sequences)
    rows = []
    for sequence in sequences:
        missing = longest - sequence.shape[0]
        if missing:
            filler = flambeau.full(
                (missing, *sequence.shape[1:]), padding_value, dtype=sequence.dtype, device=sequence.device
            )
            sequence = flambeau.cat([sequence, filler] if padding_side == "right" else [filler, sequence])
        rows.append(sequence)
    return flambeau.stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences without their padding."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[:int(length)] for sequence, length in zip(padded_sequences.unbind(0), lengths.tolist())]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs a list of sequences ``(L_i, *)``; see ``pack_padded_sequence``."""
    lengths = flambeau.tensor([sequence.shape[0] for sequence in sequences], dtype=flambeau.int64)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The list of sequences that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
