"""The discriminators of ESRGAN and Real-ESRGAN: counts of the official ones, what the slow ones
compute, and spectral normalisation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_upscalers as reference

from jaxsr.nets import discriminators
from jaxsr.nets.discriminators import UNet, Vgg

COUNTS = {
    "VGG 128": (Vgg(), 14_499_401),
    "VGG 256": (Vgg(side=256), 21_055_049),
    "VGG 64, small": (Vgg(side=64, width=16), 651_305),
    "U-Net": (UNet(), 4_376_897),
}
SPECTRAL = {f"conv{i + 1}": f"down{i}" for i in range(3)}
SPECTRAL |= {f"conv{i + 4}": f"up{i}" for i in range(3)} | {"conv7": "end0", "conv8": "end1"}


def _learned(params):
    """Without the vectors of spectral normalisation, which PyTorch does not count."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [leaf for path, leaf in leaves if path[-1].key not in ("u", "v")]


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_has_as_many_parameters_as_the_official_one(name):
    """A layer is missing, or has a bias that the official one lacks."""
    config, count = COUNTS[name]
    shapes = jax.eval_shape(lambda: discriminators.init(jax.random.key(0), config))
    assert sum(int(np.prod(leaf.shape)) for leaf in _learned(shapes)) == count


@functools.cache
def _drawn(config):
    """Parameters of which none is at its default, and photos."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: np.float32(x + 0.2 * rng.normal(size=x.shape)),
        jax.jit(discriminators.init, static_argnums=1)(jax.random.key(0), config),
    )
    return params, rng.random((3, 16, 16, 3), np.float32)


def _oihw(kernel):
    return np.asarray(kernel, np.float64).transpose(3, 2, 0, 1)


def _torch_vgg(params, pairs):
    """With BasicSR's names; the linear layer's inputs in the order channel, row, column."""
    state = {"conv0_0.bias": params["keep0"]["bias"]}
    for i in range(pairs):
        for j, name in enumerate(("keep", "halve")):
            state[f"conv{i}_{j}.weight"] = _oihw(params[f"{name}{i}"]["kernel"])
            if i or j:
                norm = params[f"{name}{i}_norm"]
                state |= {f"bn{i}_{j}.weight": norm["scale"], f"bn{i}_{j}.bias": norm["bias"]}
    kernel = params["hidden"]["kernel"]
    state["linear1.weight"] = kernel.reshape(4, 4, -1, 100).transpose(3, 2, 0, 1).reshape(100, -1)
    state |= {"linear1.bias": params["hidden"]["bias"], "linear2.bias": params["logit"]["bias"]}
    return state | {"linear2.weight": params["logit"]["kernel"].T}


def _torch_unet(params):
    state = {}
    for theirs, ours in {"conv0": "first", "conv9": "last"}.items():
        state[f"{theirs}.weight"] = _oihw(params[ours]["kernel"])
        state[f"{theirs}.bias"] = params[ours]["bias"]
    for theirs, ours in SPECTRAL.items():
        kernel, v = _oihw(params[ours]["kernel"]), params[ours]["v"]
        state[f"{theirs}.weight_orig"], state[f"{theirs}.weight_u"] = kernel, params[ours]["u"]
        side, inputs = kernel.shape[2], kernel.shape[1]
        state[f"{theirs}.weight_v"] = v.reshape(side, side, inputs).transpose(2, 0, 1).ravel()
    return state


def test_the_vgg_style_one_equals_the_slow_one():
    """It judges photos otherwise than ESRGAN's, or with statistics that are not the batch's."""
    config = Vgg(side=16, width=3)
    params, photos = _drawn(config)
    expected = reference.vgg_discriminator(_torch_vgg(params, 2), photos, pairs=2)
    made = jax.jit(discriminators.logits, static_argnums=0)(config, params, photos)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-4)


def test_the_u_net_equals_the_slow_one():
    """A skip goes to another map, or a kernel is divided by another number."""
    config = UNet(width=3)
    params, photos = _drawn(config)
    params = jax.jit(discriminators.iterated)(params)
    made = jax.jit(discriminators.logits, static_argnums=0)(config, params, photos[:, :8])
    for logits, photo in zip(made, photos[:, :8], strict=True):
        expected = reference.unet_discriminator(_torch_unet(params), photo)
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_photos_of_the_vgg_style_one_are_judged_with_their_batch():
    """Real and fake in one batch would give another discriminator than ESRGAN's: it can tell."""
    config = Vgg(side=16, width=3)
    params, photos = _drawn(config)
    logits = jax.jit(discriminators.logits, static_argnums=0)
    alone = logits(config, params, photos[:2])
    assert np.abs(alone - logits(config, params, photos)[:2]).max() > 1e-3


def test_spectral_normalisation_holds_largest_singular_values():
    """The power iteration goes to another number, so that kernels grow without a bound."""
    params, _ = _drawn(UNet(width=3))
    iterated = jax.jit(discriminators.iterated)
    for _ in range(60):
        params = iterated(params)
    for name in SPECTRAL.values():
        layer = params[name]
        matrix = np.float64(layer["kernel"]).reshape(-1, layer["kernel"].shape[-1])
        np.testing.assert_allclose(
            layer["v"] @ matrix @ layer["u"], np.linalg.svd(matrix)[1][0], rtol=1e-3
        )


def test_a_kernel_under_spectral_normalisation_has_no_size():
    """It is used as it is, or the gradient does not see what it is divided by; the vectors are
    learned."""
    config = UNet(width=3)
    params, photos = _drawn(config)
    params = jax.jit(discriminators.iterated)(params)
    logits = jax.jit(discriminators.logits, static_argnums=0)
    scaled = params | {"up1": params["up1"] | {"kernel": 3 * params["up1"]["kernel"]}}
    np.testing.assert_allclose(
        logits(config, scaled, photos), logits(config, params, photos), atol=1e-5
    )
    slope = jax.jit(jax.grad(lambda p: logits(config, p, photos).sum()))(params)
    along = jnp.vdot(slope["up1"]["kernel"], params["up1"]["kernel"])
    assert abs(along) < 1e-4 * jnp.linalg.norm(slope["up1"]["kernel"])
    assert all(not slope[name][vector].any() for name in SPECTRAL.values() for vector in "uv")
    assert all(np.abs(leaf).max() > 0 for leaf in _learned(slope))


BAD = {
    "side": (lambda: Vgg(side=96), r"expected a side of 8, 16, 32, \.\.\. px, got 96"),
    "small": (lambda: Vgg(side=4), "got 4"),
    "no width": (lambda: Vgg(width=0), "width must be at least 1, got 0"),
    "no width of the U-Net": (lambda: UNet(width=0), "width must be at least 1, got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_sizes_that_cannot_be_are_told(name):
    """They surface as an error of a library, long after."""
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        make()
