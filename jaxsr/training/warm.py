"""First weights of a network from those of another: of half the resolution, of fewer channels, or
both.

A narrower network stands in the corner of the wider one (in the spirit of Net2Net,
arXiv:1511.05641). What it computed reads nothing of the new channels, which start random and read
everything: the pictures are equal, demodulation included, and every new channel has a gradient.
"""

import jax
import jax.numpy as jnp

from jaxsr.types import Params


def transfer(params: Params, warm: Params) -> Params:
    """`params`, fresh, with what `warm`, another network's, has for them.

    An array of the same path and shape is taken as it is. In the synthesis and the discriminator
    one with fewer channels is widened. The blocks that `warm` has not, and what reads a picture of
    another size, stay fresh. A widened discriminator's logits change a little: its minibatch
    statistic averages over the new channels too.

    Raises:
        ValueError: `warm` has other sizes of z or w, another mapping network, or more channels, so
            that hardly anything would be taken.
    """
    known = dict(jax.tree_util.tree_leaves_with_path(warm))
    if len(params["mapping"]) != len(warm["mapping"]):
        raise ValueError(
            f"expected a prior to start from with {len(params['mapping'])} mapping layers, "
            f"got {len(warm['mapping'])}"
        )

    def start(path: tuple, fresh: jax.Array) -> jax.Array:
        old = known.get(path)
        if old is None or old.shape == fresh.shape:
            return fresh if old is None else old
        names = tuple(getattr(key, "key", "") for key in path)
        smaller = old.ndim == fresh.ndim and all(
            o <= f for o, f in zip(old.shape, fresh.shape, strict=True)
        )
        # Of a picture of another size.
        if names[:2] == ("discriminator", "fromrgb") and not smaller:
            return fresh
        if (
            not smaller
            or names[0] == "mapping"
            or (names[-2] == "affine" and old.shape[:-1] != fresh.shape[:-1])
        ):
            raise ValueError(
                "expected a prior to start from with this network's z, w and mapping layers "
                "and at most its channels, got one whose "
                f"{'/'.join(map(str, names))} has shape {list(old.shape)}, the network's "
                f"{list(fresh.shape)}"
            )
        return _widened(names, old, fresh)

    return jax.tree_util.tree_map_with_path(start, params)


def _widened(names: tuple[str, ...], old: jax.Array, fresh: jax.Array) -> jax.Array:
    if names[-1] != "kernel":
        return fresh.at[tuple(slice(size) for size in old.shape)].set(old)
    gain = (fresh.shape[-2] / old.shape[-2]) ** 0.5  # layers divide by the root of their inputs
    if names == ("discriminator", "fc", "kernel"):  # of a map [4, 4, c], flattened
        before, after = (a.reshape(4, 4, -1, a.shape[-1]) for a in (old, fresh))
        return _in_corner(before, after, gain).reshape(fresh.shape)
    # The last inputs are the minibatch's statistics.
    if names == ("discriminator", "conv", "kernel"):
        channels, last = old.shape[-1], fresh.shape[-1]
        maps = _in_corner(old[:, :, :channels], fresh[:, :, :last], gain)
        return jnp.concatenate(
            [maps, _in_corner(old[:, :, channels:], fresh[:, :, last:], gain)], -2
        )
    return _in_corner(old, fresh, gain)


def _in_corner(old: jax.Array, fresh: jax.Array, gain: float) -> jax.Array:
    """The old outputs read the old inputs [..., c, d] alone, the new ones everything."""
    inputs, outputs = old.shape[-2:]
    return fresh.at[..., :outputs].set(0).at[..., :inputs, :outputs].set(gain * old)
