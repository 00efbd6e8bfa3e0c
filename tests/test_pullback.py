"""geometry: the pulled-back metric against jax.hessian in float64, dense and matrix-free eigenpairs
against each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from jax.flatten_util import ravel_pytree

from jaxsr import metrics
from jaxsr.explore import pullback

FEATURES, _ = metrics.load_features()


def area(image):
    return image.reshape(4, 4, 4, 4, 3).mean((1, 3))


# name -> (params, image) -> pytree whose squared distance is the metric
MAPS = {
    "measurement": lambda params, image: area(image),
    "tree": lambda params, image: {"grey": image.mean(-1), "square": image**2},
    "discriminator": metrics.embedding("discriminator", toy.prior().discriminate).embed,
}
LATENTS = {
    "z": lambda params, key: toy._sample(key, params),
    "w_plus and noise": lambda params, key: {
        "w_plus": jax.random.normal(key, (6, 8)),
        "noise": toy._random_noise(key)[:2],
    },
}


def decode(params, latent):
    if not isinstance(latent, dict):
        return toy._decode(params, latent)
    return toy._synthesize(params, latent["w_plus"], latent["noise"] + params["noise"][2:])


@functools.cache
def toy_params():
    return jax.jit(functools.partial(toy.params, flow=False))(jax.random.key(0))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("name", "space"), [("measurement", "z"), ("discriminator", "z"), ("tree", "w_plus and noise")]
)
def test_metric_is_half_the_hessian(name, space, whole, monkeypatch):
    """A factor, a transpose or the order of a raveled tree is wrong, a second derivative is missing
    at the solution, maps that share their work are mixed up, or a Jacobian that is not held whole
    is another."""
    monkeypatch.setattr(pullback, "GRAM_BYTES", 2**29 if whole else 0)
    params, latent = toy_params(), LATENTS[space](toy_params(), jax.random.key(1))
    with jax.enable_x64(True):
        params, latent = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (params, latent))
        flat, unravel = ravel_pytree(latent)

        def phi(latent):
            return MAPS[name](params, decode(params, latent))

        @jax.jit
        def both(v):
            here = ravel_pytree(phi(unravel(v)))[0]
            hessian = jax.hessian(
                lambda u: 0.5 * jnp.sum((ravel_pytree(phi(unravel(u)))[0] - here) ** 2)
            )(v)
            maps = lambda latent: (phi(latent), jax.tree.map(lambda x: 2 * x, phi(latent)))  # noqa: E731
            return hessian, pullback.metrics(maps, unravel(v), chunk=3)

        hessian, (found, fourfold) = both(flat)
        assert found.dtype == jnp.float64
        assert jnp.linalg.norm(found - hessian) <= 1e-6 * jnp.linalg.norm(hessian)
        assert jnp.linalg.norm(fourfold - 4 * hessian) <= 4e-6 * jnp.linalg.norm(hessian)


def test_linearised_map_is_its_value_and_both_derivatives():
    """J and J^T are not each other's transpose, or the value is of another point."""
    phi = lambda z: {"a": jnp.sin(z), "b": z[:2] * z[2]}  # noqa: E731
    at, z = pullback.linearise(phi, jnp.arange(3.0)), jnp.arange(3.0)
    jacobian = jnp.concatenate([jnp.diag(jnp.cos(z)), jnp.array([[2.0, 0, 0], [0, 2.0, 1.0]])])
    np.testing.assert_allclose(at.value, jnp.concatenate([jnp.sin(z), z[:2] * 2.0]), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(at.jvp)(jnp.eye(3)).T, jacobian, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(at.vjp)(jnp.eye(5)), jacobian, rtol=1e-6)


@functools.cache
def matrix(decay: float, size: int = 96) -> np.ndarray:
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0]
    return (basis * decay ** np.arange(size)) @ basis.T


def products(h: np.ndarray):
    return jax.jit(lambda rows: rows @ jnp.asarray(h, jnp.float32))


@pytest.mark.parametrize("decay", [0.6, 0.9, 0.98])
def test_matrix_free_pairs_are_the_dense_ones(decay):
    """The Krylov method stops early, returns the wrong end of the spectrum, or its vectors are not
    orthonormal."""
    h, k = matrix(decay), 12
    values, vectors = np.linalg.eigh(h)
    found = pullback.top_eigen(products(h), len(h), k, jax.random.key(0))
    np.testing.assert_allclose(found.values, values[::-1][:k], rtol=1e-4)
    np.testing.assert_allclose(
        np.abs(np.sum(found.vectors * vectors[:, ::-1][:, :k], 0)), 1.0, atol=1e-4
    )
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(k), atol=1e-10)
    np.testing.assert_allclose(found.trace, np.trace(h), rtol=0.05)


def test_dense_pairs_are_sorted_and_rebuild_the_matrix():
    h = matrix(0.9)
    found = pullback.eigen(h.astype(np.float32))
    assert found.vectors.dtype == np.float64
    assert (np.diff(found.values) <= 0).all()
    np.testing.assert_allclose(found.vectors * found.values @ found.vectors.T, h, atol=1e-7)
    np.testing.assert_allclose(found.trace, np.trace(h), rtol=1e-6)


def test_every_direction_of_a_small_space_can_be_asked_for():
    """k near d, where blocks no longer fit into the space."""
    h = matrix(0.9, 20)
    found = pullback.top_eigen(products(h), 20, 20, jax.random.key(1))
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(h)[::-1], rtol=1e-3)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(20), atol=1e-10)


def test_all_products_of_a_spectrum_are_one_program():
    """A call has another number of rows than the first, and is compiled again."""
    h = products(matrix(0.9))
    pullback.top_eigen(h, 96, 12, jax.random.key(0))
    assert h._cache_size() == 1


BAD = [
    (np.full((4, 4), np.nan), "expected a finite Hessian, got 16 of"),
    (np.zeros((4, 4)), "expected a Hessian of rank 1 or more, got 0 of 4"),
    (np.diag([1.0, 1.0, 0.0, 0.0]), "expected a Hessian of rank 3 or more, got 2 of 4"),
]


@pytest.mark.parametrize(("h", "message"), BAD)
def test_bad_hessians_are_one_line(h, message):
    """A Hessian that means nothing becomes directions that mean nothing."""
    rank = 3 if "rank 3" in message else 1
    for find in (
        lambda: pullback.eigen(h, rank=rank),
        lambda: pullback.top_eigen(products(h), 4, 4, jax.random.key(0), rank=rank),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            find()
        assert "\n" not in str(raised.value)


# Embeddings: the squared distance is the metric


def lpips_params():
    from jaxsr.nets import squeezenet

    key = jax.random.key(0)
    widths = (64, 128, 256, 384, 384, 512, 512)
    heads = [
        jax.random.uniform(jax.random.fold_in(key, i), (width,)) for i, width in enumerate(widths)
    ]
    return {"squeeze": {"backbone": squeezenet.init(key), "heads": heads}}


def pair(side: int):
    return tuple(jax.random.uniform(jax.random.key(i), (side, side, 3)) for i in range(2))


def test_embeddings_are_the_published_metrics():
    """A weight, a mean or the clipping of an embedding differs from the metric of its name."""
    x, ref = pair(32)
    squeeze, trees = jax.jit(lpips_params)(), metrics.load_embedding("features")
    lpips, own = (
        metrics.embedding(name, toy.prior().discriminate) for name in ("lpips_squeeze", "features")
    )

    @jax.jit
    def both(squeeze, trees):
        found = (
            lpips.distance({"perceptual_embedding": squeeze}, x, ref),
            own.distance(trees, x, ref),
        )
        return found, (
            metrics.lpips(squeeze, x, ref),
            metrics.feature_distance(FEATURES, trees["perceptual_embedding"], x, ref),
        )

    np.testing.assert_allclose(*both(squeeze, trees), rtol=1e-5)
    assert own.name == "features pbc64"


def test_the_discriminators_distance_is_a_mean_over_places():
    """By hand: unit vectors at each place of each map."""
    params, (x, ref) = toy_params(), pair(16)
    total = 0.0
    for f, g in zip(
        *(toy.prior().discriminate(params, image[None])[1] for image in (x, ref)), strict=True
    ):
        a, b = (np.asarray(m[0]) / np.linalg.norm(m[0], axis=-1, keepdims=True) for m in (f, g))
        total += np.mean(np.sum((a - b) ** 2, -1))
    found = metrics.embedding("discriminator", toy.prior().discriminate).distance(params, x, ref)
    np.testing.assert_allclose(found, total, rtol=1e-4)


def test_networks_without_weights_say_where_they_come_from(tmp_path, monkeypatch):
    """A missing network is replaced in silence, or nothing is found though a bundled one is
    there."""
    monkeypatch.setenv("JAXSR_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="no weights 'alexnet': fetch"):
        metrics.load_embedding("lpips_alex")
    assert metrics.available() == "features"
    assert metrics.load_embedding("discriminator") == {}
