"""BigGAN and BigGAN-deep: files in the released formats against a slow float64 reference, the laws of the prior, and what is refused."""

import functools
import itertools
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import ports_biggan as writers
import ports_files as files
import pytest
import reference_biggan as reference

from jaxsr import load_prior, operators, priors, weights
from jaxsr.methods import METHODS
from jaxsr.nets import biggan
from ports import spectral
from ports.convert import convert
from ports.priors import Choice

SHALLOW = {
    "32 px, cross replica": writers.Shallow(
        (8, 8, 8, 8), attention=2, part=0, first=4, statistics="bn.running", below=(8, 8, 8, 8), below_attention=1
    ),
    "64 px, mybn": writers.Shallow((12, 10, 8, 6, 16), attention=4, statistics="bn.stored", below=(8, 5, 6, 7, 9), below_attention=1),
    "128 px": writers.Shallow((12, 10, 9, 6, 8, 4), attention=4, below=(8, 5, 6, 7, 9, 9), below_attention=1),
    "256 px, no attention": writers.Shallow((12, 10, 8, 6, 5, 4, 3), below=(4, 5, 6, 7, 8, 9, 9)),
    "512 px, from TensorFlow Hub": writers.Shallow((12, 10, 8, 7, 16, 4, 3, 2), attention=4, hub=True),
}
DEEP = {
    "deep 8 px": writers.Deep((16, 16, 8), attention=1),
    "deep 128 px": writers.Deep((64, 64, 64, 64, 32, 32, 16, 16, 8, 8, 4)),
    "deep 256 px": writers.Deep((64, 64, 64, 64, 32, 32, 32, 32, 16, 16, 8, 8, 4)),
    "deep 512 px": writers.Deep((64, 64, 64, 64, 32, 32, 32, 32, 16, 16, 8, 8, 4, 4, 4)),
}
LABEL = 3
BETWEEN = 0.405  # a quarter of the way from the 21st to the 22nd of 51 statistics
SMALL = ["32 px, cross replica", "deep 8 px"]  # quick to compile, with attention


@functools.cache
def states(name):
    """The networks of a format, [generator] or [generator, discriminator]."""
    if name in DEEP:
        return [writers.deep(DEEP[name])]
    sizes = SHALLOW[name]
    return [writers.generator(sizes)] + ([writers.discriminator(sizes)] if sizes.below else [])


def write(folder, contents, forms=(files.zipped, files.legacy)):
    """One network a file, in torch's two formats by turns."""
    paths = [folder / f"{i}.pth" for i in range(len(contents))]
    for path, state, form in zip(paths, contents, itertools.cycle(forms), strict=False):
        path.write_bytes(form(writers.tensors(state)))
    return paths


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """name -> the folder of weights that a format's file became."""

    @functools.cache
    def make(name):
        folder = tmp_path_factory.mktemp("biggan")
        params, config = convert(*write(folder, states(name)))
        weights.save(folder / "prior", params, config | {"name": name})
        return folder / "prior"

    return make


def vector(name, label=LABEL):
    """What the generator's file has for a class."""
    state = states(name)[0]
    return np.float64(state["embeddings.weight"][:, label] if name in DEEP else state["shared.weight"][label])


def expected_image(name, z, label=LABEL, truncation=1.0):
    state, z = states(name)[0], np.float64(z)
    if name in DEEP:
        return reference.deep_generator(state, z, vector(name, label), truncation)
    return reference.generator(state, z, vector(name, label), 1e-4 if SHALLOW[name].hub else 1e-5)


def chw(images):
    """HWC in [0, 1] -> CHW in [-1, 1]."""
    return np.moveaxis(2 * np.asarray(images, np.float64) - 1, -1, -3)


def check_image(name, prior, params, seed=0, **chosen):
    z = jax.random.normal(jax.random.key(seed), (prior.info.z_dim,))
    expected = expected_image(name, z, **chosen)
    assert 0.1 < np.abs(expected).mean() < 0.9  # neither flat nor saturated
    np.testing.assert_allclose(chw(jax.jit(prior.decode)(params, z)), expected, atol=1e-4)


@pytest.mark.parametrize("name", SHALLOW)
def test_biggan_of_a_file_equals_the_paper(name, converted):
    """Breaks when a kernel's layout or norm, a part of z, a statistic, an eps or the place of attention is not the file's; logits too."""
    prior, params = load_prior(converted(name), label=LABEL)
    check_image(name, prior, params)
    if not SHALLOW[name].below:
        return
    images = jax.random.uniform(jax.random.key(1), (2, prior.info.resolution, prior.info.resolution, 3))
    logits, features = jax.jit(prior.discriminate)(params, images)
    for i, image in enumerate(chw(images)):
        logit, expected = reference.discriminator(states(name)[1], image, LABEL)
        np.testing.assert_allclose(logits[i], logit, atol=1e-4)
        for got, block in zip(features, expected, strict=True):
            np.testing.assert_allclose(np.moveaxis(got[i], -1, 0), block, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "truncation"),
    [(name, truncation) for name, *them in [("deep 8 px", 1.0, 0.4, BETWEEN, 0.01)] for truncation in them]
    + [("deep 128 px", 0.4), ("deep 256 px", BETWEEN), ("deep 512 px", 1.0)],
)
def test_deep_biggan_of_a_file_equals_the_paper(name, truncation, converted):
    """Breaks when a block's layers, its shortcut, the first layer's pixels or the statistics of the truncation are not the file's.

    Between two truncations the statistics lie on the line that joins theirs.
    """
    prior, params = load_prior(converted(name), label=LABEL, truncation=truncation)
    check_image(name, prior, params, truncation=truncation)


@pytest.mark.parametrize("name", SMALL)
def test_without_a_truncation_the_statistics_are_those_of_the_whole_normal(name, converted):
    check_image(name, *load_prior(converted(name), label=LABEL), seed=2)


@pytest.mark.parametrize("name", SMALL)
def test_all_classes_and_one_class_give_one_image(name, converted):
    """Breaks when the latent of all classes is not [z, vector]; its samples must be of any class, and of one."""
    one, params = load_prior(converted(name), label=LABEL)
    every, _ = load_prior(converted(name))
    z = jax.random.normal(jax.random.key(3), (one.info.z_dim,))
    assert every.info.z_dim == one.info.z_dim + len(vector(name))
    images = [jax.jit(prior.decode)(params, x) for prior, x in ((one, z), (every, jnp.concatenate([z, vector(name)])))]
    np.testing.assert_allclose(*images, atol=1e-6)
    drawn = jax.vmap(every.sample, (0, None))(jax.random.split(jax.random.key(4), 50), params)[:, one.info.z_dim :]
    is_row = (np.asarray(drawn)[:, None] == np.asarray(params["embedding"])).all(-1)
    assert (is_row.sum(1) == 1).all() and is_row.any(0).all()


@pytest.mark.parametrize("label", [None, LABEL])
@pytest.mark.parametrize("truncation", [None, 0.4, 1.0])
def test_samples_are_normal_or_truncated(label, truncation, converted):
    """Breaks when a truncated z leaves +-2 truncation, is clipped there instead of drawn anew, or is cut where nothing was asked for."""
    prior, params = load_prior(converted("deep 8 px"), label=label, truncation=truncation)
    z = np.asarray(jax.vmap(prior.sample, (0, None))(jax.random.split(jax.random.key(0), 4_000), params))[:, : DEEP["deep 8 px"].vector]
    scale, std = (1.0, 1.0) if truncation is None else (truncation, 0.8796)  # of a normal cut at +-2
    np.testing.assert_allclose(z.std(0), scale * std, rtol=0.05)
    np.testing.assert_allclose(z.mean(0), 0, atol=0.06 * scale)
    largest = np.abs(z).max()
    assert largest > 3.5 if truncation is None else 1.99 * scale < largest <= 2 * scale
    assert (np.abs(z) == largest).sum() < 4


def test_choices_land_in_the_config_and_load_prior_overrides_them(tmp_path):
    name = "deep 8 px"
    params, config = convert(*write(tmp_path, states(name)), choice=Choice(label=2, truncation=0.4))
    assert (config["label"], config["net"]["label"], config["net"]["truncation"]) == (2, 2, 0.4)
    weights.save(tmp_path / "prior", params, config)
    check_image(name, *load_prior(tmp_path / "prior"), label=2, truncation=0.4)
    check_image(name, *load_prior(tmp_path / "prior", label=5), label=5, truncation=0.4)
    check_image(name, *load_prior(tmp_path / "prior", truncation=0.6), label=2, truncation=0.6)


def test_command_takes_label_and_truncation(tmp_path):
    """As a user starts it, generator and discriminator in two files."""
    sources = [f"--source={path}" for path in write(tmp_path, states("32 px, cross replica"))]
    script = Path(__file__).parents[1] / "ports" / "convert.py"
    flags = [*sources, f"--out={tmp_path / 'out'}", "--label=0", "--truncation=0.5"]
    done = subprocess.run([sys.executable, script, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["architecture"], config["name"], config["source"]) == ("biggan", "out", "0.pth, 1.pth")
    assert (config["net"]["label"], config["net"]["truncation"]) == (0, 0.5)
    assert load_prior(tmp_path / "out")[0].info.z_dim == 4


@pytest.mark.parametrize("name", SMALL)
def test_vmap_equals_loop(name, converted):
    """A photo must not depend on its neighbours in the batch."""
    prior, params = load_prior(converted(name))
    zs = jax.vmap(prior.sample, (0, None))(jax.random.split(jax.random.key(5), 3), params)
    decode = jax.jit(prior.decode)
    batch = jax.jit(jax.vmap(prior.decode, (None, 0)))(params, zs)
    np.testing.assert_allclose(batch, jnp.stack([decode(params, z) for z in zs]), atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_finite_and_forward_mode_equals_reverse_mode(name, converted):
    """Searches follow the one, e-GLASS needs the other; at z = 0 too, where a search may start."""
    prior, params = load_prior(converted(name), label=LABEL)
    point = params["generator"], jax.random.normal(jax.random.key(6), (prior.info.z_dim,))
    weight = jax.random.normal(jax.random.key(7), (prior.info.resolution, prior.info.resolution, 3))

    def objective(generator, z):
        return jnp.vdot(weight, prior.decode(params | {"generator": generator}, z))

    reverse = jax.jit(jax.grad(objective, (0, 1)))
    gradient = reverse(*point)
    directions = jax.tree.map(lambda x: jax.random.normal(jax.random.key(8), x.shape), point)
    _, forward = jax.jit(lambda at, to: jax.jvp(objective, at, to))(point, directions)
    products = jax.tree.map(jnp.vdot, gradient, directions)
    np.testing.assert_allclose(forward, sum(jax.tree.leaves(products)), rtol=1e-3)
    assert all(jnp.isfinite(x).all() and jnp.abs(x).max() > 0 for x in jax.tree.leaves((gradient[1], gradient[0]["attention"])))
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(reverse(point[0], jnp.zeros_like(point[1]))))


@pytest.mark.parametrize("name", SMALL)
def test_other_parameters_compile_nothing(name, converted):
    prior, params = load_prior(converted(name), label=LABEL)
    traces = []

    @jax.jit
    def decode(params, z):
        traces.append(name)
        return prior.decode(params, z)

    images = [decode(jax.tree.map(lambda x, s=scale: s * x, params), jnp.ones(prior.info.z_dim)) for scale in (1, 1.1)]
    assert len(traces) == 1 and jnp.abs(images[0] - images[1]).max() > 1e-3


def test_logits_do_not_depend_on_the_batch(converted):
    prior, params = load_prior(converted("32 px, cross replica"), label=LABEL)
    images = jax.random.uniform(jax.random.key(9), (3, 32, 32, 3))
    together, features = prior.discriminate(params, images)
    alone, features_alone = prior.discriminate(params, images[1:2])
    assert together.shape == (3,) and [f.shape[0] for f in features] == [3] * 4
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-5)
    np.testing.assert_allclose(features_alone[-1][0], features[-1][1], atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
def test_the_shortcut_of_a_deep_block_drops_channels(up):
    """With its last layer at zero a block gives the first half of its input's channels, whose pixels repeat where it doubles the side."""
    block, x = biggan.DeepBlock(biggan.Config(deep=True), 4, up), jax.random.normal(jax.random.key(0), (1, 4, 4, 8))
    params = block.init(jax.random.key(1), x, jnp.ones(5))["params"]
    params["conv3"] = jax.tree.map(jnp.zeros_like, params["conv3"])
    expected = np.kron(x[..., :4], np.ones((1, 2, 2, 1))) if up else x[..., :4]
    np.testing.assert_array_equal(block.apply({"params": params}, x, jnp.ones(5)), expected)


@pytest.mark.parametrize(("name", "z_dim", "blocks", "side"), [("32 px, cross replica", 4, 3, 32), ("deep 8 px", 6, 2, 8)])
def test_the_prior_has_no_w_space(name, z_dim, blocks, side, converted):
    prior, params = load_prior(converted(name), label=LABEL)
    assert prior.info[:6] == (name, side, z_dim, 0, blocks, ()) and prior.info.licence
    assert prior.map is None and prior.synthesize is None
    assert [prior.noise(kind, params, jax.random.key(0)) for kind in ("const", "none", "random")] == [()] * 3
    operator = operators.downsample(4, image_shape=(side, side, 3), kernel="box")
    for method, (factory, _) in sorted(METHODS.items()):
        with pytest.raises(ValueError, match=rf"method {method} needs a prior with a w space: '{name}' has none$"):
            factory(prior, operator)


@pytest.mark.parametrize(
    ("name", "label", "words"), [("32 px, cross replica", None, "one class.*got none$"), ("deep 8 px", LABEL, "no discriminator.*alone$")]
)
def test_what_the_discriminator_lacks_is_said(name, label, words, converted):
    prior, params = load_prior(converted(name), label=label)
    with pytest.raises(ValueError, match=words):
        prior.discriminate(params, jnp.zeros((1, prior.info.resolution, prior.info.resolution, 3)))


@pytest.mark.parametrize(
    ("config", "part", "count"),
    [
        (biggan.Config(), "generator", 70_305_988),
        (biggan.Config(discriminator_channels=(96, 192, 384, 768, 1536, 1536), discriminator_attention=1), "discriminator", 87_982_370),
    ],
)
def test_official_sizes(config, part, count):
    """128 px: as many parameters as the released code has; statistics are none."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.eval_shape(lambda: biggan.init(jax.random.key(0), config))[part])
    assert sum(x.size for path, x in leaves if path[-1].key not in ("mean", "var")) == count


SPECTRAL_SHAPES = [(1, 5), (3, 4), (4, 3), (6, 1, 1, 1), (6, 2, 1, 1), (8, 4, 3, 3)]


@pytest.mark.parametrize("shape", SPECTRAL_SHAPES)
@pytest.mark.parametrize("kept", ["u0", "u and v"])
def test_converged_vectors_make_the_largest_singular_value_one(shape, kept):
    """Breaks when a kernel is flattened along another axis, or divided by another value than the largest."""
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    left, values, right = np.linalg.svd(kernel.reshape(len(kernel), -1))
    if kept == "u0":
        state = {"a.weight": kernel, "a.u0": left[None, :, 0], "a.sv0": values[:1], "a.bias": kernel[0]}
    else:
        state = {"a.weight_orig": kernel, "a.weight_u": left[:, 0], "a.weight_v": right[0], "a.bias": kernel[0]}
    result = spectral.normalised({name: spectral.NDArray(array) for name, array in state.items()})
    assert sorted(result) == ["a.bias", "a.weight"]
    normalised = spectral.as_array(result["a.weight"])
    assert np.linalg.svd(normalised.reshape(len(kernel), -1))[1][0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(normalised, kernel / values[0], atol=1e-6)


def changed(name, change, part=0):
    """The files' contents with one network's state dict changed."""
    contents = [dict(state) for state in states(name)]
    change(contents[part])
    return contents


def without(prefix):
    def change(state):
        for name in [name for name in state if name.startswith(prefix)]:
            del state[name]

    return change


def second_attention(state):
    state |= {name.replace("blocks.1.1.", "blocks.0.1."): array for name, array in state.items() if name.startswith("blocks.1.1.")}


def one_embedding_a_layer(state):
    """G_shared False: every layer has a vector of its own for each class."""
    del state["shared.weight"]
    for name in [name for name in state if ".gain." in name or ".bias." in name]:
        array = state.pop(name)
        if name.endswith("weight"):
            state[name] = np.zeros((7, len(array)), np.float32)


def thin(state):
    """D_wide False: a block's first layer keeps the width."""
    state["blocks.1.0.conv1.weight"] = state["blocks.1.0.conv1.weight"][:5]
    state["blocks.1.0.conv1.u0"] = state["blocks.1.0.conv1.u0"][:, :5]


def cut(name):
    return lambda state: state.update({name: state[name][..., :-1]})


def zero(name):
    return lambda state: state.update({name: 0 * state[name]})


G32, D64, DEEP8 = "32 px, cross replica", "64 px, mybn", "deep 8 px"
UNKNOWN = "expected a StyleGAN, PGGAN, BigGAN or metric network, got "
REFUSED = {
    "another discriminator's classes": (
        lambda: [states(G32)[0], writers.discriminator(SHALLOW[G32]._replace(classes=9))],
        r"wrong shape or value: discriminator/embedding \[9, 8\] instead of \[7, 8\]",
    ),
    "a thin discriminator": (lambda: changed(D64, thin, 1), "wrong shape or value: discriminator/block1/"),
    "discriminator alone": (lambda: states(G32)[1:], UNKNOWN + "a dict with .* names: blocks"),
    "two discriminators": (lambda: [*states(G32), states(G32)[1]], UNKNOWN),
    "two generators": (lambda: [states(G32)[0]] * 2, UNKNOWN),
    "two deep generators": (lambda: [states(DEEP8)[0]] * 2, UNKNOWN),
    "a deep generator with a discriminator": (lambda: [states(DEEP8)[0], states(G32)[1]], UNKNOWN),
    "two attentions": (lambda: changed(G32, second_attention), "BigGAN with one self-attention, got 2$"),
    "two attentions below": (
        lambda: changed(G32, lambda d: d.update({n.replace(".0.1.", ".1.1."): d[n] for n in list(d) if ".0.1." in n}), 1),
        "BigGAN with one self-attention, got 2$",
    ),
    "no shared embedding": (lambda: changed(G32, one_embedding_a_layer), UNKNOWN),
    "no embedding in a deep file": (lambda: changed(DEEP8, without("embeddings")), UNKNOWN),
    "a missing block": (lambda: changed(G32, without("blocks.1")), r"left over: .*generator/block2/"),
    "no first block": (lambda: changed(G32, without("blocks.0")), "a BigGAN with a shared embedding and numbered blocks"),
    "no last block": (lambda: changed(D64, without("blocks.3")), r"generator/bn/gain \[16\] instead of \[6\]"),
    "a missing deep block": (lambda: changed(DEEP8, without("generator.layers.1")), r"left over: .*generator/block2/"),
    "no statistics": (lambda: changed(G32, without("blocks.1.0.bn2.bn.running_var")), "missing: generator/block1/bn2/var"),
    "no statistics in a deep file": (lambda: changed(DEEP8, without("generator.bn.running")), "missing: generator/bn/mean"),
    "u0 of another kernel": (
        lambda: changed(G32, cut("linear.u0")),
        r"singular vectors of linear that fit its kernel \[128, 4\], got \[127\]",
    ),
    "u of another kernel": (lambda: changed(DEEP8, cut("generator.gen_z.weight_u")), "singular vectors of generator.gen_z that fit"),
    "v of another kernel": (lambda: changed(DEEP8, cut("generator.gen_z.weight_v")), "singular vectors of generator.gen_z that fit"),
    "a kernel of zeros": (lambda: changed(G32, zero("linear.weight")), "expected finite numbers in G.linear.weight"),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_does_not_fit_is_refused_in_one_line(case, tmp_path):
    contents, words = REFUSED[case]
    with pytest.raises(ValueError, match=words) as error:
        convert(*write(tmp_path, contents()))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


OUTSIDE = [("label", -1), ("label", 9), ("truncation", -0.4), ("truncation", 0.0), ("truncation", 1.5)]


@pytest.mark.parametrize(("setting", "value"), OUTSIDE)
def test_choices_outside_the_network_are_refused(setting, value, tmp_path, converted):
    words = rf"{setting} must be .*, got {value}$"
    with pytest.raises(ValueError, match=words):
        load_prior(converted("deep 8 px"), **{setting: value})
    with pytest.raises(ValueError, match=words):
        convert(*write(tmp_path, states("deep 8 px")), choice=Choice(**{setting: value}))


WITHOUT_CLASSES = {
    "PGGAN": {"layer0.conv.weight": np.ones((1, 1, 4, 4), "f4"), "layer0.wscale.bias": np.ones(1, "f4")},
    "StyleGAN1": {"blocks.4x4.const": np.ones((1, 1, 4, 4), "f4")},
}


@pytest.mark.parametrize(("setting", "value"), [("label", 0), ("truncation", 0.5)])
def test_networks_without_classes_take_no_choice(setting, value, tmp_path):
    for content in WITHOUT_CLASSES.values():
        with pytest.raises(ValueError, match=rf"expected no --{setting} for a network without classes, got {value}$"):
            convert(*write(tmp_path, [content]), choice=Choice(**{setting: value}))
    with pytest.raises(ValueError, match=f"expected no {setting} for a stylegan2 prior, got .*{value}"):
        load_prior(priors.default_source(), **{setting: value})
