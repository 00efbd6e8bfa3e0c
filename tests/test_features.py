"""The feature network, its training, and the distances in its features."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr import metrics, weights
from jaxsr.nets import features as nets
from jaxsr.training import features as training

HEADS = (("type", ("blue", "red")), ("size", ("big", "middle", "small")))
NET = nets.Config(HEADS, resolution=16, widths=(4, 6, 5))
CONFIG = training.Config(batch=8, epochs=3, symmetry="none")


@functools.cache
def params():
    fresh = jax.jit(nets.init, static_argnums=1)(jax.random.key(0), NET)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + 0.1 * rng.normal(size=x.shape).astype(np.float32), fresh)


def slow_maps(p, image):
    """The network in float64 numpy, pixel by pixel, from its docstring."""

    def conv(x, layer):
        kernel = np.asarray(layer["kernel"], np.float64)
        kernel = kernel - kernel.mean((0, 1, 2))
        kernel = (
            kernel
            / np.sqrt((kernel**2).sum((0, 1, 2)) + 1e-8)
            * np.asarray(layer["gain"], np.float64)
        )
        padded, out = np.pad(x, ((1, 1), (1, 1), (0, 0))), np.zeros((*x.shape[:2], kernel.shape[3]))
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = np.einsum("ijc,ijcd->d", padded[i : i + 3, j : j + 3], kernel)
        return out + np.asarray(layer["bias"], np.float64)

    gain, x, maps = np.sqrt(2 / (1 - 1 / np.pi)), 4 * np.asarray(image, np.float64) - 2, []
    for i in range(3):
        x = x if i == 0 else (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
        x = gain * np.maximum(conv(x, p[f"stage{i}_in"]), 0)
        if i:
            x = gain * np.maximum(
                x + float(p[f"stage{i}_skip"]) * conv(x, p[f"stage{i}_residual"]), 0
            )
        maps.append(x)
    return maps


IMAGES = np.random.default_rng(1).uniform(size=(3, 16, 16, 3)).astype(np.float32)


def test_maps_equal_a_slow_network():
    """Breaks when the standardisation, the padding, the skip or the gains change: stored weights
    would mean something else."""
    net, p = nets.features(NET), params()
    expected = slow_maps(p, IMAGES[0])
    for made, slow in zip(jax.jit(net.maps)(p, IMAGES[0]), expected, strict=True):
        np.testing.assert_allclose(made, slow, atol=1e-4)
    np.testing.assert_allclose(
        jax.jit(net.vector)(p, IMAGES[0]), expected[-1].mean((0, 1)), atol=1e-4
    )
    assert {name: logits.shape for name, logits in jax.jit(net.read)(p, IMAGES[0]).items()} == {
        "type": (2,),
        "size": (3,),
    }


def test_distance_is_the_definitions():
    """0 for equal images, symmetric, and the sum over stages of squared differences of unit
    features."""
    net, p = nets.features(NET), params()
    distance = jax.jit(lambda p, x, y: metrics.feature_distance(net, p, x, y))
    units = [
        [m / np.sqrt((m**2).sum(-1, keepdims=True) + 1e-8) for m in slow_maps(p, image)]
        for image in IMAGES[:2]
    ]
    expected = sum(((a - b) ** 2).sum(-1).mean() for a, b in zip(*units, strict=True))
    np.testing.assert_allclose(distance(p, IMAGES[0], IMAGES[1]), expected, rtol=1e-3)
    np.testing.assert_allclose(
        distance(p, IMAGES[1], IMAGES[0]), distance(p, IMAGES[0], IMAGES[1]), rtol=1e-5
    )
    assert distance(p, IMAGES[0], IMAGES[0]) == 0
    with pytest.raises(ValueError, match="one shape"):
        metrics.feature_distance(net, p, IMAGES[0], IMAGES[0][:8])


def test_vmap_equals_loop_and_other_sizes_are_resized():
    net, p = nets.features(NET), params()
    many = jax.jit(jax.vmap(net.vector, (None, 0)))(p, IMAGES)
    np.testing.assert_allclose(
        many, np.stack([jax.jit(net.vector)(p, image) for image in IMAGES]), atol=1e-5
    )
    big = IMAGES[0].repeat(2, 0).repeat(2, 1)
    small = jax.image.resize(jnp.asarray(big), (16, 16, 3), "linear")
    vector = jax.jit(net.vector)
    np.testing.assert_allclose(vector(p, big), vector(p, small), atol=1e-5)


def discs(seed, count=48):
    """Red or blue discs of three sizes on grey, and their labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16] - 7.5
    rows, made = [], []
    for _ in range(count):
        colour, size = rng.integers(2), rng.integers(3)
        picture = 128 + rng.integers(-20, 20, (16, 16, 3))
        picture[np.hypot(x, y) < (7, 5, 3)[size]] = ((0, 0, 220), (220, 0, 0))[colour]
        made.append(picture.astype(np.uint8))
        rows.append(
            {"type": HEADS[0][1][colour], "size": HEADS[1][1][size] if rng.uniform() < 0.8 else ""}
        )
    return np.stack(made), rows


def test_learns_to_read_what_is_there(tmp_path):
    """End to end: discs of two colours are told apart on pictures that it never saw, though some
    labels are missing."""
    train, rows = discs(0, 192)
    test, test_rows = discs(1, 64)
    net = nets.features(nets.Config(training.heads_of(rows, ["type", "size"]), 16, (8, 12)))
    assert net.config.heads == HEADS
    config = training.Config(batch=16, epochs=10, learning_rate=1e-2, symmetry="flip")
    made = training.fit(
        net, config, train, training.encode(rows, HEADS), tmp_path, say=lambda _: None
    )
    table = training.accuracies(
        net, made, test / np.float32(255), training.encode(test_rows, HEADS)
    )
    assert table["type"]["accuracy"] > 0.95 and table["type"]["photos"] == 64
    assert table["size"]["photos"] == sum(bool(row["size"]) for row in test_rows)


def test_unknown_labels_have_no_gradient():
    """A missing label must not teach anything: neither its own head nor, through it, the rest."""
    net = nets.features(NET)
    labels = np.array([[0, training.UNKNOWN]] * 3)
    grads = jax.jit(jax.grad(lambda p: training.loss(net, CONFIG, p, IMAGES, labels)))(params())
    assert all(np.abs(leaf).max() == 0 for leaf in jax.tree.leaves(grads["head_size"]))
    assert np.abs(grads["head_type"]["kernel"]).max() > 0


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path):
    stock, rows = discs(2)
    labels = training.encode(rows, HEADS)
    net = nets.features(NET)
    whole = training.fit(net, CONFIG, stock, labels, tmp_path / "whole", say=lambda _: None)

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(net, CONFIG, stock, labels, tmp_path / "parts", say=stop)
    parts = training.fit(net, CONFIG, stock, labels, tmp_path / "parts", say=lambda _: None)
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    with pytest.raises(ValueError, match="holds a run with photos"):
        training.fit(net, CONFIG, stock[::-1], labels, tmp_path / "parts", say=lambda _: None)


def test_bundled_network_reads_cells():
    """The asset that the evaluation measures with: it loads, fits its config, and says who trained
    it."""
    net, p = metrics.load_features()
    assert net.config.heads[0][0] == "cell_class" and len(net.config.heads[0][1]) == 7
    assert jax.eval_shape(net.vector, p, np.zeros((64, 64, 3), np.float32)).shape == (128,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "vgg16"}, "expected a feature network's"),
        ({"net": {}}, "expected a feature network's"),
        (None, "do not fit"),
    ],
    ids=["architecture", "config", "arrays"],
)
def test_wrong_folders_are_refused(change, words, tmp_path):
    record = {
        "architecture": "features",
        "net": {"heads": HEADS, "resolution": 16, "widths": NET.widths},
    }
    weights.save(
        tmp_path / "net", params() if change else {"head": jnp.zeros(3)}, record | (change or {})
    )
    with pytest.raises(ValueError, match=words):
        metrics.load_features(tmp_path / "net")
    with pytest.raises(ValueError, match="unknown feature network 'pbc46': did you mean 'pbc64'"):
        metrics.load_features("pbc46")
