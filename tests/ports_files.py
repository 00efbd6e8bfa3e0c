"""Writes small checkpoints in the official formats, without the official packages: names that
pickle looks up are stand-ins."""

import collections
import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
CODES = {
    "f4": "FloatStorage",
    "f8": "DoubleStorage",
    "f2": "HalfStorage",
    "u2": "BFloat16Storage",
    "i8": "LongStorage",
}


def stand_in(module, name, made):
    made.__module__, made.__qualname__, made.__name__ = module, name, name
    return made


def _function(module, name):
    return stand_in(module, name, lambda *args: None)


REBUILD = _function("torch._utils", "_rebuild_tensor_v2")
PARAMETER = _function("torch._utils", "_rebuild_parameter")
FROM_BYTES = _function("torch.storage", "_load_from_bytes")
PERSISTENT = _function("torch_utils.persistence", "_reconstruct_persistent_obj")
STORAGES = {code: stand_in("torch", name, type(name, (), {})) for code, name in CODES.items()}
NETWORK = stand_in("dnnlib.tflib.network", "Network", type("Network", (), {}))
BACKEND = _function("torch.nn.backends.thnn", "_get_thnn_function_backend")
# Of modules that a file holds whole, and of objects that lie beside them.
CLASSES = {
    name: stand_in(module, name, type(name, (), {}))
    for module, name in (
        ("vdsr", "Net"),
        ("vdsr", "Conv_ReLU_Block"),
        ("torch.nn.modules.container", "Sequential"),
        ("torch.nn.modules.conv", "Conv2d"),
        ("torch.nn.modules.activation", "ReLU"),
        ("model", "Generator"),
        ("model", "StyledConv"),
        ("torch.nn.parallel.data_parallel", "DataParallel"),
        ("my.project", "Mode"),
    )
}
DTYPE = stand_in("torch", "float32", type("dtype", (), {"__reduce__": lambda self: "float32"})())
# A dict with attributes, as many packages have one.
ATTRIBUTES = stand_in(
    "pytorch_lightning.utilities.parsing", "AttributeDict", type("A", (dict,), {})
)
NAMES = [REBUILD, PARAMETER, FROM_BYTES, PERSISTENT, NETWORK, BACKEND, DTYPE, ATTRIBUTES]
NAMES += [*STORAGES.values(), *CLASSES.values()]


@contextlib.contextmanager
def official_names():
    """pickle checks that a name it writes can be imported."""
    before = dict(sys.modules)
    for item in NAMES:
        parts = item.__module__.split(".")
        for i in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
        setattr(sys.modules[item.__module__], item.__name__, item)
    try:
        yield
    finally:
        for name in set(sys.modules) - set(before):
            del sys.modules[name]


class Storage:
    def __init__(self, array):
        self.array = array

    def __reduce__(self):  # where no persistent id is written
        return FROM_BYTES, (legacy(self),)


class Tensor:
    """An array as torch writes it, its storage in the order of memory; uint16 stands for
    bfloat16."""

    def __init__(self, array):
        self.array = np.asarray(array)
        self.storage = Storage(self.array.ravel(order="K"))

    def __reduce__(self):
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        return REBUILD, (
            self.storage,
            0,
            self.array.shape,
            strides,
            False,
            collections.OrderedDict(),
        )


class Parameter(Tensor):
    def __reduce__(self):
        return PARAMETER, (Tensor(self.array), True, collections.OrderedDict())


class Module:
    """A torch module as StyleGAN's persistence writes it."""

    def __init__(self, name, parameters=None, buffers=None, modules=None, facts=None):
        wrapped = (
            {k: Parameter(v) for k, v in (parameters or {}).items()},
            {k: Tensor(v) for k, v in (buffers or {}).items()},
        )
        state = {"_parameters": wrapped[0], "_buffers": wrapped[1], "_modules": modules or {}} | (
            facts or {}
        )
        source = "import os; os.system('touch executed')"
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": name,
            "state": state,
        }

    def __reduce__(self):
        return PERSISTENT, (self.meta,)


class Backend:
    def __reduce__(self):
        return BACKEND, ()


def whole(name, parameters=None, modules=None):
    """A module of `CLASSES` with its state, as PyTorch 0.2 pickles it."""
    made = CLASSES[name]()
    made.__dict__.update(
        {
            "_backend": Backend(),
            "_parameters": collections.OrderedDict(parameters or {}),
            "_buffers": collections.OrderedDict(),
            "_modules": collections.OrderedDict(modules or {}),
            "training": True,
        }
    )
    return made


class _Pickler(pickle.Pickler):
    """Legacy files of whole modules have their source text too."""

    def __init__(self, file, with_source):
        super().__init__(file, 2)
        self.storages, self.classes = {}, set() if with_source else {*CLASSES.values()}

    def persistent_id(self, obj):
        if isinstance(obj, type) and obj in {*CLASSES.values()} - self.classes:
            self.classes.add(obj)
            return "module", obj, "vdsr.py", "import os; os.system('touch executed')"
        if not isinstance(obj, Storage):
            return None
        key = str(len(self.storages))
        self.storages[key] = obj.array
        return "storage", STORAGES[obj.array.dtype.str[1:]], key, "cpu", obj.array.size


def pickled(content, protocol=4):
    with official_names():
        return pickle.dumps(content, protocol)


def torch_pickle(content, with_source=False):
    file = io.BytesIO()
    with official_names():
        pickler = _Pickler(file, with_source)
        pickler.dump(content)
    return file.getvalue(), pickler.storages


def legacy(content):
    body, storages = torch_pickle(content, with_source=True)
    system = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    head = b"".join(pickle.dumps(part, 2) for part in (MAGIC, 1001, system))
    numbers = b"".join(struct.pack("<q", a.size) + a.tobytes() for a in storages.values())
    return head + body + pickle.dumps(list(storages), 2) + numbers


def zipped(content, compression=zipfile.ZIP_STORED):
    return zip_of(*torch_pickle(content), compression=compression)


def zip_of(body, storages, byteorder="little", compression=zipfile.ZIP_STORED):
    """A zip of data.pkl and {key: array}."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("name/data.pkl", body)
        archive.writestr("name/byteorder", byteorder)
        for key, array in storages.items():
            archive.writestr(f"name/data/{key}", array.tobytes())
        archive.writestr("name/version", "3\n")
    return file.getvalue()


class Written(NamedTuple):
    """Files of one network in one format, and what a slow float64 network makes of the arrays that
    were written into them.

    contents: of each file.
    image: (w_plus [layers, w_dim], or z of a network without w, and noise maps [r, r]) ->
        [3, H, W] in [-1, 1].
    map: z -> w; None: the network has no w.
    noise: the maps in the files; None: they hold none.
    logits: photos [n, 3, H, W] in [-1, 1] -> (logits [n], features [n, c, h, w] behind each block);
        None: the files hold no discriminator.
    chosen: what `load_prior` is told besides.
    """

    contents: list[bytes]
    image: Callable
    map: Callable | None = None
    noise: list | None = None
    logits: Callable | None = None
    chosen: dict[str, Any] = MappingProxyType({})


def write(folder, contents):
    """The paths of files "0.bin", "1.bin", ... of these contents."""
    paths = [Path(folder, f"{i}.bin") for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths
