"""LAREN's and GLEAN's networks against slow float64 versions written from the papers, and the laws
of their shapes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxsr.nets import conv_layers, encoder, glean, laren, laren_modules, laren_printed, rrdb

SHAPES = ((4, 4), (8, 8), (8, 8))


def graph(**changed):
    sizes = {"nodes": 5, "node_width": 3, "code_width": 4, "map_side": 8} | changed
    return laren.Graph(width=6, layers=4, noise_shapes=SHAPES, **sizes)


def float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


# The papers' equations, one pair and one number at a time


def slow_disentangle(g, params, z):
    """Eq. 1 and 2: for each pair a relation of each attribute, for each of its triples (u, r, v) a
    number, averaged over pairs."""
    nodes = (z @ params["nodes"]["dense"]["kernel"] + params["nodes"]["dense"]["bias"]).reshape(
        g.nodes, g.node_width
    )
    extract, total = params["extract"], np.zeros(g.attributes)
    pairs = [(i, j) for i in range(g.nodes) for j in range(i + 1, g.nodes)]
    if g.relations == "vanilla":
        return slow_vanilla(g, params, nodes, pairs)
    for i, j in pairs:
        a = np.maximum(
            np.concatenate([nodes[i], nodes[j]]) @ params["attributes"] + params["attributes_bias"],
            0,
        )
        r = slow_relation(a, np.sqrt(np.mean(a**2)))
        for d in range(g.attributes):
            triple = np.concatenate([nodes[i], [r[d] * g.attributes * np.sqrt(g.nodes)], nodes[j]])
            total[d] += triple @ extract["taps"][i]
    f = total / len(pairs) + extract["offset"]
    return np.where(f > 0, f, 0.2 * f).reshape(g.layers, g.width)


def slow_vanilla(g, params, nodes, pairs):
    relate = params["extract"]["relate"]
    scores = np.exp([max(relate @ np.concatenate([nodes[i], nodes[j]]), 0) for i, j in pairs])
    pair = sum(
        s * np.concatenate([nodes[i], nodes[j]])
        for s, (i, j) in zip(scores / scores.sum(), pairs, strict=True)
    )
    f = pair @ params["attributes"] / np.sqrt(2 * g.node_width) + params["attributes_bias"]
    return np.where(f > 0, f, 0.2 * f).reshape(g.layers, g.width)


def slow_relation(a, norm):
    exponentials = np.where(a > 0, np.exp(a / max(norm, 1e-300)), 0.0)  # exp(-inf) is 0
    return exponentials / max(np.sum(exponentials), 1e-300)


def softmax(column):
    return np.exp(column) / np.exp(column).sum()


def slow_generate(g, params, codes):
    """Eq. 3 and 4 with relations that recur before their norm, one column of T at a time."""
    made, before = [], None
    for n, code in enumerate(codes):
        level = code / np.sqrt(np.mean(code**2) + 1e-8)
        relations, sources = np.outer(level @ params["query"][n], level @ params["key"][n]), code
        if n and g.recursion:
            relations = np.concatenate([params[f"carry{n}"].T @ before, relations])
            sources = np.concatenate([made[-1], code])
        before = relations
        made.append(np.maximum([softmax(column) @ sources for column in relations.T], 0))
    return np.stack(made)


def printed_disentangle(g, params, z):
    """Eq. 1 and 2 as printed, for each pair and attribute a convolution of (u, r, v)."""
    u, v = ((z @ params[name]["kernel"]).reshape(g.nodes // 2, g.node_width) for name in "uv")
    total = np.zeros(g.attributes)
    for first in u:
        for second in v:
            a = np.maximum(np.concatenate([first, second]) @ params["attributes"], 0)
            r = slow_relation(a, np.sqrt(np.sum(a**2)))
            total += [np.concatenate([first, [r_d], second]) @ params["taps"] for r_d in r]
    return np.maximum(total, 0).reshape(g.layers, g.width)


def printed_generate(g, params, codes):
    """Eq. 3 and 4 as printed, but for the transpose: W_t meets T after its norm."""
    made, before = [], None
    for n, code in enumerate(codes):
        query, key = params["query"]["kernel"], params["key"]["kernel"]
        relations, sources = np.outer(code @ query, code @ key), code
        if n:
            relations = np.concatenate([params[f"carry{n}"].T @ before, relations])
            sources = np.concatenate([made[-1], code])
        before = np.stack([softmax(column) for column in relations.T], 1)
        made.append(np.maximum(before.T @ sources, 0))
    return np.stack(made)


MODULES = {
    "GDM": (laren_modules.Disentangle, slow_disentangle, (6,), {}),
    "GDM of an even number of nodes": (
        laren_modules.Disentangle,
        slow_disentangle,
        (6,),
        {"nodes": 4},
    ),
    "GDM as printed": (laren_printed.Disentangle, printed_disentangle, (6,), {"nodes": 4}),
    "GDM vanilla": (laren_modules.Disentangle, slow_disentangle, (6,), {"relations": "vanilla"}),
    "CGM": (laren_modules.Generate, slow_generate, (4, 6), {}),
    "CGM vanilla": (laren_modules.Generate, slow_generate, (4, 6), {"recursion": False}),
    "CGM as printed": (laren_printed.Generate, printed_generate, (4, 6), {}),
}


@functools.cache
def module(name):
    """A module with random parameters (its own begin partly at constants), both of its versions,
    and an input."""
    make, slow, shape, changed = MODULES[name]
    g = graph(**changed)
    x = jax.random.normal(jax.random.key(1), shape)
    params = make(g).init(jax.random.key(0), x)["params"]
    flat, unravel = ravel_pytree(params)
    params = unravel(flat + 0.3 * jax.random.normal(jax.random.key(2), flat.shape))
    if "u" in params:
        params["taps"] *= np.sign(slow(g, float64(params), np.asarray(x, np.float64)).max() - 1e-9)
    return g, make(g), slow, params, x


@pytest.mark.parametrize("name", MODULES)
def test_module_equals_the_paper(name):
    """A relation of another pair or attribute, a wrong axis of the softmax, or T not transposed."""
    g, net, slow, params, x = module(name)
    expected = slow(g, float64(params), np.asarray(x, np.float64))
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(
        net.apply({"params": params}, x), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", MODULES)
def test_gradient_equals_the_papers(name):
    """Training follows another gradient than the equations', such as that of a relation held back
    by the scan over pairs."""
    g, net, slow, params, x = module(name)
    cotangent = np.random.default_rng(0).normal(size=net.apply({"params": params}, x).shape)

    def value(params, x):
        return jnp.sum(net.apply({"params": params}, x) * cotangent)

    with jax.enable_x64(True):
        gradient = jax.grad(value, (0, 1))(*float64((params, x)))
    flat, unravel = ravel64((params, x)), ravel_pytree((params, x))[1]
    single = ravel_pytree(jax.grad(value, (0, 1))(params, x))[0]
    for seed in range(3):
        along = np.random.default_rng(seed).normal(size=flat.shape)
        ends = [
            np.sum(
                slow(g, *jax.tree.map(np.asarray, unravel64(unravel, flat + sign * along)))
                * cotangent
            )
            for sign in (1e-5, -1e-5)
        ]
        expected = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(ravel64(gradient) @ along, expected, rtol=1e-5)
        assert abs(np.asarray(single, np.float64) @ along - expected) < 1e-5 * np.linalg.norm(
            single
        ) * np.linalg.norm(along)


def ravel64(tree):
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def unravel64(unravel, flat):
    """The inverse of `ravel64` without JAX's float32."""
    leaves, tree = jax.tree.flatten(unravel(np.zeros(len(flat), np.float32)))
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1]
    return jax.tree.unflatten(
        tree,
        [part.reshape(leaf.shape) for part, leaf in zip(np.split(flat, cuts), leaves, strict=True)],
    )


def test_pair_without_attributes_gives_nothing():
    """All of W [u; v] below zero is 0 / 0 and a softmax of minus infinities: NaN for the photo."""
    kernel, bias = jnp.zeros((6, 24)), -jnp.ones(24)
    relation, back = jax.vjp(
        lambda nodes: laren_modules.mean_relation(nodes, kernel, bias, jnp.ones(5)),
        jax.random.normal(jax.random.key(0), (5, 3)),
    )
    assert not relation.any()
    assert np.isfinite(back(jnp.ones(24))[0]).all()


def test_relations_of_a_pair_sum_to_one():
    kernel, bias = jax.random.normal(jax.random.key(0), (6, 24)), jnp.zeros(24)
    assert laren_modules.mean_relation(
        jax.random.normal(jax.random.key(1), (5, 3)), kernel, bias, jnp.ones(5)
    ).sum() == pytest.approx(1.0, abs=1e-6)


# Sizes

NET = encoder.Config(side=8, widths=(5, 4), outputs=6, blocks=1, width=6, growth=3)
STYLES = (("b4/conv1/affine", 5), ("b8/conv0/affine", 4))
VARIANTS = {
    "w": ({"space": "w", "generated": False}, (1, 6), 0),
    "w_plus": ({"space": "w_plus", "generated": False}, (4, 6), 0),
    "styles": (
        {"space": "styles", "generated": False, "styles": STYLES},
        {"b4/conv1/affine": (5,), "b8/conv0/affine": (4,)},
        0,
    ),
    "g": ({"generated": False}, (4, 6), 0),
    "g + maps": ({}, (4, 6), 3),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_codes_have_the_generators_shapes(name):
    changed, shape, maps = VARIANTS[name]
    config = laren.Config(NET, graph(), **changed)
    params = laren.init(jax.random.key(0), config)
    image = jax.random.uniform(jax.random.key(1), (8, 8, 3))
    made = jax.jit(laren.codes, static_argnums=0)(config, params, image)
    assert jax.tree.map(jnp.shape, made.latent) == shape
    assert tuple(m.shape for m in made.maps) == SHAPES[:maps]
    other = laren.codes(config, params, image.at[3, 3].add(0.5))
    assert all(
        np.abs(a - b).max() > 0
        for a, b in zip(jax.tree.leaves(made), jax.tree.leaves(other), strict=True)
    )


def conv64(x, layer):
    """3 x 3 with zeros around, float64: one product a tap."""
    kernel, (h, w, _) = np.asarray(layer["kernel"], np.float64), x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return sum(
        padded[i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3)
    ) + np.asarray(layer["bias"], np.float64)


def test_halving_is_a_convolution_of_stride_2():
    """Every second number of the plain convolution, from the first one on, as PyTorch pads."""
    layer, x = (
        conv_layers.Conv(5, "float32", stride=2),
        jax.random.normal(jax.random.key(0), (8, 6, 3)),
    )
    params = layer.init(jax.random.key(1), x)["params"] | {"bias": jnp.arange(5.0)}
    np.testing.assert_allclose(
        layer.apply({"params": params}, x),
        conv64(np.asarray(x, np.float64), params)[::2, ::2],
        atol=1e-5,
    )


def test_trunk_is_esrgans():
    """Blocks in another order, or with each other's weights, are another network; ESRGAN's are 0.2
    of each residual, twice."""
    net, image = rrdb.Trunk(2, 6, 3, "float32"), jax.random.normal(jax.random.key(0), (8, 8, 3))
    params = jax.tree.map(lambda x: 3 * x, net.init(jax.random.key(1), image)["params"])
    first = x = conv64(np.asarray(image, np.float64), params["first"])
    for i in range(2):
        y = x
        for j in range(3):
            layers, seen = (
                jax.tree.map(lambda leaf, at=(i, j): leaf[at], params["blocks"]["dense"]),
                y,
            )
            for k in range(4):
                z = conv64(seen, layers[f"conv{k}"])
                seen = np.concatenate([seen, np.where(z > 0, z, 0.2 * z)], -1)
            y = y + 0.2 * conv64(seen, layers["conv4"])
        x = x + 0.2 * y
    np.testing.assert_allclose(
        net.apply({"params": params}, image),
        first + conv64(x, params["last"]),
        rtol=1e-4,
        atol=1e-4,
    )


def sizes(tree):
    return {
        name: sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(part))
        for name, part in tree.items()
    }


def test_parameters_at_1024_px_are_the_papers():
    """Table III: GDM 0.42 M, CGM with its maps 11 M."""
    side = [4] + [s for s in (8, 16, 32, 64, 128, 256, 512, 1024) for _ in range(2)]
    config = laren.Config(
        encoder.Config(16, (512, 512, 512), 512), laren.Graph(512, 18, tuple((s, s) for s in side))
    )
    count = sizes(jax.eval_shape(lambda: laren.init(jax.random.key(0), config)))
    assert count["gdm"] == 420_417
    assert count["cgm"] + count["maps"] == pytest.approx(11e6, rel=0.03)
    assert count["encoder"] == 32_874_752  # ESRGAN's 23 blocks and mmagic's halvings
    literal = dataclasses.replace(config.graph, literal=True)
    printed = laren_printed.Disentangle(literal)
    params = jax.eval_shape(lambda: printed.init(jax.random.key(0), jnp.zeros(512)))["params"]
    assert sum(sizes(params).values()) == 409_617  # without biases and kernels of their own


def test_capped_maps_have_their_layers_side():
    maps = jax.eval_shape(
        lambda: laren_modules.Maps(graph(capped=True)).init(jax.random.key(0), jnp.zeros((4, 4)))
    )["params"]
    assert [maps[f"map{n}"]["kernel"].shape[1] for n in range(4)] == [16, 64, 64, 64]


# GLEAN


def bank(codes, cut, i):
    """A generator of 8 px maps whose blocks double what they get."""
    x, rgb = cut if i else (jnp.ones((2, 2, 4)) * codes[0, 0], jnp.zeros((2, 2, 3)))
    double = lambda a: jnp.repeat(jnp.repeat(a, 2, 0), 2, 1)  # noqa: E731
    return jnp.tanh(double(x))[..., :4], double(rgb) + codes[i].mean()


@pytest.mark.slow
def test_glean_restores_at_the_generators_size():
    """A map meets one of another size, or a part of the network has no influence."""
    config = glean.Config(
        encoder.Config(8, (4, 4), 12, blocks=1, width=6, growth=3), 4, (4, 4, 4, 4)
    )
    params = glean.init(jax.random.key(0), config, bank)
    image = jax.random.uniform(jax.random.key(1), (8, 8, 3))
    restored = jax.jit(glean.restored, static_argnums=(0, 3))(config, params, image, bank)
    assert restored.shape == (32, 32, 3)
    gradient = jax.grad(lambda params: jnp.sum(glean.restored(config, params, image, bank) ** 2))(
        params
    )
    silent = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient)
        if not jnp.abs(leaf).max() > 0
    ]
    assert not silent


def test_pixels_are_shuffled_as_in_pytorch():
    x = np.arange(2 * 2 * 8, dtype=np.float32).reshape(2, 2, 8)
    expected = np.zeros((4, 4, 2), np.float32)
    for y, column, c, dy, dx in np.ndindex(2, 2, 2, 2, 2):
        expected[2 * y + dy, 2 * column + dx, c] = x[y, column, c * 4 + dy * 2 + dx]
    np.testing.assert_array_equal(conv_layers.shuffled(jnp.asarray(x)), expected)


WRONG = {
    "nodes": (lambda: graph(nodes=1), "nodes must be at least 2, got 1"),
    "widths": (lambda: encoder.Config(16, (4, 4), 6), "a width for 4, 8, ..., 16 pixels, got 2"),
    "outputs": (
        lambda: laren.Config(encoder.Config(8, (4, 4), 5), graph()),
        "an encoder of 6 outputs, got 5",
    ),
    "literal": (lambda: graph(literal=True, recursion=False), "literal is of the printed LAREN"),
    "literal nodes": (lambda: graph(literal=True), "half of the nodes are u: expected an even"),
    "maps of w": (
        lambda: laren.Config(NET, graph(), space="w"),
        "generated from codes g, not from w",
    ),
    "styles": (
        lambda: laren.Config(NET, graph(), space="styles", generated=False),
        "needs the generator's modulations",
    ),
    "glean's codes": (
        lambda: glean.Config(NET, 4, (5, 4, 3)),
        "a multiple of 4 outputs of the encoder, got 6",
    ),
    "glean's widths": (lambda: glean.Config(NET, 3, (4, 4, 3)), "begin as the generator's"),
}


@pytest.mark.parametrize("name", WRONG)
def test_sizes_that_do_not_fit_are_refused(name):
    make, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        make()
