"""GFPGAN and GPEN: official sizes, official files against float64 NumPy, and what each part of them
moves."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import ports_faces as faces
import ports_files as files
import pytest
import reference_gfpgan
import reference_gpen

from jaxsr import priors
from jaxsr.nets import ARCHITECTURES, gfpgan, gpen, style_based, stylegan2
from ports.convert import convert

NETS = {"gfpgan": gfpgan, "gpen": gpen}
STATES = {
    "gfpgan clean": lambda: faces.gfpgan(first=False),
    "gfpgan 1": lambda: faces.gfpgan(first=True),
    "gpen": faces.gpen,
}
C2, C1 = (256, 256, 256, 256, 256, 128, 64, 32), (256, 256, 256, 256, 128, 64, 32, 16)
NOISE = 699_024  # numbers of a 512 px generator's noise maps
# (network, sizes, parameters): official ones as their papers' code has them, and those of pbc64.
COUNTS = {
    "gfpgan 1.2 to 1.4": (
        gfpgan,
        gfpgan.Config(C2, 16, 512, generator_widths=tuple(2 * c for c in C2)),
        86_444_252 + NOISE,
    ),
    "gfpgan 1": (
        gfpgan,
        gfpgan.Config(C1, 16, 512, fir=True, generator_widths=tuple(2 * c for c in C1)),
        76_207_244 + NOISE,
    ),
    "gfpgan pbc64": (gfpgan, gfpgan.Config((32, 32, 32, 24, 12), 10, 128), 886_560),
    "gpen 512": (gpen, gpen.Config((512, 512, 512, 512, 512, 256, 128, 64)), 71_005_223),
    "gpen 256": (gpen, gpen.Config((256, 256, 256, 256, 128, 64, 32)), 18_879_010),
    # The rest, to 625,936, is the prior's generator.
    "gpen pbc64": (gpen, gpen.Config((64, 64, 64, 48, 24), 128, 128, 0), 625_936 - 382_656),
}


@pytest.mark.parametrize("name", COUNTS)
def test_sizes_give_the_official_number_of_parameters(name):
    """A layer is missing, or of another width, and no official file fits."""
    net, config, count = COUNTS[name]
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), config))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == count


# Official files


def image(seed=1, side=faces.SIDE):
    return np.random.default_rng(seed).uniform(-1, 1, (side, side, 3)).astype(np.float32)


def written(state, wrap=lambda tensors: tensors, write=files.legacy):
    return write(wrap({name: files.Tensor(array) for name, array in state.items()}))


def converted(folder, content):
    path = folder / "official.pth"
    path.write_bytes(content)
    params, about = convert(path)
    net = NETS[about["architecture"]]
    return net, net.Config(**about["net"]), params, about


def reference(name, state, x):
    network = reference_gpen.restored if name == "gpen" else reference_gfpgan.restored
    return network(state, np.float64(x).transpose(2, 0, 1))


@pytest.mark.parametrize("name", STATES)
def test_an_official_file_restores_as_its_network(name, tmp_path):
    """A table gives an array another place, layout or factor, or a network computes other than the
    official one."""
    state, x = STATES[name](), image()
    net, config, params, about = converted(tmp_path, written(state))
    assert config.side == faces.SIDE and about["factor"] == 0 and "licence" in about
    expected = reference(name, state, x)
    if net is gpen:
        got = jax.jit(gpen.restored, static_argnums=0)(config, params, x)
    else:
        expected, images = expected
        bank = gfpgan.generator(config, params)
        got, mine = jax.jit(lambda x: gfpgan.stages(config, params, x, bank))(x)
        for a, b in zip(mine, images, strict=True):
            np.testing.assert_allclose(a, b.transpose(1, 2, 0), atol=1e-4)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(got, expected.transpose(1, 2, 0), atol=1e-4)


def test_the_averaged_weights_are_taken(tmp_path):
    """A file of a training holds both: the last step's weights are worse. Names may begin with what
    training on many devices put before them."""
    state, other = faces.gpen(), {name: 2 * array for name, array in faces.gpen().items()}
    both = {"params": other, "params_ema": {f"module.{name}": a for name, a in state.items()}}
    tensors = {w: {n: files.Tensor(a) for n, a in s.items()} for w, s in both.items()}
    _, _, params, _ = converted(tmp_path, files.zipped(tensors))
    np.testing.assert_array_equal(params["encoder"]["first"]["bias"], state["ecd0.0.1.bias"])
    training = {
        name: {n: files.Tensor(a) for n, a in s.items()}
        for name, s in {"g": other, "g_ema": state}.items()
    }
    _, _, params, _ = converted(tmp_path, files.zipped(training))
    np.testing.assert_array_equal(params["encoder"]["first"]["bias"], state["ecd0.0.1.bias"])


def test_the_mapping_network_of_every_version_is_the_official_one(tmp_path):
    """It is kept for whoever draws from the generator, and no restored image depends on it."""
    for first in (False, True):
        state, z = faces.gfpgan(first), np.random.default_rng(2).normal(size=faces.W_DIM)
        _, _, params, _ = converted(tmp_path, written(state))
        x = z / np.sqrt(np.mean(z**2) + 1e-8)
        for i in range(faces.MAPPING):
            name = f"{faces.DECODER}style_mlp.{i + 1 if first else 2 * i + 1}"
            w, b = np.float64(state[f"{name}.weight"]), state[f"{name}.bias"]
            y = 0.01 * (w @ x / np.sqrt(len(x)) + b) * np.sqrt(2) if first else w @ x + b
            x = np.where(y > 0, y, 0.2 * y)
        sizes = stylegan2.Config(z_dim=faces.W_DIM, w_dim=faces.W_DIM, mapping_layers=faces.MAPPING)
        got = style_based.mapping(sizes, params["generator"]["mapping"], jnp.float32(z))
        np.testing.assert_allclose(got, x, atol=1e-5)


def without(name):
    return lambda state: {key: array for key, array in state.items() if key != name}


REFUSED = {
    "missing": ("gpen", without("final_linear.0.bias"), "missing: encoder/code/bias"),
    "left over": (
        "gfpgan 1",
        lambda state: state | {"surprise.weight": np.ones((1, 1), np.float32)},
        r"left over: surprise\.weight",
    ),
    "another filter": (
        "gpen",
        lambda state: state | {"ecd1.0.0.kernel": np.ones((4, 4), np.float32)},
        r"of the wrong shape or value: ecd1\.0\.0\.kernel",
    ),
    "conditions of all channels": (
        "gfpgan clean",
        lambda state: state | {"condition_scale.0.2.bias": np.ones(8, np.float32)},
        r"of the wrong shape or value: unet/scale8/conv2/bias \[8\] instead of \[4\]",
    ),
    "one code for all layers": (
        "gfpgan clean",
        lambda state: (
            state
            | {
                "final_linear.weight": state["final_linear.weight"][: faces.W_DIM],
                "final_linear.bias": state["final_linear.bias"][: faces.W_DIM],
            }
        ),
        "and 2 codes for each, got .* and 1 codes",
    ),
    "maps onto the generator's": (
        "gpen",
        lambda state: state | {"generator.conv1.activate.bias": np.ones(10, np.float32)},
        r"generator/synthesis/b4/conv1/bias \[10\] instead of \[20\]",
    ),
    "no network of the decoder": (
        "gfpgan 1",
        without(faces.DECODER + "style_mlp.1.weight"),
        "expected a GFPGAN with a mapping network",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(case, tmp_path):
    """A damaged or another network's file becomes a model that restores nonsense."""
    name, change, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        converted(tmp_path, written(change(STATES[name]())))
    assert "\n" not in str(caught.value)


# Around a prior

UNET = gfpgan.Config((5, 4, 3), 6, 8)
ENCODER = gpen.Config((10, 8, 6), 8, 8, mapping_layers=0)
OF_WIDTHS = {"resolution": 16, "channels": (10, 8, 6), "z_dim": 8, "w_dim": 8, "mapping_layers": 2}


def moved(params, seed=0):
    """No array at its beginning."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: np.float32(x + 0.1 * rng.normal(size=x.shape)), params)


@functools.cache
def prior_of(name):
    row = ARCHITECTURES[name]
    config = row.Config(**OF_WIDTHS)
    return row.prior(config), moved(jax.jit(lambda key: row.init(key, config))(jax.random.key(0)))


@functools.cache
def begun(name):
    net, config = {"gfpgan": (gfpgan, UNET), "gpen": (gpen, ENCODER)}[name]
    return jax.jit(lambda key: net.init(key, config))(jax.random.key(1))


def frozen(name):
    """A prior's generator as GFPGAN's bank."""
    prior, params = prior_of(name)

    def bank(codes, between):
        noise = prior.noise("const", params)
        return prior.blocks(params, codes, noise, (None, None), 0, 3, between)[1]

    return bank


def fed(name, keep=lambda maps: maps):
    """A prior's generator as GPEN's bank; `keep` may change the maps."""
    prior, params = prior_of(name)

    def bank(z, maps):
        w_plus = priors.tile(prior, prior.map(params, z))
        return 2 * prior.synthesize(params, w_plus, keep(maps)) - 1

    return bank


@functools.cache
def restored_by(net, name):
    """(params) -> the restored image around the prior of a name, compiled once."""
    if net == "gfpgan":
        return jax.jit(lambda p: gfpgan.restored(UNET, p, image(), frozen(name)))
    return jax.jit(lambda p: gpen.restored(ENCODER, p, image(), fed(name)))


GENERATORS = ("stylegan2", "stylegan1")


@pytest.mark.parametrize("name", GENERATORS)
def test_a_fresh_gfpgan_draws_what_the_frozen_generator_draws(name):
    """Training begins with noise instead of the prior's pictures."""
    prior, params = prior_of(name)

    @jax.jit
    def drawn(unet):
        codes, _, _ = gfpgan.UNet(UNET).apply({"params": unet}, image())
        return 2 * prior.synthesize(params, codes, prior.noise("const", params)) - 1

    alone = drawn(begun("gfpgan")["unet"])
    np.testing.assert_allclose(restored_by("gfpgan", name)(begun("gfpgan")), alone, atol=2e-5)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_condition_moves_the_picture(name):
    """A scale or a shift of some size is made and left unused."""
    params, restored = moved(begun("gfpgan")), restored_by("gfpgan", name)
    before = restored(params)
    for layer in ("scale8", "scale16", "shift8", "shift16"):
        conv2 = {n: np.zeros_like(x) for n, x in params["unet"][layer]["conv2"].items()}
        without = params["unet"] | {layer: params["unet"][layer] | {"conv2": conv2}}
        assert np.abs(restored({"unet": without}) - before).max() > 1e-3, layer


def test_the_first_channels_stay():
    """The identity of a face would pass through the half that the paper leaves alone."""
    x, rng = np.float32(np.arange(8 * 8 * 5).reshape(8, 8, 5)), np.random.default_rng(0)
    scale, shift = rng.normal(size=(2, 8, 8, 2))
    y = gfpgan.modulated({8: (jnp.float32(scale), jnp.float32(shift))}, x)
    np.testing.assert_array_equal(y[..., :3], x[..., :3])
    np.testing.assert_allclose(y[..., 3:], x[..., 3:] * scale + shift, rtol=1e-5)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_map_of_the_encoder_moves_the_picture(name):
    """A generator leaves some of the encoder's maps unused, and what only they tell is lost."""
    params = moved(begun("gpen"))

    @jax.jit
    def restored(strengths):
        def weakened(maps):
            return tuple(s * m for s, m in zip(strengths, maps, strict=True))

        # StyleGAN1 has two layers at 4 px.
        twice = (lambda maps: weakened((maps[0], *maps))) if name == "stylegan1" else weakened
        return gpen.restored(ENCODER, params, image(), fed(name, twice))

    ones = np.ones(len(prior_of(name)[0].info.noise_shapes), np.float32)
    before = restored(ones)
    for i in range(len(ones)):
        without = np.where(np.arange(len(ones)) == i, 0, ones).astype(np.float32)
        assert np.abs(restored(without) - before).max() > 1e-3, i


@pytest.mark.parametrize("name", GENERATORS)
def test_equal_maps_are_noise(name):
    """Maps in place of noise mean another thing than the noise that they take the place of."""
    prior, params = prior_of(name)
    noise = prior.noise("random", params, jax.random.key(3))
    w_plus = jax.random.normal(jax.random.key(4), (6, 8))
    widths = [OF_WIDTHS["channels"][len(m).bit_length() - 3] for m in noise]
    maps = tuple(jnp.stack([m] * c, -1) for m, c in zip(noise, widths, strict=True))
    synthesize = jax.jit(prior.synthesize)
    expected = synthesize(params, w_plus, noise)
    np.testing.assert_allclose(synthesize(params, w_plus, maps), expected, atol=2e-5)


@pytest.mark.parametrize("net", NETS)
def test_every_parameter_is_trained(net):
    """An array never moves in training: only those that make the U-Net's own images may not count
    in the restored one, and they count in these."""
    if net == "gfpgan":

        def total(p):
            restored, images = gfpgan.stages(UNET, p, image(), frozen("stylegan2"))
            return sum(jnp.sum(x * jnp.cos(x)) for x in (restored, *images))
    else:

        def total(p):
            return jnp.sum(jnp.cos(gpen.restored(ENCODER, p, image(), fed("stylegan2"))))

    gradients = jax.jit(jax.grad(total))(moved(begun(net)))
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.abs(gradient).max() > 1e-6, jax.tree_util.keystr(path)


def test_fresh_noise_is_the_keys_and_the_files_is_none(tmp_path):
    """The official network draws noise anew each time: here a key, or nothing, decides."""
    _, config, params, _ = converted(tmp_path, written(faces.gfpgan(first=False)))

    @jax.jit
    def drawn(key):
        return gfpgan.restored(config, params, image(), gfpgan.generator(config, params, key))

    one, again, other = (np.asarray(drawn(jax.random.key(seed))) for seed in (1, 1, 2))
    stored = jax.jit(lambda: gfpgan.restored(config, params, image()))()
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3 and np.abs(one - stored).max() > 1e-3


@pytest.mark.parametrize("net", NETS)
def test_half_precision_is_near(net):
    """With --dtype=bfloat16 some layer still computes in float32, or its output is ruined."""
    config = {"gfpgan": UNET, "gpen": ENCODER}[net]
    params, half = moved(begun(net)), dataclasses.replace(config, dtype="bfloat16")
    module = gfpgan.UNet if net == "gfpgan" else gpen.Encoder
    part = params["unet" if net == "gfpgan" else "encoder"]
    for exact, near in zip(
        *(
            jax.tree.leaves(jax.jit(module(c).apply)({"params": part}, image()))
            for c in (config, half)
        ),
        strict=True,
    ):
        difference = np.abs(np.float32(near) - exact).max()
        assert 1e-6 < difference < 0.1 * np.abs(exact).max()


def test_linear_interpolation_is_that_of_images():
    """The clean networks' doubling repeats the edge, which the filter of the others does not."""
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    expected = jax.image.resize(x, (2, 8, 8, 3), "linear")
    np.testing.assert_allclose(stylegan2.upsample(x, linear=True), expected, atol=1e-6)
    assert np.abs(stylegan2.upsample(x) - expected).max() > 0.1


MISTAKES = {
    "no widths": (lambda: gfpgan.Config((), 6, 8), r"expected widths for 4, 8, \.\.\. pixels"),
    "no widths of GPEN": (lambda: gpen.Config(()), r"expected widths for 4, 8, \.\.\. pixels"),
    "narrow generator": (
        lambda: gfpgan.Config((5, 4), 4, 8, generator_widths=(10, 3)),
        "expected a generator of at least the widths",
    ),
    "no generator": (
        lambda: gfpgan.generator(UNET, {}),
        "expected a GFPGAN with a generator of its own",
    ),
    "no generator of GPEN": (
        lambda: gpen.generator(ENCODER, {}),
        "expected a GPEN with a generator of its own",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_say_what_was_expected(name):
    """Sizes that cannot be become an error of shapes inside of a layer."""
    call, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        call()
