"""DataLoader: batches of a dataset, made in this process or in workers ahead of time, always in the sampler's order."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from flambeau.utils.data.collate import default_collate, default_convert
from flambeau.utils.data.dataset import IterableDataset
from flambeau.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed
from flambeau.utils.data.worker import Fetcher, StreamEnded, WorkerError, parent_ends, run


class _Endless:
    """The sampler of datasets that bring their own order."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader:
    """Iterates over batches of a dataset.

    Args:
        dataset: map-style (`__getitem__`, `__len__`) or an IterableDataset.
        batch_size: samples in a batch; None passes samples through one by one.
        shuffle: random order, another for each epoch.
        sampler, batch_sampler: own order, of samples or of whole batches.
        num_workers: processes that make batches ahead; 0 makes them here. The order does not depend on it.
        collate_fn: from a list of samples to a batch.
        pin_memory, pin_memory_device: accepted; memory of the CPU needs no pinning.
        drop_last: leave out a last batch that is not full.
        timeout: seconds to wait for a batch of a worker; 0 waits for ever.
        worker_init_fn: called in each worker with its number.
        multiprocessing_context: how workers start ("fork", "spawn", "forkserver"), or a context of multiprocessing.
        generator: random numbers for shuffling and for the workers' seeds; the default generator otherwise.
        prefetch_factor: batches that each worker makes ahead; 2 by default.
        persistent_workers: keep the workers between epochs.
        in_order: give batches in order; False gives them as they come.

    Raises:
        ValueError: options that contradict each other.
        RuntimeError: while iterating, when a worker died or took too long. An exception of the dataset in a worker is
            raised here with the worker's traceback in its text.

    >>> import flambeau as torch
    >>> data = torch.utils.data.TensorDataset(torch.arange(5))
    >>> [batch.tolist() for (batch,) in torch.utils.data.DataLoader(data, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable "
                "multiprocessing, otherwise set prefetch_factor to None."
            )
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            if shuffle:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified shuffle option, but got {shuffle=}"
                )
            if sampler is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified sampler option, but got {sampler=}"
                )
            if batch_sampler is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified batch_sampler option, "
                    f"but got {batch_sampler=}"
                )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, timeout
        self.worker_init_fn, self.generator, self.prefetch_factor = worker_init_fn, generator, prefetch_factor
        self.persistent_workers, self.in_order = persistent_workers, in_order
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.multiprocessing_context = multiprocessing_context
        if sampler is None:
            if self._iterable:
                sampler = _Endless()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last, self.sampler, self.batch_sampler = (
            batch_size,
            drop_last,
            sampler,
            batch_sampler,
        )
        self.collate_fn = collate_fn or (default_collate if batch_sampler is not None else default_convert)
        self._workers: _Workers | None = None
        self._complete = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_complete") and name in (
            "batch_size",
            "batch_sampler",
            "sampler",
            "drop_last",
            "dataset",
            "persistent_workers",
        ):
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_workers": None}

    @property
    def multiprocessing_context(self) -> Any:
        """How workers start."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, value: Any) -> None:
        if value is not None:
            if self.num_workers == 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
                    f"num_workers={self.num_workers}"
                )
            if isinstance(value, str):
                import multiprocessing

                methods = multiprocessing.get_all_start_methods()
                if value not in methods:
                    raise ValueError(
                        "multiprocessing_context option should specify a valid start method in "
                        f"{methods!r}, but got multiprocessing_context={value!r}"
                    )
                value = multiprocessing.get_context(value)
        self._context = value

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def __len__(self) -> int:
        """Number of batches.

        Raises:
            TypeError: the dataset has no length.
        """
        if not self._iterable:
            return len(self._index_sampler)
        length = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def __iter__(self) -> Any:
        if self.num_workers == 0:
            return _HereIterator(self)
        if self.persistent_workers:
            if self._workers is None or not self._workers.usable:
                self._workers = _Workers(self)
                return _WorkersIterator(self, self._workers)
            return _WorkersIterator(self, self._workers, again=True)
        return _WorkersIterator(self, _Workers(self))


class _HereIterator:
    """Makes each batch when it is asked for."""

    def __init__(self, loader: DataLoader) -> None:
        self._sampler = iter(loader._index_sampler)
        self._length = loader.__len__
        self._base_seed = draw_seed(loader.generator)  # the same draw as with workers, so that orders agree
        self._fetcher = Fetcher(
            loader.dataset, loader._iterable, loader._auto_collation, loader.collate_fn, loader.drop_last
        )

    def __iter__(self) -> _HereIterator:
        return self

    def __next__(self) -> Any:
        return self._fetcher.fetch(next(self._sampler))

    def __len__(self) -> int:
        return self._length()


class _Workers:
    """The worker processes of a loader, and the pipes to them."""

    def __init__(self, loader: DataLoader) -> None:
        import multiprocessing
        import os

        from flambeau.utils.data import shared

        context = loader.multiprocessing_context or multiprocessing.get_context()
        forked = context.get_start_method() == "fork"
        self.base_seed = draw_seed(loader.generator)
        self.folders = shared.make_folders()
        self.processes: list[Any] = []
        self.tasks: list[Any] = []
        self.results: list[Any] = []
        self.generation = 0
        self.grace = [5.0]  # seconds that workers get to finish what they are at
        self._finish = weakref.finalize(
            self, _shut_down, self.processes, self.tasks, self.results, self.folders, self.grace
        )
        try:
            for number in range(loader.num_workers):
                task_out, task_in = context.Pipe(duplex=False)
                result_out, result_in = context.Pipe(duplex=False)
                ends = (task_in, result_out)
                parent_ends.update(ends)
                process = context.Process(
                    target=run,
                    daemon=True,
                    name=f"DataLoader worker {number}",
                    args=(
                        number,
                        loader.num_workers,
                        task_out,
                        result_in,
                        self.folders,
                        loader.dataset,
                        loader._iterable,
                        loader._auto_collation,
                        loader.collate_fn,
                        loader.drop_last,
                        self.base_seed,
                        loader.worker_init_fn,
                        os.getpid(),
                        forked,
                    ),
                )
                self.tasks.append(task_in)
                self.results.append(result_out)
                process.start()
                self.processes.append(process)
                task_out.close()
                result_in.close()
        except BaseException:
            self._finish()
            raise

    @property
    def usable(self) -> bool:
        return self._finish.alive and all(process.is_alive() for process in self.processes)

    def close(self, grace: float = 5.0) -> None:
        self.grace[0] = grace
        self._finish()


def _shut_down(
    processes: list[Any], tasks: list[Any], results: list[Any], folders: list[str], grace: list[float]
) -> None:
    """Ends the workers: politely, then by force; then their files go."""
    from flambeau.utils.data import shared

    for end in tasks:
        try:
            end.send(None)
        except (OSError, ValueError):
            pass
    for end in (*tasks, *results):
        parent_ends.discard(end)
        end.close()
    deadline = time.monotonic() + grace[0]
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in processes:
        if process.is_alive():
            process.terminate()
            process.join(1.0)
        if process.is_alive():
            process.kill()
            process.join()
    shared.remove_folders(folders)


class _WorkersIterator:
    """One pass over the batches that the workers make.

    Task i goes to worker i modulo the number of workers (those whose stream has ended are left out); each
    worker answers in order, and answers that come early wait for their turn.
    """

    def __init__(self, loader: DataLoader, workers: _Workers, again: bool = False) -> None:
        self._loader, self._workers = loader, workers
        self._sampler = iter(loader._index_sampler)
        self._persistent, self._timeout, self._in_order = loader.persistent_workers, loader.timeout, loader.in_order
        self._ended = False
        workers.generation += 1  # answers of an abandoned pass carry an older number
        self._generation = workers.generation
        count = loader.num_workers
        self._active = [True] * count
        self._turn = 0
        self._sent = self._next = 0
        self._owner: dict[int, int] = {}  # task -> worker, for tasks that were not given out yet
        self._ready: dict[int, Any] = {}
        self._arrived: deque[int] = deque()
        if again:
            for end in workers.tasks:
                end.send((self._generation, None, None))
        for _ in range(count * (loader.prefetch_factor or 0)):
            self._send_task()

    def __iter__(self) -> _WorkersIterator:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def _send_task(self) -> None:
        count = len(self._active)
        for step in range(count):
            worker = (self._turn + step) % count
            if self._active[worker]:
                break
        else:
            return
        try:
            indices = next(self._sampler)
        except StopIteration:
            return
        self._turn = worker + 1
        self._owner[self._sent] = worker
        try:
            self._workers.tasks[worker].send((self._generation, self._sent, indices))
        except (BrokenPipeError, OSError):
            self._fail(worker)
        self._sent += 1

    def __next__(self) -> Any:
        try:
            while not self._ended:
                if not self._owner:
                    break
                number = self._take()
                worker = self._owner.pop(number)
                answer = self._ready.pop(number)
                if isinstance(answer, StreamEnded):
                    self._active[worker] = False
                    self._send_task()
                    continue
                self._send_task()
                if isinstance(answer, WorkerError):
                    if not self._persistent:
                        self._close()
                    answer.reraise()
                from flambeau.utils.data import shared

                return shared.receive(answer)
        except (KeyboardInterrupt, RuntimeError):
            self._close(grace=0.5)
            raise
        self._ended = True
        if not self._persistent:
            self._close()
        raise StopIteration

    def _close(self, grace: float = 5.0) -> None:
        self._ended = True
        self._workers.close(grace)

    def _take(self) -> int:
        """The number of the answer whose turn it is, once it is here."""
        deadline = time.monotonic() + self._timeout if self._timeout > 0 else None
        while True:
            if not self._in_order:
                while self._arrived:
                    return self._arrived.popleft()
            else:
                while self._next not in self._owner:
                    self._next += 1
                if self._next in self._ready:
                    return self._next
            self._wait(deadline)

    def _wait(self, deadline: float | None) -> None:
        """Takes in what workers have sent; notices those that died at once."""
        from multiprocessing.connection import wait

        workers = self._workers
        if self._generation != workers.generation:
            raise RuntimeError("DataLoader: another pass over the same persistent workers has begun")
        owing = set(self._owner.values())
        ends = {workers.results[worker]: worker for worker in owing}
        sentinels = {workers.processes[worker].sentinel: worker for worker in owing}
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = wait([*ends, *sentinels], left)
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        progress = False
        for end in ready:
            if end in ends:
                progress |= self._read(ends[end])
        if not progress:
            for end in ready:
                worker = sentinels.get(end)
                if worker is not None and not self._read(worker):
                    self._fail(worker)

    def _read(self, worker: int) -> bool:
        """Takes in one answer of a worker, if there is a whole one."""
        from flambeau.utils.data import shared

        end = self._workers.results[worker]
        try:
            if not end.poll():
                return False
            generation, number, answer = end.recv()
        except (EOFError, OSError):
            self._fail(worker)
        if generation != self._generation:
            if isinstance(answer, tuple):
                shared.discard(answer)
        else:
            self._ready[number] = answer
            self._arrived.append(number)
        return True

    def _fail(self, worker: int) -> None:
        """Raises for a worker that died."""
        import signal

        process = self._workers.processes[worker]
        process.join(1.0)
        code = process.exitcode
        message = f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly"
        if code is not None and code < 0:
            try:
                name = signal.strsignal(-code) or str(-code)
            except ValueError:
                name = str(-code)
            message += f"\nDataLoader worker (pid {process.pid}) is killed by signal: {name}. "
            if -code == signal.SIGKILL:
                message += (
                    "\nhint: the system kills processes when memory runs out; use fewer workers or smaller batches"
                )
        else:
            message += (
                f" with exit code {code}. Details are lost due to multiprocessing. Rerunning with num_workers=0 may "
                "give "
                "better error trace."
            )
        raise RuntimeError(message)
