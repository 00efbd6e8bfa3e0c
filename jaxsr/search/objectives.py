"""Terms of the searches' objectives, one function each; the methods weigh and sum them. Images on
the [0, 1] scale, lower is better."""

import math
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxsr.types import Measurement, Scalar

WPlus = Float[Array, "l d"]


def weighted(terms: Mapping[str, Scalar], weights: Mapping[str, float | Scalar]) -> Scalar:
    """The sum of the terms that have a weight, each times its own."""
    return sum((weight * terms[name] for name, weight in weights.items()), jnp.zeros(()))


def l1(x: Measurement, y: Measurement) -> Scalar:
    """Mean |x - y|."""
    return jnp.mean(jnp.abs(x - y))


def l2(x: Measurement, y: Measurement) -> Scalar:
    """Mean (x - y)^2."""
    return jnp.mean((x - y) ** 2)


def geocross(w_plus: WPlus) -> Scalar:
    """PULSE's GEOCROSS as released (arXiv:2003.03808): mean over all ordered pairs of rows of d
    theta^2 / 8, d = 512 in the original.

    theta_ij = 2 atan2(sqrt(|w_i - w_j|^2 + 1e-9), sqrt(|w_i + w_j|^2 + 1e-9)): the angle of unit
    vectors, here applied to rows of any length. The 1e-9 keeps the gradient of the diagonal finite.
    """
    rows, columns = w_plus[:, None], w_plus[None, :]
    difference = jnp.sqrt(jnp.sum((rows - columns) ** 2, -1) + 1e-9)
    total = jnp.sqrt(jnp.sum((rows + columns) ** 2, -1) + 1e-9)
    theta = 2 * jnp.arctan2(difference, total)
    return jnp.mean(w_plus.shape[-1] * theta**2) / 8


def cosine(w_plus: WPlus, reduction: str) -> Scalar:
    """|1 - cos(w_i, w_j)| over all ordered pairs of rows, "mean" or "sum" (BRGM,
    arXiv:2012.04567)."""
    unit = w_plus / jnp.sqrt(jnp.sum(w_plus**2, -1, keepdims=True) + 1e-12)
    each = jnp.abs(1 - unit @ unit.T)
    return jnp.mean(each) if reduction == "mean" else jnp.sum(each)


def pairwise_mean_l2(w_plus: WPlus) -> Scalar:
    """Mean distance |w_i - w_j| over the pairs i < j of rows: P_cross as RLS's released code has
    it. Zero gradient between equal rows."""
    layers = w_plus.shape[0]
    return jnp.sum(_safe_sqrt(_squared_distances(w_plus))) / (layers * (layers - 1))


def pairwise_sum_sq(w_plus: WPlus) -> Scalar:
    """Sum over i < j of |w_i - w_j|^2: P_cross as printed (RLS, eq. 5)."""
    return jnp.sum(_squared_distances(w_plus)) / 2


def flow_nll(u: WPlus, log_det: Float[Array, " l"]) -> Scalar:
    """-log p_F(w), mean over layers (RLS, P_w of eq. 5), given the flow's u = F(w) and log |det
    dF/dw| of each row; in nats."""
    log_normal = -0.5 * jnp.sum(u**2, -1) - 0.5 * u.shape[-1] * math.log(2 * math.pi)
    return -jnp.mean(log_normal + log_det)


def gaussianisation(u: WPlus) -> Scalar:
    """(|F(w)| - sqrt d)^2, mean over layers (RLS, P_gaussian of eq. 5): u = F(w) near the sphere
    where a normal sample lies."""
    return jnp.mean((_safe_sqrt(jnp.sum(u**2, -1)) - math.sqrt(u.shape[-1])) ** 2)


def _squared_distances(w_plus: WPlus) -> Float[Array, "l l"]:
    """|w_i - w_j|^2, from the differences: a Gram matrix would lose the small ones to
    cancellation."""
    return jnp.sum((w_plus[:, None] - w_plus[None, :]) ** 2, -1)


def _safe_sqrt(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """sqrt with gradient 0 at 0, where a search starts with equal rows: the inner `where` keeps 0 *
    inf out of the gradient."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)
