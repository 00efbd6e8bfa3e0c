"""What the curves of a prior's training tell of it: distances of its samples from the photos."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.metrics.features import load_features
from jaxsr.metrics.frechet import frechet_distance
from jaxsr.metrics.kernel import kernel_distance
from jaxsr.training.augment import symmetric

DISTANCES = {"frechet": frechet_distance, "kernel": kernel_distance}
CHUNK = 64  # images at once


def distances(
    made: np.ndarray, photos: np.ndarray, *, symmetry: str, seed: int
) -> dict[str, float]:
    """The DISTANCES of samples [n, r, r, 3] in [0, 1] from n of the photos, uint8, under their
    symmetry, in the bundled feature network: rulers for a curve, not FID or KID."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(photos))[: len(made)])
    real = symmetric(rng, photos[chosen], symmetry) / np.float32(255)
    sets = _features(made), _features(real)
    return {name: distance(*sets) for name, distance in DISTANCES.items()}


def _features(stack: np.ndarray) -> np.ndarray:
    chunks = [stack[i : i + CHUNK] for i in range(0, len(stack), CHUNK)]
    return np.concatenate([np.asarray(_vectors()(chunk)) for chunk in chunks])


@functools.cache
def _vectors() -> Callable[[np.ndarray], jax.Array]:
    net, params = load_features()
    vectors = jax.jit(jax.vmap(net.vector, (None, 0)))
    return lambda stack: vectors(params, jnp.asarray(stack))
