"""NIQE's statistics of natural photos: BasicSR's `niqe_pris_params.npz`, the MATLAB release's
`modelparameters.mat`."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from jaxsr.metrics.niqe import SHAPES
from jaxsr.types import Params
from ports.budget import Unreadable
from ports.priors import Choice
from ports.tables import few

_LARGEST = 1 << 16  # bytes; the official files have 12,000
_MATLAB = b"MATLAB 5.0 MAT-file"
_NAMES = {"mu_prisparam": "mu_pris_param", "cov_prisparam": "cov_pris_param"}
LICENCE = (
    "not stated in the file; BasicSR's: Apache-2.0; the MATLAB release's: free for research, see "
    "its readme"
)


def read(path: str | Path) -> tuple[dict[str, np.ndarray], str] | None:
    """The arrays {name: float64} of NIQE's model and how the file is written, or None for a file of
    another kind.

    Raises:
        Unreadable: a MATLAB or NumPy file that is damaged, too large, or holds something else.
        OSError: it cannot be read.
    """
    if Path(path).stat().st_size > _LARGEST:
        return None
    content = Path(path).read_bytes()
    try:
        if content.startswith(_MATLAB):
            return _checked(_matlab(content)), "MATLAB 5"
        if content.startswith(b"PK") and any(name.endswith(".npy") for name in _sizes(content)):
            return _checked(_numpy(content)), "npz"
    except Unreadable as error:
        raise Unreadable(f"{path}: {error}") from error
    return None


def _sizes(content: bytes) -> dict[str, int]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {info.filename: info.file_size for info in archive.infolist()}
    except Exception:  # what is wrong with the zip, the torch reader says
        return {}


def _numpy(content: bytes) -> dict[str, Any]:
    if sum(_sizes(content).values()) > _LARGEST:
        raise Unreadable(
            f"expected arrays of at most {_LARGEST} bytes, got {sum(_sizes(content).values())}"
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # damaged zips and headers surface as many types
        raise Unreadable(
            f"expected a readable .npz file, got {type(error).__name__}: {str(error)[:100]}"
        ) from error


def _matlab(content: bytes) -> dict[str, Any]:
    """The release has no window: it is MATLAB's fspecial("gaussian", 7, 7/6)."""
    try:
        found = loadmat(io.BytesIO(content), variable_names=list(_NAMES))
    except Exception as error:  # damaged files surface as many types
        raise Unreadable(
            f"expected a readable MATLAB 5 file, got {type(error).__name__}: {str(error)[:100]}"
        ) from error
    taps = np.exp(-((np.arange(7) - 3) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    return {_NAMES[name]: array for name, array in found.items() if name in _NAMES} | {
        "gaussian_window": window
    }


def _checked(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    got = {name: np.shape(array) for name, array in arrays.items()}
    if not got.keys() & SHAPES.keys():
        raise Unreadable(
            f"expected a checkpoint, got a NumPy or MATLAB file of arrays {few(got)}: of those "
            "only NIQE's model is read; save the weights by torch.save or as safetensors"
        )
    if got != SHAPES or any(np.asarray(array).dtype.kind != "f" for array in arrays.values()):
        raise Unreadable(
            f"expected NIQE's model, floating arrays {SHAPES}, got {dict(list(got.items())[:6])}"
        )
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise Unreadable("expected finite numbers in NIQE's model, got others: the file is damaged")
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def find(contents: list[Any]) -> dict[str, np.ndarray] | None:
    """NIQE's model in what `read` returned of one file, or None."""
    content = contents[0]
    return (
        content
        if len(contents) == 1 and isinstance(content, dict) and content.keys() == SHAPES.keys()
        else None
    )


def convert(model: dict[str, np.ndarray], choice: Choice) -> tuple[Params, dict[str, Any]]:
    """The model and its config.json. Raises ValueError if a class was chosen."""
    choice.none("a network without classes")
    return model, {"architecture": "niqe", "licence": LICENCE, "format": "NIQE model"}
