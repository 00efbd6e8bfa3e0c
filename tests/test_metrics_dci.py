"""DCI: known importances, the definition, and regressors that must find the latents that make the
labels."""

import builtins

import numpy as np
import pytest

from jaxsr import metrics

IMPORTANCE = np.random.default_rng(0).uniform(size=(6, 4)) ** 4
pytest.importorskip("sklearn")


def test_dci_of_one_latent_a_factor():
    """A permutation is perfect, whatever the scale of its entries; a latent that is not used
    changes nothing."""
    scores = metrics.dci(np.eye(4)[[2, 0, 3, 1]] * [1.0, 2.0, 3.0, 0.5])
    np.testing.assert_allclose([scores.disentanglement, scores.completeness], 1.0, atol=1e-8)
    unused = metrics.dci(np.concatenate([np.eye(4), np.zeros((2, 4))]))
    np.testing.assert_allclose([unused.disentanglement, unused.completeness], 1.0, atol=1e-8)
    np.testing.assert_allclose(unused.disentanglement_per_latent, [1, 1, 1, 1, 0, 0], atol=1e-8)


def test_dci_of_equal_importances():
    """All latents alike for all factors is the worst there is."""
    scores = metrics.dci(np.full((5, 3), 0.2))
    np.testing.assert_allclose([scores.disentanglement, scores.completeness], 0.0, atol=1e-9)


def test_dci_tells_its_two_sides_apart():
    """Two latents for each factor: each latent has one purpose, but a factor takes two latents (1 -
    log 2 / log 4)."""
    scores = metrics.dci(np.kron(np.eye(2), np.ones((2, 1))))
    np.testing.assert_allclose([scores.disentanglement, scores.completeness], [1.0, 0.5], atol=1e-8)
    turned = metrics.dci(np.kron(np.eye(2), np.ones((1, 2))))
    np.testing.assert_allclose([turned.disentanglement, turned.completeness], [0.5, 1.0], atol=1e-8)


def test_dci_equals_the_definition():
    """Eastwood and Williams with scipy's entropy, row by row."""
    entropy = pytest.importorskip("scipy.stats").entropy

    def score(importance):
        each = [1 - entropy(row + 1e-11, base=len(row)) for row in importance]
        return each, sum(
            row.sum() / importance.sum() * value
            for row, value in zip(importance, each, strict=True)
        )

    scores = metrics.dci(IMPORTANCE)
    (latents, disentanglement), (factors, completeness) = score(IMPORTANCE), score(IMPORTANCE.T)
    for got, expected in zip(
        scores, (disentanglement, completeness, latents, factors), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_dci_does_not_depend_on_order_or_scale():
    """Importances have no unit and their rows no order."""
    random = np.random.default_rng(1)
    moved = metrics.dci(7 * IMPORTANCE[random.permutation(6)][:, random.permutation(4)])
    np.testing.assert_allclose(moved[:2], metrics.dci(IMPORTANCE)[:2], rtol=1e-6)


@pytest.mark.parametrize(
    ("importance", "message"),
    [
        (np.ones(4), "latents >= 2"),
        (np.ones((4, 1)), "factors >= 2"),
        (np.zeros((4, 2)), "not all zero"),
        (-np.ones((4, 2)), "none negative"),
        (np.full((4, 2), np.nan), "finite"),
    ],
)
def test_dci_refuses(importance, message):
    """The entropy of one factor has no scale, and zeros say that the fit failed."""
    with pytest.raises(ValueError, match=message):
        metrics.dci(importance)


def _labelled(samples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Three factors: the signs of latents 4 and 1, and a coin; a tenth of the first factor has no
    label."""
    random = np.random.default_rng(2)
    latents = random.normal(size=(samples, 5)) * [1, 10, 1, 1, 0.1] + 3
    labels = np.stack(
        [latents[:, 4] > 3, latents[:, 1] > 3, random.uniform(size=samples) < 0.5], 1
    ).astype(float)
    labels[: samples // 10, 0] = np.nan
    return latents, labels


@pytest.mark.parametrize("regress", [metrics.boosted_tree_importance, metrics.logistic_importance])
def test_importances_find_the_latents_of_a_factor(regress):
    """The right latent has the largest importance, whatever its scale; only what can be known is
    classified; a seed fixes all."""
    latents, labels = _labelled()
    importance, accuracy = regress(latents, labels, seed=0)
    assert importance.shape == (5, 3) and importance.min() >= 0
    assert list(importance.argmax(0)[:2]) == [4, 1]
    assert accuracy[:2].min() > 0.9 and accuracy[2] < 0.7
    assert metrics.dci(importance[:, :2]).disentanglement > 0.8
    np.testing.assert_array_equal(regress(latents, labels, seed=0).importance, importance)


@pytest.mark.parametrize(
    ("latents", "labels", "message"),
    [
        (np.ones((8, 2)), np.ones((7, 2)), r"latents \[n, d\]"),
        (np.full((8, 2), np.inf), np.ones((8, 2)), "finite latents"),
        (np.ones((8, 2)), np.full((8, 2), 2.0), "labels 0 or 1"),
        (np.ones((8, 2)), np.ones((8, 2)), "two samples of each class"),
    ],
)
def test_importances_refuse(latents, labels, message):
    """A factor of one class has no classifier."""
    with pytest.raises(ValueError, match=message):
        metrics.logistic_importance(latents, labels, seed=0)


def test_importances_name_the_missing_package(monkeypatch):
    """scikit-learn is an extra: its absence is one line that says how to get it."""
    find = builtins.__import__

    def refuse(name, *args):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return find(name, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ValueError, match=r'pip install "\.\[dci\]"'):
        metrics.logistic_importance(*_labelled(20), seed=0)
