"""Laws that every method obeys, over the table METHODS, and each method's own objective against
slow float64 numpy."""

import dataclasses
import functools
import math
import pathlib
import subprocess
import sys
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

import jaxsr.methods
from jaxsr import operators, search
from jaxsr.methods import (
    BRGM,
    BRGMVI,
    IAGAN,
    METHODS,
    PULSE,
    RLS,
    RLSE,
    Interpolation,
    Learned,
    MGANPrior,
    Phased,
    RLSPlus,
)
from jaxsr.settings import iterates_of

SMALL = {
    "pulse": PULSE(steps=40),
    "rls": RLS(steps=40, learning_rate=0.2),
    "rls_plus": RLSPlus(
        steps=30,
        learning_rate=0.2,
        refine_steps=15,
        refine_learning_rate=0.02,
        generator_learning_rate=1e-3,
    ),
    "rlse": RLSE(preset="scaled", steps=40),
    "brgm": BRGM(
        preset="code", steps=30, network="features", perceptual_weight=0.01, prior_weight=0.1
    ),
    "brgm_vi": BRGMVI(
        steps=30, samples=3, network="features", perceptual_weight=0.01, prior_weight=0.1
    ),
    "mganprior": MGANPrior(
        steps=20, learning_rate=30.0, codes=4, composing_layer=4, network="features"
    ),
    "iagan": IAGAN(steps=40, starts=2, refine_steps=15),
    "phased": Phased(
        w_steps=30, w_plus_steps=20, style_steps=10, network="features", init_spread=0.2
    ),
}
NEEDS = {
    "pulse": ("statistics",),
    "rls": ("statistics", "flow"),
    "rls_plus": ("statistics", "flow"),
    "rlse": ("statistics", "discriminator"),
    "brgm": ("statistics", "perceptual"),
    "brgm_vi": ("statistics", "perceptual"),
    "mganprior": ("perceptual",),
    "iagan": (),
    "phased": ("statistics", "perceptual"),
}
FIT = {"pulse": "l2", "rls": "l1", "rls_plus": "l1", "rlse": "pixel", "brgm": "l2", "brgm_vi": "l2"}
FIT |= {"mganprior": "l2", "iagan": "l2", "phased": "l1"}
OTHERS = (Interpolation, Learned)  # tests/test_interpolation.py and tests/test_learned.py have them
SEARCHES = [name for name, (_, kind, *_) in METHODS.items() if kind not in OTHERS]
W_FREE = {name for name in SEARCHES if METHODS[name].any_prior}
STEPS = {name: iterates_of(METHODS[name].Config)[0] for name in SEARCHES}
W_PLUS_NOISE = {
    "w_plus": (3, toy.LAYERS, toy.DIM),
    "noise": tuple((3, *shape) for shape in toy.NOISE_SHAPES),
}
LATENTS = dict.fromkeys(SEARCHES, W_PLUS_NOISE) | {
    "brgm_vi": W_PLUS_NOISE | dict.fromkeys(("mean", "std"), (3, toy.LAYERS, toy.DIM)),
    "mganprior": {"z": (3, 4, toy.DIM), "alpha": (3, 4, 3)},
    "iagan": {"z": (3, toy.DIM), "residual_before": (3,)},
    "phased": {"w_plus": (3, toy.LAYERS, toy.DIM), "styles": {"b4/affine": (3, 3, 1)}},
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One method run on three images under two sets of parameters."""

    solve: search.Solve
    run: typing.Callable
    params: tuple
    keys: jax.Array
    ys: jax.Array
    results: tuple
    traces: list


@functools.cache
def two_params() -> tuple:
    perceptual = jaxsr.methods.networks(SMALL["brgm"])
    return tuple(toy.params(jax.random.key(i), styles=True) | perceptual for i in range(2))


@functools.cache
def case(name: str) -> Case:
    traces = []
    solve = METHODS[name].make(toy.prior(), toy.operator(), SMALL[name])

    def counted(key, params, y):
        traces.append(name)
        return solve(key, params, y)

    run, params = jax.jit(jax.vmap(counted, in_axes=(0, None, 0))), two_params()
    keys = jax.random.split(jax.random.key(7), 3)
    ys = jax.vmap(lambda key: toy.operator()(toy.image(key, params[0])))(
        jax.random.split(jax.random.key(8), 3)
    )
    return Case(solve, run, params, keys, ys, tuple(run(keys, p, ys) for p in params), traces)


def begin(name, config, stage=0) -> tuple[search.Phase, search.State]:
    """A phase of a method with another config and the state at its start, on the first image."""
    this = case(name)
    phases = METHODS[name].make(toy.prior(), toy.operator(), config).phases
    state = search.begin(phases[0], this.keys[0], this.params[0], this.ys[0], None)
    for phase in phases[1 : stage + 1]:
        state = search.begin(
            phase, this.keys[0], this.params[0], this.ys[0], (state.best, state.context)
        )
    return phases[stage], state


each_method = pytest.mark.parametrize("name", SEARCHES)


def test_the_table_lists_every_module():
    """A method's file is not reachable by its name, or the exported name is the module and not the
    function."""
    folder = pathlib.Path(jaxsr.methods.__file__).parent
    modules = {factory.__module__.rpartition(".")[2] for factory, *_ in METHODS.values()}
    assert modules == {
        path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")
    } - {"setups", "table"}
    for name, (factory, config, *_) in METHODS.items():
        assert getattr(jaxsr.methods, name) is factory
        assert callable(factory)
        assert config(preset="paper") == config()


def test_import_is_light():
    """`import jaxsr.methods` loads distrax (and with it TensorFlow Probability)."""
    check = (
        "import sys, jaxsr.methods; sys.exit(any(m in sys.modules for m in ('distrax', "
        "'tensorflow_probability', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@each_method
def test_result_keeps_the_contract(name):
    """A field has another shape or meaning than types.Result says."""
    result, config = case(name).results[0], SMALL[name]
    steps = sum(getattr(config, field) or 0 for field in iterates_of(type(config)))
    assert result.image.shape == (3, 16, 16, 3)
    assert result.image.dtype == jnp.float32
    assert {"loss", FIT[name]} <= set(result.trace)
    assert all(values.shape == (3, steps) for values in result.trace.values())
    assert jax.tree.map(jnp.shape, result.latent) == LATENTS[name]
    residual = jnp.mean((jax.vmap(toy.operator())(result.image) - case(name).ys) ** 2, (1, 2, 3))
    np.testing.assert_allclose(result.residual, residual, rtol=1e-4, atol=1e-9)
    assert (result.feasible == (result.residual <= 2e-3)).all()


@each_method
def test_one_trace_for_two_sets_of_parameters(name):
    """Parameters are baked into the program, or the second call traces again."""
    assert case(name).traces == [name]
    assert not np.allclose(case(name).results[0].image, case(name).results[1].image, atol=1e-2)


@each_method
def test_improves_the_data_fit(name):
    """The search does not bring the image nearer to the measurement."""
    fit = np.asarray(case(name).results[0].trace[FIT[name]])
    assert (fit.min(1) < 0.5 * fit[:, 0]).all()


@each_method
def test_same_key_same_result_other_key_other_result(name):
    """A result cannot be repeated, or several solutions of one image are all the same."""
    this = case(name)
    again = this.run(this.keys, this.params[0], this.ys)
    jax.tree.map(np.testing.assert_array_equal, again, this.results[0])
    other = this.run(jax.random.split(jax.random.key(99), 3), this.params[0], this.ys)
    assert (jnp.abs(other.image - again.image).max((1, 2, 3)) > 1e-3).all()


@each_method
def test_alone_equals_among_others(name):
    """The result of an image depends on its neighbours in the batch."""
    this = case(name)
    alone = jax.jit(this.solve)(this.keys[1], this.params[0], this.ys[1])
    np.testing.assert_allclose(alone.image, this.results[0].image[1], atol=1e-3)
    np.testing.assert_allclose(
        alone.trace["loss"][:10], this.results[0].trace["loss"][1][:10], rtol=1e-3
    )


@pytest.mark.parametrize("name", ["pulse", "rls"])
def test_the_latent_decodes_to_the_image(name):
    """The returned latent belongs to another iterate than the returned image."""
    result, prior = case(name).results[0], toy.prior()
    decoded = jax.vmap(
        lambda latent: prior.synthesize(case(name).params[0], latent["w_plus"], latent["noise"])
    )(result.latent)
    np.testing.assert_allclose(decoded, result.image, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in SEARCHES if name not in W_FREE])
def test_generator_passes(name):
    """A step evaluates the generator more than once, or more than the final image is decoded
    besides."""
    calls = []

    def synthesize(*args):
        calls.append(1)
        return toy.prior().synthesize(*args)

    solve = METHODS[name].make(
        toy.prior()._replace(synthesize=synthesize), toy.operator(), SMALL[name]
    )
    jax.make_jaxpr(solve)(case(name).keys[0], case(name).params[0], case(name).ys[0])
    assert len(calls) == len(solve.phases) + 1


# Each method's own rules


def test_pulse_stays_on_its_spheres():
    """v, or a searched noise map, leaves its sphere; a fixed map moves; the paper's radius is not
    sqrt(d)."""
    this = case("pulse")
    phase, begun = begin("pulse", PULSE(steps=5, num_noise=2, bad_noise_layer=4))
    state, _ = search.advance(phase, this.params[0], this.ys[0], begun, length=5)
    for end in (begun, state):
        np.testing.assert_allclose(
            np.linalg.norm(end.variables["v"], axis=-1), math.sqrt(toy.DIM), rtol=1e-5
        )
    assert not np.allclose(state.variables["v"], begun.variables["v"], atol=1e-2)
    assert len(state.variables["noise"]) == 2
    assert (state.context["noise"][-1] == 0).all()
    for new, old in zip(state.variables["noise"], begun.variables["noise"], strict=True):
        np.testing.assert_allclose(np.linalg.norm(new), np.linalg.norm(old), rtol=1e-5)
        assert not np.allclose(new, old)


def test_pulse_has_no_data_gradient_once_feasible():
    """The data term still pulls at an image whose residual is below eps."""
    phase, state = begin("pulse", PULSE(geocross_weight=0.0, eps=10.0))
    grads, _ = jax.grad(phase.loss, argnums=3, has_aux=True)(
        two_params()[0], case("pulse").ys[0], state.context, state.variables
    )
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(grads))


def test_pulse_code_keeps_the_norm_of_the_draw():
    """Preset "code" puts v on the sphere of radius sqrt(d) instead of that of its random start."""
    _, begun = begin("pulse", PULSE(preset="code"))
    assert np.ptp(np.linalg.norm(begun.variables["v"], axis=-1)) > 0.1


def test_rls_starts_at_the_mean_of_w():
    """The start is another point, or init_spread does not lead away from it by its share."""
    mean = two_params()[0]["statistics"]["w_mean"]
    begun, near, far = (begin("rls", RLS(init_spread=spread))[1] for spread in (0.0, 0.2, 1.0))
    np.testing.assert_array_equal(begun.variables["w_plus"], np.tile(mean, (toy.LAYERS, 1)))
    np.testing.assert_allclose(
        near.variables["w_plus"] - mean, 0.2 * (far.variables["w_plus"] - mean), atol=1e-6
    )
    assert np.abs(far.variables["w_plus"] - mean).max() > 0.1
    for map in begun.context["noise"]:
        np.testing.assert_allclose([map.mean(), map.std()], [0, 1], atol=1e-5)


def test_rls_plus_refines_what_it_should():
    """The refinement leaves the l1 ball or the noise's normalisation, tunes a fixed map, or leaves
    a weight alone."""
    config = dataclasses.replace(SMALL["rls_plus"], radius=0.05, num_noise=2)
    phase, begun = begin("rls_plus", config, stage=1)
    state, trace = search.advance(phase, two_params()[0], case("rls_plus").ys[0], begun, length=15)
    moved = np.abs(state.variables["w_plus"] - begun.variables["w_plus"]).sum(-1) / (
        0.05 * math.sqrt(toy.DIM)
    )
    assert 0.9 < moved.max() <= 1 + 1e-4
    assert len(state.variables["noise"]) == 2
    assert len(state.context["noise"]) == 3
    for new, old in zip(state.variables["noise"], begun.variables["noise"], strict=True):
        np.testing.assert_allclose([new.mean(), new.std()], [0, 1], atol=1e-5)
        assert not np.allclose(new, old)
    changed = jax.tree.map(
        lambda a, b: not np.array_equal(a, b),
        state.variables["synthesis"],
        two_params()[0]["synthesis"],
    )
    assert all(jax.tree.leaves(changed))
    assert set(trace) == {"loss", "l1"}


def test_rls_plus_starts_from_its_first_stage_and_beats_it():
    """Refinement does not start at exactly the best image of the search, or ends with a worse
    fit."""
    fit, loss = (np.asarray(case("rls_plus").results[0].trace[name]) for name in ("l1", "loss"))
    best = loss[:, :30].argmin(1)
    np.testing.assert_allclose(fit[:, 30], fit[np.arange(3), best], rtol=1e-4)
    assert (fit[:, 30:].min(1) < fit[:, 30]).all()


def test_rls_plus_searches_as_rls_does():
    """With the same key the first stage of RLS+ is not RLS."""
    (rls, start), (plus, start_plus) = begin("rls", RLS()), begin("rls_plus", RLSPlus())
    jax.tree.map(np.testing.assert_array_equal, start.variables, start_plus.variables)
    args = (two_params()[0], case("rls").ys[0], start.context, start.variables)
    assert rls.loss(*args)[0] == plus.loss(*args)[0]


def test_refinement_takes_every_noise_map_of_a_small_prior():
    """A prior with fewer than nine noise maps fails, or some of its maps are left out."""
    _, state = begin("rls_plus", RLSPlus(), stage=1)
    assert len(state.variables["noise"]) == 5
    assert state.context["noise"] == ()


# Presets


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
    paper, code = (
        jaxsr.settings.resolve(RLSPlus(preset=preset), x8) for preset in ("paper", "code")
    )
    for config in (paper, jaxsr.settings.resolve(RLS(), x8)):
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
        ) == (1, 0.5, 200, "mean_l2", 0)
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
    for config, steps in ((paper, 50), (code, 80)):
        assert (
            config.refine_steps,
            config.refine_learning_rate,
            config.generator_learning_rate,
        ) == (steps, 1e-4, 1e-4)
        assert (config.radius, config.num_noise, config.eps) == (1, 9, 2e-3)


@pytest.mark.parametrize(
    ("factor", "steps"),
    [(1, 80), (4, 80), (8, 80), (16, 70), (24, 70), (32, 30), (64, 20), (128, 20)],
)
def test_code_refines_by_the_factor(factor, steps):
    """The figure script's 80, 70, 30, 20 iterations at 8, 16, 32, 64 times."""
    operator = operators.downsample(factor, image_shape=(384, 384, 3), kernel="box")
    assert jaxsr.settings.resolve(RLSPlus(preset="code"), operator).refine_steps == steps


@each_method
def test_given_values_win_over_the_preset(name):
    """A setting is ignored, zero is taken for missing, or a value stays None in the resolved
    config."""
    config = METHODS[name].Config(**{STEPS[name]: 3}, eps=0.0)
    resolved = jaxsr.settings.resolve(config, toy.operator())
    assert getattr(resolved, STEPS[name]) == 3
    assert resolved.eps == 0.0
    assert None not in dataclasses.asdict(resolved).values()
    assert jaxsr.settings.resolve(resolved, toy.operator()) == resolved


# Errors: one line that says what was expected


BAD_SETTINGS = [
    (PULSE, "preset", "papr", "preset must be one of paper, code, got 'papr'"),
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
    (PULSE, "preset", None, "preset must be one of paper, code, got None"),
    (BRGM, "network", "vgg", 'brgm with network "vgg" needs at least 16 px a side, got 4'),
    (RLS, "learning_rate", math.nan, "learning_rate must be at least 0, got nan"),
]


@pytest.mark.parametrize(("kind", "field", "value", "message"), BAD_SETTINGS)
def test_bad_settings(kind, field, value, message):
    """A wrong setting is accepted, or fails far from its cause."""
    factory = next(factory for factory, known, *_ in METHODS.values() if known is kind)
    with pytest.raises(ValueError, match=message):
        factory(toy.prior(), toy.operator(), kind(**{field: value}))


@each_method
def test_bad_priors_and_inputs(name):
    """A mismatch of prior, operator, parameters or measurement gives a traceback from deep inside,
    or broadcasts silently."""
    factory, this = METHODS[name].make, case(name)
    if name not in W_FREE:
        with pytest.raises(ValueError, match="needs a prior with a w space: 'toy' has none"):
            factory(toy.prior()._replace(map=None, synthesize=None), toy.operator())
    with pytest.raises(
        ValueError, match=r"takes images \(32, 32, 3\), but prior 'toy' makes \(16, 16, 3\)"
    ):
        factory(toy.prior(), operators.downsample(4, image_shape=(32, 32, 3), kernel="box"))
    with pytest.raises(
        ValueError, match=r"y has shape \(3,\), but the operator measures \(4, 4, 3\)"
    ):
        this.solve(this.keys[0], this.params[0], jnp.zeros(3))
    with pytest.raises(
        ValueError, match=r"expected floating-point measurements in \[0, 1\], got uint8"
    ):
        this.solve(this.keys[0], this.params[0], jnp.zeros((4, 4, 3), jnp.uint8))
    other = RLS() if name == "pulse" else PULSE()
    with pytest.raises(
        ValueError,
        match=rf"expected {METHODS[name].Config.__name__}\(\), got {type(other).__name__}",
    ):
        factory(toy.prior(), toy.operator(), other)
    with pytest.raises(ValueError, match=r"expected an operator, such as .*, got 8"):
        factory(toy.prior(), 8)
    with pytest.raises(
        ValueError,
        match=r"expected a Prior, the first of what jaxsr\.load_prior returns, got tuple",
    ):
        factory((toy.prior(), {}), toy.operator())
    for missing in NEEDS[name]:
        params = {key: value for key, value in this.params[0].items() if key != missing}
        with pytest.raises(
            ValueError, match=f"method {name} needs .*: params has no '{missing}'"
        ) as raised:
            this.solve(this.keys[0], params, this.ys[0])
        assert "\n" not in str(raised.value)


def test_chunked_rls_plus_equals_one_piece():
    """The pieces that `restore` runs differ from solve(key, params, y), or a chunk compiles
    again."""
    this = case("rls_plus")
    key, params, y, previous, traces, state = (
        this.keys[0],
        this.params[0],
        this.ys[0],
        None,
        [],
        None,
    )
    for phase in this.solve.phases:
        advance = jax.jit(functools.partial(search.advance, phase, length=5))
        state = jax.jit(functools.partial(search.begin, phase))(key, params, y, previous)
        for _ in range(phase.steps // 5):
            state, trace = advance(params, y, state)
            traces.append(trace)
        assert advance._cache_size() == 1
        previous = (state.best, state.context)
    assert state is not None
    result = this.solve.conclude(params, y, state, traces)
    np.testing.assert_allclose(result.image, this.results[0].image[0], atol=1e-3)
    np.testing.assert_allclose(result.residual, this.results[0].residual[0], atol=1e-5)
