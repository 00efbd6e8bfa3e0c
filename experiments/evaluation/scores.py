"""What a result is judged by: columns of the evaluation's tables, each a function of an image and
its reference, and distances of sets.

A metric whose weights are not on this machine, or for which the images are too small, is left out,
and the report says why.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxsr import metrics
from jaxsr.metrics import DISTANCES, METRICS, VECTORS, Better


class Column(NamedTuple):
    """A column of the tables: its title, and in which direction it is better, if in one."""

    title: str
    better: Better


COLUMNS = {
    **{name: Column(metric.title, metric.better) for name, metric in METRICS.items()},
    "type_agrees": Column("type agreement", "higher"),
    "type_right": Column("type as labelled", "higher"),
    "diversity": Column("diversity (feature distance)", "higher"),
    "residual": Column("residual (LR MSE)", "lower"),
    "residual_before": Column("residual before projection", "lower"),
    "noise": Column("noise found in the measurement", ""),
    "feasible": Column("feasible (residual <= eps)", "higher"),
    "seconds": Column("seconds a result (median)", "lower"),
    **{name: Column(distance.title, "lower") for name, distance in DISTANCES.items()},
}


class Scorer:
    """Every metric that can be measured at this size on this machine.

    Attributes:
        net, params: the feature network.
        missing: column -> why it is left out.
    """

    def __init__(self, resolution: int, features: str):
        """`features`: a bundled feature network or the folder of one, else ValueError."""
        self.net, self.params = metrics.load_features(features)
        self.missing: dict[str, str] = {}
        self._pairs: dict[str, metrics.Score] = {}
        for name, metric in METRICS.items():
            try:
                if resolution < metric.least_side:
                    raise ValueError(
                        f"needs images of at least {metric.least_side} px a side, these have "
                        f"{resolution}"
                    )
                self._pairs[name] = metric.make(features)
            except ValueError as error:
                self.missing[name] = str(error)
        self._read = jax.jit(self.net.read)
        self._vectors = {}
        for network, make in VECTORS.items():
            try:
                self._vectors[network] = make(features)
            except ValueError as error:
                self.missing |= {
                    name: str(error)
                    for name, distance in DISTANCES.items()
                    if distance.network == network
                }

    @property
    def names(self) -> list[str]:
        """The columns that every result gets here."""
        return sorted(
            [*self._pairs, "type_agrees", *(name for name in DISTANCES if name not in self.missing)]
        )

    def pair(self, image: np.ndarray, reference: np.ndarray) -> dict[str, float]:
        """Scores of an image [h, w, 3] as it was written, against its reference; ValueError for a
        pair that cannot be compared."""
        metrics.check_pair(image, reference)
        found = {
            name: float(np.asarray(score(image, reference))) for name, score in self._pairs.items()
        }
        return found | {"type_agrees": float(self.type_of(image) == self.type_of(reference))}

    def type_of(self, image: np.ndarray) -> str:
        """What the feature network reads as the image's type."""
        name, values = self.net.config.heads[0]
        return values[int(np.argmax(self._read(self.params, image)[name]))]

    def diversity(self, images: Sequence[np.ndarray]) -> float:
        """Mean feature distance over all pairs of images."""
        distance = self._pairs["feature_distance"]
        pairs = [(a, b) for i, a in enumerate(images) for b in images[i + 1 :]]
        return (
            float(np.mean([float(np.asarray(distance(a, b))) for a, b in pairs]))
            if pairs
            else float("nan")
        )

    def sets(
        self, images: Sequence[np.ndarray], references: Sequence[np.ndarray]
    ) -> tuple[dict[str, float], list[str]]:
        """Distances of two sets of at least two images, and warnings of those that have too few."""
        found, notes = {}, []
        pairs = {
            network: (vectors(images), vectors(references))
            for network, vectors in self._vectors.items()
        }
        for name, distance in DISTANCES.items():
            if distance.network in pairs:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", RuntimeWarning)
                    found[name] = distance.measure(*pairs[distance.network]) * distance.scale
                notes += [f"{distance.title}: {warning.message}" for warning in caught]
                if distance.few and len(images) < distance.few:
                    notes.append(
                        f"{distance.title}: of {len(images)} photos only, unbiased but noisy"
                    )
        return found, notes
