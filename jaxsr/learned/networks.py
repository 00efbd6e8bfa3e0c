"""What learned restorers have in common: a network bound to a prior and an operator, what it sees
of a measurement, and sizes."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.nets import encoder
from jaxsr.operators import Operator, as_image, is_image
from jaxsr.priors import Prior
from jaxsr.types import Drawn, Image, Images, Latent, Measurement, Params, PRNGKey

LEAST = 4  # px: the side at which an encoder ends


class Stages(NamedTuple):
    """What training sees of measurements [n, ...].

    Attributes:
        images: the restored ones, [n, H, W, 3].
        earlier: images in [0, 1] that the network makes on its way, each [n, r, r, 3] with r = H
            or H halved some times.
        maps: its guess at `Model.parse` of the photos, [n, h, w, k]; None where it has none.
        statistics: in place of params["statistics"] afterwards; None of a network that keeps none.
    """

    images: Images
    earlier: tuple[jax.Array, ...] = ()
    maps: jax.Array | None = None
    statistics: Params = None


class Model(NamedTuple):
    """A network bound to a prior and an operator, as pure functions.

    Attributes:
        architecture: its kind's name, a key of `restorers.KINDS`.
        net: its sizes, of the kind's Config.
        init: (key, prior_params) -> params.
        restore: (key, prior_params, params, y) -> (image [H, W, 3], latent: {"w_plus", "noise"},
            {"styles", "noise"} or {}).
        stages: (key, prior_params, params, ys [n, ...]) -> what training sees; None: the restored
            images alone.
        parse: (photo [H, W, 3] in [0, 1]) -> the maps [h, w, k] that the network learns to guess;
            None where it guesses none.
    """

    architecture: str
    net: Any
    init: Callable[[PRNGKey, Params], Params]
    restore: Callable[[PRNGKey, Params, Params, Measurement], tuple[Drawn, Latent]]
    stages: Callable[[PRNGKey, Params, Params, jax.Array], Stages] | None = None
    parse: Callable[[Image], jax.Array] | None = None


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


def factor_of(operator: Operator) -> int:
    """How many times smaller than the image a measurement is, as an image; 1 for what is none."""
    shape, side = operator.measurement_shape, operator.image_shape[0]
    return side // shape[0] if is_image(shape) and side % shape[0] == 0 else 1


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
    """Sizes that are not the prior's: of RRDB or an encoder (see `nets.rrdb.Config` and
    `nets.encoder.Config`), of VDSR (`nets.vdsr.Config`), FSRNet (`nets.fsrnet.Config`) and of
    LAREN's modules (`nets.laren.Graph`).

    Attributes:
        blocks: residual-in-residual dense blocks of RRDB, and of the encoder of LAREN and GLEAN.
        width: channels of these blocks, or of VDSR, SRVGG or FSRNet.
        growth: channels that each layer of a dense block adds.
        layers: convolutions of VDSR; of SRVGG those between the first and the last.
        parsing_width: channels of FSRNet's parsing branch.
        coarse_blocks: residual blocks of FSRNet's coarse network, and of its decoder.
        encoder_blocks: residual blocks of FSRNet's encoder.
        hourglasses: how many FSRNet's parsing branch stacks.
        levels: how often each of these halves its map.
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
    layers: int = 20
    parsing_width: int = 128
    coarse_blocks: int = 3
    encoder_blocks: int = 12
    hourglasses: int = 2
    levels: int = 3
    nodes: int = 64
    node_width: int = 8
    code_width: int = 64
    map_side: int = 64
    capped: bool = False
    literal: bool = False


PAPER_SIZES = Sizes()
# Of a toy prior's restorer.
TOY_SIZES = Sizes(
    blocks=1,
    width=4,
    growth=2,
    layers=3,
    parsing_width=4,
    coarse_blocks=1,
    encoder_blocks=1,
    hourglasses=1,
    levels=1,
    nodes=4,
    node_width=2,
    code_width=4,
    map_side=4,
)


def begin(
    prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str, *, outputs: int
) -> encoder.Config:
    """The encoder of a measurement, which has the generator's widths and ends in that many
    numbers."""
    side = input_side(prior, operator)
    seen_widths = widths(prior, params)[: (side // LEAST).bit_length()]
    return encoder.Config(
        side, seen_widths, outputs, sizes.blocks, sizes.width, sizes.growth, dtype
    )
