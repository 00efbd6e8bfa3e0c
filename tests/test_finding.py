"""Which files are photos: one walk for folders, patterns and archives, whatever lies beside."""

import json
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from image_files import is_one_line

from jaxsr import data, images
from jaxsr.images import ImageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [
        "photo10.png",
        "photo2.PNG",
        "photo1.jpg",
        "notes.txt",
        ".hidden.png",
        "sub/deep.png",
        "odd[1].png",
        "2.png",
        "data.bin",
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["."], ["2.png", "odd[1].png", "photo1.jpg", "photo2.PNG", "photo10.png", "sub/deep.png"]),
        (["photo*"], ["photo1.jpg", "photo2.PNG", "photo10.png"]),
        (["*"], ["2.png", "odd[1].png", "photo1.jpg", "photo2.PNG", "photo10.png"]),
        (["**/*.png"], ["2.png", "odd[1].png", "photo10.png", "sub/deep.png"]),
        (["odd[1].png", "data.bin"], ["odd[1].png", "data.bin"]),
        (["photo10.png", "photo*", "photo10.png"], ["photo10.png", "photo1.jpg", "photo2.PNG"]),
    ],
)
def test_find(folder, monkeypatch, patterns, expected):
    """Files, folders and globs, in natural order, each once."""
    monkeypatch.chdir(folder)
    assert [path.as_posix() for path in images.find(patterns)] == expected
    assert images.find(folder / "2.png") == [folder / "2.png"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("none*.png", "no such file"), ("empty", "without images"), ("x.png", "no such file")],
)
def test_find_says_what_it_did_not_find(tmp_path, pattern, message):
    """A misspelt folder must not mean an empty run."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=message) as error:
        images.find([tmp_path, tmp_path / pattern] if pattern == "none" else [tmp_path / pattern])
    is_one_line(error, tmp_path / pattern)
    with pytest.raises(ImageError, match="at least one"):
        images.find([])


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).uniform(size=(8, 8, 3))
    images.write(path, pixels.astype(np.float32))


# A name that lies beside the photos, or in a folder of its own -> what is said of it.
BESIDE = {
    "._a.png": "1 sidecar of another system",
    "__MACOSX/a.png": "1 sidecar of another system",
    "__MACOSX/deep/._a.png": "1 sidecar of another system",
    "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg": "1 sidecar of another system",
    "Thumbs.db": "1 sidecar of another system",
    "desktop.ini": "1 sidecar of another system",
    ".DS_Store": "1 sidecar of another system",
    ".hidden.png": "1 hidden",
    ".cache/a.png": "1 hidden",
    "notes.txt": "1 of another type (.txt)",
    "raw/a.NEF": "1 of another type (.nef)",
    "LICENSE": "1 of another type (without an ending)",
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_no_photo_is_left_out_everywhere_and_told(name, tmp_path):
    """It fails as a photo, is counted as one, or is trained on; or a photo that is not read is
    missed by nobody. Folders, patterns, tar and zip must agree."""
    folder = tmp_path / "photos"
    picture(folder / "a.png")
    picture(folder / "p" / "b.png", 1)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((folder / "a.png").read_bytes())
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(folder, arcname=".")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    told = []
    for source in (folder, tmp_path / "photos.tar", tmp_path / "photos.zip"):
        photos = data.open_photos(str(source), warn=told.append)
        assert {Path(each).as_posix() for each in photos.names} == {"a.png", "p/b.png"}
        assert [photos[i].shape for i in range(2)] == [(8, 8, 3)] * 2
    assert [line.partition(": left out ")[2] for line in told] == [BESIDE[name]] * 3
    found = [folder / "a.png", folder / "p" / "b.png"]
    assert images.find(folder, warn=told.append) == found
    assert told.pop().endswith(BESIDE[name])
    assert images.find(str(folder / "**" / "*.png")) == found
    assert images.find(str(folder / "**")) == found
    assert images.find(str(folder / "*.png")) == found[:1]


def test_links_are_followed_and_loops_end(tmp_path):
    """Photos that are linked to are missed, come twice, or a loop of links goes on for ever: to
    itself, to the folder, above it, or between two folders."""
    folder, other = tmp_path / "photos", tmp_path / "elsewhere"
    picture(folder / "p" / "a.png")
    picture(other / "b.png", 1)
    (other / "back").symlink_to(folder)
    (folder / "a_link_first").symlink_to(folder / "p")
    (folder / "up").symlink_to(tmp_path)
    (folder / "round").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "z").symlink_to(other)
    (folder / "file.png").symlink_to(other / "b.png")
    told = []
    expected = [folder / "file.png", folder / "p" / "a.png", folder / "z" / "b.png"]
    assert images.find(folder, warn=told.append) == expected
    assert "4 links to listed folders" in told[0]
    assert images.find(str(folder / "**" / "*.png")) == expected
    assert sorted(data.open_photos(str(folder), warn=told.append).names) == [
        str(path.relative_to(folder)) for path in expected
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_told(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "locked").mkdir(mode=0)
    told = []
    assert images.find(tmp_path, warn=told.append) == [tmp_path / "a.png"]
    assert "1 unreadable folder" in told[0]


def test_a_folder_of_nothing_but_results_says_so(tmp_path):
    """ "A folder without images" beside a dozen of them."""
    picture(tmp_path / "a.png")
    (tmp_path / "config.json").write_text('{"settings": {}}')
    (tmp_path / "results.csv").write_text("output,status\na.png,ok\nb.png,error\n")
    for pattern in (tmp_path, tmp_path / "*.png"):
        with pytest.raises(ImageError, match=r"left out [13] of an earlier run") as error:
            images.find(pattern)
        is_one_line(error, pattern)
    with pytest.raises(ValueError, match=r"got none \(left out 3 of an earlier run"):
        data.open_photos(str(tmp_path))
    assert images.find(tmp_path / "a.png") == [tmp_path / "a.png"]


def test_a_table_of_somebody_else_hides_nothing(tmp_path):
    """Only what a run's table names, or what runs draw beside one, is a result."""
    for name in ("a.png", "grid.png", "samples.png"):
        picture(tmp_path / name)
    (tmp_path / "results.csv").write_bytes(b'photo,"open\n')
    assert len(images.find(tmp_path)) == 3
    (tmp_path / "results.csv").write_text("photo,score\na.png,3\n")
    assert len(images.find(tmp_path)) == 3


@pytest.mark.parametrize("pattern", ["*.png", "**/*.png", "?.png", "[ab].png"])
def test_names_with_the_letters_of_patterns(pattern, tmp_path):
    """Photos of "trip [2024]" are not found by any pattern in it."""
    for name in ("trip [2024]/a.png", "trip [2024]/[x].png", "trip 2/a.png"):
        picture(tmp_path / name)
    folder = tmp_path / "trip [2024]"
    assert folder / "a.png" in images.find(folder / pattern)
    assert images.find(folder / "[x].png") == [folder / "[x].png"]  # a file of that name
    assert images.find(tmp_path / "trip*" / "a.png") == [
        tmp_path / "trip 2" / "a.png",
        folder / "a.png",
    ]


# Archives


def zipped(path: Path, names: list[str], **more: str) -> None:
    """As dataset_tool.py writes it: photos in numbered folders, stored, and a dataset.json."""
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            picture(path.parent / "one.png", i)
            archive.write(path.parent / "one.png", name)
        for name, text in more.items():
            archive.writestr(f"{name}.json", text)


def test_a_zip_is_read_as_its_photos_would_be(tmp_path):
    """In threads too, and in the same order as it is listed."""
    names = [f"0000{i // 5}/img0000000{i}.png" for i in range(10)]
    zipped(tmp_path / "data.zip", names, dataset='{"labels": null}')
    photos = data.open_photos(str(tmp_path / "data.zip"), warn=lambda line: None)
    assert list(photos.names) == names
    for i, (_, image) in enumerate(data.stream(photos, range(10), threads=4)):
        picture(tmp_path / "one.png", i)
        np.testing.assert_array_equal(image, images.read(tmp_path / "one.png"))
    assert data.prepare(str(tmp_path / "data.zip"), 8, tmp_path / "c").shape == (10, 8, 8, 3)


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        ([["a.png", 6], ["p/b.png", 0]], [("a.png", "6"), ("p/b.png", "0")]),
        ([["a.png", [0.5, 1.0]]], [("a.png", "0.5", "1.0")]),
    ],
)
def test_labels_of_dataset_tool(labels, rows, tmp_path):
    """Of the zip, and of the dataset.json that lies in an unpacked one."""
    text = json.dumps({"labels": labels})
    zipped(tmp_path / "data.zip", ["a.png"], dataset=text)
    (tmp_path / "dataset.json").write_text(text)
    for path in (tmp_path / "data.zip", tmp_path / "dataset.json"):
        assert [tuple(row.values()) for row in data.read_labels(path)] == rows
        assert "file" in data.read_labels(path)[0]


@pytest.mark.parametrize("text", ['{"labels": null}', "[]", "{", '{"labels": [["a.png"]]}'])
def test_a_data_set_without_labels_is_one_line(text, tmp_path):
    zipped(tmp_path / "data.zip", ["a.png"], dataset=text)
    with pytest.raises(ValueError, match=r"expected a CSV of labels, or dataset\.json") as error:
        data.read_labels(tmp_path / "data.zip")
    is_one_line(error, tmp_path / "data.zip")


def test_damaged_archives_and_members(tmp_path):
    """A cut zip is one line; a member whose bytes are damaged, or that claims to be huge, costs
    itself alone."""
    zipped(tmp_path / "data.zip", ["a.png", "b.png", "c.png"])
    content = bytearray((tmp_path / "data.zip").read_bytes())
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"expected a whole \.zip of photos, got one that is cut"):
        data.open_photos(str(tmp_path / "cut.zip"))
    content[content.index(b"IDAT") + 8] ^= 255
    at = content.rindex(b"PK\x01\x02")  # the directory's entry of the last
    content[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")
    (tmp_path / "odd.zip").write_bytes(content)
    photos = data.open_photos(str(tmp_path / "odd.zip"))
    first, good, huge = (image for _, image in data.stream(photos, range(3)))
    assert isinstance(first, ImageError) and "a.png: expected a whole file" in str(first)
    assert isinstance(huge, ImageError) and "c.png: expected at most" in str(huge)
    assert isinstance(good, np.ndarray)


# Photos that come later


def test_a_training_goes_on_with_the_photos_that_it_began_with(tmp_path):
    """A photo that is added while a training is stopped makes it refuse to go on, or changes what
    it is trained on in the middle. A changed or lost one must not pass for the old one."""
    for i in range(3):
        picture(tmp_path / "photos" / f"{i}.png", i)
    source, told = str(tmp_path / "photos"), []
    first = np.array(data.prepare(source, 8, tmp_path / "cache", warn=told.append))
    picture(tmp_path / "photos" / "00.png", 9)
    again = data.prepare(source, 8, tmp_path / "cache", warn=told.append)
    np.testing.assert_array_equal(again, first)
    assert len(told) == 1 and "goes on with the photos that it began with" in told[0]
    assert len(data.prepare(source, 8, tmp_path / "other")) == 4
    picture(tmp_path / "photos" / "1.png", 10)
    os.utime(tmp_path / "photos" / "1.png", (1, 1))
    assert len(data.prepare(source, 8, tmp_path / "cache")) == 4
