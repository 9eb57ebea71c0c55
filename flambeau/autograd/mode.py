"""Switches of recording, as context managers and decorators: no_grad, enable_grad, inference_mode, anomaly detection."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import _C


class _Switch:
    """A context manager that also decorates functions and generator functions."""

    def __new__(cls, function: Any = None, *args: Any, **options: Any) -> Any:
        self = object.__new__(cls)
        if callable(function) and not isinstance(function, bool):  # @no_grad without parentheses
            self.__init__()
            return self(function)
        return self

    def __call__(self, function: Callable) -> Callable:
        import inspect

        if inspect.isclass(function):
            function.__init__ = self(function.__init__)  # type: ignore[method-assign]
            return function
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                source = function(*args, **kwargs)
                sent: Any = None
                while True:
                    with self.clone():
                        try:
                            item = source.send(sent)
                        except StopIteration as stop:
                            return stop.value
                    sent = yield item

            return generator

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return decorated

    def clone(self) -> Any:
        return type(self)()


class no_grad(_Switch):
    """Nothing inside is recorded.

    >>> import flambeau as torch
    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __enter__(self) -> None:
        self.before = _C.set_grad_enabled(False)

    def __exit__(self, *error: Any) -> None:
        _C.set_grad_enabled(self.before)


class enable_grad(_Switch):
    """Operations inside are recorded, even within no_grad."""

    def __enter__(self) -> None:
        self.before = _C.set_grad_enabled(True)

    def __exit__(self, *error: Any) -> None:
        _C.set_grad_enabled(self.before)


class set_grad_enabled(_Switch):
    """Switches recording at once; as a context manager, until its end."""

    def __new__(cls, mode: bool) -> Any:
        return object.__new__(cls)

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.before = _C.set_grad_enabled(self.mode)

    def __call__(self, function: Callable) -> Callable:
        _C.set_grad_enabled(self.before)
        return super().__call__(function)

    def __enter__(self) -> None:
        _C.set_grad_enabled(self.mode)

    def __exit__(self, *error: Any) -> None:
        _C.set_grad_enabled(self.before)

    def clone(self) -> Any:
        return type(self)(self.mode)


class inference_mode(_Switch):
    """Like no_grad; tensors made inside can never take part in recording later."""

    def __init__(self, mode: bool = True) -> None:
        self.mode = bool(mode)

    def __enter__(self) -> None:
        self.before = _C.set_inference_mode(self.mode), _C.set_grad_enabled(not self.mode and _C.is_grad_enabled())

    def __exit__(self, *error: Any) -> None:
        _C.set_inference_mode(self.before[0])
        _C.set_grad_enabled(self.before[1])

    def clone(self) -> Any:
        return type(self)(self.mode)


class detect_anomaly:
    """Backward stops at the first nan and shows where in the program its operation was called."""

    def __init__(self, check_nan: bool = True) -> None:
        pass

    def __enter__(self) -> None:
        self.before = _C.set_anomaly(True)

    def __exit__(self, *error: Any) -> None:
        _C.set_anomaly(self.before)


class set_detect_anomaly:
    """Switches anomaly detection at once; as a context manager, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = _C.set_anomaly(bool(mode))

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: Any) -> None:
        _C.set_anomaly(self.before)
