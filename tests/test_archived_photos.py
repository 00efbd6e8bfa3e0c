"""Photos that lie in archives are restored and explored from there, as evaluate.py and trainings
read them."""

import gzip
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exploration import sources
from tiny import photo, rows

from jaxsr import images


def packed(path: str, pictures: dict[str, int | bytes]) -> str:
    """An archive of photos of these names and seeds, or of these bytes."""
    files = {}
    for name, content in pictures.items():
        if isinstance(content, int):
            images.write("one.png", photo(4, content))
            content = Path("one.png").read_bytes()
        files[name] = content
    Path("one.png").unlink(missing_ok=True)
    if path.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = Path("member")
            member.write_bytes(content)
            archive.add(member, arcname=name)
            member.unlink()
    return path


@pytest.mark.parametrize("path", ["photos.zip", "photos.tar"])
def test_an_archive_is_restored_as_its_folder_would_be(path, restore, capsys):
    """The photos that evaluate.py reads must be unpacked to be restored; or a photo that comes
    later, a damaged one or a second run makes it refuse."""
    packed(path, {"p1/a.png": 1, "p2/a.png": 2, "p2/notes.txt": b"no photo", "._a.png": b"x"})
    assert restore(input=(path,)) == 0
    left_out = capsys.readouterr().out
    assert f"{path}: left out 1 of another type (.txt), 1 sidecar" in left_out or (
        f"{path}: left out 1 sidecar of another system, 1 of another type (.txt)" in left_out
    )
    found = {row["file"]: row["output"] for row in rows("out")}
    assert found == {f"{path}/p1/a.png": "a.png", f"{path}/p2/a.png": "a_2.png"}
    old = {name: Path("out", name).read_bytes() for name in found.values()}
    # What a folder of the same photos gives.
    for i in (1, 2):
        Path(f"p{i}").mkdir()
        images.write(f"p{i}/a.png", photo(4, i))
    assert restore(input=("p1", "p2"), out="of_folders") == 0
    for name in old:
        np.testing.assert_array_equal(images.read(f"out/{name}"), images.read(f"of_folders/{name}"))
    # The archive of tomorrow has one more photo, and one that is damaged.
    packed(path, {"p0/a.png": 3, "p1/a.png": 1, "p2/a.png": 2, "p3/b.png": b"damaged"})
    assert restore(input=(path,)) == 3
    assert "2 of them done before" in capsys.readouterr().out
    table = {row["file"]: row for row in rows("out")}
    assert table[f"{path}/p0/a.png"]["output"] == "a_3.png"
    assert "expected an image" in table[f"{path}/p3/b.png"]["error"]
    assert {name: Path("out", name).read_bytes() for name in old} == old


def test_photos_that_were_unpacked_keep_their_names(restore, capsys):
    """A photo that moves from an archive into a folder is restored again, under another name."""
    packed("photos.zip", {"a.png": 1})
    assert restore(input=("photos.zip",)) == 0
    Path("photos").mkdir()
    images.write("photos/a.png", photo(4, 1))
    assert restore(input=("photos",)) == 0
    assert "1 of them done before" in capsys.readouterr().out
    assert [row["output"] for row in rows("out")] == ["a.png"]


def test_references_and_single_photos_of_an_archive(restore):
    """--reference of an archive, and a path that goes on into it."""
    images.write("sharp.png", photo(16, 5))
    packed("sharp.zip", {"s/sharp.png": Path("sharp.png").read_bytes(), "s/other.png": 1})
    assert restore(reference=("sharp.zip/s/sharp.png",), factor=4) == 0
    (row,) = rows("out")
    assert row["file"] == "sharp.zip/s/sharp.png" and float(row["psnr"]) > 5
    assert restore(reference=("sharp.png",), factor=4, out="plain") == 0
    assert rows("plain")[0]["digest"] == row["digest"]


UNUSABLE = {
    "empty.zip": (lambda path: packed(path, {"notes.txt": b"no"}), "an archive without images"),
    "cut.zip": (lambda path: Path(path).write_bytes(b"PK\x03\x04cut"), "one that is cut"),
    "photos.tar.gz": (
        lambda path: Path(path).write_bytes(
            gzip.compress(Path(packed("t.tar", {"a": 1})).read_bytes())
        ),
        "uncompressed .tar of photos",
    ),
    "photos.7z": (lambda path: Path(path).write_bytes(b"7z\xbc\xaf rest"), "a 7z archive"),
    "photos.rar": (lambda path: Path(path).write_bytes(b"Rar! rest"), "a RAR archive"),
}


@pytest.mark.parametrize("path", UNUSABLE)
def test_an_archive_that_cannot_be_read_is_one_line(path, restore):
    """ "No image, or damaged" of an archive."""
    make, words = UNUSABLE[path]
    make(path)
    with pytest.raises(ValueError, match=words) as error:
        restore(input=(path,))
    assert "\n" not in str(error.value) and path in str(error.value)


def test_a_photo_that_is_not_in_the_archive(restore):
    packed("photos.zip", {"a.png": 1})
    with pytest.raises(ValueError, match=r"photos\.zip/b\.png: .*no such photo in the archive"):
        restore(input=("photos.zip/b.png",))


def test_names_that_leave_the_archive_stay_in_it(restore):
    """A member called ../../a.png or /etc/a.png is read of the archive and named in it."""
    packed("photos.zip", {"../../a.png": 1, "/etc/b.png": 2})
    assert images.find("photos.zip") == [Path("photos.zip/a.png"), Path("photos.zip/etc/b.png")]
    assert restore(input=("photos.zip",)) == 0


def test_exploring_takes_the_first_photo_of_an_archive(tmp_path, monkeypatch, capsys):
    """explore.py wants one photo: which of an archive it took must be told."""
    monkeypatch.chdir(tmp_path)
    packed("photos.zip", {"b.png": 1, "a.png": 2})
    assert sources.photo_file("photos.zip", "") == str(Path("photos.zip/b.png"))
    assert "the first of 2 photos is explored" in capsys.readouterr().out
    assert sources.photo_file("photos.zip/a.png", "") == str(Path("photos.zip/a.png"))
    assert capsys.readouterr().out == ""
