"""GFPGAN (arXiv:2101.04061) and GPEN (arXiv:2105.06070), sized for a prior and bound to it: they
see the measurement enlarged to the prior's size. The official networks have generators of their
own."""

import functools

import jax
import jax.numpy as jnp

from jaxsr.learned.networks import Model, Sizes, Stages, widths
from jaxsr.nets import gfpgan, gpen
from jaxsr.nets.style_based import Between
from jaxsr.operators import Operator, enlarged
from jaxsr.priors import Prior, tile
from jaxsr.types import Drawn, Latent, Measurement, Noise, Params, PRNGKey


def sized_gfpgan(
    prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str
) -> gfpgan.Config:
    """The network that changes half of a generator's channels, as the official ones."""
    half = tuple(width // 2 for width in widths(prior, params))
    return gfpgan.Config(half, prior.info.num_layers, prior.info.w_dim, dtype=dtype)


def bind_gfpgan(net: gfpgan.Config, prior: Prior | None, operator: Operator) -> Model:
    """The network around the frozen generator, with the noise of its file, or with its own."""
    _check_side(net.side, operator)

    def bank(prior_params: Params) -> gfpgan.Bank:
        statistics = prior_params["statistics"]

        def draw(codes: jax.Array, between: Between) -> jax.Array:
            assert prior is not None
            w_plus = statistics["w_mean"] + statistics["w_std"] * codes
            noise, blocks = prior.noise("const", prior_params), len(net.widths)
            return prior.blocks(prior_params, w_plus, noise, (None, None), 0, blocks, between)[1]

        return draw

    def drawn(prior_params: Params, params: Params, y: Measurement) -> tuple[Drawn, list]:
        own = gfpgan.generator(net, params) if has_generator(net) else bank(prior_params)
        made = gfpgan.stages(net, params, _seen(operator, y), own)
        return jax.tree.map(lambda image: 0.5 + 0.5 * image, made)

    def restore(
        key: PRNGKey, prior_params: Params, params: Params, y: Measurement
    ) -> tuple[Drawn, Latent]:
        return drawn(prior_params, params, y)[0], {}

    def stages(key: PRNGKey, prior_params: Params, params: Params, ys: jax.Array) -> Stages:
        images, pyramid = jax.vmap(functools.partial(drawn, prior_params, params))(ys)
        return Stages(images, tuple(pyramid))

    return Model("gfpgan", net, lambda key, prior_params: gfpgan.init(key, net), restore, stages)


def sized_gpen(
    prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str
) -> gpen.Config:
    """The network whose maps are added to a generator's, which trains with it. Raises ValueError
    for a generator that does not take one map of 4 px and two of each larger size."""
    net = gpen.Config(widths(prior, params), prior.info.z_dim, prior.info.w_dim, 0, dtype)
    if len(prior.info.noise_shapes) != 2 * len(net.widths) - 1:
        raise ValueError(f"gpen needs a StyleGAN2: {prior.info.name!r} is another network")
    return net


def bind_gpen(net: gpen.Config, prior: Prior | None, operator: Operator) -> Model:
    """The network with a generator that begins as the prior's, or with its own."""
    _check_side(net.side, operator)

    def bank(generator: Params) -> gpen.Bank:
        def draw(z: jax.Array, maps: Noise) -> jax.Array:
            assert prior is not None
            w_plus = tile(prior, prior.map(generator, z))
            return 2 * prior.synthesize(generator, w_plus, maps) - 1

        return draw

    def init(key: PRNGKey, prior_params: Params) -> Params:
        params = gpen.init(key, net)
        if has_generator(net):
            return params
        return params | {"generator": {name: prior_params[name] for name in OWNED}}

    def restore(
        key: PRNGKey, prior_params: Params, params: Params, y: Measurement
    ) -> tuple[Drawn, Latent]:
        own = None if has_generator(net) else bank(prior_params | params["generator"])
        return 0.5 + 0.5 * gpen.restored(net, params, _seen(operator, y), own), {}

    return Model("gpen", net, init, restore)


OWNED = ("mapping", "synthesis")  # of a prior's params: what GPEN trains on


def has_generator(net: gfpgan.Config | gpen.Config) -> bool:
    """Whether a network has a generator of its own, and so no use for a prior."""
    return bool(net.mapping_layers if isinstance(net, gpen.Config) else net.generator_widths)


def _seen(operator: Operator, y: Measurement) -> jax.Array:
    """The measurement enlarged to the image's size, in [-1, 1]."""
    return 2 * jnp.asarray(enlarged(operator, y, "bicubic")) - 1


def _check_side(side: int, operator: Operator) -> None:
    if tuple(operator.image_shape) != (side, side, 3):
        height, width, _ = operator.image_shape
        raise ValueError(
            f"expected images of {side}x{side} px, which the network makes, got an operator of "
            f"{width}x{height} px"
        )
