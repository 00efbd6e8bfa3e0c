"""What published weights and step sizes depend on: sizes of the network that they were found at.

The papers of PULSE, RLS and RLSE print numbers that suit StyleGAN on faces at 1024 px. Preset
`scaled` takes each as a number for that network (REFERENCE) and times it by what keeps its effect
on another one: the factor is 1 at the reference's own sizes, so that `scaled` is `paper` there.

With d dimensions and L layers of w, its standard deviation s (root of the mean square over the
dimensions of "w_std") and the widest map's c channels, a network of d, L, s, c has, against the
reference's d0, L0, s0, c0:

    a mean over pixels (the fit)                      1
    -log p_F(w), (|F(w)| - sqrt d)^2                  d0 / d: sums over dimensions, F(w) has unit
                                                      deviation whatever s is
    sum over pairs of |w_i - w_j|^2                   (L0 (L0 - 1) d0 s0^2) / (L (L - 1) d s^2), its
                                                      mean over independent rows, 2 d s^2 each
    mean over pairs of |w_i - w_j|                    (sqrt d0 s0) / (sqrt d s), likewise
    geodesic cross term                               (d0 (1 - 1/L0)) / (d (1 - 1/L)): d times the
                                                      mean over all pairs, of which L are 0
    l2 norm of n numbers, l1 norm of n                sqrt(n0 / n), n0 / n
    step size of w                                    s / s0: Adam moves each number by about the
                                                      step size, whatever the gradient
    step size of whitened w, of noise maps            1: of unit deviation by themselves
    step size of a kernel of n inputs                 sqrt(n0 / n) L0 / L: an output is a sum of n
                                                      terms over sqrt(n), all of which Adam can move
                                                      the same way, and changes of L layers add up
    ... of a kernel that w goes through               times s0 / s too, and n is d
    step size of biases, noise strengths, constants   L0 / L
    radius of an l1 ball around a row of w            (d s) / (d0 s0), the l1 norm of a deviation

Rescaling w (w -> a w, the kernels that it goes through by 1 / a) changes nothing then: every term
and every step scales along.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.priors import MODULATIONS, Prior
from jaxsr.types import Params, Scalar


class Sizes(NamedTuple):
    """Sizes of a network: `dim` d and `layers` L of w, its `deviation` s, `channels` c of the
    widest map that a convolution takes."""

    dim: int
    layers: int
    deviation: float | Scalar
    channels: int


# StyleGAN2 config-f on faces at 1024 px. No source states s: 0.44 assumes that the root of the mean
# squared distance of w from its mean, which StyleGAN2's projector prints, is 10 (over sqrt 512).
REFERENCE = Sizes(512, 18, 0.44, 512)


def sizes(prior: Prior, params: Params, fitted: bool) -> Sizes:
    """The prior's own sizes, or, if not `fitted`, the reference's, at which every factor is 1."""
    if not fitted:
        return REFERENCE
    deviation = jnp.sqrt(jnp.mean(params["statistics"]["w_std"] ** 2))
    widest = max(
        (
            leaf.shape[-2]
            for path, leaf in jax.tree_util.tree_leaves_with_path(params["synthesis"])
            if _name(path) == "kernel" and leaf.ndim == 4
        ),
        default=REFERENCE.channels,
    )
    return Sizes(prior.info.w_dim, prior.info.num_layers, deviation, widest)


def per_dimension(own: Sizes) -> float:
    """Factor of a sum over the dimensions of w of numbers that have no unit."""
    return REFERENCE.dim / own.dim


def cross(own: Sizes, kind: str) -> float | Scalar:
    """Factor of RLS's cross term, "sum_sq" or "mean_l2"."""
    if kind == "mean_l2":
        return per_dimension(own) ** 0.5 * REFERENCE.deviation / own.deviation
    return (
        per_dimension(own)
        * (REFERENCE.deviation / own.deviation) ** 2
        * (REFERENCE.layers * (REFERENCE.layers - 1) / (own.layers * (own.layers - 1)))
    )


def geocross(own: Sizes) -> float:
    """Factor of PULSE's geodesic cross term."""
    return per_dimension(own) * (1 - 1 / REFERENCE.layers) / (1 - 1 / own.layers)


def step_of_w(own: Sizes) -> float | Scalar:
    """Factor of the step size of w."""
    return own.deviation / REFERENCE.deviation


def radius(own: Sizes) -> float | Scalar:
    """Factor of the radius r of |w - anchor|_1 <= r sqrt(d): d s over d0 s0, less the sqrt(d / d0)
    that is there already."""
    return per_dimension(own) ** -0.5 * own.deviation / REFERENCE.deviation


def steps_of_weights(own: Sizes, synthesis: Params) -> Params:
    """Factors of the step sizes of the synthesis network's weights, a tree like it."""
    depth = REFERENCE.layers / own.layers
    of_w = per_dimension(own) ** 0.5 * REFERENCE.deviation / own.deviation
    of_maps = (REFERENCE.channels / own.channels) ** 0.5

    def factor(path: tuple, leaf: jax.Array) -> Any:
        if _name(path) != "kernel":
            return depth
        return depth * (of_w if _name(path[:-1]) in MODULATIONS else of_maps)

    return jax.tree_util.tree_map_with_path(factor, synthesis)


def _name(path: tuple) -> str:
    return str(getattr(path[-1], "key", "")) if path else ""
