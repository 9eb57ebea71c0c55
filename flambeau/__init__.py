"""Flambeau: PyTorch's API in one small, fast package. `import flambeau as torch` runs PyTorch programs.

What is imported here: the core, the tensor functions, autograd, nn and optim. Everything else loads at its first use.
"""

from __future__ import annotations

import sys as _sys
import types as _types
from math import e, inf, nan, pi  # noqa: F401  constants of the package
from typing import TYPE_CHECKING, Any

try:
    from . import _C
except ImportError:
    import os as _os
    from importlib.machinery import EXTENSION_SUFFIXES as _suffixes

    if any(_os.path.exists(_os.path.join(folder, "_C" + suffix)) for folder in __path__ for suffix in _suffixes):
        raise
    raise ImportError(
        f"The core of flambeau is not built for Python {_sys.version_info.major}.{_sys.version_info.minor}\n"
        f"import: expected _C{_suffixes[0]} in {__path__[0]}; it is not there\n"
        "hint: in a checkout, `make build` puts it there; an installed flambeau is found from any other folder"
    ) from None
from ._version import __version__

for _name in dir(_C):
    if isinstance(getattr(_C, _name), _C.dtype):
        globals()[_name] = getattr(_C, _name)
half, float, double, short, int, long = _C.float16, _C.float32, _C.float64, _C.int16, _C.int32, _C.int64
cfloat, cdouble = _C.complex64, _C.complex128
newaxis = None
from ._C import (  # noqa: E402
    Generator, Size, Tensor, can_cast, default_generator, dtype, from_numpy, get_default_dtype, get_num_threads,
    is_anomaly_enabled, is_grad_enabled, is_inference_mode_enabled, promote_types, result_type, set_default_dtype,
    set_num_threads,
)  # fmt: skip
from ._device import (  # noqa: E402
    channels_last, channels_last_3d, contiguous_format, device, finfo, iinfo, layout, legacy_contiguous_format,
    memory_format, preserve_format, sparse_bsc, sparse_bsr, sparse_coo, sparse_csc, sparse_csr, strided,
)  # fmt: skip


def _namespace(name: str, doc: str) -> _types.ModuleType:
    """A module that rows and composites fill: torch.special and its like."""
    module = _types.ModuleType(f"{__name__}.{name}", doc)
    _sys.modules[module.__name__] = module
    return module


special = _namespace("special", "Special functions.")
linalg = _namespace("linalg", "Linear algebra.")
signal = _namespace("signal", "Signal processing.")
signal.windows = _namespace("signal.windows", "Window functions.")
masked = _namespace("masked", "Reductions under masks.")

from ._functions import *  # noqa: E402, F403
from ._functions import install as _install  # noqa: E402

_install(_sys.modules[__name__])

from . import autograd, nn, optim  # noqa: E402
from .autograd.mode import enable_grad, inference_mode, no_grad, set_grad_enabled  # noqa: E402
from .nn import functional as _functional  # noqa: E402

_C.set_parameter_type(nn.Parameter)
from . import _tensor as _tensor_module  # noqa: E402

_tensor_module.Parameter = nn.Parameter
from ._layers import install as _install_layers  # noqa: E402

_install_layers(_sys.modules[__name__], Tensor)
from ._typed import *  # noqa: E402, F403

from ._tensor import TypedStorage, UntypedStorage  # noqa: E402
from .amp import GradScaler, autocast  # noqa: E402
from .amp.autocast_mode import get_autocast_dtype, set_autocast_dtype  # noqa: E402
from ._later import install as _install_later  # noqa: E402

_install_later(
    __name__,
    modules=(
        "utils", "serialization", "func", "testing", "random", "distributions", "cuda", "backends", "version", "types",
        "overrides", "multiprocessing", "demo", "return_types", "functional", "cpu", "mps", "xpu", "accelerator",
        "__config__", "storage", "distributed",
    ),
    functions={"save": "serialization", "load": "serialization", "vmap": "func"},
)  # fmt: skip
if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # what rows and composites put here
