"""What can be told of a photo: its compression, an earlier enlargement, aliasing, sharpening."""

import io
import math
import zipfile

import numpy as np
import photographs
import pytest
import scipy.fft
from PIL import Image
from restoration import fitting

from jaxsr import images, inspect
from jaxsr.inspect import blocks, edges, runs, spectra
from jaxsr.operators import OPERATORS

LUMA = np.array([0.299, 0.587, 0.114])
R = Image.Resampling


def grey(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float64) @ LUMA


# JPEG


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_quality_is_read_of_its_tables(mode):
    """A photo of quality 75 passes for another, and its error for another one."""
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new(mode, (8, 8)).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            found = inspect.quality_of(image.quantization)
        assert found.exact and _tables(found.value, mode) == _tables(quality, mode)


def test_a_photo_in_an_archive_is_told_of_alike(tmp_path):
    """Its compression would be unknown, and its error count as none."""
    file = tmp_path / "one.jpg"
    Image.new("RGB", (16, 16)).save(file, quality=75)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(file, "cells/one.jpg")
    found = inspect.inspect(tmp_path / "photos.zip" / "cells" / "one.jpg")
    assert found.facts == inspect.inspect(file).facts and found.facts.quality is not None


def _tables(quality: int, mode: str) -> list:
    bases = (blocks.LUMA, blocks.CHROMA)[: 1 if mode == "L" else 2]
    return [blocks.table(quality, base).tolist() for base in bases]


@pytest.mark.parametrize("quality", [30, 60, 85])
def test_another_encoders_tables_are_about_a_quality(quality):
    """A camera's own tables end in an error, or pass for a library's."""
    tables = {i: np.array(t).ravel() for i, t in enumerate(_tables(quality, "RGB"))}
    tables[0] = np.maximum(tables[0] + np.resize([0, 1, -1], 64), 1)
    found = inspect.quality_of({i: [int(v) for v in t] for i, t in tables.items()})
    assert not found.exact and abs(found.value - quality) <= 3


def test_coefficients_are_the_cosine_transforms():
    """Blocks are looked for in numbers that no JPEG rounds."""
    pixels = np.random.default_rng(0).uniform(0, 255, (16, 24))
    found = blocks.coefficients(pixels)
    for i in range(2):
        for j in range(3):
            block = pixels[8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
            np.testing.assert_allclose(found[i, j], scipy.fft.dctn(block, norm="ortho"), atol=1e-9)


@pytest.mark.parametrize("name", photographs.NAMES)
@pytest.mark.parametrize("quality", [50, 75, 90])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 6)])
def test_blocks_are_found_in_pixels(name, quality, top, left):
    """A JPEG that was saved as a PNG is searched as if it were clean, the more where it was cut out
    of another."""
    pixels = photographs.after_jpeg(photographs.sharp(name, 96), quality)[top:, left:]
    found = inspect.inspect(pixels)
    assert found.grid is not None
    assert (found.grid.top, found.grid.left) == (-top % 8, -left % 8)
    assert found.grid.quality is None or abs(found.grid.quality - quality) <= 3
    assert (found.compression > 0) == (found.grid.quality is not None)


@pytest.mark.parametrize("name", photographs.NAMES)
@pytest.mark.parametrize("side", [8, 16, 32, 96])
def test_clean_photos_have_no_blocks_and_were_not_enlarged(name, side):
    """Every photo is warned about, and no warning is read."""
    found = inspect.inspect(photographs.sharp(name, side))
    assert found.grid is None and found.compression == 0 and found.enlarged == 1
    assert not inspect.is_rough(found) and (side == 8 or not inspect.is_noisy(found))


def test_blocks_that_were_resized_are_not_told_of():
    """What nobody can know is claimed."""
    pixels = photographs.after_jpeg(photographs.sharp("astronaut", 96), 75)
    assert inspect.inspect(photographs.resized(pixels, 48)).grid is None


# Enlarged


@pytest.mark.parametrize("scale", [2, 3, 5])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (1, 4)])
def test_repeated_pixels_are_counted(scale, top, left):
    """A photo of 16 px that a viewer saved at 64 px is restored as one of 64 px."""
    small = photographs.sharp("chelsea", 16)
    large = small.repeat(scale, 0).repeat(scale, 1)[top:, left:]
    found = runs.repeated(large)
    assert found == runs.Runs(scale, -top % scale, -left % scale)
    whole = large[found.top :: scale, found.left :: scale]
    assert (whole == small[-len(whole) :, -whole.shape[1] :]).all()


def test_what_is_even_was_not_repeated():
    """A photo without details, or of stripes, is made smaller until nothing is left."""
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    uneven = photographs.sharp("coffee", 16).repeat(2, 0).repeat(3, 1)
    for pixels in (np.zeros((32, 32, 3), np.uint8), stripes, uneven):
        assert inspect.inspect(pixels).repeated == runs.Runs(1)


@pytest.mark.parametrize("name", photographs.NAMES)
@pytest.mark.parametrize("kernel", [R.BILINEAR, R.BICUBIC, R.LANCZOS])
@pytest.mark.parametrize("scale", [2, 4])
def test_smooth_enlargements_are_found(name, kernel, scale):
    """A photo that was enlarged before is restored at its new size: the search explains an
    interpolation."""
    large = photographs.resized(photographs.sharp(name, 96 // scale), 96, kernel)
    found = inspect.inspect(large).enlarged
    assert found == scale or (kernel != R.BICUBIC and 1 < found < scale)


def test_an_enlargement_is_explained_by_its_own_scale():
    """The scale is a guess by the spectrum alone: an enlargement by 4 passes for one by 2."""
    large = grey(photographs.resized(photographs.sharp("coffee", 24), 96))
    rest = {s: spectra._unexplained(large, s) for s in (2, 4, 8)}
    assert rest[4] < 0.5 and rest[8] > 5 * rest[4]
    few = (
        spectra.octave_ratio(spectra.powers(large), 2),
        spectra.octave_ratio(spectra.powers(large), 4),
    )
    assert max(few) < spectra.SMOOTH


# Rough


def test_the_octaves_of_white_noise_and_of_natural_power():
    """The ratio is that of another window or other bins, and the measured limits mean nothing."""
    draw = np.random.default_rng(0)
    white = draw.normal(size=(256, 256))
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256), indexing="ij"))
    f[0, 0] = 1.0
    natural = np.fft.ifft2(np.fft.fft2(white) / f**1.5).real  # power of rows falls as 1 / f^2
    for scale in (2.0, 4.0):
        found = [spectra.octave_ratio(spectra.powers(x), scale) for x in (white, natural)]
        assert found[0] == pytest.approx(math.sqrt(2 * scale - 2), rel=0.05)
        assert found[1] == pytest.approx(math.sqrt(1 - 1 / scale), rel=0.1)


@pytest.mark.parametrize("name", photographs.NAMES)
@pytest.mark.parametrize("side", [16, 32])
def test_a_photo_made_small_by_nearest_is_rougher(name, side):
    """A kernel that no --kernel is, unnoticed: no picture of the prior explains the photo."""
    whole = photographs.sharp(name, 512)
    aliased = spectra.roughness(grey(whole[:: 512 // side, :: 512 // side]))
    kernels = [spectra.roughness(grey(photographs.resized(whole, side, k))) for k in (4, 2, 3, 1)]
    assert aliased is not None
    assert aliased > spectra.ROUGH > max(filter(None, kernels))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_overshoot_is_that_of_the_edge(share):
    """An edge that goes over by a fifth is told as something else."""
    line = np.full(48, 50.0)
    line[24:] = 150.0
    line[23] -= 100 * share
    line[24] += 100 * share
    found = edges.overshoot(np.tile(line, (48, 1)))
    assert found == pytest.approx(share, abs=1e-9)


def test_sharpening_shows_more_than_none():
    """The sign is always there, or never."""
    plain, sharp = (
        [edges.overshoot(grey(change(photographs.sharp(name, 128)))) for name in photographs.NAMES]
        for change in (lambda x: x, photographs.sharpened)
    )
    assert max(plain) < 0.0 < max(sharp)
    assert all(b > a for a, b in zip(plain, sharp, strict=True))


# The proposal


@pytest.mark.parametrize("resolution", [16, 64, 96])
def test_the_factor_is_the_one_that_super_resolve_takes(resolution):
    """The proposed command does something else than the command without it, or is refused."""
    fitter = fitting.Fitter(resolution, None, "crop", OPERATORS["downsample"], lambda f: None)
    for side in range(1, resolution + 3):
        try:
            expected = fitting.factor_of(side, side + 5, fitter)
        except ValueError:
            expected = None
        assert inspect.factor_for(side, resolution) == expected


# A photo as a whole


def test_a_file_and_its_pixels_are_told_alike(tmp_path):
    """In Python a photo is told otherwise than on the command line."""
    pixels = photographs.sharp("rocket", 48)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    of_file = inspect.inspect(tmp_path / "a.png")
    for given in (pixels, pixels / np.float32(255), pixels.astype(np.uint16) * 257):
        found = inspect.inspect(given)
        assert found._replace(file=of_file.file, facts=of_file.facts, bits=8) == of_file
    assert (of_file.width, of_file.height, of_file.facts.format) == (48, 48, "PNG")


def test_what_a_files_head_tells(tmp_path):
    """A turned photo, one with opacity or one without colours is told as any other."""
    pixels = photographs.sharp("astronaut", 32)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(pixels[:24])
    image.save(tmp_path / "a.jpg", quality=83, subsampling=1, exif=exif)
    Image.fromarray(pixels).convert("L").save(tmp_path / "b.jpg", quality=40)
    Image.fromarray(np.dstack([pixels, pixels[..., 0]])).save(tmp_path / "c.png")
    turned, without, opaque = (inspect.inspect(tmp_path / n) for n in ("a.jpg", "b.jpg", "c.png"))
    assert turned.facts[1:5] == ("", True, (83, True), "4:2:2")
    assert (turned.width, turned.height) == (24, 32) and turned.compression > 0
    assert (without.is_grey, turned.is_grey) == (True, False)
    assert without.facts[3:5] == ((40, True), "")
    assert (opaque.has_alpha, turned.has_alpha) == (True, False)


def test_noise_is_told_of_photos_that_have_it():
    """A noisy photo is searched as if it were clean, or its noise is not in its threshold."""
    clean = photographs.sharp("coffee", 64) / 255
    noise = np.random.default_rng(0).normal(0, 12 / 255, clean.shape)
    plain, noisy = (inspect.inspect(np.clip(x, 0, 1)) for x in (clean, clean + noise))
    assert (plain.noise, noisy.noise) == (0, pytest.approx(12 / 255, rel=0.15))
    assert noisy.tolerance.eps > 10 * plain.tolerance.eps


def test_of_a_large_photo_the_middle_tells():
    """A photo of 100 megapixels takes minutes; or blocks are told at a place where they are not."""
    middle = photographs.after_jpeg(photographs.sharp("chelsea", 256), 70)
    large = np.zeros((1000, 600, 3), np.uint8)
    large[372:628, 172:428] = middle
    found = inspect.inspect(large)
    assert found.grid is not None and found.grid[:2] == (372 % 8, 172 % 8)
    assert found.tolerance == inspect.inspect(middle).tolerance
    assert (found.width, found.height) == (600, 1000)


@pytest.mark.parametrize("side", [1, 2, 3, 7, 15])
def test_a_photo_too_small_to_tell(side):
    """A thumbnail ends in a traceback."""
    found = inspect.inspect(photographs.sharp("rocket", 64)[:side, : side + 1])
    assert found.enlarged == 1 and found.grid is None and found.roughness is None


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((8, 8), np.float32), r"expected floats \[h, w, 3\], got \(8, 8\)"),
        (np.full((8, 8, 3), 2.0), r"expected floats in \[0, 1\], got 2 to 2"),
        (np.full((8, 8, 3), np.nan), r"expected floats in \[0, 1\], got nan"),
        (np.zeros((8, 8, 3), np.int64), "expected uint8 or uint16 pixels"),
    ],
)
def test_pixels_that_are_no_photo(pixels, words):
    """Pixels of 0 to 255 as floats are told as a clipped photo."""
    with pytest.raises(images.ImageError, match=words):
        inspect.inspect(pixels)
