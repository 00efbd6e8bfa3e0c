"""GLEAN (arXiv:2012.00739), sized for a prior and an operator, and bound to them."""

import jax

from jaxsr.learned.networks import Model, Sizes, begin, seen, widths
from jaxsr.nets import glean
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.types import Drawn, Latent, Measurement, Params, PRNGKey


def sized(
    prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str
) -> glean.Config:
    """The network for a generator's widths."""
    layers = prior.info.num_layers
    first = begin(prior, params, operator, sizes, dtype, outputs=prior.info.w_dim * layers)
    return glean.Config(first, layers, widths(prior, params))


def bind(net: glean.Config, prior: Prior, operator: Operator) -> Model:
    """The network around a generator, whose maps its decoder reads."""

    def bank(prior_params: Params) -> glean.Bank:
        statistics = prior_params["statistics"]

        def block(codes: jax.Array, cut: glean.Cut, number: int) -> glean.Cut:
            w_plus, noise = (
                statistics["w_mean"] + statistics["w_std"] * codes,
                prior.noise("const", prior_params),
            )
            return prior.blocks(prior_params, w_plus, noise, cut, number, number + 1)

        return block

    def restore(
        key: PRNGKey, prior_params: Params, params: Params, y: Measurement
    ) -> tuple[Drawn, Latent]:
        image = glean.restored(net, params, seen(prior, operator, y), bank(prior_params))
        return 0.5 + 0.5 * image, {}

    return Model(
        "glean", net, lambda key, prior_params: glean.init(key, net, bank(prior_params)), restore
    )
