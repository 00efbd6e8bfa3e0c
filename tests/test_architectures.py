"""What every architecture with a port promises, asked of each row of architectures.ROWS: a file in
any format becomes a prior that draws what the file's own code drew, and a prior is a prior."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import FORMATS, ROWS, begun, compiled, fresh, loaded, traced
from ports_files import write

from jaxsr import load_prior, weights
from jaxsr.nets import ARCHITECTURES
from ports import formats, priors, torch_files


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    """100,000 draws of z are not what these tests are about."""
    names = ("w_mean", "w_std", "white_mean", "white_std")
    monkeypatch.setattr(
        priors, "_measure", lambda _, w_dim, mapping: dict.fromkeys(names, np.ones(w_dim, "f4"))
    )


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def chw(images):
    """HWC in [0, 1] -> CHW in [-1, 1]."""
    return np.moveaxis(2 * np.asarray(images, np.float64) - 1, -1, -3)


def photos(count, side):
    """Images that differ, so that samples of a batch are not exchangeable."""
    colours = np.random.default_rng(4).uniform(size=(count, 1, 1, 3))
    return (colours + 0.3 * normal(5, count, side, side, 3)).astype(np.float32)


def test_every_architecture_has_a_row_and_a_port():
    """An architecture that no test asks would be wrong unnoticed."""
    for name in ARCHITECTURES:
        assert name in ROWS, f"{name} has no row in tests/architectures.py"
        assert name in formats.PORTS, f"{name} has no port in ports/formats.py"
    assert set(ROWS) <= set(ARCHITECTURES)


@pytest.mark.parametrize(("architecture", "name"), FORMATS)
def test_a_file_draws_what_its_own_code_draws(architecture, name):
    """Breaks when a kernel's layout, an eps, a gain, the order of layers, of styles or of noise
    maps is not the file's."""
    it = loaded(architecture, name)
    if it.written.map is None:
        z = normal(0, it.prior.info.z_dim)
        check_image(compiled(it, "decode")(it.params, z), it.written.image(np.float64(z), ()))
        return
    w_plus = normal(1, it.prior.info.num_layers, it.prior.info.w_dim)
    for kind in ("const", "none"):
        noise = it.prior.noise(kind, it.params)
        if kind == "const" and it.written.noise is not None:
            jax.tree.map(np.testing.assert_array_equal, list(noise), list(it.written.noise))
        expected = it.written.image(np.float64(w_plus), double(noise))
        check_image(compiled(it, "synthesize")(it.params, w_plus, noise), expected)


def double(arrays):
    return [np.asarray(x, np.float64) for x in arrays]


def check_image(got, expected):
    assert 0.05 < np.abs(expected).mean() < 10  # neither flat nor run away
    np.testing.assert_allclose(chw(got), expected, rtol=3e-5, atol=1e-4)


@pytest.mark.parametrize(("architecture", "name"), FORMATS)
def test_a_file_maps_as_its_own_code_does(architecture, name):
    """Breaks when the mapping's learning rate, its biases or an eps is another: a tiny z shows
    it."""
    it = loaded(architecture, name)
    assert (it.written.map is None) is (it.prior.map is None)
    for scale in (1.0, 1e-4) if it.written.map else ():
        z = np.float32(scale) * normal(2, it.prior.info.z_dim)
        w = compiled(it, "map")(it.params, z)
        np.testing.assert_allclose(w, it.written.map(np.float64(z)), atol=1e-4)


@pytest.mark.parametrize(("architecture", "name"), FORMATS)
def test_a_file_scores_as_its_own_code_does(architecture, name):
    """Breaks when a strided convolution, a blur, the groups of the minibatch statistic or the order
    of the last rows is not the file's; a generator alone must say so."""
    it = loaded(architecture, name)
    if it.written.logits is None:
        with pytest.raises(ValueError, match="no discriminator"):
            it.prior.discriminate(it.params, np.zeros((1, 16, 16, 3), np.float32))
        return
    # Two groups, where the network has any.
    images = photos(2 * it.config["net"].get("mbstd_group", 1), it.prior.info.resolution)
    logits, features = compiled(it, "discriminate")(it.params, images)
    expected, expected_features = it.written.logits(chw(images))
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert np.std(expected) > 0.01
    for got, slow in zip(features, expected_features, strict=True):
        np.testing.assert_allclose(np.moveaxis(got, -1, 1), slow, atol=1e-4)


@pytest.mark.parametrize(("architecture", "name"), FORMATS)
def test_config_says_what_was_converted(architecture, name):
    """Breaks when the licence, the origin or what is missing is lost on the way to config.json."""
    it = loaded(architecture, name)
    assert it.config["architecture"] == architecture
    assert it.config["licence"] and it.config["source_format"] and it.prior.info.licence
    files = len(it.written.contents)
    assert it.config["source"].split(", ") == [f"{i}.bin" for i in range(files)]
    assert [len(digest) for digest in it.config["source_sha256"].split(", ")] == [64] * files
    assert it.config.get("discriminator", True) is (it.written.logits is not None)


@pytest.mark.parametrize(("architecture", "name"), FORMATS)
def test_one_port_alone_takes_a_file(architecture, name, tmp_path, monkeypatch):
    """The order of PORTS would decide; or source that a file carries was executed."""
    monkeypatch.chdir(tmp_path)  # embedded source would write a file here if it ran
    paths = write(tmp_path, ROWS[architecture].formats[name]().contents)
    contents = [torch_files.read(path)[0] for path in paths]
    takers = [name for name, port in formats.PORTS.items() if port.find(contents) is not None]
    assert takers == [architecture]
    assert sorted(tmp_path.iterdir()) == paths


@pytest.mark.parametrize("architecture", ROWS)
def test_fresh_parameters_are_a_prior(architecture, tmp_path):
    """Breaks when init draws another spread, or shapes that load_prior does not take: training
    could not start or be resumed."""
    net = vars(ROWS[architecture].config)
    weights.save(
        tmp_path / "prior",
        begun(architecture),
        {"architecture": architecture, "name": architecture, "net": net},
    )
    prior, params = load_prior(tmp_path / "prior")
    jax.tree.map(np.testing.assert_array_equal, params, begun(architecture))
    drawn = traced(architecture)[0](params, normal(1, prior.info.z_dim))
    assert drawn.shape == (prior.info.resolution, prior.info.resolution, 3)
    assert 0.01 < np.std(drawn) < 5


@pytest.mark.parametrize("architecture", ROWS)
def test_vmap_equals_loop(architecture):
    """A photo must not depend on its neighbours in the batch."""
    prior, params = fresh(architecture)
    zs = normal(3, 3, prior.info.z_dim)
    batch = jax.jit(jax.vmap(prior.decode, (None, 0)))(params, zs)
    alone = np.stack([traced(architecture)[0](params, z) for z in zs])
    np.testing.assert_allclose(batch, alone, atol=1e-5)


@pytest.mark.parametrize("architecture", ROWS)
def test_other_parameters_compile_nothing(architecture):
    """Parameters are an argument: tuning them would compile at every step, or change nothing."""
    prior, params = fresh(architecture)
    decode, traces = traced(architecture)
    z = normal(0, prior.info.z_dim)
    images = [decode(jax.tree.map(lambda x, s=s: np.float32(s) * x, params), z) for s in (1, 1.2)]
    assert len(traces) == 1 and np.abs(images[0] - images[1]).max() > 1e-3


@pytest.mark.parametrize("architecture", ROWS)
def test_derivatives_by_both_modes_agree_and_are_finite(architecture):
    """Searches follow the one, e-GLASS needs the other, tuning takes those by the parameters; at
    z = 0 too, where a search may start."""
    prior, params = fresh(architecture)
    at = params, normal(6, prior.info.z_dim)
    weight = normal(7, prior.info.resolution, prior.info.resolution, 3)
    along = jax.tree.map(lambda x: normal(8, *x.shape), at)

    @jax.jit
    def derivatives(params, z):
        def objective(params, z):
            return jnp.vdot(weight, prior.decode(params, z))

        gradient = jax.grad(objective, (0, 1))(params, z)
        return gradient, jax.jvp(objective, (params, z), along)[1]

    gradient, forward = derivatives(*at)
    reverse = sum(jax.tree.leaves(jax.tree.map(np.vdot, gradient, along)))
    np.testing.assert_allclose(forward, reverse, rtol=1e-3)
    at_zero = derivatives(params, 0 * at[1])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((gradient, at_zero)))
    assert np.abs(gradient[1]).max() > 0 and np.abs(at_zero[0][1]).max() > 0


ROUNDED = [name for name, row in ARCHITECTURES.items() if "dtype" in row.options]


@pytest.mark.parametrize("architecture", ROUNDED)
def test_bfloat16_draws_nearly_the_same_images(architecture, tmp_path):
    """Breaks when a prior ignores the dtype, or rounds more than its convolutions, codes or colours
    say, to it."""
    _, params = fresh(architecture)
    net = vars(ROWS[architecture].config)
    weights.save(tmp_path / "w", params, {"architecture": architecture, "net": net, "name": "tiny"})
    prior, loaded_params = load_prior(tmp_path / "w", dtype="bfloat16")
    assert {x.dtype for x in jax.tree.leaves(loaded_params)} == {jnp.dtype("float32")}
    z = normal(1, prior.info.z_dim)
    exact, coarse = (
        traced(architecture)[0](params, z),
        jax.jit(prior.decode)(loaded_params, z),
    )
    assert coarse.dtype == jnp.float32
    assert 0 < jnp.abs(coarse - exact).max() < 0.05 * (exact.max() - exact.min())


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - set(ROUNDED)))
def test_a_dtype_that_an_architecture_does_not_have_is_refused(architecture, tmp_path):
    """It would be ignored, and a user would believe in a speed that is none."""
    record = {"architecture": architecture, "net": dataclasses.asdict(ROWS[architecture].config)}
    weights.save(tmp_path / "w", begun(architecture), record | {"name": "tiny"})
    with pytest.raises(ValueError, match=f"expected no dtype for a {architecture} prior"):
        load_prior(tmp_path / "w", dtype="bfloat16")
