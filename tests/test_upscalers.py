"""The networks of ESRGAN, Real-ESRGAN and VDSR: counts of the official ones, and laws of what they
compute (test_ports_upscalers.py compares them with slow ones)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_upscalers as reference

from jaxsr.nets import conv_layers, rrdb, srvgg, vdsr

COUNTS = {
    "RRDB 4x": (rrdb, rrdb.Config(), 16_697_987),
    "RRDB 2x": (rrdb, rrdb.Config(unshuffle=2), 16_703_171),
    "RRDB 1x": (rrdb, rrdb.Config(unshuffle=4), 16_723_907),
    "RRDB of anime": (rrdb, rrdb.Config(blocks=6), 4_467_779),
    "RRDB 8x, small": (rrdb, rrdb.Config(blocks=4, width=32, growth=16, ups=3), 768_003),
    "SRVGG general": (srvgg, srvgg.Config(), 1_213_296),
    "SRVGG of anime": (srvgg, srvgg.Config(layers=16), 621_424),
    "VDSR": (vdsr, vdsr.Config(), 665_921),
    "VDSR without biases": (vdsr, vdsr.Config(bias=False), 664_704),
    "VDSR of RGB": (vdsr, vdsr.Config(channels=3), 668_227),
    "VDSR of RGB, small": (vdsr, vdsr.Config(layers=12, width=32, channels=3), 94_243),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_has_as_many_parameters_as_the_official_one(name):
    """A layer is missing, or has a bias that the official one lacks."""
    net, config, count = COUNTS[name]
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), config))
    assert sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes)) == count


SMALL = {
    "rrdb": (rrdb, rrdb.Config(blocks=1, width=4, growth=2, ups=1), 2),
    "rrdb 1x": (rrdb, rrdb.Config(blocks=1, width=4, growth=2, ups=1, unshuffle=2), 1),
    "srvgg": (srvgg, srvgg.Config(layers=1, width=4, factor=3), 3),
    "vdsr": (vdsr, vdsr.Config(layers=3, width=4), 1),
}


@functools.cache
def drawn(name):
    """Parameters of which none is zero."""
    net, config, _ = SMALL[name]
    rng = np.random.default_rng(0)
    begun = jax.jit(net.init, static_argnums=1)(jax.random.key(0), config)
    return jax.tree.map(lambda x: np.float32(x + 0.3 * rng.normal(size=x.shape)), begun)


@pytest.mark.parametrize("name", SMALL)
def test_photos_of_any_size_are_enlarged_alone_and_in_batches(name):
    """A photo whose sides are odd is refused or shifted, or one photo depends on another."""
    net, config, factor = SMALL[name]
    params = drawn(name)
    photos = jax.random.uniform(jax.random.key(1), (2, 5, 7, 3))
    restored = jax.jit(jax.vmap(lambda photo: net.restored(config, params, photo)))
    together = restored(photos)
    assert together.shape == (2, 5 * factor, 7 * factor, 3) and together.dtype == jnp.float32
    alone = restored(jnp.stack([photos[1], 0 * photos[0]]))[0]
    np.testing.assert_allclose(alone, together[1], atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_moves_the_result(name):
    """A layer is made and not used."""
    net, config, _ = SMALL[name]
    params = drawn(name)
    photo = jax.random.uniform(jax.random.key(1), (6, 6, 3))
    moved = jax.jit(jax.grad(lambda p: (net.restored(config, p, photo) ** 2).sum()))(params)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(moved))


def test_an_odd_photo_is_reflected_at_its_end():
    """Its last row is darkened by zeros, which the official inference has not."""
    _, config, _ = SMALL["rrdb 1x"]
    params = drawn("rrdb 1x")
    photo = np.random.default_rng(0).random((5, 6, 3), np.float32)
    whole = np.concatenate([photo, photo[3:4]])
    restored = jax.jit(lambda x: rrdb.restored(config, params, x))
    np.testing.assert_allclose(restored(photo), restored(whole)[:5], atol=1e-5)


def test_a_network_of_luma_leaves_chroma():
    """Colours change with the detail that is added."""
    _, config, _ = SMALL["vdsr"]
    params = drawn("vdsr")
    photo = np.random.default_rng(0).random((6, 6, 3), np.float32)
    added = np.asarray(vdsr.restored(config, params, photo) - photo)
    assert np.abs(added).max() > 1e-3
    chroma = np.array([[-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
    np.testing.assert_allclose(added @ chroma.T, 0, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 4])
def test_pixels_are_shuffled_and_back_as_in_pytorch(factor):
    """Channels are taken in TensorFlow's order, which gives another picture of the same sizes."""
    x = np.random.default_rng(0).random((8, 12, 3 * factor**2), np.float32)
    large = conv_layers.shuffled(jnp.asarray(x), factor)
    np.testing.assert_array_equal(large, np.float32(reference.shuffle(x, factor)))
    np.testing.assert_array_equal(conv_layers.unshuffled(large, factor), x)


@pytest.mark.parametrize(("side", "stride"), [(3, 1), (7, 1), (3, 2), (4, 2), (7, 2)])
def test_a_convolution_is_pytorchs(side, stride):
    """A kernel of stride 2 begins at another pixel."""
    layer = conv_layers.Conv(5, "float32", stride, side=side)
    x = np.random.default_rng(0).random((2, 8, 6, 3), np.float32)
    begun = jax.random.normal(jax.random.key(1), (side, side, 3, 5))
    params = {"kernel": begun, "bias": jnp.arange(5.0)}
    kernel = np.asarray(begun).transpose(3, 2, 0, 1)
    expected = [reference.conv(photo, kernel, np.arange(5), stride) for photo in x]
    made = jnp.asarray(layer.apply({"params": params}, x))
    np.testing.assert_allclose(made, expected, atol=1e-5)


BAD = {
    "no block": (lambda: rrdb.Config(blocks=0), "blocks must be at least 1, got 0"),
    "fewer ups than none": (lambda: rrdb.Config(ups=-1), "ups must be at least 0, got -1"),
    "unshuffle": (
        lambda: rrdb.Config(unshuffle=3),
        "expected an unshuffle of 1, 2 or 4, and at most 4 with 2 ups, got 3",
    ),
    "smaller": (lambda: rrdb.Config(ups=1, unshuffle=4), "at most 2 with 1 ups, got 4"),
    "factor": (lambda: srvgg.Config(factor=0), "factor must be at least 1, got 0"),
    "layers": (lambda: vdsr.Config(layers=2), "at least 3 layers .* got 2 layers"),
    "channels": (lambda: vdsr.Config(channels=4), "1 channel or 3, got .* and 4 channels"),
}


@pytest.mark.parametrize("name", BAD)
def test_sizes_that_cannot_be_are_told(name):
    """They surface as an error of a library, long after."""
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        make()
