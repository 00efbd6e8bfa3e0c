"""GFPGAN and GPEN: official sizes, official files against float64 NumPy, and what each part of them
moves."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import ports_faces as faces
import ports_files as files
import pytest
import reference_gfpgan
import reference_gpen
from learners import prior_of

from jaxsr import priors
from jaxsr.nets import gfpgan, gpen, style_based, stylegan2
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
    assert config.side == faces.SIDE and about["factor"] == 1 and "licence" in about
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
