"""What the adversarial term of a learned restorer's training is taken against."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.nets import discriminators
from jaxsr.priors import Prior
from jaxsr.training.restorer_config import Config
from jaxsr.types import Images, Params, PRNGKey

# Logits [n], or one for each pixel [n, H, W], and the maps [n, r, r, c] behind them.
Judged = tuple[jax.Array, list[jax.Array]]


class Discriminator(NamedTuple):
    """A row of DISCRIMINATORS.

    Attributes:
        init: (key, prior, config, prior_params) -> params, before the first step.
        judged: (prior, config, params, images [n, H, W, 3] in [0, 1]) -> logits and maps.
    """

    init: Callable[[PRNGKey, Prior, Config, Params], Params]
    judged: Callable[[Prior, Config, Params, Images], Judged]


def _of_the_prior(key: PRNGKey, prior: Prior, config: Config, prior_params: Params) -> Params:
    if "discriminator" not in prior_params:
        raise ValueError(
            f"prior {prior.info.name!r} has no discriminator for the adversarial term: take "
            "adversarial_weight 0"
        )
    # Donated buffers of a jitted step must not alias.
    return jax.tree.map(jnp.copy, prior_params["discriminator"])


def _judged_by_the_prior(prior: Prior, config: Config, params: Params, images: Images) -> Judged:
    return prior.discriminate({"discriminator": params}, images)


def _vgg(prior: Prior, config: Config) -> discriminators.Vgg:
    return discriminators.Vgg(prior.info.resolution, config.discriminator_width)


# `Config.discriminator` -> what it stands for
DISCRIMINATORS: dict[str, Discriminator] = {
    "prior": Discriminator(_of_the_prior, _judged_by_the_prior),
    "vgg": Discriminator(
        lambda key, prior, config, prior_params: discriminators.init(key, _vgg(prior, config)),
        lambda prior, config, params, images: discriminators.judged(
            _vgg(prior, config), params, images
        ),
    ),
}
