"""Training of the flow: it learns a curved density, stops by validation, and a killed training ends
as an undisturbed one."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import toy

from jaxsr import flows
from jaxsr.training import checkpoints, flow

DIM = 4
FEW = flow.Config(
    hidden=16,
    num_blocks=2,
    num_train=640,
    num_valid=300,
    batch_size=64,
    learning_rate=3e-3,
    max_epochs=3,
    patience=2,
    save_every=1,
)


def banana(params, z, truncation=1.0):
    """w_i = scale_i (z_i + curve z_{i-1}^2 / 2) + i: volume known, curved, far from normal."""
    bent = z.at[1:].add(params["curve"] * z[:-1] ** 2 / 2)
    return params["scale"] * bent + jnp.arange(DIM)


def banana_log_prob(params, w):
    bent, z = (w - jnp.arange(DIM)) / params["scale"], jnp.zeros(DIM)
    for i in range(DIM):
        z = z.at[i].set(bent[i] - (params["curve"] * z[i - 1] ** 2 / 2 if i else 0))
    return jax.scipy.stats.norm.logpdf(z).sum() - jnp.log(params["scale"]).sum()


PRIOR = toy.prior()._replace(map=banana, info=toy.prior().info._replace(z_dim=DIM, w_dim=DIM))
PARAMS = {"scale": jnp.array([0.5, 2.0, 1.0, 3.0]), "curve": jnp.float32(1.0)}


drawn_w = jax.jit(flow.draw, static_argnums=1, static_argnames="num_samples")
measured = jax.jit(flow.measure)


@functools.cache
def undisturbed():
    """The flow that FEW and key 1 end in."""
    return flow.fit(PRIOR, PARAMS, jax.random.key(1), FEW)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_learns_a_curved_density():
    """Breaks when training does not beat a full-covariance Gaussian, exceeds the true density, or
    ||F(w)||^2 is not chi-squared."""
    config = dataclasses.replace(
        FEW,
        hidden=32,
        num_blocks=3,
        num_train=20_000,
        num_valid=2_000,
        batch_size=200,
        max_epochs=8,
        patience=8,
    )
    history = []
    params = flow.fit(
        PRIOR,
        PARAMS,
        jax.random.key(0),
        config,
        report=lambda epoch, metrics: history.append((epoch, metrics)),
    )
    train, _, test = flow.samples(PRIOR, PARAMS, jax.random.key(0), config)
    learnt = float(flow.mean_log_prob(params, test))
    truth = float(jax.jit(jax.vmap(banana_log_prob, in_axes=(None, 0)))(PARAMS, test).mean())
    gaussian = flow.gaussian_log_prob(train, test)
    assert gaussian + 0.6 < learnt < truth + 0.02 and learnt > truth - 0.2
    assert [epoch for epoch, _ in history] == list(range(1, 9))
    assert (
        history[-1][1]["valid"] > history[0][1]["valid"]
        and abs(history[-1][1]["valid"] - learnt / DIM) < 0.05
    )
    norms = flow.squared_norms(
        {"white_mean": jnp.zeros(DIM), "white_std": jnp.ones(DIM)}, params, test
    )
    fits = {name: flow.compare_chi_squared(values, DIM) for name, values in norms.items()}
    assert fits["flow"]["ks_distance"] < 0.05 < 0.3 < fits["raw"]["ks_distance"]
    assert (
        abs(fits["flow"]["mean"] - DIM) < 0.5 and abs(fits["flow"]["std"] - np.sqrt(2 * DIM)) < 0.8
    )


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path, killed_after):
    """Breaks when a resumed training differs in a single bit: order of samples, optimiser state,
    best so far, epochs without gain."""

    def kill(epoch, metrics):
        if epoch == killed_after + 1:
            raise Killed

    with pytest.raises(Killed):
        flow.fit(PRIOR, PARAMS, jax.random.key(1), FEW, folder=tmp_path / "run", report=kill)
    assert checkpoints.latest(tmp_path / "run") == killed_after
    epochs = []
    resumed = flow.fit(
        PRIOR,
        PARAMS,
        jax.random.key(1),
        FEW,
        folder=tmp_path / "run",
        report=lambda epoch, _: epochs.append(epoch),
    )
    assert epochs == list(range(killed_after + 1, 4))
    assert_same(resumed, undisturbed())
    again = flow.fit(
        PRIOR,
        PARAMS,
        jax.random.key(1),
        FEW,
        folder=tmp_path / "run",
        report=lambda epoch, _: epochs.append(epoch),
    )
    assert_same(again, undisturbed())
    assert len(epochs) == 3 - killed_after  # a finished training trains no more


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a training that is done."""
    folder = tmp_path_factory.mktemp("flow") / "run"
    flow.fit(PRIOR, PARAMS, jax.random.key(1), FEW, folder=folder)
    return folder


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"config": dataclasses.replace(FEW, learning_rate=1e-3)},
            "with learning_rate=0.001, got 0.003",
        ),
        ({"config": dataclasses.replace(FEW, hidden=8)}, "with hidden=8, got 16"),
        (
            {"key": jax.random.key(3), "params": PARAMS | {"curve": jnp.float32(2.0)}},
            "got one on others",
        ),
    ],
    ids=["setting", "size", "prior"],
)
def test_another_training_in_the_folder_is_refused(finished, change, message):
    """Breaks when a run silently goes on with another run's state."""
    arguments = {"params": PARAMS, "key": jax.random.key(1), "config": FEW}
    with pytest.raises(ValueError, match=message) as error:
        flow.fit(PRIOR, *(arguments | change).values(), folder=finished)
    assert "\n" not in str(error.value)


def nan_map(params, z, truncation=1.0):
    return jnp.full(DIM, jnp.nan) + z[0]


def flat_map(params, z, truncation=1.0):
    return z.at[0].set(1.0)


@pytest.mark.parametrize(
    "prior, config, message",
    [
        (PRIOR, dataclasses.replace(FEW, batch_size=641), "batch_size <= num_train, got 641 > 640"),
        (PRIOR, dataclasses.replace(FEW, num_valid=0), "positive settings, got {'num_valid': 0}"),
        (PRIOR._replace(map=nan_map), FEW, "finite w that vary"),
        (PRIOR._replace(map=flat_map), FEW, "finite w that vary"),
        (PRIOR, dataclasses.replace(FEW, learning_rate=1e30), "a finite likelihood in some epoch"),
    ],
    ids=["batch", "size", "nan", "flat", "diverged"],
)
def test_impossible_trainings_are_refused(prior, config, message):
    """Breaks when a hopeless training returns an untrained or NaN flow."""
    with pytest.raises(ValueError, match=message):
        flow.fit(prior, PARAMS, jax.random.key(0), config)


def test_stops_without_gain_and_keeps_the_best():
    """Breaks when training goes on for ever, or the last parameters are returned instead of the
    best."""
    config = dataclasses.replace(
        FEW, num_train=64, batch_size=32, hidden=64, learning_rate=3e-2, max_epochs=60, patience=4
    )
    history = []
    params = flow.fit(
        PRIOR, PARAMS, jax.random.key(2), config, report=lambda _, metrics: history.append(metrics)
    )
    values = np.nan_to_num([metrics["valid"] for metrics in history], nan=-np.inf)
    assert len(values) < 60 and values.argmax() == len(values) - 1 - 4
    valid = flow.samples(PRIOR, PARAMS, jax.random.key(2), config).valid
    np.testing.assert_allclose(flow.mean_log_prob(params, valid) / DIM, values.max(), rtol=1e-5)
    np.testing.assert_allclose(history[-1]["best"], values.max(), rtol=1e-6)


def test_statistics_are_those_of_all_training_samples():
    """Breaks when inference normalises by another mean and variance than the training samples':
    each block's outputs must be standard."""
    # Not a multiple of the chunk.
    w = drawn_w(jax.random.key(0), PRIOR, PARAMS, num_samples=1_500)
    params = flow.begin(jax.random.key(1), w, FEW).params
    params["statistics"] = measured(params, w)
    made = jax.jit(lambda block, x: flows.Made(block).forward(x))
    normed = jax.jit(lambda block, statistics, x: flows.batch_norm(block, statistics).forward(x))
    standard = params["statistics"]["w"]
    x = np.asarray(w)
    np.testing.assert_allclose(standard["std"], x.std(0), rtol=1e-4)
    x = (x - standard["mean"]) / standard["std"]
    for i in range(FEW.num_blocks):
        block, statistics = params["blocks"][f"block{i}"], params["statistics"][f"block{i}"]
        x = np.asarray(made(block, x))
        np.testing.assert_allclose(statistics["mean"], x.mean(0), atol=1e-4)
        np.testing.assert_allclose(statistics["var"], x.var(0), rtol=1e-3)
        x = np.asarray(normed(block, statistics, x))
        np.testing.assert_allclose(x.std(0), 1, rtol=1e-3)
        x = x[:, ::-1]


def test_training_mode_equals_inference_with_the_batchs_statistics():
    """Breaks when the loss that is trained is not the density that is used: over one batch the two
    must agree."""
    w = drawn_w(jax.random.key(0), PRIOR, PARAMS, num_samples=200)
    params = flow.begin(jax.random.key(1), w, FEW).params
    params["statistics"] = measured(params, w)
    training = jax.jit(flow.batch_log_prob)(params["blocks"], params["statistics"]["w"], w)
    inference = jax.jit(jax.vmap(flows.log_prob, in_axes=(None, 0)))(params, w)
    np.testing.assert_allclose(training, inference, rtol=1e-4, atol=1e-4)


def test_gaussian_log_prob_equals_scipys():
    """Breaks when the Gaussian that the flow is compared with is a weaker one than it claims."""
    rng = np.random.default_rng(0)
    train, test = (rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3)) + 1 for n in (500, 100))
    expected = (
        scipy.stats.multivariate_normal(train.mean(0), np.cov(train, rowvar=False))
        .logpdf(test)
        .mean()
    )
    np.testing.assert_allclose(
        flow.gaussian_log_prob(jnp.asarray(train), jnp.asarray(test)), expected, rtol=1e-5
    )


def test_chi_squared_comparison_equals_scipys():
    """Breaks when the distance is not Kolmogorov-Smirnov's, at few and many degrees of freedom."""
    for dim in (2, 128):
        values = np.random.default_rng(0).chisquare(dim, 700) * 1.1
        found = flow.compare_chi_squared(jnp.asarray(values), dim)
        np.testing.assert_allclose(
            found["ks_distance"],
            scipy.stats.kstest(values, "chi2", args=(dim,)).statistic,
            atol=1e-3,
        )
        np.testing.assert_allclose(
            [found["mean"], found["std"]], [values.mean(), values.std()], rtol=1e-4
        )


def test_pulses_transform_whitens_what_pulse_draws():
    """Breaks when PULSE's transform is not the inverse of its draw: w = LeakyReLU_0.2(v std + mean)
    must give back |v|^2."""
    statistics = {
        "white_mean": jnp.array([0.3, -1.0, 0.0, 2.0]),
        "white_std": jnp.array([1.0, 0.5, 2.0, 1.5]),
    }
    v = jax.random.normal(jax.random.key(0), (50, DIM))
    w = jax.nn.leaky_relu(v * statistics["white_std"] + statistics["white_mean"], 0.2)
    params = flow.begin(jax.random.key(1), w, FEW).params
    norms = flow.squared_norms(statistics, params, w)
    np.testing.assert_allclose(norms["pulse"], (v**2).sum(1), rtol=1e-4)
    np.testing.assert_allclose(norms["raw"], (w**2).sum(1), rtol=1e-5)


def test_assessment_is_the_reports_content():
    """Breaks when the report lacks a number or can not be written as JSON."""
    drawn = flow.samples(PRIOR, PARAMS, jax.random.key(0), FEW)
    trained = flow.begin(jax.random.key(1), drawn.train, FEW).params
    norms = flow.squared_norms(
        {"white_mean": jnp.zeros(DIM), "white_std": jnp.ones(DIM)}, trained, drawn.test
    )
    found = json.loads(json.dumps(flow.assess(trained, drawn, norms)))
    assert set(found) == {
        "dim",
        "test_samples",
        "nats_per_dim",
        "gaussian_nats_per_dim",
        "squared_norm",
    }
    assert set(found["squared_norm"]) == {"chi_squared", "raw", "pulse", "flow"}
    assert found["test_samples"] == 300 and np.isfinite(found["nats_per_dim"])


def test_one_compilation_serves_every_epoch():
    """Breaks when the state changes its types in an epoch, so that the second one compiles
    again."""
    w = drawn_w(jax.random.key(0), PRIOR, PARAMS, num_samples=128)
    state = flow.begin(jax.random.key(1), w, FEW)
    after, _ = jax.eval_shape(lambda s: flow.run_epoch(s, w, w, FEW), state)
    for (path, leaf), new in zip(
        jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(after), strict=True
    ):
        assert jax.typeof(leaf) == jax.typeof(new), path
