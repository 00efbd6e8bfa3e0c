"""DDRM and DDNM as methods: laws over the rows of method_cases, and models on disk."""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from diffusers import TINY, fresh
from method_cases import DIFFUSION
from restoration import levels
from restoration.jobs import Job
from restoration.options import Settings
from restoration.photos import Photo
from restoration.plan import Method

import jaxsr
from jaxsr import diffusion, operators
from jaxsr.methods import METHODS
from jaxsr.methods.setups import Setup, make_config, make_solve, values_of

PHOTOS = 3
ABOUT = (Path(__file__).parents[1] / "experiments" / "train_diffusion.py").read_text()
each = pytest.mark.parametrize("name", DIFFUSION, scope="session")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model of the toy prior's size."""
    path = tmp_path_factory.mktemp("diffusion") / "model"
    diffusion.save(path, TINY, fresh(TINY.net), {"name": "tiny", "domain": "random patterns"})
    return str(path)


def ys(key=0):
    images = jax.random.uniform(jax.random.key(key), (PHOTOS, 16, 16, 3))
    return jax.vmap(toy.operator())(images)


def solve_of(name, folder, config=None):
    config = dataclasses.replace(config or DIFFUSION[name].config, model=folder)
    return METHODS[name].make(toy.prior(), toy.operator(), config)


@functools.cache
def traced(name, folder):
    """The method over photos, and a list that grows with every compilation."""
    solve, traces = solve_of(name, folder), []

    def counted(key, params, y):
        traces.append(name)
        return solve(key, params, y)

    return jax.jit(jax.vmap(counted, (0, None, 0))), traces


@each
def test_any_number_of_photos_in_one_compilation(name, folder):
    """Parameters are baked into the program, a photo's result depends on its neighbours or cannot
    be repeated, or several results for one photo are one."""
    run, traces = traced(name, folder)
    keys = jax.random.split(jax.random.key(1), PHOTOS)
    params = [{"diffusion": fresh(TINY.net, seed)} for seed in (0, 1)]
    first, other = (run(keys, each, ys()) for each in params)
    assert len(traces) == 1
    assert np.abs(first.image - other.image).max() > 1e-2
    jax.tree.map(np.testing.assert_array_equal, run(keys, params[0], ys()), first)
    mixed = run(keys, params[0], jnp.roll(ys(), 1, 0).at[1].set(ys()[1]))
    np.testing.assert_allclose(mixed.image[1], first.image[1], atol=1e-4)
    drawn = run(jax.random.split(jax.random.key(2), PHOTOS), params[0], ys())
    assert (np.abs(drawn.image - first.image).max((1, 2, 3)) > 1e-2).all()


@each
def test_result_keeps_the_contract(name, folder):
    """A field has another shape or meaning than types.Result says, or the residual is that of
    another picture than the one that is written, which ends at black and white."""
    keys = jax.random.split(jax.random.key(1), PHOTOS)
    result = traced(name, folder)[0](keys, {"diffusion": fresh(TINY.net)}, ys())
    assert result.image.shape == (PHOTOS, 16, 16, 3) and result.latent == {}
    assert result.trace["l2"].shape == (PHOTOS, 1)
    made = jax.vmap(toy.operator())(result.image)
    np.testing.assert_allclose(result.residual, jnp.mean((made - ys()) ** 2, (1, 2, 3)), rtol=1e-3)
    assert result.image.min() == 0 and result.image.max() == 1
    assert (result.feasible == (result.residual <= 2e-3)).all()


def known(monkeypatch, mean, variance):
    """In place of the network, what knows that images on [-1, 1] are normal: a mean and a
    variance."""
    kept = jnp.asarray(diffusion.alpha_bar(TINY.schedule), jnp.float32)

    def noise(image, step):
        signal, spread = jnp.sqrt(kept[step]) * mean, jnp.sqrt(1 - kept[step])
        return spread * (image - signal) / (kept[step] * variance + 1 - kept[step])

    monkeypatch.setattr(diffusion, "denoiser", lambda model, params: noise)


@each
def test_what_the_network_knows_is_what_comes_out(name, folder, monkeypatch):
    """The photo is brought to another range than the network's, or the image from it."""
    x = np.random.default_rng(3).uniform(0.05, 0.95, (16, 16, 3)).astype(np.float32)
    known(monkeypatch, 2 * x - 1, 0.0)
    solve, y = solve_of(name, folder), toy.operator()(jnp.asarray(x))
    result = jax.jit(solve)(jax.random.key(0), {"diffusion": {}}, y)
    np.testing.assert_allclose(result.image, x, atol=2e-3)
    assert result.residual < 1e-6


@each
def test_noise_that_photos_show_is_that_of_the_setting(name, folder):
    """What the command reads of photos does not reach the sampler, or another noise compiles the
    network again."""
    noisy, traces = solve_of(name, folder, DIFFUSION[name].noisy), []
    params, key = {"diffusion": fresh(TINY.net)}, jax.random.key(1)
    expected = jax.jit(lambda p: noisy(key, p, ys()[0]).image)(params)
    plain = solve_of(name, folder)

    @jax.jit
    def told(noise):
        traces.append(noise)
        return plain(key, params | {"photo_noise": noise}, ys()[0]).image

    np.testing.assert_allclose(told(np.float32(0.1)), expected, atol=1e-4)
    assert np.abs(told(np.float32(0.3)) - expected).max() > 1e-2 and len(traces) == 1


def test_photos_of_one_noise_go_together():
    """A sampler is told another photo's noise, or one that is not to be reckoned with."""
    noises = [0.0, 0.27 / 255, 0.29 / 255, 10 / 255, 11 / 255, 20 / 255]
    photos = [Photo(f"{n}", False, 4, "", "", n, (), lambda: None) for n in noises]
    found = [Job(photo, photo.file, 0) for photo in photos]
    method = Method("ddrm", "", None, {"diffusion": 1}, {})

    def groups(method=method, **settings):
        for same, at in levels.at_levels(found, method, Settings(method="ddrm", **settings)):
            yield [job.photo.noise for job in same], at.params.get("photo_noise", 0.0)

    told = list(groups())
    assert [noise for same, _ in told for noise in same] == noises
    assert [len(same) for same, _ in told] == [1, 2, 2, 1]
    for same, noise in told:
        np.testing.assert_allclose(same, noise, rtol=2**0.25 - 1 + 1e-6)
    for settings in ({"noise": 0.1}, {"consistency": "exact"}):
        assert list(groups(**settings)) == [(noises, 0.0)]
    assert list(groups(method._replace(name="pulse"))) == [(noises, 0.0)]


@each
def test_noise_of_the_photo_is_told(name, folder, monkeypatch):
    """The setting is not read, or not doubled with the range: with much noise the photo would be
    followed as closely as without."""
    known(monkeypatch, 0.0, 0.04)
    keys, params = jax.random.split(jax.random.key(1), PHOTOS), {"diffusion": {}}

    def residual(config):
        solve = solve_of(name, folder, config)
        return jax.jit(jax.vmap(lambda key, y: solve(key, params, y).residual))(keys, ys())

    close, noisy = residual(DIFFUSION[name].config), residual(DIFFUSION[name].noisy)
    assert np.isfinite(noisy).all() and (noisy > close + 5e-4).all()


@each
def test_bad_input_is_one_line(name, folder, tmp_path):
    """A model of another size, a setting or a photo that cannot be ends deep inside the network."""
    make = METHODS[name].make
    prior, operator, config = toy.prior(), toy.operator(), METHODS[name].Config
    other = diffusion.Model(dataclasses.replace(TINY.net, resolution=32), TINY.schedule)
    diffusion.save(tmp_path / "other", other, fresh(TINY.net), {})
    diffusion.save(tmp_path / "wrong", TINY, {"x": np.zeros(2, np.float32)}, {})
    wide = operators.downsample(4, image_shape=(32, 32, 3))
    solve = solve_of(name, folder)
    calls = {
        "no diffusion model comes with the package for 'random patterns' at 16 px: train one with "
        "experiments/train_diffusion.py": lambda: make(prior, operator),
        "expected a diffusion model of 16 px, as prior 'toy', got one of 32 px": lambda: make(
            prior, operator, config(model=str(tmp_path / "other"))
        ),
        "the arrays do not fit the network": lambda: diffusion.load(prior, str(tmp_path / "wrong")),
        "expected a folder of weights": lambda: make(prior, operator, config(model="nowhere")),
        "eta must be at most 1, got 1.5": lambda: make(
            prior, operator, config(model=folder, eta=1.5)
        ),
        "expected from 1 to 100 steps, got 101": lambda: make(
            prior, operator, config(model=folder, steps=101)
        ),
        "takes images": lambda: make(prior, wide, config(model=folder)),
        f"method {name} needs a diffusion model: params has no 'diffusion'": lambda: solve(
            jax.random.key(0), {}, ys()[0]
        ),
        "y has shape": lambda: solve(jax.random.key(0), {}, jnp.zeros(3)),
        rf"expected {config.__name__}\(\), got PULSE": lambda: make(
            prior, operator, jaxsr.methods.PULSE()
        ),
    }
    for words, call in calls.items():
        with pytest.raises(ValueError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_folder_of_another_network_is_refused():
    """A LAREN's folder is loaded as a diffusion model."""
    with pytest.raises(ValueError, match="expected a diffusion model's of version 1, got arch"):
        diffusion.find(toy.prior(), str(jaxsr.learned.MODELS / "pbc64_laren_x8"))


@each
def test_commands_find_the_model(name, folder):
    """super_resolve.py and evaluate.py start the method without its network, take settings for the
    same whose model differs, or --smoke runs all steps."""
    setup = Setup(name, smoke=True, settings={"model": folder})
    solve, params = make_solve(toy.prior(), {}, toy.operator(), setup)
    jax.tree.map(np.testing.assert_array_equal, params["diffusion"], fresh(TINY.net))
    values = values_of(setup, toy.prior(), toy.operator())
    assert len(values["model_sha256"]) == 16 and values["steps"] == 4
    assert solve.operator.name == toy.operator().name


def test_bundled_model_is_that_of_the_domain(folder, monkeypatch, tmp_path):
    """A prior of faces finds the model of blood cells."""
    diffusion.save(tmp_path / "cells", TINY, fresh(TINY.net), {"domain": "random patterns"})
    monkeypatch.setattr("jaxsr.diffusion.models.MODELS", tmp_path)
    assert diffusion.find(toy.prior()) == tmp_path / "cells"
    info = toy.prior().info._replace(domain="faces")
    with pytest.raises(ValueError, match="no diffusion model comes with the package for 'faces'"):
        diffusion.find(toy.prior()._replace(info=info))


def test_a_model_of_the_bundled_priors_size_and_domain_is_found(monkeypatch, tmp_path):
    """What train_diffusion.py makes as its --help says for the bundled prior serves no method, or
    only where its folder is named."""
    prior, params = jaxsr.load_prior("pbc64")
    net = dataclasses.replace(TINY.net, resolution=prior.info.resolution)
    model = diffusion.Model(net, TINY.schedule)
    diffusion.save(tmp_path / "mine", model, fresh(net), {"domain": prior.info.domain})
    side = prior.info.resolution
    x8 = operators.downsample(8, image_shape=(side, side, 3))
    named = Setup("ddrm", smoke=True, settings={"model": str(tmp_path / "mine")})
    assert "diffusion" in make_solve(prior, params, x8, named)[1]
    with pytest.raises(ValueError, match="no diffusion model comes with the package"):
        make_solve(prior, params, x8, Setup("ddrm"))
    monkeypatch.setattr("jaxsr.diffusion.models.MODELS", tmp_path)
    solve, joined = make_solve(prior, params, x8, Setup("ddrm", smoke=True))
    jax.tree.map(np.testing.assert_array_equal, joined["diffusion"], fresh(net))
    assert solve.operator is x8
    example = next(line for line in ABOUT.splitlines() if "--domain=" in line)
    assert f'--domain="{prior.info.domain}"' in example


@each
def test_noise_that_a_command_is_given_reaches_the_method(name):
    """--noise moves results at the end alone; or it changes methods whose `noise` is another
    thing."""
    noises = {
        method: make_config(Setup(method, noise=0.1), toy.operator()).noise
        for method in (name, "pulse")
    }
    assert noises == {name: 0.1, "pulse": make_config(Setup("pulse"), toy.operator()).noise}


@pytest.mark.parametrize("steps", [20, 300, 1000])
def test_a_chain_spans_the_schedule(steps):
    """A number of steps that does not divide the schedule begins within it, where images still
    show through."""
    visited = diffusion.chain(diffusion.Schedule(), steps).steps
    assert (
        visited[-1] == 0 and visited[0] >= 1000 - -(-1000 // steps) and (np.diff(visited) < 0).all()
    )
