"""What a result is judged by: columns of the evaluation's tables, each a function of an image and its reference, and distances of sets.

A metric whose weights are not on this machine, or for which the images are too small, is left out, and the report says why.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import metrics
from jaxsr.metrics import networks

Score = Callable[[np.ndarray, np.ndarray], object]


class Column(NamedTuple):
    """A column of the tables: its title, and the direction in which it is better ("higher", "lower" or "")."""

    title: str
    better: str


COLUMNS = {
    "psnr": Column("PSNR (RGB), dB", "higher"),
    "ssim": Column("SSIM (RGB)", "higher"),
    "ms_ssim": Column("MS-SSIM (RGB)", "higher"),
    "lpips_alex": Column("LPIPS 0.1 (Alex)", "lower"),
    "identity": Column("identity (IR-101 cosine)", "higher"),
    "niqe": Column("NIQE", "lower"),
    "feature_distance": Column("feature distance (not LPIPS)", "lower"),
    "type_agrees": Column("type agreement", "higher"),
    "type_right": Column("type as labelled", "higher"),
    "top_octave_share": Column("top-octave power / reference's", ""),
    "diversity": Column("diversity (feature distance)", "higher"),
    "residual": Column("residual (LR MSE)", "lower"),
    "residual_before": Column("residual before projection", "lower"),
    "feasible": Column("feasible (residual <= eps)", "higher"),
    "seconds": Column("seconds a result (median)", "lower"),
    "frechet_features": Column("feature Frechet distance (not FID)", "lower"),
    "kernel_features": Column("feature kernel distance (not KID)", "lower"),
    "frechet_inception": Column("FID", "lower"),
    "kernel_inception": Column("KID x 1000 (all rows)", "lower"),
}
SCALES = {"features": 1.0, "inception": 1000.0}  # of kernel distances, KID being printed in thousandths
FEW = 100  # photos, below which a kernel distance is told to be noisy
SETS = ("frechet_features", "kernel_features", "frechet_inception", "kernel_inception")


class Scorer:
    """Every metric that can be measured at this size on this machine.

    Attributes:
        net, params: the feature network.
        missing: column -> why it is left out.
    """

    def __init__(self, resolution: int, features: str):
        """`features`: a bundled feature network or the folder of one; ValueError if there is none."""
        self.net, self.params = metrics.load_features(features)
        self.missing: dict[str, str] = {}
        self._pairs: dict[str, Score] = {}
        makers = {"psnr": (1, _psnr), "ssim": (11, _ssim), "ms_ssim": (161, _ms_ssim), "niqe": (192, _niqe)}
        makers |= {"lpips_alex": (32, _lpips), "identity": (1, _identity), "feature_distance": (1, self._feature_distance)}
        makers |= {"top_octave_share": (4, _top_octave_share)}
        for name, (least, make) in makers.items():
            try:
                if resolution < least:
                    raise ValueError(f"needs images of at least {least} px a side, these have {resolution}")
                self._pairs[name] = make()
            except ValueError as error:
                self.missing[name] = str(error)
        self._read = jax.jit(self.net.read)
        self._vectors = {"features": self._feature_vectors()}
        try:
            self._vectors["inception"] = _inception_vectors()
        except ValueError as error:
            self.missing |= {"frechet_inception": str(error), "kernel_inception": str(error)}

    @property
    def names(self) -> list[str]:
        """The columns that every result gets here."""
        return sorted([*self._pairs, "type_agrees", *(f"{kind}_{name}" for name in self._vectors for kind in ("frechet", "kernel"))])

    def pair(self, image: np.ndarray, reference: np.ndarray) -> dict[str, float]:
        """Scores of an image [h, w, 3] as it was written, against its reference; ValueError for a pair that cannot be compared."""
        metrics.check_pair(image, reference)
        found = {name: float(np.asarray(score(image, reference))) for name, score in self._pairs.items()}
        return found | {"type_agrees": float(self.type_of(image) == self.type_of(reference))}

    def type_of(self, image: np.ndarray) -> str:
        """What the feature network reads as the image's type."""
        name, values = self.net.config.heads[0]
        return values[int(np.argmax(self._read(self.params, image)[name]))]

    def diversity(self, images: Sequence[np.ndarray]) -> float:
        """Mean feature distance over all pairs of images."""
        distance = self._pairs["feature_distance"]
        pairs = [(a, b) for i, a in enumerate(images) for b in images[i + 1 :]]
        return float(np.mean([float(np.asarray(distance(a, b))) for a, b in pairs])) if pairs else float("nan")

    def sets(self, images: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> tuple[dict[str, float], list[str]]:
        """Distances of two sets of at least two images, and warnings of those that have too few."""
        found, notes = {}, []
        for name, vectors in self._vectors.items():
            first, second = vectors(images), vectors(references)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", RuntimeWarning)
                found[f"frechet_{name}"] = metrics.frechet_distance(first, second)
            notes += [f"{COLUMNS[f'frechet_{name}'].title}: {warning.message}" for warning in caught]
            found[f"kernel_{name}"] = metrics.kernel_distance(first, second) * SCALES[name]
            if len(first) < FEW:
                notes.append(f"{COLUMNS[f'kernel_{name}'].title}: of {len(first)} photos only, unbiased but noisy")
        return found, notes

    def _feature_distance(self) -> Score:
        distance = jax.jit(lambda params, x, ref: metrics.feature_distance(self.net, params, x, ref))
        return lambda x, ref: distance(self.params, x, ref)

    def _feature_vectors(self) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
        vector = jax.jit(self.net.vector)
        return lambda images: np.stack([np.asarray(vector(self.params, jnp.asarray(image))) for image in images])


def _psnr() -> Score:
    return jax.jit(metrics.psnr)


def _ssim() -> Score:
    return jax.jit(metrics.ssim)


def _ms_ssim() -> Score:
    return jax.jit(metrics.ms_ssim)


def _top_octave_share() -> Score:
    power = jax.jit(metrics.top_octave_power)
    return lambda x, ref: power(x) / power(ref)


def _niqe() -> Score:
    model = metrics.read_niqe_model(networks.find("niqe"))
    score = jax.jit(metrics.niqe)
    return lambda x, ref: score(x, model)


def _lpips() -> Score:
    backbone, heads = _all("alexnet", "lpips_alex")
    params = {"alex": {"backbone": backbone, "heads": heads}}
    score = jax.jit(metrics.lpips)
    return lambda x, ref: score(params, x, ref)


def _all(*names: str) -> list:
    """The parameters of several networks. Raises ValueError that tells of all that are missing."""
    found, problems = [], []
    for name in names:
        try:
            found.append(networks.load(name))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return found


def _identity() -> Score:
    params = networks.load("ir101")
    score = jax.jit(metrics.identity_similarity)
    return lambda x, ref: score(params, x, ref)


def _inception_vectors() -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    params = networks.load("inception_fid")
    from jaxsr.nets import inception

    vector = jax.jit(inception.features)
    return lambda images: np.stack([np.asarray(vector(params, jnp.asarray(image))) for image in images])
