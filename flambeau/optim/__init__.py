"""Optimizers and learning rate schedules."""

from flambeau.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam, SparseAdam
from flambeau.optim.adaptive import ASGD, Adadelta, Adafactor, Adagrad, RMSprop, Rprop
from flambeau.optim.lbfgs import LBFGS
from flambeau.optim.optimizer import Optimizer
from flambeau.optim.sgd import SGD, Muon

__all__ = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
]


def __getattr__(name: str) -> object:
    if name in ("lr_scheduler", "swa_utils"):  # on first use: schedules are not needed by every program
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
