"""Presets have the published values, and settings are checked."""

import dataclasses
import math

import pytest
import toy
from method_cases import each_search

import jaxsr.methods
from jaxsr import operators
from jaxsr.methods import (
    BRGM,
    BRGMVI,
    IAGAN,
    METHODS,
    PULSE,
    RLS,
    RLSE,
    MGANPrior,
    Phased,
    RLSPlus,
)
from jaxsr.settings import iterates_of


def test_presets_have_the_published_values():
    """A preset differs from the papers' and the releases' published values."""
    x8 = toy.operator(8)
    pulse = jaxsr.settings.resolve(PULSE(), x8)
    assert (
        pulse.steps,
        pulse.learning_rate,
        pulse.fit_weight,
        pulse.geocross_weight,
        pulse.eps,
    ) == (100, 0.4, 100, 0.05, 2e-3)
    assert (pulse.num_noise, pulse.bad_noise_layer, pulse.radius) == (5, 17, "sqrt_d")
    assert jaxsr.settings.resolve(PULSE(preset="code"), x8) == dataclasses.replace(
        pulse, preset="code", radius="draw"
    )
    paper, code, scaled = (
        jaxsr.settings.resolve(RLSPlus(preset=preset), x8) for preset in ("paper", "code", "scaled")
    )
    for config in (paper, scaled, jaxsr.settings.resolve(RLS(), x8)):
        assert (config.flow_weight, config.gaussian_weight, config.cross_weight) == (
            0.0002,
            0.0004,
            0.05,
        )
        assert (
            config.fit_weight,
            config.learning_rate,
            config.steps,
            config.cross,
            config.init_spread,
        ) == (1, 0.5, 200, "sum_sq", 0)
    for config in (code, jaxsr.settings.resolve(RLS(preset="code"), x8)):
        assert (
            config.fit_weight,
            config.flow_weight,
            config.gaussian_weight,
            config.cross_weight,
        ) == (10, 0.002, 0.004, 0.5)
        assert (config.learning_rate, config.steps, config.cross, config.init_spread) == (
            0.5,
            500,
            "mean_l2",
            0,
        )
    for config, steps, rounds, step in (
        (paper, 50, 1, 1e-4),
        (scaled, 50, 8, 1e-4),
        (code, 200, 1, 0.1),
    ):
        assert (
            config.refine_steps,
            config.refine_rounds,
            config.refine_learning_rate,
            config.generator_learning_rate,
        ) == (steps, rounds, step, 1e-4)
        assert (config.radius, config.num_noise, config.eps) == (1, 9, 2e-3)


def test_published_values():
    """A preset differs from METHODS' facts of the papers and releases."""
    x8, x32 = (operators.downsample(f, image_shape=(64, 64, 3)) for f in (8, 32))
    rlse, means = (jaxsr.settings.resolve(RLSE(preset=p), x8) for p in ("paper", "means"))
    assert (rlse.pixel_weight, rlse.semantic_weight, rlse.geocross_weight, rlse.blocks) == (
        100,
        0.5,
        500,
        3,
    )
    assert (rlse.steps, rlse.learning_rate, rlse.generator_learning_rate, rlse.reduction) == (
        100,
        0.4,
        5e-5,
        "norm",
    )
    assert (means.geocross_weight, means.reduction) == (0.05, "mean")
    brgm, code = (jaxsr.settings.resolve(BRGM(preset=p), x8) for p in ("paper", "code"))
    assert (brgm.steps, brgm.learning_rate, brgm.prior_weight, brgm.cosine_weight) == (
        5000,
        0.1,
        100,
        3,
    )
    assert (
        code.steps,
        code.cosine_weight,
        jaxsr.settings.resolve(BRGM(preset="code"), x32).cosine_weight,
    ) == (501, 0.1, 1)
    vi = jaxsr.settings.resolve(BRGMVI(), x8)
    assert (vi.samples, vi.steps, vi.prior_weight, vi.cosine_weight, vi.side) == (
        6,
        501,
        100,
        0.1,
        "256",
    )
    mgan = jaxsr.settings.resolve(MGANPrior(), x8)
    assert (mgan.steps, mgan.learning_rate, mgan.codes, mgan.composing_layer) == (2000, 1, 30, 6)
    iagan = jaxsr.settings.resolve(IAGAN(), x8)
    assert (iagan.steps, iagan.learning_rate, iagan.starts, iagan.refine_steps) == (
        1800,
        0.1,
        5,
        300,
    )
    assert (iagan.refine_learning_rate, iagan.generator_learning_rate) == (1e-4, 1e-3)
    phased = jaxsr.settings.resolve(Phased(), x8)
    assert (phased.w_steps, phased.w_plus_steps, phased.style_steps, phased.l1_weight) == (
        150,
        150,
        150,
        0.1,
    )
    assert (phased.w_learning_rate, phased.w_plus_learning_rate, phased.style_learning_rate) == (
        0.08,
        0.02,
        0.005,
    )


def test_phased_asks_for_a_network_only_where_it_looks():
    """Small photos need published weights that nothing looks at, or large ones are compared without
    any."""
    x4, x2 = (operators.downsample(f, image_shape=(64, 64, 3)) for f in (4, 2))
    assert [jaxsr.settings.resolve(Phased(), operator).network for operator in (x4, x2)] == [
        "features",
        "vgg",
    ]
    assert jaxsr.settings.resolve(Phased(smallest=15), x4).network == "vgg"
    with pytest.raises(ValueError, match=r"take jaxsr\.settings\.resolve"):
        jaxsr.methods.networks(Phased())


def test_the_releases_weights_of_rls_are_ten_times_the_papers():
    """A weight of one preset has no counterpart in the other: Adam does not see the factor."""
    paper, code = (
        jaxsr.settings.resolve(RLS(preset=preset), toy.operator()) for preset in ("paper", "code")
    )
    for weight in ("fit_weight", "flow_weight", "gaussian_weight", "cross_weight"):
        assert getattr(code, weight) == pytest.approx(10 * getattr(paper, weight))


@each_search
def test_given_values_win_over_the_preset(name):
    """A setting is ignored, zero is taken for missing, or a value stays None in the resolved
    config."""
    steps = iterates_of(METHODS[name].Config)[0]
    config = METHODS[name].Config(**{steps: 3}, eps=0.0)
    resolved = jaxsr.settings.resolve(config, toy.operator())
    assert getattr(resolved, steps) == 3
    assert resolved.eps == 0.0
    assert None not in dataclasses.asdict(resolved).values()
    assert jaxsr.settings.resolve(resolved, toy.operator()) == resolved


BAD_SETTINGS = [
    (PULSE, "preset", "papr", "preset must be one of paper, code, scaled, got 'papr'"),
    (RLSE, "preset", "code", "preset must be one of paper, scaled, means, got 'code'"),
    (RLSPlus, "refine_rounds", 0, "refine_rounds must be at least 1, got 0"),
    (RLS, "cross", "l3", "cross must be one of mean_l2, sum_sq, got 'l3'"),
    (RLS, "steps", 0, "steps must be at least 1, got 0"),
    (RLSPlus, "refine_steps", 0, "refine_steps must be at least 1, got 0"),
    (PULSE, "eps", -1.0, "eps must be at least 0, got -1.0"),
    (PULSE, "steps", "10", "steps must be an int, got '10'"),
    (RLSE, "steps", 2.5, "steps must be an int, got 2.5"),
    (RLSE, "learning_rate", "a", "learning_rate must be a float, got 'a'"),
    (PULSE, "tile_latent", "no", "tile_latent must be a bool, got 'no'"),
    (PULSE, "num_noise", True, "num_noise must be an int, got True"),
    (IAGAN, "starts", 0, "starts must be at least 1, got 0"),
    (MGANPrior, "codes", 0, "codes must be at least 1, got 0"),
    (BRGMVI, "samples", 0, "samples must be at least 1, got 0"),
    (Phased, "smallest", 0, "smallest must be at least 1, got 0"),
    (PULSE, "learning_rate", float("inf"), "learning_rate must be finite, got inf"),
    (PULSE, "eps", float("inf"), "eps must be finite, got inf"),
    (PULSE, "preset", None, "preset must be one of paper, code, scaled, got None"),
    (BRGM, "network", "vgg", 'brgm with network "vgg" needs at least 16 px a side, got 4'),
    (RLS, "learning_rate", math.nan, "learning_rate must be at least 0, got nan"),
]


@pytest.mark.parametrize(("kind", "field", "value", "message"), BAD_SETTINGS)
def test_bad_settings(kind, field, value, message):
    """A wrong setting is accepted, or fails far from its cause."""
    factory = next(factory for factory, known, *_ in METHODS.values() if known is kind)
    with pytest.raises(ValueError, match=message):
        factory(toy.prior(), toy.operator(), kind(**{field: value}))
