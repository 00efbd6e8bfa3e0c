"""Files of the safetensors format, read with the package of its authors.

Eight bytes with the length of a header, the header as JSON, then the numbers: there is nothing in
such a file that could be executed. The package checks that every array lies inside the file and
shares nothing; what it would take of memory for a header is bounded here before it sees the file.
"""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from ports.budget import Unreadable
from ports.constructors import NDArray

_MAX_HEADER = 1 << 23  # bytes, of some 80,000 arrays
_BFLOAT16 = np.dtype(jnp.bfloat16)  # which NumPy knows by JAX alone


def read(path: str | Path) -> tuple[dict[str, Any], str] | None:
    """{name: array} of the file, in their own precision but bfloat16 as float32, and
    "safetensors"; None for a file of another kind.

    Raises:
        Unreadable: damaged, truncated, or a header of more than 8 MiB.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{" or length >= 2**32:  # of a pickle or a zip
        return None
    if length > _MAX_HEADER:
        raise Unreadable(
            f"{path}: expected safetensors with a header of at most {_MAX_HEADER} bytes, got "
            f"{length}"
        )
    try:
        with safe_open(path, framework="np") as file:
            names = file.keys()
            arrays = {name: NDArray(_plain(file.get_tensor(name))) for name in names}
    except (SafetensorError, TypeError, AttributeError, ValueError) as error:
        told = " ".join(str(error).split())[:100]
        raise Unreadable(
            f"{path}: expected undamaged safetensors of numbers that NumPy has, got others ({told})"
        ) from error
    return arrays, "safetensors"


def _plain(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == _BFLOAT16 else array
