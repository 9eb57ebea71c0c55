"""What runs inside of a worker process of a DataLoader."""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import Any

import flambeau
from flambeau.utils.data import shared
from flambeau.utils.data.dataset import Subset, TensorDataset

_worker_info: Any = None
parent_ends: set[Any] = set()  # pipe ends that belong to loaders of this process; a forked child lets go of them


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker process knows about itself."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """Number, count, seed and dataset of this worker process, or None in the main process."""
    return _worker_info


class Fetcher:
    """Makes one batch (or one sample, without batching) from the indices that the sampler gave."""

    def __init__(self, dataset: Any, iterable: bool, batched: bool, collate: Any, drop_last: bool) -> None:
        from flambeau.utils.data.collate import default_collate

        self.dataset, self.batched, self.collate, self.drop_last = dataset, batched, collate, drop_last
        self.iterator: Any = iter(dataset) if iterable else None
        self.ended = False
        # tensors can be indexed by the whole batch at once; the result is the same
        inner, self.levels = dataset, []
        while type(inner) is Subset:
            self.levels.append(inner.indices)
            inner = inner.dataset
        self.tensors = inner.tensors if type(inner) is TensorDataset and collate is default_collate else None

    def fetch(self, indices: Any) -> Any:
        """The batch; StopIteration at the end of an iterable dataset."""
        if self.iterator is not None:
            return self._next(indices)
        if not self.batched:
            return self.collate(self.dataset[indices])
        if self.tensors is not None:
            for level in self.levels:
                indices = [level[index] for index in indices]
            rows = flambeau.tensor(indices, dtype=flambeau.int64)
            return [tensor[rows] for tensor in self.tensors]
        several = getattr(self.dataset, "__getitems__", None)
        if callable(several):
            return self.collate(several(indices))
        return self.collate([self.dataset[index] for index in indices])

    def _next(self, indices: Any) -> Any:
        if not self.batched:
            return self.collate(next(self.iterator))
        if self.ended:
            raise StopIteration
        batch = []
        for _ in indices:
            try:
                batch.append(next(self.iterator))
            except StopIteration:
                self.ended = True
                break
        if not batch or (self.drop_last and len(batch) < len(indices)):
            raise StopIteration
        return self.collate(batch)


class WorkerError:
    """An exception of a worker, with its traceback as text, to be raised in the main process."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.kind = type(error)
        self.where = where
        self.text = "".join(traceback.format_exception(type(error), error, error.__traceback__))

    def portable(self) -> WorkerError:
        """Itself, with a class that the other process can find."""
        import pickle

        try:
            pickle.dumps(self.kind)
        except Exception:
            self.kind = RuntimeError
        return self

    def reraise(self) -> None:
        message = f"Caught {self.kind.__name__} {self.where}.\nOriginal {self.text}"
        if self.kind is KeyError:  # its text form would show the line breaks escaped
            error: BaseException = KeyError(_Plain(message))
        else:
            try:
                error = self.kind(message)
            except Exception:  # a class that wants other arguments
                error = RuntimeError(message)
        raise error


class _Plain(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class StreamEnded:
    """Says that the iterable dataset of a worker has no more samples."""


def seed_everything(base_seed: int, worker: int) -> None:
    """Seeds random, NumPy and this package for one worker: each worker its own, each epoch another."""
    seed = base_seed + worker
    random.seed(seed)
    flambeau.manual_seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        entropy = [worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
        numpy.random.seed(numpy.random.SeedSequence(entropy).generate_state(4))


def run(
    worker: int,
    count: int,
    tasks: Any,
    results: Any,
    folders: list[str],
    dataset: Any,
    iterable: bool,
    batched: bool,
    collate: Any,
    drop_last: bool,
    base_seed: int,
    init: Any,
    parent: int,
    forked: bool,
) -> None:
    """Answers tasks until the pipe closes, None comes, or the parent is gone.

    A task is (generation, number, indices), or (generation, None, None) for the start of another pass.
    """
    global _worker_info
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the main process, which ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if forked:
        for end in list(parent_ends):
            if end is not tasks and end is not results:
                end.close()
        parent_ends.clear()
    flambeau.set_num_threads(1)
    seed_everything(base_seed, worker)
    _worker_info = WorkerInfo(worker, count, base_seed + worker, dataset)
    failure: Any = None
    fetcher: Any = None
    try:
        if init is not None:
            init(worker)
        fetcher = Fetcher(dataset, iterable, batched, collate, drop_last)
    except Exception as error:
        failure = WorkerError(error, f"in DataLoader worker process {worker}").portable()
    try:
        while True:
            while not tasks.poll(2.0):
                if os.getppid() != parent:
                    return
            task = tasks.recv()
            if task is None:
                return
            generation, number, indices = task
            if number is None:
                if failure is None:
                    try:
                        fetcher = Fetcher(dataset, iterable, batched, collate, drop_last)
                    except Exception as error:
                        failure = WorkerError(error, f"in DataLoader worker process {worker}").portable()
                continue
            results.send(
                (
                    generation,
                    number,
                    _answer(fetcher, failure, indices, worker, folders, f"{worker}-{generation}-{number}", iterable),
                )
            )
            failure = None if fetcher is not None else failure
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the main process is gone or does not want more
    finally:
        results.close()
        tasks.close()
        if os.getppid() != parent:  # it could not clean up
            shared.remove_folders(folders)


def _answer(
    fetcher: Any, failure: Any, indices: Any, worker: int, folders: list[str], name: str, iterable: bool
) -> Any:
    if failure is not None:
        return failure
    try:
        return shared.send(fetcher.fetch(indices), folders, name)
    except StopIteration as error:
        if iterable:
            return StreamEnded()
        return WorkerError(error, f"in DataLoader worker process {worker}").portable()
    except KeyboardInterrupt:
        raise
    except Exception as error:
        return WorkerError(error, f"in DataLoader worker process {worker}").portable()
