"""Stand-ins for JPEG and noise, and the colours of 4:2:0, against files that Pillow writes."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from PIL import Image

from jaxsr import images, methods, operators, search, standins
from jaxsr.types import Result


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Spots of colour, [h, w, 3] of whole grey levels, away from black and white, that lie across
    the pairs of 4:2:0."""
    coarse = np.random.default_rng(seed).uniform(0.2, 0.8, (height // 2 + 2, width // 2 + 2, 3))
    fine = coarse.repeat(2, 0).repeat(2, 1)[1 : height + 1, 1 : width + 1]
    return np.rint(255 * fine).astype(np.float32) / 255


def through_file(y: np.ndarray, **saved) -> tuple[np.ndarray, images.Compression]:
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * y).astype(np.uint8)).save(file, "JPEG", **saved)
    read = Image.open(file)
    compression = images.compression_of(read)
    assert compression is not None
    return np.asarray(read, np.float32) / 255, compression


def rms(x: np.ndarray) -> float:
    return 255 * float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("shape", [(16, 16), (17, 23), (5, 3), (4, 7), (12, 6)])
def test_chroma_is_what_a_fine_jpeg_of_420_does(shape):
    """Another upsampling, phase, border or colour matrix than the files': the operator invents a
    doubt instead of taking one away."""
    y = picture(*shape)
    file, _ = through_file(y, quality=100, subsampling=2)
    found = np.asarray(operators.chroma_420((*shape, 3))(jnp.asarray(y)))
    assert rms(found - file) < 1.3 < 0.3 * rms(file - y)


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [30, 75])
@pytest.mark.parametrize("shape", [(16, 16), (13, 30), (24, 9)])
def test_a_stand_in_is_what_the_file_is(shape, quality, sampling):
    """The tables are of another order or component, blocks lie elsewhere, or colours are made small
    another way. A coefficient on the edge of a step may fall to the other side, hence no bound on
    single pixels."""
    y = picture(*shape)
    file, compression = through_file(y, quality=quality, subsampling=sampling)
    name, tables = standins.told(compression)
    found = np.asarray(standins.jpeg(jnp.asarray(y), tables, standins.JPEG[name]))
    assert rms(found - file) < 0.4 * rms(file - y)


def test_grey_jpegs_have_one_table():
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * picture(8, 8)[..., 0]).astype(np.uint8)).save(file, "JPEG")
    compression = images.compression_of(Image.open(file))
    assert compression is not None
    name, tables = standins.told(compression)
    assert name == "photo_jpeg_444" and (tables[0] == tables[1]).all()


def test_gradients_pass_rounding_and_clipping():
    """A search stands still: rounding has no slope, clipped pixels none either."""
    y, goal = jnp.asarray(picture(16, 16)), jnp.asarray(picture(16, 16, 1))
    _, compression = through_file(np.asarray(y), quality=50)
    _, tables = standins.told(compression)
    slope = jax.grad(lambda y: jnp.mean((standins.jpeg(y, tables) - goal) ** 2))(y)
    lower = y - 200.0 * slope
    before, after = (jnp.mean((standins.jpeg(each, tables) - goal) ** 2) for each in (y, lower))
    assert after < 0.9 * before
    bright = jnp.full((4, 4, 3), 1.0)
    slope = jax.grad(lambda y: standins.noisy(jax.random.key(0), y, 0.1).sum())(bright)
    np.testing.assert_allclose(slope, 1.0)
    drawn = standins.noisy(jax.random.key(0), jnp.full((64, 64, 3), 0.5), 0.1)
    assert float(drawn.std()) == pytest.approx(0.1, rel=0.03) and float(drawn.max()) <= 1


CONFIG = methods.Phased(w_steps=4, w_plus_steps=2, style_steps=2, network="features")
PARAMS = toy.params(jax.random.key(0), styles=True)


def found(told=None, **changed) -> Result:
    config = dataclasses.replace(CONFIG, **changed)
    solve = methods.phased(toy.prior(), toy.operator(2), config)
    params = PARAMS | methods.networks(config)
    y = np.asarray(toy.operator(2)(toy.image(jax.random.key(3), PARAMS)))[None]
    return search.restore(solve, params, y, told=told, progress=False)


def test_phased_searches_through_the_tables_and_the_noise():
    """The tables or the noise never reach the loss, or they change more than it; a coarse table
    must, and one of steps near 0 must not."""
    plain = found()
    fine, coarse = (
        found({"photo_jpeg_420": np.full((1, 2, 8, 8), step)}, w_steps=4) for step in (1e-3, 400.0)
    )
    unhalved = found({"photo_jpeg_444": np.full((1, 2, 8, 8), 1e-3)})
    np.testing.assert_allclose(unhalved.trace["l1"], plain.trace["l1"], rtol=1e-2)
    assert np.abs(coarse.trace["l1"] - plain.trace["l1"]).max() > 0.02
    assert np.abs(fine.trace["l1"] - plain.trace["l1"]).max() > 1e-4  # colours alone
    noisy = found(noise=0.2)
    assert set(noisy.latent) == set(plain.latent)
    assert np.abs(noisy.trace["l1"] - plain.trace["l1"]).max() > 0.02
    assert len(np.unique(noisy.trace["l1"][0, :4])) == 4
