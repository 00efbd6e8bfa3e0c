"""Large photos in windows: that they are what the network makes of the whole, in bounded memory."""

import functools

import jax
import numpy as np
import pytest
from restoration import tiles

from jaxsr.learned import KINDS
from jaxsr.nets import rrdb, srvgg, vdsr

# Networks that see at most 40 px of the photo around a pixel, and how much they enlarge.
NETS = {
    "rrdb 4x": ("rrdb", rrdb.Config(blocks=1, width=4, growth=2), 4),
    "rrdb 1x": ("rrdb", rrdb.Config(blocks=1, width=4, growth=2, ups=1, unshuffle=2), 1),
    "srvgg": ("srvgg", srvgg.Config(layers=2, width=4, factor=2), 2),
    "vdsr": ("vdsr", vdsr.Config(layers=3, width=4), 3),
}
MODULES = {"rrdb": rrdb, "srvgg": srvgg, "vdsr": vdsr}
HEIGHT, WIDTH = 131, 103


@functools.cache
def enlarging(name):
    """The network of a row, with parameters of which none is zero."""
    architecture, net, factor = NETS[name]
    rng, init = np.random.default_rng(0), MODULES[architecture].init
    begun = jax.jit(init, static_argnums=1)(jax.random.key(0), net)
    params = jax.tree.map(lambda x: np.float32(x + 0.2 * rng.normal(size=x.shape)), begun)
    whole = KINDS[architecture].whole
    return jax.jit(lambda image: whole(net, params, image, factor))


def photo(height, width):
    return np.random.default_rng(0).random((height, width, 3)).astype(np.float32)


def joined(name, image, window, margin):
    """The parts put together, each pixel once."""
    _, net, factor = NETS[name]
    made = np.full((image.shape[0] * factor, image.shape[1] * factor, 3), np.nan, np.float32)
    multiple = getattr(net, "unshuffle", 1)
    sizes = {"window": window, "margin": margin, "multiple": multiple}
    for place, part in tiles.parts(image, enlarging(name), factor, **sizes):
        assert np.isnan(made[place]).all()
        made[place] = part
    return made


@pytest.mark.parametrize("name", NETS)
def test_windows_make_what_the_network_makes_of_the_whole_photo(name):
    """Seams, a shift where a window begins, or an end of the photo that is another one's."""
    image = photo(HEIGHT, WIDTH)
    whole = np.asarray(enlarging(name)(image))
    np.testing.assert_allclose(joined(name, image, 100, 40), whole, atol=1e-4 * np.ptp(whole))
    without = joined(name, image, 20, 0)
    assert np.abs(without - whole).max() > 1e-3 * np.ptp(whole)  # windows alone make seams


@pytest.mark.parametrize("side", [1, 255, 256, 257, 449, 1000, 12_345])
def test_windows_follow_one_upon_the_other(side):
    """A line of pixels is left out or made twice, or too near to where a window ends."""
    found = tiles.spans(side)
    assert [found[0].first, *(span.end for span in found)] == [*(s.first for s in found), side]
    for span in found:
        assert span.stop - span.start == min(side, tiles.WINDOW)
        assert span.start == 0 or span.first - span.start >= tiles.MARGIN
        assert span.stop == side or span.stop - span.end >= tiles.MARGIN


def test_memory_and_compilations_do_not_grow_with_the_photo():
    """A large photo is seen at once, or compiled for anew at each of its windows."""
    sizes = set()

    def doubled(part):
        sizes.add(part.shape)
        return part.repeat(2, 0).repeat(2, 1)

    image = photo(700, 901)
    made = np.zeros((1400, 1802, 3), np.float32)
    for place, part in tiles.parts(image, doubled, 2):
        made[place] = part
    np.testing.assert_array_equal(made, image.repeat(2, 0).repeat(2, 1))
    assert sizes == {(tiles.WINDOW, tiles.WINDOW, 3)}
