"""How different the solutions of one measurement are from each other."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxsr.metrics.lpips import heads, unit_features
from jaxsr.types import Image, Params, Scalar

AnyImages = Float[Array, "..."] | Float[np.ndarray, "..."]


def _check(images: AnyImages) -> None:
    if images.ndim != 4 or images.shape[-1] != 3 or len(images) < 2:
        raise ValueError(f"expected images [n >= 2, h, w, 3], got {list(images.shape)}")


def mean_pairwise(distance: Callable[[Image, Image], Scalar], images: AnyImages) -> Scalar:
    """Mean of a symmetric distance over the n (n - 1) / 2 pairs of images [n, h, w, 3], one pair
    after the other.

    Raises:
        ValueError: not [n >= 2, h, w, 3].
    """
    _check(images)
    images = jnp.asarray(images)
    first, second = np.triu_indices(len(images), 1)
    pairs = jnp.stack([jnp.asarray(first), jnp.asarray(second)], -1)
    return jnp.mean(jax.lax.map(lambda pair: distance(images[pair[0]], images[pair[1]]), pairs))


def diversity(params: Params, images: AnyImages) -> Scalar:
    """Mean LPIPS over all pairs of images [n, h, w, 3] in [0, 1] (as BicycleGAN, arXiv:1711.11586);
    0 if all are equal.

    LPIPS is a weighted squared distance of features, and the squared distances of all pairs sum to
    n times those from the mean. So each image passes the network once, and a running mean and sum
    of squares (Welford 1962) keep the memory at that of a few images' features.

    Args:
        params: as in `lpips`.
        images: n >= 2 solutions of one measurement.

    Raises:
        ValueError: not [n >= 2, h, w, 3], or as `lpips`.
    """
    _check(images)
    images = jnp.asarray(images)
    weights = heads(params)

    def add(carry: tuple, image: Image) -> tuple[tuple, None]:
        count, means, total = carry
        count, maps = count + 1.0, unit_features(params, image)
        new = [mean + (f - mean) / count for mean, f in zip(means, maps, strict=True)]
        terms = zip(weights, maps, means, new, strict=True)
        squares = [
            jnp.mean(jnp.sum(head * (f - before) * (f - after), -1))
            for head, f, before, after in terms
        ]
        return (count, new, total + jnp.sum(jnp.stack(squares))), None

    means = [jnp.zeros(f.shape, f.dtype) for f in jax.eval_shape(unit_features, params, images[0])]
    (count, _, total), _ = jax.lax.scan(add, (jnp.zeros(()), means, jnp.zeros(())), images)
    return 2.0 * total / (count - 1.0)
