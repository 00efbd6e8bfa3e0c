"""What the adversarial term of a learned restorer's training is taken against."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsr import weights
from jaxsr.nets import discriminators
from jaxsr.nets.discriminators import Judged
from jaxsr.priors import Prior
from jaxsr.training.restorer_config import Config
from jaxsr.types import Images, Params, PRNGKey

BEGUN = "begun_discriminator"  # of params: what a discriminator begins as


class Discriminator(NamedTuple):
    """A row of DISCRIMINATORS.

    Attributes:
        init: (key, prior, config, prior_params) -> params, before the first step.
        judged: (prior, config, params, images [n, H, W, 3] in [0, 1]) -> logits and maps.
        refreshed: (params) -> params, before each of its steps.
    """

    init: Callable[[PRNGKey, Prior, Config, Params], Params]
    judged: Callable[[Prior, Config, Params, Images], Judged]
    refreshed: Callable[[Params], Params] = lambda params: params


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


def _unet(config: Config) -> discriminators.UNet:
    return discriminators.UNet(config.discriminator_width)


def _begun_unet(key: PRNGKey, prior: Prior, config: Config, prior_params: Params) -> Params:
    """As a converted one where there is one."""
    if BEGUN in prior_params:
        return jax.tree.map(jnp.copy, prior_params[BEGUN])
    return discriminators.init(key, _unet(config))


def load(folder: str | Path, config: Config) -> Params:
    """{BEGUN: the params of a converted discriminator}, to join the prior's.

    Raises:
        ValueError: no such folder, or of another network; another discriminator is to be trained.
    """
    params, record = weights.load(folder)
    expected = {"architecture": discriminators.UNET, "discriminator": "unet"}
    got = {"architecture": record.get("architecture"), "discriminator": config.discriminator}
    for name, value in expected.items():
        if got[name] != value:
            raise ValueError(
                f"{folder}: expected {name} {value!r}, for one that begins from a folder, got "
                f"{got[name]!r}"
            )
    width = record["net"]["width"]
    if width != config.discriminator_width:
        raise ValueError(
            f"{folder}: expected a discriminator of width {config.discriminator_width}, got one of "
            f"width {width}: take discriminator_width {width}"
        )
    return {BEGUN: params}


# `Config.discriminator` -> what it stands for
DISCRIMINATORS: dict[str, Discriminator] = {
    "prior": Discriminator(_of_the_prior, _judged_by_the_prior),
    "vgg": Discriminator(
        lambda key, prior, config, prior_params: discriminators.init(key, _vgg(prior, config)),
        lambda prior, config, params, images: discriminators.judged(
            _vgg(prior, config), params, images
        ),
    ),
    "unet": Discriminator(
        _begun_unet,
        lambda prior, config, params, images: discriminators.judged(_unet(config), params, images),
        discriminators.iterated,
    ),
}
