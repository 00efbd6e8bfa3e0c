"""training/gan_loop: the loop's promise to resume exactly, and to refuse what it cannot do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gan_cases import CONFIG, PLAIN, TINY, photos, randomised

from jaxsr import images, metrics, weights
from jaxsr.loading import load_prior
from jaxsr.records import files
from jaxsr.training import checkpoints, gan, gan_loop, loop

RUN = gan_loop.Run(total_images=24, tick_images=8, frechet_samples=0, symmetry="dihedral")
ABOUT = {"name": "test", "domain": "noise", "licence": "none"}


class Killed(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("config", [PLAIN, CONFIG], ids=["plain", "with lazy terms"])
def test_resumed_run_equals_an_uninterrupted_one(config, tmp_path):
    """Stopped after the first checkpoint and started again: state, prior and curve must end bit for
    bit the same."""

    def stop(line):
        raise Killed(line)

    stock = photos(TINY, 10)
    gan_loop.fit(TINY, config, RUN, stock, tmp_path / "whole", about=ABOUT, say=lambda _: None)
    with pytest.raises(Killed):
        gan_loop.fit(
            TINY, config, RUN, stock, tmp_path / "parts", about=ABOUT | {"images": 1_000}, say=stop
        )
    assert checkpoints.latest(tmp_path / "parts" / "checkpoints") == 2
    folder = gan_loop.fit(
        TINY,
        config,
        RUN,
        stock,
        tmp_path / "parts",
        about=ABOUT | {"images": 1_000},
        say=lambda _: None,
    )
    whole, parts = (weights.load(tmp_path / name / "prior")[0] for name in ("whole", "parts"))
    jax.tree.map(np.testing.assert_array_equal, parts, whole)
    assert len((tmp_path / "parts" / "curve.csv").read_text().splitlines()) == 4
    prior, params = load_prior(folder)
    state = checkpoints.restore(
        tmp_path / "parts" / "checkpoints", gan.begin(jax.random.key(0), TINY, config)
    )[0]
    trained = {name: params[name] for name in state.ema}
    # Exported as it was trained.
    jax.tree.map(np.testing.assert_array_equal, trained, jax.tree.map(np.asarray, state.ema))
    weights.save(tmp_path / "again", params, weights.read_config(folder))
    jax.tree.map(np.testing.assert_array_equal, load_prior(tmp_path / "again")[1], params)
    assert weights.read_config(folder)["images"] == 1_000 + 24
    assert images.read(folder.parent / "samples.png").shape == (32, 32, 3)
    assert np.isfinite(jax.jit(prior.decode)(params, jnp.ones(4))).all()


def test_a_kill_between_checkpoint_and_prior_loses_neither(tmp_path, monkeypatch):
    """The last tick's checkpoint is there, its prior and its row are not: the next start must write
    them though no step is left."""
    run, stock = gan_loop.Run(total_images=8, tick_images=4, frechet_samples=0), photos(TINY, 10)
    gan_loop.fit(TINY, PLAIN, run, stock, tmp_path / "whole", about=ABOUT, say=lambda _: None)
    publish, calls = gan_loop._publish, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return publish(*arguments)

    monkeypatch.setattr(gan_loop, "_publish", killed)
    with pytest.raises(Killed):
        gan_loop.fit(
            TINY,
            PLAIN,
            run,
            stock,
            tmp_path / "parts",
            about=ABOUT | {"images": 1_000},
            say=lambda _: None,
        )
    folder = gan_loop.fit(
        TINY,
        PLAIN,
        run,
        stock,
        tmp_path / "parts",
        about=ABOUT | {"images": 1_000},
        say=lambda _: None,
    )
    jax.tree.map(
        np.testing.assert_array_equal,
        weights.load(folder)[0],
        weights.load(tmp_path / "whole" / "prior")[0],
    )
    assert [
        line.partition(",")[0]
        for line in (tmp_path / "parts" / "curve.csv").read_text().splitlines()
    ] == ["images", "4", "8"]


def test_the_curve_tells_both_distances(tmp_path):
    """A column is of other samples or photos than it says, or empty."""
    run = gan_loop.Run(total_images=4, frechet_samples=8, symmetry="none")
    stock = photos(TINY, 10)
    with pytest.warns(RuntimeWarning, match="covariance is singular"):
        folder = gan_loop.fit(TINY, PLAIN, run, stock, tmp_path, about=ABOUT, say=lambda _: None)
    prior, params = load_prior(folder)
    net, reading = metrics.load_features()
    vectors = jax.jit(jax.vmap(net.vector, (None, 0)))
    z = jax.random.normal(jax.random.split(jax.random.key(1), 1)[0], (64, TINY.z_dim))[:8]
    drawn = jnp.clip(jax.vmap(prior.decode, (None, 0))(params, z), 0, 1)
    chosen = np.sort(np.random.default_rng(0).permutation(10)[:8])
    f, g = vectors(reading, jnp.asarray(stock[chosen]) / 255), vectors(reading, drawn)
    (row,) = loop.curve(tmp_path)
    with pytest.warns(RuntimeWarning, match="covariance is singular"):
        expected = {"frechet": metrics.frechet_distance(f, g)}
    expected["kernel"] = metrics.kernel_distance(f, g)
    for name, value in expected.items():
        assert float(row[name]) == pytest.approx(value, rel=1e-3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that is done."""
    folder = tmp_path_factory.mktemp("run")
    run = gan_loop.Run(total_images=4, frechet_samples=0)
    gan_loop.fit(TINY, PLAIN, run, photos(TINY), folder, about=ABOUT, say=lambda _: None)
    return folder


@pytest.mark.parametrize(
    ("seed", "stock", "warm", "words"),
    [
        (1, 1, False, "seed = 0, got 1"),
        (0, 2, False, "photos = "),
        (0, 1, True, "warm = None, got "),
    ],
    ids=["seed", "photos", "warm"],
)
def test_another_run_in_the_same_folder_is_refused(seed, stock, warm, words, finished):
    """A run must not go on with other settings, other photos or from another prior: its curve and
    card would be false."""
    run = gan_loop.Run(total_images=8, seed=seed, frechet_samples=0)
    start = randomised(TINY) if warm else None
    with pytest.raises(ValueError, match=f"holds a run with {words}"):
        gan_loop.fit(TINY, PLAIN, run, photos(TINY, seed=stock), finished, about=ABOUT, warm=start)


def test_two_processes_in_one_folder_are_refused(tmp_path):
    """Two trainings would delete each other's checkpoints."""
    with (
        files.only_here(tmp_path),
        pytest.raises(ValueError, match="another process is writing there"),
    ):
        gan_loop.fit(TINY, PLAIN, RUN, photos(TINY), tmp_path, about=ABOUT)


def test_diverged_weights_stop_with_the_last_good_checkpoint_kept(tmp_path):
    config = dataclasses.replace(PLAIN, learning_rate=1e37)
    run = gan_loop.Run(total_images=400, tick_images=4, frechet_samples=0)
    with pytest.raises(
        ValueError, match=r"no longer finite at step \d+ \(photos \d.* last good checkpoint is kept"
    ):
        gan_loop.fit(TINY, config, run, photos(TINY), tmp_path, about=ABOUT, say=lambda _: None)
    step = checkpoints.latest(tmp_path / "checkpoints")
    if step is not None:
        state, _ = checkpoints.restore(
            tmp_path / "checkpoints", gan.begin(jax.random.key(0), TINY, config)
        )
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))


@pytest.mark.parametrize(
    "settings",
    [{"symmetry": "flips"}, {"total_images": 0}, {"tick_images": 0}, {"frechet_samples": 1}],
)
def test_an_impossible_run_is_refused_before_anything_is_trained(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        gan_loop.Run(**settings)
