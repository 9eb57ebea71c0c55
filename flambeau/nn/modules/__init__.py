"""The layers, one family a file."""

# ruff: noqa: F403
from __future__ import annotations

from . import (
    activation,
    adaptive,
    attention,
    batchnorm,
    container,
    conv,
    distance,
    dropout,
    flatten,
    linear,
    loss,
    normalization,
    padding,
    pooling,
    rnn,
    sparse,
    transformer,
    upsampling,
)
from .activation import *
from .adaptive import *
from .attention import *
from .batchnorm import *
from .container import *
from .conv import *
from .distance import *
from .dropout import *
from .flatten import *
from .linear import *
from .loss import *
from .module import Module as Module
from .normalization import *
from .padding import *
from .pooling import *
from .rnn import *
from .sparse import *
from .transformer import *
from .upsampling import *

_families = (
    activation, adaptive, attention, batchnorm, container, conv, distance, dropout, flatten, linear, loss,
    normalization, padding, pooling, rnn, sparse, transformer, upsampling,
)
__all__ = sorted(["Module", *(name for family in _families for name in family.__all__)])
del _families
