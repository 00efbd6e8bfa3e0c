"""Networks of grey and of transparent pictures become networks of RGB that compute the same."""

import jax
import numpy as np
import pytest

from jaxsr.nets import progressive, stylegan2
from ports.channels import as_rgb

RNG = np.random.default_rng(3)
IMAGES = RNG.normal(size=(2, 4, 4, 3)).astype("f4")
FIRST, LAST = "discriminator/fromrgb", "synthesis/torgb"


def arrays(channels):
    return {
        f"{FIRST}/kernel": RNG.normal(size=(1, 1, channels, 5)).astype("f4"),
        f"{FIRST}/bias": RNG.normal(size=5).astype("f4"),
        f"{LAST}/kernel": RNG.normal(size=(6, channels)).astype("f4"),
        f"{LAST}/bias": RNG.normal(size=channels).astype("f4"),
        "other/kernel": np.ones((1, 1), np.float32),
    }


def seen(net, made, images):
    layer = {name: made[f"{FIRST}/{name}"] for name in ("kernel", "bias")}
    return jax.jit(net.apply)({"params": layer}, images)


def test_a_first_layer_of_grey_sees_the_grey_of_a_picture():
    """The discriminator of every architecture judges other pictures than its own did."""
    grey = arrays(1)
    made, told = as_rgb(grey)
    assert "grey" in told[0]
    for net in (stylegan2.Conv(5, 1), progressive.Conv(5, 1)):
        expected = seen(net, grey, IMAGES.mean(-1, keepdims=True))
        np.testing.assert_allclose(seen(net, made, IMAGES), expected, atol=1e-5)


def test_a_first_layer_of_rgba_sees_an_opaque_picture():
    """Transparency is taken for black, or colours are weighed anew."""
    made, told = as_rgb(rgba := arrays(4))
    opaque = np.concatenate([IMAGES, np.ones_like(IMAGES[..., :1])], -1)
    net = stylegan2.Conv(5, 1)
    np.testing.assert_allclose(seen(net, made, IMAGES), seen(net, rgba, opaque), atol=1e-5)
    assert "RGBA" in told[0]


def test_last_layers_draw_three_channels():
    """A grey picture is no RGB one, or colours and alpha change places."""
    for channels in (1, 4):
        given = arrays(channels)
        made, _ = as_rgb(given)
        for name in ("kernel", "bias"):
            for colour in range(3):
                source = given[f"{LAST}/{name}"][..., 0 if channels == 1 else colour]
                np.testing.assert_array_equal(made[f"{LAST}/{name}"][..., colour], source)
        np.testing.assert_array_equal(made["other/kernel"], given["other/kernel"])


def test_other_numbers_of_channels():
    """RGB is changed, or a network of two channels converts to one of nobody knows what."""
    rgb = arrays(3)
    assert as_rgb(rgb) == (rgb, ())
    with pytest.raises(ValueError, match="got one of 2 channels"):
        as_rgb(arrays(2))
