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
"""

from jaxsr.metrics import networks
from jaxsr.metrics._checks import check_pair
from jaxsr.metrics.consistency import Consistency, lr_consistency, lr_psnr
from jaxsr.metrics.dci import DCI, boosted_tree_importance, dci, logistic_importance
from jaxsr.metrics.diversity import diversity, mean_pairwise
from jaxsr.metrics.embedding import Embedding, Network, available, embedding, load_embedding
from jaxsr.metrics.features import feature_distance, load_features, same_type
from jaxsr.metrics.frechet import frechet_distance
from jaxsr.metrics.identity import identity_similarity
from jaxsr.metrics.kernel import kernel_distance, kernel_distance_subsets
from jaxsr.metrics.lpips import lpips, lpips_map
from jaxsr.metrics.manifold import precision_recall
from jaxsr.metrics.ms_ssim import ms_ssim
from jaxsr.metrics.niqe import NIQEModel, fit_niqe_model, niqe, read_niqe_model
from jaxsr.metrics.psnr import psnr, psnr_y
from jaxsr.metrics.spectrum import BAND_EDGES, band_powers, top_octave_power
from jaxsr.metrics.ssim import ssim
from jaxsr.metrics.table import DISTANCES, METRICS, Better, Distance, Metric, Score

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
]
