"""Checkpoints: what goes in comes out, sharing included; damage and hostile files are refused."""

import collections
import contextlib
import errno
import io
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

import flambeau as torch
from flambeau import serialization

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def through_file(value, **options):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


def example():
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    return {"whole": base, "part": base[1:, ::2], "turned": base.t()}


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name):
    dtype = getattr(torch, name)
    values = torch.tensor([0, 1, 2, 3]).to(dtype)
    for tensor in (values, values[1:], values[::2], values[:0], values[1]):
        back = through_file(tensor)
        assert back.dtype == dtype and back.shape == tensor.shape and back.stride() == tensor.stride()
        assert torch.equal(back, tensor)


def test_sharing_stays():
    back = through_file(example())
    assert torch.equal(back["part"], example()["part"]) and back["turned"].stride() == (1, 4)
    back["whole"][1, 2] = 100.0
    assert back["part"][0, 1].item() == 100 and back["turned"][2, 1].item() == 100


def test_the_same_tensor_is_the_same_tensor():
    tensor = torch.ones(2)
    first, second, other = through_file([tensor, tensor, torch.ones(2)])
    assert first is second and other is not first


def test_parameters_and_state_dicts():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    back = through_file({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "weight": model.weight})
    assert type(back["weight"]) is torch.nn.Parameter and back["weight"].requires_grad
    assert isinstance(back["model"], collections.OrderedDict)
    again = torch.nn.Linear(3, 2)
    again.load_state_dict(back["model"])
    assert torch.equal(again.weight, model.weight)
    torch.optim.SGD(again.parameters()).load_state_dict(back["optimizer"])
    assert through_file(torch.ones(2, requires_grad=True)).requires_grad


def test_plain_values():
    value = {
        "numbers": (1, -1, 2**40, 2**100, -(2**70), 1.5, True, None, 2j),
        "text": "añ\U0001f525" * 100,
        "bytes": b"\x00\xff" * 200,
        "set": {1, 2},
        "nested": [[[]], {}, ()],
        "ordered": collections.OrderedDict(a=1),
        "counter": collections.Counter("aab"),
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "many": list(range(3000)),
    }
    assert through_file(value) == value
    assert type(through_file(torch.Size([2]))) is torch.Size


def test_container_follows_the_format(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(example(), path)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        names = file.namelist()
        assert names[0] == "model/data.pkl" and "model/data/0" in names and "model/data/1" not in names
        assert file.read("model/version") == b"3\n" and file.read("model/byteorder") == b"little"
        for info in file.infolist():
            header = path.read_bytes()[info.header_offset : info.header_offset + 30]
            start = info.header_offset + 30 + sum(struct.unpack("<2H", header[26:]))
            assert start % 64 == 0 and info.compress_type == 0


def test_equal_objects_give_equal_files():
    first, second = io.BytesIO(), io.BytesIO()
    torch.save(example(), first)
    torch.save(example(), second)
    assert first.getvalue() == second.getvalue()


def test_mapped_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(example(), path)
    before = path.read_bytes()
    back = torch.load(path, mmap=True)
    assert torch.equal(back["turned"], example()["turned"])
    back["whole"].zero_()
    assert back["part"].sum().item() == 0 and path.read_bytes() == before
    with pytest.raises(ValueError, match="f must be a file path"):
        torch.load(io.BytesIO(before), mmap=True)


@pytest.mark.parametrize("location", ["cpu", {"cuda:0": "cpu"}, lambda storage, name: storage])
def test_map_location(location):
    assert torch.equal(through_file(example(), map_location=location)["part"], example()["part"])


def test_saved_on_another_device():
    raw = archive(data_pkl(location="cuda:0"))
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        torch.load(io.BytesIO(raw))
    assert torch.load(io.BytesIO(raw), map_location="cpu").tolist() == [1.0, 2.0]


# damage


def archive(pickled, data=struct.pack("<2f", 1, 2), compression=zipfile.ZIP_STORED, **records):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as out:
        for name, content in {"data.pkl": pickled, "data/0": data, "version": b"3\n", **records}.items():
            out.writestr("archive/" + name, content)
    return file.getvalue()


def data_pkl(count=2, offset=0, size=2, stride=1, location="cpu", storage="FloatStorage", key="0"):
    """The pickle of one tensor, by hand."""
    text = lambda value: b"X" + struct.pack("<I", len(value)) + value.encode()
    number = lambda value: b"\x8a" + bytes([10]) + value.to_bytes(10, "little", signed=True)
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(("
        + text("storage")
        + b"ctorch\n"
        + storage.encode()
        + b"\n"
        + text(key)
        + text(location)
        + number(count)
        + b"tQ"
        + number(offset)
        + number(size)
        + b"\x85"
        + number(stride)
        + b"\x85\x89ccollections\nOrderedDict\n)Rt R.".replace(b" ", b"")
    )


def test_by_hand_loads():
    assert torch.load(io.BytesIO(archive(data_pkl()))).tolist() == [1.0, 2.0]
    assert torch.load(io.BytesIO(archive(data_pkl(), compression=zipfile.ZIP_DEFLATED))).tolist() == [1.0, 2.0]
    swapped = archive(data_pkl(), struct.pack(">2f", 1, 2), byteorder=b"big")
    assert torch.load(io.BytesIO(swapped)).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"count": 1 << 50}, "invalid header or archive is corrupted"),
        ({"count": 3}, "expected 12 bytes"),
        ({"size": 3}, "not resizable"),
        ({"offset": 1}, "not resizable"),
        ({"stride": 1 << 61}, "not resizable"),
        ({"size": -1}, "not resizable"),
        ({"offset": -1}, "not resizable"),
        ({"key": "7"}, "locating file data/7: file not found"),
        ({"key": "../../etc/passwd"}, "file not found"),
    ],
)
def test_sizes_that_lie(options, phrase):
    with pytest.raises(RuntimeError, match=phrase):
        torch.load(io.BytesIO(archive(data_pkl(**options))))


def test_every_truncation_and_every_flipped_byte_of_data_is_refused():
    file = io.BytesIO()
    torch.save(example(), file)
    good = file.getvalue()
    for length in range(0, len(good), 7):
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            torch.load(io.BytesIO(good[:length]))
    start = good.index(np.arange(12, dtype=np.float32).tobytes())
    for position in range(start, start + 48):
        bad = bytearray(good)
        bad[position] ^= 0x10
        with pytest.raises(RuntimeError, match="crc-32 check failed"):
            torch.load(io.BytesIO(bytes(bad)))


def test_no_flipped_byte_crashes():
    file = io.BytesIO()
    torch.save([torch.ones(3), {"a": 1.5}], file)
    good = file.getvalue()
    outcomes = collections.Counter()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0xFF
        try:
            torch.load(io.BytesIO(bytes(bad)))
            outcomes["loaded"] += 1  # dates, attributes and padding do not matter
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            outcomes["refused"] += 1
    assert outcomes["refused"] > len(good) // 4


def test_records_that_lie_over_one_another_are_refused():
    """A short file whose records share their bytes could fill the memory many times over."""
    names = [f"data/{i}" for i in range(40)]
    data = b""
    offsets = {}
    for name in reversed(names):  # each record holds all those after it, headers and all
        path = ("archive/" + name).encode()
        local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(path), 0)
        offsets[name] = len(data), zlib.crc32(data)
        data = local + path + data
    whole = archive(data_pkl())
    start = whole.index(b"PK\1\2")
    added = b""
    for name, (size, checksum) in offsets.items():
        path = ("archive/" + name).encode()
        at = start + len(data) - size - 30 - len(path)
        added += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, checksum, size, size, len(path), *[0] * 5, at) + path
    kept = [entry for entry in re.split(b"(?=PK\1\2)", whole[start : whole.rindex(b"PK\5\6")]) if entry and b"data/0" not in entry]
    directory = b"".join(kept) + added
    count = len(kept) + len(names)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), start + len(data), 0)
    with pytest.raises(RuntimeError, match="lie over one another"):
        torch.load(io.BytesIO(whole[:start] + data + directory + end))


@pytest.mark.parametrize("claimed", [1 << 33, (1 << 62) // 4, 1 << 40])
def test_sizes_that_lie_take_no_memory(tmp_path, claimed):
    """Whoever claims more than the file holds is refused before memory is taken: in data.pkl, in the zip directory, in
    a record's own header, in a legacy file."""
    path = tmp_path / "x.pt"
    torch.save(torch.ones(2), path)
    good = path.read_bytes()
    record = b"x/data/0"
    entry = good.index(record, good.index(b"PK\x01\x02")) - 46
    wide = struct.pack("<HHQQ", 1, 16, claimed, claimed)  # sizes of 64 bits, and 0xffffffff where those of 32 stand
    lying = bytearray(good[: entry + 46 + len(record)] + wide + good[entry + 46 + len(record) :])
    lying[entry + 20 : entry + 28] = b"\xff" * 8
    lying[entry + 30 : entry + 32] = struct.pack("<H", len(wide))
    end = lying.index(b"PK\x05\x06")
    lying[end + 12 : end + 16] = struct.pack("<L", struct.unpack("<L", lying[end + 12 : end + 16])[0] + len(wide))
    header = bytearray(good)  # the record's own header: its name reaches beyond the file's end
    local = good.index(record) - 30
    header[local + 26 : local + 30] = b"\xff" * 4
    hostile = [
        archive(data_pkl(count=claimed // 4, size=claimed // 4)),
        bytes(lying),
        bytes(header),
        legacy([claimed // 4] * 3, [2]),
        legacy([50] * 100, [50]),  # each of them fits the file, all of them do not
    ]
    torch.ones(2).clone()
    before = torch._C.memory_stats()["peak"]
    tracemalloc.start()
    try:
        for content in hostile:
            path.write_bytes(content)
            for options in ({}, {"mmap": True}):
                with pytest.raises(RuntimeError, match=r"corrupted|unexpected EOF|mmap can only"):
                    torch.load(path, **options)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1 << 21 and torch._C.memory_stats()["peak"] - before < 1 << 16


def legacy(counts, held):
    """A file as PyTorch wrote them before the zip format: storages of `counts` elements, `held` of which follow."""
    own = b"".join(data_pkl(count=n, key=str(i))[2:-1] for i, n in enumerate(counts))
    parts = [b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x02M\xe9\x03.", pickle.dumps({"little_endian": True}, 2)]
    parts += [b"\x80\x02(" + own + b"l.", pickle.dumps([str(i) for i in range(len(counts))], 2)]
    return b"".join(parts) + b"".join(struct.pack("<q", n) + bytes(4 * n) for n in held)


def test_legacy_by_hand_loads():
    assert [t.shape for t in torch.load(io.BytesIO(legacy([2, 2], [2, 2])))] == [(2,), (2,)]


def test_wrong_checksums_leave_nothing_behind(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"weight": torch.ones(1 << 16)}, path)
    bad = bytearray(path.read_bytes())
    bad[len(bad) // 2] ^= 1
    path.write_bytes(bad)
    before = torch._C.memory_stats()["in_use"]
    for _ in range(3):
        with pytest.raises(RuntimeError, match="crc-32 check failed"):
            torch.load(path)
    assert torch._C.memory_stats()["in_use"] == before


def test_bombs_are_refused():
    bomb = archive(data_pkl(count=1 << 28), b"\0" * 64, zipfile.ZIP_DEFLATED)
    at = bomb.index(b"PK\x01\x02", bomb.index(b"PK\x01\x02") + 4)  # the directory's entry of data/0
    lying = bomb[: at + 24] + struct.pack("<L", 1 << 30) + bomb[at + 28 :]
    with pytest.raises(RuntimeError, match="corrupted"):
        torch.load(io.BytesIO(lying))


@pytest.mark.parametrize(
    ("content", "error", "phrase"),
    [
        (b"", EOFError, "Ran out of input"),
        (b"hello world, this is no checkpoint", pickle.UnpicklingError, "Weights only load failed"),
        (b"\x89PNG\r\n\x1a\n0000", pickle.UnpicklingError, "not a checkpoint"),
        (b"PK\x03\x04 and then nothing", RuntimeError, "failed finding central directory"),
    ],
)
def test_foreign_files(tmp_path, content, error, phrase):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(error, match=phrase):
        torch.load(path)


def test_other_archives_and_missing_files(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/readme.txt", "x")
    with pytest.raises(RuntimeError, match="PytorchStreamReader failed locating file version"):
        torch.load(path)
    with pytest.raises(FileNotFoundError, match="No such file"):
        torch.load(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError):
        torch.load(tmp_path)
    with pytest.raises(AttributeError, match="seek"):
        torch.load(3)
    with pytest.raises(RuntimeError, match="TorchScript"):
        torch.load(io.BytesIO(archive(b"", **{"constants.pkl": b""})))
    with pytest.raises(RuntimeError, match="version 99"):
        torch.load(io.BytesIO(archive(data_pkl(), version=b"99\n")))


# code in files


class Own:
    def __init__(self, x=1):
        self.x = x


class Evil:
    def __reduce__(self):
        return os.system, ("echo ran > evil.txt",)


def test_code_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(Evil(), "evil.pt")
    with pytest.raises(
        pickle.UnpicklingError, match=r"Unsupported global: GLOBAL (posix|nt).system was not an allowed global"
    ):
        torch.load("evil.pt")
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize(
    "hostile",
    [
        b"cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.",
        b"c__builtin__\nexec\n.",
        b"\x8c\x08builtins\x8c\x04eval\x93.",
        b"ctorch\nload\n(X\x01\x00\x00\x00xtR.",
        b"ctorch.serialization\nload\n.",
        b"cflambeau\nsave\n.",
        b"ctorch\nTensor\nK\x05\x85R.",  # a type is data, not a function
        b"ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__code__NsbN.",  # state for a function
        b"c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x10\x85R.",  # 2**36 bytes
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00rot_13\x86R.",
        b"X\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\xff",
        b"(" * 10 + b"t" * 20,
        b"h\x05.",
        b"R.",
        b".",
        b"ccollections\nOrderedDict\n)\x81K\x01b.",
        b"K\x01K\x02a.",
        b"i\x00\x00.",
        b"\x82\x01.",
    ],
)
def test_hostile_pickles(hostile):
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        torch.load(io.BytesIO(archive(b"\x80\x02" + hostile)))


def test_users_types(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(Own(torch.ones(2)), path)
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        torch.load(path)
    with serialization.safe_globals([Own]):
        assert torch.load(path).x.tolist() == [1.0, 1.0]
        assert serialization.get_safe_globals() == [Own]
    assert serialization.get_safe_globals() == []
    serialization.add_safe_globals([Own])
    assert torch.load(path).x.tolist() == [1.0, 1.0]
    serialization.clear_safe_globals()
    assert torch.load(path, weights_only=False).x.tolist() == [1.0, 1.0]


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(torch.ones(1), path)
    with pytest.raises((pickle.PicklingError, TypeError)):
        torch.save(lambda: 0, path)
    cycle = []
    cycle.append(cycle)
    torch.save(cycle, path)
    assert torch.load(path)[0][0] is not None
    assert os.listdir(tmp_path) == ["x.pt"]


# full disks and kills


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(RuntimeError, match="Parent directory .* does not exist"):
        torch.save(1, tmp_path / "none" / "x.pt")
    with pytest.raises(RuntimeError, match="Is a directory"):
        torch.save(1, tmp_path)
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like"):
        torch.save(1, None)


@contextlib.contextmanager
def room_of(size):
    """Files of this process end at `size` bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("elements", [1000, 1 << 20])
def test_full_disk_leaves_the_old_file(tmp_path, elements):
    path, value = tmp_path / "x.pt", torch.ones(elements)
    torch.save(value, path)
    size = os.path.getsize(path)
    torch.save(torch.ones(3), path)
    for room in (0, 64, size // 2, size - 10):  # in the midst of a header, of the data, of the directory
        with room_of(room), pytest.raises(RuntimeError, match="PytorchStreamWriter failed writing file") as caught:
            torch.save(value, path)
        assert isinstance(caught.value, OSError) and caught.value.errno == errno.EFBIG  # what the system said stays
        assert "save: expected room" in str(caught.value) and str(path) in str(caught.value)
        assert torch.load(path).tolist() == [1.0, 1.0, 1.0] and os.listdir(tmp_path) == ["x.pt"]
    with room_of(size):
        torch.save(value, path)
    assert torch.equal(torch.load(path), value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_device_that_is_full():
    with pytest.raises(OSError, match="PytorchStreamWriter failed writing file") as caught:
        torch.save(torch.ones(3), "/dev/full")
    assert caught.value.errno == errno.ENOSPC


def test_file_objects_that_write_less_than_they_were_given(tmp_path):
    class Short(io.RawIOBase):
        def __init__(self):
            self.content = bytearray()

        def writable(self):
            return True

        def write(self, data):
            self.content += data[:1000]
            return min(len(data), 1000)

    file = Short()
    torch.save(torch.arange(5000), file)
    assert torch.equal(torch.load(io.BytesIO(bytes(file.content))), torch.arange(5000))
    file.write = lambda data: 0
    with pytest.raises(OSError, match="PytorchStreamWriter failed writing file"):
        torch.save(1, file)
    torch.save(torch.ones(1000), tmp_path / "whole.pt")
    room = os.path.getsize(tmp_path / "whole.pt") - 10
    with room_of(room), open(tmp_path / "x.pt", "wb", buffering=0) as raw, pytest.raises(OSError):
        torch.save(torch.ones(1000), raw)


def test_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(torch.ones(3), path)
    program = (
        "import os, sys, flambeau as torch\n"
        "from flambeau.serialization import archive\n"
        "add = archive.ArchiveWriter.add\n"
        "def dying(self, record, data):\n"
        "    add(self, record, data)\n"
        "    if record == 'data/0':\n"
        "        self.file.flush(); os.kill(os.getpid(), 9)\n"
        "archive.ArchiveWriter.add = dying\n"
        "torch.save(torch.zeros(100000), sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=120, check=False)
    assert done.returncode == -9
    assert torch.load(path).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_kills_at_any_moment_leave_a_whole_file(tmp_path):
    """Whenever it is killed, a program that saves all the time leaves one of the values that it saved."""
    path = tmp_path / "x.pt"
    torch.save(torch.zeros(1 << 20), path)
    midway = 0
    for attempt in range(200):
        child = os.fork()
        if child == 0:
            try:
                for i in range(1 << 24):
                    torch.save(torch.full((1 << 20,), float(i)), path)
            finally:
                os._exit(1)
        try:
            while not (found := list(tmp_path.glob(".*.tmp"))):
                assert os.waitpid(child, os.WNOHANG) == (0, 0)
            time.sleep(0.0005 * (attempt % 10))
        finally:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        assert found and os.WTERMSIG(status) == signal.SIGKILL
        value = torch.load(path)
        assert value.shape == (1 << 20,) and value.min() == value.max()
        for entry in tmp_path.glob(".*.tmp"):
            midway += 1
            entry.unlink()
        if midway >= 5 and attempt >= 10:
            break
    assert midway >= 5


def test_links_and_modes_stay(tmp_path):
    target = tmp_path / "real.pt"
    torch.save(1, target)
    target.chmod(0o640)
    link = tmp_path / "link.pt"
    link.symlink_to(target)
    torch.save(2, link)
    assert link.is_symlink() and torch.load(target) == 2 and target.stat().st_mode & 0o777 == 0o640
