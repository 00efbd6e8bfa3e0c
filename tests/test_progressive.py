"""StyleGAN1 and PGGAN: what every checkpoint format becomes computes what slow NumPy makes of the official variables; the nets' laws."""

import functools
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import ports_files as files
import ports_progressive as made
import pytest
import reference_progressive as reference
import scipy.ndimage

from jaxsr import flows, load_prior, operators, weights
from jaxsr.methods import METHODS, PULSE, RLS
from jaxsr.nets import pggan, progressive, stylegan1
from jaxsr.priors import latent_statistics, tile
from ports import priors
from ports.convert import convert

MEASURE = priors._measure


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    """100,000 draws of z are not what most tests are about."""
    measured = {name: np.ones(made.W_DIM, np.float32) for name in ("w_mean", "w_std", "white_mean", "white_std")}
    monkeypatch.setattr(priors, "_measure", lambda *_: measured)


class Case(NamedTuple):
    """A network's files, the official variables in them, and how the reference has to compute it."""

    contents: list[bytes]
    variables: dict
    options: dict
    discriminator: dict | None = None
    group: int = 4


def tensorflow(resolution, fused="auto", lr=0.01):
    networks = made.stylegan1(resolution)
    settings = {name: value for name, value in {"fused_scale": fused, "mapping_lrmul": lr}.items() if value not in ("auto", 0.01)}
    content = made.stylegan1_pickle(networks, settings, {"mbstd_group_size": 2, "fused_scale": fused})
    return Case([content], networks[0], {"fused": fused}, networks[1], 2)


def pulse(resolution, split):
    variables = made.stylegan1(resolution)[0]
    contents = [files.zipped(part) for part in made.pulse(variables)] if split else [files.legacy(made.pulse_one(variables))]
    return Case(contents, variables, {"eps": 1e-5})


def pggan_tensorflow(fused):
    networks = made.pggan(fused=fused)
    settings = {} if fused else {"fused_scale": False}
    return Case([made.pggan_pickle(networks, settings, settings)], networks[0], {"fused": fused}, networks[1])


def by_stylegan1():
    """Its code keeps PGGAN's fused kernels [k, k, inputs, outputs]."""
    (g, d), up = made.pggan(), "Conv0_up/weight"
    swapped = {name: array.transpose(0, 1, 3, 2) if name.endswith(up) else array for name, array in g.items()}
    return Case([made.pggan_pickle((swapped, d), kind=files.NETWORK)], g, {"fused": True}, d)


def ported(write, pack, fused=False, bias=()):
    variables = made.pggan(fused=fused)[0]
    if bias:
        variables["4x4/Dense/bias"] = np.random.default_rng(7).normal(size=(8, *bias)).astype(np.float32)
    return Case([pack(write(variables))], variables, {"fused": fused})


STYLEGAN1 = {
    "TensorFlow": lambda: tensorflow(128),
    "TensorFlow, fused": lambda: tensorflow(16, True, 0.02),
    "TensorFlow, not fused": lambda: tensorflow(128, False),
    "PULSE": lambda: pulse(128, True),
    "PULSE in one file": lambda: pulse(16, False),
}
PGGAN = {
    "PGGAN TensorFlow": lambda: pggan_tensorflow(True),
    "PGGAN TensorFlow, not fused": lambda: pggan_tensorflow(False),
    "PGGAN by StyleGAN1": by_stylegan1,
    "genforce": lambda: ported(made.genforce, files.legacy),
    "genforce, fused": lambda: ported(made.genforce, files.zipped, True),
    "ptrblck": lambda: ported(made.ptrblck, files.zipped),
    "zoo": lambda: ported(made.zoo, files.legacy, bias=(4, 4)),
    "zoo, not averaged": lambda: ported(lambda v: made.zoo(v, averaged=False), files.zipped, bias=(4, 4)),
}
WITH_DISCRIMINATOR = [name for name in STYLEGAN1 | PGGAN if "TensorFlow" in name]


def write(folder, contents):
    paths = [Path(folder, f"{i}.bin") for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


@functools.cache
def loaded(name):
    """(case, prior, params, config.json), the whole way that a user goes."""
    case = (STYLEGAN1 | PGGAN)[name]()
    with tempfile.TemporaryDirectory() as folder:
        params, config = convert(*write(folder, case.contents))
        weights.save(Path(folder, "prior"), params, config)
        return case, *load_prior(Path(folder, "prior")), config


def chw(images):
    return 2 * np.moveaxis(np.asarray(images, np.float64), -1, -3) - 1


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def photos(count, side):
    """Images that differ, so that samples of a batch are not exchangeable."""
    return np.random.default_rng(4).uniform(size=(count, 1, 1, 3)) + 0.3 * normal(5, count, side, side, 3)


@pytest.mark.parametrize("name", STYLEGAN1)
@pytest.mark.parametrize("kind", ["const", "none"])
def test_stylegan1_synthesizes_what_its_file_holds(name, kind):
    """Breaks when a kernel's layout, the order of noise and styles, eps, the blur or a gain is wrong."""
    case, prior, params, _ = loaded(name)
    w_plus, noise = normal(1, prior.info.num_layers, made.W_DIM), prior.noise(kind, params)
    of_file = [np.zeros_like(n) if kind == "none" else case.variables[f"synthesis/noise{i}"][0, 0] for i, n in enumerate(noise)]
    expected = reference.stylegan1_synthesis(case.variables, w_plus, noise if "PULSE" in name else of_file, **case.options)
    np.testing.assert_allclose(chw(jax.jit(prior.synthesize)(params, w_plus, noise)), expected, atol=1e-4)
    assert 0.1 < expected.std() < 10


@pytest.mark.parametrize("name", STYLEGAN1)
@pytest.mark.parametrize("scale", [1.0, 1e-4], ids=["usual z", "tiny z"])
def test_stylegan1_maps_as_its_file_does(name, scale):
    """Breaks when biases are not divided by sqrt(2), another learning rate or eps is taken, or truncation leaves from another mean."""
    case, prior, params, config = loaded(name)
    z, mean = scale * normal(2, made.Z_DIM), np.ones(made.W_DIM) if name == "PULSE" else case.variables["dlatent_avg"]
    lr = 0.02 if name == "TensorFlow, fused" else 0.01
    expected = reference.stylegan1_mapping(case.variables, z[None], lr)[0]
    assert config["net"]["mapping_lr"] == lr
    np.testing.assert_allclose(prior.map(params, z), expected, atol=1e-5)
    np.testing.assert_allclose(prior.map(params, z, 0.7), mean + 0.7 * (expected - mean), atol=1e-5)


@pytest.mark.parametrize("name", PGGAN)
@pytest.mark.parametrize("scale", [1.0, 1e-4], ids=["usual z", "tiny z"])
def test_pggan_decodes_what_its_file_holds(name, scale):
    """Breaks when a kernel is turned or transposed wrongly, or a scale of a port or the normalisation is another."""
    case, prior, params, _ = loaded(name)
    z = scale * normal(3, made.Z_DIM)
    expected = reference.pggan_generator(case.variables, z, **case.options)
    np.testing.assert_allclose(chw(jax.jit(prior.decode)(params, z)), expected, atol=1e-4)
    assert 0.1 < expected.std() < 10


@pytest.mark.parametrize("name", WITH_DISCRIMINATOR)
def test_discriminators_score_as_their_files_do(name):
    """Breaks when the blur, the strided convolution, the groups of the minibatch statistic or the order of the last rows is wrong."""
    case, prior, params, config = loaded(name)
    images = photos(8, prior.info.resolution)
    slow = reference.stylegan1_discriminator if name in STYLEGAN1 else reference.pggan_discriminator
    logits, features = jax.jit(prior.discriminate)(params, images)
    expected, expected_features = slow(case.discriminator, chw(images), case.group, case.options["fused"])
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    for got, slow_one in zip(features, expected_features, strict=True):
        np.testing.assert_allclose(np.moveaxis(got, -1, 1), slow_one, atol=1e-4)
    assert config["net"]["mbstd_group"] == case.group and expected.std() > 0.01


def test_turned_kernels_make_the_unfused_network_the_fused_one():
    """The reference's own two ways agree, so that agreeing with either means the same."""
    variables, z = made.pggan()[0], normal(3, made.Z_DIM)
    expected = reference.pggan_generator(variables, z, fused=True)
    np.testing.assert_allclose(reference.pggan_generator(made.turned(variables), z, fused=False), expected, atol=1e-10)


@pytest.mark.parametrize("name", STYLEGAN1 | PGGAN)
def test_config_says_what_was_converted(name):
    """Breaks when a size, the licence or a note about what is missing is lost on the way to config.json."""
    case, prior, _, config = loaded(name)
    widths = made.WIDTHS[prior.info.resolution]
    assert config["architecture"] == ("stylegan1" if name in STYLEGAN1 else "pggan") and config["net"]["channels"] == widths
    assert prior.info.resolution == 2 << len(widths) and prior.info.num_layers == 2 * len(widths) and config["licence"]
    assert (prior.info.z_dim, prior.info.w_dim) == (made.Z_DIM, made.W_DIM if name in STYLEGAN1 else 0)
    assert config.get("discriminator", True) is (case.discriminator is not None)
    assert ("notes" in config) is ("PULSE" in name or "zoo" in name)
    if case.discriminator is None:
        with pytest.raises(ValueError, match="no discriminator"):
            prior.discriminate({}, np.zeros((1, 16, 16, 3)))


def test_statistics_are_the_files_where_it_has_them(tmp_path, monkeypatch):
    """PULSE searches in the file's own Gaussian fit; what the file lacks is measured (here truly)."""
    monkeypatch.setattr(priors, "_measure", MEASURE)
    case = STYLEGAN1["PULSE"]()
    params, _ = convert(*write(tmp_path, case.contents))
    w = reference.stylegan1_mapping(case.variables, normal(8, 20_000, made.Z_DIM))
    _, _, fit = made.pulse(case.variables)
    got = params["statistics"]
    np.testing.assert_array_equal([got["white_mean"], got["white_std"]], [fit["mean"].array, fit["std"].array])
    np.testing.assert_allclose(got["w_mean"], w.mean(0), atol=0.05 * w.std())
    np.testing.assert_allclose(got["w_std"], w.std(0), atol=0.05 * w.std())
    _, _, params, _ = loaded("TensorFlow")
    np.testing.assert_array_equal(params["statistics"]["w_mean"], made.stylegan1(128)[0]["dlatent_avg"])


def test_noise_that_a_file_lacks_is_normal_and_the_same_again(tmp_path):
    """PULSE's files hold no noise maps: two conversions must still make one prior."""
    _, prior, params, _ = loaded("PULSE")
    again, _ = convert(*write(tmp_path, loaded("PULSE")[0].contents))
    jax.tree.map(np.testing.assert_array_equal, list(params["noise"]), again["noise"])
    numbers = np.concatenate([np.ravel(n) for n in params["noise"]])
    assert abs(numbers.mean()) < 0.03 and abs(numbers.std() - 1) < 0.03 and len(np.unique(numbers)) > 0.99 * len(numbers)


# Laws of the networks.

SIDES = [(1, 2), (2, 4), (4, 6), (8, 10)]
CONFIGS = {
    "stylegan1": (stylegan1, stylegan1.Config(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channels=(8, 8, 6), hidden=9)),
    "pggan": (pggan, pggan.Config(resolution=16, z_dim=8, channels=(8, 8, 6), hidden=9)),
}


@functools.cache
def fresh(name):
    """A prior, and fresh parameters of which none is zero."""
    net, config = CONFIGS[name]
    params = jax.jit(net.init, static_argnums=1)(jax.random.key(0), config)
    params = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(x.size), x.shape), params)
    return getattr(net, name)(config), params


def drawn(*shape, seed=0):
    return jnp.asarray(normal(seed, *shape), jnp.float32)


def convolved(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("side", SIDES)
def test_resampling_convolutions_equal_their_definitions(side):
    """Breaks when a phase of the four 2x2 convolutions has the wrong taps or the wrong zeros at the border."""
    x, kernel, small = drawn(2, 2 * side[0], 2 * side[1], 3), drawn(3, 3, 3, 5, seed=1), drawn(2, *side, 3)
    up = convolved(small.repeat(2, 1).repeat(2, 2), kernel)
    np.testing.assert_allclose(progressive.conv_up(small, kernel), up, atol=1e-5)
    down = convolved(x, kernel).reshape(2, side[0], 2, side[1], 2, 5).mean((2, 4))
    np.testing.assert_allclose(progressive.conv_down(x, kernel), down, atol=1e-5)


@pytest.mark.parametrize("side", SIDES)
def test_resampling_convolutions_are_adjoint(side):
    """conv_down is the transpose of conv_up with the turned kernel, up to the mean's 4; the blur is its own."""
    x, y, kernel = drawn(2, *side, 3), drawn(2, 2 * side[0], 2 * side[1], 5, seed=1), drawn(3, 3, 3, 5, seed=2)
    there = jnp.vdot(progressive.conv_up(x, kernel), y)
    back = 4 * jnp.vdot(x, progressive.conv_down(y, kernel[::-1, ::-1].swapaxes(2, 3)))
    np.testing.assert_allclose(there, back, rtol=1e-4)
    z = drawn(*y.shape, seed=3)
    np.testing.assert_allclose(jnp.vdot(progressive.blur(y), z), jnp.vdot(y, progressive.blur(z)), rtol=1e-4)


@pytest.mark.parametrize("side", SIDES)
def test_blur_equals_scipys(side):
    x = drawn(2, *side, 3)
    kernel = np.outer([1, 2, 1], [1, 2, 1])[None, :, :, None] / 16
    np.testing.assert_allclose(progressive.blur(x), scipy.ndimage.convolve(np.asarray(x), kernel, mode="constant"), atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_depend_on_the_group_alone(name):
    """Samples i and i + 2 of 8 are of one group: exchanged, their logits are exchanged; across groups the statistic is another."""
    prior, params = fresh(name)
    images, discriminate = photos(8, 16), jax.jit(prior.discriminate)
    images[1::2] *= 2
    logits, _ = discriminate(params, images)
    within, across = np.array([2, 3, 0, 1, 6, 7, 4, 5]), np.array([1, 0, 2, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(discriminate(params, images[within])[0], logits[within], atol=1e-5)
    assert np.abs(discriminate(params, images[across])[0] - logits[across]).max() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_vmap_equals_loop(name):
    """A photo must not depend on its neighbours in the batch."""
    prior, params = fresh(name)
    zs, decode = drawn(3, 8), jax.jit(prior.decode)
    batch = jax.jit(jax.vmap(prior.decode, (None, 0)))(params, zs)
    np.testing.assert_allclose(batch, jnp.stack([decode(params, z) for z in zs]), atol=1e-5)


def functions():
    """name -> (function of an array, the array, the reference's function of it)."""
    style, style_prior, style_params, _ = loaded("TensorFlow, fused")
    grown, grown_prior, grown_params, _ = loaded("PGGAN TensorFlow")
    noise = style_prior.noise("const", style_params)
    return {
        "synthesis": (
            lambda w: style_prior.synthesize(style_params, w, noise),
            drawn(6, made.W_DIM),
            lambda w: reference.stylegan1_synthesis(style.variables, w, noise, fused=True),
        ),
        "generator": (
            lambda z: grown_prior.decode(grown_params, z),
            drawn(made.Z_DIM),
            lambda z: reference.pggan_generator(grown.variables, z),
        ),
        "discriminator": (
            lambda x: style_prior.discriminate(style_params, x)[0],
            drawn(1, 16, 16, 3),
            lambda x: reference.stylegan1_discriminator(style.discriminator, chw(x), fused=True)[0],
        ),
    }


@pytest.mark.parametrize("name", ["synthesis", "generator", "discriminator"])
def test_derivatives_equal_finite_differences(name):
    """Breaks when a search would follow a wrong gradient; of one image the minibatch statistic is zero, where a root has no gradient."""
    fast, x, slow = functions()[name]
    direction, weight = drawn(*x.shape, seed=8), drawn(*jax.eval_shape(fast, x).shape, seed=9)

    def weighed(x):
        return jnp.sum(fast(x) * weight)

    _, forward = jax.jit(lambda x, d: jax.jvp(weighed, (x,), (d,)))(x, direction)
    grad = jax.jit(jax.grad(weighed))(x)
    x, d = np.asarray(x, np.float64), 1e-5 * np.asarray(direction, np.float64)
    difference = (slow(x + d) - slow(x - d)) / 2e-5
    scaled = difference if name == "discriminator" else 0.5 * np.moveaxis(difference, 0, -1)
    expected = np.sum(scaled * np.asarray(weight, np.float64))
    assert np.isfinite(grad).all()
    np.testing.assert_allclose([forward, jnp.vdot(grad, direction)], [expected, expected], rtol=2e-3)


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_an_argument(name):
    """One compilation serves two sets of parameters, and they make two images."""
    prior, params = fresh(name)
    traces = []

    @jax.jit
    def decode(params, z):
        traces.append(name)
        return prior.decode(params, z)

    images = [decode(p, jnp.ones(8)) for p in (params, jax.tree.map(lambda x: 1.1 * x, params))]
    assert traces == [name] and np.abs(images[0] - images[1]).max() > 1e-2


@pytest.mark.parametrize("name", CONFIGS)
def test_fresh_parameters_are_a_prior(name, tmp_path):
    """Breaks when init draws another spread, or shapes that load_prior does not take: training could not start or be resumed."""
    net, config = CONFIGS[name]
    params = jax.jit(net.init, static_argnums=1)(jax.random.key(0), config)
    weights.save(tmp_path / "prior", params, {"architecture": name, "name": name, "net": vars(config)})
    prior, again = load_prior(tmp_path / "prior")
    jax.tree.map(np.testing.assert_array_equal, again, params)
    assert 0.05 < np.std(prior.decode(again, prior.sample(jax.random.key(1), again))) < 5


@pytest.mark.parametrize("name", CONFIGS)
def test_bfloat16_stays_close(name):
    net, config = CONFIGS[name]
    _, params = fresh(name)
    kinds = [getattr(net, name)(type(config)(**{**vars(config), "dtype": dtype})) for dtype in ("float32", "bfloat16")]
    images = [prior.decode(params, jnp.ones(8)) for prior in kinds]
    assert images[1].dtype == jnp.float32
    assert 0 < float(jnp.abs(images[0] - images[1]).max()) < 0.05 * float(jnp.abs(images[0]).max())


def test_decoding_goes_through_w():
    prior, params = fresh("stylegan1")
    z = drawn(8)
    image = prior.synthesize(params, tile(prior, prior.map(params, z)), prior.noise("const", params))
    np.testing.assert_allclose(prior.decode(params, z), image, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_prior_without_w_is_refused_by_the_methods(method):
    prior, params = fresh("pggan")
    assert prior.map is None and prior.synthesize is None and prior.info.w_dim == 0 and prior.noise("const", params) == ()
    with pytest.raises(ValueError, match=f"method {method} needs a prior with a w space: 'pggan' has none") as caught:
        METHODS[method][0](prior, operators.downsample(4, image_shape=(16, 16, 3)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("method", "config"), [("pulse", PULSE(steps=2)), ("rls", RLS(steps=2))])
def test_methods_run_on_stylegan1(method, config):
    prior, params = fresh("stylegan1")
    operator = operators.downsample(4, image_shape=(16, 16, 3))
    extra = {"statistics": latent_statistics(prior, params, jax.random.key(0), num_samples=1000)}
    extra["flow"] = flows.init(jax.random.key(1), flows.Config(8, hidden=16, num_blocks=2))
    solve = jax.jit(METHODS[method][0](prior, operator, config))
    result = solve(jax.random.key(2), params | extra, operator(drawn(16, 16, 3)))
    assert result.image.shape == (16, 16, 3) and result.latent["w_plus"].shape == (6, 8)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((result.image, result.latent, result.trace)))


def test_official_sizes():
    """1024 px as published: StyleGAN1's 26.2 M parameters without the unused ToRGB layers, PGGAN's 23.1 M in each network."""
    style = jax.eval_shape(lambda: stylegan1.init(jax.random.key(0), stylegan1.Config()))
    grown = jax.eval_shape(lambda: pggan.init(jax.random.key(0), pggan.Config()))
    count = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in (style | grown).items()}
    assert count["mapping"] + count["synthesis"] == 26_219_627
    assert (round(count["generator"] / 1e6, 1), round(count["discriminator"] / 1e6, 1)) == (23.1, 23.1)


# What is refused.


def styled(change=lambda g, d: None, **settings):
    networks = made.stylegan1()
    change(*networks)
    return [made.stylegan1_pickle(networks, **settings)]


def grown(change=lambda g, d: None, **settings):
    networks = made.pggan()
    change(*networks)
    return [made.pggan_pickle(networks, **settings)]


def without(write, *names):
    content = write(made.pggan(fused=False)[0])
    return [files.zipped({name: x for name, x in content.items() if not name.startswith(names)})]


REFUSED = {
    "StyleGAN1 growing": (lambda: styled(lod=1.0), r"of the wrong shape or value: Gs/lod"),
    "PGGAN growing": (lambda: grown(lod=1.0), r"of the wrong shape or value: Gs/lod"),
    "StyleGAN1 conditional": (lambda: styled(settings={"label_size": 10}), "expected a StyleGAN1 with label_size 0"),
    "PGGAN conditional": (lambda: grown(d_settings={"label_size": 10}), "expected a PGGAN with label_size 0"),
    "pixel norm": (lambda: styled(settings={"use_pixel_norm": True}), "expected a StyleGAN1 with use_pixel_norm False"),
    "no pixel norm": (lambda: grown(settings={"use_pixelnorm": False}), "expected a PGGAN with use_pixelnorm True"),
    "other pixel norm": (lambda: grown(settings={"pixelnorm_epsilon": 1e-4}), "expected a PGGAN with pixelnorm_epsilon"),
    "no blur": (lambda: styled(settings={"blur_filter": None}), "expected a StyleGAN1 with blur_filter"),
    "strange fusing": (lambda: styled(settings={"fused_scale": "often"}), "expected fused_scale of a StyleGAN1 as True, False or 'auto'"),
    "no groups": (lambda: styled(d_settings={"mbstd_group_size": 0}), "expected mbstd_group_size as a positive number"),
    "StyleGAN1 layer missing": (lambda: styled(lambda g, d: g.pop("synthesis/8x8/Conv1/weight")), "with blocks 4, 8, 16, ... px"),
    "StyleGAN1 bias missing": (lambda: styled(lambda g, d: g.pop("synthesis/8x8/Conv1/bias")), "missing: synthesis/b8/epilogue1/bias"),
    "noise map missing": (lambda: styled(lambda g, d: g.pop("synthesis/noise3")), "missing: noise/"),
    "discriminator's missing": (lambda: styled(lambda g, d: d.pop("8x8/Conv0/bias")), "missing: discriminator/b8/conv0/bias"),
    "StyleGAN1 shape": (
        lambda: styled(lambda g, d: g.update({"synthesis/8x8/Conv1/bias": np.zeros(9, "f4")})),
        r"of the wrong shape or value: synthesis/b8/epilogue1/bias \[9\] instead of \[8\]",
    ),
    "PGGAN shape": (
        lambda: grown(lambda g, d: g.update({"16x16/Conv1/bias": np.zeros(9, "f4")})),
        r"of the wrong shape or value: generator/layer5/bias \[9\] instead of \[6\]",
    ),
    "PGGAN layer missing": (lambda: grown(lambda g, d: g.pop("16x16/Conv1/weight")), "with two layers a resolution, got 5"),
    "PGGAN colours missing": (lambda: grown(lambda g, d: g.pop("ToRGB_lod0/bias")), "missing: generator/torgb/bias"),
    "left over": (lambda: grown(lambda g, d: g.update({"8x8/Conv2/bias": np.zeros(8, "f4")})), "left over: Gs/8x8/Conv2/bias"),
    "odd layers": (lambda: without(made.genforce, "layer5"), "with two layers a resolution, got 5"),
    "no layers": (lambda: without(made.ptrblck, "features.1."), "with two layers a resolution, got 1"),
    "PULSE without mapping": (lambda: [files.zipped(made.pulse(made.stylegan1()[0])[0])], "mapping"),
    "PULSE's mapping alone": (lambda: [files.zipped(made.pulse(made.stylegan1()[0])[1])], "dict with 6 names: dense0.weight"),
    "two networks": (lambda: grown() + styled(), "expected a StyleGAN, PGGAN, BigGAN or metric network"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(name, tmp_path):
    contents, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        convert(*write(tmp_path, contents()))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("contents", [styled, grown])
@pytest.mark.parametrize("choice", [priors.Choice(label=1), priors.Choice(truncation=0.5)])
def test_a_choice_of_a_class_is_refused(contents, choice, tmp_path):
    """These networks have no classes: a label that is silently ignored would promise one."""
    with pytest.raises(ValueError, match="expected no --(label|truncation) for a network without classes"):
        convert(*write(tmp_path, contents()), choice=choice)
