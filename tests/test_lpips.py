"""LPIPS, diversity and identity: the published formula in numpy, laws, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_networks as reference

from jaxsr import metrics
from jaxsr.nets import alexnet, iresnet, squeezenet, vgg16

RANDOM = np.random.default_rng(1)
NETS = {
    "alex": (alexnet, reference.alexnet, (4, 12, 24, 16, 16)),
    "vgg": (vgg16, reference.vgg16, (4, 8, 16, 32, 32)),
    "squeeze": (squeezenet, reference.squeezenet, (4, 8, 16, 24, 24, 32, 32)),
}
PARAMS = {
    name: {
        name: {
            "backbone": reference.small(net.init),
            "heads": [RANDOM.uniform(size=n).astype(np.float32) for n in widths],
        }
    }
    for name, (net, _, widths) in NETS.items()
}
IMAGES = RANDOM.uniform(size=(4, 32, 32, 3)).astype(np.float32)
LPIPS = jax.jit(metrics.lpips)


def slow_layers(name):
    """The weighted squared differences [r, r'] of each map of the first two images, equation 1 of
    the paper before its mean."""
    tree, slow = PARAMS[name][name], NETS[name][1]
    maps = [
        [f / (np.sqrt((f**2).sum(-1, keepdims=True)) + 1e-10) for f in slow(tree["backbone"], x)]
        for x in IMAGES[:2]
    ]
    return [(head * (f - g) ** 2).sum(-1) for head, f, g in zip(tree["heads"], *maps, strict=True)]


@pytest.mark.parametrize("name", NETS)
def test_lpips_equals_the_formula(name):
    """In float64."""
    want = sum(layer.mean() for layer in slow_layers(name))
    np.testing.assert_allclose(LPIPS(PARAMS[name], *IMAGES[:2]), want, rtol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_lpips_is_zero_for_equal_images_symmetric_and_mappable(name):
    params = PARAMS[name]
    assert LPIPS(params, IMAGES[0], IMAGES[0]) == 0
    one = float(LPIPS(params, IMAGES[0], IMAGES[1]))
    np.testing.assert_allclose(LPIPS(params, IMAGES[1], IMAGES[0]), one, rtol=1e-6)
    many = jax.jit(jax.vmap(metrics.lpips, (None, None, 0)))(params, IMAGES[0], IMAGES)
    np.testing.assert_allclose(
        many, [LPIPS(params, IMAGES[0], x) for x in IMAGES], rtol=1e-5, atol=1e-7
    )


def test_lpips_is_linear_in_the_heads():
    """Each map's share can be had by zeroing the other heads."""
    tree = PARAMS["alex"]["alex"]
    alone = [
        {"alex": tree | {"heads": [h * (i == j) for j, h in enumerate(tree["heads"])]}}
        for i in range(5)
    ]
    parts = [float(LPIPS(params, *IMAGES[:2])) for params in alone]
    assert min(parts) > 0
    np.testing.assert_allclose(sum(parts), LPIPS(PARAMS["alex"], *IMAGES[:2]), rtol=1e-5)


def test_lpips_map_shows_where():
    """For VGG-16, whose maps divide the image, the map's mean is LPIPS; a change in a corner is
    largest there; none is zero."""
    params = PARAMS["vgg"]
    spatial = jax.jit(metrics.lpips_map)
    changed = IMAGES[0].copy()
    changed[:8, :8] = 1 - changed[:8, :8]
    where = np.asarray(spatial(params, changed, IMAGES[0]))
    assert where.shape == (32, 32)
    np.testing.assert_allclose(where.mean(), LPIPS(params, changed, IMAGES[0]), rtol=1e-5)
    assert where[:8, :8].mean() > 4 * where[16:, 16:].mean()
    assert not np.any(spatial(params, IMAGES[0], IMAGES[0]))


def test_lpips_map_enlarges_as_the_original():
    """Bilinear between pixel centres, clamped at the border, for the maps of AlexNet, which do not
    divide the image."""
    want = sum(reference.resize(layer[..., None], 32)[..., 0] for layer in slow_layers("alex"))
    np.testing.assert_allclose(
        jax.jit(metrics.lpips_map)(PARAMS["alex"], *IMAGES[:2]), want, rtol=1e-4, atol=1e-6
    )


def test_lpips_has_finite_derivatives_everywhere():
    """Where a pixel's features are all zero, the plain square root's gradient is NaN; e-GLASS takes
    products with the Hessian."""
    x, ref, v, u = jnp.asarray(IMAGES)
    dead = jax.tree.map(jnp.asarray, PARAMS["alex"])
    dead["alex"]["backbone"]["conv1"]["bias"] = jnp.full(4, -99.0)  # no feature above zero

    @jax.jit
    def products(params, v):
        return jax.jvp(lambda x: jax.grad(metrics.lpips, 1)(params, x, ref), (x,), (v,))

    assert np.isfinite(products(dead, v)).all()
    (gradient, hv), (_, hu) = products(PARAMS["alex"], v), products(PARAMS["alex"], u)
    assert np.abs(gradient).max() > 0 and np.abs(hv).max() > 0
    np.testing.assert_allclose(
        jnp.vdot(u, hv),
        jnp.vdot(v, hu),
        rtol=1e-3,
        atol=1e-4 * float(jnp.linalg.norm(u) * jnp.linalg.norm(hv)),
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "got nothing"),
        (PARAMS["alex"] | PARAMS["vgg"], "got alex, vgg"),
        ({"resnet": {}}, "got resnet"),
        ([1], "got list"),
    ],
)
def test_lpips_needs_one_network(params, words):
    """A backbone of one network with the heads of another would give a number too."""
    with pytest.raises(ValueError, match=f"exactly one of alex, vgg, squeeze, {words}"):
        metrics.lpips(params, IMAGES[0], IMAGES[1])


def test_lpips_refuses_other_shapes():
    with pytest.raises(ValueError, match="two images of one shape"):
        metrics.lpips(PARAMS["alex"], IMAGES[0], IMAGES[0, :1])
    with pytest.raises(ValueError, match="at least 31"):
        metrics.lpips_map(PARAMS["alex"], IMAGES[0, :16], IMAGES[1, :16])


@pytest.mark.parametrize("name", NETS)
def test_diversity_is_the_mean_over_pairs(name):
    """One pass an image against every pair by itself."""
    params = PARAMS[name]
    pairs = [float(LPIPS(params, IMAGES[i], IMAGES[j])) for i in range(4) for j in range(i)]
    ours = jax.jit(metrics.diversity)
    np.testing.assert_allclose(ours(params, IMAGES), np.mean(pairs), rtol=1e-5)
    np.testing.assert_allclose(ours(params, IMAGES[[0, 0, 0, 0]]), 0, atol=1e-7)


def test_mean_pairwise_takes_any_distance():
    def distance(x, y):
        return jnp.mean(jnp.abs(x - y))

    want = np.mean([np.abs(IMAGES[i] - IMAGES[j]).mean() for i in range(4) for j in range(i)])
    np.testing.assert_allclose(
        jax.jit(lambda x: metrics.mean_pairwise(distance, x))(IMAGES), want, rtol=1e-6
    )


@pytest.mark.parametrize("images", [IMAGES[:1], IMAGES[0], IMAGES[..., :2]])
def test_diversity_needs_two_images(images):
    """The mean over no pair is NaN."""
    for measure in (
        lambda x: metrics.diversity(PARAMS["alex"], x),
        lambda x: metrics.mean_pairwise(metrics.psnr, x),
    ):
        with pytest.raises(ValueError, match=r"expected images \[n >= 2, h, w, 3\]"):
            measure(images)


def test_identity_similarity():
    """One for equal faces; symmetric; the cosine of the embeddings, whatever their length."""
    params = reference.shallow()
    similarity = jax.jit(metrics.identity_similarity)
    faces = RANDOM.uniform(size=(2, 112, 112, 3)).astype(np.float32)
    np.testing.assert_allclose(similarity(params, faces[0], faces[0]), 1, atol=1e-6)
    other = float(similarity(params, *faces))
    np.testing.assert_allclose(
        other, reference.ir101(params, faces[0]) @ reference.ir101(params, faces[1]), atol=1e-5
    )
    assert other < 0.999
    np.testing.assert_allclose(similarity(params, faces[1], faces[0]), other, atol=1e-6)
    head = params["output"]
    doubled = params | {
        "output": head | {name: 2 * head[name] for name in ("kernel", "bias", "mean")}
    }
    np.testing.assert_allclose(similarity(doubled, *faces), other, atol=1e-6)


def test_a_face_of_another_size_is_resampled():
    """With antialiasing: reading one pixel of sixteen would let noise decide."""
    params, face = reference.shallow(), RANDOM.uniform(size=(112, 112, 3)).astype(np.float32)
    noisy = face.repeat(4, 0).repeat(4, 1) + RANDOM.normal(0, 0.5, (448, 448, 3)).astype(np.float32)
    small = jax.image.resize(noisy, face.shape, "bilinear", antialias=True)
    np.testing.assert_allclose(
        jax.jit(iresnet.embed)(params, noisy), reference.ir101(params, np.asarray(small)), atol=1e-5
    )
