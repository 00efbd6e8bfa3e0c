"""Pickles made by hand, opcode by opcode: malicious ones, and the words that refuse each."""

import json
import pickle
import struct

import numpy as np
import ports_files as files


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


START = b"\x80\x02"
CALL = text("touch executed") + b"\x85R."
NDARRAY = (
    name("numpy.core.multiarray", "_reconstruct")
    + name("numpy", "ndarray")
    + number(0)
    + b"\x85"
    + b"C\x01b"
    + b"\x87R"
)


def dtype(code):
    return name("numpy", "dtype") + text(code) + b"\x89\x88\x87R"


def array_state(shape, code, data):
    sizes = b"(" + b"".join(shape) + b"t"
    return NDARRAY + b"(" + number(1) + sizes + dtype(code) + b"\x89" + data + b"tb."


def storage(*parts):
    return b"(" + b"".join(parts) + b"tQ"


FLOATS = name("torch", "FloatStorage")
SELF = b"]q\x00h\x00a"  # a list that holds itself
DEEP = b")" + b"\x85" * 200_000
TWICE = b")" + b"2\x86" * 60  # (t, t) sixty times: 2^60 leaves to whoever walks it
PAIRS = b"]q\x02(" + b"h\x00h\x00\x86" * 9_000 + b"e0"
GREEDY = (
    text("a")
    + b"q\x00"
    + name("collections", "OrderedDict")
    + b"q\x01"
    + PAIRS
    + b"h\x01h\x02\x85R0" * 90_000
    + b"N."
)


def one_tensor(
    count=4, offset=0, shape=(4,), strides=(1,), repeats=1, key="0", numbers=4, byteorder="little"
):
    """A torch zip with a tensor, or many, of storage `key` of `count` numbers in a file of
    `numbers`."""
    pid = b"(" + text("storage") + FLOATS + text(key) + text("cpu") + number(count) + b"tQ"
    sizes = [b"(" + b"".join(map(number, values)) + b"t" for values in (shape, strides)]
    tensor = (
        name("torch._utils", "_rebuild_tensor")
        + b"("
        + pid
        + number(offset)
        + b"".join(sizes)
        + b"tR"
    )
    body = START + b"}(" + b"".join(text(f"lin{i}") + tensor for i in range(repeats)) + b"u."
    return files.zip_of(body, {"0": np.zeros(numbers, "f4")}, byteorder)


def legacy_of(body, storages):
    """A legacy torch file around a pickle made by hand."""
    head = b"".join(pickle.dumps(part, 2) for part in (files.MAGIC, 1001, {"little_endian": True}))
    return (
        head
        + body
        + pickle.dumps(list(storages), 2)
        + b"".join(struct.pack("<q", x.size) + x.tobytes() for x in storages.values())
    )


def nested_storage(levels):
    """A torch storage as bytes in a torch storage as bytes ..."""
    body = START + b"N."
    for _ in range(levels):
        inner = legacy_of(body, {})
        body = (
            START
            + name("torch.storage", "_load_from_bytes")
            + b"B"
            + struct.pack("<I", len(inner))
            + inner
            + b"\x85R."
        )
    return body


_GROWING = (
    b"}q\x01("
    + b"".join(number(i) + b"N" for i in range(20_000))
    + b"u0"
    + b"h\x00h\x01b0" * 200
    + b"N."
)


def _twice_in_dicts(depth):
    """{"a": d, "b": d} with d of the same kind: 2^depth places."""
    made = b"}"
    for i in range(depth):
        at = bytes([i])
        made += b"q" + at + b"0}" + text("a") + b"h" + at + b"s" + text("b") + b"h" + at + b"s"
    return made


def _modules(depth, children):
    """A torch module of `children` that are one module, of as many that are one, ..."""
    made = _module(b"")
    for i in range(depth):
        at = bytes([i])
        inner = b"".join(number(n) + b"h" + at for n in range(children))
        made += b"q" + at + b"0" + _module(inner)
    return made


def _module(inner):
    parts = text("_parameters") + b"}" + text("_buffers") + b"}"
    return name("model", "Net") + b")\x81}(" + parts + text("_modules") + b"}(" + inner + b"uub"


def _safetensors(header, length=None):
    return struct.pack("<Q", len(header) if length is None else length) + header


def _tensors(entries):
    header = {
        key: {"dtype": code, "shape": shape, "data_offsets": offsets}
        for key, (code, shape, offsets) in entries.items()
    }
    return _safetensors(json.dumps(header).encode()) + bytes(16)


MALICIOUS = {
    "os.system": (START + name("os", "system") + CALL, "refused: the pickle names os.system"),
    "posix.system": (
        START + name("posix", "system") + CALL,
        "refused: the pickle names posix.system",
    ),
    "builtins.eval": (
        START + name("builtins", "eval") + CALL,
        "refused: the pickle names builtins.eval",
    ),
    "builtins.exec": (START + name("builtins", "exec") + CALL, "refused: .* builtins.exec"),
    "Python 2's eval": (START + name("__builtin__", "eval") + CALL, "refused: .* __builtin__.eval"),
    "getattr": (START + name("builtins", "getattr") + CALL, "refused: .* builtins.getattr"),
    "stack global": (
        b"\x80\x04" + text("os") + text("system") + b"\x93" + CALL,
        "refused: .* os.system",
    ),
    "dotted name": (
        START + name("collections", "OrderedDict.__init__.__globals__") + b".",
        "refused: .* collections.OrderedDict.__init__",
    ),
    "dotted stack global": (
        b"\x80\x04" + text("torch") + text("_utils.os.system") + b"\x93" + CALL,
        "refused: .* torch._utils.os",
    ),
    "import": (
        START + name("importlib", "import_module") + CALL,
        "refused: .* importlib.import_module",
    ),
    "runstring": (
        START + name("numpy.testing._private.utils", "runstring") + CALL,
        "refused: .*runstring",
    ),
    "torch.load": (START + name("torch", "load") + CALL, "refused: .* torch.load"),
    "torch.hub": (START + name("torch.hub", "load") + CALL, "refused: .* torch.hub.load"),
    "nested pickle": (
        START + name("pickle", "loads") + b"C\x05cos\n." + b"\x85R.",
        "refused: .* pickle.loads",
    ),
    "new object": (
        START + name("subprocess", "Popen") + text("true") + b"\x85\x81.",
        "refused: .* subprocess.Popen",
    ),
    "new object with keywords": (
        START + name("collections", "OrderedDict") + b")}" + text("a") + b"Ns\x92.",
        "with keywords",
    ),
    "inside a reduce": (
        START + name("collections", "OrderedDict") + name("os", "system") + CALL[:-1] + b"\x85R.",
        "refused: .* os.system",
    ),
    "reduce of a text": (
        START + text("os.system") + CALL,
        "calls something that is no constructor",
    ),
    "reduce of a type": (START + FLOATS + CALL, "calls something that is no constructor"),
    "reduce without arguments": (
        START + name("collections", "OrderedDict") + text("a") + b"R.",
        "calls something that is no constructor",
    ),
    "call of a placeholder": (
        START + name("builtins", "object") + b")R.",
        "refused: the pickle calls object",
    ),
    "build on a constructor": (
        START + name("collections", "OrderedDict") + b"}" + text("build") + text("x") + b"sb.",
        "undamaged",
    ),
    "instance opcode": (START + b"(ios\nsystem\n.", "opcode 0x69"),
    "object opcode": (START + b"(" + name("collections", "OrderedDict") + b"o.", "opcode 0x6f"),
    "extension registry": (START + b"\x82\x01.", "opcode 0x82"),
    "text persistent id": (START + b"Pfile:///etc/passwd\n.", "opcode 0x50"),
    "protocol 0": (START + b"S'a'\n.", "opcode 0x53"),
    "persistent id": (START + text("/etc/passwd") + b"Q.", "without persistent ids"),
    "memo that is not there": (START + b"j\xff\xff\xff\xff.", "KeyError"),
    "memo far away": (
        START + b"Nr\xff\xff\xff\xff" + name("os", "system") + CALL,
        "refused: .* os.system",
    ),
    "memo of a refused name": (START + b"N\x94h\x00" + text("a") + b"\x85R.", "no constructor"),
    "huge bytes": (
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.",
        "expected 4611686018427387904 more bytes",
    ),
    "huge bytearray": (
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"a.",
        "expected 1099511627776 more bytes",
    ),
    "huge text": (b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"a.", "expected a text of at most"),
    "huge integer": (
        START + b"\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",
        "expected an integer of at most",
    ),
    "negative size": (START + b"T" + struct.pack("<i", -5) + b"a.", "expected -5 more bytes"),
    "huge array": (
        START + array_state([number(2**30)] * 2, "f8", b"C\x01a"),
        "expected 9223372036854775808 bytes",
    ),
    "array of objects": (
        START + array_state([number(1)], "O8", b"C\x08aaaaaaaa"),
        "expected a NumPy number type",
    ),
    "negative shape": (
        START + array_state([number(-1), number(-4)], "f4", b"C\x10" + b"a" * 16),
        "expected the shape of an array",
    ),
    "many axes": (
        START + array_state([number(1)] * 70, "f4", b"C\x04aaaa"),
        "expected the shape of an array",
    ),
    "deep nesting": (START + DEEP + b".", None),
    "deep key": (START + b"}" + DEEP + b"Ns.", "keys of type str or int"),
    "exponential key": (START + b"}" + TWICE + b"Ns.", "keys of type str or int"),
    "exponential module": (START + name("os", "x") + TWICE + b".", "refused"),
    "unhashable key": (START + b"}]Ns.", "keys of type str or int"),
    "list of itself as arguments": (
        START + name("collections", "OrderedDict") + SELF + b"\x85R.",
        "undamaged",
    ),
    "endless steps": (START + b"N0" * 600_000 + b"N.", "at most 1000000 steps"),
    "copied again and again": (START + GREEDY, "at most 1000000 steps"),
    "nothing on the stack": (START + b"R.", "IndexError"),
    "no end": (START + b"N", "expected 1 more bytes"),
    "nothing": (b"", "empty file"),
    "text file": (b"import os\n", "expected a pickle or a torch file"),
    "web page": (b"\n<!DOCTYPE html>", "expected a pickle or a torch file, got a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "got a pointer of Git LFS"),
    "packed": (b"\x1f\x8b\x08" + b"\0" * 60, "got a file packed by gzip: unpack it"),
    "zip of nothing": (b"PK\x03\x04" + b"\0" * 60, "damaged"),
    "storage that is larger than the file": (
        one_tensor(count=2**30),
        "expected 4294967296 bytes in the zip's data/0",
    ),
    "storage of another place": (
        one_tensor(key="../../etc/passwd"),
        "in the zip's data/../../etc/passwd, got nothing",
    ),
    "tensor outside its storage": (one_tensor(offset=2), "expected a tensor inside its 16 bytes"),
    "tensor of far strides": (
        one_tensor(strides=(2**30,)),
        "expected a tensor inside its 16 bytes",
    ),
    "tensor of negative strides": (one_tensor(strides=(-1,)), "expected the shape of an array"),
    "tensor larger than its storage": (
        one_tensor(shape=(2**20,), strides=(0,)),
        "no larger than its storage",
    ),
    "one storage for many": (
        one_tensor(2**20, shape=(2**20,), numbers=2**20, repeats=9),
        "more than twice the file's size",
    ),
    "big endian": (one_tensor(byteorder="big"), "little-endian"),
    "system in a zip": (
        files.zip_of(START + name("os", "system") + CALL, {}),
        "refused: the pickle names os.system",
    ),
    "persistent id of no storage": (
        files.zip_of(START + text("/etc/passwd") + b"Q.", {}),
        "persistent id that is no torch storage",
    ),
    "class of a whole module": (
        legacy_of(
            START + b"(" + text("module") + name("os", "system") + text("x") + text("y") + b"tQ.",
            {},
        ),
        "refused: the pickle names os.system",
    ),
    "no class of a whole module": (
        legacy_of(
            START + b"(" + b"".join(map(text, ("module", "os.system", "x", "y"))) + b"tQ)R.", {}
        ),
        "no constructor",
    ),
    "zip bomb": (files.zipped({"a": files.Tensor(np.zeros(2**20, "f4"))}, 8), "uncompressed"),
    "storages in storages": (nested_storage(40), "refused: .* torch.storage._load_from_bytes"),
    "magic number alone": (pickle.dumps(files.MAGIC, 2), "expected 1 more bytes"),
    "function of a package": (
        START + name("dill._dill", "loads") + CALL,
        "refused: .* dill._dill.loads",
    ),
    "function of a package, dotted": (
        b"\x80\x04" + text("joblib") + text("Memory.eval") + b"\x93" + CALL,
        "refused: .* joblib.Memory.eval",
    ),
    "class of Python's own": (
        START + name("zipimport", "Loader") + CALL,
        "refused: .* zipimport.Loader",
    ),
    "function of torch.nn": (
        START + name("torch.nn.modules", "load") + CALL,
        "refused: .* torch.nn.modules.load",
    ),
    "function of a package that is kept": (START + name("model", "lrelu") + b".", None),
    # Inert: a class that is called is a name, whatever it would do elsewhere.
    "class of a package": (START + name("webbed", "Popen") + CALL, None),
    "name of no text": (b"\x80\x04" + text("os") + TWICE + b"\x93.", "refused"),
    "object that holds itself": (
        START + name("model", "Net") + b")\x81q\x00}" + text("_modules") + b"h\x00sb.",
        None,
    ),
    "dict that holds itself": (START + b"}q\x00" + text("model") + b"h\x00s.", None),
    "dicts in dicts, twice each": (START + _twice_in_dicts(60) + b".", None),
    "modules in modules, many times each": (START + _modules(11, 200) + b".", None),
    "object whose state grows": (
        START + name("model", "Net") + b")\x81q\x00" + _GROWING,
        "at most 1000000 steps",
    ),
    "safetensors of a huge header": (_safetensors(b"{" + b" " * 64, 2**31), "a header of at most"),
    "safetensors of an endless header": (_safetensors(b"{" + b" " * 64, 2**20), "undamaged"),
    "safetensors of deep JSON": (_safetensors(b'{"a":' + b"[" * 2**20), "undamaged"),
    "safetensors of no JSON": (_safetensors(b"{import os}"), "undamaged"),
    "safetensors larger than the file": (
        _tensors({"a": ("F32", [2**40], [0, 2**42])}),
        "undamaged",
    ),
    "safetensors of a huge shape": (_tensors({"a": ("F32", [2**62, 4], [0, 16])}), "undamaged"),
    "safetensors that overlap": (
        _tensors({"a": ("F32", [4], [0, 16]), "b": ("F32", [4], [0, 16])}),
        "undamaged",
    ),
    "safetensors of unknown numbers": (_tensors({"a": ("F8_E4M3", [16], [0, 16])}), "undamaged"),
}
