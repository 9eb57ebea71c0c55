"""save and load, in PyTorch's zip checkpoint format: files cross both ways.

A file is written beside its target, checked onto the disk and moved into place, so that a kill or a full disk leaves
the old one whole. Loading builds data only, unless told otherwise; every size is compared with the file before memory
is taken, and every record's checksum is verified.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Union

from flambeau.serialization.archive import ArchiveReader, ArchiveWriter, atomic_file
from flambeau.serialization.reading import load_archive, load_legacy, safe_types
from flambeau.serialization.writing import pack

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]

FileLike = Union[str, "os.PathLike[str]", IO[bytes]]
MapLocation = Union[Callable[[Any, str], Any], str, dict[str, str], None, Any]
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled number that files before the zip format start with
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save(
    obj: Any,
    f: FileLike,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Writes an object with all its tensors to a file.

    Args:
        obj: anything that pickles: tensors, a state_dict, dictionaries and lists of them. Tensors that share memory
            share it again after loading, and the whole storage behind a view is written.
        f: path, or file object with `write`. A path is replaced in one move when the new file is complete.
        pickle_module, pickle_protocol: accepted; the format is always pickle protocol 2.

    Raises:
        RuntimeError: the folder does not exist, or the disk is full (then it is an OSError with its errno too); what was
            at the path before is still there.
        pickle.PicklingError: the object holds something that cannot be pickled.

    >>> import flambeau as torch, io
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2)}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'weight': tensor([1., 1.])}
    """
    if not _use_new_zipfile_serialization:
        raise NotImplementedError(
            "save: expected the zip format; got _use_new_zipfile_serialization=False\n"
            "hint: PyTorch reads the zip format since version 1.4"
        )
    if isinstance(f, (str, os.PathLike)):
        path = os.fspath(f)
        stem = os.path.basename(path)
        name = os.path.splitext(stem)[0] or stem or "archive"
        data, storages = pack(obj)  # before the file is opened: what cannot be pickled leaves no trace
        with atomic_file(path) as file:
            _write(file, name, data, storages, path)
    elif hasattr(f, "write"):
        data, storages = pack(obj)
        _write(f, "archive", data, storages)
    else:
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute\n"
            f"save: got {type(f).__name__}"
        )


def _write(file: Any, name: str, data: bytes, storages: list[Any], where: str = "") -> None:
    writer = ArchiveWriter(file, name, where)
    writer.add("data.pkl", data)
    writer.add(".format_version", b"1")
    writer.add(".storage_alignment", b"64")
    writer.add("byteorder", b"little")
    for key, storage in enumerate(storages):
        writer.add(f"data/{key}", storage.bytes())
    writer.add("version", b"3\n")
    digest = 0
    for _, checksum, _, _ in writer.entries:
        digest = (digest * 1000003 + checksum) % 10**40
    writer.add(".data/serialization_id", b"%040d" % digest)
    writer.finish()


def load(
    f: FileLike,
    map_location: MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Reads what `save` of this package or of PyTorch wrote.

    Args:
        f: path, or file object with `read` and `seek`.
        map_location: where tensors go: a device, its name, a dictionary from saved to wanted names, or a function of
            (storage, name).
        weights_only: True, the default, builds data and nothing else, so that a file from a stranger can run no code.
            False unpickles everything; only for files that you trust.
        mmap: map the tensors' bytes into memory instead of reading them; changes are not written back. Sizes are
            checked, checksums of tensors are not. Needs a path.

    Raises:
        FileNotFoundError: no such file.
        EOFError: an empty file.
        RuntimeError: a damaged or truncated file, or a saved device that is not here.
        pickle.UnpicklingError: with weights_only, something that is not data, or a file of another kind.
    """
    if pickle_module is not None and weights_only:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    safe = (weights_only is None and pickle_module is None) or bool(weights_only)
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return _load(file, os.fspath(f), map_location, safe, bool(mmap))
    if mmap:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if not hasattr(f, "read") or not hasattr(f, "seek"):
        raise AttributeError(
            f"'{type(f).__name__}' object has no attribute 'seek'. You can only torch.load from a file that is "
            "seekable. Please pre-load the data into a buffer like io.BytesIO and try to load from it instead."
        )
    return _load(f, None, map_location, safe, False)


def _load(file: Any, path: str | None, map_location: MapLocation, safe: bool, mmap: bool) -> Any:
    begin = file.tell()
    start = file.read(16)
    file.seek(begin)
    if not start:
        raise EOFError(f"Ran out of input\nload: expected a checkpoint; got an empty file{f': {path}' if path else ''}")
    try:
        if start[:4] == b"PK\x03\x04":
            reader = ArchiveReader(file)
            if "constants.pkl" in reader:
                raise RuntimeError(
                    "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``\n"
                    "load: expected a checkpoint of save(); got a TorchScript archive\nhint: use flambeau.jit.load"
                )
            return load_archive(reader, path, map_location, safe, mmap)
        if start[: len(_LEGACY)] == _LEGACY:
            if mmap:
                raise RuntimeError(
                    "mmap can only be used with files saved with "
                    "`torch.save(_use_new_zipfile_serialization=True), please torch.save your checkpoint with this "
                    "option."
                )
            return load_legacy(file, map_location, safe)
        if start[:2] in _PICKLE_STARTS and not safe:
            return pickle.load(file)
        raise pickle.UnpicklingError(
            f"invalid load key: not a checkpoint\nload: expected a zip file or a legacy checkpoint; got data that "
            f"starts with {start[:8]!r}"
        )
    except pickle.UnpicklingError as error:
        if not safe:
            raise
        raise pickle.UnpicklingError(_explain(str(error))) from None


def _explain(problem: str) -> str:
    if "Unsupported global" in problem:
        advice = (
            "This file can still be loaded: allow the types it needs, as the message below says, or pass "
            "weights_only=False, which lets the file run any code. Do either only if you trust its source."
        )
    else:
        advice = "weights_only=True, the default, builds data only, so that a file can run no code."
    return f"Weights only load failed. {advice}\n\tWeightsUnpickler error: {problem}"


# types that users allow


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Lets weights_only loading create these classes and call these functions; an entry may be (object, "its.name")."""
    safe_types.update(_named(safe_globals))


def get_safe_globals() -> list[Any]:
    """What add_safe_globals allowed."""
    return list(safe_types.values())


def clear_safe_globals() -> None:
    """Forgets what add_safe_globals allowed."""
    safe_types.clear()


def _named(values: list[Any]) -> dict[tuple[str, str], Any]:
    result = {}
    for value in values:
        if isinstance(value, tuple):
            value, name = value
            module, _, name = name.rpartition(".")
        else:
            module, name = value.__module__, value.__qualname__
        result[module, name] = value
    return result


@contextmanager
def _safe_globals(values: list[Any]) -> Iterator[None]:
    before = dict(safe_types)
    add_safe_globals(values)
    try:
        yield
    finally:
        safe_types.clear()
        safe_types.update(before)


def safe_globals(safe_globals: list[Any]) -> Any:
    """add_safe_globals for the length of a `with` block."""
    return _safe_globals(safe_globals)
