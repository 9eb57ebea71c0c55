"""Python's multiprocessing, whose names are all here. Tensors are sent by value; those of `share_memory_()` stay shared
with forked processes.
"""

from __future__ import annotations

from multiprocessing import *  # noqa: F403
from multiprocessing import Process, get_context
from typing import Any


def get_sharing_strategy() -> str:
    """How shared memory is found by other processes: by being mapped before they are forked."""
    return "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """The ways there are."""
    return {"file_descriptor"}


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepts the only way there is."""
    if new_strategy not in get_all_sharing_strategies():
        raise ValueError(f"set_sharing_strategy: expected one of {get_all_sharing_strategies()}; got {new_strategy!r}")


def spawn(fn: Any, args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False, start_method: str = "spawn") -> Any:
    """Runs fn(rank, *args) in `nprocs` new processes; raises if one of them fails."""
    context = get_context(start_method)
    processes: list[Process] = [context.Process(target=fn, args=(rank, *args), daemon=daemon) for rank in range(nprocs)]  # type: ignore[attr-defined]
    for process in processes:
        process.start()
    if not join:
        return processes
    for process in processes:
        process.join()
    for rank, process in enumerate(processes):
        if process.exitcode:
            raise RuntimeError(f"process {rank} terminated with exit code {process.exitcode}")
    return None
