"""BigGAN and BigGAN-deep: files in the released formats against a slow float64 reference, the laws
of the prior, and what is refused."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import ports_biggan as writers
import ports_files as files
import pytest

from jaxsr import load_prior, operators, priors, weights
from jaxsr.methods import METHODS
from jaxsr.nets import biggan
from ports.convert import convert
from ports.priors import Choice

SMALL = ["32 px, cross replica", "deep 8 px"]  # quick to compile, with attention


class Loaded(NamedTuple):
    """A prior, its parameters and its decode compiled."""

    prior: priors.Prior
    params: dict
    decode: Callable


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """(name, label, truncation) -> `Loaded`, each made once."""

    @functools.cache
    def converted(name):
        folder = tmp_path_factory.mktemp("biggan")
        params, config = convert(*write(folder, name))
        weights.save(folder / "prior", params, config | {"name": name})
        return folder / "prior"

    return functools.cache(
        lambda name, label=writers.LABEL, truncation=None: load(
            converted(name), label=label, truncation=truncation
        )
    )


def write(folder, name):
    return files.write(folder, writers.packed(writers.states(name)))


def load(folder, **chosen):
    prior, params = load_prior(folder, **chosen)
    return Loaded(prior, jax.tree.map(np.asarray, params), jax.jit(prior.decode))


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
    expected = writers.image(name, z, **chosen)
    assert 0.05 < np.abs(expected).mean() < 0.95  # neither flat nor saturated
    np.testing.assert_allclose(chw(it.decode(it.params, z)), expected, atol=1e-4)


@pytest.mark.parametrize("truncation", [None, 0.01, 0.4, writers.BETWEEN])
def test_deep_biggan_takes_the_statistics_of_its_truncation(truncation, loaded):
    """Between two truncations they lie on the line that joins theirs; without one they are those
    of 1."""
    it = loaded("deep 8 px", truncation=truncation)
    check_image("deep 8 px", it, truncation=truncation or 1.0)


@pytest.mark.parametrize("name", SMALL)
def test_all_classes_and_one_class_give_one_image(name, loaded):
    """Breaks when the latent of all classes is not [z, vector]; its samples must be of any class,
    and of one."""
    one, every = loaded(name), loaded(name, label=None)
    z = normal(3, one.prior.info.z_dim)
    assert every.prior.info.z_dim == len(z) + len(writers.vector(name))
    both = np.concatenate([z, writers.vector(name)]).astype(np.float32)
    np.testing.assert_allclose(
        one.decode(one.params, z), every.decode(every.params, both), atol=1e-6
    )
    drawn = samples(every, 50)[:, len(z) :]
    is_row = (drawn[:, None] == every.params["embedding"]).all(-1)
    assert (is_row.sum(1) == 1).all() and is_row.any(0).all()


@pytest.mark.parametrize(
    ("label", "truncation"), [(writers.LABEL, None), (writers.LABEL, 0.4), (None, 0.4), (None, 1.0)]
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
    params, config = convert(*write(tmp_path, name), choice=Choice(label=2, truncation=0.4))
    assert (config["label"], config["net"]["label"], config["net"]["truncation"]) == (2, 2, 0.4)
    weights.save(tmp_path / "prior", params, config)
    check_image(name, load(tmp_path / "prior", label=5), label=5, truncation=0.4)
    check_image(name, load(tmp_path / "prior", truncation=0.6), label=2, truncation=0.6)


def test_logits_do_not_depend_on_the_batch(loaded):
    prior, params, _ = loaded(SMALL[0])
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
    prior, params, _ = loaded(name)
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
    [(SMALL[0], None, "label, got none$"), (SMALL[1], writers.LABEL, "no discriminator")],
)
def test_what_the_discriminator_lacks_is_said(name, label, words, loaded):
    prior, params, _ = loaded(name, label)
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
