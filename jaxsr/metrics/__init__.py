"""Metrics of one pair of images, [h, w, 3] in [0, 1] (vmap for many), and of two sets of features.

Each was compared with what the field uses, on 29 pairs of 8 sizes, 128 to 1024 px, and feature sets
of 16 to 2,048 dimensions:

| metric | compared with | largest difference |
|---|---|---|
| PSNR (RGB), PSNR (Y) | scikit-image; BasicSR | 3e-6 dB; 5e-6 dB |
| SSIM | scikit-image | 2.6e-6 |
| MS-SSIM | pytorch-msssim | 2.8e-6 |
| LPIPS 0.1: alex, vgg, squeeze | lpips, own heads on random backbones | 2.2e-8, 1.5e-8, 1.5e-8 |
| NIQE | BasicSR; MATLAB's printed value (one image) | 0.03 % typically, 0.2 % at most; 6.5e-6 |
| Frechet distance | SciPy's matrix root; torch-fidelity | 7e-14; 3e-14 (relative) |
| kernel distance | plain NumPy; torch-fidelity | 1e-13; 2e-13 (relative) |
| Inception-V3 features of FID | pytorch-fid, random weights | 4e-7 (relative) |
| identity (IR-101) | a PyTorch module written for it, random weights | 1e-7 |

LPIPS, NIQE, FID and identity need published weights, which are never downloaded: `networks` says
where they go.

METRICS (of an image and its reference) and DISTANCES (of two sets of images) have them by their
names: columns of every table derive from them. A new metric is its file here, its import and its
row in this file, and its row in tests/test_metrics.py.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.metrics import networks
from jaxsr.metrics._checks import check_pair
from jaxsr.metrics.consistency import Consistency, lr_consistency, lr_psnr
from jaxsr.metrics.dci import DCI, boosted_tree_importance, dci, logistic_importance
from jaxsr.metrics.diversity import diversity, mean_pairwise
from jaxsr.metrics.embedding import Embedding, Network, available, embedding, load_embedding
from jaxsr.metrics.features import feature_distance, load_features, same_type
from jaxsr.metrics.frechet import frechet_distance
from jaxsr.metrics.identity import aligned_face, identity_similarity
from jaxsr.metrics.kernel import (
    Spread,
    kernel_distance,
    kernel_distance_printed,
    kernel_distance_subsets,
)
from jaxsr.metrics.lpips import lpips, lpips_map
from jaxsr.metrics.manifold import precision_recall
from jaxsr.metrics.ms_ssim import ms_ssim
from jaxsr.metrics.niqe import NIQEModel, fit_niqe_model, niqe, read_niqe_model
from jaxsr.metrics.psnr import psnr, psnr_y
from jaxsr.metrics.spectrum import BAND_EDGES, band_powers, top_octave_power
from jaxsr.metrics.ssim import ssim
from jaxsr.metrics.whiteness import white_limit, whiteness

__all__ = [
    "BAND_EDGES",
    "DCI",
    "DISTANCES",
    "METRICS",
    "Better",
    "Consistency",
    "Distance",
    "Embedding",
    "Metric",
    "NIQEModel",
    "Network",
    "Score",
    "Spread",
    "aligned_face",
    "available",
    "band_powers",
    "boosted_tree_importance",
    "check_pair",
    "dci",
    "diversity",
    "embedding",
    "feature_distance",
    "fit_niqe_model",
    "frechet_distance",
    "identity_similarity",
    "kernel_distance",
    "kernel_distance_printed",
    "kernel_distance_subsets",
    "load_embedding",
    "load_features",
    "logistic_importance",
    "lpips",
    "lpips_map",
    "lr_consistency",
    "lr_psnr",
    "mean_pairwise",
    "ms_ssim",
    "networks",
    "niqe",
    "precision_recall",
    "psnr",
    "psnr_y",
    "read_niqe_model",
    "same_type",
    "ssim",
    "top_octave_power",
    "white_limit",
    "whiteness",
]

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
        alone: it needs no reference: score(image, image).
        of_faces: aligned crops of both images are compared where landmarks are given.
    """

    title: str
    better: Better
    make: Callable[[str], Score]
    least_side: int = 1
    alone: bool = False
    of_faces: bool = False


class Distance(NamedTuple):
    """A row of DISTANCES.

    Attributes:
        title: as tables show it.
        measure: (vectors [n, d], vectors [m, d]) -> number, the lower, the better; or its mean and
            deviation over subsets.
        network: whose features it is of, a name in VECTORS.
        scale: of the number in tables.
        few: images, below which it is told to be noisy; 0 for a distance that warns by itself.
        least: images, below which it tells nothing at all.
        spreads: measure gives a deviation too.
    """

    title: str
    measure: Callable[[np.ndarray, np.ndarray], float | Spread]
    network: str
    scale: float = 1.0
    few: int = 0
    least: int = 2
    spreads: bool = False


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
    "identity": Metric("identity (IR-101 cosine)", "higher", _identity, of_faces=True),
    "niqe": Metric("NIQE", "lower", _niqe, least_side=192, alone=True),
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

LEAST = 16  # images of a kernel distance: of fewer it is noise that reads like a figure

DISTANCES: dict[str, Distance] = {
    "frechet_features": Distance(
        "feature Frechet distance (not FID)", frechet_distance, "features"
    ),
    "kernel_features": Distance(
        "feature kernel distance (not KID)", kernel_distance, "features", few=100, least=LEAST
    ),
    "kernel_features_subsets": Distance(
        "feature kernel distance (not KID), mean over subsets",
        kernel_distance_printed,
        "features",
        least=LEAST,
        spreads=True,
    ),
    "frechet_inception": Distance("FID", frechet_distance, "inception"),
    # Printed in thousandths.
    "kernel_inception": Distance(
        "KID x 1000 (all rows)", kernel_distance, "inception", scale=1000.0, few=100, least=LEAST
    ),
    "kernel_inception_subsets": Distance(
        "KID x 1000, mean over subsets",
        kernel_distance_printed,
        "inception",
        scale=1000.0,
        least=LEAST,
        spreads=True,
    ),
}
