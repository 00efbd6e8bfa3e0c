"""training/restorer: terms of the objective that LAREN's has not, and rates, around a network and a
discriminator of a few numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learners import SHAPE, X4, photos, prior_of

from jaxsr.learned import Model
from jaxsr.training import restorer, restorer_losses
from jaxsr.training.restorer_config import Config
from jaxsr.training.restorer_discriminators import DISCRIMINATORS, Discriminator
from jaxsr.training.restorer_losses import Bound

PLAIN = {"batch": 4, "perceptual_weight": 0.0, "warmup_images": 0, "learning_rate": 0.01}
BESIDE = {"adversarial": "relativistic", "adversarial_weight": 0.5}
WEIGHTS = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)


@pytest.fixture
def this(monkeypatch):
    """A network of two numbers, and a discriminator that is linear."""

    def restore(key, prior_params, params, y):
        image = jax.image.resize(y, SHAPE, "nearest")
        return params["encoder"]["scale"] * image + params["generator"]["shift"], {}

    def init(key, prior_params):
        return {"encoder": {"scale": jnp.float32(0.5)}, "generator": {"shift": jnp.float32(0.1)}}

    linear = Discriminator(
        lambda key, prior, config, params: {"w": jnp.asarray(WEIGHTS)},
        lambda prior, config, params, x: (jnp.einsum("nhwc,hwc->n", x, params["w"]), [x]),
    )
    monkeypatch.setitem(DISCRIMINATORS, "prior", linear)
    return Bound(Model("laren", None, init, restore), prior_of()[0], X4, "features")


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def test_relativistic_terms_are_esrgans(this):
    """Each logit is compared with its own kind's mean, or the two roles are exchanged."""
    config = Config(**PLAIN, **BESIDE, pixel_fit="l1", pixel_weight=0.3)
    given, images = prior_of()[1], np.asarray(photos(4), np.float32) / 255
    state = restorer.begin(jax.random.key(0), this, given, config)
    key, judged = jax.random.key(1), state.discriminator
    value, (terms, made, _) = restorer_losses.loss(
        key, this, config, given, judged, state.params, images
    )
    fake, real = (np.einsum("nhwc,hwc->n", np.float64(x), WEIGHTS) for x in (made, images))
    real_over, fake_over = sigmoid(real - fake.mean()), sigmoid(fake - real.mean())
    expected = -(np.log(1 - real_over).mean() + np.log(fake_over).mean()) / 2
    np.testing.assert_allclose(terms["adversarial"], expected, rtol=1e-4)
    l1 = np.abs(2 * (np.float64(made) - images)).mean()
    np.testing.assert_allclose(value, 0.3 * l1 + 0.5 * expected, rtol=1e-4)
    loss, sign = restorer_losses.discriminator_loss(this, config, judged, made, images)
    expected = -(np.log(real_over).mean() + np.log(1 - fake_over).mean()) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(sign, np.sign(real - fake.mean()).mean())


RATES = {"constant": {0: 1, 8: 1}, "cosine": {0: 1, 4: 0.5005, 8: 0.001, 20: 0.001}}


@pytest.mark.parametrize("schedule", RATES)
def test_parts_train_at_their_rates(this, schedule):
    """A generator of a network's own is unlearned at the encoder's rate, or a rate does not
    fall."""
    config = Config(
        **PLAIN, **BESIDE, schedule=schedule, generator_rate=0.1, discriminator_rate=0.01
    )
    given = prior_of()[1]
    state = restorer.begin(jax.random.key(0), this, given, config)
    step = jax.jit(restorer.make_step(this, config, 32))
    for done, rate in RATES[schedule].items():
        after, _ = step(state._replace(step=jnp.int32(done)), given, photos(4))
        # Adam's first step is the rate, whatever the gradient.
        for part, name, share in (("encoder", "scale", 1), ("generator", "shift", 0.1)):
            moved = np.abs(after.params[part][name] - state.params[part][name])
            np.testing.assert_allclose(moved, 0.01 * rate * share, rtol=1e-2)
        moved = np.abs(after.discriminator["w"] - state.discriminator["w"]).max()
        np.testing.assert_allclose(moved, 0.01 * rate * 0.01, rtol=1e-2, atol=2e-7)


def test_r1_is_the_squared_gradient_and_comes_lazily(this):
    """The penalty is of pictures in another range, comes every step, or moves nothing."""
    config = Config(**PLAIN, r1_weight=1e6, r1_every=2)
    given = prior_of()[1]
    state = restorer.begin(jax.random.key(0), this, given, config)
    step = jax.jit(restorer.make_step(this, config, 32))
    after, log = step(state, given, photos(4))
    np.testing.assert_allclose(log["r1"], np.sum(WEIGHTS**2) / 4, rtol=1e-5)
    moved = np.asarray(after.discriminator["w"] - WEIGHTS)
    clear = np.abs(WEIGHTS) > 1e-3
    assert (np.sign(moved) == -np.sign(WEIGHTS))[clear].all()  # towards no gradient
    assert np.isnan(step(after, given, photos(4))[1]["r1"])


def test_training_goes_on_from_a_model(this):
    """The second stage of ESRGAN begins from random weights, which shows after an hour."""
    start = {"encoder": {"scale": jnp.float32(3)}, "generator": {"shift": jnp.float32(2)}}
    state = restorer.begin(
        jax.random.key(0), this, prior_of()[1] | {"learned": start}, Config(**PLAIN)
    )
    for tree in (state.params, state.ema):
        jax.tree.map(np.testing.assert_array_equal, tree, start)
