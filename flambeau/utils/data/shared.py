"""How batches travel from worker processes: small ones through the pipe, the bytes of larger ones in shared memory.

The memory is a file in a folder of the loader (in /dev/shm where there is one); the receiver maps it and removes its
name at once, so that it lives exactly as long as the tensors over it. Room is claimed before it is written: a full
/dev/shm, common in containers, sends the file to the ordinary temporary folder instead of killing the worker.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import shutil
import tempfile
from contextlib import suppress
from typing import Any

import numpy as np

import flambeau
from flambeau.serialization import adapter

_INLINE = 1 << 14  # bytes that travel in the pipe
_ALIGNMENT = 64


def make_folders() -> list[str]:
    """Where shared files of one loader go, best place first."""
    places = ["/dev/shm", tempfile.gettempdir()] if os.path.isdir("/dev/shm") else [tempfile.gettempdir()]
    folders = []
    for place in places:
        with suppress(OSError):
            folders.append(tempfile.mkdtemp(prefix=f"flambeau-{os.getpid()}-", dir=place))
    return folders


def remove_folders(folders: list[str]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, pieces: list[Any]) -> None:
        super().__init__(file, 5, buffer_callback=self._buffer)
        self.pieces = pieces  # (bytes, what keeps them alive)
        self.buffers: list[int] = []
        self._seen: dict[int, int] = {}

    def _buffer(self, buffer: pickle.PickleBuffer) -> None:
        self.buffers.append(len(self.pieces))
        self.pieces.append((buffer.raw(), buffer))

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, flambeau.Tensor) or getattr(value, "is_sparse", False):
            return None
        tensor = value.detach().contiguous()
        index = self._seen.get(id(value))
        if index is None:
            index = self._seen[id(value)] = len(self.pieces)
            size = tensor.numel() * tensor.dtype.itemsize
            self.pieces.append((adapter.bytes_at(tensor.data_ptr(), size), (value, tensor)))
        return index, adapter.dtype_name(tensor.dtype), tuple(tensor.shape)


def send(value: Any, folders: list[str], name: str) -> tuple[Any, ...]:
    """A small message for a value, from which `receive` makes it again in another process."""
    stream = io.BytesIO()
    pieces: list[Any] = []
    pickler = _Pickler(stream, pieces)
    pickler.dump(value)
    pickled = stream.getvalue()
    views = [pickled, *(piece for piece, _ in pieces)]
    offsets, end = [], 0
    for view in views:
        offsets.append((end, len(view)))
        end += -(-len(view) // _ALIGNMENT) * _ALIGNMENT
    if end <= _INLINE:
        data = bytearray(end)
        _fill(data, views, offsets)
        return "inline", bytes(data), offsets, pickler.buffers
    for folder in folders:
        path = os.path.join(folder, name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            continue
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, end)
            else:
                os.ftruncate(descriptor, end)
            with mmap.mmap(descriptor, end) as memory:
                _fill(memory, views, offsets)
            return "file", path, offsets, pickler.buffers
        except OSError:
            with suppress(OSError):
                os.unlink(path)
        finally:
            os.close(descriptor)
    raise RuntimeError(
        f"DataLoader: no room for a batch of {end} bytes in shared memory ({', '.join(folders) or 'no folder'})\n"
        "hint: use fewer workers or smaller batches, or give /dev/shm more room"
    )


def _fill(memory: Any, views: list[Any], offsets: list[tuple[int, int]]) -> None:
    target = np.frombuffer(memory, dtype=np.uint8)
    for view, (start, size) in zip(views, offsets):
        target[start : start + size] = np.frombuffer(view, dtype=np.uint8)
    del target  # the map cannot close while arrays look into it


class _Unpickler(pickle.Unpickler):
    def __init__(self, array: np.ndarray, offsets: list[tuple[int, int]], buffers: list[int]) -> None:
        self.array, self.offsets = array, offsets
        super().__init__(io.BytesIO(self.piece(0).data), buffers=[self.piece(index + 1) for index in buffers])

    def piece(self, index: int) -> np.ndarray:
        start, size = self.offsets[index]
        return self.array[start : start + size]

    def persistent_load(self, pid: Any) -> Any:
        index, dtype, shape = pid
        stride, step = [], 1
        for extent in reversed(shape):
            stride.append(step)
            step *= max(extent, 1)
        base = adapter.storage_over(self.piece(index + 1))
        return adapter.rebuild(base, getattr(flambeau, dtype), 0, shape, tuple(reversed(stride)))


def receive(message: tuple[Any, ...]) -> Any:
    """The value of a message of `send`; tensors look into the shared memory."""
    kind, where, offsets, buffers = message
    if kind == "inline":
        array = np.frombuffer(bytearray(where), dtype=np.uint8)
    else:
        with open(where, "r+b") as file:
            os.unlink(where)
            array = np.frombuffer(mmap.mmap(file.fileno(), 0), dtype=np.uint8)
    return _Unpickler(array, offsets, buffers).load()


def discard(message: tuple[Any, ...]) -> None:
    """Frees a message that nobody wants any more."""
    if message[0] == "file":
        with suppress(OSError):
            os.unlink(message[1])
