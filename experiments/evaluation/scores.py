"""What a result is judged by: columns of the evaluation's tables, each a function of an image and
its reference (or of it alone), and distances of sets.

A metric whose weights are not on this machine, or for which the images are too small, is left out,
and the report says why.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
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
    "whiteness": Column("whiteness of the residual before projection (noise: 1)", ""),
    "noise": Column("noise of the measurement", ""),
    "feasible": Column("feasible (residual <= eps)", "higher"),
    "seconds": Column("seconds a result (median)", "lower"),
}
# Of results made small again and the low-resolution photos: what can be said without references.
LOW = {
    f"{name}_low": name for name, distance in DISTANCES.items() if distance.network == "features"
}


def _set_columns() -> Iterator[tuple[str, Column]]:
    for name, distance in DISTANCES.items():
        yield name, Column(distance.title, "lower")
        if distance.spreads:
            yield f"{name}_deviation", Column(f"{distance.title}: deviation", "")
    for name, original in LOW.items():
        title = f"{DISTANCES[original].title}, made small"
        yield name, Column(title, "lower")
        if DISTANCES[original].spreads:
            yield f"{name}_deviation", Column(f"{title}: deviation", "")


# Columns of sets of results, not of single ones.
SET_COLUMNS = dict(_set_columns())
COLUMNS |= SET_COLUMNS


class Scorer:
    """Every metric that can be measured at these sizes on this machine.

    Attributes:
        net, params: the feature network.
        missing: column -> why it is left out, or at which sizes.
        alone: results have no references.
    """

    def __init__(self, sides: Sequence[int], features: str, *, alone: bool = False):
        """`sides`: px, of the pictures that are judged; `features`: a bundled feature network or
        the folder of one, else ValueError."""
        self.net, self.params = metrics.load_features(features)
        self.alone = alone
        self.missing: dict[str, str] = {}
        self._scores: dict[str, metrics.Score] = {}
        for name, metric in METRICS.items():
            if alone and not metric.alone:
                continue
            small = sorted({side for side in sides if side < metric.least_side})
            if small:
                whose = "these" if len(small) == len(set(sides)) else "some"
                self.missing[name] = (
                    f"needs images of at least {metric.least_side} px a side, {whose} have "
                    f"{' and '.join(map(str, small))}"
                )
            if len(small) < len(set(sides)):
                self._make(name, metric, features)
        self._read = jax.jit(self.net.read)
        self._distance = METRICS["feature_distance"].make(features)
        self._vectors: dict[str, metrics.Vectors] = {}
        for network in self._networks():
            self._make_vectors(network, features)

    def _make(self, name: str, metric: metrics.Metric, features: str) -> None:
        try:
            self._scores[name] = metric.make(features)
        except ValueError as error:
            self.missing[name] = str(error)

    def _networks(self) -> list[str]:
        return ["features"] if self.alone else list(VECTORS)

    def _make_vectors(self, network: str, features: str) -> None:
        try:
            self._vectors[network] = VECTORS[network](features)
        except ValueError as error:
            self.missing |= {
                name: str(error)
                for name, distance in DISTANCES.items()
                if distance.network == network
            }

    @property
    def names(self) -> list[str]:
        """The columns that every result gets here."""
        if self.alone:
            return sorted([*self._scores, *LOW])
        sets = [name for name in DISTANCES if name not in self.missing]
        return sorted([*self._scores, "type_agrees", *sets])

    def reads_faces(self) -> bool:
        """Whether some metric is of faces, which landmarks align."""
        return any(METRICS[name].of_faces for name in self._scores)

    def pair(
        self, image: np.ndarray, reference: np.ndarray, landmarks: np.ndarray | None = None
    ) -> dict[str, float]:
        """Scores of an image [h, w, 3] as it was written, against its reference, faces aligned by
        landmarks [5, 2] if there are some; ValueError for a pair that cannot be compared."""
        metrics.check_pair(image, reference)
        found, faces = {}, (image, reference)
        if landmarks is not None and self.reads_faces():
            faces = tuple(np.asarray(metrics.aligned_face(x, landmarks)) for x in faces)
        for name, score in self._scores.items():
            if min(image.shape[:2]) >= METRICS[name].least_side:
                pair = faces if METRICS[name].of_faces else (image, reference)
                found[name] = float(np.asarray(score(*pair)))
        return found | {"type_agrees": float(self.type_of(image) == self.type_of(reference))}

    def single(self, image: np.ndarray) -> dict[str, float]:
        """Scores of an image [h, w, 3] as it was written, without a reference; ValueError for one
        that cannot be judged."""
        metrics.check_pair(image, image)
        return {
            name: float(np.asarray(score(image, image)))
            for name, score in self._scores.items()
            if min(image.shape[:2]) >= METRICS[name].least_side
        }

    def type_of(self, image: np.ndarray) -> str:
        """What the feature network reads as the image's type."""
        name, values = self.net.config.heads[0]
        return values[int(np.argmax(self._read(self.params, image)[name]))]

    def diversity(self, images: Sequence[np.ndarray]) -> float:
        """Mean feature distance over all pairs of images."""
        pairs = [(a, b) for i, a in enumerate(images) for b in images[i + 1 :]]
        return (
            float(np.mean([float(np.asarray(self._distance(a, b))) for a, b in pairs]))
            if pairs
            else float("nan")
        )

    def sets(
        self, images: Sequence[np.ndarray], references: Sequence[np.ndarray]
    ) -> tuple[dict[str, float], list[str]]:
        """Distances of two sets of at least two images, and warnings of those that have too few.
        Without references, of results made small and the low-resolution photos."""
        pairs = {
            network: (vectors(images), vectors(references))
            for network, vectors in self._vectors.items()
        }
        names = LOW if self.alone else {name: name for name in DISTANCES}
        found: dict[str, float] = {}
        notes: list[str] = []
        for name, original in names.items():
            distance = DISTANCES[original]
            if distance.network not in pairs:
                continue
            if len(images) < distance.least:
                few = f"of {len(images)} photos, needs {distance.least}"
                notes.append(f"{distance.title} left out: {few}")
            else:
                values, told = _measured(name, pairs[distance.network], len(images))
                found |= values
                notes += told
        return found, notes


def _measured(
    name: str, pair: tuple[np.ndarray, np.ndarray], count: int
) -> tuple[Mapping[str, float], list[str]]:
    """The columns of one distance between two sets of vectors of `count` images, and what to be
    careful of."""
    distance = DISTANCES[LOW.get(name, name)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        value = distance.measure(*pair)
    notes = [f"{distance.title}: {warning.message}" for warning in caught]
    if distance.few and count < distance.few:
        notes.append(f"{distance.title}: of {count} photos only, unbiased but noisy")
    if isinstance(value, metrics.Spread):
        deviation = value.deviation * distance.scale
        return {name: value.mean * distance.scale, f"{name}_deviation": deviation}, notes
    return {name: value * distance.scale}, notes
