"""Flambeau: PyTorch's API in one small, fast package. `import flambeau as torch` runs PyTorch programs.

What is imported here: the core, the tensor functions, autograd, nn and optim. Everything else loads at its first use.
"""

from __future__ import annotations

import sys as _sys
import types as _types
from math import e, inf, nan, pi  # noqa: F401  constants of the package
from typing import Any

from . import _C
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

_LATER = {
    "utils": None, "serialization": None, "func": None, "testing": None, "random": None, "fft": None, "distributions": None,
    "cuda": None, "backends": None, "jit": None, "amp": None, "version": None, "types": None, "overrides": None,
    "multiprocessing": None, "demo": None, "return_types": None, "functional": None, "cpu": None, "mps": None, "xpu": None,
    "accelerator": None, "__config__": None, "storage": None, "distributed": None,
    "save": "serialization", "load": "serialization", "vmap": "func", "autocast": "amp", "GradScaler": "amp",
    "get_autocast_dtype": "amp.autocast_mode", "set_autocast_dtype": "amp.autocast_mode",
    "UntypedStorage": "storage", "TypedStorage": "storage",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LATER:
        owner = _LATER[name]
        try:
            module = importlib.import_module(f"{__name__}.{owner or name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{owner or name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        value = getattr(module, name) if owner else module
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
