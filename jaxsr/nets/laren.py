"""LAREN (arXiv:2208.02861): a low-resolution image -> the codes, and the maps in place of noise,
that a frozen style-based generator draws the restored image from.

The graph-disentangled module (GDM) makes a code for each layer from the encoder's z by reasoning
about relations of D = N H attributes between pairs of nodes (Eq. 1 and 2); the code generation
module (CGM) makes a map for each layer from those codes (Eq. 3 and 4).

Where the paper is silent:

- There is one set of nodes; u and v are two of it. The paper's 0.42 M parameters leave room for
  one.
- The pairs are all i < j.
- A kernel 1 x (2 C + 1) for each first node slides over the attributes; without it nodes would be
  a mere set. What it gives is averaged over the pairs, so that only a weighted mean of the
  relations is needed.
- Each layer has queries and keys of its own, and a 64 x 64 map is made of each code and resized.
  Together these come nearest to the paper's 11 M parameters.

Where the paper cannot be meant as printed:

- Eq. 4 takes the transpose of T, as its shapes ask for.
- The printed softmax is of numbers of about 1e-2. Its relations are about 1e-4, beside nodes of
  order 1, so that all attributes come out alike. Here attributes are divided by their root mean
  square instead of their norm, and relations are D sqrt(J) times as large.
- The printed last ReLU allows no negative code. Here it is leaky, and codes are relative to w's
  mean and deviation.

`literal` undoes the last two.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsr.nets import encoder
from jaxsr.nets.encoder import Encoder
from jaxsr.types import Noise, Params, PRNGKey

LECUN = nn.initializers.lecun_normal()
STACKED = nn.initializers.lecun_normal(batch_axis=0)  # for kernels [N, inputs, outputs]


@dataclasses.dataclass(frozen=True)
class Graph:
    """Sizes of both modules.

    Attributes:
        width: H of the encoder's z and of each layer's code: the generator's w_dim.
        layers: N, codes.
        noise_shapes: of the generator's noise maps; at most N.
        nodes: J; node_width: C; code_width: F of CGM's codes.
        relations: of GDM, "multi" for each attribute one (HMRR) or "vanilla", one for the pair
            (VRR).
        recursion: of CGM, whether a layer's relations build on those of the layer before (ReRR) or
            not (VRR).
        map_side: of the maps before they are resized; with `capped` those of smaller layers have
            their own side instead.
        literal: the printed equations as they are.
    """

    width: int
    layers: int
    noise_shapes: tuple[tuple[int, int], ...]
    nodes: int = 64
    node_width: int = 8
    code_width: int = 64
    relations: Literal["multi", "vanilla"] = "multi"
    recursion: bool = True
    map_side: int = 64
    capped: bool = False
    literal: bool = False

    def __post_init__(self):
        for name, least in {"nodes": 2, "node_width": 1, "code_width": 1, "map_side": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    @property
    def attributes(self) -> int:
        """D."""
        return self.layers * self.width


def mean_relation(
    nodes: jax.Array, kernel: jax.Array, bias: jax.Array, weights: jax.Array, sharpness: float = 1.0
) -> jax.Array:
    """Mean over pairs i < j of weights[i] times Eq. 1's relation r [D], the softmax over attributes
    of relu(W [u_i; v_j] + b), divided by its norm, with what is zero left out.

    The pairs of nodes k apart, around the circle, at a time, and again in the gradient, so that no
    more than J x D numbers are held: all pairs of the paper's sizes would take 74 MB for each
    image.

    Args:
        nodes: [J, C].
        kernel: [2 C, D]; the first C rows meet u, the others v.
        bias: [D].
        weights: [J].
        sharpness: the norm before the softmax; Eq. 1's is 1.
    """
    count, width = nodes.shape
    u, v = nodes @ kernel[:width] + bias, nodes @ kernel[width:]
    ahead, behind, number = (
        jnp.concatenate([v, u]),
        jnp.concatenate([weights, weights]),
        jnp.arange(count),
    )

    def apart(total: jax.Array, k: jax.Array) -> tuple[jax.Array, None]:
        """Node i with i + k; behind the last node, that with i + k - J, which comes first in the
        pair."""
        leads = number < count - k
        logits = jnp.where(leads[:, None], u, v) + jax.lax.dynamic_slice_in_dim(ahead, k, count)
        each = jnp.where(leads, weights, jax.lax.dynamic_slice_in_dim(behind, k, count))
        # Half around the circle each pair comes up from both its nodes.
        twice = jnp.where(2 * k == count, 0.5, 1.0)
        return total + twice * (each @ pair_relation(logits, sharpness)), None

    total, _ = jax.lax.scan(
        jax.checkpoint(apart), jnp.zeros(kernel.shape[1]), jnp.arange(1, count // 2 + 1)
    )
    return total / (count * (count - 1) / 2)


def pair_relation(logits: jax.Array, sharpness: float = 1.0) -> jax.Array:
    """Eq. 1's relation r [..., D] of pairs from W [u; v] + b [..., D]."""
    a = nn.relu(logits)
    squared = jnp.sum(a**2, -1, keepdims=True)
    scaled = a * (sharpness * jax.lax.rsqrt(jnp.where(squared > 0, squared, 1.0)))
    # Where a single attribute is positive, its exponential would overflow.
    e = jnp.where(a > 0, jnp.exp(jnp.minimum(scaled, 80.0)), 0.0)
    # Of a pair without any positive attribute, nothing.
    return e / jnp.maximum(e.sum(-1, keepdims=True), 1.0)


class Nodes(nn.Module):
    """z [H] -> the nodes [J, C]."""

    config: Graph

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        count, width = self.config.nodes, self.config.node_width
        return nn.Dense(count * width, name="dense")(z).reshape(count, width)


class Disentangle(nn.Module):
    """GDM: z [H] -> codes g [N, H]."""

    config: Graph

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        config = self.config
        nodes = Nodes(config, name="nodes")(z)
        kernel = self.param(
            "attributes", nn.initializers.normal(1.0), (2 * config.node_width, config.attributes)
        )
        bias = self.param("attributes_bias", nn.initializers.zeros, (config.attributes,))
        extract = Vanilla if config.relations == "vanilla" else Extract
        f = extract(config, name="extract")(nodes, kernel, bias)
        return (nn.relu(f) if config.literal else nn.leaky_relu(f, 0.2)).reshape(
            config.layers, config.width
        )


class Extract(nn.Module):
    """ConvKB on the sub-graphs of all attributes (Eq. 2), a kernel for each first node, before its
    activation: [D]."""

    config: Graph

    @nn.compact
    def __call__(self, nodes: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        width, count, attributes = self.config.node_width, len(nodes), self.config.attributes
        taps = self.param("taps", _beginning, (count, 2 * width + 1))
        offset = self.param("offset", nn.initializers.zeros, ())
        scale, sharpness = (
            (1.0, 1.0) if self.config.literal else (attributes * count**0.5, attributes**0.5)
        )
        relation = scale * mean_relation(nodes, kernel, bias, taps[:, width], sharpness)
        # The share of each pair i < j.
        pairs = jnp.triu(jnp.full((count, count), 2 / (count * (count - 1))), 1)
        # Of each row's first node, and of the second ones beside it.
        u, v = pairs.sum(1)[:, None] * nodes, pairs @ nodes
        return jnp.sum(taps[:, :width] * u) + relation + jnp.sum(taps[:, width + 1 :] * v) + offset


def _beginning(key: PRNGKey, shape: tuple[int, ...]) -> jax.Array:
    """Normal; those that meet nodes, whose part is the same in all attributes, smaller."""
    taps, side = jax.random.normal(key, shape), shape[1] // 2
    return taps.at[:, side + 1 :].divide(side).at[:, :side].divide(side)


class Vanilla(nn.Module):
    """GDM with one relation for a pair (Table IV's VRR): pairs are averaged by a softmax of it over
    pairs, then read by a kernel for each attribute: [D]. With one kernel for all attributes, each
    would be the same."""

    config: Graph

    @nn.compact
    def __call__(self, nodes: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        width = self.config.node_width
        relate = self.param("relate", nn.initializers.normal(1.0), (2 * width,))
        logits = (nodes @ relate[:width])[:, None] + (nodes @ relate[width:])[None]
        later = jnp.arange(len(nodes))[:, None] < jnp.arange(len(nodes))[None]
        weights = nn.softmax(jnp.where(later, nn.relu(logits), -jnp.inf).ravel()).reshape(
            logits.shape
        )
        pair = jnp.concatenate([weights.sum(1) @ nodes, weights.sum(0) @ nodes])
        return pair @ kernel / jnp.sqrt(2.0 * width) + bias


class Generate(nn.Module):
    """CGM: codes g [N, H] -> the codes c [N, F]. The last ones have no noise map where the
    generator has fewer maps than codes."""

    config: Graph

    @nn.compact
    def __call__(self, g: jax.Array) -> jax.Array:
        config, h, f = self.config, self.config.width, self.config.code_width
        query = self.param("query", STACKED, (config.layers, h, h))
        key = self.param("key", STACKED, (config.layers, h, f))
        relations = (
            jnp.einsum("nh,nhk->nk", g, query)[:, :, None]
            * jnp.einsum("nh,nhf->nf", g, key)[:, None]
        )
        before = _attend(relations[0])
        codes = [nn.relu(before.T @ g[0])]
        for n in range(1, config.layers):
            attended, sources = relations[n], g[n]
            if config.recursion:
                carry = self.param(f"carry{n}", LECUN, (before.shape[0], f))
                attended, sources = (
                    jnp.concatenate([carry.T @ before, relations[n]]),
                    jnp.concatenate([codes[-1], g[n]]),
                )
            before = _attend(attended)
            codes.append(nn.relu(before.T @ sources))
        return jnp.stack(codes)


def _attend(relations: jax.Array) -> jax.Array:
    """Eq. 3's norm: over the sources, for each of the F numbers of the code (as in the attention
    that it cites)."""
    return nn.softmax(relations, 0)


class Maps(nn.Module):
    """The codes c [N, F] -> a map for each of the generator's noise inputs."""

    config: Graph

    @nn.compact
    def __call__(self, codes: jax.Array) -> Noise:
        maps = []
        for n, code in enumerate(codes):
            shape = (
                self.config.noise_shapes[n]
                if n < len(self.config.noise_shapes)
                else self.config.noise_shapes[-1]
            )
            side = (
                min(self.config.map_side, shape[0]) if self.config.capped else self.config.map_side
            )
            flat = nn.Dense(side**2, name=f"map{n}")(code)
            maps.append(jax.image.resize(flat.reshape(side, side), shape, "linear"))
        return tuple(maps[: len(self.config.noise_shapes)])


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
            g = Disentangle(graph, name="gdm")(z)
            return Codes(
                z,
                g,
                Maps(graph, name="maps")(Generate(graph, name="cgm")(g))
                if config.generated
                else (),
            )
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
    return Disentangle(graph).apply({"params": params}, z)  # pyright: ignore[reportReturnType]


def generate(graph: Graph, params: Params, g: jax.Array) -> jax.Array:
    """CGM alone: g [N, H] -> c [N, F]; params as in params["cgm"]."""
    return Generate(graph).apply({"params": params}, g)  # pyright: ignore[reportReturnType]
