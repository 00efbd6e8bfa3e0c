"""Spectral normalisation of a finished network: each kernel divided by its largest singular value,
as the file's own vectors give it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ports.constructors import NDArray, as_array

_EPS = 1e-12


def normalised(sources: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a state dict with NAME.weight divided, for each NAME that has singular vectors.

    BigGAN-PyTorch keeps NAME.u0 and takes one step of the power iteration from it; torch's own
    spectral_norm keeps NAME.weight_orig and both vectors, weight_u and weight_v.

    Raises:
        ValueError: vectors that do not fit their kernel.
    """
    result = dict(sources)
    for name in sources:
        prefix = name.removesuffix(".u0")
        if prefix != name and f"{prefix}.weight" in sources:
            weight, u = as_array(sources[f"{prefix}.weight"]), as_array(result.pop(name))
            result.pop(f"{prefix}.sv0", None)
            result[f"{prefix}.weight"] = _divided(prefix, weight, u, None)
        prefix = name.removesuffix(".weight_orig")
        if prefix != name and {f"{prefix}.weight_u", f"{prefix}.weight_v"} <= sources.keys():
            u, v = (as_array(result.pop(f"{prefix}.weight_{side}")) for side in "uv")
            result[f"{prefix}.weight"] = _divided(prefix, as_array(result.pop(name)), u, v)
    return result


def _divided(name: str, weight: np.ndarray, u: np.ndarray, v: np.ndarray | None) -> NDArray:
    with np.errstate(all="ignore"):
        weight, u = np.asarray(weight, np.float32), np.asarray(u, np.float32).reshape(-1)
    if (
        weight.ndim < 2
        or not weight.size
        or u.shape != weight.shape[:1]
        or (v is not None and v.size != weight.size // len(weight))
    ):
        raise ValueError(
            f"expected singular vectors of {name} that fit its kernel {list(weight.shape)}, "
            f"got {list(u.shape)}"
        )
    matrix = weight.reshape(len(weight), -1)
    with np.errstate(all="ignore"):  # what is not finite is refused below
        if v is None:
            v = _unit(u @ matrix)
            u = _unit(matrix @ v)
        largest = float(u @ matrix @ np.asarray(v, np.float32).reshape(-1))
    if not np.isfinite(largest) or largest <= 0:
        raise ValueError(
            f"expected a positive singular value of {name}, got {largest}: the file is damaged"
        )
    return NDArray(weight / np.float32(largest))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), _EPS)
