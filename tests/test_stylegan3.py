"""StyleGAN3: its filters against a slow reference, what its paper promises of shifts and turns, and
what a prior without noise maps offers. Whole networks are compared in test_architectures.py."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_stylegan3 as reference
from architectures import fresh, traced
from ports_stylegan3 import R, T, random_params

from jaxsr import explore, flows, learned, metrics, operators, priors
from jaxsr.methods import METHODS
from jaxsr.metrics import perceptual
from jaxsr.nets import stylegan3, stylegan3_filters


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


FILTERED = [
    (config, number)
    for config in (T, R, dataclasses.replace(T, margin=7, clamp=1.5))
    for number in range(T.layers)
]


def filtered(x, how, clamp):
    return stylegan3_filters.filtered_lrelu(x, how, gain=np.sqrt(2), slope=0.2, clamp=clamp)


@pytest.mark.parametrize(("config", "number"), FILTERED)
def test_filtered_lrelu_equals_zeros_filters_and_strides(config, number):
    """Breaks when a phase is another, a map lies half a sample aside, or a clamp comes after the
    filter; up 2 and 4, both filters, maps that are cut."""
    how = stylegan3.layers(config)[number].how
    assert how is not None
    given = reference.signals(config)[max(number - 1, 0)].side + config.side - 1
    x = normal(0, given, given, 3)
    up, down = reference.filters(config, number)
    expected = reference.activated(
        np.moveaxis(x.astype(float), -1, 0), up, down, how.side, config.clamp
    )
    got = jax.jit(filtered, static_argnums=(1, 2))(x, how, config.clamp)
    np.testing.assert_allclose(np.moveaxis(got, -1, 0), expected, atol=1e-5)
    assert how.up == (4 if number == 1 else 2) and np.abs(expected).max() > 0.3


def test_few_channels_at_a_time_compute_the_same(monkeypatch):
    """A map of 1,024 px is another than its channels, or its gradient is."""
    how, x, weight = stylegan3.layers(T)[0].how, normal(0, 18, 18, 5), normal(1, 16, 16, 5)
    assert how is not None

    def both(x):
        return jax.value_and_grad(lambda x: jnp.vdot(weight, filtered(x, how, 256.0)))(x)

    whole = jax.jit(both)(x)
    monkeypatch.setattr(stylegan3_filters, "MOST", 2 * (how.up * 22) ** 2)
    parts = jax.jit(lambda x: both(x))(x)
    assert "scan" in str(jax.make_jaxpr(lambda x: filtered(x, how, 256.0))(x))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), whole, parts)


def test_shifted_sums_are_their_own_transposes():
    """<S x, y> = <x, S' y>, twice over and for several maps: a gradient would be another's."""
    table = (((0, -1, 2, 0.5), (1, 0, 0, 2.0)), ((1, 3, -2, -1.0),), ((0, 0, 0, 1.0),))
    x, y = normal(0, 2, 2, 5, 6, 3), normal(1, 2, 3, 4, 7, 3)

    def sums(x):
        return stylegan3_filters.shifted_sums(x, table, (4, 7))

    expected = np.zeros(y.shape, np.float64)
    for made, row in enumerate(table):
        for phase, down, right, weight in row:
            for i, j in np.ndindex(4, 7):
                if 0 <= i + down < 5 and 0 <= j + right < 6:
                    expected[:, made, i, j] += weight * x[:, phase, i + down, j + right]
    made, back = jax.vjp(sums, x)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.vdot(made, y), np.vdot(x, back(y)[0]), rtol=1e-4)
    there = jax.vjp(back, y)[1]((x,))[0]
    np.testing.assert_allclose(there, made, rtol=1e-5, atol=1e-6)
    alone = np.stack([sums(x[:, None, phase].repeat(2, 1)) for phase in (0, 1)], 1)
    together = jax.vmap(lambda x: sums(x[:, None].repeat(2, 1)), 1, 1)(x)
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def pictures(config, *transforms):
    """Images of one random w+, with the Fourier features turned and shifted, and how much they
    vary from pixel to pixel."""
    params = random_params(config)["synthesis"]
    w_plus = jnp.asarray(normal(3, config.num_layers, config.w_dim))

    @jax.jit
    def draw(transform):
        affine = {"kernel": jnp.zeros((config.w_dim, 4)), "bias": transform}
        turned = params | {"input": params["input"] | {"affine": affine}}
        return stylegan3.synthesis(config, turned, w_plus)

    images = [np.asarray(draw(np.array(t, "f4"))) for t in transforms]
    return *images, np.std(images[0], (0, 1)).mean()


def test_turned_features_draw_a_turned_picture():
    """R's kernels of 1 x 1 and radial filters know no direction, T's of 3 x 3 do: a filter that is
    not symmetric, or a map that is not in the middle, shows."""
    for config, turns in ((R, True), (T, False)):
        upright, turned, varied = pictures(config, (1, 0, 0, 0), (0, 1, 0, 0))
        apart = np.abs(np.rot90(upright) - turned).max() / varied
        assert (apart < 1e-3) if turns else (apart > 1)


def _aliased(x, how, *, gain, slope, clamp):
    """A leaky ReLU on the map's own grid, and linear interpolation."""
    y = jnp.where(x > 0, gain * x, gain * slope * x)
    scale = jnp.full(2, how.up / how.down)
    shape, moved = (how.side, how.side, x.shape[-1]), (how.side - scale * x.shape[0]) / 2
    return jax.image.scale_and_translate(y, shape, (0, 1), scale, moved, "linear")


def test_shifted_features_draw_a_shifted_picture(monkeypatch):
    """Translation equivariance (section 4), of a pixel, half a sample of the first map: details
    stick to the grid where filters are missing, or let more pass than a grid can hold."""

    def error():
        here, there, varied = pictures(T, (1, 0, 0, 0), (1, 0, 1 / 16, 0))
        assert np.abs(there - here).mean() > 0.2 * varied
        return np.abs(there[3:-3, 4:-3] - here[3:-3, 3:-4]).mean() / varied

    filtered = error()
    monkeypatch.setattr(stylegan3, "filtered_lrelu", _aliased)
    assert filtered < 0.01 and error() > 10 * filtered


@functools.cache
def prior_of():
    """The small prior, with statistics of w."""
    prior, params = fresh("stylegan3")
    made = jax.jit(
        lambda p: priors.latent_statistics(prior, p, jax.random.key(0), num_samples=1000)
    )(params)
    return prior, params | {"statistics": made}


def test_spaces_agree_without_noise():
    """z, w, w+ and styles are ways to the same image; a search of noise finds no maps."""
    prior, params = prior_of()
    z = normal(1, prior.info.z_dim)
    w = jax.jit(prior.map)(params, z)
    w_plus = priors.tile(prior, w)
    assert prior.noise("random", params, jax.random.key(0)) == () == prior.info.noise_shapes
    spaces = (priors.in_w, priors.in_w_plus, priors.in_w_plus_noise, priors.in_styles)
    latents = (w, w_plus, {"w_plus": w_plus, "noise": ()}, prior.styles(params, w_plus))

    head, tail = prior.split(1)

    @jax.jit
    def images(params, latents):
        drawn = [space(prior).decode(params, x) for space, x in zip(spaces, latents, strict=True)]
        return [*drawn, tail(params, head(params, z))]

    expected = traced("stylegan3")[0](params, z)
    for image in images(params, latents):
        np.testing.assert_allclose(image, expected, atol=1e-5)


def test_every_style_changes_the_image():
    """Breaks when a layer's style, or the turn of the features, leads nowhere."""
    prior, params = prior_of()
    styles = prior.styles(params, normal(2, prior.info.num_layers, prior.info.w_dim))
    slopes = jax.jit(
        jax.grad(lambda s: jnp.sum(jnp.cos(priors.in_styles(prior).decode(params, s))))
    )(styles)
    assert len(slopes) == prior.info.num_layers
    assert all(np.abs(slope).max() > 1e-7 for slope in slopes.values())


X2 = operators.downsample(2, image_shape=(8, 8, 3))
QUICK = {
    "w_steps": 1,
    "w_plus_steps": 1,
    "style_steps": 1,
    "smallest": 1,
    "refine_steps": 1,
    "starts": 1,
    "steps": 1,
    "codes": 2,
    "composing_layer": 2,
    "samples": 2,
    "network": "features",
    "side": "as_is",
}
OF_W = [name for name, row in METHODS.items() if row.kind == "search"]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "pulse" else pytest.mark.slow) for n in OF_W]
)
def test_every_search_runs_on_it(name):
    """A method takes noise maps, or an image after each block, for granted."""
    prior, params = prior_of()
    flow = flows.init(jax.random.key(2), flows.Config(dim=8, hidden=16, num_blocks=2))
    params = params | perceptual.load("features") | {"flow": flow}
    fields = {field.name for field in dataclasses.fields(METHODS[name].Config)}
    config = METHODS[name].Config(**{k: v for k, v in QUICK.items() if k in fields})
    y = X2(prior.decode(params, normal(4, prior.info.z_dim)))
    result = jax.jit(METHODS[name].make(prior, X2, config))(jax.random.key(1), params, y)
    assert result.image.shape == (8, 8, 3) and np.isfinite(result.residual)
    assert jax.tree.leaves(result.latent) and not jax.tree.leaves(result.latent.get("noise"))


@pytest.mark.parametrize("name", [n for n, row in learned.RESTORERS.items() if not row.is_free])
def test_restorers_of_noise_maps_and_blocks_are_refused(name):
    """A traceback from deep inside of a network that feeds maps in place of noise."""
    prior, params = prior_of()
    with pytest.raises(ValueError, match=f"^method {name} needs a prior with noise maps") as told:
        learned.sized(name, prior, params, X2)
    assert "\n" not in str(told.value)


@pytest.mark.slow
@pytest.mark.parametrize("space", ["w_plus", "styles"])
def test_it_is_explored(space):
    """e-GLASS finds no solution beside the first one, in w+ or by styles."""
    prior, params = prior_of()
    small = {"way": "generalized", "num_solutions": 1, "steps": 3, "bisections": 4, "chunk": 4}
    config = explore.Config(space=space, perceptual="features", **small)
    params = params | metrics.load_embedding("features")
    told = explore.problem(prior, X2, config)
    w_plus = normal(5, prior.info.num_layers, prior.info.w_dim)
    start = explore.start(prior, space, params, {"w_plus": jnp.asarray(w_plus)})
    np.testing.assert_allclose(
        told.draw(params, start, start.latent), prior.synthesize(params, w_plus, ()), atol=1e-5
    )
    result = explore.explore(told, params, start, told.measure(params, start, start.latent))
    assert len(result.solutions) == 1


WIDE = (*(1024,) * 7, 645, 406, 256, 161, 102, 64, 64)  # R has twice T's channels


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [({}, 22_313_167), ({"side": 1, "radial": True, "maps": WIDE}, 15_093_151)],
    ids=["T", "R"],
)
def test_official_sizes(settings, parameters):
    """1,024 px as published: 16 w, maps of these sides, and as many trained numbers."""
    config = stylegan3.Config(**settings)
    shapes = jax.eval_shape(lambda: stylegan3.init(jax.random.key(0), config))
    fixed = ("frequencies", "phases", "magnitude")
    count = sum(
        leaf.size
        for path, leaf in jax.tree_util.tree_leaves_with_path(
            (shapes["mapping"], shapes["synthesis"])
        )
        if path[-1].key not in fixed
    )
    sides = [36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024]
    assert [signal.side for signal in stylegan3.signals(config)] == sides
    assert (config.num_layers, count) == (16, parameters)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"critical": 0}, "critical must be from 1 to below layers, 14, got 0"),
        ({"side": 2}, "expected a side of 1 or 3"),
        ({"maps": (4, 4)}, "maps must give 14 widths"),
        ({"first_stopband": 1.0}, "expected 0 < first_cutoff < first_stopband"),
        ({"layers": 3, "resolution": 1024}, "sampling rates must at most quadruple"),
    ],
)
def test_impossible_sizes_are_refused(settings, words):
    """A damaged config.json would end in a traceback from deep inside the network."""
    with pytest.raises(ValueError, match=words):
        stylegan3.Config(**{"resolution": 64, **settings})
