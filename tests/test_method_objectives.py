"""Each method's objective at fixed latents against a slow float64 numpy version, prior, operator and flow included."""

import math

import jax
import numpy as np
import pytest
import test_objectives
import toy
from test_methods import begin, case, two_params

import jaxsr.methods
from jaxsr.methods import PULSE, RLS, RLSPlus


def slow_measurement(params, w_plus, noise):
    """The toy prior and the box operator by loops over layers and maps."""
    image = np.full((16, 16, 3), 0.5)
    for layer, w in enumerate(w_plus):
        weight = params["synthesis"][list(toy.BLOCKS)[layer // 2]]["weight"][layer % 2]
        image += np.kron(np.tensordot(w, weight, 1), np.ones((16 // weight.shape[1],) * 2 + (1,)))
    for map in noise:
        strength = params["synthesis"][f"b{len(map)}"]["noise_strength"]
        image += strength * np.kron(map, np.ones((16 // len(map),) * 2))[..., None]
    return image.reshape(4, 4, 4, 4, 3).mean((1, 3))


def slow_flow(flow, w):
    """u and log-determinant of one row; masked weights are zero in the parameters, so the masks are not needed."""
    x = (w - flow["statistics"]["w"]["mean"]) / flow["statistics"]["w"]["std"]
    log_det = -np.log(flow["statistics"]["w"]["std"]).sum()
    for name in sorted(flow["blocks"]):
        block, statistics = flow["blocks"][name], flow["statistics"][name]
        hidden = np.maximum(x @ block["kernel0"] + block["bias0"], 0)
        hidden = np.maximum(hidden @ block["kernel1"] + block["bias1"], 0)
        m, a = np.split(hidden @ block["kernel2"] + block["bias2"], 2)
        scale = np.exp(block["log_gain"]) / np.sqrt(statistics["var"] + 1e-5)
        x = (((x - m) * np.exp(-a) - statistics["mean"]) * scale + block["shift"])[::-1]
        log_det += np.log(scale).sum() - a.sum()
    return x, log_det


def slow_pulse(params, y, context, variables, config):
    statistics = params["statistics"]
    raw = variables["v"] * statistics["white_std"] + statistics["white_mean"]
    w_plus = np.where(raw > 0, raw, 0.2 * raw)
    fit = np.mean((slow_measurement(params, w_plus, variables["noise"] + context["noise"]) - y) ** 2)
    return 100 * max(fit, 2e-3) + 0.05 * test_objectives.slow_geocross(w_plus)


def slow_rls(params, y, context, variables, config):
    w_plus = variables["w_plus"]
    rows = [slow_flow(params["flow"], w) for w in w_plus]
    log_prob = [-0.5 * (u**2).sum() - len(u) / 2 * math.log(2 * math.pi) + log_det for u, log_det in rows]
    gaussian = test_objectives.slow_gaussianisation([u for u, _ in rows])
    cross = test_objectives.SLOW[f"pairwise_{config.cross}"][1](w_plus)
    fit = np.abs(slow_measurement(params, w_plus, context["noise"]) - y).mean()
    return (
        config.fit_weight * fit - config.flow_weight * np.mean(log_prob) + config.gaussian_weight * gaussian + config.cross_weight * cross
    )


def slow_refinement(params, y, context, variables, config):
    params = {**params, "synthesis": variables["synthesis"]}
    noise = variables["noise"] + context["noise"]
    return config.fit_weight * np.abs(slow_measurement(params, variables["w_plus"], noise) - y).mean()


OBJECTIVES = {
    "pulse": ("pulse", PULSE(), 0, slow_pulse),
    "rls": ("rls", RLS(), 0, slow_rls),
    "rls code": ("rls", RLS(preset="code"), 0, slow_rls),
    "rls sum_sq": ("rls", RLS(cross="sum_sq"), 0, slow_rls),
    "rls_plus search": ("rls_plus", RLSPlus(), 0, slow_rls),
    "rls_plus refinement": ("rls_plus", RLSPlus(num_noise=3), 1, slow_refinement),
    "rls_plus refinement, code": ("rls_plus", RLSPlus(preset="code"), 1, slow_refinement),
}


def perturbed(tree, key, scale):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, [leaf + scale * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)])


@pytest.mark.parametrize("what", OBJECTIVES)
def test_objective_equals_float64_numpy(what):
    """The objective is another function than its formula, or a weight or a mean is wrong."""
    name, config, stage, slow = OBJECTIVES[what]
    phase, state = begin(name, config, stage)
    params, y = dict(two_params()[0]), case(name).ys[0]
    # Gains, shifts and means that an untrained flow does not have; its kernels keep their masked zeros.
    blocks = {
        block: {k: v if "kernel" in k else perturbed(v, jax.random.key(5), 0.3) for k, v in values.items()}
        for block, values in params["flow"]["blocks"].items()
    }
    statistics = {k: {**v, "mean": perturbed(v["mean"], jax.random.key(6), 0.3)} for k, v in params["flow"]["statistics"].items()}
    params["flow"] = {"blocks": blocks, "statistics": statistics}
    variables = perturbed(state.variables, jax.random.key(7), 0.3)
    value, _ = phase.loss(params, y, state.context, variables)
    params, y, context, variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, y, state.context, variables))
    expected = slow(params, y, context, variables, jaxsr.methods.resolve(config, toy.operator()))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_both_presets_of_rls_have_proportional_objectives():
    """The release's weights are ten times the paper's: the same minimum."""
    paper, code = (jaxsr.methods.resolve(RLS(preset=preset), toy.operator()) for preset in ("paper", "code"))
    for weight in ("fit_weight", "flow_weight", "gaussian_weight", "cross_weight"):
        assert getattr(code, weight) == pytest.approx(10 * getattr(paper, weight))
