"""What the files of results say of themselves, and what they do not: read back with Pillow."""

import json
from pathlib import Path
from xml.etree import ElementTree

import commands
import numpy as np
import pytest
from PIL import Image
from tiny import photo, rows

from jaxsr import images
from jaxsr.images import ImageError, marks

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
FORMATS = {"png": 8, "tif": 8, "webp": 8, "jpg": 8, "png of 16": 16, "tif of 16": 16}
SETTINGS = {"settings": {"seed": 3, "what": 'a "quoted" <text> & more \u00e9'}}
DATE = marks.Taken("2024:05:01 10:20:30", "25", "+02:00")


def xmp_of(image: Image.Image) -> dict[str, str]:
    """The attributes of an image's XMP packet, by their names without namespaces."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if image.format == "TIFF":
        packet = image.tag_v2[700]  # pyright: ignore[reportAttributeAccessIssue]
    packet = packet if isinstance(packet, bytes) else packet.encode()
    (found,) = ElementTree.fromstring(packet).iter(RDF)
    return {name.partition("}")[2]: text for name, text in found.attrib.items()}


@pytest.mark.parametrize("kind", FORMATS)
def test_marks_are_read_back(kind, tmp_path):
    """A restored picture passes for a photo, or nobody can tell any more what made it."""
    image, depth = photo(16), FORMATS[kind]
    path = tmp_path / f"x.{kind.split()[0]}"
    marked = marks.Marks(json.dumps(SETTINGS), DATE)
    images.write(path, image, depth=depth, marks=marked)
    with Image.open(path) if kind != "tif of 16" else _first_page(path) as opened:
        found = xmp_of(opened)
        date = opened.getexif().get_ifd(marks.EXIF_IFD).get(0x9003) or opened.getexif().get(0x9003)
        if opened.format == "PNG":
            assert json.loads(opened.info["Settings"]) == SETTINGS
            assert opened.info["Software"].startswith("jaxsr ")
    assert found["DigitalSourceType"] == marks.SYNTHETIC
    assert json.loads(found["Settings"]) == SETTINGS
    assert found["DateTimeOriginal"] == "2024-05-01T10:20:30.25+02:00"
    assert date == DATE.date
    # The marks change no pixel.
    images.write(path, image, depth=depth)
    plain = images.read(path)
    images.write(path, image, depth=depth, marks=marked)
    np.testing.assert_array_equal(images.read(path), plain)
    if "jpg" not in kind:
        np.testing.assert_allclose(plain, image, atol=0.51 / (2**depth - 1))
    if kind != "tif of 16":
        assert images.taken(path) == DATE or kind.startswith("tif")


class _first_page:
    """A TIFF of 16 bits, whose tags Pillow reads and whose pixels it does not."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        import tifffile

        with tifffile.TiffFile(self.path) as file:
            tags = file.pages.first.tags  # pyright: ignore[reportAttributeAccessIssue]
            found = {code: tags.valueof(code) for code in (700, 0x9003)}
        exif = Image.Exif()
        exif[0x9003] = found[0x9003]
        self.tag_v2, self.format, self.info = found, "TIFF", {}
        self.getexif = lambda: exif
        return self

    def __exit__(self, *_):
        pass


def photo_with_exif(path: str) -> None:
    """As a phone writes it: with a date, a place and a serial number."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0132] = "Camera", "2025:01:01 00:00:00"
    exif[marks.EXIF_IFD] = {0x9003: DATE.date, 0x9011: DATE.offset, 0xA431: "serial 4711"}
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 0.0)}
    Image.fromarray(images.to_uint8(photo(4))).save(path, exif=exif)


@pytest.mark.parametrize(("format", "depth"), [("png", 8), ("png", 16), ("jpg", 8)])
def test_a_result_keeps_the_date_and_no_place(format, depth, restore):
    """The place where a photo was taken goes with the result to whoever gets it; its date does
    not."""
    photo_with_exif("p.png")
    assert restore(input=("p.png",), format=format, depth=depth) == 0
    content = Path(f"out/p.{format}").read_bytes()
    with Image.open(f"out/p.{format}") as opened:
        exif, told = opened.getexif(), json.loads(xmp_of(opened)["Settings"])
        assert xmp_of(opened)["DigitalSourceType"] == marks.SYNTHETIC
    assert exif.get_ifd(marks.EXIF_IFD)[0x9003] == DATE.date
    assert not exif.get_ifd(0x8825) and b"4711" not in content and b"Camera" not in content
    assert told["settings"]["method"] == "bicubic" and told["settings"]["seed"] == 0
    assert told["method"] == "bicubic" and "photos" not in told and "command" not in told
    with Image.open("out/grid.png") as opened:
        assert xmp_of(opened)["DigitalSourceType"] == marks.SYNTHETIC


def test_settings_do_not_tell_the_users_files():
    """Where somebody keeps their photos is in every picture that they share."""
    record = {
        "settings": {"model": "/home/ana/secret/model", "seed": 1, "input": "/home/ana/x.png"},
        "command": "python super_resolve.py --input=/home/ana/x.png",
        "prior": {"source": "/home/ana/prior", "name": "ffhq"},
        "photos": {"x.png": {"file": "/home/ana/x.png"}},
    }
    told = marks._told(record)
    assert "ana" not in json.dumps(told)
    assert told == {"settings": {"model": "model", "seed": 1}, "prior": {"name": "ffhq"}}


@pytest.mark.parametrize("date", ["", "yesterday", "0000", "2024:05:01 10:20:30<x/>"])
def test_a_date_that_is_none_is_left_out(date, tmp_path):
    exif = Image.Exif()
    exif[marks.EXIF_IFD] = {0x9003: date}
    Image.fromarray(images.to_uint8(photo(4))).save(tmp_path / "x.jpg", exif=exif)
    assert images.taken(tmp_path / "x.jpg") == marks.NEVER
    assert images.taken(tmp_path / "gone.jpg") == marks.NEVER
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8damaged")
    assert images.taken(tmp_path / "x.jpg") == marks.NEVER


# Names and formats


@pytest.mark.parametrize("format", ["jpg", "webp", "tif"])
def test_formats_are_resumed_and_scored_as_written(format, restore, capsys):
    """A JPEG's score is that of the pixels before the loss; or the second run does it all again."""
    images.write("sharp.png", photo(16, 5))
    flags = {"reference": ("sharp.png",), "factor": 4, "format": format, "suffix": "x4"}
    assert restore(**flags) == 0
    (row,) = rows("out")
    assert row["output"] == f"sharp_x4.{format}"
    error = np.mean((images.read(f"out/sharp_x4.{format}") - images.read("sharp.png")) ** 2)
    assert float(row["psnr"]) == pytest.approx(-10 * np.log10(error), abs=1e-3)
    capsys.readouterr()
    before = Path(f"out/sharp_x4.{format}").stat().st_mtime_ns
    assert restore(**flags) == 0
    assert "1 of them done before" in capsys.readouterr().out
    assert Path(f"out/sharp_x4.{format}").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"other settings: .*format"):
        restore(**flags | {"format": "png"})
    # A folder of results gives none of them as photos.
    with pytest.raises(ImageError, match="of an earlier run"):
        images.find("out")


def test_names_of_several_solutions_with_a_suffix(restore):
    """Two photos of one name, two solutions, a suffix: no name is given twice, and a photo that
    comes later takes none."""
    for i, folder in enumerate(("p1", "p2")):
        Path(folder).mkdir()
        images.write(f"{folder}/a.png", photo(4, i))
    flags = {"num_solutions": 2, "suffix": "sr", "method": "pulse", "smoke": True}
    assert restore(input=("p2",), **flags) == 0
    assert [row["output"] for row in rows("out")] == ["a_s0_sr.png", "a_s1_sr.png"]
    assert restore(input=("p1", "p2"), **flags) == 0
    found = {(row["file"], row["output"]) for row in rows("out")}
    assert found == {
        *(("p2/a.png", f"a_s{i}_sr.png") for i in range(2)),
        *(("p1/a.png", f"a_2_s{i}_sr.png") for i in range(2)),
    }


def test_a_folder_of_before_these_flags_goes_on(restore, capsys):
    """Results of a version that knew neither --format nor --suffix."""
    images.write("p.png", photo(4))
    assert restore(input=("p.png",)) == 0
    settings = json.loads(Path("out/config.json").read_text())["settings"]
    assert not {"format", "suffix"} & settings.keys()
    capsys.readouterr()
    assert restore(input=("p.png",)) == 0
    assert "1 of them done before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"depth": 16, "format": "jpg"}, "--depth=16 is for png and tif, not for --format=jpg"),
        ({"suffix": "../x"}, "--suffix='../x': expected at most 40 letters"),
        ({"suffix": "a" * 41}, "expected at most 40 letters"),
    ],
)
def test_what_no_file_can_be_called_is_refused(flags, words, restore):
    """A suffix that leads out of the folder."""
    images.write("p.png", photo(4))
    with pytest.raises(ValueError, match=words):
        restore(input=("p.png",), **flags)


def test_sides_that_a_format_does_not_have(tmp_path):
    """An error of libwebp after an hour of enlarging."""
    with pytest.raises(ImageError, match="sides of at most 16383 px"):
        images.write_pixels(tmp_path / "x.webp", np.zeros((1, 16384, 3), np.uint8))
    with pytest.raises(ImageError, match="expected 8 bits, got 16"):
        images.write_pixels(tmp_path / "x.jpg", np.zeros((1, 1, 3), np.uint16))
    with pytest.raises(ImageError, match=r"a name that ends in \.png, \.jpg, \.webp, \.tif"):
        images.write(tmp_path / "x.gif", photo(4))


def test_short_flags(tiny_prior, tmp_path, monkeypatch):
    """-i and -o of every other tool."""
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        images.write(tmp_path / f"p{i}.png", photo(4, i))
    arguments = (
        f"--prior={tiny_prior}",
        "--method=bicubic",
        "-i",
        "p0.png",
        "-i",
        "p1.png",
        "-o",
        "made",
    )
    done = commands.call("super_resolve.py", *arguments)
    assert done.status == 0, done.stderr
    assert sorted(row["output"] for row in rows(tmp_path / "made")) == ["p0.png", "p1.png"]


def test_marks_are_a_choice_of_the_caller(tmp_path):
    """Without marks a file is as it always was: nothing is said of pictures that are photos."""
    images.write(tmp_path / "x.png", photo(4))
    with Image.open(tmp_path / "x.png") as opened:
        assert opened.info == {}
