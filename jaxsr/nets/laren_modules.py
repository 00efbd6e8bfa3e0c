"""GDM and CGM, the modules of LAREN (arXiv:2208.02861, Eq. 1 to 4). `jaxsr.nets.laren` tells how
they read the paper and where they depart from it."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.types import Noise, PRNGKey

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
        literal: the printed equations as they are (`jaxsr.nets.laren_printed`), which hardly train.
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
        if self.literal and not (self.relations == "multi" and self.recursion and not self.capped):
            raise ValueError(
                "literal is of the printed LAREN, whose maps are not capped: leave capped, or "
                "literal, out"
            )
        if self.literal and self.nodes % 2:
            raise ValueError(
                f"half of the nodes are u: expected an even number of them, got {self.nodes}"
            )

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
        return nn.leaky_relu(f, 0.2).reshape(config.layers, config.width)


class Extract(nn.Module):
    """ConvKB on the sub-graphs of all attributes (Eq. 2), a kernel for each first node, before its
    activation: [D]."""

    config: Graph

    @nn.compact
    def __call__(self, nodes: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        width, count, attributes = self.config.node_width, len(nodes), self.config.attributes
        taps = self.param("taps", _beginning, (count, 2 * width + 1))
        offset = self.param("offset", nn.initializers.zeros, ())
        relation = (attributes * count**0.5) * mean_relation(
            nodes, kernel, bias, taps[:, width], sharpness=attributes**0.5
        )
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
        level = g * jax.lax.rsqrt(jnp.mean(g**2, -1, keepdims=True) + 1e-8)
        heads = (jnp.einsum("nh,nhk->nk", level, query), jnp.einsum("nh,nhf->nf", level, key))
        own = heads[0][:, :, None] * heads[1][:, None]
        relations = own[0]
        codes = [attended(relations, g[0])]
        for n in range(1, config.layers):
            sources = g[n]
            if config.recursion:
                carry = self.param(f"carry{n}", LECUN, (len(relations), f))
                relations = jnp.concatenate([carry.T @ relations, own[n]])
                sources = jnp.concatenate([codes[-1], sources])
            else:
                relations = own[n]
            codes.append(attended(relations, sources))
        return jnp.stack(codes)


def attended(relations: jax.Array, sources: jax.Array) -> jax.Array:
    """Eq. 4 of relations [L, F] before their norm and sources [L]: the code [F]. Eq. 3's norm is
    over the sources, for each of the code's numbers."""
    return nn.relu(nn.softmax(relations, 0).T @ sources)


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
