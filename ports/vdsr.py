"""VDSR in a checkpoint: the authors' MATLAB file, as caffe-vdsr has it, and pytorch-vdsr's."""

import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat, whosmat

from jaxsr.nets import vdsr
from ports.budget import Unreadable
from ports.constructors import NDArray
from ports.layouts import flat, hwio
from ports.restorers import Arrays, Found, state_dict
from ports.tables import Row

LICENCE = (
    "not stated in the file; caffe-vdsr's and pytorch-vdsr's code: MIT; the authors' weights: none"
)
_MATLAB = b"MATLAB 5.0 MAT-file"
_MODEL = "model"
_LARGEST = 1 << 26  # bytes, of the file and of what it expands to; the official one has 2.7 million
_HEADER, _COMPRESSED = 128, 15
_MOST = 200  # layers


def read(path: str | Path) -> tuple[dict[str, NDArray], str] | None:
    """The arrays {"weight.0", "bias.0", ...} of MatConvNet's `model` and how the file is written,
    or None for a file of another kind.

    Raises:
        Unreadable: a MATLAB file with a `model` that is damaged, too large or another one.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        if file.read(len(_MATLAB)) != _MATLAB:
            return None
        content = _MATLAB + file.read(_LARGEST)
    try:
        return (_cells(_model(content)), "MATLAB 5") if _has_model(content) else None
    except Unreadable as error:
        raise Unreadable(f"{path}: {error}") from error


def _has_model(content: bytes) -> bool:
    if _expanded(content) > _LARGEST:
        raise Unreadable(f"expected a MATLAB file of at most {_LARGEST} bytes, got a larger one")
    try:
        return any(name == _MODEL for name, _, _ in whosmat(io.BytesIO(content)))
    except Exception:  # what is wrong with the file, another reader says
        return False


def _expanded(content: bytes) -> int:
    """How many bytes a file expands to, which a small one can have too many of; beyond `_LARGEST`
    it is not counted."""
    total, at = len(content), _HEADER
    while at + 8 <= len(content) and total <= _LARGEST:
        kind, size = struct.unpack("<II", content[at : at + 8])
        if kind == _COMPRESSED:
            try:
                part = zlib.decompressobj().decompress(content[at + 8 : at + 8 + size], _LARGEST)
            except zlib.error as error:
                raise Unreadable("expected an undamaged MATLAB file, got another") from error
            total += len(part)
        at += 8 + size
    return total


def _model(content: bytes) -> Any:
    try:
        return loadmat(io.BytesIO(content), variable_names=[_MODEL])[_MODEL]
    except Exception as error:  # damaged files surface as many types
        raise Unreadable(
            f"expected a readable MATLAB 5 file, got {type(error).__name__}: {str(error)[:100]}"
        ) from error


def _cells(model: Any) -> dict[str, NDArray]:
    """A struct of two rows of cells."""
    names = model.dtype.names if isinstance(model, np.ndarray) else None
    if not names or set(names) != {"weight", "bias"} or model.size != 1:
        raise Unreadable(f"expected a model with weight and bias, got {names or 'another one'}")
    found = {}
    for name in names:
        for i, cell in enumerate(np.ravel(model[name].item())):
            if not isinstance(cell, np.ndarray) or cell.dtype.kind != "f":
                raise Unreadable(f"expected floating arrays in {name}, got {type(cell).__name__}")
            found[f"{name}.{i}"] = NDArray(cell)
    return found


def find(contents: list[Any]) -> Found | None:
    """The VDSR in what `read` or `torch_files.read` returned of one file, or None."""
    content = contents[0]
    if (
        len(contents) == 1
        and isinstance(content, dict)
        and {"weight.0", "bias.0"} <= content.keys()
    ):
        return _found("VDSR MatConvNet", content, _matconvnet(len(content) // 2))
    return _torch(state_dict(contents) or {})


def _torch(state: dict[str, Any]) -> Found | None:
    if "residual_layer.0.conv.weight" not in state:
        return None
    rows = [
        Row(rf"{theirs}\.weight", f"{ours}/kernel", hwio)
        for theirs, ours in {
            "input": "first/conv",
            r"residual_layer\.(\d+)\.conv": "middle/{0}/conv",
            "output": "last",
        }.items()
    ]
    return _found("VDSR PyTorch (pytorch-vdsr)", state, rows)


def _matconvnet(layers: int) -> list[Row]:
    """Kernels are as ours: correlated, not flipped; MATLAB leaves out a last axis of 1."""
    paths = ["first/conv", *(f"middle/{i}/conv" for i in range(layers - 2)), "last"]
    rows = []
    for i, path in enumerate(paths[:_MOST]):
        rows += [
            Row(rf"weight\.{i}", f"{path}/kernel", lambda a: a if a.ndim == 4 else a[..., None]),
            Row(rf"bias\.{i}", f"{path}/bias", flat),
        ]
    return rows


def _found(form: str, sources: dict[str, Any], rows: list[Row]) -> Found:
    """It serves every factor: the authors' weights saw 2, 3 and 4."""
    return Found(
        "vdsr", vdsr.init, form, LICENCE, sources, rows, ("middle",), _sized, lambda config: 0
    )


def _sized(arrays: Arrays) -> vdsr.Config:
    channels, width = arrays["first/conv/kernel"].shape[2], arrays["middle/0/conv/kernel"].shape[3]
    middle = {int(m[1]) for path in arrays if (m := re.match(r"middle/(\d+)/", path))}
    return vdsr.Config(max(middle) + 3, width, channels, bias="first/conv/bias" in arrays)
