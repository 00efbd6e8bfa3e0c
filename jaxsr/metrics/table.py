"""METRICS, of an image and its reference, and DISTANCES, of two sets of images, by their names:
columns of every table derive from them.

A new metric is its file here, its row in this table, its name in `jaxsr.metrics`, and its row in
tests/test_metrics.py.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.metrics import networks
from jaxsr.metrics.features import feature_distance, load_features
from jaxsr.metrics.frechet import frechet_distance
from jaxsr.metrics.identity import identity_similarity
from jaxsr.metrics.kernel import kernel_distance
from jaxsr.metrics.lpips import lpips
from jaxsr.metrics.ms_ssim import ms_ssim
from jaxsr.metrics.niqe import niqe, read_niqe_model
from jaxsr.metrics.psnr import psnr
from jaxsr.metrics.spectrum import top_octave_power
from jaxsr.metrics.ssim import ssim

Better = Literal["higher", "lower", ""]
Score = Callable[[np.ndarray, np.ndarray], object]
Vectors = Callable[[Sequence[np.ndarray]], np.ndarray]


class Metric(NamedTuple):
    """A row of METRICS.

    Attributes:
        title: as tables show it.
        better: the direction in which it is better, "" for neither.
        make: (name or folder of a feature network) -> score(image, reference), of [h, w, 3] in [0,
            1]. Raises ValueError where weights are not on this machine.
        least_side: px, of the smallest image that it is defined for.
    """

    title: str
    better: Better
    make: Callable[[str], Score]
    least_side: int = 1


class Distance(NamedTuple):
    """A row of DISTANCES.

    Attributes:
        title: as tables show it.
        measure: (vectors [n, d], vectors [m, d]) -> number; the lower, the better.
        network: whose features it is of, a name in VECTORS.
        scale: of the number in tables.
        few: images, below which it is told to be noisy; 0 for a distance that warns by itself.
    """

    title: str
    measure: Callable[[np.ndarray, np.ndarray], float]
    network: str
    scale: float = 1.0
    few: int = 0


def _plain(metric: Callable) -> Callable[[str], Score]:
    return lambda features: jax.jit(metric)


def _top_octave_share(features: str) -> Score:
    power = jax.jit(top_octave_power)
    return lambda x, ref: power(x) / power(ref)


def _niqe(features: str) -> Score:
    model = read_niqe_model(networks.find("niqe"))
    score = jax.jit(niqe)
    return lambda x, ref: score(x, model)


def _lpips(features: str) -> Score:
    backbone, heads = networks.load_all("alexnet", "lpips_alex")
    params = {"alex": {"backbone": backbone, "heads": heads}}
    score = jax.jit(lpips)
    return lambda x, ref: score(params, x, ref)


def _identity(features: str) -> Score:
    params = networks.load("ir101")
    score = jax.jit(identity_similarity)
    return lambda x, ref: score(params, x, ref)


def _feature_distance(features: str) -> Score:
    net, params = load_features(features)
    distance = jax.jit(lambda params, x, ref: feature_distance(net, params, x, ref))
    return lambda x, ref: distance(params, x, ref)


METRICS: dict[str, Metric] = {
    "psnr": Metric("PSNR (RGB), dB", "higher", _plain(psnr)),
    "ssim": Metric("SSIM (RGB)", "higher", _plain(ssim), least_side=11),
    "ms_ssim": Metric("MS-SSIM (RGB)", "higher", _plain(ms_ssim), least_side=161),
    "lpips_alex": Metric("LPIPS 0.1 (Alex)", "lower", _lpips, least_side=32),
    "identity": Metric("identity (IR-101 cosine)", "higher", _identity),
    "niqe": Metric("NIQE", "lower", _niqe, least_side=192),
    "feature_distance": Metric("feature distance (not LPIPS)", "lower", _feature_distance),
    "top_octave_share": Metric(
        "top-octave power / reference's", "", _top_octave_share, least_side=4
    ),
}


def _feature_vectors(features: str) -> Vectors:
    net, params = load_features(features)
    vector = jax.jit(net.vector)
    return lambda images: np.stack(
        [np.asarray(vector(params, jnp.asarray(image))) for image in images]
    )


def _inception_vectors(features: str) -> Vectors:
    params = networks.load("inception_fid")
    from jaxsr.nets import inception

    vector = jax.jit(inception.features)
    return lambda images: np.stack(
        [np.asarray(vector(params, jnp.asarray(image))) for image in images]
    )


# The features that DISTANCES are of, each made of the name or folder of a feature network.
VECTORS: dict[str, Callable[[str], Vectors]] = {
    "features": _feature_vectors,
    "inception": _inception_vectors,
}

DISTANCES: dict[str, Distance] = {
    "frechet_features": Distance(
        "feature Frechet distance (not FID)", frechet_distance, "features"
    ),
    "kernel_features": Distance(
        "feature kernel distance (not KID)", kernel_distance, "features", few=100
    ),
    "frechet_inception": Distance("FID", frechet_distance, "inception"),
    # Printed in thousandths.
    "kernel_inception": Distance(
        "KID x 1000 (all rows)", kernel_distance, "inception", scale=1000.0, few=100
    ),
}
