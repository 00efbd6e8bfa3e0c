"""Preset "scaled": a term and a step have the effect that they have at the papers' sizes, whatever
the sizes of the prior are."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

import jaxsr.settings
from jaxsr import operators
from jaxsr.methods import METHODS, PULSE, RLS, RLSE, RLSPlus, _sizes
from jaxsr.methods.rls_plus import GROWTH
from jaxsr.nets import stylegan2
from jaxsr.search import objectives, transforms

SIZES = [_sizes.Sizes(128, 10, 0.85, 64), _sizes.Sizes(64, 6, 0.1, 16)]
PRIOR = stylegan2.stylegan2(tiny.NET)
OPERATOR = operators.downsample(4, image_shape=(16, 16, 3), kernel="box")
FACTOR = 16.0  # of w; a power of 2, with which rounding errors scale along


def rows(own, draws=50):
    """Independent rows of w [draws, L, d] of the sizes' deviation."""
    return own.deviation * jax.random.normal(jax.random.key(0), (draws, own.layers, own.dim))


def mean_of(term, own):
    return float(jnp.mean(jax.vmap(term)(rows(own))))


def far(own):
    """Rows of u half as far again from 0 as a normal sample lies."""
    return jnp.full((own.layers, own.dim), 1.5)


TERMS = {
    "sum_sq": lambda own: _sizes.cross(own, "sum_sq") * mean_of(objectives.pairwise_sum_sq, own),
    "mean_l2": lambda own: _sizes.cross(own, "mean_l2") * mean_of(objectives.pairwise_mean_l2, own),
    "geocross": lambda own: _sizes.geocross(own) * mean_of(objectives.geocross, own),
    "flow_nll": lambda own: (
        _sizes.per_dimension(own) * objectives.flow_nll(far(own), jnp.zeros(own.layers))
    ),
    "gaussian": lambda own: _sizes.per_dimension(own) * objectives.gaussianisation(far(own)),
    "radius": lambda own: (
        _sizes.radius(own) * math.sqrt(own.dim) / float(jnp.mean(jnp.sum(jnp.abs(rows(own)), -1)))
    ),
}


@pytest.mark.parametrize("own", SIZES)
@pytest.mark.parametrize("term", TERMS)
def test_terms_weigh_what_they_weigh_at_the_papers_sizes(term, own):
    """A weight or the radius means something else on another prior: the dimension, the deviation or
    the number of layers is left in it."""
    np.testing.assert_allclose(TERMS[term](own), TERMS[term](_sizes.REFERENCE), rtol=0.03)


def network(own):
    """Weights of one block, named and shaped as StyleGAN2's."""
    return {
        "affine": {"kernel": np.zeros((own.dim, own.channels)), "bias": np.zeros(own.channels)},
        "kernel": np.zeros((3, 3, own.channels, own.channels)),
        "bias": np.zeros(own.channels),
    }


def moved(own, layer):
    """How far a step of Adam of size 1, all weights moved alike, moves the output of the network:
    that of a layer, its input of unit deviation or a w, times the number of layers."""
    step = _sizes.steps_of_weights(own, network(own))
    factor, inputs, deviation = {
        "affine": (step["affine"]["kernel"], own.dim, own.deviation),
        "conv": (step["kernel"], 9 * own.channels, 1.0),
    }[layer]
    x = deviation * np.random.default_rng(0).normal(size=(200, inputs))
    return own.layers * factor * np.abs(x).sum(1).mean() / math.sqrt(inputs)


@pytest.mark.parametrize("own", SIZES)
@pytest.mark.parametrize("layer", ["affine", "conv"])
def test_steps_move_what_they_move_at_the_papers_sizes(layer, own):
    """A step of the generator's weights changes a narrow or a shallow network less."""
    np.testing.assert_allclose(moved(own, layer), moved(_sizes.REFERENCE, layer), rtol=0.03)


def test_scaled_is_paper_at_the_papers_sizes():
    """A factor is not 1 at the sizes of the network that the papers used, or `scaled` changes a
    number beside the factors."""
    own = _sizes.REFERENCE
    factors = [
        _sizes.per_dimension(own),
        _sizes.cross(own, "sum_sq"),
        _sizes.cross(own, "mean_l2"),
        _sizes.geocross(own),
        _sizes.step_of_w(own),
        _sizes.radius(own),
        *jax.tree.leaves(_sizes.steps_of_weights(own, network(own))),
    ]
    np.testing.assert_allclose(factors, 1.0, rtol=1e-6)
    for kind in (PULSE, RLS, RLSPlus, RLSE):
        paper, scaled = (
            jaxsr.settings.resolve(kind(preset=preset), OPERATOR) for preset in ("paper", "scaled")
        )
        changed = {"preset": "paper", "fitted": False}
        changed |= {"refine_rounds": 1} if kind is RLSPlus else {}
        assert dataclasses.replace(scaled, **changed) == paper


def test_sizes_are_the_priors_own():
    """A size is read from another place than the prior's own statistics and weights."""
    params = tiny.params()
    own = _sizes.sizes(PRIOR, params, fitted=True)
    deviation = np.sqrt(np.mean(np.asarray(params["statistics"]["w_std"]) ** 2))
    assert (own.dim, own.layers, own.channels) == (8, 6, 8)
    np.testing.assert_allclose(own.deviation, deviation, rtol=1e-6)
    assert _sizes.sizes(PRIOR, params, fitted=False) == _sizes.REFERENCE


def rescaled(params):
    """The same generator, flow and statistics with w in other units."""

    def scale(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.startswith("synthesis") and name.endswith("affine/kernel"):
            return leaf / FACTOR
        of_w = ("mapping/fc1/", "statistics/", "flow/statistics/w/")
        return leaf * FACTOR if name.startswith(of_w) else leaf

    return jax.tree_util.tree_map_with_path(scale, params)


CONFIGS = {
    "pulse": PULSE(preset="scaled", steps=8),
    "rls": RLS(preset="scaled", steps=8, init_spread=0.2),
    "rls_plus": RLSPlus(preset="scaled", steps=4, refine_steps=4, refine_rounds=2, eps=0.0),
    "rlse": RLSE(preset="scaled", steps=8),
}


@functools.cache
def images_of(name, config):
    """Under the prior and under the same one with w in other units."""
    solve = jax.jit(METHODS[name].make(PRIOR, OPERATOR, config))
    y = jnp.asarray(tiny.photo(4))
    return [
        np.asarray(solve(jax.random.key(3), params, y).image)
        for params in (tiny.params(), rescaled(tiny.params()))
    ]


@pytest.mark.parametrize("name", CONFIGS)
def test_units_of_w_do_not_matter(name):
    """A weight, a step size or the radius of `scaled` depends on the units of w: w times 16, with
    the affine layers' kernels divided by 16, is the same generator."""
    one, other = images_of(name, CONFIGS[name])
    np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rls", "rls_plus", "rlse"])
def test_units_of_w_matter_to_the_printed_numbers(name):
    """The law above would hold without `fitted`: it tests nothing."""
    one, other = images_of(name, dataclasses.replace(CONFIGS[name], preset="paper", fitted=False))
    assert np.abs(one - other).max() > 0.02


@pytest.mark.parametrize("name", CONFIGS)
def test_fitted_changes_the_result(name):
    """`scaled` does what `paper` does on a prior of other sizes."""
    config = CONFIGS[name]
    plain = dataclasses.replace(config, fitted=False)
    assert np.abs(images_of(name, config)[0] - images_of(name, plain)[0]).max() > 1e-3


def test_the_ball_is_within_reach_of_later_rounds():
    """The radius of `scaled` is out of reach of its bound of steps, or within that of one round."""
    settings = jaxsr.settings.resolve(RLSPlus(preset="scaled"), OPERATOR)
    steps = np.arange(settings.refine_steps)
    schedule = transforms.linear1cycledrop(settings.refine_learning_rate, settings.refine_steps)
    for own in (*SIZES, _sizes.REFERENCE):
        reach = own.dim * _sizes.step_of_w(own) * float(np.sum(jax.vmap(schedule)(steps)))
        radius = settings.radius * math.sqrt(own.dim) * _sizes.radius(own)
        assert reach < radius < (GROWTH**settings.refine_rounds - 1) * reach
