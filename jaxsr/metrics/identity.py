"""Whether two images show the same person to a face recognition network."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.types import AnyArray, AnyImage, Image, Params, Scalar

# Where ArcFace's crops of 112 x 112 px have the eyes, the tip of the nose and the corners of the
# mouth, those on the left of the picture first: (x, y) in px, the first pixel's centre at 0
# (InsightFace; pSp aligns by the same points).
CROP = 112
TEMPLATE = np.array(
    [
        [38.29459953, 51.69630051],
        [73.53179932, 51.50139999],
        [56.02519989, 71.73660278],
        [41.54930115, 92.3655014],
        [70.72990036, 92.20410156],
    ]
)


def identity_similarity(params: Params, x: AnyImage, ref: AnyImage) -> Scalar:
    """Cosine of the IR-101 embeddings of two faces, in [-1, 1]; 1 for equal images (pSp's identity
    score, arXiv:2008.00951).

    Args:
        params: of `jaxsr.nets.iresnet`, networks.load("ir101").
        x: a face [h, w, 3] in [0, 1], aligned and cropped as the network expects (`aligned_face`);
            resampled to 112 x 112 where it has another size. Scores of unaligned pictures are not
            comparable with the papers'.
        ref: the face it is compared with.

    Raises:
        ValueError: images that are not [h, w, 3].
    """
    from jaxsr.nets import iresnet

    return jnp.dot(
        iresnet.embed(params, jnp.asarray(x)),
        iresnet.embed(params, jnp.asarray(ref)),
        precision="highest",
    )


def aligned_face(image: AnyImage, landmarks: AnyArray) -> Image:
    """The crop [112, 112, 3] of a face that recognition networks expect: turned, scaled and moved
    so that its landmarks come nearest to TEMPLATE, bilinear, black beyond the image, as pSp's score
    crops it.

    Args:
        image: [h, w, 3] in [0, 1].
        landmarks: [5, 2], (x, y) in px of the eyes, the tip of the nose and the corners of the
            mouth, those on the left of the picture first; the first pixel's centre is at 0.

    Raises:
        ValueError: landmarks that are not five finite, different points.
    """
    turn, shift = _to_image(np.asarray(landmarks, np.float64))
    y, x = np.mgrid[:CROP, :CROP]
    columns, rows = np.moveaxis(np.stack([x, y], -1) @ turn.T + shift, -1, 0)
    at = [jnp.asarray(rows, jnp.float32), jnp.asarray(columns, jnp.float32)]

    def sampled(channel: jax.Array) -> jax.Array:
        return jax.scipy.ndimage.map_coordinates(channel, at, order=1)

    return jax.vmap(sampled, -1, -1)(jnp.asarray(image, jnp.float32))


def _to_image(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation times scale [2, 2] and shift [2] that bring TEMPLATE nearest to the landmarks in
    squares: x' = a x + b y + c, y' = a y - b x + d."""
    if landmarks.shape != TEMPLATE.shape or not np.isfinite(landmarks).all():
        raise ValueError(f"expected landmarks [5, 2] of finite numbers, got {landmarks.tolist()}")
    if np.ptp(landmarks, 0).max() == 0:
        raise ValueError(f"expected five different landmarks, got {landmarks[0].tolist()} alone")
    x, y = TEMPLATE.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    system = np.concatenate([np.stack([x, y, one, zero], 1), np.stack([y, -x, zero, one], 1)])
    a, b, c, d = np.linalg.lstsq(system, landmarks.T.ravel(), rcond=None)[0]
    return np.array([[a, b], [-b, a]]), np.array([c, d])
