"""BigGAN and BigGAN-deep: files in the released formats against a slow float64 reference, the laws
of the prior, and what is refused."""

import functools
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import ports_biggan as writers
import ports_files as files
import pytest
import reference_biggan as reference

from jaxsr import load_prior, loading, operators, priors, weights
from jaxsr.methods import METHODS
from jaxsr.nets import biggan
from ports import spectral
from ports.convert import convert
from ports.priors import Choice

SHALLOW = {
    "32 px, cross replica": writers.Shallow(
        (8, 8, 8, 8),
        attention=2,
        part=0,
        first=4,
        statistics="bn.running",
        below=(8, 8, 8, 8),
        below_attention=1,
    ),
    "64 px, mybn": writers.Shallow(
        (12, 10, 8, 6, 16),
        attention=4,
        statistics="bn.stored",
        below=(8, 5, 6, 7, 9),
        below_attention=1,
    ),
    "128 px": writers.Shallow(
        (12, 10, 9, 6, 8, 4), attention=4, below=(8, 5, 6, 7, 9, 9), below_attention=1
    ),
    "256 px, no attention": writers.Shallow((12, 10, 8, 6, 5, 4, 3)),
    "16 px, not normalised": writers.Shallow((8, 6, 6), vectors=()),
    "512 px, from TensorFlow Hub": writers.Shallow(
        (12, 10, 8, 7, 16, 4, 3, 2), attention=4, vectors=("u0",)
    ),
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


class Loaded(NamedTuple):
    """A prior, its parameters, its decode compiled, and one entry for each compilation."""

    prior: priors.Prior
    params: dict
    decode: Callable
    traces: list


@pytest.fixture(scope="module")
def loaded(converted):
    """(name, label, truncation) -> `Loaded`, each made once."""
    return functools.cache(
        lambda name, label=LABEL, truncation=None: load(
            converted(name), label=label, truncation=truncation
        )
    )


def load(folder, **chosen):
    prior, params = load_prior(folder, **chosen)
    traces = []

    def decode(params, z):
        traces.append(chosen)
        return prior.decode(params, z)

    return Loaded(prior, jax.tree.map(np.asarray, params), jax.jit(decode), traces)


def vector(name, label=LABEL):
    """What the generator's file has for a class."""
    state = states(name)[0]
    return np.float64(
        state["embeddings.weight"][:, label] if name in DEEP else state["shared.weight"][label]
    )


def expected_image(name, z, label=LABEL, truncation=1.0):
    state, z = states(name)[0], np.float64(z)
    if name in DEEP:
        return reference.deep_generator(state, z, vector(name, label), truncation)
    return reference.generator(state, z, vector(name, label), 1e-4 if "Hub" in name else 1e-5)


def chw(images):
    """HWC in [0, 1] -> CHW in [-1, 1]."""
    return np.moveaxis(2 * np.asarray(images, np.float64) - 1, -1, -3)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def samples(it, count):
    return np.asarray(
        jax.jit(jax.vmap(it.prior.sample, (0, None)))(
            jax.random.split(jax.random.key(4), count), it.params
        )
    )


def check_image(name, it, **chosen):
    z = normal(0, it.prior.info.z_dim)
    expected = expected_image(name, z, **chosen)
    assert 0.05 < np.abs(expected).mean() < 0.95  # neither flat nor saturated
    np.testing.assert_allclose(chw(it.decode(it.params, z)), expected, atol=1e-4)


@pytest.mark.parametrize("name", sorted(SHALLOW))
def test_biggan_of_a_file_equals_the_paper(name, loaded):
    """Breaks when a kernel's layout or norm, a part of z, a statistic, an eps or the place of
    attention is not the file's; logits too."""
    it = loaded(name)
    check_image(name, it)
    if not SHALLOW[name].below:
        return
    images = (
        np.random.default_rng(1)
        .uniform(size=(2, it.prior.info.resolution, it.prior.info.resolution, 3))
        .astype(np.float32)
    )
    logits, features = jax.jit(it.prior.discriminate)(it.params, images)
    logit, expected = reference.discriminator(states(name)[1], chw(images[1]), LABEL)
    np.testing.assert_allclose(logits[1], logit, atol=1e-4)
    for got, block in zip(features, expected, strict=True):
        np.testing.assert_allclose(np.moveaxis(got[1], -1, 0), block, atol=1e-4)


TRUNCATED = [("deep 8 px", truncation) for truncation in (None, 0.01, 0.4, BETWEEN)]
TRUNCATED += [("deep 128 px", 0.4), ("deep 256 px", BETWEEN), ("deep 512 px", 1.0)]


@pytest.mark.parametrize(("name", "truncation"), TRUNCATED)
def test_deep_biggan_of_a_file_equals_the_paper(name, truncation, loaded):
    """Breaks when a block's layers, its shortcut, the first layer's pixels or the statistics of the
    truncation are not the file's.

    Between two truncations the statistics lie on the line that joins theirs; without one they are
    those of 1.
    """
    check_image(name, loaded(name, truncation=truncation), truncation=truncation or 1.0)


@pytest.mark.parametrize("name", SMALL)
def test_all_classes_and_one_class_give_one_image(name, loaded):
    """Breaks when the latent of all classes is not [z, vector]; its samples must be of any class,
    and of one."""
    one, every = loaded(name), loaded(name, label=None)
    z = normal(3, one.prior.info.z_dim)
    assert every.prior.info.z_dim == len(z) + len(vector(name))
    both = np.concatenate([z, vector(name)]).astype(np.float32)
    np.testing.assert_allclose(
        one.decode(one.params, z), every.decode(every.params, both), atol=1e-6
    )
    drawn = samples(every, 50)[:, len(z) :]
    is_row = (drawn[:, None] == every.params["embedding"]).all(-1)
    assert (is_row.sum(1) == 1).all() and is_row.any(0).all()


@pytest.mark.parametrize(
    ("label", "truncation"), [(LABEL, None), (LABEL, 0.4), (None, 0.4), (None, 1.0)]
)
def test_samples_are_normal_or_truncated(label, truncation, loaded):
    """Breaks when a truncated z leaves +-2 truncation, is clipped there instead of drawn anew, or
    is cut where nothing was asked for."""
    it = loaded("deep 8 px", label, truncation)
    z = samples(it, 4_000)[:, :6]
    # Of a normal cut at +-2.
    scale, std = (1.0, 1.0) if truncation is None else (truncation, 0.8796)
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
    check_image(name, load(tmp_path / "prior", label=5), label=5, truncation=0.4)
    check_image(name, load(tmp_path / "prior", truncation=0.6), label=2, truncation=0.6)


def test_command_takes_label_and_truncation(tmp_path):
    """As a user starts it, generator and discriminator in two files."""
    sources = [f"--source={path}" for path in write(tmp_path, states(SMALL[0]))]
    script = Path(__file__).parents[1] / "ports" / "convert.py"
    flags = [*sources, f"--out={tmp_path / 'out'}", "--label=0", "--truncation=0.5"]
    done = subprocess.run(
        [sys.executable, script, *flags], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["architecture"], config["name"], config["source"]) == (
        "biggan",
        "out",
        "0.pth, 1.pth",
    )
    assert config["source_format"] == "BigGAN-PyTorch, torch zip, torch legacy"
    assert (config["net"]["label"], config["net"]["truncation"]) == (0, 0.5)


@pytest.mark.parametrize("name", SMALL)
def test_torchs_two_formats_hold_the_same(name, tmp_path):
    once, again = (
        convert(*write(tmp_path, states(name), forms))[0]
        for forms in ([files.zipped], [files.legacy])
    )
    jax.tree.map(np.testing.assert_array_equal, once, again)


@pytest.mark.parametrize("name", SMALL)
def test_vmap_equals_loop(name, loaded):
    """A photo must not depend on its neighbours in the batch."""
    it = loaded(name)
    zs = normal(5, 3, it.prior.info.z_dim)
    batch = jax.jit(jax.vmap(it.prior.decode, (None, 0)))(it.params, zs)
    np.testing.assert_allclose(batch, np.stack([it.decode(it.params, z) for z in zs]), atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_finite_and_forward_mode_equals_reverse_mode(name, loaded):
    """Searches follow the one, e-GLASS needs the other; at z = 0 too, where a search may start."""
    prior, params, _, _ = loaded(name)
    point = params["generator"]["attention"], normal(6, prior.info.z_dim)
    weight = normal(7, prior.info.resolution, prior.info.resolution, 3)

    def objective(attention, z):
        return jnp.vdot(
            weight,
            prior.decode(params | {"generator": params["generator"] | {"attention": attention}}, z),
        )

    gradient_of = jax.jit(jax.grad(objective, (0, 1)))
    gradient, at_zero = (
        jax.tree.map(np.asarray, gradient_of(point[0], z)) for z in (point[1], 0 * point[1])
    )
    directions = jax.tree.map(lambda x: normal(8, *x.shape), point)
    _, forward = jax.jit(lambda at, to: jax.jvp(objective, at, to))(point, directions)
    reverse = sum(jax.tree.leaves(jax.tree.map(np.vdot, gradient, directions)))
    np.testing.assert_allclose(forward, reverse, rtol=1e-3)
    assert all(
        np.isfinite(x).all() and np.abs(x).max() > 0 for x in jax.tree.leaves((gradient, at_zero))
    )


@pytest.mark.parametrize("name", SMALL)
def test_other_parameters_compile_nothing(name, loaded):
    it, z = loaded(name), normal(0, loaded(name).prior.info.z_dim)
    images = [
        np.asarray(it.decode(jax.tree.map(lambda x, s=s: np.float32(s) * x, it.params), z))
        for s in (1, 2)
    ]
    assert len(it.traces) == 1 and np.abs(images[0] - images[1]).max() > 1e-3


def test_logits_do_not_depend_on_the_batch(loaded):
    prior, params, _, _ = loaded(SMALL[0])
    images = normal(9, 3, 32, 32, 3)
    discriminate = jax.jit(prior.discriminate)
    (together, features), (alone, features_alone) = (
        discriminate(params, images),
        discriminate(params, images[1:2]),
    )
    assert together.shape == (3,) and [f.shape[0] for f in features] == [3] * 4
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-5)
    np.testing.assert_allclose(features_alone[-1][0], features[-1][1], atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
def test_the_shortcut_of_a_deep_block_drops_channels(up):
    """With its last layer at zero a block gives the first half of its input's channels, whose
    pixels repeat where it doubles the side."""
    block, x, condition = (
        biggan.DeepBlock(biggan.Config(deep=True), 4, up),
        normal(0, 1, 4, 4, 8),
        np.ones(5, np.float32),
    )
    shapes = jax.eval_shape(block.init, jax.random.key(1), x, condition)["params"]
    params = {
        name: jax.tree.map(lambda leaf, name=name: np.full(leaf.shape, name != "conv3", "f4"), p)
        for name, p in shapes.items()
    }
    expected = np.kron(x[..., :4], np.ones((1, 2, 2, 1))) if up else x[..., :4]
    np.testing.assert_array_equal(jax.jit(block.apply)({"params": params}, x, condition), expected)


@pytest.mark.parametrize(
    ("name", "z_dim", "blocks", "side"), [(SMALL[0], 4, 3, 32), (SMALL[1], 6, 2, 8)]
)
def test_the_prior_has_no_w_space(name, z_dim, blocks, side, loaded):
    prior, params, _, _ = loaded(name)
    assert prior.info[:6] == (name, side, z_dim, 0, blocks, ()) and prior.info.licence
    assert prior.map is None and prior.synthesize is None
    assert [
        prior.noise(kind, params, jax.random.key(0)) for kind in ("const", "none", "random")
    ] == [()] * 3
    operator = operators.downsample(4, image_shape=(side, side, 3), kernel="box")
    for method in sorted(name for name, row in METHODS.items() if not row.any_prior):
        with pytest.raises(
            ValueError, match=rf"^method {method} needs a prior with a w space: '{name}' has none$"
        ):
            METHODS[method].make(prior, operator)


@pytest.mark.parametrize(
    ("name", "label", "words"),
    [(SMALL[0], None, "label, got none$"), (SMALL[1], LABEL, "no discriminator")],
)
def test_what_the_discriminator_lacks_is_said(name, label, words, loaded):
    prior, params, _, _ = loaded(name, label)
    with pytest.raises(ValueError, match=words):
        prior.discriminate(params, np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="no discriminator"):
        biggan.biggan(biggan.Config(label=0)).discriminate({}, np.zeros((1, 8, 8, 3), np.float32))


@pytest.mark.parametrize(
    ("config", "part", "count"),
    [
        (biggan.Config(), "generator", 70_305_988),
        (
            biggan.Config(
                discriminator_channels=(96, 192, 384, 768, 1536, 1536), discriminator_attention=1
            ),
            "discriminator",
            87_982_370,
        ),
    ],
)
def test_official_sizes(config, part, count):
    """128 px: as many parameters as the released code has; statistics are none."""
    leaves = jax.tree_util.tree_leaves_with_path(
        jax.eval_shape(lambda: biggan.init(jax.random.key(0), config))[part]
    )
    assert sum(x.size for path, x in leaves if path[-1].key not in ("mean", "var")) == count


SPECTRAL_SHAPES = [(1, 5), (3, 4), (4, 3), (6, 1, 1, 1), (6, 2, 1, 1), (8, 4, 3, 3)]


@pytest.mark.parametrize("shape", SPECTRAL_SHAPES)
@pytest.mark.parametrize("kept", ["u0", "u and v"])
def test_converged_vectors_make_the_largest_singular_value_one(shape, kept):
    """Breaks when a kernel is flattened along another axis, or divided by another value than the
    largest."""
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    left, values, right = np.linalg.svd(kernel.reshape(len(kernel), -1))
    u0 = {"a.weight": kernel, "a.u0": left[None, :, 0], "a.sv0": values[:1], "a.bias": kernel[0]}
    both = {
        "a.weight_orig": kernel,
        "a.weight_u": left[:, 0],
        "a.weight_v": right[0],
        "a.bias": kernel[0],
    }
    result = spectral.normalised(
        {name: spectral.NDArray(array) for name, array in (u0 if kept == "u0" else both).items()}
    )
    assert sorted(result) == ["a.bias", "a.weight"]
    normalised = spectral.as_array(result["a.weight"])
    assert np.linalg.svd(normalised.reshape(len(kernel), -1))[1][0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(normalised, kernel / values[0], atol=1e-6)


def changed(name, change, part=0):
    """The files' contents with one network's state dict changed."""
    contents = [dict(state) for state in states(name)]
    change(contents[part])
    return contents


G32, G64, DEEP8 = "32 px, cross replica", "64 px, mybn", "deep 8 px"
UNKNOWN = "expected a StyleGAN, PGGAN, BigGAN or metric network, got "
REFUSED = {
    "other classes below": (
        lambda: [states(G32)[0], writers.discriminator(SHALLOW[G32]._replace(classes=9))],
        r"\[9, 8\] instead of \[7",
    ),
    "a smaller image's discriminator": (
        lambda: [states("128 px")[0], states(G64)[1]],
        "a discriminator of 6 blocks .* got 5$",
    ),
    "a larger image's discriminator": (
        lambda: [states(G32)[0], states(G64)[1]],
        "a discriminator of 4 blocks .* 32 px need, got 5$",
    ),
    "a thin discriminator": (
        lambda: changed(G64, writers.thin, 1),
        r"discriminator/block1/conv2/bias \[5\] instead of \[8\]",
    ),
    "discriminator alone": (lambda: states(G32)[1:], UNKNOWN + "a dict with .* names: blocks"),
    "two discriminators": (lambda: [*states(G32), states(G32)[1]], UNKNOWN),
    "two generators": (lambda: [states(G32)[0]] * 2, UNKNOWN),
    "two deep generators": (lambda: [states(DEEP8)[0]] * 2, UNKNOWN),
    "a deep generator with a discriminator": (lambda: [states(DEEP8)[0], states(G32)[1]], UNKNOWN),
    "a generator with something else": (
        lambda: [states(G32)[0], {"a": np.zeros(3, "f4")}],
        UNKNOWN,
    ),
    "two attentions": (
        lambda: changed(G32, writers.second_attention),
        "BigGAN with one self-attention, got 2$",
    ),
    "two attentions below": (
        lambda: changed(G32, writers.second_attention, 1),
        "BigGAN with one self-attention, got 2$",
    ),
    "no shared embedding": (lambda: changed(G32, writers.one_embedding_a_layer), UNKNOWN),
    "no embedding in a deep file": (lambda: changed(DEEP8, writers.without("embeddings")), UNKNOWN),
    "a missing block": (
        lambda: changed(G32, writers.without("blocks.1"))[:1],
        r"left over: .*generator/block2/",
    ),
    "no first block": (
        lambda: changed(G32, writers.without("blocks.0")),
        "a BigGAN with a shared embedding and numbered blocks",
    ),
    "no last block": (
        lambda: changed(G64, writers.without("blocks.3"))[:1],
        r"generator/bn/gain \[16\] instead of \[6\]",
    ),
    "a missing block below": (
        lambda: changed(G64, writers.without("blocks.2"), 1),
        "a discriminator of 5 blocks .* 64 px need, got 4$",
    ),
    "a missing deep block": (
        lambda: changed(DEEP8, writers.without("generator.layers.2")),
        r"generator/bn/gain \[8\] instead of \[16\]",
    ),
    "no statistics": (
        lambda: changed(G32, writers.without("blocks.1.0.bn2.bn.running_var")),
        "missing: generator/block1/bn2/var",
    ),
    "no statistics in a deep file": (
        lambda: changed(DEEP8, writers.without("generator.bn.running")),
        "missing: generator/bn/mean",
    ),
    "sums of statistics": (
        lambda: changed(G64, writers.standing_sums),
        "wrong shape or value: G.blocks.0.0.bn1.bn.accumulation_counter",
    ),
    "u0 of another kernel": (
        lambda: changed(G32, writers.cut("linear.u0")),
        r"vectors of linear that fit its kernel \[128, 4\], got",
    ),
    "u of another kernel": (
        lambda: changed(DEEP8, writers.cut("generator.gen_z.weight_u")),
        "vectors of generator.gen_z that fit",
    ),
    "v of another kernel": (
        lambda: changed(DEEP8, writers.cut("generator.gen_z.weight_v")),
        "vectors of generator.gen_z that fit",
    ),
    "an empty kernel": (
        lambda: changed(G32, writers.empty("linear")),
        r"vectors of linear that fit its kernel \[0, 4\], got \[0\]",
    ),
    "a kernel of zeros": (
        lambda: changed(G32, writers.zero("linear.weight")),
        "expected a positive singular value of linear, got 0",
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_does_not_fit_is_refused_in_one_line(case, tmp_path):
    contents, words = REFUSED[case]
    with pytest.raises(ValueError, match=words) as error:
        convert(*write(tmp_path, contents()))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("setting", "value"), [("label", -1), ("label", 9), ("truncation", 0.0), ("truncation", 1.5)]
)
def test_choices_outside_the_network_are_refused(setting, value, tmp_path, converted):
    words = rf"{setting} must be .*, got {value}$"
    with pytest.raises(ValueError, match=words):
        load_prior(converted("deep 8 px"), **{setting: value})
    with pytest.raises(ValueError, match=words):
        convert(*write(tmp_path, states("deep 8 px")), choice=Choice(**{setting: value}))
    with pytest.raises(ValueError, match=r"expected no dtype for a biggan prior, got .*bfloat16"):
        load_prior(converted("deep 8 px"), dtype="bfloat16")


WITHOUT_CLASSES = {
    "PGGAN": {
        "layer0.conv.weight": np.ones((1, 1, 4, 4), "f4"),
        "layer0.wscale.bias": np.ones(1, "f4"),
    },
    "StyleGAN1": {
        "blocks.4x4.const": np.ones((1, 1, 4, 4), "f4"),
        "dense0.weight": np.ones((1, 1), "f4"),
    },
}


@pytest.mark.parametrize(("setting", "value"), [("label", 0), ("truncation", 0.5)])
def test_networks_without_classes_take_no_choice(setting, value, tmp_path):
    for content in WITHOUT_CLASSES.values():
        with pytest.raises(
            ValueError,
            match=rf"expected no --{setting} for a network without classes, got {value}$",
        ):
            convert(*write(tmp_path, [content]), choice=Choice(**{setting: value}))
    with pytest.raises(
        ValueError, match=f"expected no {setting} for a stylegan2 prior, got .*{value}"
    ):
        load_prior(loading.default_source(), **{setting: value})
