"""What a generator gets of the numbers that LAREN's network makes: codes, styles and maps in units
of its own latent space and noise."""

import jax
import jax.numpy as jnp

from jaxsr.nets import laren
from jaxsr.priors import Prior, tile
from jaxsr.types import Noise, Params

# What a map of LAREN's counts for at least, of a generator's feature maps, whose numbers are about
# 1. Priors learn to all but shut some of their noise inputs (pbc64 has strengths of 2e-5).
LEAST_STRENGTH = 0.1


def maps_as_noise(net: laren.Config, prior_params: Params, maps: Noise) -> Noise:
    """What the generator gets in place of noise: the network's maps, enlarged where their layer has
    a smaller noise strength than `LEAST_STRENGTH`."""
    if net.graph.literal:
        return maps
    strengths = noise_strengths(prior_params)[: len(maps)]
    return tuple(
        one * (LEAST_STRENGTH / jnp.clip(strength, 1e-12, LEAST_STRENGTH))
        for one, strength in zip(maps, strengths, strict=True)
    )


def noise_strengths(params: Params) -> list[jax.Array]:
    """What a style-based generator multiplies each of its noise maps with, coarsest first; of
    several channels' the root mean square."""
    found = {
        (int(block.removeprefix("b")), layer): jnp.sqrt(jnp.mean(leaves["noise_strength"] ** 2))
        for block, layers in params["synthesis"].items()
        for layer, leaves in layers.items()
        if isinstance(leaves, dict) and "noise_strength" in leaves
    }
    return [found[key] for key in sorted(found)]


def style_statistics(
    prior: Prior, params: Params
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Mean and standard deviation of the styles {path: [c]}, which are affine in w, as if the
    dimensions of w were independent of each other."""
    w_mean, w_std = params["statistics"]["w_mean"], params["statistics"]["w_std"]

    def styles(w: jax.Array) -> dict[str, jax.Array]:
        return prior.styles(params, tile(prior, w))

    mean = styles(w_mean)
    moved = jax.vmap(lambda step: styles(w_mean + step))(jnp.diag(w_std))
    return mean, {path: jnp.sqrt(jnp.sum((moved[path] - mean[path]) ** 2, 0)) for path in mean}


def as_w_plus(
    net: laren.Config, prior: Prior, prior_params: Params, latent: jax.Array
) -> jax.Array:
    """The codes [num_layers, w_dim] that the generator gets for a network's latent in any space but
    styles."""
    if net.space == "g" and net.graph.literal:
        return tile(prior, latent)
    statistics = prior_params["statistics"]
    return tile(prior, statistics["w_mean"] + statistics["w_std"] * latent)
