"""``DataParallel`` for programs that use it: on one device it is the module itself."""

from __future__ import annotations

from .modules.module import Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Calls its module on the one device there is; the parameters are those of ``module``.

    Args:
        module: what is called.
        device_ids: at most one device.
        output_device, dim: accepted for PyTorch's sake.

    Raises:
        RuntimeError: for several devices, over which work is not spread.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.dim = dim
        self.device_ids = list(device_ids) if device_ids is not None else []
        self.output_device = output_device
        if len(self.device_ids) > 1:
            raise RuntimeError(
                "DataParallel over several devices is not supported\n"
                f"DataParallel: expected at most one device; got {self.device_ids}\n"
                "hint: use one process per device"
            )

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0,
    module_kwargs: Any = None,
) -> Any:
    """``DataParallel`` as a function."""
    if not isinstance(inputs, tuple):
        inputs = (inputs,) if inputs is not None else ()
    return DataParallel(module, device_ids, output_device, dim)(*inputs, **(module_kwargs or {}))
