"""Files as people have them that were read wrongly or told of badly: each is read right, or told in
one line what it is and what to do."""

import io
import json
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import evaluate
import numpy as np
import ports_files as files
import ports_wrappers as wrapped
import pytest
import tifffile
from evaluation.options import Settings
from PIL import Image, ImageCms
from tiny import photo, write_prior

from jaxsr import data, images
from jaxsr.images import ImageError
from ports import convert, torch_files

GREY = (66 + 3 * np.arange(63, dtype=np.uint8).reshape(7, 9))[..., None]


def one_line(error: pytest.ExceptionInfo) -> str:
    told = str(error.value)
    assert "\n" not in told
    return told


# Photos


def test_a_tiff_without_pages_is_named(tmp_path):
    """ "Got an error: 0"."""
    (tmp_path / "x.tif").write_bytes(b"II*\x00" + bytes(4))
    with pytest.raises(ImageError, match="expected a TIFF with a picture, got one without pages"):
        images.read(tmp_path / "x.tif")


@pytest.mark.parametrize("kind", ["rgb", "palette"])
@pytest.mark.parametrize("thumbnails", [1, 2])
def test_a_tiff_that_begins_with_its_thumbnail(kind, thumbnails, tmp_path):
    """A search of the thumbnail of 160 px in place of the photo; by both readers."""
    full = images.to_uint8(photo(16))
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for _ in range(thumbnails):
            file.write(full[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
        if kind == "rgb":
            file.write(full, photometric="rgb", metadata=None)
        else:
            grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
            colours = np.arange(768, dtype=np.uint16).reshape(3, 256) * 80
            file.write(grey, photometric="palette", colormap=colours, metadata=None)
    picture = images.load(tmp_path / "x.tif")
    assert picture.shape == (16, 16, 3)
    expected = f"the first page is a thumbnail: the full picture is read ({thumbnails + 1})"
    assert picture.remarks == (expected,)
    if kind == "rgb":
        np.testing.assert_array_equal(images.to_uint8(picture.image()), full)


def test_negative_numbers_are_told_how_to_convert(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.arange(-10, 54, dtype=np.int16).reshape(8, 8))
    with pytest.raises(
        ImageError, match=r"add 10 to all, and save it as unsigned integers"
    ) as told:
        images.read(tmp_path / "x.tif")
    one_line(told)


def test_a_jpeg_that_lacks_much_is_cut_off(tmp_path):
    """ "Broken data stream when reading image file" of a download that stopped."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.jpg")
    content = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(content[:-200])
    with pytest.raises(
        ImageError, match=r"x\.jpg: expected a whole image, got one that is cut off"
    ):
        images.read(tmp_path / "x.jpg")


@pytest.mark.parametrize(("maxval", "told"), [(65535, True), (255, False)])
def test_a_ppm_of_16_bits_tells_what_is_lost(maxval, told, tmp_path):
    """Half of the bits go, and nobody is told."""
    pixels = np.arange(48, dtype=">u2" if told else "u1").reshape(4, 4, 3) * (maxval // 48)
    header = f"P6 4 4 {maxval}\n".encode()
    (tmp_path / "x.ppm").write_bytes(header + pixels.astype(">u2" if told else "u1").tobytes())
    picture = images.load(tmp_path / "x.ppm")
    np.testing.assert_allclose(picture.image(), pixels / maxval, atol=1.01 / 255)
    assert [line[:19] for line in picture.remarks] == ["a PPM of 16 bits is"] * told


def grey_profile(gamma: float) -> bytes:
    """A grey ICC profile of version 2, written byte by byte: white point and a gamma curve."""
    xyz = b"XYZ " + bytes(4) + b"".join(v.to_bytes(4, "big") for v in (63190, 65536, 54061))
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big")
    curve += bytes(2)
    text = b"grey of gamma\x00"
    name = b"desc" + bytes(4) + len(text).to_bytes(4, "big") + text + bytes(78)
    name += bytes(-len(name) % 4)
    tags, body, at = [], b"", 128 + 4 + 4 * 12
    for key, content in ((b"desc", name), (b"wtpt", xyz), (b"kTRC", curve), (b"cprt", name)):
        tags.append(key + at.to_bytes(4, "big") + len(content).to_bytes(4, "big"))
        body, at = body + content, at + len(content)
    table = len(tags).to_bytes(4, "big") + b"".join(tags)
    size = 128 + len(table) + len(body)
    header = size.to_bytes(4, "big") + bytes(4) + b"\x02\x10\x00\x00" + b"mntrGRAYXYZ "
    header += bytes(12) + b"acsp" + bytes(28) + xyz[8:20]
    return header + bytes(128 - len(header)) + table + body


@pytest.mark.parametrize("kind", ["alpha", "transparent colour", "opaque"])
def test_the_profile_of_a_grey_picture_with_alpha_is_applied(kind, tmp_path):
    """Its colours are those of another screen, and nothing tells so."""
    profile = grey_profile(1.0)
    ImageCms.ImageCmsProfile(io.BytesIO(profile))
    alpha = np.where(GREY > 100, 255, 0).astype(np.uint8)
    picture = Image.fromarray(GREY[..., 0])
    if kind == "alpha":
        picture = Image.merge("LA", (picture, Image.fromarray(alpha[..., 0])))
    extra = {"transparency": 66} if kind == "transparent colour" else {}
    picture.save(tmp_path / "x.png", icc_profile=profile, **extra)
    found = images.load(tmp_path / "x.png")
    assert any("colours converted to sRGB" in line for line in found.remarks)
    # A linear curve, as sRGB shows it (IEC 61966-2-1).
    linear = GREY / 255
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    hidden = {"alpha": alpha == 0, "transparent colour": GREY == 66, "opaque": GREY < 0}[kind]
    expected = np.repeat(np.where(hidden, 1.0, srgb), 3, 2)
    np.testing.assert_allclose(found.image(), expected, atol=2.5 / 255)


@pytest.mark.parametrize("before", [b"", b"\n\n  ", b"\xef\xbb\xbf", b"\r\n" * 40])
def test_a_web_page_is_one_whatever_it_begins_with(before, tmp_path):
    """ "Damaged" of the page of a download that asked for a login."""
    page = before + b"<!doctype HTML><html>"
    (tmp_path / "x.jpg").write_bytes(page)
    with pytest.raises(ImageError, match="got a web page"):
        images.read(tmp_path / "x.jpg")
    (tmp_path / "x.pt").write_bytes(page)
    with pytest.raises(ValueError, match="got a web page"):
        torch_files.read(tmp_path / "x.pt")


def test_large_photos_of_several_threads_wait_for_each_other(monkeypatch, tmp_path):
    """Two photos of 100 megapixels in memory at once: 2 GB and more. Small ones do not wait."""
    monkeypatch.setattr("jaxsr.images.picture.LARGE", 100)
    inside, most, guard = [0], [0, 0], threading.Lock()
    for name, side in (("large", 16), ("small", 8)):
        (tmp_path / name).mkdir()
        for i in range(6):
            images.write(tmp_path / name / f"{i}.png", photo(side, i))
    meet = threading.Barrier(2)

    def work(picture):
        with guard:
            inside[0] += 1
            most[picture.shape[0] == 8] = max(most[picture.shape[0] == 8], inside[0])
        if picture.shape[0] == 8:
            meet.wait(60)  # two are there at once, or never
        with guard:
            inside[0] -= 1
        return picture.shape

    for name in ("large", "small"):
        photos = data.open_photos(str(tmp_path / name))
        assert len([*data.stream(photos, range(6), work=work, threads=2)]) == 6
    assert most == [1, 2]


# Tables of labels


def test_a_photo_with_two_labels_is_one_line(tmp_path):
    """One of the two is taken, whichever comes last."""
    table = tmp_path / "labels.csv"
    table.write_text("file,type\na.png,x\nb.png,y\na.png,x\n")
    assert len(data.read_labels(table)) == 3
    table.write_text("file,type\na.png,x\nb.png,y\na.png,y\n")
    with pytest.raises(ValueError, match=r"got two for 'a\.png', with type 'x' and 'y'") as told:
        data.read_labels(table)
    one_line(told)


def test_a_folder_in_place_of_labels(tmp_path):
    """ "No such file" of a folder that is there."""
    for path, got in ((tmp_path, "a folder"), (tmp_path / "none.csv", "no such file")):
        with pytest.raises(ValueError, match=f"expected a table of labels, got {got}"):
            data.read_labels(path)


def test_the_labels_of_a_data_set_are_not_left_out(tmp_path):
    """ "Left out 1 of another type (.json)" of the labels that the user has just given."""
    told = []
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        images.write(tmp_path / "a.png", photo(8))
        archive.write(tmp_path / "a.png", "a.png")
        archive.writestr("dataset.json", json.dumps({"labels": [["a.png", 1]]}))
        archive.writestr("inner/dataset.json", "{}")
    data.open_photos(str(tmp_path / "data.zip"), warn=told.append)
    assert told == [f"{tmp_path / 'data.zip'}: left out 1 of another type (.json)"]
    (tmp_path / "data.zip").unlink()
    (tmp_path / "dataset.json").write_text("{}")
    assert images.find(tmp_path, warn=told.append) == [tmp_path / "a.png"]
    assert len(told) == 1


READ_FEATURES = """
import sys; sys.path.insert(0, {experiments!r})
import train_features
train_features.flags.FLAGS(["train_features", "--resolution=16"])
photos, rows = train_features.read_labelled(".", "labels.csv")
assert photos.shape == (2, 16, 16, 3) and [row["type"] for row in rows] == ["x", "y"]
"""


def test_training_of_features_tells_what_it_reads(tmp_path):
    """A network learns from first frames of animations, and nothing says so."""
    for i in range(2):
        frames = [Image.fromarray(images.to_uint8(photo(16, i + j))) for j in range(2)]
        frames[0].save(tmp_path / f"{i}.png", save_all=True, append_images=frames[1:])
    (tmp_path / "labels.csv").write_text("file,type\n0.png,x\n1.png,y\n")
    # In a process of its own: the command defines its flags as it is imported.
    code = READ_FEATURES.format(experiments=str(Path(__file__).parents[1] / "experiments"))
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "2 of 2 photos: the first frame of an animation (2 frames)" in ended.stdout


def test_photos_that_are_all_too_small_fail_before_the_work(tmp_path, monkeypatch):
    """All cells are run over nothing, and the status is that of some failures."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for i in range(2):
        images.write(f"photos/{i}.png", photo(4, i))
    prior = write_prior(tmp_path / "tiny")
    settings = Settings(
        prior=str(prior), methods=("bicubic",), factors=(4,), data="photos", out="out"
    )
    with pytest.raises(ValueError, match="expected sides of at least 16 px, got 4 x 4") as told:
        evaluate.run(settings)
    assert "2 of which none can be used" in one_line(told)
    assert not Path("out/rows.jsonl").exists()


# Checkpoints


def test_files_around_weights_are_named(tmp_path):
    """ "Expected NIQE's model", "a zip with 0" of what people save and pack."""
    np.savez(tmp_path / "small.npz", weight=np.zeros(3))
    np.savez(tmp_path / "large.npz", weight=np.zeros(100_000))
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run/model.pt", files.zipped(wrapped.of_rosinality(wrapped.SMALL)))
    expected = {
        "small.npz": "a NumPy or MATLAB file of arrays weight",
        "large.npz": r"NumPy's \.npz",
        "x.zip": r"a zip around one: unpack 'run/model\.pt'",
    }
    for name, words in expected.items():
        with pytest.raises(ValueError, match=f"{name}: expected a checkpoint, got {words}"):
            convert.convert(tmp_path / name)


def test_an_average_without_names_is_told(tmp_path):
    """The weights as trained are taken for the average that the file has."""
    state = wrapped.of_rosinality(wrapped.SMALL)
    average = {"decay": 0.999, "num_updates": 3, "shadow_params": [*state.values()]}
    content = {"model": state, "ema": average}
    (tmp_path / "x.pt").write_bytes(files.zipped(content))
    _, config = convert.convert(tmp_path / "x.pt")
    (told,) = [note for note in config["notes"] if "shadow_params" in note]
    assert f"is {len(state)} arrays without names" in told
    (tmp_path / "only.pt").write_bytes(files.zipped({"ema": average}))
    with pytest.raises(ValueError, match="arrays without names"):
        convert.convert(tmp_path / "only.pt")
