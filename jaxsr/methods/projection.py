"""What is done to a result of any method at the end: it is moved to explain its measurement, as far
as the measurement's noise lets it be trusted."""

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.degradations import quantise
from jaxsr.metrics.whiteness import LEAST_PIXELS, whiteness
from jaxsr.operators import Operator, is_image
from jaxsr.search import Conditioned, Solve
from jaxsr.types import AnyArray, Drawn, Image, Measurement, Result, Scalar

Consistency = Literal["auto", "exact", "none"]
PROBES = 64


def trusted(consistency: Consistency, noise: float) -> float:
    """The noise that `project` is to reckon with: "auto" the measurement's, "exact" none at all,
    "none" so much that nothing moves."""
    return {"auto": noise, "exact": 0.0, "none": np.inf}[consistency]


def consistent(
    operator: Operator, image: Image, y: Measurement, noise: AnyArray | float = 0.0
) -> Drawn:
    """x + A* (A A* + lambda I)^-1 (y - A x); what the measurement does not see of x stays.

    That is the image of the greatest posterior (Wiener's filter) where y = A x' + n with
    n ~ N(0, noise^2 I), x' ~ N(x, s^2 I) and lambda = noise^2 / s^2. Nobody knows s. Lambda is
    chosen by Morozov's discrepancy principle: the moved image explains y as well as the truth does,
    |y - A x|^2 / m = noise^2 of m measured numbers, and no better. The step leaves
    lambda (A A* + lambda I)^-1 of the residual; with the mean a = tr(A A*) / m in place of each
    eigenvalue of A A*, of which most operators have nearly one, that is

        lambda = a noise / (sqrt(|y - A x|^2 / m) - noise).

    An image that explains y as well already stays as it is. No noise gives lambda = 0: the nearest
    image that explains y as well as any does. (To estimate s^2 by E |y - A x|^2 / m = a s^2 +
    noise^2 moves further, into the noise where that is underestimated: LAREN on JPEGs of 8 px,
    quality 75, had then 19.9 dB and a feature distance of 4.1, and has 20.2 and 3.7.)

    Args:
        operator: A.
        image: [H, W, 3], what a method found.
        y: its measurement. What a mask hides is 0 and no measured number.
        noise: standard deviation of y's noise, of [0, 1], a scalar; infinite: nothing moves.
    """
    residual = y - operator(image)
    damping = _damping(operator, residual, jnp.asarray(noise, jnp.float32))
    moves = jnp.isfinite(damping)
    step = operator.damped(residual, jnp.where(moves, damping, 1.0))
    return jnp.where(moves, image + step, image)


def _damping(operator: Operator, residual: Measurement, noise: Scalar) -> Scalar:
    """lambda of `consistent`; infinite where the residual is no more than noise."""
    gain, seen = (_measured if operator.traced else _known)(operator)
    excess = jnp.sqrt(jnp.mean(residual**2) / seen) - noise
    damping = noise * gain / seen / jnp.maximum(excess, jnp.finfo(jnp.float32).tiny)
    return jnp.where(noise == 0, 0.0, jnp.where(excess > 0, damping, jnp.inf))


@functools.lru_cache(maxsize=32)
def _known(operator: Operator) -> tuple[float, float]:
    """`_measured` before anything runs."""
    with jax.ensure_compile_time_eval():
        gain, seen = _measured(operator)
        return float(gain), float(seen)


def _measured(operator: Operator) -> tuple[Scalar, Scalar]:
    """tr(A A*) / m, by images of random signs (Hutchinson 1990), to some 2 %; and the share of the
    numbers of a measurement that an image has a part in."""

    def power(key: jax.Array) -> jax.Array:
        return jnp.mean(
            operator(jax.random.rademacher(key, operator.image_shape, jnp.float32)) ** 2
        )

    gain = jax.lax.map(power, jax.random.split(jax.random.key(0), PROBES)).mean()
    ones = jnp.ones(operator.measurement_shape)
    seen = ones if operator.onto_range is None else operator.onto_range(ones)
    return gain, seen.mean()


def project(
    solve: Solve,
    results: Result,
    ys: np.ndarray,
    noises: float | Sequence[float] | np.ndarray,
    eps: float | Sequence[float] | np.ndarray | None = None,
) -> Result:
    """Results of `jaxsr.restore` made `consistent` with their measurements; residual and
    feasibility are then those of the images as they are written, clipped and rounded to 8 bits.

    Their latents tell "residual_before" it, unless the method projects by itself (IAGAN) and has
    told already, or nothing was to move, and the "whiteness" of what the method left of a picture
    of which nothing is hidden (what is left after the move shows nothing). One photo after the
    other: what is done to one does not depend on the others. Compiled once for an operator, or for
    a family of them: each photo is then explained by its own, as found.

    Args:
        solve: the method.
        results: of `jaxsr.restore`, with a leading axis n.
        ys: [n, ...], the measurements.
        noises: n standard deviations, or one for all (see `trusted` and `jaxsr.images.noise_of`).
        eps: n largest feasible residuals, or one for all; None: the method's.

    Raises:
        ValueError: numbers of results, measurements, noises and eps that differ, or one below 0.
    """
    levels = _each(noises, "a noise", results, ys)
    limits = _each(solve.eps if eps is None else eps, "an eps", results, ys)
    if isinstance(solve, Conditioned):
        step, theta = _compiled_for_all(solve), results.latent["operator"]
        thetas = [jax.tree.map(lambda leaf, i=i: leaf[i], theta) for i in range(len(ys))]
        found = [step(*each) for each in zip(results.image, ys, levels, thetas, strict=True)]
    else:
        step = _compiled(solve.operator)
        found = [step(*each) for each in zip(results.image, ys, levels, strict=True)]
    images, residuals, left = (
        np.stack(list(map(np.asarray, each))) for each in zip(*found, strict=True)
    )
    # Without a finite loss in the last phase the image is no solution, whatever it explains.
    searched = np.isfinite(results.trace["loss"][:, -solve.phases[-1].steps :]).any(1)
    before = {} if np.isinf(levels).all() else {"residual_before": results.residual}
    before |= {"whiteness": left} if _shows_whiteness(solve.operator) else {}
    return results._replace(
        image=images,
        latent=before | results.latent,
        residual=residuals,
        feasible=searched & (residuals <= limits),
    )


def _each(values: AnyArray | Sequence[float] | float, what: str, results: Result, ys: np.ndarray):
    """[n], one value for each result. Raises ValueError, see `project`."""
    found = np.asarray(values, np.float32)
    found = np.full(len(ys), found) if found.ndim == 0 else found
    if not len(results.image) == len(ys) == len(found) or not (found >= 0).all():
        raise ValueError(
            f"expected a measurement and {what} of at least 0 for each of {len(results.image)} "
            f"results, got {len(ys)} and {found.tolist()}"
        )
    return found


def _shows_whiteness(operator: Operator) -> bool:
    shape = operator.measurement_shape
    return operator.onto_range is None and is_image(shape) and shape[0] * shape[1] >= LEAST_PIXELS


@functools.lru_cache(maxsize=8)
def _compiled(operator: Operator) -> Callable:
    return jax.jit(functools.partial(_moved, operator))


@functools.lru_cache(maxsize=8)
def _compiled_for_all(solve: Conditioned) -> Callable:
    return jax.jit(lambda image, y, noise, theta: _moved(solve.family.make(theta), image, y, noise))


def _moved(
    operator: Operator, image: jax.Array, y: jax.Array, noise: jax.Array
) -> tuple[jax.Array, jax.Array, Scalar]:
    """The image made consistent, the residual of it as it is written, and the whiteness of what was
    left before."""
    y = y if operator.onto_range is None else operator.onto_range(y)
    moved = consistent(operator, image, y, noise)
    shows = _shows_whiteness(operator)
    left = whiteness(y - operator(image)) if shows else jnp.asarray(jnp.nan)
    return moved, jnp.mean((operator(quantise(moved)) - y) ** 2), left
