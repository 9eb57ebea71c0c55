"""Averages of a model's weights over training: SWA (Izmailov et al., 2018) and exponential moving averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import flambeau
from flambeau.nn import Module
from flambeau.optim.lr_scheduler.base import LRScheduler, one_per_group
from flambeau.optim.optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """A function of (average, value, number averaged so far) that gives `decay * average + (1 - decay) * value`."""
    _check_decay(decay)

    def average(averaged: Any, value: Any, count: Any) -> Any:
        return averaged.lerp(value.to(averaged.dtype), 1 - decay)

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """The same over two lists, in place."""
    one = get_ema_avg_fn(decay)
    return lambda averages, values, count: _each(one, averages, values, count)


def get_swa_avg_fn() -> Callable:
    """A function of (average, value, number averaged so far) that gives the equal mean of all values."""

    def average(averaged: Any, value: Any, count: Any) -> Any:
        return averaged + (value - averaged) / (count + 1)

    return average


def get_swa_multi_avg_fn() -> Callable:
    """The same over two lists, in place."""
    one = get_swa_avg_fn()
    return lambda averages, values, count: _each(one, averages, values, count)


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _each(one: Callable, averages: Iterable[Any], values: Iterable[Any], count: Any) -> None:
    for averaged, value in zip(averages, values):
        averaged.copy_(one(averaged, value, count))


class AveragedModel(Module):
    """A copy of a model whose parameters are the average of those that `update_parameters` was shown.

    Args:
        model: the model to copy.
        device: where the copy lies.
        avg_fn: function of (average, value, number averaged so far); default: the equal mean.
        multi_avg_fn: the same over two lists, in place; only one of the two.
        use_buffers: average buffers too; otherwise they are copied.
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable | None = None,
        multi_avg_fn: Callable | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", flambeau.tensor(0, dtype=flambeau.long))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the parameters of `model` into the average."""
        pairs = [
            (own.detach(), new.detach().to(own.device))
            for own, new in zip(self._averaged(self.module), self._averaged(model))
        ]
        count = self.n_averaged.item()
        if count == 0:
            for own, new in pairs:
                own.copy_(new)
        else:
            floating = [pair for pair in pairs if pair[0].is_floating_point() or pair[0].is_complex()]
            for own, new in pairs:
                if not (own.is_floating_point() or own.is_complex()):
                    own.copy_(new)
            if self.multi_avg_fn is not None:
                self.multi_avg_fn([own for own, _ in floating], [new for _, new in floating], count)
            else:
                _each(
                    self.avg_fn or get_swa_avg_fn(), [own for own, _ in floating], [new for _, new in floating], count
                )
        if not self.use_buffers:
            for own, new in zip(self.module.buffers(), model.buffers()):
                own.detach().copy_(new.detach().to(own.device))
        self.n_averaged += 1

    def _averaged(self, model: Module) -> list[Any]:
        return [*model.parameters(), *(model.buffers() if self.use_buffers else ())]


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Computes the running statistics of batch normalisation anew, by one pass over `loader`.

    Args:
        loader: batches; of a tuple or list, the first member is the model's input.
    """
    norms = {
        m: m.momentum
        for m in model.modules()
        if hasattr(m, "running_mean") and hasattr(m, "momentum") and m.running_mean is not None
    }
    if not norms:
        return
    training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the equal mean over batches
    try:
        with flambeau.no_grad():
            for batch in loader:
                if isinstance(batch, (list, tuple)):
                    batch = batch[0]
                model(batch.to(device) if device is not None else batch)
    finally:
        for norm, momentum in norms.items():
            norm.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """Moves the rate of each group to `swa_lr` within `anneal_epochs` epochs, along "cos" or "linear", and stays there.

    Raises:
        ValueError: an unknown strategy, or anneal_epochs that is not an integer of at least 0.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for lr, group in zip(one_per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must by one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, epoch: int) -> float:
        """How much of the way is gone after so many epochs."""
        t = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        epoch = self._step_count - 1
        if self.anneal_epochs == 0:
            epoch = max(1, epoch)
        before, now = self._share(epoch - 1), self._share(epoch)
        values = []
        for group in self.optimizer.param_groups:
            target = group["swa_lr"]
            start = target if before == 1 else (group["lr"] - before * target) / (1 - before)
            values.append(target * now + start * (1 - now))
        return values
