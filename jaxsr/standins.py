"""Stand-ins for what happens to a photo after the operator, which a search can look through: the
values are those of a JPEG or of a noisy file, the gradients those of what was there before.

After "Robust Unsupervised StyleGAN Image Restoration" (Poirier-Ginter and Lalonde, CVPR 2023,
arXiv:2302.06733), which searches with the tables of the file. Images are [h, w, 3] in [0, 1]. What
really happens to a photo is in `jaxsr.degradations`.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.images import Compression
from jaxsr.operators import is_fancy, means, read_back
from jaxsr.types import AnyArray, AnyImage, PRNGKey, Scalar

BLOCK = 8
TABLES = (2, BLOCK, BLOCK)  # of luma and of colours
# Of luma and the two colour differences, of RGB (JFIF).
TO_YCBCR = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.886 / 1.772],
        [0.701 / 1.402, -0.587 / 1.402, -0.114 / 1.402],
    ]
)
# Where params may have the tables of the photo's JPEG, [2, 8, 8]: name -> whether it keeps every
# second row of colours, and every second column.
JPEG = {
    "photo_jpeg_444": (False, False),
    "photo_jpeg_422": (False, True),
    "photo_jpeg_420": (True, True),
}


def told(compression: Compression) -> tuple[str, np.ndarray]:
    """The entry of params for a photo that was compressed like this."""
    tables = compression.tables
    luma, chroma = tables[min(tables)], tables[max(tables)]
    name = list(JPEG)[compression.sampling]
    return name, np.asarray([luma, chroma], np.float32).reshape(TABLES)


def jpeg(y: AnyImage, tables: AnyArray, halves: Sequence[bool] = (True, True)) -> jax.Array:
    """Through a JPEG with quantisation tables [2, 8, 8] (of luma and of colours), in steps of 255.

    What is rounded has the gradient of what was not ("straight-through", Bengio, Leonard and
    Courville, arXiv:1308.3432), so that the values are those of the file: of a real one they differ
    by libjpeg's whole numbers, half a grey level in the mean. (A polynomial, x - round(x) cubed,
    would differ more, and has no gradient where coefficients are 0, as most are.) Sides that are no
    multiples of a block are filled up with their last row and column, as libjpeg does.

    Args:
        y: the image.
        tables: may be traced.
        halves: whether colours are kept of every second row, and of every second column.
    """
    height, width = y.shape[:2]
    levels = 255 * straight(_in_range, jnp.asarray(y))
    # libjpeg fills up columns before it takes means of colours, and rows after.
    levels = jnp.pad(levels, [(0, 0), (0, -width % (2 * BLOCK)), (0, 0)], "edge")
    planes = jnp.einsum("cd,hwd->chw", TO_YCBCR.astype(np.float32), levels)
    luma = _quantised(planes[0] - 128.0, tables[0])[:, :width] + 128.0
    colours = [_colours(plane, tables[1], halves, (height, width)) for plane in planes[1:]]
    back = np.linalg.inv(TO_YCBCR).astype(np.float32)
    rgb = jnp.einsum("dc,chw->hwd", back, jnp.stack([luma, *colours]))
    return straight(_in_range, rgb / 255)


def noisy(key: PRNGKey, y: AnyImage, sigma: Scalar | float) -> jax.Array:
    """Adds N(0, sigma^2) to every value and clips to [0, 1], as a file does; the gradient is that
    of what was not clipped, so that pixels that noise threw out of range still count."""
    return straight(_in_range, jnp.asarray(y) + sigma * jax.random.normal(key, y.shape))


def straight(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """function(x) with the gradient of x."""
    return x + jax.lax.stop_gradient(function(x) - x)


def _in_range(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0.0, 1.0)


def _colours(
    plane: jax.Array, table: AnyArray, halves: Sequence[bool], sides: tuple[int, int]
) -> jax.Array:
    """A colour difference [h, w], filled up to blocks, made small, quantised and read back."""
    fancy = is_fancy(sides[1])
    down = [means(n) if half else np.eye(n) for n, half in zip(plane.shape, halves, strict=True)]
    up = [
        read_back(n, fancy=fancy) if half else np.eye(n)
        for n, half in zip(sides, halves, strict=True)
    ]
    small = _quantised(_both(down, plane), table)
    return _both(up, small[:, : up[1].shape[1]])


def _both(matrices: Sequence[np.ndarray], plane: AnyArray) -> jax.Array:
    """Rows and columns of a plane, each through its matrix."""
    left, right = (matrix.astype(np.float32) for matrix in matrices)
    return jnp.einsum("oh,hw,pw->op", left, plane, right)


def _quantised(plane: jax.Array, table: AnyArray) -> jax.Array:
    """A plane [h, w], w a multiple of a block's, each block's cosine coefficients rounded to steps
    of `table`."""
    rows = plane.shape[0]
    filled = jnp.pad(plane, [(0, -rows % BLOCK), (0, 0)], "edge")
    height, width = filled.shape
    blocks = filled.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(0, 2, 1, 3)
    cosines = _cosines()
    found = jnp.einsum("ur,ijrs,vs->ijuv", cosines, blocks, cosines)
    rounded = straight(jnp.round, found / table) * table
    back = jnp.einsum("ur,ijuv,vs->ijrs", cosines, rounded, cosines)
    return back.transpose(0, 2, 1, 3).reshape(height, width)[:rows]


def _cosines() -> np.ndarray:
    """The orthonormal cosine transform of a block, which JPEG's is."""
    frequency, place = np.arange(BLOCK)[:, None], np.arange(BLOCK) + 0.5
    matrix = np.cos(np.pi / BLOCK * frequency * place) * np.sqrt(2 / BLOCK)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)
