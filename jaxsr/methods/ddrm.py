"""DDRM (Kawar et al., NeurIPS 2022, arXiv:2201.11793): a diffusion model's steps, with what the
photo tells put in place of what the network guesses, each singular direction by its own noise.

After bahjat-kawar/ddrm (MIT).
"""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.diffusion import Chain, Denoise, Draw, clean
from jaxsr.methods import _diffusion
from jaxsr.operators import Operator, Spectrum, spectrum
from jaxsr.priors import Prior
from jaxsr.search import Solve
from jaxsr.settings import Presets
from jaxsr.types import Scalar

PAPER = {"steps": 20, "noise": 0.0, "eta": 0.85, "eta_b": 1.0, "eps": 2e-3}


@dataclasses.dataclass(frozen=True)
class DDRM(_diffusion.Sampling):
    """Settings of DDRM.

    Attributes:
        eta_b: share of the photo in a step where its noise is below the step's, at most 1.
    """

    eta_b: float | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER}


class Rule(NamedTuple):
    """How much of the photo and of fresh noise a step takes, see `DDRM`; `noise` on [-1, 1]."""

    noise: Scalar | float = 0.0
    eta: float = 0.85
    eta_b: float = 1.0


def ddrm(prior: Prior, operator: Operator, config: DDRM = DDRM()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {}: a sample of what the photo may show.

    The prior tells the size alone; params need "diffusion" (`jaxsr.diffusion.load`), and may have
    "photo_noise", a scalar that counts in place of the setting `noise`. The operator needs a
    singular value decomposition: its own, or that of its matrix (see `jaxsr.operators.spectrum`).
    The image is clipped to [0, 1]. The trace is the residual.

    Raises:
        ValueError: the prior's images are not the operator's, no model for them, an operator
            without a decomposition, a share above 1; at solve time if params has no "diffusion", or
            y has the wrong shape.
    """

    def sampler(settings: Any) -> _diffusion.AtNoise:
        whole = spectrum(operator)

        def at_noise(noise: Scalar | float) -> _diffusion.Sampler:
            rule = Rule(2 * noise, settings.eta, settings.eta_b)
            return functools.partial(sampled, whole=whole, rule=rule)

        return at_noise

    return _diffusion.solve(prior, operator, config, DDRM, sampler)


def sampled(
    denoise: Denoise, chain: Chain, draw: Draw, y: jax.Array, *, whole: Spectrum, rule: Rule
) -> jax.Array:
    """An image [h, w, 3] in [-1, 1].

    In x / sqrt(alpha-bar), whose noise has deviation sigma, and in the basis of the singular
    vectors (Eq. 4 to 8). The last step's guess at the image is the result.

    Args:
        denoise: (noisy image, step) -> noise.
        chain: the steps to visit.
        draw: (n) -> standard normal noise, another for each n.
        y: what the operator measured, plus noise, of an image in [-1, 1].
        whole: the operator's decomposition.
        rule: the noise's deviation, and shares.
    """
    sigmas = np.sqrt((1 - chain.kept) / chain.kept)
    told = _Told(whole, y, rule)

    def step(x, now):
        n, at, kept, following = now
        noise = denoise(x * jnp.sqrt(kept), at)
        guess = clean(x * jnp.sqrt(kept), noise, kept)
        return told.moved(guess, noise, draw(n), following), None

    start = told.begun(draw(jnp.int32(0)), sigmas[0])
    numbers = np.arange(1, len(sigmas), dtype=np.int32)
    visits = (numbers, chain.steps[:-1], chain.kept[:-1], sigmas[1:])
    x, _ = jax.lax.scan(step, start, jax.tree.map(jnp.asarray, visits))
    last = x * jnp.sqrt(chain.kept[-1])
    return clean(last, denoise(last, jnp.asarray(chain.steps[-1])), jnp.asarray(chain.kept[-1]))


class _Told:
    """What a photo tells of the noisy images of a chain, in each direction."""

    def __init__(self, spectrum: Spectrum, y: jax.Array, rule: Rule):
        self.spectrum, self.rule = spectrum, rule
        self.seen = spectrum.values > 0
        # What is not seen is divided by 1, and not taken: 0 would make NaN of its gradient.
        values = np.where(self.seen, spectrum.values, 1.0)
        self.deviation = jnp.asarray(rule.noise / values, jnp.float32)
        self.coefficients = spectrum.measured(y) / values

    def begun(self, draw: jax.Array, sigma: np.float32) -> jax.Array:
        """The noisiest image (Eq. 4), over sqrt(alpha-bar)."""
        known = self.seen & (self.deviation < sigma)
        spread = jnp.sqrt(jnp.maximum(sigma**2 - self.deviation**2, 0))
        value = self.coefficients + spread * self.spectrum.into(draw)
        return self._with(sigma * draw, known, value)

    def moved(
        self, guess: jax.Array, noise: jax.Array, draw: jax.Array, sigma: jax.Array
    ) -> jax.Array:
        """The image at `sigma` after a guess at the image and at the noise (Eq. 5), over
        sqrt(alpha-bar)."""
        eta, share = self.rule.eta, self.rule.eta_b
        faded, fresh = np.sqrt(1 - eta**2) * sigma, eta * sigma
        into = self.spectrum.into
        guessed, drawn = into(guess), into(draw)
        unseen = guess + faded * noise + fresh * draw
        ratio = (self.coefficients - guessed) / jnp.maximum(self.deviation, 1e-12)
        less_noisy = guessed + faded * ratio + fresh * drawn
        spread = jnp.sqrt(jnp.maximum(sigma**2 - (share * self.deviation) ** 2, 0))
        noisier = (1 - share) * guessed + share * self.coefficients + spread * drawn
        value = jnp.where(sigma > self.deviation, noisier, less_noisy)
        return self._with(unseen, self.seen & (sigma != self.deviation), value)

    def _with(self, image: jax.Array, where: jax.Array | np.ndarray, value: jax.Array) -> jax.Array:
        """The image with other coefficients where that is said."""
        change = jnp.where(where, value - self.spectrum.into(image), 0.0)
        return image + self.spectrum.back(change)
