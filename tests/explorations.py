"""Explorations of the toy prior, one for each space, operator and way; each is made once for all
laws."""

import functools

import jax
import numpy as np
import pytest
import toy

from jaxsr import explore, operators
from jaxsr.explore import Config

SHAPE = (toy.RESOLUTION, toy.RESOLUTION, 3)
SEEN = np.ones(SHAPE[:2])
SEEN[4:12, 4:12] = 0
OPERATORS = {
    "downsample": lambda: toy.operator(8),
    "mask": lambda: operators.mask(SEEN, SHAPE),
    "grey": lambda: operators.grey(SHAPE),
    "blur": lambda: operators.motion_blur(5, 45.0, image_shape=SHAPE),
    "compressed": lambda: operators.compressed_sensing(jax.random.key(5), 20, SHAPE),
}
SMALL = {
    "perceptual": "discriminator",
    "num_solutions": 3,
    "steps": 4,
    "bisections": 8,
    "chunk": 4,
    "energy": 0.9,
    "eps": 4e-3,
}
SMALL |= {"dense_limit": 256, "rank": 16}  # the latent with noise maps, of 704, is matrix-free
CASES = [
    ("z", "downsample", "algorithm1"),
    ("w", "mask", "vk"),
    ("w_plus", "grey", "generalized"),
    ("w_plus_noise", "blur", "closed_form"),
    ("w_plus", "compressed", "curved"),
]


@functools.cache
def params(seed=0):
    return jax.jit(functools.partial(toy.params, flow=False))(jax.random.key(seed))


@functools.cache
def problem(space, operator, way):
    return explore.problem(
        toy.prior(), OPERATORS[operator](), Config(space=space, way=way, **SMALL)
    )


def begin(told, seed=0):
    """A start and a measurement that it explains exactly."""
    latent = {
        "z": toy._sample(jax.random.key(7), None),
        "noise": toy._random_noise(jax.random.key(8)),
    }
    start = explore.start(toy.prior(), told.config.space, params(seed), latent)
    return start, told.measure(params(seed), start, start.latent)


@functools.cache
def found(space, operator, way):
    told = problem(space, operator, way)
    return told, *begin(told), explore.explore(told, params(), *begin(told))


each_case = pytest.mark.parametrize("case", CASES, ids="-".join)
