"""The zip container of checkpoints: stored records, aligned to 64 bytes, checked before they are trusted."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

ALIGNMENT = 64
_LOCAL, _CENTRAL, _END, _END64, _LOCATOR64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_BIG = 0xFFFFFFFF
_DATE = 0x21  # 1 January 1980, the earliest the format knows: equal content gives equal files
_PIECE = 1 << 24


class WriteError(OSError, RuntimeError):
    """What could not be written: an OSError with the system's errno, and the RuntimeError that PyTorch raises."""


def _write_error(what: str, where: str, wanted: str, error: OSError) -> WriteError:
    result = WriteError(
        f"PytorchStreamWriter failed writing file {what}: file write failed\n"
        f"save: expected {wanted}{f' in {where}' if where else ''}; got {error.strerror or error}\n"
        "hint: what was saved there before is still whole; make room, or save elsewhere"
    )
    result.errno = error.errno
    return result


class ArchiveWriter:
    """Writes records one after the other to a file object, which need not be seekable; `where` is for messages."""

    def __init__(self, file: IO[bytes], name: str, where: str = "") -> None:
        self.file, self.name, self.where = file, name, where
        self.position = 0
        self.entries: list[tuple[bytes, int, int, int]] = []  # name, checksum, size, offset

    def _write(self, data: Any, what: str) -> None:
        view = memoryview(data)
        try:
            done = 0
            while done < len(view):
                piece = view[done : done + _PIECE]
                taken = self.file.write(piece)
                if taken is not None and not 0 < taken <= len(piece):
                    raise OSError(None, f"write() took {taken} bytes of {len(piece)}")
                done += len(piece) if taken is None else taken  # raw files may take less; own write methods return nothing
        except OSError as error:
            raise _write_error(what, self.where, f"room for {len(view)} bytes more", error) from error
        self.position += len(view)

    def add(self, record: str, data: Any) -> None:
        """Adds one record, from anything with the buffer protocol."""
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        name = f"{self.name}/{record}".encode()
        checksum, size, offset = zlib.crc32(view), len(view), self.position
        large = size >= _BIG
        extra = struct.pack("<HHQQ", 1, 16, size, size) if large else b""
        start = offset + 30 + len(name) + len(extra) + 4
        padding = -start % ALIGNMENT
        extra += struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        shown = _BIG if large else size
        header = struct.pack(
            "<4s5H3L2H", _LOCAL, 45 if large else 20, 0x800, 0, 0, _DATE, checksum, shown, shown, len(name), len(extra)
        )
        self._write(header + name + extra, record)
        self._write(view, record)
        self.entries.append((name, checksum, size, offset))

    def finish(self) -> None:
        """Writes the directory."""
        start = self.position
        parts = []
        for name, checksum, size, offset in self.entries:
            wide = [value for value in (size, size, offset) if value >= _BIG]
            extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
            parts.append(
                struct.pack(
                    "<4s6H3L5H2L",
                    _CENTRAL,
                    45 if wide else 20,
                    45 if wide else 20,
                    0x800,
                    0,
                    0,
                    _DATE,
                    checksum,
                    min(size, _BIG),
                    min(size, _BIG),
                    len(name),
                    len(extra),
                    0,
                    0,
                    0,
                    0,
                    min(offset, _BIG),
                )
                + name
                + extra
            )
        directory = b"".join(parts)
        count = len(self.entries)
        if count >= 0xFFFF or start >= _BIG or len(directory) >= _BIG:
            end = start + len(directory)
            directory += struct.pack("<4sQ2H2L4Q", _END64, 44, 45, 45, 0, 0, count, count, len(directory), start)
            directory += struct.pack("<4sLQL", _LOCATOR64, 0, end, 1)
            short = min(count, 0xFFFF)
            directory += struct.pack("<4s4H2LH", _END, 0, 0, short, short, _BIG, _BIG, 0)
        else:
            directory += struct.pack("<4s4H2LH", _END, 0, 0, count, count, len(directory), start, 0)
        self._write(directory, "central directory")


def _corrupt(problem: str, detail: str) -> RuntimeError:
    return RuntimeError(
        f"PytorchStreamReader failed {problem}\nload: {detail}\n"
        "hint: the file is damaged or incomplete; copy it again, or go back to an earlier checkpoint"
    )


class ArchiveReader:
    """Reads records of a seekable file. Every size is compared with the file's before memory is taken, every checksum
    after reading.

    Raises:
        RuntimeError: truncated or damaged file, missing record.
    """

    def __init__(self, file: IO[bytes], verify: bool = True) -> None:
        import zipfile

        self.file, self.verify = file, verify
        self.length = file.seek(0, os.SEEK_END)
        try:
            with zipfile.ZipFile(file) as directory:  # type: ignore[arg-type]
                infos = directory.infolist()
        except Exception as error:  # whatever a damaged directory makes of it
            raise _corrupt(
                "reading zip archive: failed finding central directory",
                f"expected a complete zip file; got {self.length} bytes ({error})",
            ) from None
        self.records: dict[str, Any] = {}
        roots = {info.filename.partition("/")[0] for info in infos}
        if len(roots) > 1:
            raise _corrupt(
                "reading zip archive: file is not a checkpoint",
                f"expected all records in one folder; got {', '.join(sorted(roots)[:5])}",
            )
        self.name = roots.pop() if roots else ""
        for info in infos:
            self._check(info)
            self.records[info.filename.partition("/")[2]] = info
        claimed = sum(30 + info.compress_size for info in infos)
        if claimed > self.length:  # each of them fits, but a few bytes could stand for any number of records
            raise _corrupt(
                "reading zip archive: invalid header or archive is corrupted",
                f"expected at most {self.length} bytes; got {len(infos)} records of {claimed} that lie over one another",
            )

    def _check(self, info: Any) -> None:
        stored = info.compress_type == 0
        if not stored and info.compress_type != 8:
            raise _corrupt(
                f"reading file {info.filename}", f"expected stored or deflated data; got method {info.compress_type}"
            )
        if info.header_offset < 0 or info.header_offset + 30 + info.compress_size > self.length:
            raise _corrupt(
                f"reading file {info.filename}: invalid header or archive is corrupted",
                f"expected at most {self.length} bytes; got {info.compress_size} at {info.header_offset}",
            )
        if info.file_size != info.compress_size if stored else info.file_size > 1032 * info.compress_size + 64:
            raise _corrupt(
                f"reading file {info.filename}: invalid header or archive is corrupted",
                f"expected sizes that agree; got {info.compress_size} bytes that claim to hold {info.file_size}",
            )

    def __contains__(self, record: str) -> bool:
        return record in self.records

    def info(self, record: str) -> Any:
        if record not in self.records:
            raise _corrupt(
                f"locating file {record}: file not found",
                f"expected a checkpoint; got a zip file with {', '.join(list(self.records)[:5]) or 'no records'}",
            )
        return self.records[record]

    def size(self, record: str) -> int:
        return self.info(record).file_size

    def offset(self, record: str) -> int:
        """Where the data of a record starts."""
        info = self.info(record)
        self.file.seek(info.header_offset)
        header = self.file.read(30)
        if len(header) < 30 or header[:4] != _LOCAL:
            raise _corrupt(
                f"reading file {record}: invalid header or archive is corrupted", "no record where one should be"
            )
        name_length, extra_length = struct.unpack("<2H", header[26:30])
        start = info.header_offset + 30 + name_length + extra_length
        name = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "replace")
        if self.file.read(name_length) != name or start + info.compress_size > self.length:
            raise _corrupt(
                f"reading file {record}: invalid header or archive is corrupted",
                "the record's own header contradicts the directory",
            )
        return start

    def read_into(self, record: str, target: memoryview) -> None:
        """Fills `target`, which has the size of the record."""
        info = self.info(record)
        self.file.seek(self.offset(record))
        if info.compress_type == 8:
            target[:] = self._inflate(info, record)
        else:
            done = 0
            readinto = getattr(self.file, "readinto", None)
            while done < len(target):
                piece = target[done : done + _PIECE]
                if readinto is not None:
                    count = readinto(piece)
                else:
                    data = self.file.read(len(piece))
                    count = len(data)
                    piece[:count] = data
                if not count:
                    raise _corrupt(f"reading file {record}: file read failed", f"the file ended after {done} bytes")
                done += count
        if self.verify and zlib.crc32(target) != info.CRC:
            raise _corrupt(
                f"reading file {record}: crc-32 check failed",
                f"expected checksum {info.CRC:08x}; got {zlib.crc32(target):08x}",
            )

    def _inflate(self, info: Any, record: str) -> bytes:
        unpack = zlib.decompressobj(-15)
        try:
            data = unpack.decompress(self.file.read(info.compress_size), info.file_size + 1)
        except zlib.error as error:
            raise _corrupt(f"reading file {record}: decompression failed", str(error)) from None
        if len(data) != info.file_size:
            raise _corrupt(
                f"reading file {record}: decompression failed", f"expected {info.file_size} bytes; got {len(data)}"
            )
        return data

    def read(self, record: str) -> bytes:
        data = bytearray(self.size(record))
        self.read_into(record, memoryview(data))
        return bytes(data)


@contextmanager
def atomic_file(path: str) -> Iterator[IO[bytes]]:
    """A file that replaces `path` in one move once it is complete and on the disk. Until then, and after an error or a
    kill, what was there before stays.

    Raises:
        RuntimeError: no such folder, or no right to write there.
        WriteError: no room.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):  # a device or a pipe
        with open(path, "wb", buffering=0) as device:
            yield device
        return
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.")
    if os.path.isdir(path):
        raise RuntimeError(f"open file failed with strerror: Is a directory\nsave: expected a file name; got {path}")
    temporary = os.path.join(folder, f".{os.path.basename(path)[:200]}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        raise RuntimeError(
            f"open file failed with strerror: {error.strerror}\nsave: cannot write in {folder}"
        ) from error
    try:
        file: Any = open(descriptor, "wb", buffering=1 << 20)  # noqa: SIM115  (closed below, whatever that says)
        try:
            with suppress(OSError):
                os.chmod(temporary, os.stat(path).st_mode & 0o777)
            yield file
            try:
                file.flush()
                os.fsync(file.fileno())
                file.close()
            except OSError as error:
                raise _write_error("to the disk", path, "room for what was not written yet", error) from error
        finally:
            with suppress(OSError):  # closing tries again to write what found no room; the first error tells more
                file.close()
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    with suppress(OSError):  # the move itself shall survive a power cut; not every system can sync a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
