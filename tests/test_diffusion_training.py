"""training/diffusion: the objective and its step, exact resumption, and what a run leaves."""

import dataclasses
import json

import commands
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusers import TINY, fresh

import jaxsr
from jaxsr import diffusion, loading, weights
from jaxsr.nets import unet
from jaxsr.training import checkpoints, diffusion_loop, loop
from jaxsr.training import diffusion as training

CONFIG = training.Config(batch=4, learning_rate=1e-3)
RUN = diffusion_loop.Run(total_images=24, tick_images=8, judged_samples=0, sample_steps=2)


def photos(count):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)


def test_objective_is_ddpms():
    """Noise of another size, a network told of another step, images of another range, or a loss
    that is no mean."""
    key, params, stock = jax.random.key(5), fresh(TINY.net), photos(3)
    images = jnp.asarray(stock, jnp.float32) / 127.5 - 1
    found = jax.jit(lambda p: training.loss(key, TINY, p, images))(params)
    key_steps, key_noise = jax.random.split(key)
    steps = np.asarray(jax.random.randint(key_steps, (3,), 0, 100))
    noise = np.asarray(jax.random.normal(key_noise, images.shape), np.float64)
    kept, predict = 1.0, jax.jit(lambda x, step: unet.predicted(TINY.net, params, x, step))
    alphas = {}
    for step in range(100):  # DDPM's betas for 1,000 steps, ten times as large for 100
        kept *= 1 - (1e-3 + (0.2 - 1e-3) * step / 99)
        alphas[step] = kept
    errors = []
    for image, step, eps in zip(stock, steps, noise, strict=True):
        clean = image / 255 * 2 - 1
        noisy = np.sqrt(alphas[int(step)]) * clean + np.sqrt(1 - alphas[int(step)]) * eps
        predicted = predict(jnp.asarray(noisy, jnp.float32), jnp.int32(step))
        errors.append(np.mean((np.asarray(predicted, np.float64) - eps) ** 2))
    np.testing.assert_allclose(found, np.mean(errors), rtol=1e-4)


@pytest.mark.slow
def test_a_step_learns_and_averages():
    """The loss of one batch does not fall, the average is the weights themselves, two steps see one
    noise, or the second is compiled anew."""
    step, state = (
        jax.jit(training.make_step(TINY, CONFIG)),
        training.begin(jax.random.key(0), TINY, CONFIG),
    )
    losses, after = [], state
    for _ in range(60):
        after, log = step(after, (), jnp.asarray(photos(4)))
        losses.append(float(log["loss"]))
    assert losses[0] == pytest.approx(1, abs=0.1)  # it says 0 of noise of variance 1
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:3]) and len(set(losses)) == 60
    kernel, average = (t["conv_in"]["kernel"] for t in (after.params, after.ema))
    begun = state.params["conv_in"]["kernel"]
    assert 0 < np.abs(kernel - average).max() < np.abs(kernel - begun).max()
    assert int(after.step) == 60 and step._cache_size() == 1


class Stopped(Exception):
    pass


def stop(line):
    raise Stopped(line)


@pytest.mark.slow
def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    """The loss curve after a kill is another one, or the model is; or it is none that DDRM
    takes."""
    for name in ("whole", "killed"):
        if name == "killed":
            with pytest.raises(Stopped):
                fit(tmp_path / name, say=stop)
            assert checkpoints.latest(tmp_path / name / "checkpoints") == 2
        fit(tmp_path / name)
    jax.tree.map(
        np.testing.assert_array_equal,
        weights.load(tmp_path / "whole" / "model")[0],
        weights.load(tmp_path / "killed" / "model")[0],
    )
    rows = [[{**r, "seconds": 0} for r in loop.curve(tmp_path / n)] for n in ("whole", "killed")]
    assert rows[0] == rows[1] and len(rows[0]) == 3
    assert jaxsr.images.read(tmp_path / "whole" / "samples.png").shape == (128, 128, 3)
    record = json.loads((tmp_path / "whole" / "model" / "config.json").read_text())
    assert record["images"] == 24 and record["domain"] == "noise"
    assert diffusion.read(tmp_path / "whole" / "model") == TINY
    stored = weights.load_stored(tmp_path / "whole" / "model")[0]
    assert {leaf.dtype for leaf in jax.tree.leaves(stored)} == {np.dtype("float16")}
    other = diffusion.Model(TINY.net, diffusion.Schedule("cosine", 100))
    with pytest.raises(ValueError, match="holds a run with schedule = "):
        fit(tmp_path / "whole", model=other)


def fit(folder, say=lambda _: None, model=TINY):
    about = {"name": "tiny", "domain": "noise"}
    return diffusion_loop.fit(model, CONFIG, RUN, photos(10), folder, about=about, say=say)


@pytest.mark.slow
def test_a_smoke_run_makes_what_a_smoke_prior_takes(tmp_path):
    """Who tries the commands one after the other is refused by the last: sizes differ."""
    with pytest.warns(RuntimeWarning, match="8 rows for 128 features"):
        ended = commands.call("train_diffusion.py", "--smoke", f"--out={tmp_path}")
    assert ended.status == 0, ended.stderr
    prior, _ = loading.load_prior(str(loading.toy_prior(tmp_path / "toy")))
    assert diffusion.find(prior, str(tmp_path / "model")) == tmp_path / "model"
    assert "for priors of 8 px: --method=ddrm" in ended.stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_samples_are_judged(tmp_path):
    """The distances are of other samples than the grid's, or of none."""
    run = dataclasses.replace(RUN, total_images=8, judged_samples=10)
    publish = diffusion_loop._Publish(TINY, run, photos(10), tmp_path, {})
    state = training.State(jnp.int32(2), jax.random.key(0), {}, fresh(TINY.net), ())
    with pytest.warns(RuntimeWarning, match="10 rows for 128 features"):
        row = publish(state, {"images": 8.0})
    assert np.isfinite([row["frechet"], row["kernel"]]).all() and row["frechet"] > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: training.Config(batch=1), "batch must be at least 2, got 1"),
        (lambda: training.Config(learning_rate=-1.0), "at least 0, got -1"),
        (lambda: training.Config(ema_images=0.0), "ema_images must be above 0"),
        (lambda: diffusion_loop.Run(judged_samples=1), "judged_samples must be 0 or at least 2"),
        (lambda: diffusion_loop.Run(sample_steps=0), "sample_steps must be at least 1"),
        (
            lambda: training.make_step(
                TINY._replace(net=dataclasses.replace(TINY.net, outputs=6)), CONFIG
            ),
            "expected a network of 3 outputs to train, got 6",
        ),
        (lambda: diffusion.Schedule("square"), "schedule must be linear or cosine, got 'square'"),
    ],
)
def test_bad_settings_are_refused(make, words):
    """A run that cannot be begins, and fails after the photos were read."""
    with pytest.raises(ValueError, match=words):
        make()
