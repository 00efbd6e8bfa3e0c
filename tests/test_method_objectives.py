"""Each method's objective at three latents against its slow float64 version, prior, operator and
flow included."""

import jax
import numpy as np
import pytest
import toy
from method_cases import SEARCHES, begin, given, solve_of

import jaxsr.methods


def perturbed(tree, key, scale):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        structure,
        [
            leaf + scale * jax.random.normal(k, leaf.shape)
            for leaf, k in zip(leaves, keys, strict=True)
        ],
    )


OBJECTIVES = {
    f"{name} {what}": (name, objective)
    for name, row in SEARCHES.items()
    for what, objective in row.objectives.items()
}


def test_every_method_has_a_slow_objective():
    """A formula that is compared with nothing may be wrong."""
    for name, row in SEARCHES.items():
        phases = {objective.phase for objective in row.objectives.values()}
        assert phases == set(range(len(solve_of(name).phases))), (
            f"{name}: expected an Objective for each phase in its row of tests/method_cases.py"
        )


@pytest.mark.parametrize("what", OBJECTIVES)
def test_objective_equals_float64_numpy(what):
    """The objective is another function than its formula, or a weight or a mean is wrong."""
    name, (config, stage, slow) = OBJECTIVES[what]
    phase, state = begin(name, config, stage)
    params, y = dict(given().params[0]), given().ys[0]
    # Gains, shifts and means that an untrained flow does not have; its kernels keep their masked
    # zeros.
    blocks = {
        block: {
            k: v if "kernel" in k else perturbed(v, jax.random.key(5), 0.3)
            for k, v in values.items()
        }
        for block, values in params["flow"]["blocks"].items()
    }
    statistics = {
        k: {**v, "mean": perturbed(v["mean"], jax.random.key(6), 0.3)}
        for k, v in params["flow"]["statistics"].items()
    }
    params["flow"] = {"blocks": blocks, "statistics": statistics}
    loss, resolved = jax.jit(phase.loss), jaxsr.settings.resolve(config, toy.operator())
    for step in range(3):
        context = state.context if phase.redraw is None else phase.redraw(state.context, step)
        variables = perturbed(state.variables, jax.random.key(7 + step), 0.3)
        value, _ = loss(params, y, context, variables)
        doubles = jax.tree.map(
            lambda leaf: np.asarray(leaf, np.float64), (params, y, context, variables)
        )
        np.testing.assert_allclose(value, slow(*doubles, resolved), rtol=1e-5)
