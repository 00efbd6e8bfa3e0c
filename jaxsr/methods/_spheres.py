"""The search on spheres that PULSE and RLSE share: v, the whitened w+, and noise maps, each put
back on its sphere after every step."""

import math
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from jaxsr.priors import Prior, tile
from jaxsr.search import transforms
from jaxsr.types import Params, PRNGKey


@runtime_checkable
class Settings(Protocol):
    """Settings of PULSE and of RLSE that rule the search, resolved; see PULSE."""

    steps: int
    learning_rate: float
    schedule: str
    tile_latent: bool
    noise: str
    num_noise: int
    bad_noise_layer: int
    radius: str


SETTINGS = {
    "steps": 100,
    "learning_rate": 0.4,
    "schedule": "linear1cycledrop",
    "tile_latent": False,
    "noise": "trainable",
    "num_noise": 5,
    "bad_noise_layer": 17,
    "eps": 2e-3,
}
SCHEDULES = {
    "fixed": lambda peak, steps: optax.constant_schedule(peak),
    "linear1cycle": transforms.linear1cycle,
    "linear1cycledrop": transforms.linear1cycledrop,
}


def start(prior: Prior, config: Settings, key: PRNGKey, params: Params) -> tuple[dict, dict]:
    """Variables {"v" [L, d] or, tiled, [1, d], "noise"} and context {"noise" (the fixed rest),
    "radii"}; v is standard normal."""
    key_v, key_noise = jax.random.split(key)
    v = jax.random.normal(
        key_v, (1 if config.tile_latent else prior.info.num_layers, prior.info.w_dim)
    )
    if config.radius == "sqrt_d":
        v = transforms.project_to_sphere(v, jnp.asarray(math.sqrt(prior.info.w_dim)))
    maps = prior.noise("none" if config.noise == "zero" else "random", params, key_noise)
    maps = tuple(
        jnp.zeros_like(map) if i == config.bad_noise_layer else map for i, map in enumerate(maps)
    )
    count = config.num_noise if config.noise == "trainable" else 0
    radii = {
        "v": transforms.norm(v),
        "noise": tuple(transforms.norm(map, (-2, -1)) for map in maps[:count]),
    }
    return {"v": v, "noise": maps[:count]}, {"noise": maps[count:], "radii": radii}


def decode(prior: Prior, params: Params, variables: dict, context: dict) -> tuple[jax.Array, dict]:
    """The image and its latent {"w_plus", "noise"}: w = LeakyReLU_0.2(v std + mean)."""
    w = transforms.unwhiten(
        variables["v"], params["statistics"]["white_mean"], params["statistics"]["white_std"]
    )
    latent = {"w_plus": tile(prior, w), "noise": variables["noise"] + context["noise"]}
    return prior.synthesize(params, latent["w_plus"], latent["noise"]), latent


def project(context: dict, variables: dict) -> dict:
    """Each row of v and each searched noise map back to the norm that it started with; other
    variables stay."""
    radii = context["radii"]
    noise = (
        transforms.project_to_sphere(map, r, (-2, -1))
        for map, r in zip(variables["noise"], radii["noise"], strict=True)
    )
    return {
        **variables,
        "v": transforms.project_to_sphere(variables["v"], radii["v"]),
        "noise": tuple(noise),
    }


def adam(config: Settings) -> optax.GradientTransformation:
    """Adam with the chosen schedule of the step size."""
    return optax.adam(SCHEDULES[config.schedule](config.learning_rate, config.steps))
