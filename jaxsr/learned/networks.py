"""The networks, sized for a prior and an operator, and bound to them."""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.learned.codes import as_w_plus, maps_as_noise, style_statistics
from jaxsr.nets import encoder, glean, laren
from jaxsr.operators import Operator, as_image
from jaxsr.priors import Prior, check_prior, synthesize_styles
from jaxsr.types import Drawn, Latent, Measurement, Params, PRNGKey

LEAST = 4  # px: the side at which an encoder ends


class Model(NamedTuple):
    """A network bound to a prior and an operator, as pure functions.

    Attributes:
        architecture: "laren" or "glean".
        net: its sizes.
        init: (key, prior_params) -> params.
        restore: (key, prior_params, params, y) -> (image [H, W, 3], latent: {"w_plus", "noise"},
            {"styles", "noise"} or {}).
    """

    architecture: str
    net: laren.Config | glean.Config
    init: Callable[[PRNGKey, Params], Params]
    restore: Callable[[PRNGKey, Params, Params, Measurement], tuple[Drawn, Latent]]


def input_side(prior: Prior, operator: Operator) -> int:
    """The side of the image that an encoder sees: the measurement's where that is 4 times a power
    of two, else the prior's."""
    side = operator.measurement_shape[0]
    halves = [LEAST << i for i in range(12)]
    square = len(operator.measurement_shape) == 3 and operator.measurement_shape[1] == side
    return (
        side
        if square and side in halves and side <= prior.info.resolution
        else prior.info.resolution
    )


def seen(prior: Prior, operator: Operator, y: Measurement) -> jax.Array:
    """What an encoder sees of a measurement, [side, side, 3] in [-1, 1]: the measurement itself, or
    the image of least norm behind it."""
    image = as_image(operator, y)
    side = input_side(prior, operator)
    return 2 * jnp.asarray(image if image.shape == (side, side, 3) else operator.pinv(y)) - 1


def widths(prior: Prior, params: Params) -> tuple[int, ...]:
    """Channels of the generator's maps at 4, 8, ... px."""
    blocks = (prior.info.resolution // LEAST).bit_length()
    codes = jnp.zeros((prior.info.num_layers, prior.info.w_dim))

    def maps(params: Params) -> list[jax.Array]:
        return [
            prior.blocks(params, codes, prior.noise("none", params), (None, None), 0, n + 1)[0]
            for n in range(blocks)
        ]

    return tuple(x.shape[-1] for x in jax.eval_shape(maps, params))


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes that are not the prior's: of the encoder (see `nets.encoder.Config`) and of LAREN's
    modules (`nets.laren.Graph`).

    Attributes:
        blocks: residual-in-residual dense blocks of the encoder.
        width: channels of the encoder's dense blocks.
        growth: channels that each layer of the encoder's dense blocks adds.
        nodes: J, nodes of LAREN's GDM.
        node_width: C, numbers of each node of LAREN's GDM.
        code_width: F, numbers of each layer's code of LAREN's CGM.
        map_side: side of the maps that LAREN makes in place of noise, before they are resized to
            their layers' sides.
        capped: whether the maps in place of noise of layers smaller than map_side are made at their
            layer's own side: fewer parameters.
        literal: LAREN's equations and objective as they are printed, which hardly train.
    """

    blocks: int = 23
    width: int = 64
    growth: int = 32
    nodes: int = 64
    node_width: int = 8
    code_width: int = 64
    map_side: int = 64
    capped: bool = False
    literal: bool = False


# Of a toy prior's restorer.
TOY_SIZES = Sizes(blocks=1, width=4, growth=2, nodes=4, node_width=2, code_width=4, map_side=4)


class Variant(NamedTuple):
    """A row of LAREN's Table IV: what the network is, beside its sizes. `laren.Config` and
    `laren.Graph` tell what the fields mean."""

    space: Literal["w", "w_plus", "styles", "g"] = "g"
    generated: bool = True
    relations: Literal["multi", "vanilla"] = "multi"
    recursion: bool = True


# Whose equations the paper prints.
LITERAL = ("laren", "gdm")
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
    name: str,
    prior: Prior,
    params: Params,
    operator: Operator,
    sizes: Sizes = Sizes(),
    dtype: str = "float32",
) -> laren.Config | glean.Config:
    """The network `name`, "glean" or one of `VARIANTS`, for a prior and an operator; its
    convolutions compute in `dtype`.

    Raises:
        ValueError: no such network, or a prior without a w space or of other images than the
            operator's.
    """
    check_prior(name, prior, operator)
    if name not in (*VARIANTS, "glean"):
        raise ValueError(
            f"unknown network {name!r}: expected one of {', '.join((*VARIANTS, 'glean'))}"
        )
    if sizes.literal and name not in LITERAL:
        raise ValueError(
            f"literal is of {' and '.join(LITERAL)} alone, not of {name}: leave it out"
        )
    side, all_widths, layers = (
        input_side(prior, operator),
        widths(prior, params),
        prior.info.num_layers,
    )
    outputs = prior.info.w_dim * (layers if name == "glean" else 1)
    seen_widths = all_widths[: (side // LEAST).bit_length()]
    begin = encoder.Config(
        side, seen_widths, outputs, sizes.blocks, sizes.width, sizes.growth, dtype
    )
    if name == "glean":
        return glean.Config(begin, layers, all_widths)
    variant = VARIANTS[name]
    graph = laren.Graph(
        width=prior.info.w_dim,
        layers=layers,
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
    return laren.Config(begin, graph, variant.space, variant.generated, styles)


def _modulations(prior: Prior, params: Params) -> tuple[tuple[str, int], ...]:
    """(path, channels) of each of the generator's modulations."""
    w_plus = jax.ShapeDtypeStruct((prior.info.num_layers, prior.info.w_dim), jnp.float32)
    styles = jax.eval_shape(prior.styles, params, w_plus)
    return tuple((path, leaf.shape[0]) for path, leaf in styles.items())


def bind(net: laren.Config | glean.Config, prior: Prior, operator: Operator) -> Model:
    """The `Model` of a network for a prior and an operator."""
    return (
        _laren(net, prior, operator)
        if isinstance(net, laren.Config)
        else _glean(net, prior, operator)
    )


def _laren(net: laren.Config, prior: Prior, operator: Operator) -> Model:
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


def _glean(net: glean.Config, prior: Prior, operator: Operator) -> Model:
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


def is_deterministic(net: laren.Config | glean.Config) -> bool:
    """Whether a network makes one image of a measurement, whatever the key: one that makes its own
    maps, or takes the generator's."""
    return isinstance(net, glean.Config) or net.generated
