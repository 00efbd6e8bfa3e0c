"""What is told of photos reaches the tables and the logs, and the flags of reading and writing do
what they say."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import super_resolve
from image_files import write_tiff
from PIL import Image
from tiny import photo, quick, rows, write_prior

from jaxsr import data, images

FILM = "the first frame of an animation (2 frames)"


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_prior(tmp_path_factory.mktemp("priors") / "tiny")


@pytest.fixture
def folder(tmp_path):
    """A photo of 12 bits in 16, an animation, and a plain photo; 16 px a side."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 4096, (16, 16, 3)).astype(np.uint16)
    write_tiff(tmp_path / "photos" / "dark.tif", dark)
    frames = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(2)]
    frames[0].save(tmp_path / "photos" / "film.png", save_all=True, append_images=frames[1:])
    images.write(tmp_path / "photos" / "plain.png", photo(16, 1))
    return tmp_path / "photos"


def test_remarks_are_in_the_table_and_the_log(prior, folder, tmp_path, capsys):
    """A dark result is not understood otherwise."""
    out = str(tmp_path / "out")
    settings = quick(
        prior=prior, reference=(str(folder),), method="bicubic", factor=2, out=out, smoke=False
    )
    assert super_resolve.main(settings) == 0
    found = {row["output"]: row["remark"] for row in rows(tmp_path / "out")}
    assert "a small part of the range is used" in found["dark.png"]
    assert (found["film.png"], found["plain.png"]) == (FILM, "")
    told = capsys.readouterr().out
    assert f"{folder / 'film.png'}: {FILM}\n" in told and "--white=4095" in told
    assert "plain.png: " not in told


def test_white_and_depth_change_what_is_read_and_written(prior, folder, tmp_path):
    """The result of a scaled photo is as bright as it, and of 16 bits; judged it is at 8, as
    before."""
    asked = {"reference": (str(folder / "dark.tif"),), "method": "bicubic", "factor": 2}
    asked |= {"prior": prior, "white": "4095"}
    judged = {}
    for depth in (8, 16):
        out = str(tmp_path / f"out{depth}")
        assert super_resolve.main(quick(**asked, depth=depth, out=out)) == 0
        judged[depth] = rows(tmp_path / f"out{depth}")[0]
    made = {depth: images.load(tmp_path / f"out{depth}" / "dark.png") for depth in (8, 16)}
    assert [made[depth].stored.dtype for depth in (8, 16)] == [np.uint8, np.uint16]
    difference = np.abs(made[8].image() - made[16].image()).max()
    assert 0 < difference <= 0.51 / 255
    assert made[16].image().max() > 0.3
    for name in ("psnr", "residual", "digest"):
        assert judged[8][name] == judged[16][name]
    with pytest.raises(ValueError, match="--depth must be 8 or 16, got 12"):
        super_resolve.main(quick(**asked, depth=12, out=str(tmp_path / "out12")))


def test_a_training_is_told_once_a_kind(folder, tmp_path):
    """A line for each of 100,000 photos is read by nobody; nor may photos of another white come
    from the cache."""
    write_tiff(folder / "dark2.tif", np.full((16, 16, 3), 900, np.uint16))
    said = []
    stack = data.prepare(str(folder), 8, tmp_path / "cache", warn=said.append)
    dark = [line for line in said if "a small part of the range" in line]
    assert len(dark) == 1 and "2 of 4 photos" in dark[0] and "dark.tif" in dark[0]
    assert f"{folder}: film.png: {FILM}" in said
    scaled = data.prepare(str(folder), 8, tmp_path / "cache", images.Reading(white="4095"))
    assert scaled[0].mean() > 10 * stack[0].mean()


# The kernel's own count of the largest size: that of getrusage is inherited from the parent.
LARGE = """
import sys
from pathlib import Path
from restoration.photos import centre_square
found = centre_square(sys.argv[1], 64)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(found.image.shape, status["VmHWM"].split()[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the memory")
@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_a_hundred_megapixels_fit_in_memory(tmp_path, suffix):
    """Photos of today's cameras and mosaics of microscopes; as floats they take gigabytes."""
    import tifffile

    ramp = (np.arange(11547) % 251).astype(np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (8660, 11547, 3))
    if suffix == "jpg":
        Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / "x.jpg")
    else:
        deep = pixels.astype(np.uint16) * 257
        tifffile.imwrite(
            tmp_path / "x.tif", deep, photometric="rgb", compression="lzw", rowsperstrip=64
        )
    file = str(tmp_path / f"x.{suffix}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", LARGE, file],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    shape, _, peak = ran.stdout.strip().rpartition(" ")
    assert shape == "(64, 64, 3)"
    assert int(peak) * 1024 < 2e9
