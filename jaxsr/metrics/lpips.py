"""LPIPS, the learned perceptual distance of Zhang et al., arXiv:1801.03924, in its version 0.1."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxsr.metrics._checks import require_pair
from jaxsr.types import AnyImage, Params, Scalar

Maps = list[jax.Array]


def _networks() -> dict[str, Callable[[Params, AnyImage], Maps]]:
    from jaxsr.nets import alexnet, squeezenet, vgg16

    return {"alex": alexnet.features, "vgg": vgg16.features, "squeeze": squeezenet.features}


def _network(params: Params) -> tuple[Callable[[Params, AnyImage], Maps], Params, list[jax.Array]]:
    """The network that the only key of `params` names, its parameters and the heads."""
    networks = _networks()
    if not isinstance(params, dict) or len(params) != 1 or not set(params) <= set(networks):
        got = ", ".join(map(str, params)) if isinstance(params, dict) else type(params).__name__
        raise ValueError(
            f"expected LPIPS parameters under exactly one of {', '.join(networks)}, got "
            f"{got or 'nothing'}"
        )
    ((name, tree),) = params.items()
    return networks[name], tree["backbone"], tree["heads"]


def _unit(x: jax.Array) -> jax.Array:
    """Each pixel's channels divided by their length + 1e-10; a pixel of zeros stays so, with a
    gradient of zero instead of NaN."""
    square = jnp.sum(x**2, -1, keepdims=True)
    length = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
    return x / (length + 1e-10)


def unit_features(params: Params, image: AnyImage) -> Maps:
    """The maps [r, r', c] that LPIPS compares, finest first, each pixel of length 1 or 0."""
    features, backbone, _ = _network(params)
    return [_unit(x) for x in features(backbone, jnp.asarray(image))]


def heads(params: Params) -> list[jax.Array]:
    """The weights [c] of the channels of each map in `unit_features`."""
    return _network(params)[2]


def _layers(params: Params, x: AnyImage, ref: AnyImage) -> Maps:
    """The weighted squared differences [r, r'] of each map."""
    require_pair(x, ref)
    pairs = zip(heads(params), unit_features(params, x), unit_features(params, ref), strict=True)
    return [jnp.sum(head * (f - g) ** 2, -1) for head, f, g in pairs]


def lpips(params: Params, x: AnyImage, ref: AnyImage) -> Scalar:
    """LPIPS of two images [h, w, 3] in [0, 1]: 0 for equal ones, lower is more alike; not clipped,
    so it serves as a loss as well.

    Sum over the maps of a network of the mean over pixels of head . (f_x - f_ref)^2, f normalised
    at each pixel (eq. 1).

    Args:
        params: {NAME: {"backbone": the network's parameters, "heads": a list of [c]}} with NAME
            "alex", "vgg" or "squeeze", say {"alex": {"backbone": networks.load("alexnet"), "heads":
            networks.load("lpips_alex")}}. NAME decides the network. Numbers of different networks
            are not comparable; papers that name none mostly used "alex".
        x: the image.
        ref: what it is compared with; LPIPS is symmetric.

    Raises:
        ValueError: parameters under no or several names, images of different shapes, or with a side
            below 31 (alex), 16 (vgg) or 17 (squeeze) pixels.
    """
    return sum((jnp.mean(layer) for layer in _layers(params, x, ref)), jnp.zeros(()))


def lpips_map(params: Params, x: AnyImage, ref: AnyImage) -> Float[Array, "h w"]:
    """Where two images differ: each map's differences enlarged to [h, w] (bilinear, the original's
    `spatial=True`) and summed.

    Its mean is `lpips` where the sides of the maps divide those of the image (vgg with powers of
    two), and close to it elsewhere.

    Raises:
        ValueError: as `lpips`.
    """
    layers = _layers(params, x, ref)
    return sum(
        (jax.image.resize(layer, x.shape[:2], "bilinear") for layer in layers),
        jnp.zeros(x.shape[:2]),
    )
