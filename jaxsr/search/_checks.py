"""What `restore` and its kin refuse, in one clear line."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxsr.operators import Operator
from jaxsr.search.solve import Solve
from jaxsr.types import Params

# Times what the operator makes of white: no noise or kernel takes an image in [0, 1] this far out
# of it.
MOST = 16.0


def checked(
    solve: Solve, params: Params, ys: np.ndarray, seed: int | Sequence[int], batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Measurements as float32 and a seed for each. Raises ValueError for what `restore_batches`
    refuses."""
    if not isinstance(solve, Solve):
        raise ValueError(
            "expected a method bound to a prior and an operator, such as "
            f"methods.pulse(prior, operator), got {solve!r}"
        )
    if not isinstance(params, Mapping):
        raise ValueError(
            "expected the prior's params, the second of what jaxsr.load_prior returns, got "
            f"{type(params).__name__}"
        )
    ys, seeds = _floats(ys), _array(seed, "seeds")
    if (
        not np.issubdtype(seeds.dtype, np.integer)
        or seeds.min(initial=0) < 0
        or seeds.max(initial=0) >= 2**32
    ):
        raise ValueError(f"expected seeds that are whole numbers from 0 to 2^32 - 1, got {seed}")
    seeds = np.full(len(ys), seeds, np.uint32) if seeds.ndim == 0 else seeds.astype(np.uint32)
    _check(ys, seeds, solve.operator, batch_size)
    if solve.operator.onto_range is not None:
        ys = np.stack([np.asarray(solve.operator.onto_range(y)) for y in ys])
    _check_values(ys, solve.operator)
    return ys, seeds


def _array(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"expected an array of {what}, got one that NumPy cannot make: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _floats(ys: Any) -> np.ndarray:
    found = _array(ys, "measurements")
    if found.dtype.kind in "biu":
        raise ValueError(
            f"expected floating-point measurements of images in [0, 1], got {found.dtype}: "
            "divide 8-bit values by 255"
        )
    if not np.issubdtype(found.dtype, np.floating) or found.ndim == 0:
        raise ValueError(
            "expected an array of floating-point measurements [n, ...], got "
            f"{type(ys).__name__} of {found.dtype}"
        )
    return found.astype(np.float32)


def _check(ys: np.ndarray, seeds: np.ndarray, operator: Operator, batch_size: int) -> None:
    shape = operator.measurement_shape
    if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
        raise ValueError(f"expected batch_size of at least 1, a whole number, got {batch_size!r}")
    if ys.shape[1:] != tuple(shape) or len(ys) == 0:
        raise ValueError(
            f"expected measurements of shape (n, {', '.join(map(str, shape))}) with n >= 1, "
            f"got {ys.shape}"
        )
    if seeds.shape != (len(ys),):
        raise ValueError(
            f"expected one seed or {len(ys)}, one a measurement, got shape {seeds.shape}"
        )


def _check_values(ys: np.ndarray, operator: Operator) -> None:
    most = np.nanmax(np.abs(ys), initial=0.0, where=np.isfinite(ys))
    if most > MOST:  # which most operators leave no photo
        white = max(1.0, float(jnp.abs(operator(jnp.ones(operator.image_shape))).max()))
        if most > MOST * white:
            told = (
                f"expected measurements of images in [0, 1], which reach {white:g} for white, got "
                f"values up to {most:g}"
            )
            raise ValueError(f"{told}: divide 8-bit values by 255")
    bad = np.flatnonzero(~np.isfinite(ys).reshape(len(ys), -1).all(1))
    if len(bad):
        raise ValueError(
            f"expected finite measurements, got NaN or infinity in number {bad[0]} "
            f"({len(bad)} of {len(ys)} hold some)"
        )


def checked_told(told: Mapping[str, np.ndarray] | None, params: Params, n: int) -> dict:
    """Entries of params for each of n measurements, as float32. Raises ValueError for another
    number of them, and for one that params have already."""
    found = {name: np.asarray(values, np.float32) for name, values in (told or {}).items()}
    for name, values in found.items():
        if values.ndim == 0 or len(values) != n:
            raise ValueError(
                f"told, {name}: expected one for each of {n} measurements, got shape {values.shape}"
            )
        if name in params:
            raise ValueError(f"told, {name}: params have one for all: leave one of them out")
    return found
