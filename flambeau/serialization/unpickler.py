"""A pickle reader that can only build data.

It interprets the opcodes itself, so that a file decides nothing but values: names are looked up in a table, calls go to
the few functions of that table, and attributes are set on plain containers and on types that the user allowed.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

_MARK = object()


def _encode(text: str, encoding: str) -> bytes:
    """bytes, as pickles of protocol 2 spell them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise UnpicklingError("_codecs.encode is only allowed for latin1")
    return text.encode("latin1")


def _bytearray(*args: Any) -> bytearray:
    if args and not isinstance(args[0], (bytes, bytearray, str, list)):
        raise UnpicklingError("bytearray is only allowed from data")
    return bytearray(*args)


PLAIN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): Counter,
    ("_codecs", "encode"): _encode,
}
for _module in ("builtins", "__builtin__"):
    PLAIN.update(
        {
            (_module, "set"): set,
            (_module, "frozenset"): frozenset,
            (_module, "complex"): complex,
            (_module, "bytearray"): _bytearray,
        }
    )


class SafeUnpickler:
    """Reads one pickle (protocols 2 to 5, as far as data needs them).

    Args:
        data: bytes to read from; `position` tells where the pickle ended.
        find: gives the object for (module, name), or None where that is not allowed.
        persistent_load: gives the object for a persistent id.
        callables: objects of `find` that may be called; others are data.
        own: types that the user allowed, which may be created and given state.
    """

    def __init__(
        self,
        data: bytes,
        find: Callable[[str, str], Any],
        persistent_load: Callable[[Any], Any],
        callables: Callable[[Any], bool],
        own: Callable[[Any], bool],
        position: int = 0,
    ) -> None:
        self.data, self.position = data, position
        self.find, self.persistent_load, self.callables, self.own = find, persistent_load, callables, own

    def load(self) -> Any:
        """The object.

        Raises:
            EOFError: the data ends early.
            UnpicklingError: something that is not allowed, or not a pickle.
        """
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        try:
            while True:
                code = self._take(1)[0]
                if code == 0x2E:  # STOP
                    return self.stack.pop()
                action = _ACTIONS.get(code)
                if action is None:
                    raise UnpicklingError(f"Unsupported operand {code}")
                action(self)
        except (IndexError, KeyError, struct.error, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, UnpicklingError):
                raise
            raise UnpicklingError(f"not a valid pickle: {type(error).__name__}: {error}") from None

    # reading

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise EOFError("Ran out of input")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def _line(self) -> str:
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise EOFError("Ran out of input")
        piece = self.data[self.position : end]
        self.position = end + 1
        return piece.decode()

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _to_mark(self) -> list[Any]:
        index = len(self.stack) - 1
        while self.stack[index] is not _MARK:
            index -= 1
            if index < 0:
                raise UnpicklingError("not a valid pickle: no mark")
        items = self.stack[index + 1 :]
        del self.stack[index:]
        return items

    # names, calls, state

    def _global(self, module: str, name: str) -> None:
        value = self.find(module, name)
        if value is None:
            raise UnpicklingError(
                f"Unsupported global: GLOBAL {module}.{name} was not an allowed global by default. Please use "
                f"`torch.serialization.add_safe_globals([{module}.{name}])` or the "
                f"`torch.serialization.safe_globals([{module}.{name}])` context manager to allowlist this global if "
                "you "
                "trust this class/function."
            )
        self.stack.append(value)

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise UnpicklingError("not a valid pickle: name of a global")
        self._global(module, name)

    def _reduce(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if not self.callables(function) or not isinstance(args, tuple):
            raise UnpicklingError(f"Trying to call reduce for unrecognized function {function!r}")
        self.stack.append(function(*args))

    def _newobj(self, args: Any = None, kwargs: Any = None) -> None:
        if args is None:
            args = self.stack.pop()
        cls = self.stack.pop()
        if not isinstance(cls, type) or not (self.own(cls) or cls in (OrderedDict, Counter)):
            raise UnpicklingError(f"Trying to create an object of unrecognized class {cls!r}")
        self.stack.append(cls.__new__(cls, *args, **(kwargs or {})))

    def _newobj_ex(self) -> None:
        kwargs, args = self.stack.pop(), self.stack.pop()
        self._newobj(args, kwargs)

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) in (OrderedDict, Counter):
            if not isinstance(state, dict):
                raise UnpicklingError("not a valid pickle: state of a dictionary")
            target.__dict__.update(state)
        elif self.own(type(target)):
            if hasattr(target, "__setstate__"):
                target.__setstate__(state)
                return
            slots = None
            if isinstance(state, tuple) and len(state) == 2:
                state, slots = state
            if state:
                target.__dict__.update(state)
            for name, value in (slots or {}).items():
                setattr(target, name, value)
        else:
            raise UnpicklingError(
                f"Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                f"`add_safe_globals`, but got {type(target)}"
            )

    # containers

    def _container(self, kind: type) -> Any:
        target = self.stack[-1]
        if not isinstance(target, kind):
            raise UnpicklingError(f"Can only add to a {kind.__name__}, but got {type(target)}")
        return target

    def _append(self) -> None:
        item = self.stack.pop()
        list.append(self._container(list), item)

    def _appends(self) -> None:
        items = self._to_mark()
        list.extend(self._container(list), items)

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._container(dict)[key] = value

    def _setitems(self) -> None:
        items = self._to_mark()
        target = self._container(dict)
        for index in range(0, len(items), 2):
            target[items[index]] = items[index + 1]

    def _additems(self) -> None:
        items = self._to_mark()
        set.update(self._container(set), items)

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise UnpicklingError("not a valid pickle: stack is empty")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _long(self, form: str) -> None:
        self.stack.append(int.from_bytes(self._take(self._number(form)), "little", signed=True))

    def _text(self, form: str) -> None:
        self.stack.append(self._take(self._number(form)).decode("utf-8", "surrogatepass"))

    def _protocol(self) -> None:
        version = self._take(1)[0]
        if version > 5:
            raise UnpicklingError(f"Unsupported pickle protocol {version}")


def _push(value: Any) -> Callable[[SafeUnpickler], None]:
    return lambda reader: reader.stack.append(value)


_ACTIONS: dict[int, Callable[[SafeUnpickler], Any]] = {
    ord(code): action
    for code, action in {
        "\x80": SafeUnpickler._protocol,
        "\x95": lambda r: r._take(8),  # FRAME
        "(": _push(_MARK),
        "N": _push(None),
        "\x88": _push(True),
        "\x89": _push(False),
        ")": _push(()),
        "]": lambda r: r.stack.append([]),
        "}": lambda r: r.stack.append({}),
        "\x8f": lambda r: r.stack.append(set()),
        "K": lambda r: r.stack.append(r._take(1)[0]),
        "M": lambda r: r.stack.append(r._number("<H")),
        "J": lambda r: r.stack.append(r._number("<i")),
        "G": lambda r: r.stack.append(r._number(">d")),
        "\x8a": lambda r: r._long("<B"),
        "\x8b": lambda r: r._long("<i"),
        "X": lambda r: r._text("<I"),
        "\x8c": lambda r: r._text("<B"),
        "\x8d": lambda r: r._text("<Q"),
        "U": lambda r: r.stack.append(r._take(r._number("<B")).decode("latin1")),
        "T": lambda r: r.stack.append(r._take(r._number("<i")).decode("latin1")),
        "C": lambda r: r.stack.append(r._take(r._number("<B"))),
        "B": lambda r: r.stack.append(r._take(r._number("<I"))),
        "\x8e": lambda r: r.stack.append(r._take(r._number("<Q"))),
        "\x96": lambda r: r.stack.append(bytearray(r._take(r._number("<Q")))),
        "t": lambda r: r.stack.append(tuple(r._to_mark())),
        "l": lambda r: r.stack.append(r._to_mark()),
        "d": lambda r: r.stack.append(dict(zip(*[iter(r._to_mark())] * 2))),
        "\x91": lambda r: r.stack.append(frozenset(r._to_mark())),
        "\x85": lambda r: r._tuple(1),
        "\x86": lambda r: r._tuple(2),
        "\x87": lambda r: r._tuple(3),
        "q": lambda r: r._put(r._take(1)[0]),
        "r": lambda r: r._put(r._number("<I")),
        "\x94": lambda r: r._put(len(r.memo)),
        "h": lambda r: r.stack.append(r.memo[r._take(1)[0]]),
        "j": lambda r: r.stack.append(r.memo[r._number("<I")]),
        "a": SafeUnpickler._append,
        "e": SafeUnpickler._appends,
        "s": SafeUnpickler._setitem,
        "u": SafeUnpickler._setitems,
        "\x90": SafeUnpickler._additems,
        "c": lambda r: r._global(r._line(), r._line()),
        "\x93": SafeUnpickler._stack_global,
        "R": SafeUnpickler._reduce,
        "\x81": SafeUnpickler._newobj,
        "\x92": SafeUnpickler._newobj_ex,
        "b": SafeUnpickler._build,
        "Q": lambda r: r.stack.append(r.persistent_load(r.stack.pop())),
        "0": lambda r: r.stack.pop(),
        "1": lambda r: r._to_mark(),
        "2": lambda r: r.stack.append(r.stack[-1]),
    }.items()
}
