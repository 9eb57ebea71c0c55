"""The base of the schedules: counts epochs, writes learning rates into groups, state_dict."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

from flambeau.optim.optimizer import Optimizer, Tensor

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
    "Call `scheduler.step()` after each epoch instead."
)


def copy_of(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def set_option(group: dict[str, Any], name: str, value: Any) -> None:
    """Writes an option; one that is a tensor keeps its identity."""
    current = group.get(name)
    if isinstance(current, Tensor):
        current.fill_(value.item() if isinstance(value, Tensor) else value)
    else:
        group[name] = value


def one_per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A value for each group, from one value or a sequence.

    Raises:
        ValueError: a sequence of another length.
    """
    if isinstance(value, (list, tuple)):
        if len(value) != len(optimizer.param_groups):
            raise ValueError(
                f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
                f"param_groups has {len(optimizer.param_groups)}."
            )
        return list(value)
    return [value] * len(optimizer.param_groups)


class LRScheduler:
    """Base of all schedules.

    A subclass gives `get_lr()`, the learning rates of the groups for `self.last_epoch`; where rates follow from the
    epoch alone it may also give `_get_closed_form_lr()`, used when `step` is told an epoch. Schedules that work on the
    rate found in the group, not on `base_lrs`, can be chained: several of them on one optimizer multiply.

    Args:
        optimizer: whose groups are written.
        last_epoch: the epoch to resume after; -1 starts, and remembers the groups' rates as `initial_lr`.

    Raises:
        TypeError: not an optimizer.
        KeyError: resuming, and a group lacks `initial_lr`.
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copy_of(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming scheduler with "
                    "last_epoch >= 0.\nThis typically happens when: 1. the optimizer is new and its state_dict was not "
                    "loaded; 2. last_epoch is given by mistake in a fresh run."
                )
        self.base_lrs = [copy_of(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    # what a schedule says

    def get_lr(self) -> list[Any]:
        """Learning rates of the groups for `last_epoch`."""
        raise NotImplementedError

    def get_last_lr(self) -> list[Any]:
        """Learning rates of the groups as the last step left them."""
        return self._last_lr

    def _lrs(self) -> list[Any]:
        return [group["lr"] for group in self.optimizer.param_groups]

    # the step

    def step(self, epoch: int | None = None) -> None:
        """Moves on by one epoch, to be called after `optimizer.step()`. `epoch` is deprecated."""
        if not self._is_initial and self._step_count == 1 and not getattr(self.optimizer, "_opt_called", True):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order: "
                "`optimizer.step()` before `lr_scheduler.step()`; or the first value of the schedule is skipped.",
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, stacklevel=2)
        self._update_lr(epoch)

    @contextmanager
    def _stepping(self) -> Any:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.", stacklevel=3
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._stepping():
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed = getattr(self, "_get_closed_form_lr", None)
                values = closed() if closed is not None else self.get_lr()
        self._write(values)

    def _write(self, values: Sequence[Any]) -> None:
        for group, value in zip(self.optimizer.param_groups, values):
            set_option(group, "lr", value)
        self._last_lr = [copy_of(lr) for lr in self._lrs()]

    # files

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where the schedule stood that gave `state_dict`."""
        self.__dict__.update(state_dict)


class _LRScheduler(LRScheduler):
    """The name of LRScheduler in old programs."""
