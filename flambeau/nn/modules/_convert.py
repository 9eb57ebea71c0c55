"""Moving modules between devices and element types, and the switches that go through a whole tree."""

from __future__ import annotations

import flambeau

from ..parameter import Parameter, UninitializedTensorMixin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """The forms of ``to``: ``(device, dtype)``, ``(dtype)``, ``(tensor)``, each with ``non_blocking``."""
    kwargs = dict(kwargs)
    memory_format = kwargs.pop("memory_format", None)
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    non_blocking = kwargs.pop("non_blocking", False)
    other = kwargs.pop("tensor", kwargs.pop("other", None))
    kwargs.pop("copy", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    rest = list(args)
    if rest and isinstance(rest[0], flambeau.Tensor):
        other = rest.pop(0)
    elif rest and isinstance(rest[0], flambeau.dtype):
        dtype = rest.pop(0)
    elif rest and (rest[0] is None or isinstance(rest[0], (str, int, flambeau.device))):
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], flambeau.dtype)):
            dtype = rest.pop(0)
    if rest and isinstance(rest[0], bool):
        non_blocking = rest.pop(0)
    if rest and isinstance(rest[0], bool):  # copy: parameters are converted only where they have to be
        rest.pop(0)
    if rest:
        raise TypeError(
            f"to() received an invalid combination of arguments - got ({', '.join(type(a).__name__ for a in args)})"
        )
    if other is not None:
        device, dtype = other.device, other.dtype
    if device is not None and not isinstance(device, flambeau.device):
        device = flambeau.device(device)
    return device, dtype, non_blocking, memory_format


class ModuleConversion:
    """The part of ``Module`` that converts its tensors and sets modes."""

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Any:
        """Replaces every parameter, gradient and buffer by ``fn`` of it; parameters keep their identity."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for name, parameter in self._parameters.items():
            if parameter is None:
                continue
            # Parameters are leaves that optimizers hold on to: the values are exchanged, not the object.
            with flambeau.no_grad():
                applied = fn(parameter)
            gradient = parameter.grad
            if _can_exchange(parameter, applied):
                parameter.data = applied
                kept = parameter
            else:
                kept = Parameter(applied, parameter.requires_grad)
                self._parameters[name] = kept
            if gradient is not None:
                with flambeau.no_grad():
                    applied = fn(gradient)
                if kept is parameter and _can_exchange(gradient, applied):
                    gradient.data = applied
                else:
                    kept.grad = applied.requires_grad_(gradient.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn: Callable[[Any], None]) -> Any:
        """Calls ``fn`` with every module below, then with the module itself; often used to set initial values."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Moves the tensors to a device, or changes the type of those that are floating point or complex.

        Called as ``to(device)``, ``to(dtype)``, ``to(device, dtype)``, ``to(tensor)`` or
        ``to(memory_format=...)``. Changes the module in place and returns it.

        Raises:
            TypeError: if ``dtype`` is neither floating point nor complex.

        >>> import flambeau as torch
        >>> torch.nn.Linear(2, 2).to(torch.float64).weight.dtype
        torch.float64
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )

        def convert(tensor: Any) -> Any:
            wanted: dict[str, Any] = {}
            if device is not None:
                wanted["device"] = device
            if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
                wanted["dtype"] = dtype
            if memory_format is not None and tensor.dim() in (4, 5):
                wanted["memory_format"] = memory_format
            return tensor.to(**wanted, non_blocking=non_blocking) if wanted else tensor

        return self._apply(convert)

    def _cast_floats(self, dtype: Any) -> Any:
        return self._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def type(self, dst_type: Any) -> Any:
        """Converts every parameter and buffer, whatever its type, to ``dst_type``."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self) -> Any:
        """Converts floating point parameters and buffers to float32."""
        return self._cast_floats(flambeau.float32)

    def double(self) -> Any:
        """Converts floating point parameters and buffers to float64."""
        return self._cast_floats(flambeau.float64)

    def half(self) -> Any:
        """Converts floating point parameters and buffers to float16."""
        return self._cast_floats(flambeau.float16)

    def bfloat16(self) -> Any:
        """Converts floating point parameters and buffers to bfloat16."""
        return self._cast_floats(flambeau.bfloat16)

    def cpu(self) -> Any:
        """Moves every parameter and buffer to main memory."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device: Any = None) -> Any:
        """Moves every parameter and buffer to a GPU, the current one by default."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def _to_kind(self, kind: str, device: Any) -> Any:
        target = flambeau.device(kind) if device is None else flambeau.device(kind, device)
        return self._apply(lambda tensor: tensor.to(target))

    def xpu(self, device: Any = None) -> Any:
        """Moves every parameter and buffer to an XPU."""
        return self._to_kind("xpu", device)

    def ipu(self, device: Any = None) -> Any:
        """Moves every parameter and buffer to an IPU."""
        return self._to_kind("ipu", device)

    def mtia(self, device: Any = None) -> Any:
        """Moves every parameter and buffer to an MTIA device."""
        return self._to_kind("mtia", device)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Any:
        """Gives every parameter and buffer new memory on ``device`` without copying the values."""
        return self._apply(lambda tensor: flambeau.empty_like(tensor, device=device), recurse=recurse)

    def share_memory(self) -> Any:
        """Moves the tensors into memory that other processes can share."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def train(self, mode: bool = True) -> Any:
        """Sets training mode, here and below: it matters to dropout, batch normalisation and the like.

        Raises:
            ValueError: if ``mode`` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Any:
        """Sets evaluation mode; the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Says for all parameters whether gradients are collected; ``False`` freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, or with ``set_to_none=False`` fills them with zeros."""
        if getattr(self, "_is_replica", False):
            import warnings

            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no effect: the parameters are "
                "copies of those of the original module.", stacklevel=2,
            )
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
                continue
            if gradient.grad_fn is not None:
                gradient.detach_()
            else:
                gradient.requires_grad_(False)
            gradient.zero_()


def _can_exchange(old: Any, new: Any) -> bool:
    """Whether assigning ``.data`` works: a tensor without memory and one with memory are of different kinds."""
    if isinstance(old, UninitializedTensorMixin):
        return True
    return old.is_meta == new.is_meta
