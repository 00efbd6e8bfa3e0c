"""Terms that one network's objective has beside LAREN's: of FSRNet (arXiv:1711.10703), GFPGAN
(arXiv:2101.04061) and GPEN (arXiv:2105.06070)."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxsr import metrics
from jaxsr.learned import Model
from jaxsr.nets import vgg16
from jaxsr.nets.features import Features
from jaxsr.nets.progressive import means
from jaxsr.types import Images, Params

# Of the Gram matrices of five maps, finest first: GFPGAN's release.
_LAYERS = (0.1, 0.1, 1.0, 1.0, 1.0)
_EPS = 1e-12  # a root's slope at 0


def earlier_images(
    fit: Callable[[jax.Array], jax.Array], earlier: Sequence[jax.Array], images: Images
) -> jax.Array:
    """The sum of fit(differences in [-1, 1]) of what a network makes on its way [n, r, r, 3] and
    photos [n, H, W, 3], both in [0, 1]; of smaller images, the photos' means of squares of pixels.

    GFPGAN's pyramid, whose release drops it after a sixteenth of the training; FSRNet's coarse
    image (Eq. 5).
    """
    photos = {images.shape[1]: jnp.asarray(images)}
    while min(photos) > min(each.shape[1] for each in earlier):
        photos[min(photos) // 2] = means(photos[min(photos)])
    differences = [jnp.asarray(2 * (each - photos[each.shape[1]])) for each in earlier]
    return jnp.sum(jnp.stack([fit(difference) for difference in differences]))


def parsing(model: Model, maps: jax.Array | None, images: Images) -> jax.Array:
    """The squared error of guessed maps [n, h, w, k], summed over each and divided by the number of
    the photo's numbers: with the squared error of images in [-1, 1], in FSRNet's proportion."""
    assert model.parse is not None and maps is not None
    return 4 * jnp.sum((maps - jax.vmap(model.parse)(jnp.asarray(images))) ** 2) / images.size


def style(network: str, perceiving: Params, made: Images, images: Images) -> jax.Array:
    """Mean absolute differences of the Gram matrices of five maps of the perceptual network, "vgg"
    or "features", weighed as GFPGAN's release weighs those of VGG-19."""
    matrices = (gram(network, perceiving, stack) for stack in (made, images))
    pairs = zip(*matrices, _LAYERS, strict=True)
    return jnp.sum(jnp.stack([weight * jnp.mean(jnp.abs(a - b)) for a, b, weight in pairs]))


def gram(network: str, perceiving: Params, images: Images) -> list[jax.Array]:
    """Products of a map's channels, each [n, c, c], over how many numbers the map has."""

    def maps(image: jax.Array) -> list[jax.Array]:
        if network == "features":
            return _features().maps(perceiving, image)
        convolutions = vgg16.convolutions(perceiving["vgg"]["backbone"], image)
        return [convolutions[name] for name in vgg16.TAPS]

    found = jax.vmap(maps)(jnp.asarray(images))
    return [jnp.einsum("nhwc,nhwd->ncd", x, x) / x[0].size for x in found]


@functools.cache
def _features() -> Features:
    """The bundled network, without its parameters; read from its files once."""
    return metrics.load_features()[0]


def matching(made: Sequence[jax.Array], photos: Sequence[jax.Array]) -> jax.Array:
    """The distance of a discriminator's maps [n, ...] of restored images and of photos, summed over
    its layers (GPEN, Eq. 3). As its pixel term, a distance is of means: the root of the mean
    square."""
    squares = [
        jnp.mean((a - b) ** 2, tuple(range(1, a.ndim))) for a, b in zip(made, photos, strict=True)
    ]
    return jnp.sum(jnp.stack([jnp.mean(jnp.sqrt(x + _EPS)) for x in squares]))
