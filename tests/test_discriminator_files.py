"""Real-ESRGAN's U-Net discriminator: from its file to the training that begins from it."""

import functools

import jax
import numpy as np
import ports_files as files
import pytest
import reference_upscalers as reference
from learners import bound, photos, prior_of

from jaxsr import weights
from jaxsr.learned import RESTORERS
from jaxsr.nets import discriminators
from jaxsr.training import restorer, restorer_discriminators
from jaxsr.training.restorer_config import Config
from ports.convert import convert

WIDTH = 3
# Layer -> outputs, inputs (in widths; 0: RGB), side of the kernel.
LAYERS = {"conv0": (1, 0, 3), "conv1": (2, 1, 4), "conv2": (4, 2, 4), "conv3": (8, 4, 4)}
LAYERS |= {"conv4": (4, 8, 3), "conv5": (2, 4, 3), "conv6": (1, 2, 3)}
LAYERS |= {"conv7": (1, 1, 3), "conv8": (1, 1, 3), "conv9": (0, 1, 3)}


@functools.cache
def state():
    """BasicSR's names; vectors of unit length, as PyTorch keeps them, of no singular value."""
    rng, made = np.random.default_rng(0), {}
    for name, (outputs, inputs, side) in LAYERS.items():
        shape = (WIDTH * outputs or 1, WIDTH * inputs or 3, side, side)
        kernel = np.float32(rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])))
        if name in ("conv0", "conv9"):
            made[f"{name}.weight"] = kernel
            made[f"{name}.bias"] = np.float32(rng.normal(size=shape[0]))
            continue
        u, _, v = np.linalg.svd(kernel.reshape(shape[0], -1))
        made[f"{name}.weight_orig"] = kernel
        made[f"{name}.weight_u"] = np.float32(u[:, 0] + 0.1 * u[:, -1])
        made[f"{name}.weight_v"] = np.float32(v[0] + 0.1 * v[1])
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    tensors = {name: files.Tensor(array) for name, array in state().items()}
    (folder / "netD.pth").write_bytes(files.zipped({"params": tensors}))
    weights.save(folder / "converted", *convert(folder / "netD.pth"))
    return folder / "converted"


def test_an_official_file_judges_as_its_network(folder):
    """Inputs of a singular vector are in another order, so that every kernel is divided by another
    number; or a layer takes another's place."""
    params, about = weights.load(folder)
    assert (about["architecture"], about["net"]["width"]) == ("unet_discriminator", WIDTH)
    photo = np.random.default_rng(1).random((16, 8, 3), np.float32)
    net = discriminators.UNet(**about["net"])
    made = jax.jit(discriminators.logits, static_argnums=0)(net, params, photo[None])[0]
    expected = reference.unet_discriminator(state(), photo)
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-4)


def test_arrays_that_do_not_fit_are_told(tmp_path):
    """A damaged file becomes a discriminator that judges nonsense."""
    tensors = {n: files.Tensor(a) for n, a in state().items() if n != "conv4.weight_v"}
    (tmp_path / "netD.pth").write_bytes(files.legacy(tensors))
    with pytest.raises(ValueError, match="missing: up0/v; left over: none"):
        convert(tmp_path / "netD.pth")


TORCH7 = {
    "bytes": b"\4\0\0\0\1\0\0\0\3\0\0\0V 1\x0a\0\0\0nn.gModule",
    "text": b"4\n1\n3\nV 1\n10\nnn.gModule\n",
}


@pytest.mark.parametrize("name", TORCH7)
def test_a_file_of_torch7_is_named(name, tmp_path):
    """FSRNet's files end in words about pickles and zips."""
    (tmp_path / "CelebA_8x.t7").write_bytes(TORCH7[name])
    with pytest.raises(ValueError, match=r"got one of Torch7 \(\.t7, as FSRNet's\)") as caught:
        convert(tmp_path / "CelebA_8x.t7")
    assert "\n" not in str(caught.value) and "CelebA_8x.t7: expected" in str(caught.value)


def changed(**settings):
    return Config(**{**RESTORERS["esrgan"].training, **settings})


CONFIG = changed(batch=4, perceptual_weight=0.0, discriminator="unet", discriminator_width=WIDTH)


@pytest.mark.slow
def test_training_begins_from_it_and_follows_its_singular_values(folder):
    """ESRGAN's stage begins from a random judge, or from a copy whose vectors stay: kernels grow
    without a bound."""
    begun = restorer_discriminators.load(folder, CONFIG)
    (_, given), this = prior_of(), bound("esrgan")
    state = restorer.begin(jax.random.key(0), this, given | begun, CONFIG)
    official = weights.load(folder)[0]
    jax.tree.map(np.testing.assert_array_equal, state.discriminator, official)
    after, log = jax.jit(restorer.make_step(this, CONFIG, 40))(state, given, photos(4))
    assert np.isfinite(float(log["loss_discriminator"]))
    iterated = discriminators.iterated(official)
    for vector in "uv":
        moved = after.discriminator["down1"][vector]
        np.testing.assert_allclose(moved, iterated["down1"][vector], atol=1e-5)
        assert np.abs(moved - official["down1"][vector]).max() > 1e-3
    assert np.abs(after.discriminator["down1"]["kernel"] - official["down1"]["kernel"]).max() > 0


REFUSED = {
    "width": (changed(discriminator="unet"), "width 64, got one of width 3: take .*_width 3"),
    "kind": (changed(), "expected discriminator 'unet', .* got 'vgg'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_a_discriminator_is_told(name, folder):
    """The folder is passed over, or its arrays end in an error of shapes."""
    config, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        restorer_discriminators.load(folder, config)
    assert "\n" not in str(caught.value)


def test_a_restorers_folder_is_no_discriminator(tmp_path):
    """A generator is loaded as a judge."""
    weights.save(tmp_path / "rrdb", {"last": np.zeros(3)}, {"architecture": "rrdb"})
    with pytest.raises(ValueError, match=r"expected architecture 'unet_discriminator', .* 'rrdb'"):
        restorer_discriminators.load(tmp_path / "rrdb", CONFIG)
