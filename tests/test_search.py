"""The loop against hand-written optax steps, closed-form minima, and itself in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from jaxsr import search


def quadratic(x):
    """A skewed bowl with its minimum, 0.5, at (1, -2, 3)."""
    value = (
        jnp.sum(jnp.asarray([1.0, 10.0, 0.1]) * (x["a"] - jnp.asarray([1.0, -2.0, 3.0])) ** 2) + 0.5
    )
    return value, {"first": x["a"][0]}


INIT = {"a": jnp.zeros(3)}


def hand_written(tx, steps, project=lambda x: x):
    """Iterates and losses of the same optimisation by a Python loop."""
    x, state, iterates, values = INIT, tx.init(INIT), [], []
    for _ in range(steps):
        value, grads = jax.value_and_grad(lambda x: quadratic(x)[0])(x)
        iterates.append(np.asarray(x["a"]))
        values.append(float(value))
        updates, state = tx.update(grads, state, x)
        x = project(optax.apply_updates(x, updates))
    return iterates, values


@pytest.mark.parametrize(
    "tx", [optax.sgd(0.02), optax.adam(0.3), optax.sgd(0.11)], ids=["sgd", "adam", "diverging"]
)
def test_minimise_equals_hand_written_steps(tx):
    """The loop's losses differ from optax called by hand, or what it returns is not the best of the
    iterates (nor their minimum)."""
    iterates, values = hand_written(tx, 20)
    found = search.minimise(quadratic, INIT, tx=tx, steps=20)
    best = int(np.argmin(values))
    np.testing.assert_allclose(found.trace["loss"], values, rtol=1e-5)
    np.testing.assert_allclose(found.trace["first"], [x[0] for x in iterates], atol=1e-5)
    np.testing.assert_allclose(found.latent["a"], iterates[best], rtol=1e-5, atol=1e-6)
    assert found.value == found.trace["loss"].min() <= found.trace["loss"][-1]


def test_projection_follows_every_update():
    """An iterate is measured that the projection has not put back."""

    def project(x):
        return {"a": jnp.clip(x["a"], -0.5, 0.5)}

    _, values = hand_written(optax.adam(0.3), 20, project)
    np.testing.assert_allclose(
        search.minimise(quadratic, INIT, tx=optax.adam(0.3), steps=20, project=project).trace[
            "loss"
        ],
        values,
        rtol=1e-5,
    )


def test_reaches_the_ridge_solution_of_the_linear_prior():
    """On a linear prior the minimum is known: (M'M + 0.1 I) x = M'(y - b)."""
    params, operator = toy.params(jax.random.key(0), flow=False), toy.operator()
    noise = toy.prior().noise("none", params)

    def measure(w):
        return operator(toy.prior().synthesize(params, w, noise)).reshape(-1)

    offset = np.asarray(measure(jnp.zeros((6, 8))), np.float64)
    matrix = np.asarray(jax.jacobian(measure)(jnp.zeros((6, 8))), np.float64).reshape(-1, 48)
    y = measure(jax.random.normal(jax.random.key(1), (6, 8)))
    expected = np.linalg.solve(
        matrix.T @ matrix + 0.1 * np.eye(48), matrix.T @ (np.asarray(y, np.float64) - offset)
    )

    def loss(w):
        return jnp.sum((measure(w) - y) ** 2) + 0.1 * jnp.sum(w**2), {}

    largest = np.linalg.eigvalsh(matrix.T @ matrix)[-1]
    found = search.minimise(
        loss, jnp.zeros((6, 8)), tx=optax.sgd(1 / (2 * largest + 0.2), momentum=0.9), steps=600
    )
    np.testing.assert_allclose(
        found.latent.reshape(-1), expected, atol=5e-4
    )  # as near as the rounding of the loss lets the best iterate be told


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf], ids=["nan", "inf", "-inf"])
def test_a_loss_that_is_not_finite_never_becomes_the_best(bad):
    """The search walks 1, 0.6, 0.2, -0.2 where the loss breaks down: 0.2 must come back."""

    def loss(x):
        return jnp.where(x < 0, bad, x), {}

    found = search.minimise(loss, jnp.asarray(1.0), tx=optax.sgd(0.4), steps=6)
    np.testing.assert_allclose([found.latent, found.value], [0.2, 0.2], rtol=1e-5)


def phases():
    """Two phases on the toy prior: w shared by the layers, then a free w+ near it; the second has
    no term "first"."""
    prior, operator = toy.prior(), toy.operator()

    def start(key, params, y, previous):
        return 0.1 * jax.random.normal(key, (8,)), None

    def fit(params, y, w_plus):
        return jnp.mean((operator(prior.synthesize(params, w_plus, params["noise"])) - y) ** 2)

    def first_loss(params, y, context, w):
        value = fit(params, y, jnp.broadcast_to(w, (6, 8)))
        return value, {"fit": value, "first": w[0]}

    def second_loss(params, y, anchor, w_plus):
        value = fit(params, y, w_plus)
        return value + 1e-4 * jnp.sum((w_plus - anchor) ** 2), {"fit": value}

    def second_start(key, params, y, previous):
        w_plus = jnp.broadcast_to(previous[0], (6, 8))
        return w_plus, w_plus

    def same(context, variables):
        return variables

    return (
        search.Phase(30, start, first_loss, optax.adam(0.1), same),
        search.Phase(20, second_start, second_loss, optax.adam(0.05), same),
    )


def solve(eps=2e-3):
    def finish(params, y, w_plus, context):
        return toy.prior().synthesize(params, w_plus, params["noise"]), w_plus

    return search.Solve(phases(), finish, toy.operator(), eps)


@pytest.fixture(scope="module")
def problem():
    params = toy.params(jax.random.key(0), flow=False)
    return jax.random.key(2), params, toy.operator()(toy.image(jax.random.key(1), params))


@pytest.fixture(scope="module")
def result(problem):
    return jax.jit(solve())(*problem)


def test_phases_run_in_sequence(result):
    """The second phase does not start at the first one's best, or a term that a phase lacks is not
    NaN there."""
    fit, first, loss = (np.asarray(result.trace[name]) for name in ("fit", "first", "loss"))
    assert fit.shape == first.shape == loss.shape == (50,)
    np.testing.assert_allclose(fit[30], fit[:30].min(), rtol=1e-5)
    assert np.isfinite(first[:30]).all()
    assert np.isnan(first[30:]).all()


def test_residual_and_feasibility_are_of_the_returned_image(problem, result):
    """The residual is another iterate's, or the flag contradicts eps."""
    y, image = np.asarray(problem[2], np.float64), np.asarray(result.image, np.float64)
    residual = np.mean((image.reshape(4, 4, 4, 4, 3).mean((1, 3)) - y) ** 2)
    np.testing.assert_allclose(result.residual, residual, rtol=1e-4)
    for eps, feasible in ((residual * 1.01, True), (residual * 0.99, False)):
        state = search.State(
            step=jnp.asarray(1),
            variables=None,
            opt_state=None,
            best=result.latent,
            best_value=jnp.asarray(0.0),
            done=jnp.asarray(False),
            context=None,
        )
        concluded = solve(eps).conclude(problem[1], problem[2], state, [result.trace])
        assert bool(concluded.feasible) == feasible
        assert concluded.feasible.dtype == bool


def test_nothing_finite_gives_an_image_that_is_not_feasible(problem):
    """A measurement of NaN ends in an exception, no image, or a claim of success."""
    key, params, y = problem
    result = jax.jit(solve())(key, params, jnp.full_like(y, jnp.nan))
    assert np.isfinite(result.image).all()
    assert not result.feasible
    assert np.isnan(result.residual)


def test_chunks_equal_one_piece_and_compile_once(problem, result):
    """A search shown in chunks differs from the same search in one piece, or each chunk is compiled
    again."""
    key, params, y = problem
    solver, previous, traces = solve(), None, []
    for phase in solver.phases:
        advance = jax.jit(
            lambda params, y, state, phase=phase: search.advance(phase, params, y, state, length=5)
        )
        state = jax.jit(
            lambda key, params, y, previous, phase=phase: search.begin(
                phase, key, params, y, previous
            )
        )(key, params, y, previous)
        for _ in range(phase.steps // 5):
            state, trace = advance(params, y, state)
            traces.append(trace)
        assert advance._cache_size() == 1
        assert state.step == phase.steps
        previous = (state.best, state.context)
    concluded = jax.jit(solver.conclude)(params, y, state, traces)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), concluded, result
    )


def test_a_step_is_one_forward_and_one_backward_pass(problem):
    """A phase traces its loss more than once a step: measured by the convolution-free toy as the
    number of calls of its loss."""
    calls = []
    phase = phases()[0]

    def counted(*args):
        calls.append(1)
        return phase.loss(*args)

    key, params, y = problem
    counting = phase._replace(loss=counted)
    state = search.begin(counting, key, params, y, None)
    jax.jit(lambda params, y, state: search.advance(counting, params, y, state, length=7)).lower(
        params, y, state
    )
    assert len(calls) == 1


@pytest.mark.parametrize("length", [3, 12])
def test_an_objective_of_random_draws_sees_others_in_each_step_and_keeps_the_last_iterate(length):
    """Draws repeat from step to step or chunk to chunk, or a lucky draw decides what is best."""
    targets = np.random.default_rng(0).normal(size=12).astype(np.float32)

    def redraw(context, step):
        return {"target": jnp.asarray(targets)[step], **context}

    def loss(params, y, context, variables):
        return context["scale"] * (variables - context["target"]) ** 2, {}

    phase = search.Phase(
        12,
        lambda key, params, y, previous: (jnp.zeros(()), {"scale": 2.0}),
        loss,
        optax.sgd(0.1),
        redraw=redraw,
    )
    state, x, values = search.begin(phase, None, None, None, None), 0.0, []
    traces = []
    for _ in range(12 // length):
        state, trace = search.advance(phase, None, None, state, length=length)
        traces.append(trace["loss"])
    iterates = []
    for target in targets:
        iterates.append(x)
        values.append(2.0 * (x - target) ** 2)
        x -= 0.1 * 4.0 * (x - target)
    np.testing.assert_allclose(np.concatenate(traces), values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.best, iterates[-1], rtol=1e-5)


@pytest.mark.parametrize(
    ("steps", "length"),
    [(200, 25), (80, 20), (70, 14), (30, 15), (50, 25), (20, 20), (7, 7), (29, 1), (1, 1)],
)
def test_chunk_length(steps, length):
    """A chunk length that does not divide the steps would compile twice; a longer one would hide
    progress."""
    assert search.chunk_length(steps) == length
