"""One row for each method of METHODS: what the laws that all methods obey need of it.

A new method is one row here; a module of tests parametrises over SEARCHES, INTERPOLATIONS,
LEARNED or DIFFUSION. A case is compiled once, and its results are shared by all laws.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import pytest
import reference_objectives as slow
import toy
from PIL import Image

import jaxsr.methods
from jaxsr import learned, search
from jaxsr.methods import (
    BRGM,
    BRGMVI,
    DDNM,
    DDRM,
    IAGAN,
    METHODS,
    PULSE,
    RLS,
    RLSE,
    MGANPrior,
    Phased,
    RLSPlus,
)

PHOTOS = 3  # of a case


class Objective(NamedTuple):
    """A config, the number of the phase that searches with it, and its objective in slow NumPy:
    (params, y, context, variables, config) -> number, of arrays in float64. It stands here, or in
    reference_objectives.py."""

    config: Any
    phase: int
    slow: Callable


class Search(NamedTuple):
    """A row of a method that iterates on each photo.

    Attributes:
        config: a search of few steps on the toy prior, by the bundled network at most.
        fit: the term of the trace that tells the distance from the measurement.
        latent: shapes of the result's latent, for PHOTOS photos.
        objectives: of each phase and each choice that changes the formula.
    """

    config: Any
    fit: str
    latent: dict
    objectives: dict[str, Objective]


class Interpolation(NamedTuple):
    """A row of a method without a prior: the filter of Pillow's that it equals."""

    pillow: Image.Resampling


class Learned(NamedTuple):
    """A row of a method of one pass.

    Attributes:
        networks: names of `learned.sized` that it restores with.
        generated: those of them that draw no noise.
    """

    networks: tuple[str, ...]
    generated: tuple[str, ...]


class Diffusion(NamedTuple):
    """A row of a method that samples with a diffusion model.

    Attributes:
        config: of few steps; its `model` is the test's.
        noisy: the same of a photo with noise.
    """

    config: Any
    noisy: Any


W_PLUS = (PHOTOS, toy.LAYERS, toy.DIM)
W_PLUS_NOISE = {
    "w_plus": W_PLUS,
    "noise": tuple((PHOTOS, *shape) for shape in toy.NOISE_SHAPES),
}
BUNDLED: dict[str, Any] = {"network": "features"}
# Enlarged to 256 px, most of the time would be the network's.
WEAK = BUNDLED | {"side": "as_is", "perceptual_weight": 0.01, "prior_weight": 0.1}
EACH_SIZE = Phased(**BUNDLED, smallest=1)

CASES: dict[str, Search | Interpolation | Learned | Diffusion] = {
    "nearest": Interpolation(Image.Resampling.NEAREST),
    "bilinear": Interpolation(Image.Resampling.BILINEAR),
    "bicubic": Interpolation(Image.Resampling.BICUBIC),
    "pulse": Search(
        PULSE(steps=40),
        "l2",
        W_PLUS_NOISE,
        {
            "paper": Objective(PULSE(), 0, slow.slow_pulse),
            "l1": Objective(PULSE(fit="l1"), 0, slow.slow_pulse_l1),
            "tiled": Objective(PULSE(tile_latent=True, noise="fixed"), 0, slow.slow_pulse),
            "scaled": Objective(PULSE(preset="scaled"), 0, slow.slow_pulse),
        },
    ),
    "brgm": Search(
        BRGM(preset="code", steps=15, **WEAK),
        "l2",
        W_PLUS_NOISE,
        {
            "paper": Objective(BRGM(**BUNDLED), 0, slow.slow_brgm),
            "code": Objective(BRGM(preset="code", **BUNDLED), 0, slow.slow_brgm),
        },
    ),
    "brgm_vi": Search(
        BRGMVI(steps=20, samples=3, **WEAK),
        "l2",
        W_PLUS_NOISE | dict.fromkeys(("mean", "std"), W_PLUS),
        {"paper": Objective(BRGMVI(samples=3, **BUNDLED), 0, slow.slow_brgm_vi)},
    ),
    "mganprior": Search(
        MGANPrior(steps=10, learning_rate=30.0, codes=4, composing_layer=4, **BUNDLED),
        "l2",
        {"z": (PHOTOS, 4, toy.DIM), "alpha": (PHOTOS, 4, 3)},
        {"": Objective(MGANPrior(codes=3, composing_layer=2, **BUNDLED), 0, slow.slow_mganprior)},
    ),
    "iagan": Search(
        IAGAN(steps=40, starts=2, refine_steps=15),
        "l2",
        {"z": (PHOTOS, toy.DIM), "residual_before": (PHOTOS,)},
        {
            "search": Objective(IAGAN(starts=3), 0, slow.slow_csgm),
            "refinement": Objective(IAGAN(), 1, slow.slow_iagan),
        },
    ),
    "phased": Search(
        Phased(w_steps=30, w_plus_steps=20, style_steps=10, **BUNDLED, init_spread=0.2),
        "l1",
        {"w_plus": W_PLUS, "styles": {"b4/affine": (PHOTOS, 3, 1)}},
        {
            "w": Objective(EACH_SIZE, 0, slow.slow_phased),
            "w+": Objective(EACH_SIZE, 1, slow.slow_phased),
            "styles": Objective(EACH_SIZE, 2, slow.slow_phased),
        },
    ),
    "rlse": Search(
        RLSE(preset="means", steps=40),
        "pixel",
        W_PLUS_NOISE,
        {
            "paper": Objective(RLSE(), 0, slow.slow_rlse),
            "scaled": Objective(RLSE(preset="scaled"), 0, slow.slow_rlse),
            "means": Objective(RLSE(preset="means", blocks=2), 0, slow.slow_rlse),
            "pinv": Objective(RLSE(entry="pinv"), 0, slow.slow_rlse),
        },
    ),
    "rls": Search(
        RLS(steps=40, learning_rate=0.2),
        "l1",
        W_PLUS_NOISE,
        {
            "paper": Objective(RLS(), 0, slow.slow_rls),
            "code": Objective(RLS(preset="code"), 0, slow.slow_rls),
            "scaled": Objective(RLS(preset="scaled"), 0, slow.slow_rls),
            "scaled, mean_l2": Objective(RLS(preset="scaled", cross="mean_l2"), 0, slow.slow_rls),
        },
    ),
    "rls_plus": Search(
        RLSPlus(
            steps=30,
            learning_rate=0.2,
            refine_steps=15,
            refine_learning_rate=0.02,
            generator_learning_rate=1e-3,
        ),
        "l1",
        W_PLUS_NOISE,
        {
            "search": Objective(RLSPlus(), 0, slow.slow_rls),
            "refinement": Objective(RLSPlus(num_noise=3), 1, slow.slow_refinement),
            "refinement, code": Objective(RLSPlus(preset="code"), 1, slow.slow_refinement),
        },
    ),
    "glean": Learned(("glean",), generated=("glean",)),
    "laren": Learned(tuple(learned.VARIANTS), generated=("laren", "cgm_vanilla")),
    "rrdb": Learned(("rrdb",), generated=("rrdb",)),
    "esrgan": Learned(("esrgan",), generated=("esrgan",)),
    "fsrnet_style": Learned(("fsrnet_style",), generated=("fsrnet_style",)),
    "gfpgan": Learned(("gfpgan",), generated=("gfpgan",)),
    "gpen": Learned(("gpen",), generated=("gpen",)),
    "srvgg": Learned(("srvgg",), generated=("srvgg",)),
    "vdsr": Learned(("vdsr",), generated=("vdsr",)),
    "ddrm": Diffusion(DDRM(steps=4), DDRM(steps=4, noise=0.1)),
    "ddnm": Diffusion(DDNM(steps=4), DDNM(steps=4, noise=0.1)),
}


def _rows(kind: str) -> dict[str, Any]:
    """The rows of METHODS of a kind; one that is missing is told by test_methods alone."""
    return {name: CASES[name] for name in METHODS if METHODS[name].kind == kind and name in CASES}


SEARCHES: dict[str, Search] = _rows("search")
INTERPOLATIONS: dict[str, Interpolation] = _rows("interpolation")
LEARNED: dict[str, Learned] = _rows("learned")
DIFFUSION: dict[str, Diffusion] = _rows("diffusion")
# All laws of a method follow each other, so that one process compiles it.
each_search = pytest.mark.parametrize("name", SEARCHES, scope="session")


@dataclasses.dataclass(frozen=True)
class Given:
    """What every method is run on: keys of PHOTOS photos, two sets of parameters, measurements."""

    keys: jax.Array
    params: tuple[dict, dict]
    ys: jax.Array


@dataclasses.dataclass(frozen=True)
class Case:
    """A method run on all photos under both sets of parameters."""

    solve: search.Solve
    run: Callable
    results: tuple
    traces: list


@functools.cache
def given() -> Given:
    perceptual = jaxsr.methods.networks(SEARCHES["brgm"].config)
    make = jax.jit(functools.partial(toy.params, styles=True))
    params = tuple(make(jax.random.key(i)) | perceptual for i in range(2))
    ys = jax.vmap(lambda key: toy.operator()(toy.image(key, params[0])))(
        jax.random.split(jax.random.key(8), PHOTOS)
    )
    return Given(jax.random.split(jax.random.key(7), PHOTOS), params, ys)


def solve_of(name: str) -> search.Solve:
    return METHODS[name].make(toy.prior(), toy.operator(), SEARCHES[name].config)


@functools.cache
def case(name: str) -> Case:
    traces, solve, on = [], solve_of(name), given()

    def counted(key, params, y):
        traces.append(name)
        return solve(key, params, y)

    run = jax.jit(jax.vmap(counted, in_axes=(0, None, 0)))
    results = tuple(run(on.keys, params, on.ys) for params in on.params)
    return Case(solve, run, results, traces)


def begin(name: str, config: Any, phase: int = 0) -> tuple[search.Phase, search.State]:
    """A phase of a method with another config and the state at its start, on the first photo."""
    on, previous, state = given(), None, None
    phases = METHODS[name].make(toy.prior(), toy.operator(), config).phases
    for each in phases[: phase + 1]:
        state = search.begin(each, on.keys[0], on.params[0], on.ys[0], previous)
        previous = state.best, state.context
    assert state is not None
    return phases[phase], state


def own(config: Any) -> Any:
    """The config whose image is the method's own, not projected onto the measurement."""
    projects = hasattr(config, "back_projection")
    return dataclasses.replace(config, back_projection=False) if projects else config
