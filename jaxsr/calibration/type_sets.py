"""Which types (of cell, say) the truth may be of: conformal sets of a network's classes (Sadinle,
Lei and Wasserman, arXiv:1609.00451)."""

from collections.abc import Sequence

import numpy as np


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """[K, t] logits of the solutions -> [t], the mean of their probabilities."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return (shifted / shifted.sum(-1, keepdims=True)).mean(0)


def type_score(logits: np.ndarray, truth: int) -> float:
    """1 - the probability of the true type; infinite for a photo without feasible solutions.

    Args:
        logits: [K, t] of the feasible solutions.
        truth: index of the type.
    """
    return float(1 - _probabilities(logits)[truth]) if len(logits) else np.inf


def type_set(logits: np.ndarray, types: Sequence[str], limit: float) -> list[str]:
    """The types whose score is at most `limit`, likeliest first, and in any case the likeliest."""
    probabilities = _probabilities(logits)
    order = np.argsort(-probabilities, kind="stable")
    kept = [i for i in order if 1 - probabilities[i] <= limit]
    return [types[int(i)] for i in kept or order[:1]]


def likeliest(logits: np.ndarray) -> int:
    """The index of the type that the solutions show most."""
    return int(np.argmax(_probabilities(logits)))
