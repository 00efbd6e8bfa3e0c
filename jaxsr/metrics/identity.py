"""Whether two images show the same person to a face recognition network."""

import jax.numpy as jnp

from jaxsr.types import AnyImage, Params, Scalar


def identity_similarity(params: Params, x: AnyImage, ref: AnyImage) -> Scalar:
    """Cosine of the IR-101 embeddings of two faces, in [-1, 1]; 1 for equal images (pSp's identity
    score, arXiv:2008.00951).

    Args:
        params: of `jaxsr.nets.iresnet`, networks.load("ir101").
        x: a face [h, w, 3] in [0, 1], aligned and cropped as the network expects; resampled to 112
            x 112 where it has another size. pSp aligns both images by MTCNN before; scores of
            unaligned crops are not comparable with its.
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
