"""LAREN's GDM and CGM (arXiv:2208.02861) as Eq. 1 to 4 print them, whatever comes of it: to see
what `jaxsr.nets.laren_modules` departs from, and why.

Half of the J nodes are u = W^u z, half v = W^v z, and each u meets each v; one convolution of
2 C + 1 numbers is shared by all pairs and attributes, and its results are summed; nothing has a
bias; the layers of CGM share W_Q and W_K; its norm is a softmax over the sources. Eq. 4 alone is
transposed, else its shapes do not fit.

It hardly trains. Relations are about 1 / D beside nodes of order 1, so that all D attributes are
nearly one number, and the ReLU of that number is 0 for about half of all z, without a gradient.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets.laren_modules import LECUN, Graph, attended, pair_relation
from jaxsr.types import Noise


class Disentangle(nn.Module):
    """GDM: z [H] -> codes g [N, H], none negative."""

    config: Graph

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        config = self.config
        width, half = config.node_width, config.nodes // 2
        u, v = (
            nn.Dense(half * width, use_bias=False, name=name)(z).reshape(half, width)
            for name in ("u", "v")
        )
        kernel = self.param(
            "attributes", nn.initializers.normal(1.0), (2 * width, config.attributes)
        )
        taps = self.param("taps", nn.initializers.normal(1.0), (2 * width + 1,))
        relation = summed_relation(u, v, kernel)
        nodes = half * (taps[:width] @ u.sum(0) + taps[width + 1 :] @ v.sum(0))
        return nn.relu(nodes + taps[width] * relation).reshape(config.layers, config.width)


def summed_relation(u: jax.Array, v: jax.Array, kernel: jax.Array) -> jax.Array:
    """The sum [D] of Eq. 1's relations of each of u [m, C] with each of v [n, C]; kernel [2 C, D].
    One u at a time, and again in the gradient, so that no more than n x D numbers are held."""
    from_u, from_v = u @ kernel[: u.shape[1]], v @ kernel[u.shape[1] :]

    def of(total: jax.Array, row: jax.Array) -> tuple[jax.Array, None]:
        return total + pair_relation(row + from_v).sum(0), None

    return jax.lax.scan(jax.checkpoint(of), jnp.zeros(kernel.shape[1]), from_u)[0]


class Generate(nn.Module):
    """CGM: codes g [N, H] -> the codes c [N, F]."""

    config: Graph

    @nn.compact
    def __call__(self, g: jax.Array) -> jax.Array:
        config, f = self.config, self.config.code_width
        query = nn.Dense(config.width, use_bias=False, name="query")(g)
        key = nn.Dense(f, use_bias=False, name="key")(g)
        own = query[:, :, None] * key[:, None]
        relations, codes = own[0], [attended(own[0], g[0])]
        for n in range(1, config.layers):
            carry = self.param(f"carry{n}", LECUN, (len(relations), f))
            relations = jnp.concatenate([carry.T @ nn.softmax(relations, 0), own[n]])
            codes.append(attended(relations, jnp.concatenate([codes[-1], g[n]])))
        return jnp.stack(codes)


class Maps(nn.Module):
    """The codes c [N, F] -> a map for each of the generator's noise inputs, by linear maps."""

    config: Graph

    @nn.compact
    def __call__(self, codes: jax.Array) -> Noise:
        side = self.config.map_side
        flat = [nn.Dense(side**2, use_bias=False, name=f"map{n}")(c) for n, c in enumerate(codes)]
        return tuple(
            jax.image.resize(one.reshape(side, side), shape, "linear")
            for one, shape in zip(flat, self.config.noise_shapes, strict=False)
        )
