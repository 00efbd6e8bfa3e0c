"""DDNM and, under noise, DDNM+ (Wang et al., ICLR 2023, arXiv:2212.00490): at each step of a
diffusion the part of the guess that the photo tells is taken from the photo.

After wyhuai/DDNM (MIT). DDNM+ weighs each singular direction by min(1, ...), which takes a singular
value decomposition. Here the weight is s^2 / (s^2 + delta): the operator's damped inverse gives it,
whatever the operator is.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.diffusion import Chain, Denoise, Draw, clean
from jaxsr.methods import _diffusion
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.search import Solve
from jaxsr.settings import Presets
from jaxsr.types import Scalar

PAPER = {"steps": 100, "noise": 0.0, "eta": 0.85, "eps": 2e-3}


@dataclasses.dataclass(frozen=True)
class DDNM(_diffusion.Sampling):
    """Settings of DDNM; without noise the result explains the photo exactly, but for what is
    clipped."""

    PRESETS: ClassVar[Presets] = {"paper": PAPER}


def ddnm(prior: Prior, operator: Operator, config: DDNM = DDNM()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {}: a sample of what the photo may show.

    The prior tells the size alone; params need "diffusion" (`jaxsr.diffusion.load`), and may have
    "photo_noise", a scalar above 0 that counts in place of the setting `noise`. Any operator will
    do. The image is clipped to [0, 1]. The trace is the residual.

    Raises:
        ValueError: the prior's images are not the operator's, no model for them, a share above 1;
            at solve time if params has no "diffusion", or y has the wrong shape.
    """

    def sampler(settings: Any) -> _diffusion.AtNoise:
        given = {"operator": operator, "eta": settings.eta}

        def at_noise(noise: Scalar | float) -> _diffusion.Sampler:
            if isinstance(noise, float | int) and not noise:
                return functools.partial(exact, **given)
            return functools.partial(noisy, **given, noise=2 * noise)

        return at_noise

    return _diffusion.solve(prior, operator, config, DDNM, sampler)


def exact(
    denoise: Denoise, chain: Chain, draw: Draw, y: jax.Array, *, operator: Operator, eta: float
) -> jax.Array:
    """An image [h, w, 3] in [-1, 1] that the operator makes y of (Eq. 13, 14 and DDIM's noise).

    Args:
        denoise: (noisy image, step) -> noise.
        chain: the steps to visit.
        draw: (n) -> standard normal noise, another for each n.
        y: of an image in [-1, 1].
        operator: what measured.
        eta: share of fresh noise.
    """

    def corrected(guess: jax.Array) -> jax.Array:
        return guess + operator.pinv(y - operator.apply(guess))

    def moved(guess, predicted, n, following):
        mixed = np.sqrt(1 - eta**2) * predicted + eta * draw(n)
        return jnp.sqrt(following) * corrected(guess) + jnp.sqrt(1 - following) * mixed

    return corrected(_run(denoise, chain, draw, moved))


def noisy(
    denoise: Denoise,
    chain: Chain,
    draw: Draw,
    y: jax.Array,
    *,
    operator: Operator,
    eta: float,
    noise: Scalar | float,
) -> jax.Array:
    """As `exact`, of a y with normal noise of deviation `noise` > 0.

    With a = sqrt(alpha-bar), c = sqrt(1 - alpha-bar) of the step to come and
    delta = (a noise / c)^2 / 2, let D be the damped inverse, q = D A, p = I - q, and P project on
    what the photo does not tell. The step goes to

        a (x + D (y - A x)) + c (P (sqrt(1 - eta^2) predicted + eta z) + (I - P) p z + q z').

    The noise of y comes in as a D noise, of covariance 2 c^2 p q, so that the whole noise is
    c^2 (2 p q + p^2 + q^2) = c^2 I where the photo tells, and c^2 I elsewhere: the paper's first
    principle (section 3.3). The predicted noise, in which that of y has come in before, has no part
    where the photo tells, as in the paper's general form. The weight s^2 / (s^2 + delta) is near 1
    as long as the first principle leaves room: the second. The last guess is the result.
    """

    def moved(guess, predicted, n, following):
        kept, spread = jnp.sqrt(following), jnp.sqrt(1 - following)
        damping = 0.5 * (kept * noise / spread) ** 2
        z, other = draw(2 * n), draw(2 * n + 1)
        told = guess + operator.damped(y - operator.apply(guess), damping)
        fresh = z + operator.damped(operator.apply(other - z), damping)  # p z + q z'
        mixed = np.sqrt(1 - eta**2) * predicted - (1 - eta) * z
        unseen = mixed - operator.pinv(operator.apply(mixed))
        return kept * told + spread * (fresh + unseen)

    return _run(denoise, chain, draw, moved)


def _run(denoise: Denoise, chain: Chain, draw: Draw, moved: Callable) -> jax.Array:
    """The last guess at the image; moved(guess, noise, n, alpha-bar to come) -> noisy image."""

    def step(image, now):
        n, at, kept, following = now
        predicted = denoise(image, at)
        return moved(clean(image, predicted, kept), predicted, n, following), None

    numbers = np.arange(1, len(chain.steps), dtype=np.int32)
    visits = (numbers, chain.steps[:-1], chain.kept[:-1], chain.kept[1:])
    image, _ = jax.lax.scan(step, draw(jnp.int32(0)), jax.tree.map(jnp.asarray, visits))
    return clean(image, denoise(image, jnp.asarray(chain.steps[-1])), jnp.asarray(chain.kept[-1]))
