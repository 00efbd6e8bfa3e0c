"""Perceptual terms of the searches: published LPIPS with VGG-16, or the feature network that comes
with the package.

Their parameters are a tree like the prior's, params["perceptual"], which `networks` loads for a
config.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr import metrics
from jaxsr.metrics import networks as published
from jaxsr.types import Image, Params, Scalar


class Perceptual(NamedTuple):
    """Distances of two images [h, w, 3] in [0, 1], each (params, x, ref) -> scalar.

    Attributes:
        distance: LPIPS, or the bundled network's feature distance.
        l1: mean absolute difference of one map: of VGG-16 after relu3_3, of the bundled network
            after its third stage.
    """

    distance: Callable[[Params, Image, Image], Scalar]
    l1: Callable[[Params, Image, Image], Scalar]


def perceptual(network: str) -> Perceptual:
    """The distances of `network`, "vgg" or "features". Given the parameters of the other they raise
    ValueError."""
    if network == "vgg":
        return Perceptual(*(_checked(distance, network) for distance in (metrics.lpips, _vgg_l1)))
    net, _ = metrics.load_features()

    def l1(params: Params, x: Image, ref: Image) -> Scalar:
        return jnp.mean(jnp.abs(net.maps(params, x)[2] - net.maps(params, ref)[2]))

    def distance(params: Params, x: Image, ref: Image) -> Scalar:
        return metrics.feature_distance(net, params, x, ref)

    return Perceptual(_checked(distance, network), _checked(l1, network))


def deep_difference(network: str) -> Callable[[Params, Image, Image], jax.Array]:
    """The difference [r, r', c] of one deep map of `network`, "vgg" (conv4_3 before its ReLU,
    mmagic's layer 21) or "features" (after its fourth stage): the perceptual term of learned
    restorers. VGG gets images in [-1, 1], as GLEAN's release feeds it (there with
    `use_input_norm` and without `norm_img`), which is about four times the term of [0, 1]."""
    if network == "vgg":
        return _checked(_vgg_difference, network)
    net, _ = metrics.load_features()
    return _checked(
        lambda params, x, ref: net.maps(params, x)[3] - net.maps(params, ref)[3], network
    )


def _checked(distance: Callable, network: str) -> Callable:
    def compare(params: Params, x: Image, ref: Image) -> jax.Array:
        found = "vgg" if "vgg" in params else "features"
        if found != network:
            raise ValueError(
                f'expected params["perceptual"] of network {network!r}, got {found!r}: take '
                "jaxsr.methods.networks(config)"
            )
        return distance(params, x, ref)

    return compare


VGG_LEAST = 16  # px; below, its last map is empty


def check_side(method: str, network: str, side: int) -> None:
    """Raises ValueError if what a method shows to its network is smaller than that takes."""
    if network == "vgg" and side < VGG_LEAST:
        least = (
            f'method {method} with network "vgg" needs at least {VGG_LEAST} px a side, got {side}'
        )
        raise ValueError(f'{least}: take network "features" (--network=features)')


def _vgg_l1(params: Params, x: Image, ref: Image) -> Scalar:
    from jaxsr.nets import vgg16

    maps = [
        jax.nn.relu(vgg16.convolutions(params["vgg"]["backbone"], image)["conv3_3"])
        for image in (x, ref)
    ]
    return jnp.mean(jnp.abs(maps[0] - maps[1]))


def _vgg_difference(params: Params, x: Image, ref: Image) -> jax.Array:
    from jaxsr.nets import vgg16

    backbone = params["vgg"]["backbone"]
    maps = [vgg16.convolutions(backbone, 2 * image - 1)["conv4_3"] for image in (x, ref)]
    return maps[0] - maps[1]


def networks(config: Any) -> Params:
    """The trees that a method with this resolved config needs besides the prior's: {"perceptual":
    ...} or {}.

    Raises:
        ValueError: the config is not resolved; or the published weights are not on this machine:
            which file to fetch, from where, and where it goes.
    """
    if not hasattr(config, "network"):
        return {}
    return load(config.network)


def load(network: str | None) -> Params:
    """{"perceptual": the tree of that network}. Raises ValueError as `networks`."""
    if network is None:
        raise ValueError(
            "expected a resolved config, got one without a network: take "
            "jaxsr.settings.resolve(config, operator)"
        )
    if network == "features":
        return {"perceptual": metrics.load_features()[1]}
    try:
        return {
            "perceptual": {
                "vgg": {"backbone": published.load("vgg16"), "heads": published.load("lpips_vgg")}
            }
        }
    except ValueError as error:
        raise ValueError(
            f'{error}; or take network "features" (--network=features), which comes with the '
            "package"
        ) from error
