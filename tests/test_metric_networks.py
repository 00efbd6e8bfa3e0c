"""The fixed networks of metrics against slow numpy ones, and the weights that metrics find on
disk."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_networks as reference

from jaxsr import weights
from jaxsr.metrics import networks
from jaxsr.nets import alexnet, inception, iresnet, layers, squeezenet, vgg16

RANDOM = np.random.default_rng(0)
BACKBONES = {
    "alexnet": (alexnet, reference.alexnet),
    "vgg16": (vgg16, reference.vgg16),
    "squeezenet": (squeezenet, reference.squeezenet),
}


def image(height, width=None):
    return RANDOM.uniform(size=(height, width or height, 3)).astype(np.float32)


MAP = RANDOM.normal(size=(9, 8, 4)).astype(np.float32)
KERNEL = {"kernel": RANDOM.normal(size=(3, 1, 4, 5)).astype(np.float32)}
NORM = {"scale": MAP[0, 0], "bias": MAP[0, 1], "mean": MAP[0, 2], "var": MAP[0, 3] ** 2}
LAYERS = {
    "strided convolution": (
        lambda x: layers.conv(KERNEL, x, 2, ((1, 1), (0, 0))),
        lambda x: reference.conv(KERNEL, x, 2, (1, 0)),
    ),
    "convolution with bias": (
        lambda x: layers.conv(KERNEL | {"bias": np.ones(5, np.float32)}, x),
        lambda x: reference.conv(KERNEL, x) + 1,
    ),
    "max-pool that drops the rest": (
        lambda x: layers.max_pool(x, 3, 2),
        lambda x: reference.pool(x, 3, 2),
    ),
    "max-pool with a border": (
        lambda x: layers.max_pool(x - 9, 3, 1, layers.around(1)),
        lambda x: reference.pool(x - 9, 3, 1, 1),
    ),
    "max-pool of a last partial window": (
        lambda x: squeezenet._pool(x - 9),
        lambda x: reference.pool(x - 9, 3, 2, ceil=True),
    ),
    "mean that leaves the padding out": (layers.mean_pool, reference.mean),
    "batch norm": (
        lambda x: layers.batch_norm(NORM, x, 1e-3),
        lambda x: reference.norm(NORM, x, 1e-3),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_slow_ones(name):
    """A wrong border shifts every later map."""
    ours, slow = LAYERS[name]
    got, expected = jax.jit(ours)(MAP), slow(MAP)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(31, 36), (48, 41)])
@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_equal_slow_ones(name, shape):
    """Sides with every remainder of the pools; a batch gives what each image gives alone."""
    net, slow = BACKBONES[name]
    params, x = reference.small(net.init), np.stack([image(*shape), 3 * image(*shape) - 1])
    ours = jax.jit(jax.vmap(net.features, (None, 0)))(params, x)
    for i in range(2):
        expected = slow(params, x[i])
        assert len(ours) == len(expected)
        for got, want in zip(ours, expected, strict=True):
            np.testing.assert_allclose(got[i], want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


def test_vgg_gives_any_convolution_before_its_relu():
    """GLEAN's loss takes layer 21 of torchvision's list, conv4_3 with its negative values."""
    params, x = reference.small(vgg16.init), image(16)
    maps = jax.jit(vgg16.convolutions)(params, x)
    assert len(maps) == 13 and all(np.min(m) < 0 for m in maps.values())
    before = reference.vgg16(params, x)[2]
    want = (
        reference.conv(params["conv4_1"], reference.pool(before, 2, 2), 1, (1, 1))
        + params["conv4_1"]["bias"]
    )
    np.testing.assert_allclose(maps["conv4_1"], want, rtol=1e-4, atol=1e-5)


def test_inception_equals_a_slow_one():
    """Breaks when a branch, a border or a pool is another: FID would be another number."""
    params, x = reference.small(inception.init), image(20, 30)
    want = reference.inception(params, x)
    np.testing.assert_allclose(
        jax.jit(inception.features)(params, x), want, rtol=1e-4, atol=1e-5 * np.abs(want).max()
    )


def test_inception_shrinks_without_antialiasing(monkeypatch):
    """As pytorch-fid does: FID would be another number."""
    seen, x = [], image(299, 310)
    monkeypatch.setattr(inception, "STEPS", (lambda x: seen.append(x) or x,))
    inception.features({}, x)
    np.testing.assert_allclose(seen[0], 2 * reference.resize(x, 299) - 1, atol=1e-4)


def test_iresnet_equals_a_slow_one():
    """Stride, shortcuts, PReLU, and the order in which the head flattens."""
    params, x = reference.shallow(), np.stack([image(112), image(112)])
    ours = jax.jit(jax.vmap(iresnet.embed, (None, 0)))(params, x)
    np.testing.assert_allclose(ours, [reference.ir101(params, one) for one in x], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("net", "numbers"),
    [
        (alexnet, 2_469_696),
        (vgg16, 14_714_688),
        (squeezenet, 722_496),
        (inception, 21_785_568 + 2 * 17_216),
        (iresnet, 65_128_768 + 2 * 23_680),
    ],
)
def test_sizes_are_the_published_ones(net, numbers):
    """torchvision's counts without classifiers, running statistics added."""
    assert (
        sum(x.size for x in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0)))) == numbers
    )


@pytest.mark.parametrize(
    ("net", "shape", "words"),
    [
        (alexnet.features, (30, 64, 3), "at least 31 pixels"),
        (vgg16.features, (16, 15, 3), "at least 16 pixels"),
        (squeezenet.features, (64, 64), "at least 17 pixels"),
        (inception.features, (64, 64, 1), r"expected an image \[h, w, 3\]"),
        (iresnet.embed, (2, 64, 64, 3), r"expected an image \[h, w, 3\]"),
    ],
)
def test_networks_refuse_what_they_cannot_see(net, shape, words):
    """An empty map's mean would be NaN."""
    with pytest.raises(ValueError, match=words):
        net({}, jnp.zeros(shape))


@pytest.mark.parametrize("net", [alexnet, vgg16, squeezenet])
def test_the_smallest_image_is_the_smallest_with_every_map(net, monkeypatch):
    """A bound too high would refuse images that the original takes."""

    def sides(size):
        maps = jax.eval_shape(
            net.features, jax.eval_shape(net.init, jax.random.key(0)), jnp.zeros((size, size, 3))
        )
        return [min(x.shape) for x in maps]

    smallest = net.SMALLEST
    assert min(sides(smallest)) == 1
    monkeypatch.setattr(net, "SMALLEST", 1)
    assert min(sides(smallest - 1)) == 0


HEADS = [np.full(n, 0.5, np.float32) for n in (64, 192, 384, 256, 256)]
CONFIG = {"architecture": "lpips_alex", "source_sha256": networks.SOURCES["lpips_alex"].sha256}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAXSR_WEIGHTS", raising=False)
    return tmp_path


def test_weights_are_found_by_path_then_variable_then_cache(home, monkeypatch):
    """Each place in turn, and what was saved comes back."""
    places = {
        "cache": home / "cache" / "jaxsr" / "weights" / "lpips_alex",
        "named": home / "named" / "lpips_alex",
        "own": home / "own",
    }
    for place in places.values():
        weights.save(place, HEADS, CONFIG)
    assert networks.find("lpips_alex") == places["cache"]
    monkeypatch.setenv("JAXSR_WEIGHTS", str(home / "named"))
    assert networks.find("lpips_alex") == places["named"]
    assert networks.find("lpips_alex", places["own"]) == places["own"]
    jax.tree.map(np.testing.assert_array_equal, networks.load("lpips_alex"), HEADS)


def test_a_backbone_comes_back(home):
    """Nested names survive the folder."""
    params = jax.tree.map(
        lambda x: np.full(x.shape, 0.5, np.float32),
        jax.eval_shape(squeezenet.init, jax.random.key(0)),
    )
    weights.save(
        home / "s", params, {"architecture": "squeezenet", "source_sha256": "b8a52dc0" + "0" * 56}
    )
    jax.tree.map(np.testing.assert_array_equal, networks.load("squeezenet", home / "s"), params)


@pytest.mark.parametrize("name", networks.SOURCES)
def test_missing_weights_say_what_to_fetch(home, name):
    """One line: the file, its address, its licence, and where it goes."""
    source = networks.SOURCES[name]
    with pytest.raises(ValueError, match="no weights") as error:
        networks.load(name)
    text = str(error.value)
    assert all(
        part in text
        for part in (
            source.file,
            source.address,
            source.licence,
            f"{home}/cache/jaxsr/weights/{source.file if source.as_is else name}",
        )
    )
    assert "\n" not in text
    with pytest.raises(ValueError, match="elsewhere"):
        networks.load(name, home / "elsewhere")


@pytest.mark.parametrize(
    ("params", "config", "words"),
    [
        (
            HEADS,
            CONFIG | {"architecture": "lpips_vgg"},
            "expected architecture 'lpips_alex', got 'lpips_vgg'",
        ),
        (HEADS[:4], CONFIG, r"expected 4 \[256\], got nothing"),
        ([*HEADS[:4], np.ones(3, np.float32)], CONFIG, r"expected 4 \[256\], got 4 \[3\]"),
        ({"heads": HEADS}, CONFIG, r"and 2 more, got heads/0"),
        (HEADS, CONFIG | {"source_sha256": "ab" * 32}, "sha256 df73285e"),
        (HEADS, {"architecture": "lpips_alex"}, "no source_sha256"),
    ],
)
def test_other_weights_are_refused_in_one_line(home, params, config, words):
    """A distance by other weights than the published ones is another distance."""
    weights.save(home / "w", params, config)
    with pytest.raises(ValueError, match=words) as error:
        networks.load("lpips_alex", home / "w")
    assert "\n" not in str(error.value)


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="unknown network 'vgg19'"):
        networks.find("vgg19")


def test_every_source_has_an_initializer():
    """A row without one could be found and not checked."""
    assert set(networks._initializers()) == {
        name for name, source in networks.SOURCES.items() if not source.as_is
    }


def test_a_file_read_as_it_is_must_be_the_published_one(home, monkeypatch):
    """NIQE by other statistics than the published ones is another number."""
    monkeypatch.setenv("JAXSR_WEIGHTS", str(home))
    path = home / "niqe_pris_params.npz"
    path.write_bytes(b"another file")
    with pytest.raises(ValueError, match=r"expected niqe_pris_params.npz with sha256 2a7c182a"):
        networks.find("niqe")
    source = networks.SOURCES["niqe"]
    monkeypatch.setitem(
        networks.SOURCES,
        "niqe",
        source._replace(sha256=hashlib.sha256(b"another file").hexdigest()),
    )
    assert networks.find("niqe") == path
    with pytest.raises(ValueError, match="no parameters of a network"):
        networks.load("niqe")
