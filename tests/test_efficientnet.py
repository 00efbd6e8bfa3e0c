"""EfficientNet-Lite0 against a slow one in float64, its fast depthwise convolution against XLA's,
and the way from its file to a folder."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import ports_files as files
import pytest
from jax import lax
from reference_networks import windows

from jaxsr import weights
from jaxsr.metrics import networks
from jaxsr.nets import efficientnet
from ports import convert

NAME = "efficientnet_lite0"
# (kernel, stride, expansion, added to the input, tapped) of each block, as the paper's table reads.
TABLE = [
    *[(3, 1, 1, False, False)],
    *[(3, 2, 6, False, False), (3, 1, 6, True, True)],
    *[(5, 2, 6, False, False), (5, 1, 6, True, True)],
    *[(3, 2, 6, False, False), (3, 1, 6, True, False), (3, 1, 6, True, False)],
    *[(5, 1, 6, False, False), (5, 1, 6, True, False), (5, 1, 6, True, True)],
    *[
        (5, 2, 6, False, False),
        (5, 1, 6, True, False),
        (5, 1, 6, True, False),
        (5, 1, 6, True, False),
    ],
    *[(3, 1, 6, False, True)],
]
NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def same_windows(x, side, stride):
    """[h', w', c, side, side]: what each place of a "SAME" convolution sees, by TensorFlow's own
    two cases for what is added."""
    added = [max(side - (n % stride or stride), 0) for n in x.shape[:2]]
    before = [n // 2 for n in added]
    return windows(
        x, side, side, stride, 0, before, [n - b for n, b in zip(added, before, strict=True)]
    )


def slow(image, layer):
    """The maps; layer(name, x, side of the kernel, stride) is a convolution before its
    activation."""

    def relu6(x):
        return np.clip(x, 0, 6)

    x = relu6(layer("stem", 2 * np.float64(image) - 1, 3, 2))
    taps = []
    for i, (side, stride, expansion, added, tapped) in enumerate(TABLE):
        y = relu6(layer(f"blocks/{i}/expand", x, 1, 1)) if expansion > 1 else x
        y = relu6(layer(f"blocks/{i}/depthwise", y, side, stride))
        y = layer(f"blocks/{i}/project", y, 1, 1)
        x = x + y if added else y
        taps += [x] if tapped else []
    return taps


def small():
    """Random folded parameters of an eighth of the widths; large biases, not kernels, which enlarge
    rounding, bring activations past 6."""
    random = np.random.default_rng(0)

    def draw(path, leaf):
        shape = tuple(n // 8 if n >= 16 else n for n in leaf.shape)
        inputs = np.prod(shape[:2] if path[-2].key == "depthwise" else shape[:-1])
        return np.float32(
            random.normal(size=shape) * (3 if path[-1].key == "bias" else 1 / np.sqrt(inputs))
        )

    return jax.tree_util.tree_map_with_path(
        draw, jax.eval_shape(efficientnet.init, jax.random.key(0))
    )


def close(ours, expected):
    """Within what float32 loses in 16 blocks of random weights."""
    assert len(ours) == len(expected) == 4
    for got, want in zip(ours, expected, strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.std(want))


def test_maps_equal_slow_ones():
    """Fails for another border, stride, cap or shortcut than the published weights were trained
    with; every map has odd and even sides."""
    params, images = (
        small(),
        np.random.default_rng(1).uniform(size=(2, 65, 64, 3)).astype(np.float32),
    )
    beyond = []

    def layer(name, x, side, stride):
        kind, *place = name.split("/")
        own = params[kind][int(place[0])][place[1]] if place else params[kind]
        seen, kernel = same_windows(x, side, stride), np.float64(own["kernel"])
        if name.endswith("depthwise"):
            y = np.einsum("hwcij,ijc->hwc", seen, kernel) + own["bias"]
        else:
            y = (
                np.einsum(
                    "hwcij,ijcd->hwd",
                    seen,
                    kernel.reshape(side, side, x.shape[-1], -1),
                    optimize=True,
                )
                + own["bias"]
            )
        beyond.append(np.mean(y > 6))
        return y

    ours = jax.jit(jax.vmap(efficientnet.maps, (None, 0)))(params, images)
    for i, image in enumerate(images):
        close([x[i] for x in ours], slow(image, layer))
    assert np.mean(beyond) > 0.02, "the cap of ReLU6 was not tried"


def test_vector_is_the_mean_of_the_last_map(monkeypatch):
    """Fails when a Frechet distance is measured on other numbers than the docstring says."""
    given = [
        np.random.default_rng(n).normal(size=(8 - n, 5, 3)).astype(np.float32) for n in range(4)
    ]
    monkeypatch.setattr(efficientnet, "maps", lambda params, image: given)
    np.testing.assert_allclose(
        efficientnet.vector({}, np.zeros((32, 32, 3))),
        given[3].reshape(-1, 3).mean(0),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("side", "stride", "shape"),
    [
        (3, 1, (6, 9)),
        (3, 2, (6, 9)),
        (5, 1, (4, 7)),
        (5, 2, (8, 5)),
        (3, 2, (1, 2)),
        (5, 2, (2, 1)),
    ],
)
def test_depthwise_and_its_gradients_equal_those_of_xla(side, stride, shape):
    """Fails when the own derivative goes wrong: guided pictures would follow another slope than
    that of the distance."""
    random = np.random.default_rng(2)
    x, kernel = (
        random.normal(size=(2, *shape, 4)).astype(np.float32),
        random.normal(size=(side, side, 4)).astype(np.float32),
    )

    def grouped(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x,
            kernel[:, :, None],
            (stride,) * 2,
            "SAME",
            dimension_numbers=numbers,
            feature_group_count=4,
        )

    def ours(x, kernel):
        return jax.vmap(lambda one: efficientnet.depthwise(one, kernel, stride))(x)

    results = []
    for function in (ours, grouped):
        y, gradient = jax.vjp(jax.jit(function), x, kernel)
        results.append(
            (y, *gradient(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)))
        )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *results)


def test_full_size_has_the_published_widths():
    """Fails when the network has other layers than the published one: 4,652,008 numbers with the
    last layers."""
    params = jax.eval_shape(efficientnet.init, jax.random.key(0))
    shapes = [x.shape for x in jax.eval_shape(efficientnet.maps, params, jnp.zeros((64, 65, 3)))]
    assert shapes == [(16, 17, 24), (8, 9, 40), (4, 5, 112), (2, 3, 320)]
    leaves, last_layers = jax.tree.leaves(params), 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    scales = sum(x.size for x in leaves if x.ndim == 1)  # one beside every bias, folded away
    assert sum(x.size for x in leaves) + scales == 4_652_008 - last_layers


@pytest.mark.parametrize("shape", [(31, 64, 3), (64, 31, 3), (64, 64), (64, 64, 1), (2, 64, 64, 3)])
def test_other_images_are_refused_in_one_line(shape):
    """Fails when a picture that the network cannot see gives a number all the same, or a trace of
    XLA's."""
    for function in (efficientnet.maps, efficientnet.vector):
        with pytest.raises(
            ValueError,
            match=r"^expected an image \[h, w, 3\] of at least 32 pixels a side, got .*$",
        ):
            function({}, jnp.zeros(shape))


@functools.cache
def published():
    """{the file's names: random arrays}, no array at its default."""
    random = np.random.default_rng(4)
    state = {
        "_conv_head.weight": np.ones((4, 5, 1, 1)),
        "_bn1.num_batches_tracked": np.array(3),
        "_fc.bias": np.ones(2),
    }

    def add(conv, norm, *shape):
        state[f"{conv}.weight"] = random.normal(size=shape) * np.sqrt(1 / np.prod(shape[1:]))
        for ours, theirs in NORM.items():
            around_one = ours in ("scale", "var")
            state[f"{norm}.{theirs}"] = (
                random.uniform(0.5, 1.5, shape[0]) if around_one else random.normal(size=shape[0])
            )
        state[f"{norm}.num_batches_tracked"] = np.array(7)

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    outputs = [
        n
        for n, blocks in ((16, 1), (24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1))
        for _ in range(blocks)
    ]
    for i, ((side, _, expansion, *_), inputs, width) in enumerate(
        zip(TABLE, [32, *outputs], outputs, strict=False)
    ):
        block, inner = f"_blocks.{i}.", inputs * expansion
        if expansion > 1:
            add(f"{block}_expand_conv", f"{block}_bn0", inner, inputs, 1, 1)
        add(f"{block}_depthwise_conv", f"{block}_bn1", inner, 1, side, side)
        add(f"{block}_project_conv", f"{block}_bn2", width, inner, 1, 1)
    return {name: np.asarray(x, np.float32 if x.ndim else np.int64) for name, x in state.items()}


def written(path, state):
    file = path / networks.SOURCES[NAME].file
    file.write_bytes(files.legacy({name: files.Tensor(x) for name, x in state.items()}))
    return file


def test_the_file_gives_a_folder_whose_maps_are_those_of_the_unfolded_network(
    tmp_path, monkeypatch
):
    """Fails when an array lands in another place or a batch normalisation is folded wrongly: every
    distance would be another one."""
    state = published()
    params, config = convert.convert(written(tmp_path, state))
    weights.save(tmp_path / NAME, params, config)
    monkeypatch.setitem(
        networks.SOURCES, NAME, networks.SOURCES[NAME]._replace(sha256=config["source_sha256"])
    )
    loaded = networks.load(NAME, tmp_path / NAME)
    names = {
        "stem": ("_conv_stem", "_bn0"),
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
    }

    def layer(name, x, side, stride):
        *place, kind = name.split("/")
        block = f"_blocks.{place[1]}." if place else ""
        conv, norm = (block + part for part in names.get(kind, ("_project_conv", "_bn2")))
        seen, kernel = same_windows(x, side, stride), np.float64(state[f"{conv}.weight"])
        if kind == "depthwise":
            y = np.einsum("hwcij,cij->hwc", seen, kernel[:, 0])
        else:
            y = np.einsum("hwcij,dcij->hwd", seen, kernel, optimize=True)
        scale, bias, mean, var = (np.float64(state[f"{norm}.{theirs}"]) for theirs in NORM.values())
        return (y - mean) / np.sqrt(var + 1e-3) * scale + bias

    image = np.random.default_rng(5).uniform(size=(33, 32, 3)).astype(np.float32)
    close(jax.jit(efficientnet.maps)(loaded, image), slow(image, layer))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda s: s.pop("_blocks.3._bn2.running_var"),
            "missing: blocks/3/project/var; left over: none",
        ),
        (lambda s: s.pop("_blocks.7._expand_conv.weight"), "missing: blocks/7/expand/kernel"),
        (
            lambda s: s.update({"_blocks.0._se_reduce.bias": np.ones(8, "f4")}),
            r"missing: none; left over: _blocks\.0\._se_reduce\.bias",
        ),
        (
            lambda s: s.update({"_blocks.16._bn1.bias": np.ones(8, "f4")}),
            "left over: blocks/16/depthwise/bias",
        ),
        (
            lambda s: s.update({"_blocks.1._depthwise_conv.weight": np.ones((96, 2, 3, 3), "f4")}),
            r"_depthwise_conv\.weight \[96, 2, 3, 3\]",
        ),
        (
            lambda s: s.update({"_bn0.weight": np.ones(31, "f4")}),
            r"stem/scale \[31\] instead of \[32\]",
        ),
    ],
)
def test_other_files_are_refused_in_one_line(change, words, tmp_path):
    """Fails when a larger EfficientNet, or a part of one, is taken for Lite0."""
    state = dict(published())
    change(state)
    with pytest.raises(ValueError, match=words) as caught:
        convert.convert(written(tmp_path, state))
    assert "expected the arrays of EfficientNet-Lite0" in str(caught.value) and "\n" not in str(
        caught.value
    )
