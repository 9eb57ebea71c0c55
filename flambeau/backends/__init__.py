"""What computes behind the operations, and switches that programs set. Most are for accelerators that this build lacks:
what is assigned is kept and has no effect on the CPU."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Generator
from typing import Any


def _backend(name: str, doc: str, available: bool, **settings: Any) -> Any:
    module = types.ModuleType(f"{__name__}.{name}", doc)
    module.is_available = lambda: available  # type: ignore[attr-defined]
    module.is_built = lambda: available  # type: ignore[attr-defined]
    module.__dict__.update(settings)
    sys.modules[module.__name__] = module
    return module


def _flags_of(module: Any) -> Any:
    @contextlib.contextmanager
    def flags(**changes: Any) -> Generator[None, None, None]:
        """Settings that hold inside a `with`."""
        before = {name: getattr(module, name) for name in changes if hasattr(module, name)}
        module.__dict__.update({name: changes[name] for name in before})
        try:
            yield
        finally:
            module.__dict__.update(before)

    return flags


cudnn = _backend(
    "cudnn", "NVIDIA's layers for GPUs.", False, enabled=True, benchmark=False, deterministic=False, allow_tf32=True,
    benchmark_limit=10, version=lambda: None, is_acceptable=lambda tensor: False,
)  # fmt: skip
cudnn.flags = _flags_of(cudnn)
cuda = _backend(
    "cuda", "Switches of CUDA.", False,
    matmul=types.SimpleNamespace(
        allow_tf32=False, allow_fp16_reduced_precision_reduction=True, allow_bf16_reduced_precision_reduction=True, fp32_precision="none"
    ),
)  # fmt: skip


def _switch(name: str, on: bool) -> None:
    state = {"on": on}

    def enabled() -> bool:
        return state["on"]

    def enable(enabled: bool) -> None:
        state["on"] = bool(enabled)

    setattr(cuda, f"{name}_sdp_enabled", enabled)
    setattr(cuda, f"enable_{name}_sdp", enable)


for _kind in ("flash", "mem_efficient", "math", "cudnn"):
    _switch(_kind, True)
mps = _backend("mps", "Apple's GPUs.", False)
mkl = _backend("mkl", "Intel's mathematics library.", False)
mkldnn = _backend("mkldnn", "Intel's layers.", False, enabled=True, deterministic=False, allow_tf32=True)
mkldnn.flags = _flags_of(mkldnn)
openmp = _backend("openmp", "Threads by OpenMP: the pool here is its own.", False)
opt_einsum = _backend("opt_einsum", "Orders of contraction in einsum.", False, enabled=False, strategy=None)
xnnpack = _backend("xnnpack", "Kernels for mobile processors.", False, enabled=False)


def _capability() -> str:
    from flambeau import _C

    found = _C.info()
    return "AVX512" if found["avx512"] else "AVX2" if found["avx2"] else "DEFAULT"


cpu = _backend("cpu", "The processor.", True, get_cpu_capability=_capability)

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum", "xnnpack"]
