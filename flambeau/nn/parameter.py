"""Tensors that modules own: parameters, buffers, and both of them before their shape is known."""

from __future__ import annotations

import flambeau
from flambeau._C import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "UninitializedTensorMixin", "is_lazy",
]


class _ParameterMeta(type(Tensor)):
    """Lets a tensor subclass that was wrapped by ``Parameter`` count as an instance of it."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that registers itself with the module it is assigned to.

    Args:
        data: the values; an empty tensor by default. They are shared, not copied.
        requires_grad: whether gradients are collected for it.

    >>> import flambeau as torch
    >>> layer = torch.nn.Module()
    >>> layer.scale = torch.nn.Parameter(torch.ones(3))
    >>> [name for name, _ in layer.named_parameters()]
    ['scale']
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = flambeau.empty(0)
        kind = type(data)
        if kind is Tensor or kind is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        result = data.detach().requires_grad_(requires_grad)
        if type(result) is not kind:
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {kind.__name__} requires that detach() returns an "
                f"instance of the same type, but it returned {type(result).__name__}."
            )
        result._is_param = True
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        key = id(self)
        if key not in memo:
            memo[key] = type(self)(self.data.clone(memory_format=flambeau.preserve_format), self.requires_grad)
        return memo[key]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        attributes = {key: value for key, value in self.__dict__.items() if key != "_is_param"}
        return _rebuild_parameter, (type(self), self.data, self.requires_grad, attributes)

    __torch_function__ = flambeau._C._disabled_torch_function_impl


def _rebuild_parameter(cls: type, data: Tensor, requires_grad: bool, attributes: dict[str, Any]) -> Parameter:
    """What pickle calls to make a parameter again."""
    result = cls(data, requires_grad)
    result.__dict__.update(attributes)
    return result


class _BufferMeta(type(Tensor)):
    """A buffer is known by a mark on the tensor, so that any tensor type can be one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that becomes a buffer of the module it is assigned to: state that is not trained.

    Args:
        data: the values; an empty tensor by default.
        persistent: whether the buffer belongs to the module's ``state_dict``.
    """

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Tensor:
        if data is None:
            data = flambeau.empty(0)
        result = data.detach().requires_grad_(data.requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result

    __torch_function__ = flambeau._C._disabled_torch_function_impl


class UninitializedTensorMixin:
    """What lazy parameters and buffers have in common: a device, a dtype, and no shape yet."""

    _allowed_methods = (
        "__hash__", "size", "copy_", "is_complex", "is_floating_point", "half", "float", "double", "char", "short",
        "int", "long", "cuda", "cpu", "to", "get_device", "_has_compatible_shallow_copy_type", "_is_view",
        "requires_grad_", "bfloat16", "cast", "type", "share_memory_", "numel",
    )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Gives the tensor its shape; from here on it is an ordinary parameter or buffer. Values are unset."""
        data = self.data
        self.data = flambeau.empty(shape, device=device or data.device, dtype=dtype or data.dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` "
            "to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        data = self.data
        return _rebuild_uninitialized, (type(self), self.requires_grad, data.device, data.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        key = id(self)
        if key not in memo:
            data = self.data
            kind: Any = type(self)  # one of the two classes below, which take these arguments
            memo[key] = kind(self.requires_grad, data.device, data.dtype)
        return memo[key]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in cls._allowed_methods or name in ("__get__", "__set__", "__delete__"):
            return super().__torch_function__(func, types, args, kwargs or {})
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {func}. This error happens when you are using a "
            f"`LazyModule` or explicitly manipulating `torch.nn.parameter.{cls.__name__}` objects. When using "
            "LazyModules Call `forward` with a dummy batch to initialize the parameters before calling torch functions"
        )


def _rebuild_uninitialized(cls: type, requires_grad: bool, device: Any, dtype: Any) -> Any:
    """What pickle calls to make a lazy parameter again."""
    return cls(requires_grad, device=device, dtype=dtype)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first call of its module will tell; see the lazy modules.

    >>> import flambeau as torch
    >>> weight = torch.nn.UninitializedParameter()
    >>> weight.materialize((2, 3))
    >>> weight.shape
    torch.Size([2, 3])
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> UninitializedParameter:
        data = flambeau.empty(0, device=device, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape the first call of its module will tell; see the lazy modules."""

    cls_to_become = Tensor

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> UninitializedBuffer:
        data = flambeau.empty(0, device=device, dtype=dtype)
        result = Tensor._make_subclass(cls, data, requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result


def is_lazy(param: Any) -> bool:
    """Whether ``param`` is a parameter or a buffer that has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)
