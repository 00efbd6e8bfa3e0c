"""A pickle machine that only builds data: it imports nothing, calls only constructors of ours, and
bounds steps, sizes and memory.

Written from the opcodes' documentation (CPython's `pickletools`). Byte strings are views into the
(mapped) file, so that reading an array copies nothing. A name outside the table of constructors, an
opcode of another use (extension registry, out-of-band buffers, the text opcodes of protocol 0) and
a damaged stream all end as one ValueError.
"""

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

from ports import foreign
from ports.budget import Budget, Unreadable

MAX_TEXT = 1 << 26  # bytes of one text: a decoded text can take four times its bytes
MAX_INT = 16  # bytes of one integer
MAX_LINE = 256  # bytes of a module or class name
_DAMAGED = (LookupError, TypeError, AttributeError, ValueError, OverflowError, struct.error)
_SCALARS = (str, int, float, bytes, type(None))


@dataclasses.dataclass(frozen=True)
class Constructor:
    """A global name that the machine may call: `build(machine, args)` makes inert data."""

    name: str
    build: Callable[["Machine", tuple], Any]


@dataclasses.dataclass
class Record:
    """An object of a class that is not here: its name and the state it was pickled with."""

    name: str
    state: Any = None


Table = dict[tuple[str, str], Constructor]


def no_storage(pid: Any) -> Any:
    """The `persistent` of a pickle that must have no persistent ids."""
    raise Unreadable("expected a pickle without persistent ids, got one")


class Machine:
    """Runs one pickle at a time out of `data`; `run` may be called again for the next one."""

    def __init__(
        self,
        data: memoryview,
        table: Table,
        budget: Budget,
        persistent: Callable[[Any], Any] = no_storage,
    ):
        self.data, self.table, self.budget, self.persistent = data, table, budget, persistent
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The object of the pickle at `position`, which moves behind it.

        Raises:
            Unreadable: a name, an opcode or a size that is not allowed, or a damaged pickle.
        """
        self.stack, self.marks, self.memo = [], [], {}
        start = self.position
        try:
            while (code := self.take(1)[0]) != STOP:
                self.budget.take_steps()
                self._step(code)
            return self.stack.pop()
        except Unreadable:
            raise
        except _DAMAGED as error:
            what = f"{type(error).__name__} at byte {self.position - start}"
            raise Unreadable(
                f"expected an undamaged pickle, got one that ends in {what}"
            ) from error

    def _step(self, code: int) -> None:
        action = ACTIONS.get(code)
        if action is None:
            raise Unreadable(
                f"expected a pickle of protocol 2 to 5, got opcode 0x{code:02x} at byte "
                f"{self.position - 1}"
            )
        action(self)

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, checked against what is left before anything is made of them."""
        if not 0 <= count <= len(self.data) - self.position:
            raise Unreadable(
                f"expected {count} more bytes at byte {self.position}, got "
                f"{len(self.data) - self.position}: truncated or damaged"
            )
        piece = self.data[self.position : self.position + count]
        self.position += count
        return piece

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        text = bytes(self.data[self.position : self.position + MAX_LINE])
        length = text.index(b"\n") if b"\n" in text else len(text)
        self.take(length + 1)
        return text[:length].decode("utf-8")

    def text(self, size: int, encoding: str = "utf-8") -> str:
        if size > MAX_TEXT:
            raise Unreadable(f"expected a text of at most {MAX_TEXT} bytes, got {size}")
        return str(self.take(size), encoding)

    def integer(self, size: int) -> int:
        if size > MAX_INT:
            raise Unreadable(f"expected an integer of at most {MAX_INT} bytes, got {size}")
        return int.from_bytes(self.take(size), "little", signed=True)

    def items(self) -> list[Any]:
        """What lies above the last mark; both are taken off."""
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if self.marks and self.marks[-1] == len(self.stack):
            raise IndexError("nothing above the mark")
        return self.stack.pop()

    def top(self, kind: type | tuple[type, ...]) -> Any:
        value = self.stack[-1]
        if not isinstance(value, kind):
            raise TypeError(f"expected {kind}")
        return value

    def find(self, module: Any, name: Any) -> None:
        """Pushes the constructor of module.name; for a name of others one of a `Record`, or one
        that cannot be called."""
        if not (isinstance(module, str) and isinstance(name, str)):
            raise Unreadable("refused: the pickle names something by no text")
        found = self.table.get((module, name))
        if found is None and foreign.is_class(module, name):
            found = Constructor(name, lambda machine, args: Record(name))
        elif found is None and foreign.is_function(module, name):
            found = Constructor(name, lambda machine, args: _refuse("calls", module, name))
        self.push(found or _refuse("names", module, name))

    def call(self, what: Any, args: Any) -> None:
        if not isinstance(what, Constructor) or not isinstance(args, tuple):
            raise Unreadable(
                "refused: the pickle calls something that is no constructor; nothing was executed"
            )
        self.push(what.build(self, args))


def _refuse(what: str, module: str, name: str) -> Any:
    raise Unreadable(
        f"refused: the pickle {what} {module[:80]}.{name[:80]}, which no format of ours needs; "
        "nothing was executed"
    )


def key(value: Any) -> Any:
    """`value` if it may be a key of a dict, an object by its name: hashing nested tuples can take
    for ever, and large integers can be made to collide.

    Raises:
        Unreadable: another type.
    """
    if isinstance(value, Constructor | Record) or hasattr(value, "set_state"):
        return getattr(value, "name", "an object")
    for part in value if type(value) is tuple and len(value) <= 8 else (value,):
        if not isinstance(part, _SCALARS) or (
            isinstance(part, int) and not -(2**40) < part < 2**40
        ):
            raise Unreadable(f"expected keys of type str or int, got {type(value).__name__}")
    return value


def _entries(machine: Machine) -> dict:
    """The dict on top, or the entries of an object there whose class is one."""
    target = machine.top((dict, Record))
    if isinstance(target, dict):
        return target
    target.state = target.state if isinstance(target.state, dict) else {}
    return target.state


def _set_items(machine: Machine) -> None:
    items = machine.items()
    target = _entries(machine)
    for name, value in zip(items[::2], items[1::2], strict=True):
        target[key(name)] = value


def _set_item(machine: Machine) -> None:
    value, name = machine.pop(), machine.pop()
    _entries(machine)[key(name)] = value


def _dict(machine: Machine) -> None:
    items = machine.items()
    machine.push({key(name): x for name, x in zip(items[::2], items[1::2], strict=True)})


def _append(machine: Machine) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _extend(machine: Machine) -> None:
    items = machine.items()
    machine.top(list).extend(items)


def _tuple(count: int) -> Callable[[Machine], None]:
    def build(machine: Machine) -> None:
        machine.push(tuple([machine.pop() for _ in range(count)][::-1]))

    return build


def _pop(machine: Machine) -> None:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.stack.pop()


def _memoize(machine: Machine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _put(form: str) -> Callable[[Machine], None]:
    def put(machine: Machine) -> None:
        machine.memo[machine.number(form)] = machine.stack[-1]

    return put


def _get(form: str) -> Callable[[Machine], None]:
    return lambda machine: machine.push(machine.memo[machine.number(form)])


def _number(form: str) -> Callable[[Machine], None]:
    return lambda machine: machine.push(machine.number(form))


def _long(form: str) -> Callable[[Machine], None]:
    return lambda machine: machine.push(machine.integer(machine.number(form)))


def _text(form: str, encoding: str = "utf-8") -> Callable[[Machine], None]:
    return lambda machine: machine.push(machine.text(machine.number(form), encoding))


def _bytes(form: str) -> Callable[[Machine], None]:
    return lambda machine: machine.push(machine.take(machine.number(form)))


def _constant(value: Any) -> Callable[[Machine], None]:
    return lambda machine: machine.push(value)


def _fresh(kind: type) -> Callable[[Machine], None]:
    return lambda machine: machine.push(kind())


def _protocol(machine: Machine) -> None:
    version = machine.number("B")
    if not 2 <= version <= 5:
        raise Unreadable(f"expected a pickle of protocol 2 to 5, got {version}")


def _reduce(machine: Machine) -> None:
    args, what = machine.pop(), machine.pop()
    machine.call(what, args)


def _new_with_keywords(machine: Machine) -> None:
    keywords, args, what = machine.pop(), machine.pop(), machine.pop()
    if keywords:
        raise Unreadable("refused: the pickle calls a constructor with keywords")
    machine.call(what, args)


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.find(module, name)


def _build(machine: Machine) -> None:
    """State of a Record, which joins its entries, or of what knows `set_state`; that of a dict (a
    state dict's `_metadata`) is no data of ours."""
    state = machine.pop()
    target = machine.stack[-1]
    if isinstance(target, Record):
        if isinstance(state, dict) and isinstance(target.state, dict):
            machine.budget.take_steps(len(state))
            target.state.update(state)
        else:
            target.state = state
    elif not isinstance(target, dict):
        target.set_state(machine, state)


STOP = ord(".")
ACTIONS: dict[int, Callable[[Machine], Any]] = {
    0x80: _protocol,
    0x95: lambda machine: machine.take(8),  # FRAME
    ord("("): lambda machine: machine.marks.append(len(machine.stack)),
    ord("0"): _pop,
    ord("1"): lambda machine: machine.items(),  # POP_MARK
    ord("2"): lambda machine: machine.push(machine.stack[-1]),  # DUP
    ord("N"): _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    ord("K"): _number("<B"),
    ord("M"): _number("<H"),
    ord("J"): _number("<i"),
    0x8A: _long("<B"),
    0x8B: _long("<i"),
    ord("G"): _number(">d"),
    0x8C: _text("<B"),
    ord("X"): _text("<I"),
    0x8D: _text("<Q"),
    # Strings of Python 2 are bytes or text, as the reader takes them.
    ord("U"): _text("<B", "latin-1"),
    ord("T"): _text("<i", "latin-1"),
    ord("C"): _bytes("<B"),
    ord("B"): _bytes("<I"),
    0x8E: _bytes("<Q"),
    0x96: _bytes("<Q"),  # BYTEARRAY8
    ord(")"): _constant(()),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("t"): lambda machine: machine.push(tuple(machine.items())),
    ord("]"): _fresh(list),
    ord("l"): lambda machine: machine.push(machine.items()),
    ord("a"): _append,
    ord("e"): _extend,
    0x8F: _fresh(list),  # EMPTY_SET: no format of ours looks into a set
    0x90: _extend,
    0x91: lambda machine: machine.push(machine.items()),  # FROZENSET
    ord("}"): _fresh(dict),
    ord("d"): _dict,
    ord("s"): _set_item,
    ord("u"): _set_items,
    ord("q"): _put("<B"),
    ord("r"): _put("<I"),
    0x94: _memoize,
    ord("h"): _get("<B"),
    ord("j"): _get("<I"),
    ord("c"): lambda machine: machine.find(machine.line(), machine.line()),
    0x93: _stack_global,
    ord("Q"): lambda machine: machine.push(machine.persistent(machine.pop())),
    ord("R"): _reduce,
    0x81: _reduce,  # NEWOBJ
    0x92: _new_with_keywords,
    ord("b"): _build,
}
