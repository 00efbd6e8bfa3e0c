"""First solutions: which method finds one, and in which space it is explored."""

import jax
import numpy as np

from jaxsr import explore, flags
from jaxsr.methods import METHODS
from jaxsr.methods.auto import AUTO
from jaxsr.priors import Prior
from jaxsr.search import Solve
from jaxsr.types import Params


def check_method(method: str, preset: str) -> None:
    """Raises ValueError for an unknown method, or a preset that it lacks."""
    flags.choose(method, (AUTO, *METHODS), "method")
    if method != AUTO:
        flags.choose(preset, METHODS[method].Config.PRESETS, f"preset of {method}")


def space_of(
    prior: Prior, solve: Solve, params: Params, method: str, asked: str | None
) -> tuple[str, int]:
    """The space that is explored, and how many numbers its latents have. Raises ValueError, before
    any search, where the method's latent is no point of it."""
    y = jax.ShapeDtypeStruct(solve.operator.measurement_shape, np.float32)
    latent = jax.eval_shape(solve, jax.random.key(0), params, y).latent
    found = {space: _size(prior, space, params, latent) for space in explore.SPACES}
    suitable = [space for space, size in found.items() if isinstance(size, int)]
    if not suitable:
        raise ValueError(
            f"--method={method} finds no single latent to explore from: "
            + "; ".join(map(str, found.values()))
        )
    space = asked or next(name for name in ("z", "w") if name in suitable)
    size = found[space]
    if not isinstance(size, int):
        raise ValueError(f"--method={method}: {size}; it fits --space={' or '.join(suitable)}")
    return space, size


def _size(prior: Prior, space: str, params: Params, latent: dict) -> int | str:
    """How many numbers the space's latents have, or why a method's latent is no point of it."""
    try:
        start = jax.eval_shape(lambda latent: explore.start(prior, space, params, latent), latent)
    except ValueError as error:
        return str(error)
    return sum(leaf.size for leaf in jax.tree.leaves(start.latent))
