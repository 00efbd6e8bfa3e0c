"""Searches that rest once they have found what will do: alone, in a batch, and in `restore`."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from jaxsr import search
from jaxsr.methods import RLSPlus, rls_plus

ROUND, ROUNDS = 4, 5
# Steps of 0.1 from 0 towards y; the first is done at the start, the second within the second round,
# the last never.
TARGETS = jnp.asarray([0.0, 0.45, 9.0])
MADE = [ROUND, 2 * ROUND, ROUND * ROUNDS]


def phase(enough=lambda params, terms: terms["far"] <= 0.06):
    return search.Phase(
        ROUND * ROUNDS,
        start=lambda key, params, y, previous: ({"x": jnp.zeros(())}, None),
        loss=lambda params, y, context, variables: (
            jnp.abs(variables["x"] - y),
            {"far": jnp.abs(variables["x"] - y)},
        ),
        tx=optax.sgd(0.1),
        enough=enough,
        round=ROUND,
    )


def run(this, y):
    return search.advance(
        this, None, y, search.begin(this, None, None, y, None), length=ROUND * ROUNDS
    )


@pytest.mark.parametrize(("y", "made"), list(zip(TARGETS, MADE, strict=True)))
def test_a_search_rests_after_the_round_in_which_it_is_done(y, made):
    """It goes on although it is done, stops within a round, or stops undone."""
    state, trace = run(phase(), y)
    assert int(state.step) == made and bool(state.done) == (made < ROUND * ROUNDS)
    assert np.isfinite(trace["loss"][:made]).all()
    assert all(np.isnan(values[made:]).all() for values in trace.values())


def test_a_row_that_rests_keeps_its_state_while_others_go_on():
    """Under vmap a row that is done moves, or its neighbours rest with it."""
    together, _ = jax.vmap(lambda y: run(phase(), y))(TARGETS)
    assert together.step.tolist() == MADE
    plain = phase(enough=None)
    for row, (y, made) in enumerate(zip(TARGETS, MADE, strict=True)):
        begun = search.begin(plain, None, None, y, None)
        alone, _ = search.advance(plain, None, y, begun, length=made)
        for now, then in ((together.variables, alone.variables), (together.best, alone.best)):
            np.testing.assert_array_equal(now["x"][row], then["x"])


def config(**changed):
    return RLSPlus(**{"steps": 6, "refine_steps": 5, "refine_rounds": 4} | changed)


def photos():
    params = toy.params(jax.random.key(0))
    ys = jax.vmap(lambda key: toy.operator()(toy.image(key, params)))(
        jax.random.split(jax.random.key(1), 3)
    )
    return params, np.asarray(ys)


def test_restore_says_how_many_steps_it_took_and_makes_no_more():
    """The number is missing or wrong, or programs run on for a batch that is done."""
    params, ys = photos()
    counts = {}
    for what, eps in (("done at once", 1e3), ("never done", 0.0)):
        solve = rls_plus(toy.prior(), toy.operator(), config(eps=eps))
        found = search.restore(solve, params, ys, progress=False)
        assert found.trace["loss"].shape == (3, 6 + 20)
        counts[what] = found.latent["steps_made"].tolist()
        finite = np.isfinite(found.trace["loss"][:, 6:]).sum(1)
        assert finite.tolist() == counts[what]
    assert counts == {"done at once": [5] * 3, "never done": [20] * 3}


def test_more_rounds_find_what_one_does_not():
    """A photo that one round leaves infeasible stays so, or one that is feasible is changed."""
    params, ys = photos()

    def residuals(eps, **changed):
        settings = config(eps=eps, **changed)
        solve = rls_plus(toy.prior(), toy.operator(), settings)
        return search.restore(solve, params, ys, progress=False).residual

    fast = {"generator_learning_rate": 2e-3}
    once = residuals(0.0, refine_rounds=1, **fast)
    bound = float(np.median(once))
    rounds = residuals(bound, **fast)
    done = once <= bound
    assert done.any() and not done.all()
    np.testing.assert_allclose(rounds[done], once[done], rtol=1e-4)
    assert (rounds[~done] < once[~done]).all()


@pytest.mark.slow
def test_the_ball_ends_the_way_of_the_latent():
    """The radius of preset `scaled` means nothing: codes that alone are refined, far from a fit,
    never come to the edge of the ball, or leave it."""
    params, ys = photos()

    def codes(radius):
        alone = {"learning_rate": 0.0, "generator_learning_rate": 0.0, "num_noise": 0}
        settings = RLSPlus(preset="scaled", steps=1, eps=0.0, radius=radius, **alone)
        solve = rls_plus(toy.prior(), toy.operator(), settings)
        return search.restore(solve, params, ys, progress=False).latent["w_plus"]

    anchors, inside, free = codes(0.0), codes(None), codes(float("inf"))
    deviation = np.sqrt(np.mean(np.square(params["statistics"]["w_std"])))
    # r sqrt(512) around 512 numbers of deviation 0.44, for 8 of this one.
    radius = math.sqrt(512) * 8 * deviation / (512 * 0.44)
    way, free_way = (np.abs(w - anchors).sum(-1) / radius for w in (inside, free))
    assert way.max() <= 1 + 1e-4 and way.max() > 0.95
    assert free_way.max() > 1.5


def test_a_fixed_number_of_steps_says_none():
    """Presets of one round carry an entry that tells nothing."""
    params, ys = photos()
    solve = rls_plus(toy.prior(), toy.operator(), RLSPlus(steps=3, refine_steps=3))
    assert "steps_made" not in search.restore(solve, params, ys[:1], progress=False).latent
