"""Priors: what a generator network offers to the methods, and the latent spaces it can be searched
in.

A `Prior` is a bundle of pure functions; its parameters are always passed in. A latent space is a
combinator that returns a prior whose `sample` and `decode` speak another latent: `in_w(prior)`,
`in_w_plus(prior)`, `in_w_plus_noise(prior)`, `in_styles(prior)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.operators import Operator
from jaxsr.types import Drawn, Noise, Params, PRNGKey

# What StyleGAN2 and StyleGAN1 call the layers from a w to what it modulates with.
MODULATIONS = ("affine", "style")
# Where a prior's params hold the weights of its generator.
GENERATOR = ("mapping", "synthesis", "generator")


class Info(NamedTuple):
    """Static facts of a prior: sizes (w_dim 0 without a w space), what it shows and under which
    licence."""

    name: str
    resolution: int
    z_dim: int
    w_dim: int
    num_layers: int
    noise_shapes: tuple[tuple[int, int], ...]
    domain: str
    licence: str


class Prior(NamedTuple):
    """A generator (and its discriminator) as pure functions.

    Attributes:
        info: static facts.
        sample: (key, params) -> latent; [z_dim] unless a combinator changed the space.
        decode: (params, latent) -> image [H, W, 3].
        map: (params, z [z_dim], truncation=1.0) -> w [w_dim]; None for a prior without a w space
            (PGGAN, BigGAN).
        noise: (kind, params, key=None) -> tuple of [r, r]; kind "const" (the checkpoint's), "none"
            (zeros) or "random".
        synthesize: (params, w_plus [num_layers, w_dim], noise) -> image [H, W, 3]; None for a prior
            without a w space. In place of a noise map [r, r] there may be maps [r, r, c] of the
            layer's channels.
        discriminate: (params, images [n, H, W, 3]) -> (logits [n], features, a list of [n, r, r, c]
            finest first).
        split: (blocks) -> (head, tail), the generator cut behind that many of its resolutions (4 px
            is the first): head(params, z) gives a tree with the feature map "x" [r, r, c],
            tail(params, tree) the image. None where it cannot be cut (BigGAN).
        styles: (params, w_plus) -> {path in params["synthesis"]: what that layer modulates with,
            [c]}, StyleSpace (arXiv:2011.12799); None for a prior without modulations.
        blocks: (params, w_plus, noise, cut, start, stop, between=None) -> cut, the resolutions from
            `start` to before `stop` alone of `synthesize`; a cut is (feature map [r, r, c], image
            so far [r, r, 3] in [-1, 1] or None), (None, None) before the first; `between` takes and
            gives the feature map between the two convolutions of each resolution from 8 px on. None
            for a prior without a w space.
    """

    # Any where a prior may have None: `require_w` asks once, and no call is in doubt after it.
    info: Info
    sample: Callable
    decode: Callable
    map: Any
    noise: Callable
    synthesize: Any
    discriminate: Callable
    split: Any = None
    styles: Any = None
    blocks: Any = None


def without_w(
    about: tuple[str, str, str],
    sizes: tuple[int, int, int],
    sample: Callable,
    decode: Callable,
    discriminate: Callable,
    split: Callable | None = None,
) -> Prior:
    """A prior that has z alone: neither w nor noise maps.

    Args:
        about: name, domain and licence.
        sizes: resolution, z_dim, num_layers.
        sample: as in `Prior`.
        decode: as in `Prior`.
        discriminate: as in `Prior`.
        split: as in `Prior`.
    """
    (name, domain, licence), (resolution, z_dim, num_layers) = about, sizes
    info = Info(name, resolution, z_dim, 0, num_layers, (), domain, licence)
    return Prior(
        info, sample, decode, None, lambda kind, params, key=None: (), None, discriminate, split
    )


def require_w(what: str, prior: Prior) -> None:
    """Raises ValueError, which names `what` needs it, if the prior has no w space."""
    if prior.map is None or prior.synthesize is None:
        raise ValueError(f"{what} needs a prior with a w space: {prior.info.name!r} has none")


def tile(prior: Prior, w: jax.Array) -> jax.Array:
    """Repeats w [w_dim] or [1, w_dim] for every layer: [num_layers, w_dim], which comes back as it
    is."""
    return jnp.broadcast_to(w, (prior.info.num_layers, prior.info.w_dim))


def start_in_w(prior: Prior, spread: float, key: PRNGKey, params: Params) -> jax.Array:
    """Where searches in W start [w_dim]: at the mean of w, or `spread` of the way from there to a
    random w."""
    w = params["statistics"]["w_mean"]
    if spread > 0:
        w = w + spread * (prior.map(params, jax.random.normal(key, (prior.info.z_dim,))) - w)
    return w


def in_w(prior: Prior) -> Prior:
    """The prior searched in W: latent [w_dim], constant noise."""

    def sample(key: PRNGKey, params: Params) -> jax.Array:
        return prior.map(params, jax.random.normal(key, (prior.info.z_dim,)))

    def decode(params: Params, w: jax.Array) -> jax.Array:
        return prior.synthesize(params, tile(prior, w), prior.noise("const", params))

    return prior._replace(sample=sample, decode=decode)


def in_w_plus(prior: Prior) -> Prior:
    """The prior searched in W+: latent [num_layers, w_dim], constant noise; samples have one w in
    all layers."""

    def sample(key: PRNGKey, params: Params) -> jax.Array:
        return tile(prior, in_w(prior).sample(key, params))

    def decode(params: Params, w_plus: jax.Array) -> jax.Array:
        return prior.synthesize(params, w_plus, prior.noise("const", params))

    return prior._replace(sample=sample, decode=decode)


def in_w_plus_noise(prior: Prior) -> Prior:
    """The prior searched in W+ and its noise maps: latent {"w_plus": [num_layers, w_dim], "noise":
    tuple of [r, r]}."""

    def sample(key: PRNGKey, params: Params) -> dict:
        key_w, key_noise = jax.random.split(key)
        return {
            "w_plus": in_w_plus(prior).sample(key_w, params),
            "noise": prior.noise("random", params, key_noise),
        }

    def decode(params: Params, latent: dict) -> jax.Array:
        return prior.synthesize(params, latent["w_plus"], latent["noise"])

    return prior._replace(sample=sample, decode=decode)


def in_styles(prior: Prior) -> Prior:
    """The prior searched in StyleSpace: latent as `Prior.styles` returns it, constant noise.

    Raises:
        ValueError: a prior without modulations.
    """
    if prior.styles is None:
        raise ValueError(
            f"the space of styles needs a prior with modulations: {prior.info.name!r} has none"
        )

    def sample(key: PRNGKey, params: Params) -> dict[str, jax.Array]:
        return prior.styles(params, in_w_plus(prior).sample(key, params))

    def decode(params: Params, styles: dict[str, jax.Array]) -> jax.Array:
        return synthesize_styles(prior, params, styles, prior.noise("const", params))

    return prior._replace(sample=sample, decode=decode)


def synthesize_styles(
    prior: Prior, params: Params, styles: dict[str, jax.Array], noise: Noise
) -> Drawn:
    """The image [H, W, 3] of styles, as `Prior.styles` returns them, and noise maps: with a w of
    zeros each layer's bias is its style."""
    modulated = {
        **params,
        "synthesis": with_layers(
            params["synthesis"], styles, lambda layer, style: {**layer, "bias": style}
        ),
    }
    return prior.synthesize(modulated, jnp.zeros((prior.info.num_layers, prior.info.w_dim)), noise)


def with_layers(
    tree: Params, values: dict[str, Any], change: Callable[[Params, Any], Params], prefix: str = ""
) -> Params:
    """The network with `change(layer, value)` in place of the layer at each path of `values`."""
    if prefix in values:
        return change(tree, values[prefix])
    if not isinstance(tree, dict):
        return tree
    return {
        name: with_layers(branch, values, change, f"{prefix}/{name}".lstrip("/"))
        for name, branch in tree.items()
    }


def latent_statistics(
    prior: Prior, params: Params, key: PRNGKey, *, num_samples: int = 100_000
) -> dict[str, jax.Array]:
    """Statistics of w that the searches start from, each [w_dim], from `num_samples` draws of z, a
    multiple of 1,000.

    `w_mean`, `w_std`: of w (RLS starts at the mean of 100,000 w). `white_mean`, `white_std`: of
        LeakyReLU_5(w), the inverse of the
    mapping network's last activation, PULSE's "gaussian fit" (arXiv:2003.03808): w =
    LeakyReLU_0.2(v * white_std + white_mean).
    """

    def chunk(sums, key):
        z = jax.random.normal(key, (1_000, prior.info.z_dim))
        w = jax.vmap(lambda z: prior.map(params, z))(z)
        white = jnp.where(w >= 0, w, 5.0 * w)
        moments = [w.mean(0), (w**2).mean(0), white.mean(0), (white**2).mean(0)]
        return [s + m for s, m in zip(sums, moments, strict=True)], None

    count, rest = divmod(num_samples, 1_000)
    if rest or not count:
        raise ValueError(f"num_samples must be a multiple of 1,000, got {num_samples}")
    zeros = [jnp.zeros(prior.info.w_dim)] * 4
    sums, _ = jax.lax.scan(chunk, zeros, jax.random.split(key, count))
    mean, square, white_mean, white_square = (s / count for s in sums)
    std = jnp.sqrt(jnp.maximum(square - mean**2, 0))
    white_std = jnp.sqrt(jnp.maximum(white_square - white_mean**2, 0))
    return {"w_mean": mean, "w_std": std, "white_mean": white_mean, "white_std": white_std}


def check_prior(method: str, prior: Prior, operator: Operator) -> None:
    """Raises ValueError unless the prior has a w space and makes the images that the operator
    takes."""
    check_images(prior, operator)
    require_w(f"method {method}", prior)


def check_images(prior: Prior, operator: Operator) -> None:
    """Raises ValueError unless the prior is one, and makes the images that the operator takes."""
    if not isinstance(prior, Prior):
        raise ValueError(
            "expected a Prior, the first of what jaxsr.load_prior returns, got "
            f"{type(prior).__name__}"
        )
    if not hasattr(operator, "image_shape"):
        raise ValueError(
            "expected an operator, such as operators.downsample(8, image_shape=...), got "
            f"{operator!r}"
        )
    made = (prior.info.resolution, prior.info.resolution, 3)
    if tuple(operator.image_shape) != made:
        raise ValueError(
            f"the operator takes images {tuple(operator.image_shape)}, but prior "
            f"{prior.info.name!r} makes {made}"
        )
