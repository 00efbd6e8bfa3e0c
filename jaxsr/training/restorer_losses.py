"""The objective of a learned restorer's training, on photos that are degraded as they are read,
around a frozen generator.

LAREN's (arXiv:2208.02861, Eq. 5; GLEAN, arXiv:2012.00739): mean squared error of images in [-1, 1],
as mmagic takes it, plus that of one deep map of a perceptual network, plus the non-saturating
adversarial term against a discriminator that begins as the prior's. With a network that is
`literal`, Eq. 5 as printed: sums instead of means, and log(1 - D).

ESRGAN's (arXiv:1809.00219, Eq. 1 to 3): mean absolute differences, and the relativistic average:
how much more real each picture is than the other kind's mean. Terms of one network alone are in
`restorer_terms`.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import softplus

from jaxsr import degradations
from jaxsr.learned import Model, Stages
from jaxsr.metrics.perceptual import deep_difference
from jaxsr.nets.discriminators import Judged
from jaxsr.nets.laren import Config as LarenConfig
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.training.restorer_config import Config
from jaxsr.training.restorer_discriminators import DISCRIMINATORS
from jaxsr.training.restorer_terms import earlier_images, matching, parsing, style
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


def staged(key: PRNGKey, bound: Bound, given: Params, params: Params, ys: jax.Array) -> Stages:
    """The same, and what else of a network is trained."""
    if bound.model.stages is None:
        return Stages(restored(key, bound, given, params, ys))
    return bound.model.stages(key, given, params, ys)


def loss(
    key: PRNGKey,
    bound: Bound,
    config: Config,
    given: Params,
    discriminator: Params,
    params: Params,
    images: Images,
) -> tuple[jax.Array, tuple[dict[str, jax.Array], Images, Params]]:
    """The objective of images [n, H, W, 3] in [0, 1]; its unweighted terms, the restored images,
    and `Stages.statistics`.

    Args:
        given: params of the prior, and "perceptual".
        discriminator: its params as they are now.
        params: of the model.
    """
    stages = staged(key, bound, given, params, measure(bound, images))
    made, weights = stages.images, weights_of(config)
    fit = functools.partial(_fit, config.pixel_fit, bound)
    terms: dict[str, jax.Array] = {name: jnp.float32(0) for name in weights}
    terms[config.pixel_fit] = fit(jnp.asarray(2 * (made - images)))
    if config.stages_weight:
        terms["stages"] = earlier_images(fit, stages.earlier, images)
    if config.parsing_weight:
        terms["parsing"] = parsing(bound.model, stages.maps, images)
    if config.perceptual_weight:
        compare = functools.partial(deep_difference(bound.network), given["perceptual"])
        differences = jax.vmap(compare)(made, images)
        terms["perceptual"] = _fit(config.perceptual_fit, bound, differences)
    if config.style_weight:
        terms["style"] = style(bound.network, given["perceptual"], made, images)
    if config.adversarial_weight:
        terms |= _judged_terms(bound, config, discriminator, made, images)
    value = jnp.sum(jnp.stack([weight * terms[name] for name, weight in weights.items()]))
    return value, (terms, made, stages.statistics)


def weights_of(config: Config) -> dict[str, float]:
    """Names of all terms with their weights."""
    return {
        config.pixel_fit: config.pixel_weight,
        "stages": config.stages_weight,
        "parsing": config.parsing_weight,
        "perceptual": config.perceptual_weight,
        "style": config.style_weight,
        "adversarial": config.adversarial_weight,
        "matching": config.matching_weight,
    }


def check_terms(model: Model, config: Config) -> None:
    """Raises ValueError for a weight of what a network does not make."""
    made = {"stages_weight": model.stages, "parsing_weight": model.parse}
    for name, part in made.items():
        if getattr(config, name) and part is None:
            what = "images" if name == "stages_weight" else "maps of classes"
            raise ValueError(
                f"{name} is of a network that makes {what} on its way, got {model.architecture}, "
                f"which makes none: take {name} 0"
            )


def is_literal(bound: Bound) -> bool:
    """Whether the objective is LAREN's Eq. 5 as printed."""
    return isinstance(bound.model.net, LarenConfig) and bound.model.net.graph.literal


def _fit(kind: str, bound: Bound, differences: jax.Array) -> jax.Array:
    """Mean of the squares or magnitudes of differences [n, ...]; of a literal objective their sum
    for each image."""
    values = differences**2 if kind == "mse" else jnp.abs(differences)
    return jnp.sum(values) / len(values) if is_literal(bound) else jnp.mean(values)


def _judged_terms(
    bound: Bound, config: Config, discriminator: Params, made: Images, images: Images
) -> dict[str, jax.Array]:
    """The terms of what the discriminator sees: it looks at each picture once, at photos only where
    a term is of them."""
    see = functools.partial(judge, bound, config, discriminator)
    fake, maps = see(made)
    terms = {"adversarial": jnp.mean(-softplus(fake) if is_literal(bound) else softplus(-fake))}
    if config.adversarial == "relativistic" or config.matching_weight:
        real, photo_maps = see(images)
        if config.adversarial == "relativistic":
            terms["adversarial"] = _relativistic(fake, real)
        if config.matching_weight:
            terms["matching"] = matching(maps, photo_maps)
    return terms


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
    fake, real = (judge(bound, config, discriminator, stack)[0] for stack in (made, images))
    if config.adversarial == "relativistic":
        return _relativistic(real, fake), jnp.sign(real - fake.mean()).mean()
    return softplus(fake).mean() + softplus(-real).mean(), jnp.sign(real).mean()


def r1(bound: Bound, config: Config, discriminator: Params, images: Images) -> jax.Array:
    """Mean over photos [n, H, W, 3] in [0, 1] of |d logit / d photo|^2, the photo being in [-1, 1]
    (Mescheder et al., arXiv:1801.04406)."""
    photos = 2 * jnp.asarray(images) - 1
    grads = jax.grad(lambda x: judge(bound, config, discriminator, 0.5 + 0.5 * x)[0].sum())(photos)
    return jnp.sum(grads**2, (1, 2, 3)).mean()


def judge(bound: Bound, config: Config, discriminator: Params, images: Images) -> Judged:
    """Logits of images [n, H, W, 3] in [0, 1], and the maps behind them."""
    row = DISCRIMINATORS[config.discriminator]
    return row.judged(bound.prior, config, discriminator, images)
