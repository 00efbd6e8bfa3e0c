"""A lower bound on the PSNR of a result whose truth nobody has (Wen, Ahmad and Schniter,
arXiv:2502.09664): predicted from the other solutions, the prediction's error calibrated."""

import numpy as np

LEAST_ERROR = 1e-10  # mean square: equal pictures have 100 dB


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """-10 log10 of the mean squared difference of pictures in [0, 1], dB; 100 at most."""
    error = np.mean((np.asarray(x, np.float64) - y) ** 2)
    return float(-10 * np.log10(max(error, LEAST_ERROR)))


def predicted(solutions: np.ndarray, feasible: np.ndarray) -> float | None:
    """The PSNR of the first feasible of K solutions, were the truth one of the others: of the mean
    square to them. None of fewer than two."""
    kept = np.asarray(solutions, np.float64)[np.asarray(feasible, bool)]
    return psnr(np.broadcast_to(kept[0], kept[1:].shape), kept[1:]) if len(kept) > 1 else None


def psnr_score(truth: np.ndarray, solutions: np.ndarray, feasible: np.ndarray) -> float:
    """By how much too much is predicted, dB; infinite for an infeasible photo."""
    expected = predicted(solutions, feasible)
    first = solutions[int(np.argmax(feasible))]
    return np.inf if expected is None else expected - psnr(first, truth)


def psnr_bound(solutions: np.ndarray, feasible: np.ndarray, excess: float) -> float:
    """What the PSNR of the first feasible solution is at least, dB, with the probability of the
    level of which `excess` is the threshold of `psnr_score`; -inf where nothing can be said."""
    expected = predicted(solutions, feasible)
    return -np.inf if expected is None else expected - excess
