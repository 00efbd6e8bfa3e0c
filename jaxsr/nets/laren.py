"""LAREN (arXiv:2208.02861): a low-resolution image -> the codes, and the maps in place of noise,
that a frozen style-based generator draws the restored image from.

The graph-disentangled module (GDM) makes a code for each layer from the encoder's z by reasoning
about relations of D = N H attributes between pairs of nodes (Eq. 1 and 2); the code generation
module (CGM) makes a map for each layer from those codes (Eq. 3 and 4).

Readings, where the paper is silent:

- There is one set of nodes; u and v are two of it. The paper's 0.42 M parameters leave room for
  one. The pairs are all i < j.
- A kernel 1 x (2 C + 1) for each first node slides over the attributes; without it nodes would be
  a mere set. What it gives is averaged over the pairs, so that only a weighted mean of the
  relations is needed.
- Layers that the paper prints without a bias have one. Where P makes all of Eq. 1's attributes
  minus infinity, the relation is 0. Taps that meet nodes begin smaller than those of relations.
- Eq. 3's norm is a softmax over the sources, as in the attention that it cites.
- Each layer has queries and keys of its own, and a 64 x 64 map is made of each code and resized.
  Together these come nearest to the paper's 11 M parameters.
- In Table IV's Base, Base+W+ and Base+S one dense layer on z makes the w, the w of each layer, or
  the styles; the generator's mapping network has no part in it.
- Table IV's VRR: in GDM one relation for a pair (`Vanilla`), in CGM no recursion.

Departures from the paper:

- Eq. 4 takes the transpose of T, as its shapes ask for.
- Eq. 1's softmax is of numbers of about 1e-2. Its relations are about 1e-4, beside nodes of order
  1, so that all attributes come out alike. Here attributes are divided by their root mean square
  instead of their norm, and relations are D sqrt(J) times as large.
- Eq. 2's ReLU allows no negative code, and half of all z would have no code at all. Here it is
  leaky, and codes are relative to w's mean, in its standard deviations; so are the w and the styles
  of the rows without GDM.
- Eq. 3 multiplies W_t with relations after their norm. Those are about 1 / L, and the product is a
  hundredth of the logits beside it: with W_t = 0 nothing changes. Here W_t takes the relations
  before their norm, so that both parts of Eq. 3 begin with the same variance.
- Queries and keys are of g divided by its root mean square. Their products begin with a variance
  of 1, as those of attention do by its 1 / sqrt(d); without it softmax begins nearly one-hot.
- The generator multiplies a map by its layer's noise strength. Some priors learn to hardly use
  some of their noise; a map counts for at least `jaxsr.learned.LEAST_STRENGTH` there. It is the
  same linear map in another unit.
- The perceptual and the adversarial term are GLEAN's; the perceptual network is the bundled one
  where VGG's weights are not at hand; the adversary joins after a warm-up; a moving average of the
  weights is what restores (see `jaxsr.training.restorer_config`).
- `capped` maps, an option, are of their layers' own sides, with fewer parameters.

`Graph.literal` is the other network, of the printed equations: `jaxsr.nets.laren_printed`.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsr.nets import encoder, laren_modules, laren_printed
from jaxsr.nets.encoder import Encoder
from jaxsr.nets.laren_modules import Graph
from jaxsr.types import Noise, Params, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole network, and what takes GDM's and CGM's place in the paper's Table IV.

    Attributes:
        encoder: ends in z: `graph.width` outputs.
        graph: sizes of GDM and CGM.
        space: what z becomes: "g", GDM's codes; or by one dense layer a "w" for all layers, a
            "w_plus", or "styles".
        generated: whether CGM's maps take the place of random noise; of "g" alone.
        styles: (path, channels) of each modulation, for "styles".
    """

    encoder: encoder.Config
    graph: Graph
    space: Literal["w", "w_plus", "styles", "g"] = "g"
    generated: bool = True
    styles: tuple[tuple[str, int], ...] = ()

    def __post_init__(self):
        if self.encoder.outputs != self.graph.width:
            raise ValueError(
                f"expected an encoder of {self.graph.width} outputs, got {self.encoder.outputs}"
            )
        if self.generated and self.space != "g":
            raise ValueError(f"maps are generated from codes g, not from {self.space}")
        if self.space == "styles" and not self.styles:
            raise ValueError("space styles needs the generator's modulations")


class Codes(NamedTuple):
    """What the network says of an image, all but maps relative to the generator's mean (see
    `jaxsr.learned.as_w_plus`).

    Attributes:
        z: [H].
        latent: [N, H] for "g" and "w_plus", [1, H] for "w", {path: [c]} for "styles".
        maps: in place of noise; () for random noise.
    """

    z: jax.Array
    latent: jax.Array | dict[str, jax.Array]
    maps: Noise


class Laren(nn.Module):
    """An image [side, side, c] in [-1, 1] -> `Codes`."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> Codes:
        config, graph = self.config, self.config.graph
        z, _ = Encoder(config.encoder, name="encoder")(image)
        if config.space == "g":
            modules = laren_printed if graph.literal else laren_modules
            g = modules.Disentangle(graph, name="gdm")(z)
            if not config.generated:
                return Codes(z, g, ())
            codes = modules.Generate(graph, name="cgm")(g)
            return Codes(z, g, modules.Maps(graph, name="maps")(codes))
        if config.space == "styles":
            flat = nn.Dense(sum(c for _, c in config.styles), name="affine")(z)
            cuts = np.cumsum([c for _, c in config.styles])[:-1]
            return Codes(
                z,
                dict(zip([path for path, _ in config.styles], jnp.split(flat, cuts), strict=True)),
                (),
            )
        rows = 1 if config.space == "w" else graph.layers
        return Codes(
            z, nn.Dense(rows * graph.width, name="affine")(z).reshape(rows, graph.width), ()
        )


def init(key: PRNGKey, config: Config, channels: int = 3) -> Params:
    """Fresh parameters {"encoder", "gdm", ...} for images of that many channels."""
    return Laren(config).init(key, jnp.zeros((config.encoder.side, config.encoder.side, channels)))[
        "params"
    ]


def codes(config: Config, params: Params, image: jax.Array) -> Codes:
    """`Codes` of an image [side, side, c] in [-1, 1]."""
    return Laren(config).apply({"params": params}, image)  # pyright: ignore[reportReturnType]


def disentangle(graph: Graph, params: Params, z: jax.Array) -> jax.Array:
    """GDM alone: z [H] -> g [N, H]; params as in params["gdm"]."""
    modules = laren_printed if graph.literal else laren_modules
    return modules.Disentangle(graph).apply({"params": params}, z)  # pyright: ignore[reportReturnType]
