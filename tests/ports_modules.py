"""Networks as whole objects, and in the safetensors format; and what lies beside weights."""

import argparse
import collections
import datetime
import json
import pathlib
import struct
import types

import numpy as np
import ports_files as files
import ports_wrappers as wrapped


def rosinality(params, parallel=False):
    """The generator as `torch.save(generator)` pickles it; parallel: in a DataParallel."""
    made = _module("Generator", wrapped.of_rosinality(params))
    return files.whole("DataParallel", {}, {"module": made}) if parallel else made


def _module(name, state):
    """A module with the arrays of a state dict, of which those with dots lie in inner ones."""
    inner = collections.defaultdict(dict)
    for key, value in state.items():
        word, dot, rest = key.partition(".")
        if dot:
            inner[word][rest] = value
    own = {key: value for key, value in state.items() if "." not in key}
    modules = {word: _module("StyledConv", part) for word, part in inner.items()}
    return files.whole(name, own, modules)


def safetensors(arrays, code):
    """The format by its description: a length, a header, the numbers."""
    header, at = {}, 0
    for name in sorted(arrays):
        size = arrays[name].nbytes
        shape = list(arrays[name].shape)
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    numbers = b"".join(arrays[name].tobytes() for name in sorted(arrays))
    return struct.pack("<Q", len(text)) + text + numbers


def upscaler():
    """A small SRVGGNetCompact."""
    rng = np.random.default_rng(4)
    shapes = {"0": (4, 3, 3, 3), "2": (4, 4, 3, 3), "4": (12, 4, 3, 3)}
    arrays = {f"body.{n}.weight": rng.normal(size=shape) for n, shape in shapes.items()}
    arrays |= {f"body.{n}.bias": rng.normal(size=shape[0]) for n, shape in shapes.items()}
    arrays |= {f"body.{n}.weight": rng.normal(size=4) for n in (1, 3)}
    return {name: files.Tensor(x.astype("f4")) for name, x in arrays.items()}


def _mode():
    made = files.CLASSES["Mode"]()
    made.__dict__["value"] = pathlib.PurePosixPath("runs")
    return made


def _settings():
    made = files.ATTRIBUTES(lr=0.002)
    made["path"] = pathlib.PurePosixPath("runs")
    return made


BESIDE = {
    "args": lambda: argparse.Namespace(data=pathlib.PosixPath("photos"), lr=0.002),
    "path": lambda: pathlib.PurePosixPath("runs") / "one",
    "path of Windows": lambda: pathlib.PureWindowsPath("C:/runs"),
    "date": lambda: datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC),
    "counts": lambda: collections.Counter("abca"),
    "losses": lambda: collections.deque([0.1, 0.2], maxlen=9),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "range": lambda: range(4),
    "numpy": lambda: np.float64(0.5),
    "dtype": lambda: files.DTYPE,
    "object": _mode,
    "settings": _settings,
    "callbacks": lambda: {files.CLASSES["Mode"]: {"best": 0.1}},
    "set": lambda: {1, 2},
    "optimiser": lambda: {wrapped.tensor(2): {"step": 1}, 0.5: 1, ("a", 1): 2},
}
