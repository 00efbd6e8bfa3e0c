"""The names that official checkpoints use, each with the inert data that stands for it; every other
name is refused by `pickles`."""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from ports.budget import Unreadable
from ports.pickles import Constructor, Machine, Record, Table, key

_TYPES = ("object", "dict", "int", "float", "str", "bool", "bytes")  # handed to constructors
_NUMPY_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}


class StorageType(NamedTuple):
    """A torch storage class: `code` is NumPy's name of its numbers, or "bf16"."""

    code: str

    @property
    def itemsize(self) -> int:
        return 2 if self.code == "bf16" else np.dtype(self.code).itemsize


@dataclasses.dataclass
class Storage:
    """Numbers of one torch storage; `data` (little endian) is set once the file's part that holds
    them was reached."""

    kind: StorageType
    count: int
    data: memoryview | None = None


class Tensor(NamedTuple):
    """A strided view of a storage, not looked at until `as_array`."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def set_state(self, machine: Machine, state: Any) -> None:
        """The hooks of a parameter, which old files give as state: no data of ours."""


@dataclasses.dataclass
class DType:
    """A NumPy number type; its byte order comes as state."""

    code: str
    order: str = "<"

    def set_state(self, machine: Machine, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise Unreadable("expected a plain NumPy number type, got a structured one")
        self.order = "<" if order in "|=" else order

    @property
    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.code)


@dataclasses.dataclass
class NDArray:
    """A NumPy array; it comes empty and gets its state, (version, shape, dtype, is_fortran, data),
    later."""

    value: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return () if self.value is None else self.value.shape

    def set_state(self, machine: Machine, state: Any) -> None:
        shape, dtype, fortran, data = state[-4:]
        self.value = _array(machine, data, dtype, shape, "F" if fortran else "C")


def _sizes(values: Any) -> tuple[int, ...]:
    if (
        not isinstance(values, tuple | list)
        or len(values) > 8
        or not all(type(n) is int and 0 <= n < 2**31 for n in values)
    ):
        raise Unreadable(
            "expected the shape of an array, at most 8 sizes below 2^31, got another one"
        )
    return tuple(values)


def _array(machine: Machine, data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if isinstance(data, str):  # Python 2
        data = _encode(machine, (data, "latin1"))
    if (
        not isinstance(dtype, DType)
        or not isinstance(data, bytes | memoryview)
        or order not in ("C", "F")
    ):
        raise Unreadable("expected an array of numbers, got another one")
    shape, expected = _sizes(shape), math.prod(_sizes(shape)) * dtype.numpy.itemsize
    if len(data) != expected:
        raise Unreadable(f"expected {expected} bytes for an array {list(shape)}, got {len(data)}")
    machine.budget.take_array(expected)
    return np.frombuffer(data, dtype.numpy).reshape(shape, order=order)


def as_array(value: Any) -> np.ndarray:
    """The numbers of an `NDArray`, a `Tensor` or a number: a view of the file in their own
    precision, bfloat16 as float32.

    Raises:
        Unreadable: something else, or a tensor that reaches out of its storage.
    """
    if isinstance(value, NDArray) and value.value is not None:
        return value.value
    if isinstance(value, Tensor) and value.storage.data is not None:
        return _view(value, value.storage.kind, value.storage.data)
    if isinstance(value, float | int):
        return np.asarray(value, np.float32)
    raise Unreadable(f"expected an array, got {type(value).__name__}")


def _view(tensor: Tensor, kind: StorageType, data: memoryview) -> np.ndarray:
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, np.float32)
    end = (
        tensor.offset
        + 1
        + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    )
    if end * kind.itemsize > len(data):
        raise Unreadable(
            f"expected a tensor inside its {len(data)} bytes, got one that ends at "
            f"{end * kind.itemsize}"
        )
    numbers = _numbers(kind, data[tensor.offset * kind.itemsize : end * kind.itemsize])
    strides = [s * numbers.itemsize for s in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers, tensor.shape, strides, writeable=False)


def _numbers(kind: StorageType, data: memoryview) -> np.ndarray:
    if kind.code == "bf16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, np.dtype(kind.code).newbyteorder("<"))


def _tensor(machine: Machine, args: tuple) -> Tensor:
    storage, offset, shape, strides = args[:4]
    shape, strides, (offset,) = _sizes(shape), _sizes(strides), _sizes((offset,))
    if (
        not isinstance(storage, Storage)
        or len(shape) != len(strides)
        or math.prod(shape) > storage.count
    ):
        raise Unreadable("expected a tensor no larger than its storage, got another one")
    machine.budget.take_array(math.prod(shape) * storage.kind.itemsize)
    return Tensor(storage, offset, shape, strides)


def _parameter(machine: Machine, args: tuple) -> Tensor:
    if not args or not isinstance(args[0], Tensor):
        raise Unreadable("expected a parameter made of a tensor, got another one")
    return args[0]


def _dtype(machine: Machine, args: tuple) -> DType:
    if not args or args[0] not in _NUMPY_TYPES:
        raise Unreadable(
            f"expected a NumPy number type ({', '.join(_NUMPY_TYPES)}), got another one"
        )
    return DType(args[0])


def _scalar(machine: Machine, args: tuple) -> int | float | bool:
    dtype, data = args
    return _array(machine, data, dtype, (), "C").item()


def _from_buffer(machine: Machine, args: tuple) -> NDArray:
    """(data, dtype, shape, order); order "K" has the axes' order behind it, `shape` is then that of
    memory."""
    data, dtype, shape, order, *axes = args
    array = _array(machine, data, dtype, shape, "C" if order == "K" and axes else order)
    return NDArray(array.transpose(_sizes(axes[0])) if axes else array)


def _encode(machine: Machine, args: tuple) -> bytes:
    text, encoding = args
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Unreadable("expected a text to encode as latin1, got another one")
    machine.budget.take_array(len(text))
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise Unreadable("expected bytes written as latin1, got other characters") from error


def _dict(machine: Machine, args: tuple) -> dict:
    """OrderedDict and its like: empty, or (Python 2) from a list of pairs; a defaultdict's factory
    is left out."""
    pairs = args[0] if args and isinstance(args[0], list) else []
    machine.budget.take_steps(len(pairs))
    return {key(name): value for name, value in pairs}


def _list(machine: Machine, args: tuple) -> list | tuple:
    return args[0] if args and isinstance(args[0], list | tuple) else []


def _size(machine: Machine, args: tuple) -> tuple:
    return _sizes(args[0])


def _persistent_object(machine: Machine, args: tuple) -> Record:
    """An object of StyleGAN's `torch_utils.persistence`: the source text that it carries is passed
    over."""
    (meta,) = args
    if (
        not isinstance(meta, dict)
        or meta.get("type") != "class"
        or not isinstance(meta.get("class_name"), str)
    ):
        raise Unreadable("expected a persistent object of a class, got another one")
    return Record(meta["class_name"], meta.get("state"))


def _rebuilt(machine: Machine, args: tuple) -> Any:
    """A tensor of a class of its own, (constructor, class, its arguments, state): a tensor."""
    build, _, inner, _ = args
    if not isinstance(build, Constructor) or not isinstance(inner, tuple):
        raise Unreadable("expected a tensor of a class, got another object")
    return build.build(machine, inner)


def _record(name: str) -> Constructor:
    return Constructor(name, lambda machine, args: Record(name))


def _constant(name: str, value: Any) -> Constructor:
    """A name that is only handed to another constructor."""

    def refuse(machine: Machine, args: tuple) -> Any:
        raise Unreadable(f"refused: the pickle calls {name}")

    return Constructor(name, refuse) if value is None else value


def _table() -> Table:
    table: dict[tuple[str, str], Any] = {}
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray", "_reconstruct"] = Constructor(
            "ndarray", lambda machine, args: NDArray()
        )
        table[f"{core}.multiarray", "scalar"] = Constructor("scalar", _scalar)
        table[f"{core}.numeric", "_frombuffer"] = Constructor("frombuffer", _from_buffer)
    for module in ("builtins", "__builtin__"):
        table |= {
            (module, name): Constructor(name, _list)
            for name in ("set", "frozenset", "list", "tuple")
        }
        table |= {(module, name): _constant(name, None) for name in _TYPES}
    table |= {("torch", name): StorageType(code) for name, code in _STORAGES.items()}
    for module in ("copyreg", "copy_reg"):
        table[module, "_reconstructor"] = Constructor(
            "_reconstructor", lambda machine, args: Record(args[0].name)
        )
    table |= {
        (module, name): _record(name)
        for modules, names in _VALUES.items()
        for module in modules.split()
        for name in names.split()
    }
    return table | _NAMES


# Kinds of values that lie beside weights: modules -> names. Their contents are passed over.
_VALUES = {
    "pathlib pathlib._local": "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath",
    "datetime": "datetime date time timedelta timezone",
    "builtins __builtin__": "slice range xrange complex bytearray",
    "decimal": "Decimal",
    "uuid": "UUID",
    "types": "SimpleNamespace",
    "functools": "partial",
    "torch": "float16 bfloat16 float32 float64 int8 int16 int32 int64 uint8 bool Tensor "
    "strided contiguous_format preserve_format channels_last",
    "torch.serialization": "_get_layout",
}


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): Constructor("dtype", _dtype),
    ("numpy", "ndarray"): _constant("numpy.ndarray", None),
    ("_codecs", "encode"): Constructor("encode", _encode),
    ("collections", "OrderedDict"): Constructor("OrderedDict", _dict),
    ("collections", "defaultdict"): Constructor("defaultdict", _dict),
    ("collections", "Counter"): Constructor("Counter", _dict),
    ("collections", "deque"): Constructor("deque", lambda machine, args: []),
    ("argparse", "Namespace"): _record("Namespace"),
    ("torch", "Size"): Constructor("Size", _size),
    ("torch", "device"): Constructor("device", lambda machine, args: None),
    ("torch._utils", "_rebuild_tensor"): Constructor("tensor", _tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Constructor("tensor", _tensor),
    ("torch._utils", "_rebuild_parameter"): Constructor("parameter", _parameter),
    ("torch._tensor", "_rebuild_from_type_v2"): Constructor("tensor", _rebuilt),
    ("torch.nn.parameter", "Parameter"): Constructor("parameter", _parameter),
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): Constructor(
        "persistent object", _persistent_object
    ),
    ("dnnlib.util", "EasyDict"): Constructor("EasyDict", _dict),
    ("dnnlib", "EasyDict"): Constructor("EasyDict", _dict),
    ("dnnlib.tflib.network", "Network"): _record("Network"),
    ("tfutil", "Network"): _record("Network"),
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"): Constructor(
        "backend", lambda machine, args: None
    ),
}

TABLE: Table = _table()
