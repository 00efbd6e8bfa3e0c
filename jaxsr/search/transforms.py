"""What the searches add to optax: a schedule, projections, and PULSE's change of variables for
w."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxsr.types import Noise


def linear1cycle(peak: float, steps: int) -> optax.Schedule:
    """PULSE's other schedule: up from peak / 10 to `peak` at half the steps, and back."""
    return lambda count: peak * (9 * (1 - jnp.abs(2 * count / steps - 1)) + 1) / 10


def linear1cycledrop(peak: float, steps: int) -> optax.Schedule:
    """PULSE's schedule (released code, arXiv:2003.03808): up from peak / 10 to `peak` and back over
    90 % of the steps, then to peak / 1000.

    With x = count / steps the factor of `peak` is (9 (1 - |2x/0.9 - 1|) + 1) / 10 for x < 0.9, then
    linear from 1/10 to 1/1000 at x = 1.
    """

    def schedule(count):
        x = count / steps
        cycle = (9 * (1 - jnp.abs(2 * x / 0.9 - 1)) + 1) / 10
        drop = 0.1 + (x - 0.9) / 0.1 * (0.001 - 0.1)
        return peak * jnp.where(x < 0.9, cycle, drop)

    return schedule


def norm(x: Float[Array, "..."], axis: int | tuple[int, ...] = -1) -> Float[Array, "..."]:
    """Euclidean norm over `axis`, which is kept with size 1; (-2, -1) for a noise map."""
    return jnp.sqrt(jnp.sum(x**2, axis, keepdims=True))


def project_to_sphere(
    x: Float[Array, "..."], radius: Float[Array, "..."], axis: int | tuple[int, ...] = -1
) -> Float[Array, "..."]:
    """Rescales x to the given norm over `axis`, PULSE's step back to the sphere; a zero vector
    stays zero."""
    return x * (radius / jnp.maximum(norm(x, axis), jnp.finfo(x.dtype).tiny))


def project_l1_ball(x: Float[Array, "... d"], radius: float | jax.Array) -> Float[Array, "... d"]:
    """The nearest point to x with sum |x_i| <= radius, for each row (last axis).

    Duchi et al., ICML 2008: the magnitudes are lowered by the threshold t with sum max(|x_i| - t,
    0) = radius, which is the largest over k of (sum of the k largest magnitudes - radius) / k; t <=
    0 means that x is inside.
    """
    magnitude = jnp.abs(x)
    largest_first = jnp.flip(jnp.sort(magnitude, axis=-1), axis=-1)
    count = jnp.arange(1, x.shape[-1] + 1)
    threshold = jnp.max(
        (jnp.cumsum(largest_first, axis=-1) - radius) / count, axis=-1, keepdims=True
    )
    return jnp.sign(x) * jnp.maximum(magnitude - jnp.maximum(threshold, 0), 0)


def renormalise_noise(noise: Noise) -> Noise:
    """Each map [r, r] shifted and scaled to mean 0 and standard deviation 1 (of its own pixels); a
    constant map becomes zero."""

    def renormalise(map):
        centred = map - map.mean()
        return centred / jnp.sqrt(jnp.maximum(jnp.mean(centred**2), jnp.finfo(map.dtype).tiny))

    return tuple(renormalise(map) for map in noise)


def unwhiten(
    v: Float[Array, "... d"], mean: Float[Array, " d"], std: Float[Array, " d"]
) -> Float[Array, "... d"]:
    """w = LeakyReLU_0.2(v std + mean) with statistics "white_mean" and "white_std": PULSE's w of a
    standard normal v (arXiv:2003.03808)."""
    return jax.nn.leaky_relu(v * std + mean, 0.2)


def whiten(
    w: Float[Array, "... d"], mean: Float[Array, " d"], std: Float[Array, " d"]
) -> Float[Array, "... d"]:
    """The inverse of `unwhiten`: v = (LeakyReLU_5(w) - mean) / std; 0 where a dimension of w never
    varies (std 0)."""
    return jnp.where(
        std > 0, (jax.nn.leaky_relu(w, 5.0) - mean) / jnp.where(std > 0, std, 1.0), 0.0
    )
