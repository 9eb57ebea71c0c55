"""DataLoader: order, seeds, shared memory, and what happens when a worker fails."""

import contextlib
import gc
import glob
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils import data


class Squares(data.Dataset):
    """Sample i: (i * i, a tensor of `width` numbers)."""

    def __init__(self, size=23, width=3):
        self.size, self.width = size, width

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index * index, torch.full((self.width,), float(index))


class Failing(Squares):
    def __getitem__(self, index):
        if index == 7:
            raise ValueError("sample seven is broken")
        return super().__getitem__(index)


class Dying(Squares):
    def __getitem__(self, index):
        if index == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 15:
            os._exit(3)
        return super().__getitem__(index)


class Slow(Squares):
    def __getitem__(self, index):
        time.sleep(30)


class Stream(data.IterableDataset):
    def __iter__(self):
        info = data.get_worker_info()
        step, start = (1, 0) if info is None else (info.num_workers, info.id)
        return iter(range(start, 11, step))


class Seeds(data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        import random

        info = data.get_worker_info()
        assert info.num_workers == 2 and info.seed == torch.initial_seed()
        return info.seed, random.random(), float(np.random.rand()), torch.rand(1).item()


class Mixed(data.Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        tensor = torch.arange(10000) + index
        return {
            "tensor": tensor,
            "again": tensor,
            "array": np.full(5000, index),
            "text": "x" * 40000,
            "half": tensor[:3].bfloat16(),
        }


def same(sample):
    return sample


def squares(loader):
    return [batch[0].tolist() for batch in loader]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_give_the_same_batches(workers):
    options = {"batch_size": 4, "shuffle": True}
    torch.manual_seed(5)
    here = squares(data.DataLoader(Squares(), **options))
    torch.manual_seed(5)
    loader = data.DataLoader(Squares(), num_workers=workers, **options)
    assert len(loader) == 6
    assert squares(loader) == here


def test_options():
    dataset = Squares(10)
    assert len(squares(data.DataLoader(dataset, 4, drop_last=True))) == 2
    assert squares(data.DataLoader(dataset, batch_sampler=[[1, 2], [3]])) == [[1, 4], [9]]
    assert squares(data.DataLoader(dataset, 2, sampler=[9, 8, 7])) == [[81, 64], [49]]
    assert [value for value, _ in data.DataLoader(dataset, None)] == [i * i for i in range(10)]
    assert [len(b) for b in data.DataLoader(dataset, 3, collate_fn=same)] == [3, 3, 3, 1]
    generator = torch.Generator().manual_seed(3)
    first = squares(data.DataLoader(dataset, 3, shuffle=True, generator=generator))
    generator.manual_seed(3)
    assert squares(data.DataLoader(dataset, 3, shuffle=True, generator=generator)) == first
    assert sorted(squares(data.DataLoader(dataset, 10, num_workers=2, in_order=False))[0]) == [i * i for i in range(10)]


def test_tensor_datasets_are_indexed_at_once_and_equal():
    x, y = torch.randn(20, 3), torch.arange(20)
    dataset = data.Subset(data.TensorDataset(x, y), list(range(19, -1, -1)))
    batch = next(iter(data.DataLoader(dataset, 4)))
    assert type(batch) is list and batch[1].tolist() == [19, 18, 17, 16] and torch.equal(batch[0], x[batch[1]])


@pytest.mark.parametrize("workers", [0, 2])
def test_streams(workers):
    batches = [batch.tolist() for batch in data.DataLoader(Stream(), 2, num_workers=workers)]
    assert sorted(number for batch in batches for number in batch) == list(range(11))
    if workers:
        assert batches[:2] == [[0, 2], [1, 3]]
    assert [b.tolist() for b in data.DataLoader(Stream(), 4, drop_last=True)] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_streams_start_again_in_persistent_workers():
    loader = data.DataLoader(Stream(), 2, num_workers=2, persistent_workers=True)
    first = [batch.tolist() for batch in loader]
    assert [batch.tolist() for batch in loader] == first
    iterator = iter(loader)
    next(iterator)  # a pass that is given up
    assert [batch.tolist() for batch in loader] == first


def test_seeds_differ_by_worker_and_epoch():
    torch.manual_seed(1)
    loader = data.DataLoader(Seeds(), None, num_workers=2)
    first, second = list(loader), list(loader)
    assert first[1][0] == first[0][0] + 1 and first[0][0] != second[0][0]
    assert len({value for sample in (*first, *second) for value in sample[1:]}) == 24
    torch.manual_seed(1)
    assert list(data.DataLoader(Seeds(), None, num_workers=2)) == first


def test_large_and_mixed_values_cross():
    for index, batch in enumerate(data.DataLoader(Mixed(), None, num_workers=1)):
        assert torch.equal(batch["tensor"], torch.arange(10000) + index) and len(batch["text"]) == 40000
        assert batch["again"] is batch["tensor"] or torch.equal(batch["again"], batch["tensor"])
        assert batch["array"].tolist() == [index] * 5000 and batch["half"].dtype == torch.bfloat16
        batch["tensor"].add_(1)  # it is ours


def leftovers(process):
    places = ("/dev/shm", tempfile.gettempdir())
    return [f for place in places for f in glob.glob(os.path.join(place, f"flambeau-{process}-*"))]


def test_nothing_is_left_behind():
    gc.collect()
    before = set(leftovers(os.getpid()))
    loader = data.DataLoader(Squares(64, 20000), 8, num_workers=2)
    kept = [batch[1] for batch in loader]
    iterator = iter(loader)
    next(iterator)
    del iterator
    gc.collect()
    assert set(leftovers(os.getpid())) <= before
    assert [rows[0, 0].item() for rows in kept] == [8.0 * i for i in range(8)]


def test_exceptions_keep_class_and_traceback():
    loader = data.DataLoader(Failing(), 4, num_workers=2)
    with pytest.raises(
        ValueError, match="(?s)Caught ValueError in DataLoader worker process 1.*sample seven is broken"
    ):
        list(loader)
    iterator = iter(data.DataLoader(Failing(), 4, num_workers=2))
    assert next(iterator)[0].tolist() == [0, 1, 4, 9]  # what comes before it is given
    with pytest.raises(ValueError, match="sample seven is broken"):
        list(data.DataLoader(Failing(), 4))


def test_a_killed_worker_is_reported_at_once():
    start = time.monotonic()
    with pytest.raises(
        RuntimeError, match=r"(?s)DataLoader worker \(pid\(s\) \d+\) exited unexpectedly.*killed by signal: Killed"
    ):
        list(data.DataLoader(Dying(), 4, num_workers=2))
    with pytest.raises(RuntimeError, match="exited unexpectedly with exit code 3"):
        list(data.DataLoader(Dying(), 4, sampler=[15], num_workers=1))
    assert time.monotonic() - start < 20


def test_timeout():
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="DataLoader timed out after 1 seconds"):
        list(data.DataLoader(Slow(), 4, num_workers=1, timeout=1))
    assert time.monotonic() - start < 20


def failing_init(number):
    raise OSError(f"no licence for worker {number}")


def test_worker_init():
    seen = []

    def init(number):
        seen.append(number)
        Squares.offset = number

    assert squares(data.DataLoader(Squares(4), 2, num_workers=2, worker_init_fn=init)) == [[0, 1], [4, 9]] and not seen
    with pytest.raises(OSError, match="no licence for worker 0"):
        list(data.DataLoader(Squares(), 2, num_workers=2, worker_init_fn=failing_init))


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified in multiprocessing"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"shuffle": True, "sampler": [1]}, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
        ({"batch_size": 0}, "batch_size should be a positive integer value"),
        ({"multiprocessing_context": "fork"}, "multiprocessing_context can only be used with"),
        ({"multiprocessing_context": "x", "num_workers": 1}, "valid start method"),
    ],
)
def test_errors(options, phrase):
    with pytest.raises(ValueError, match=phrase):
        data.DataLoader(Squares(), **options)


def test_iterable_errors_and_fixed_attributes():
    with pytest.raises(ValueError, match="DataLoader with IterableDataset: expected unspecified shuffle option"):
        data.DataLoader(Stream(), shuffle=True)
    loader = data.DataLoader(Squares())
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader is initialized"):
        loader.batch_size = 3


PROGRAM = """
import os, sys, time
import flambeau as torch
from flambeau.utils import data

class Slow(data.Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, index):
        time.sleep(0.05)
        return torch.full((30000,), float(index))

if __name__ == "__main__":
    try:
        for number, batch in enumerate(data.DataLoader(Slow(), 2, num_workers=2, **eval(sys.argv[1]))):
            if number == 1:
                print("running", flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def children(pid):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("start", ["{}", "{'multiprocessing_context': 'spawn'}"])
def test_interrupt_ends_workers_cleanly(tmp_path, how, start):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(script), start],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "running\n"
    workers = children(process.pid)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to all processes
    else:
        process.kill()
    out, err = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert out == "stopped\n" and "Traceback" not in err
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers and not any(os.path.exists(f"/proc/{pid}") for pid in workers)
    while leftovers(process.pid) and time.monotonic() < deadline:  # whoever dies last clears up
        time.sleep(0.1)
    assert not leftovers(process.pid)
