"""StyleGAN1 and PGGAN: what test_architectures.py does not ask of their files, and the nets' own
laws."""

import jax
import jax.numpy as jnp
import numpy as np
import ports_files as files
import ports_pggan
import ports_stylegan1
import pytest
import reference_progressive as reference
import scipy.ndimage
from architectures import compiled, fresh, loaded
from ports_progressive import W_DIM, WIDTHS, Z_DIM

from jaxsr import flows, operators
from jaxsr.methods import METHODS, PULSE, RLS
from jaxsr.nets import pggan, progressive, stylegan1
from jaxsr.priors import latent_statistics
from ports import priors
from ports.convert import convert

MEASURE = priors._measure
CASES = [("stylegan1", name) for name in ports_stylegan1.FORMATS]
CASES += [("pggan", name) for name in ports_pggan.FORMATS]


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    """100,000 draws of z are not what most tests are about."""
    names = ("w_mean", "w_std", "white_mean", "white_std")
    monkeypatch.setattr(
        priors, "_measure", lambda _, w_dim, mapping: dict.fromkeys(names, np.ones(w_dim, "f4"))
    )


def chw(images):
    return 2 * np.moveaxis(np.asarray(images, np.float64), -1, -3) - 1


def hwc(image):
    return (1 + np.moveaxis(image, 0, -1)) / 2


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def photos(count, side):
    """Images that differ, so that samples of a batch are not exchangeable."""
    return np.random.default_rng(4).uniform(size=(count, 1, 1, 3)) + 0.3 * normal(
        5, count, side, side, 3
    )


@pytest.mark.parametrize("name", ports_stylegan1.FORMATS)
def test_stylegan1_truncates_from_its_files_mean(name):
    """Breaks when another learning rate is taken, or truncation leaves from another mean."""
    it = loaded("stylegan1", name)
    variables, z = it.written.variables, normal(2, Z_DIM)
    mean = np.ones(W_DIM) if name == "PULSE" else variables["dlatent_avg"]
    lr = 0.02 if name == "TensorFlow, fused" else 0.01
    expected = reference.stylegan1_mapping(variables, z[None], lr)[0]
    assert it.config["net"]["mapping_lr"] == lr
    w = jax.jit(it.prior.map)(it.params, z, 0.7)
    np.testing.assert_allclose(w, mean + 0.7 * (expected - mean), atol=1e-5)


@pytest.mark.parametrize("name", ports_pggan.FORMATS)
def test_pggan_normalises_a_tiny_z_as_its_file_does(name):
    """Breaks when the normalisation's eps is another."""
    it = loaded("pggan", name)
    z = 1e-4 * normal(3, Z_DIM).astype(np.float32)
    drawn = compiled(it, "decode")(it.params, z)
    np.testing.assert_allclose(chw(drawn), it.written.image(np.float64(z), ()), atol=1e-4)


def test_turned_kernels_make_the_unfused_network_the_fused_one():
    """The reference's own two ways agree, so that all formats whose first bias is one a channel
    make the same image."""
    z = normal(3, Z_DIM)
    images = [
        reference.pggan_generator(ports_pggan.pggan(fused=fused)[0], z, fused)
        for fused in (True, False)
    ]
    np.testing.assert_allclose(*images, atol=1e-10)


@pytest.mark.parametrize(("architecture", "name"), CASES)
def test_sizes_are_those_of_the_file(architecture, name):
    """Breaks when a size, or a note about what is missing, is lost on the way to config.json."""
    it = loaded(architecture, name)
    info, widths = it.prior.info, WIDTHS[it.prior.info.resolution]
    assert it.config["net"]["channels"] == widths
    assert info.resolution == 2 << len(widths) and info.num_layers == 2 * len(widths)
    assert (info.z_dim, info.w_dim) == (Z_DIM, W_DIM if architecture == "stylegan1" else 0)
    assert it.config["net"]["mbstd_group"] == (
        2 if architecture == "stylegan1" and it.written.logits else 4
    )
    assert ("notes" in it.config) is ("PULSE" in name or "zoo" in name)


def test_statistics_are_the_files_where_it_has_them(tmp_path, monkeypatch):
    """PULSE searches in the file's own Gaussian fit; what the file lacks is measured (here
    truly)."""
    monkeypatch.setattr(priors, "_measure", MEASURE)
    case = ports_stylegan1.FORMATS["PULSE"]()
    params, _ = convert(*files.write(tmp_path, case.contents))
    w = reference.stylegan1_mapping(case.variables, normal(8, 20_000, Z_DIM))
    fit, got = ports_stylegan1.pulse(case.variables)[2], params["statistics"]
    np.testing.assert_array_equal(
        [got["white_mean"], got["white_std"]], [fit["mean"].array, fit["std"].array]
    )
    np.testing.assert_allclose(
        [got["w_mean"], got["w_std"]], [w.mean(0), w.std(0)], atol=0.05 * w.std()
    )


def test_noise_that_a_file_lacks_is_normal_and_the_same_again(tmp_path):
    """PULSE's files hold no noise maps: two conversions must still make one prior."""
    written, _, params, _ = loaded("stylegan1", "PULSE")
    again, _ = convert(*files.write(tmp_path, written.contents))
    jax.tree.map(np.testing.assert_array_equal, list(params["noise"]), again["noise"])
    numbers = np.concatenate([np.ravel(n) for n in params["noise"]])
    assert (
        abs(numbers.mean()) < 0.03
        and abs(numbers.std() - 1) < 0.03
        and len(np.unique(numbers)) > 0.99 * len(numbers)
    )


SIDES = [(1, 2), (4, 6)]


def drawn(*shape, seed=0):
    return normal(seed, *shape).astype(np.float32)


conv_up, conv_down, blur = (
    jax.jit(function) for function in (progressive.conv_up, progressive.conv_down, progressive.blur)
)


@jax.jit
def convolved(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("side", SIDES)
def test_resampling_equals_its_definition(side):
    """Breaks when a phase of the four 2x2 convolutions has the wrong taps, or something else than
    zeros lies around."""
    x, y, kernel = (
        drawn(2, *side, 3),
        drawn(2, 2 * side[0], 2 * side[1], 3),
        drawn(3, 3, 3, 5, seed=1),
    )
    np.testing.assert_allclose(
        conv_up(x, kernel), convolved(x.repeat(2, 1).repeat(2, 2), kernel), atol=1e-5
    )
    means = np.asarray(convolved(y, kernel)).reshape(2, side[0], 2, side[1], 2, 5).mean((2, 4))
    np.testing.assert_allclose(conv_down(y, kernel), means, atol=1e-5)
    blurred = scipy.ndimage.convolve(
        x, np.outer([1, 2, 1], [1, 2, 1])[None, :, :, None] / 16, mode="constant"
    )
    np.testing.assert_allclose(blur(x), blurred, atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_resampling_is_adjoint(side):
    """conv_down is the transpose of conv_up with the turned kernel, up to the mean's 4; the blur is
    its own."""
    x, y, kernel = (
        drawn(2, *side, 3),
        drawn(2, 2 * side[0], 2 * side[1], 5, seed=1),
        drawn(3, 3, 3, 5, seed=2),
    )
    back = 4 * np.vdot(x, conv_down(y, kernel[::-1, ::-1].swapaxes(2, 3)))
    np.testing.assert_allclose(np.vdot(conv_up(x, kernel), y), back, rtol=1e-4)
    np.testing.assert_allclose(np.vdot(blur(x), x[::-1]), np.vdot(x, blur(x[::-1])), rtol=1e-4)


@pytest.mark.parametrize("name", ["stylegan1", "pggan"])
def test_logits_depend_on_the_group_alone(name):
    """Samples i and i + 2 of 8 are of one group: exchanged, their logits are exchanged; across
    groups the statistic is another."""
    prior, params = fresh(name)
    images, discriminate = photos(8, 8), jax.jit(prior.discriminate)
    images[1::2] *= 2
    logits, _ = discriminate(params, images)
    within, across = np.array([2, 3, 0, 1, 6, 7, 4, 5]), np.array([1, 0, 2, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(discriminate(params, images[within])[0], logits[within], atol=1e-5)
    assert np.abs(discriminate(params, images[across])[0] - logits[across]).max() > 1e-3


DIFFERENTIATED = {
    "synthesis": (
        ("stylegan1", "TensorFlow, fused", (6, W_DIM)),
        lambda prior, params, w: prior.synthesize(params, w, prior.noise("const", params)),
        lambda written, w: hwc(written.image(w, written.noise)),
    ),
    "generator": (
        ("pggan", "TensorFlow", (Z_DIM,)),
        lambda prior, params, z: prior.decode(params, z),
        lambda written, z: hwc(written.image(z, ())),
    ),
    "discriminator": (
        ("stylegan1", "TensorFlow, fused", (1, 16, 16, 3)),
        lambda prior, params, x: prior.discriminate(params, x)[0],
        lambda written, x: written.logits(chw(x))[0],
    ),
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_derivatives_equal_finite_differences(name):
    """Breaks when a search would follow a wrong gradient; of one image the minibatch statistic is
    zero, where a root has no gradient."""
    (*source, shape), fast, slow = DIFFERENTIATED[name]
    written, prior, params, _ = loaded(*source)
    x, d = drawn(*shape), drawn(*shape, seed=8)
    weight = drawn(*jax.eval_shape(lambda x: fast(prior, params, x), x).shape, seed=9)

    @jax.jit
    def derivatives(x, d):
        def weighed(x):
            return jnp.vdot(fast(prior, params, x), weight)

        return jax.jvp(weighed, (x,), (d,))[1], jax.grad(weighed)(x)

    forward, grad = derivatives(x, d)
    ahead, behind = (slow(written, x + step * d.astype(np.float64)) for step in (1e-7, -1e-7))
    assert np.isfinite(grad).all()
    expected = np.vdot((ahead - behind) / 2e-7, weight)
    np.testing.assert_allclose([forward, np.vdot(grad, d)], [expected] * 2, rtol=1e-4)


@pytest.mark.parametrize("method", ["phased", "rls", "rls_plus"])
def test_a_prior_without_w_is_refused_by_methods_of_w(method):
    prior, params = fresh("pggan")
    assert (
        prior.map is None
        and prior.synthesize is None
        and prior.info.w_dim == 0
        and prior.noise("const", params) == ()
    )
    with pytest.raises(
        ValueError, match=f"method {method} needs a prior with a w space: 'pggan' has none"
    ) as caught:
        METHODS[method].make(prior, operators.downsample(4, image_shape=(8, 8, 3)))
    assert "\n" not in str(caught.value)


TINY = stylegan1.Config(resolution=4, z_dim=8, w_dim=8, mapping_layers=2, channels=(6,), hidden=9)


@pytest.mark.parametrize(("method", "config"), [("pulse", PULSE(steps=2)), ("rls", RLS(steps=2))])
def test_methods_run_on_stylegan1(method, config):
    prior = stylegan1.stylegan1(TINY)
    params = jax.jit(stylegan1.init, static_argnums=1)(jax.random.key(0), TINY)
    operator = operators.downsample(2, image_shape=(4, 4, 3))
    extra = {
        "statistics": jax.jit(
            lambda p: latent_statistics(prior, p, jax.random.key(0), num_samples=1000)
        )(params)
    }
    extra["flow"] = jax.jit(flows.init, static_argnums=1)(
        jax.random.key(1), flows.Config(8, hidden=16, num_blocks=2)
    )
    solve = jax.jit(METHODS[method].make(prior, operator, config))
    result = solve(jax.random.key(2), params | extra, operator(drawn(4, 4, 3)))
    assert result.image.shape == (4, 4, 3) and result.latent["w_plus"].shape == (2, 8)
    assert all(
        np.isfinite(x).all() for x in jax.tree.leaves((result.image, result.latent, result.trace))
    )


def test_official_sizes():
    """1,024 px as published: StyleGAN1's 26,219,627 parameters without its 8 unused ToRGB layers,
    PGGAN's 23.1 M in each network."""
    key = jax.random.key(0)
    shapes = jax.eval_shape(
        lambda: stylegan1.init(key, stylegan1.Config()) | pggan.init(key, pggan.Config())
    )
    count = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in shapes.items()}
    assert count["mapping"] + count["synthesis"] == 26_219_627 - 7_608
    assert (round(count["generator"] / 1e6, 1), round(count["discriminator"] / 1e6, 1)) == (
        23.1,
        23.1,
    )
