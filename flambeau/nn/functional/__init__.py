"""``flambeau.nn.functional``: the functions behind the layers, usually imported as ``F``.

Each file is one family; functions that are a primitive as it is need no function around it.
"""

# ruff: noqa: F403
from __future__ import annotations

from . import activation, attention, conv, distance, embedding, interpolation, loss, norm, padding, pooling
from . import dropout as _dropout
from . import recurrent as recurrent
from ._primitives import DIRECT, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_rooms = (activation, attention, conv, distance, _dropout, embedding, interpolation, loss, norm, padding, pooling)
__all__ = sorted([*DIRECT, *(name for room in _rooms for name in room.__all__)])
del _rooms

from .activation import *  # noqa: E402
from .attention import *  # noqa: E402
from .conv import *  # noqa: E402
from .distance import *  # noqa: E402
from .dropout import *  # noqa: E402
from .embedding import *  # type: ignore[no-redef]  # noqa: E402  (the function takes the place of its room)
from .interpolation import *  # noqa: E402
from .loss import *  # noqa: E402
from .norm import *  # noqa: E402
from .padding import *  # noqa: E402
from .pooling import *  # noqa: E402


globals().update((name, resolve(name)) for name in DIRECT)
if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the names above
