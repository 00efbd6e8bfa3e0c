"""How well the entries of a latent stand for one attribute each: disentanglement, completeness,
informativeness.

Eastwood and Williams, "A framework for the quantitative evaluation of disentangled
representations", ICLR 2018. The scores depend on the regressor that gives the importances; print it
with them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Shaped

Importance = Float[Array, "..."] | Float[np.ndarray, "..."]
Latents = Float[Array, "..."] | Float[np.ndarray, "..."]
Labels = Shaped[Array, "..."] | Shaped[np.ndarray, "..."]
# Latents [n, d], labels [n] -> scikit-learn's classifier, importance [d].
Fit = Callable[[Any, Any], tuple[Any, Any]]
# Keeps the logarithm of an importance of zero finite; makes the distribution of an all-zero row
# uniform.
_TINY = 1e-11


class DCI(NamedTuple):
    """Scores in [0, 1]; higher is better.

    Attributes:
        disentanglement: mean of `disentanglement_per_latent`, each latent weighted by its share of
            the total importance.
        completeness: mean of `completeness_per_factor`, each factor weighted by its share of the
            total importance.
        disentanglement_per_latent: [latents], 1 where a latent matters for one factor alone, 0
            where for all alike or for none.
        completeness_per_factor: [factors], 1 where one latent alone matters for a factor, 0 where
            all alike or none.
    """

    disentanglement: float
    completeness: float
    disentanglement_per_latent: np.ndarray
    completeness_per_factor: np.ndarray


class Importances(NamedTuple):
    """What regressors of the factors say of the latents.

    Attributes:
        importance: [latents, factors], not negative; for `dci`.
        accuracy: [factors], share of the held-out half that is classified correctly; its mean is
            the informativeness.
    """

    importance: np.ndarray
    accuracy: np.ndarray


def _certainty(importance: np.ndarray) -> np.ndarray:
    """1 less the entropy of each row, scaled to at most 1."""
    share = importance + _TINY
    share = share / share.sum(1, keepdims=True)
    return 1.0 + (share * np.log(share)).sum(1) / np.log(importance.shape[1])


def dci(importance: Importance) -> DCI:
    """Disentanglement and completeness of importances [latents, factors] (sections 2.1 and 2.2 of
    the paper).

    Each row, for completeness each column, is scaled to sum 1 after adding 1e-11. A latent without
    any importance has a uniform distribution by that: its own score is 0 and its weight too. So it
    is with a factor.

    Raises:
        ValueError: not [latents >= 2, factors >= 2], negative or non-finite values, or nothing but
            zeros.
    """
    importance = np.asarray(importance, np.float64)
    if importance.ndim != 2 or min(importance.shape) < 2:
        raise ValueError(
            f"expected importances [latents >= 2, factors >= 2], got {list(importance.shape)}"
        )
    if not np.isfinite(importance).all() or importance.min() < 0.0 or importance.max() == 0.0:
        raise ValueError("expected finite importances, none negative and not all zero")
    weights = importance / importance.sum()
    per_latent, per_factor = _certainty(importance), _certainty(importance.T)
    return DCI(
        float(weights.sum(1) @ per_latent),
        float(weights.sum(0) @ per_factor),
        per_latent,
        per_factor,
    )


def _check(latents: np.ndarray, labels: np.ndarray) -> None:
    if (
        latents.ndim != 2
        or labels.ndim != 2
        or len(latents) != len(labels)
        or not np.isfinite(latents).all()
    ):
        raise ValueError(
            "expected finite latents [n, d] and labels [n, factors], got "
            f"{list(latents.shape)} and {list(labels.shape)}"
        )
    if not np.isin(labels[~np.isnan(labels)], (0.0, 1.0)).all():
        raise ValueError("expected labels 0 or 1, or NaN where a sample has none")
    fewest = min(
        (
            int((labels[:, j] == value).sum())
            for j in range(labels.shape[1])
            for value in (0.0, 1.0)
        ),
        default=0,
    )
    if fewest < 2:
        raise ValueError(
            "expected two samples of each class of each factor, one to fit and one to test, "
            f"got {fewest}"
        )


def _importances(latents: Latents, labels: Labels, seed: int, fit: Fit) -> Importances:
    """One classifier a factor, fitted to a random half of its labelled samples and tested on the
    other."""
    try:
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ValueError('the regressors of DCI need scikit-learn: pip install ".[dci]"') from error
    latents, labels = np.asarray(latents, np.float64), np.asarray(labels, np.float64)
    _check(latents, labels)
    columns, accuracy = [], []
    for label in labels.T:
        has = ~np.isnan(label)
        train, test, train_label, test_label = train_test_split(
            latents[has], label[has], test_size=0.5, stratify=label[has], random_state=seed
        )
        model, importance = fit(train, train_label)
        columns.append(importance)
        accuracy.append(model.score(test, test_label))
    return Importances(np.stack(columns, 1), np.array(accuracy))


def boosted_tree_importance(latents: Latents, labels: Labels, *, seed: int) -> Importances:
    """Importances by gradient-boosted trees, as StyleSpace (arXiv:2011.12799) and LAREN measure
    DCI.

    scikit-learn's GradientBoostingClassifier with its defaults, one a factor; its impurity
    importances sum to 1 a factor. Slow for thousands of latents: each of 100 trees searches all of
    them, three levels deep.

    Args:
        latents: [n, d].
        labels: [n, factors], 0 or 1, NaN where a sample has no label for a factor. StyleSpace
            labels only the 2 % of the samples with the largest and the 2 % with the smallest logit
            of each attribute's classifier.
        seed: of the halves and of the trees.

    Raises:
        ValueError: scikit-learn is missing; other shapes or labels; fewer than two samples of a
            class.
    """

    def fit(train: Any, label: Any) -> tuple[Any, Any]:
        from sklearn.ensemble import GradientBoostingClassifier

        model = GradientBoostingClassifier(random_state=seed).fit(train, label)
        return model, np.abs(model.feature_importances_)  # rounding makes some of -1e-17

    return _importances(latents, labels, seed, fit)


def logistic_importance(latents: Latents, labels: Labels, *, seed: int) -> Importances:
    """Importances by L1 logistic regression: fast, linear, and NOT comparable with scores by
    `boosted_tree_importance`.

    |coefficient| of each latent, standardised by the fitted half's mean and deviation, with
    scikit-learn's default strength C = 1.

    Args:
        latents: [n, d].
        labels: as for `boosted_tree_importance`.
        seed: of the halves and of the solver's order.

    Raises:
        ValueError: as `boosted_tree_importance`.
    """

    def fit(train: Any, label: Any) -> tuple[Any, Any]:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        regression = LogisticRegression(l1_ratio=1, solver="liblinear", random_state=seed)
        model = make_pipeline(StandardScaler(), regression).fit(train, label)
        return model, np.abs(regression.coef_[0])

    return _importances(latents, labels, seed, fit)
