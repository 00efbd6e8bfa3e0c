"""Laws that every searching method obeys, over the table of method_cases.py."""

import functools
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from method_cases import (
    CASES,
    DIFFUSION,
    INTERPOLATIONS,
    LEARNED,
    SEARCHES,
    W_PLUS,
    case,
    each_search,
    given,
    solve_of,
)

import jaxsr.methods
from jaxsr import operators, search
from jaxsr.methods import METHODS, PULSE, RLS
from jaxsr.settings import iterates_of


def test_every_method_has_its_row():
    """A method of METHODS obeys no law that a test knows of."""
    without = [name for name in METHODS if name not in CASES]
    assert not without, (
        f"methods without a row in CASES of tests/method_cases.py: {', '.join(without)}"
    )
    assert not set(CASES) - set(METHODS)
    rows = (SEARCHES, INTERPOLATIONS, LEARNED, DIFFUSION)
    assert sum(map(len, rows)) == len(METHODS)


def test_the_table_lists_every_module():
    """A method's file is not reachable by its name, or the exported name is the module and not the
    function."""
    folder = pathlib.Path(jaxsr.methods.__file__).parent
    modules = {factory.__module__.rpartition(".")[2] for factory, *_ in METHODS.values()}
    assert modules == {
        path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")
    } - {"auto", "projection", "setups"}
    for name, (factory, config, *_) in METHODS.items():
        assert getattr(jaxsr.methods, name) is factory
        assert callable(factory) and "paper" in config.PRESETS
        assert config(preset="paper") == config()


def test_import_is_light():
    """`import jaxsr.methods` loads distrax (and with it TensorFlow Probability)."""
    check = (
        "import sys, jaxsr.methods; sys.exit(any(m in sys.modules for m in ('distrax', "
        "'tensorflow_probability', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@each_search
def test_result_keeps_the_contract(name):
    """A field has another shape or meaning than types.Result says."""
    result, config = case(name).results[0], SEARCHES[name].config
    steps = sum(getattr(config, field) or 0 for field in iterates_of(type(config)))
    assert result.image.shape == (3, 16, 16, 3)
    assert result.image.dtype == jnp.float32
    assert {"loss", SEARCHES[name].fit} <= set(result.trace)
    assert all(values.shape == (3, steps) for values in result.trace.values())
    assert jax.tree.map(jnp.shape, result.latent) == SEARCHES[name].latent
    # e-GLASS and whoever starts from a result read it by this name.
    w_plus = result.latent.get("w_plus", np.empty(W_PLUS))
    assert w_plus.shape == W_PLUS, f"{name}: w_plus must be [layers, w_dim], one code a layer"
    residual = jnp.mean((jax.vmap(toy.operator())(result.image) - given().ys) ** 2, (1, 2, 3))
    np.testing.assert_allclose(result.residual, residual, rtol=1e-4, atol=1e-9)
    assert (result.feasible == (result.residual <= 2e-3)).all()


@each_search
def test_one_trace_for_two_sets_of_parameters(name):
    """Parameters are baked into the program, or the second call traces again."""
    assert case(name).traces == [name]
    assert not np.allclose(case(name).results[0].image, case(name).results[1].image, atol=1e-2)


@each_search
def test_improves_the_data_fit(name):
    """The search does not bring the image nearer to the measurement."""
    fit = np.asarray(case(name).results[0].trace[SEARCHES[name].fit])
    assert (fit.min(1) < 0.5 * fit[:, 0]).all()


@each_search
def test_same_key_same_result_other_key_other_result(name):
    """A result cannot be repeated, or several solutions of one image are all the same."""
    this = case(name)
    again = this.run(given().keys, given().params[0], given().ys)
    jax.tree.map(np.testing.assert_array_equal, again, this.results[0])
    other = this.run(jax.random.split(jax.random.key(99), 3), given().params[0], given().ys)
    assert (jnp.abs(other.image - again.image).max((1, 2, 3)) > 1e-3).all()


@each_search
def test_alone_equals_among_others(name):
    """The result of an image depends on its neighbours in the batch."""
    this = case(name)
    alone = jax.jit(this.solve)(given().keys[1], given().params[0], given().ys[1])
    np.testing.assert_allclose(alone.image, this.results[0].image[1], atol=1e-3)
    np.testing.assert_allclose(
        alone.trace["loss"][:10], this.results[0].trace["loss"][1][:10], rtol=1e-3
    )


@pytest.mark.parametrize("name", ["pulse", "rls"])
def test_the_latent_decodes_to_the_image(name):
    """The returned latent belongs to another iterate than the returned image."""
    result, prior = case(name).results[0], toy.prior()
    decoded = jax.vmap(
        lambda latent: prior.synthesize(given().params[0], latent["w_plus"], latent["noise"])
    )(result.latent)
    np.testing.assert_allclose(decoded, result.image, atol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in SEARCHES if "statistics" in METHODS[name].Config.NEEDS]
)
def test_generator_passes(name):
    """A step evaluates the generator more than once, or more than the final image is decoded
    besides."""
    calls = []

    def synthesize(*args):
        calls.append(1)
        return toy.prior().synthesize(*args)

    solve = METHODS[name].make(
        toy.prior()._replace(synthesize=synthesize), toy.operator(), SEARCHES[name].config
    )
    jax.make_jaxpr(solve)(given().keys[0], given().params[0], given().ys[0])
    assert len(calls) == len(solve.phases) + 1


@each_search
def test_bad_priors_and_inputs(name):
    """A mismatch of prior, operator, parameters or measurement gives a traceback from deep inside,
    or broadcasts silently."""
    factory, solve = METHODS[name].make, solve_of(name)
    if not METHODS[name].any_prior:
        with pytest.raises(ValueError, match="needs a prior with a w space: 'toy' has none"):
            factory(toy.prior()._replace(map=None, synthesize=None), toy.operator())
    with pytest.raises(
        ValueError, match=r"takes images \(32, 32, 3\), but prior 'toy' makes \(16, 16, 3\)"
    ):
        factory(toy.prior(), operators.downsample(4, image_shape=(32, 32, 3), kernel="box"))
    with pytest.raises(
        ValueError, match=r"y has shape \(3,\), but the operator measures \(4, 4, 3\)"
    ):
        solve(given().keys[0], given().params[0], jnp.zeros(3))
    with pytest.raises(
        ValueError, match=r"expected floating-point measurements in \[0, 1\], got uint8"
    ):
        solve(given().keys[0], given().params[0], jnp.zeros((4, 4, 3), jnp.uint8))
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


@each_search
def test_a_method_needs_what_it_says_and_no_more(name):
    """A missing entry of params is a KeyError from deep inside, or a command loads what nothing
    looks at."""
    solve, needs = solve_of(name), METHODS[name].Config.NEEDS
    key, params, y = given().keys[0], given().params[0], given().ys[0]
    told = {entry: params[entry] for entry in ("mapping", "synthesis", "noise", *needs)}
    assert jax.eval_shape(solve, key, told, y).image.shape == (16, 16, 3)
    for missing in needs:
        without = {entry: value for entry, value in told.items() if entry != missing}
        with pytest.raises(
            ValueError, match=f"method {name} needs .*: params has no '{missing}'"
        ) as raised:
            solve(key, without, y)
        assert "\n" not in str(raised.value)


def test_chunked_rls_plus_equals_one_piece():
    """The pieces that `restore` runs differ from solve(key, params, y), or a chunk compiles
    again."""
    this, on = case("rls_plus"), given()
    key, params, y = on.keys[0], on.params[0], on.ys[0]
    previous, traces, state = None, [], None
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
