"""FSRNet-style restorer with pseudo-parsing (arXiv:1711.10703; see `jaxsr.nets.fsrnet`), sized for
an operator and bound to it. The classes of its parsing maps are the colours that k-means finds in
the photos it is trained on (`fitted`)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.learned.networks import Model, Sizes, Stages
from jaxsr.nets import fsrnet
from jaxsr.operators import Operator, enlarged
from jaxsr.priors import Prior
from jaxsr.types import Drawn, Latent, Measurement, Params, PRNGKey

CLASSES = 4  # of blood cells: background, red cell, cytoplasm, nucleus
_PHOTOS, _COLOURS, _ROUNDS = 1_000, 50_000, 100  # that k-means looks at; its rounds at most
_DIGITS = 4  # of a colour, so that it is the same on every machine


def sized(
    prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str
) -> fsrnet.Config:
    """The network, whose classes have no colours yet. Raises ValueError for images whose sides its
    halvings do not divide."""
    net = fsrnet.Config(
        sizes.width,
        sizes.parsing_width,
        sizes.coarse_blocks,
        sizes.encoder_blocks,
        sizes.hourglasses,
        sizes.levels,
        CLASSES,
        dtype=dtype,
    )
    _check_sides(net, operator)
    return net


def bind(net: fsrnet.Config, prior: Prior | None, operator: Operator) -> Model:
    """The network on measurements that are enlarged bicubically: it takes any operator."""
    _check_sides(net, operator)

    def seen(y: Measurement) -> jax.Array:
        return jnp.asarray(enlarged(operator, y, "bicubic"))

    def restore(
        key: PRNGKey, prior_params: Params, params: Params, y: Measurement
    ) -> tuple[Drawn, Latent]:
        return fsrnet.restored(net, params, seen(y)), {}

    def stages(key: PRNGKey, prior_params: Params, params: Params, ys: jax.Array) -> Stages:
        made = fsrnet.stages(net, params, jax.vmap(seen)(ys))
        return Stages(made.restored, (jnp.asarray(made.coarse),), made.maps, made.statistics)

    return Model(
        "fsrnet",
        net,
        lambda key, prior_params: fsrnet.init(key, net),
        restore,
        stages,
        lambda image: fsrnet.parsed(net, image),
    )


def _check_sides(net: fsrnet.Config, operator: Operator) -> None:
    height, width, _ = operator.image_shape
    if height % net.multiple or width % net.multiple:
        raise ValueError(
            f"expected images whose sides {net.multiple} divides, for hourglasses of {net.levels} "
            f"levels, got an operator of {width}x{height} px"
        )


def fitted(net: fsrnet.Config, photos: np.ndarray) -> fsrnet.Config:
    """The network whose classes have the colours of photos uint8 [n, h, w, 3], by k-means of means
    of 2 x 2 pixels, from dark to bright; one that has colours keeps them.

    Raises:
        ValueError: the photos have fewer colours than there are classes.
    """
    if net.centres:
        return net
    chosen = photos[np.linspace(0, len(photos) - 1, min(_PHOTOS, len(photos))).round().astype(int)]
    n, h, w, c = chosen.shape
    means = chosen.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4)).reshape(-1, c) / 255
    rng = np.random.default_rng(0)
    colours = means[rng.permutation(len(means))[:_COLOURS]]
    centres = _k_means(colours, net.maps, rng)
    ordered = centres[np.argsort(centres.sum(1), kind="stable")].round(_DIGITS)
    return dataclasses.replace(net, centres=tuple(tuple(map(float, row)) for row in ordered))


def _k_means(colours: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Lloyd's algorithm from k-means++'s start (Arthur and Vassilvitskii, SODA 2007):
    [classes, 3]."""
    centres = colours[rng.integers(len(colours))][None]
    while len(centres) < classes:
        nearest = _distances(colours, centres).min(1)
        if not nearest.any():
            raise ValueError(
                f"expected photos of at least {classes} colours, for as many classes, got "
                f"{len(centres)}"
            )
        drawn = rng.choice(len(colours), p=nearest / nearest.sum())
        centres = np.concatenate([centres, colours[drawn][None]])
    for _ in range(_ROUNDS):
        labels = _distances(colours, centres).argmin(1)
        moved = np.stack(
            [
                colours[labels == i].mean(0) if (labels == i).any() else centre
                for i, centre in enumerate(centres)
            ]
        )
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _distances(colours: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared, [colours, centres]."""
    return ((colours[:, None] - centres) ** 2).sum(-1)
