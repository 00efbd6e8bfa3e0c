"""Perceptual distances as embeddings: arrays of an image whose squared Euclidean distance is the
metric.

Half the Hessian of |f(x) - f(x0)|^2 at x0 is J_f^T J_f exactly. So a metric in this form needs no
second derivative (see `jaxsr.explore.pullback`).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxsr.metrics import networks
from jaxsr.metrics.features import load_features, unit_maps
from jaxsr.metrics.lpips import heads, unit_features
from jaxsr.types import Image, Params, Scalar

Network = Literal["lpips_alex", "lpips_vgg", "lpips_squeeze", "features", "discriminator"]
NETWORKS = get_args(Network)
PREFERRED: tuple[Network, ...] = (
    "lpips_alex",
    "lpips_vgg",
    "lpips_squeeze",
    "features",
    "discriminator",
)
_BACKBONES = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet"}


class Embedding(NamedTuple):
    """A perceptual metric as a map into a Euclidean space.

    Attributes:
        name: what reports call the metric; numbers under different names are not comparable.
        embed: (params, image [h, w, 3] in [0, 1]) -> list of arrays; |embed(x) - embed(ref)|^2
            summed over them is the metric. It reads params["perceptual_embedding"], which
            `load_embedding` returns, or the prior's own discriminator.
    """

    name: str
    embed: Callable[[Params, Image], list[jax.Array]]

    def distance(self, params: Params, x: Image, ref: Image) -> Scalar:
        """The metric of two images [h, w, 3]: 0 for equal ones."""
        return squared_distance(self.embed(params, x), self.embed(params, ref))


@jax.jit
def squared_distance(x: list[jax.Array], ref: list[jax.Array]) -> Scalar:
    """The metric of two images from their embeddings."""
    return sum((jnp.sum((f - g) ** 2) for f, g in zip(x, ref, strict=True)), jnp.zeros(()))


def available() -> Network:
    """The first perceptual network in the order of PREFERRED whose weights are on this machine; the
    bundled one always is."""
    for name in PREFERRED:
        try:
            load_embedding(name)
        except ValueError:  # published weights that nobody has fetched
            continue
        return name
    raise ValueError(
        f"no perceptual network is on this machine: expected one of {', '.join(NETWORKS)}"
    )


def embedding(network: Network, discriminate: Callable) -> Embedding:
    """The metric of a network: LPIPS 0.1 (see `lpips`), the bundled network's `feature_distance`,
    or the prior's own discriminator.

    Args:
        network: its name.
        discriminate: the prior's, which "discriminator" sees with: its maps after each block, each
            pixel scaled to unit length, the squared difference averaged over places and summed over
            blocks, as in LPIPS without heads. No published metric, and no judge of images that the
            prior itself made.
    """
    return _EMBEDDINGS[network](discriminate)


def load_embedding(network: Network) -> Params:
    """The parameters that `embedding(network)` needs besides the prior's: {"perceptual_embedding":
    ...} or {}.

    Raises:
        ValueError: an unknown name, or published weights that are not on this machine (it says
            where they come from and go).
    """
    if network not in NETWORKS:
        raise ValueError(
            f"unknown perceptual network {network!r}: expected one of {', '.join(NETWORKS)}"
        )
    if network == "discriminator":
        return {}
    if network == "features":
        return {"perceptual_embedding": load_features()[1]}
    short = network.removeprefix("lpips_")
    return {
        "perceptual_embedding": {
            short: {"backbone": networks.load(_BACKBONES[short]), "heads": networks.load(network)}
        }
    }


def _lpips(name: str) -> Embedding:
    def embed(params: Params, image: Image) -> list[jax.Array]:
        maps = zip(
            heads(params["perceptual_embedding"]),
            unit_features(params["perceptual_embedding"], image),
            strict=True,
        )
        return [_averaged(jnp.sqrt(head) * x) for head, x in maps]

    return Embedding(name, embed)


def _features() -> Embedding:
    net, _ = load_features()

    def embed(params: Params, image: Image) -> list[jax.Array]:
        return [_averaged(x) for x in unit_maps(net, params["perceptual_embedding"], image)]

    return Embedding(f"features {net.name}", embed)


def _discriminator(discriminate: Callable) -> Embedding:
    def embed(params: Params, image: Image) -> list[jax.Array]:
        # Alone, so that its minibatch statistic couples nothing.
        _, maps = discriminate(params, image[None])
        return [
            _averaged(x[0] * jax.lax.rsqrt(jnp.sum(x[0] ** 2, -1, keepdims=True) + 1e-8))
            for x in maps
        ]

    return Embedding("discriminator", embed)


def _averaged(x: jax.Array) -> jax.Array:
    """A map [r, r', c] scaled so that its squared norm is a mean over places."""
    return x / (x.shape[0] * x.shape[1]) ** 0.5


_EMBEDDINGS: dict[str, Callable[[Callable], Embedding]] = {
    "lpips_alex": lambda _: _lpips("lpips_alex"),
    "lpips_vgg": lambda _: _lpips("lpips_vgg"),
    "lpips_squeeze": lambda _: _lpips("lpips_squeeze"),
    "features": lambda _: _features(),
    "discriminator": _discriminator,
}
