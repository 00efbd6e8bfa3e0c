"""The objective of a learned restorer's training, on photos that are degraded as they are read,
around a frozen generator.

LAREN's (arXiv:2208.02861, Eq. 5; GLEAN, arXiv:2012.00739): mean squared error of images in [-1, 1],
as mmagic takes it, plus that of one deep map of a perceptual network, plus the non-saturating
adversarial term against a discriminator that begins as the prior's. With a network that is
`literal`, Eq. 5 as printed: sums instead of means, and log(1 - D).

ESRGAN's (arXiv:1809.00219, Eq. 1 to 3): mean absolute differences, and the relativistic average:
how much more real each picture is than the other kind's mean.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import softplus

from jaxsr import degradations
from jaxsr.learned import Model
from jaxsr.metrics.perceptual import deep_difference
from jaxsr.nets.laren import Config as LarenConfig
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.training.restorer_config import Config
from jaxsr.training.restorer_discriminators import DISCRIMINATORS
from jaxsr.types import Images, Params, PRNGKey


class Bound(NamedTuple):
    """What is trained, for what, and the network of the perceptual term ("vgg" or "features")."""

    model: Model
    prior: Prior
    operator: Operator
    network: str


def measure(bound: Bound, images: Images) -> jax.Array:
    """What a camera gives of images [n, H, W, 3] in [0, 1]: the operator's measurements, rounded to
    8 bits."""
    return jax.vmap(lambda image: degradations.recorded(bound.operator(image)))(images)


def restored(key: PRNGKey, bound: Bound, given: Params, params: Params, ys: jax.Array) -> jax.Array:
    """Images [n, H, W, 3] of measurements [n, ...], each with noise of its own."""
    keys = jax.random.split(key, len(ys))
    return jax.vmap(lambda key, y: bound.model.restore(key, given, params, y)[0])(keys, ys)


def loss(
    key: PRNGKey,
    bound: Bound,
    config: Config,
    given: Params,
    discriminator: Params,
    params: Params,
    images: Images,
) -> tuple[jax.Array, tuple[dict[str, jax.Array], Images]]:
    """The objective of images [n, H, W, 3] in [0, 1]; its unweighted terms and the restored images.

    Args:
        given: params of the prior, and "perceptual".
        discriminator: its params as they are now.
        params: of the model.
    """
    made = restored(key, bound, given, params, measure(bound, images))
    terms = {
        config.pixel_fit: _fit(config.pixel_fit, bound, 2 * (made - images)),
        "perceptual": jnp.float32(0),
        "adversarial": jnp.float32(0),
    }
    if config.perceptual_weight:
        compare = functools.partial(deep_difference(bound.network), given["perceptual"])
        differences = jax.vmap(compare)(made, images)
        terms["perceptual"] = _fit(config.perceptual_fit, bound, differences)
    if config.adversarial_weight:
        terms["adversarial"] = _adversarial(bound, config, discriminator, made, images)
    value = (
        config.pixel_weight * terms[config.pixel_fit]
        + config.perceptual_weight * terms["perceptual"]
        + config.adversarial_weight * terms["adversarial"]
    )
    return value, (terms, made)


def is_literal(bound: Bound) -> bool:
    """Whether the objective is LAREN's Eq. 5 as printed."""
    return isinstance(bound.model.net, LarenConfig) and bound.model.net.graph.literal


def _fit(kind: str, bound: Bound, differences: jax.Array) -> jax.Array:
    """Mean of the squares or magnitudes of differences [n, ...]; of a literal objective their sum
    for each image."""
    values = differences**2 if kind == "mse" else jnp.abs(differences)
    return jnp.sum(values) / len(values) if is_literal(bound) else jnp.mean(values)


def _adversarial(
    bound: Bound, config: Config, discriminator: Params, made: Images, images: Images
) -> jax.Array:
    """What the network pays for pictures that the discriminator tells from photos."""
    fake = judge(bound, config, discriminator, made)
    if config.adversarial == "relativistic":
        return _relativistic(fake, judge(bound, config, discriminator, images))
    return jnp.mean(-softplus(fake) if is_literal(bound) else softplus(-fake))


def _relativistic(more: jax.Array, less: jax.Array) -> jax.Array:
    """ESRGAN's loss of logits [n] that should be above the mean of the others, and of the others,
    which should be below the mean of these."""
    above, below = more - less.mean(), less - more.mean()
    return (softplus(-above).mean() + softplus(below).mean()) / 2


def discriminator_loss(
    bound: Bound, config: Config, discriminator: Params, made: Images, images: Images
) -> tuple[jax.Array, jax.Array]:
    """Mean of softplus(D(restored)) + softplus(-D(photo)), or the relativistic average; and the
    mean sign of the photos' logits, less the mean of the restored ones' where that is relative."""
    fake, real = (judge(bound, config, discriminator, stack) for stack in (made, images))
    if config.adversarial == "relativistic":
        return _relativistic(real, fake), jnp.sign(real - fake.mean()).mean()
    return softplus(fake).mean() + softplus(-real).mean(), jnp.sign(real).mean()


def r1(bound: Bound, config: Config, discriminator: Params, images: Images) -> jax.Array:
    """Mean over photos [n, H, W, 3] in [0, 1] of |d logit / d photo|^2, the photo being in [-1, 1]
    (Mescheder et al., arXiv:1801.04406)."""
    photos = 2 * jnp.asarray(images) - 1
    grads = jax.grad(lambda x: judge(bound, config, discriminator, 0.5 + 0.5 * x).sum())(photos)
    return jnp.sum(grads**2, (1, 2, 3)).mean()


def judge(bound: Bound, config: Config, discriminator: Params, images: Images) -> jax.Array:
    """Logits [n] of images [n, H, W, 3] in [0, 1]."""
    row = DISCRIMINATORS[config.discriminator]
    return row.logits(bound.prior, config, discriminator, images)
