"""training/restorer: the objective and its step, exact resumption, and trained weights as a
method."""

import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learners import SHAPE, SIDE, SIZES, X4, bound, fresh, photos, prior_of

import jaxsr
from jaxsr import degradations, learned, metrics, operators, weights
from jaxsr.methods import Learned
from jaxsr.training import checkpoints, loop, restorer, restorer_loop, restorer_losses
from jaxsr.training.restorer_config import Config
from jaxsr.training.restorer_losses import Bound, measure, restored

CONFIG = Config(batch=4, learning_rate=1e-3, warmup_images=0)
PLAIN = dataclasses.replace(CONFIG, perceptual_weight=0.0)  # compiled in half the time


def begun(network="laren", config=CONFIG):
    return restorer.begin(jax.random.key(0), bound(network), prior_of()[1], config)


def test_objective_is_the_papers():
    """A term on another scale, of another pair, or the saturating adversarial loss."""
    this, (prior, given), images = (
        bound("laren"),
        prior_of(),
        jnp.asarray(photos(3), jnp.float32) / 255,
    )
    value, (terms, shown, _) = jax.jit(
        lambda p: restorer_losses.loss(
            jax.random.key(5), this, CONFIG, given, given["discriminator"], p, images
        )
    )(fresh("laren"))
    ys = np.stack([degradations.quantise(X4(image)) for image in images])
    keys = jax.random.split(jax.random.key(5), 3)
    made = jnp.stack(
        [this.model.restore(k, given, fresh("laren"), y)[0] for k, y in zip(keys, ys, strict=True)]
    )
    np.testing.assert_allclose(shown, made, atol=1e-5)
    net, params = metrics.load_features()
    maps = [
        np.stack([np.asarray(net.maps(params, x)[3], np.float64) for x in stack])
        for stack in (made, images)
    ]
    logits = np.asarray(prior.discriminate(given, made)[0], np.float64)
    expected = {
        "mse": np.mean(
            (2 * np.asarray(made, np.float64) - 2 * np.asarray(images, np.float64)) ** 2
        ),
        "perceptual": np.mean((maps[0] - maps[1]) ** 2),
        "adversarial": np.mean(np.log1p(np.exp(-logits))),
    }
    for name, number in expected.items():
        np.testing.assert_allclose(terms[name], number, rtol=1e-4)
    np.testing.assert_allclose(
        value,
        expected["mse"] + 0.01 * expected["perceptual"] + 0.01 * expected["adversarial"],
        rtol=1e-4,
    )


@pytest.mark.slow
def test_literal_objective_is_eq_5_as_printed():
    """`literal` trains by means and the non-saturating term, which the paper does not print."""
    prior, given = prior_of()
    sizes = dataclasses.replace(SIZES, literal=True)
    net = learned.sized("laren", prior, given, X4, sizes)
    this = Bound(learned.bind(net, prior, X4), prior, X4, "features")
    images = jnp.asarray(photos(2), jnp.float32) / 255
    params = jax.jit(this.model.init)(jax.random.key(3), given)
    config = dataclasses.replace(CONFIG, perceptual_weight=0.5, adversarial_weight=0.25)
    value, (terms, made, _) = jax.jit(
        lambda p: restorer_losses.loss(
            jax.random.key(5), this, config, given, given["discriminator"], p, images
        )
    )(params)
    squares = 4 * (np.asarray(made, np.float64) - np.asarray(images, np.float64)) ** 2
    net, params = metrics.load_features()
    maps = [
        np.stack([np.asarray(net.maps(params, x)[3], np.float64) for x in stack])
        for stack in (made, images)
    ]
    real = 1 / (1 + np.exp(-np.asarray(prior.discriminate(given, made)[0], np.float64)))
    expected = {
        "mse": squares.sum((1, 2, 3)).mean(),
        "perceptual": ((maps[0] - maps[1]) ** 2).sum((1, 2, 3)).mean(),
        "adversarial": np.log(1 - real).mean(),
    }
    for name, number in expected.items():
        np.testing.assert_allclose(terms[name], number, rtol=1e-4)
    weighted = expected["mse"] + 0.5 * expected["perceptual"] + 0.25 * expected["adversarial"]
    np.testing.assert_allclose(value, weighted, rtol=1e-4)


@pytest.mark.slow
def test_a_step_follows_its_gradients_and_leaves_the_generator():
    """Adam's first step is the learning rate along the sign of the gradient; the discriminator
    judges the images of the same step."""
    this, (_, given), state, stock = bound("laren"), prior_of(), begun(config=PLAIN), photos(4)
    step = jax.jit(restorer.make_step(this, PLAIN, 24))
    after, log = step(state, given, stock)
    images, key = jnp.asarray(stock, jnp.float32) / 255, jax.random.fold_in(state.key, 0)
    made = restored(key, this, given, state.params, measure(this, images))
    moves = (
        (
            lambda p: restorer_losses.loss(key, this, PLAIN, given, state.discriminator, p, images)[
                0
            ],
            state.params,
            after.params,
            "loss",
        ),
        (
            lambda d: restorer_losses.discriminator_loss(this, PLAIN, d, made, images)[0],
            state.discriminator,
            after.discriminator,
            "loss_discriminator",
        ),
    )
    for objective, before, moved, name in moves:
        value, gradient = jax.jit(jax.value_and_grad(objective))(before)
        np.testing.assert_allclose(log[name], value, rtol=1e-4)
        for g, b, m in zip(*map(jax.tree.leaves, (gradient, before, moved)), strict=True):
            clear = np.abs(g) > 1e-3 * np.abs(g).max()
            assert (np.sign(np.asarray(b - m))[clear] == np.sign(np.asarray(g))[clear]).all()
    assert int(after.step) == 1
    assert jax.tree.structure(after) == jax.tree.structure(state)


@pytest.mark.slow
def test_adversary_joins_after_the_warmup():
    """The network runs after a discriminator before it follows its input at all, or the
    discriminator trains on what it should not see."""
    this, (_, given), stock, state = bound("laren"), prior_of(), photos(4), begun(config=PLAIN)
    warming, whole, alone = (
        jax.jit(restorer.make_step(this, dataclasses.replace(PLAIN, **changed), 24))
        for changed in ({"warmup_images": 4}, {}, {"adversarial_weight": 0.0})
    )
    first, log = warming(state, given, stock)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-6),
        first.params,
        alone(state, given, stock)[0].params,
    )
    jax.tree.map(np.testing.assert_array_equal, first.discriminator, state.discriminator)
    assert float(log["adversarial"]) == float(log["loss_discriminator"]) == 0.0
    (second, log), (expected, told) = warming(first, given, stock), whole(first, given, stock)
    np.testing.assert_allclose(log["loss"], told["loss"], rtol=1e-5)
    moved = [tree.discriminator_opt[0].mu for tree in (second, expected)]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6), *moved)
    assert any(np.abs(m).max() > 0 for m in jax.tree.leaves(moved[0]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"batch": 1}, "batch must be"), ({"adversarial_weight": -1.0}, "at least 0, got -1")],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Config(**settings)


def test_an_adversary_needs_the_priors_discriminator():
    """A checkpoint of a generator alone ends as a KeyError, after minutes."""
    given = {name: tree for name, tree in prior_of()[1].items() if name != "discriminator"}
    with pytest.raises(
        ValueError, match="has no discriminator for the adversarial term: take adversarial_weight 0"
    ):
        restorer.begin(jax.random.key(0), bound("laren"), given, CONFIG)


# A whole run

RUN = loop.Run(total_images=24, tick_images=8)


class Stopped(Exception):
    pass


def stop(line):
    raise Stopped(line)


@pytest.mark.slow
def test_learns_to_restore_flat_photos():
    """End to end: a few hundred steps bring the network's error on photos of one colour each well
    below where it began; without an adversary there is no discriminator, and without a perceptual
    term no network."""
    this, (_, given) = bound("laren"), prior_of()
    given = {name: tree for name, tree in given.items() if name != "perceptual"}
    config = Config(
        batch=8, learning_rate=3e-3, perceptual_weight=0.0, adversarial_weight=0.0, warmup_images=0
    )
    step, state = (
        jax.jit(restorer.make_step(this, config, 2_400), donate_argnums=0),
        begun(config=config),
    )
    flat = np.random.default_rng(0).integers(64, 192, (8, 1, 1, 3), np.uint8) * np.ones(
        SHAPE, np.uint8
    )
    errors, log = [], {}
    for _ in range(300):
        state, log = step(state, given, flat)
        errors.append(float(log["mse"]))
    assert state.discriminator == {} and float(log["adversarial"]) == 0.0
    assert np.mean(errors[-20:]) < 0.3 * np.mean(errors[:5])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("run")
    sets = photos(10), photos(3, seed=1)
    restorer_loop.fit(
        bound("laren"),
        PLAIN,
        RUN,
        prior_of()[1],
        sets,
        folder,
        about={"name": "tiny laren"},
        say=lambda _: None,
    )
    return folder


@pytest.mark.slow
def test_resumed_run_equals_an_uninterrupted_one(trained, tmp_path):
    """The loss curve after a kill is another one, or the model is."""
    sets, about = (photos(10), photos(3, seed=1)), {"name": "tiny laren"}
    with pytest.raises(Stopped):
        restorer_loop.fit(
            bound("laren"), PLAIN, RUN, prior_of()[1], sets, tmp_path, about=about, say=stop
        )
    assert checkpoints.latest(tmp_path / "checkpoints") == 2
    restorer_loop.fit(
        bound("laren"), PLAIN, RUN, prior_of()[1], sets, tmp_path, about=about, say=lambda _: None
    )
    jax.tree.map(
        np.testing.assert_array_equal,
        weights.load(tmp_path / "model")[0],
        weights.load(trained / "model")[0],
    )
    rows = [[{**row, "seconds": 0} for row in loop.curve(folder)] for folder in (tmp_path, trained)]
    assert rows[0] == rows[1] and len(rows[0]) == 3
    assert jaxsr.images.read(tmp_path / "samples.png").shape == (3 * SIDE, 3 * SIDE, 3)


@pytest.mark.slow
def test_a_run_for_another_operator_is_refused(trained):
    """A run must not go on around another generator, or for photos of another kind."""
    other = bound("laren", operators.downsample(4, image_shape=SHAPE, kernel="box"))
    with pytest.raises(ValueError, match="holds a run with operator = "):
        restorer_loop.fit(
            other, PLAIN, RUN, prior_of()[1], (photos(10), photos(3, seed=1)), trained, about={}
        )


@pytest.mark.slow
def test_a_model_is_a_method(trained):
    """What `restore` gives is not what was trained: other weights, another input, or other scores
    than the card tells."""
    prior, given = prior_of()
    config = Learned(model=str(trained / "model"))
    params = given | learned.load("laren", prior, given, X4, config.model)
    held = photos(3, seed=1)
    ys = np.asarray(measure(bound("laren"), jnp.asarray(held, jnp.float32) / 255))
    result = jaxsr.restore(jaxsr.methods.laren(prior, X4, config), params, ys, progress=False)
    assert result.image.shape == (3, *SHAPE) and result.trace["l2"].shape == (3, 1)
    np.testing.assert_allclose(result.trace["l2"][:, 0], result.residual, rtol=1e-5)
    card = json.loads((trained / "model" / "config.json").read_text())
    psnr = np.mean(
        [
            metrics.psnr(np.clip(x, 0, 1), ref / np.float32(255))
            for x, ref in zip(result.image, held, strict=True)
        ]
    )
    assert card["validation"]["psnr"] == pytest.approx(psnr, abs=1e-3)
    assert card["images"] == 24
    with pytest.raises(
        ValueError, match="method laren needs a trained model: params has no 'learned'"
    ):
        jaxsr.methods.laren(prior, X4, config)(jax.random.key(0), given, ys[0])


def other_generator():
    params = dict(prior_of()[1])
    return params | {"synthesis": jax.tree.map(lambda x: x + 1, params["synthesis"])}


def other_statistics():
    params = dict(prior_of()[1])
    return params | {
        "statistics": params["statistics"] | {"w_mean": params["statistics"]["w_mean"] + 1}
    }


def of_old_equations(folder):
    """A model as it was written before its relations changed: without a version."""
    old = folder.parent / "old"
    shutil.copytree(folder, old, dirs_exist_ok=True)
    record = json.loads((folder / "config.json").read_text())
    del record["version"]
    (old / "config.json").write_text(json.dumps(record))
    return old


X2 = operators.downsample(2, image_shape=SHAPE)
NAMESAKE = operators.downsample(4, image_shape=SHAPE, kernel="box")._replace(name=X4.name)
REFUSED = {
    "operator": (
        lambda folder: learned.load("laren", *prior_of(), X2, str(folder)),
        "expected a model with operator 'downsample 2",
    ),
    "architecture": (
        lambda folder: learned.load("glean", *prior_of(), X4, str(folder)),
        "architecture 'glean', got 'laren'",
    ),
    "generator": (
        lambda folder: learned.load("laren", prior_of()[0], other_generator(), X4, str(folder)),
        "other weights of prior 'tiny'",
    ),
    "statistics": (
        lambda folder: learned.load("laren", prior_of()[0], other_statistics(), X4, str(folder)),
        "other weights of prior 'tiny'",
    ),
    "namesake": (
        lambda folder: learned.load("laren", *prior_of(), NAMESAKE, str(folder)),
        "another operator of the name 'downsample 4",
    ),
    "old equations": (
        lambda folder: learned.load("laren", *prior_of(), X4, str(of_old_equations(folder))),
        "expected a model of version 2 of laren's equations, got one of version 1: train it again",
    ),
    "none bundled": (
        lambda folder: learned.load("laren", *prior_of(), X4),
        "give its folder as the model, from experiments/train_restorer.py or ports/convert.py",
    ),
    "no folder": (
        lambda folder: learned.load("laren", *prior_of(), X4, "nowhere"),
        "nowhere: expected a folder of weights",
    ),
    "literal": (
        lambda folder: learned.sized(
            "glean", *prior_of(), X4, dataclasses.replace(SIZES, literal=True)
        ),
        "literal is of gdm and laren alone, not of glean",
    ),
    "network": (
        lambda folder: learned.sized("larn", *prior_of(), X4),
        "unknown network 'larn': expected one of base",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.slow
def test_a_model_of_something_else_is_refused(name, trained):
    """A network would restore photos of another factor, or around another generator, to rubbish."""
    call, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        call(trained / "model")
    assert "\n" not in str(caught.value)
