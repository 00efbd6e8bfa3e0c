"""LAREN and the other networks of its Table IV (arXiv:2208.02861), sized for a prior and an
operator, and bound to them."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.learned.codes import as_w_plus, maps_as_noise, style_statistics
from jaxsr.learned.networks import Model, Sizes, begin, seen
from jaxsr.nets import laren
from jaxsr.operators import Operator
from jaxsr.priors import Prior, synthesize_styles
from jaxsr.types import Drawn, Latent, Measurement, Params, PRNGKey


class Variant(NamedTuple):
    """A row of LAREN's Table IV: what the network is, beside its sizes. `laren.Config` and
    `laren.Graph` tell what the fields mean."""

    space: Literal["w", "w_plus", "styles", "g"] = "g"
    generated: bool = True
    relations: Literal["multi", "vanilla"] = "multi"
    recursion: bool = True


VARIANTS = {
    "base": Variant(space="w", generated=False),
    "base_w_plus": Variant(space="w_plus", generated=False),
    "base_styles": Variant(space="styles", generated=False),
    "gdm_vanilla": Variant(relations="vanilla", generated=False),
    "gdm": Variant(generated=False),
    "cgm_vanilla": Variant(recursion=False),
    "laren": Variant(),
}


def sized(
    variant: Variant, prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str
) -> laren.Config:
    """The network of a variant."""
    graph = laren.Graph(
        width=prior.info.w_dim,
        layers=prior.info.num_layers,
        noise_shapes=prior.info.noise_shapes,
        nodes=sizes.nodes,
        node_width=sizes.node_width,
        code_width=sizes.code_width,
        relations=variant.relations,
        recursion=variant.recursion,
        map_side=sizes.map_side,
        capped=sizes.capped,
        literal=sizes.literal,
    )
    styles = _modulations(prior, params) if variant.space == "styles" else ()
    first = begin(prior, params, operator, sizes, dtype, outputs=prior.info.w_dim)
    return laren.Config(first, graph, variant.space, variant.generated, styles)


def _modulations(prior: Prior, params: Params) -> tuple[tuple[str, int], ...]:
    """(path, channels) of each of the generator's modulations."""
    w_plus = jax.ShapeDtypeStruct((prior.info.num_layers, prior.info.w_dim), jnp.float32)
    styles = jax.eval_shape(prior.styles, params, w_plus)
    return tuple((path, leaf.shape[0]) for path, leaf in styles.items())


def bind(net: laren.Config, prior: Prior, operator: Operator) -> Model:
    """The network around a generator, which draws the image."""

    def restore(
        key: PRNGKey, prior_params: Params, params: Params, y: Measurement
    ) -> tuple[Drawn, Latent]:
        codes = laren.codes(net, params, seen(prior, operator, y))
        noise = maps_as_noise(net, prior_params, codes.maps) or prior.noise(
            "random", prior_params, key
        )
        if isinstance(codes.latent, dict):
            mean, deviation = style_statistics(prior, prior_params)
            styles = {path: mean[path] + deviation[path] * codes.latent[path] for path in mean}
            return synthesize_styles(prior, prior_params, styles, noise), {
                "styles": styles,
                "noise": noise,
            }
        w_plus = as_w_plus(net, prior, prior_params, codes.latent)
        return prior.synthesize(prior_params, w_plus, noise), {"w_plus": w_plus, "noise": noise}

    return Model("laren", net, lambda key, prior_params: laren.init(key, net), restore)
