"""Every part of LAREN matters: a law for its equations as they begin, and for the model that comes
with the package."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxsr
from jaxsr import learned, loading, operators, weights
from jaxsr.learned.codes import maps_as_noise
from jaxsr.nets import laren_modules
from jaxsr.nets.encoder import Encoder

X8 = operators.downsample(8, image_shape=(64, 64, 3))
SIZES = learned.Sizes(blocks=1, width=8, growth=4, capped=True)
# Of the standard deviation of pictures over photos.
LEAST_SHARE = 0.02


@functools.cache
def prior_of():
    return loading.load_prior("pbc64")


def examples():
    folder = loading.prior_folder("pbc64") / "examples"
    return np.stack([jaxsr.images.read(path) for path in sorted(folder.glob("*.png"))])


@functools.cache
def network(name):
    prior, params = prior_of()
    if name == "bundled":
        folder = learned.find("laren", prior, X8)
        return learned.read_net(folder), weights.load(folder)[0]
    net = learned.sized("laren", prior, params, X8, SIZES)
    return net, jax.jit(learned.bind(net, prior, X8).init)(jax.random.key(1), params)


@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.vmap, in_axes=(None, None, 0, None, None))
def drawn(net, params, y, kept_g, kept_c):
    """The picture of a measurement, where some of the codes g [N, H] and c [N, F] are zero."""
    prior, given = prior_of()
    z, _ = Encoder(net.encoder).apply({"params": params["encoder"]}, learned.seen(prior, X8, y))
    g = laren_modules.Disentangle(net.graph).apply({"params": params["gdm"]}, z)
    g = g * kept_g[:, None]
    c = laren_modules.Generate(net.graph).apply({"params": params["cgm"]}, g) * kept_c[:, None]
    maps = laren_modules.Maps(net.graph).apply({"params": params["maps"]}, c)
    w_plus = learned.as_w_plus(net, prior, given, g)
    return prior.synthesize(given, w_plus, maps_as_noise(net, given, maps))


def without_recursion(params):
    carries = {n: 0 * leaf for n, leaf in params["cgm"].items() if n.startswith("carry")}
    return params | {"cgm": params["cgm"] | carries}


def without_relation(params):
    extract = params["gdm"]["extract"]
    middle = extract["taps"].shape[1] // 2
    taps = extract["taps"].at[:, middle].set(0)
    return params | {"gdm": params["gdm"] | {"extract": extract | {"taps": taps}}}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fresh", "bundled"])
def test_every_part_changes_the_picture(name):
    """Equations that are computed and change nothing: W_t of Eq. 3, Eq. 1's relation, a layer's
    code g or c (the last ones have no noise map)."""
    net, params = network(name)
    ys, layers = jnp.asarray(examples()), net.graph.layers
    kept, maps = np.ones(layers, np.float32), len(net.graph.noise_shapes)
    whole = np.asarray(drawn(net, params, ys, kept, kept))
    expected = jax.vmap(
        lambda y: learned.bind(net, prior_of()[0], X8).restore(
            jax.random.key(0), prior_of()[1], params, y
        )[0]
    )
    if name == "fresh":  # the bundled one is restored elsewhere
        np.testing.assert_allclose(whole, jax.jit(expected)(ys), atol=1e-4)
    without = {
        "W_t": (without_recursion(params), kept, kept),
        "relation": (without_relation(params), kept, kept),
    }
    one = [np.where(np.arange(layers) == n, 0, kept).astype(np.float32) for n in range(layers)]
    without |= {f"g_{n + 1}": (params, one[n], kept) for n in range(layers)}
    without |= {f"c_{n + 1}": (params, kept, one[n]) for n in range(maps)}
    spread = whole.std(0).mean()
    shares = {
        part: np.sqrt(np.mean((drawn(net, changed, ys, g, c) - whole) ** 2)) / spread
        for part, (changed, g, c) in without.items()
    }
    assert len(shares) == 2 + layers + maps
    assert min(shares.values()) > LEAST_SHARE, shares
