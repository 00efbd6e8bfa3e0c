"""super_resolve.py over folders as people keep them: photos that come later, move, or lie beside
their results; names of any bytes; what the exit status tells."""

import json
import os
import shutil
from pathlib import Path

import commands
import numpy as np
import pytest
from tiny import photo, rows

from jaxsr import data, images
from jaxsr.records import files


def picture(path: str, seed: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    images.write(path, photo(4, seed))


def outputs(folder: str = "out") -> dict[str, str]:
    return {row["file"]: row["output"] for row in rows(folder)}


@pytest.mark.parametrize("added", [1, 2], ids=["another photo", "a copy of the photo"])
def test_a_photo_that_comes_later_takes_no_ones_name(added, restore):
    """The new photo sorts first: it would get the old one's name, and the run refuse or overwrite
    the old result. Its content does not matter, nor does a kill before it is done."""
    picture("photos/p2/a.png", 2)
    assert restore(input=("photos",)) == 0
    old = Path("out/a.png").read_bytes()
    picture("photos/p1/a.png", added)
    picture("photos/p1/b.png", 3)
    for _ in range(2):
        assert restore(input=("photos",)) == 0
        expected = {"p1/a.png": "a_2.png", "p1/b.png": "b.png", "p2/a.png": "a.png"}
        assert outputs() == {f"photos/{file}": output for file, output in expected.items()}
    assert Path("out/a.png").read_bytes() == old
    assert restore(input=("photos/p1", "photos/p2")) == 0
    assert len(rows("out")) == 3


def test_other_photos_into_the_same_folder_get_names_of_their_own(restore):
    """Finished photos are put away, and the camera begins again at the same number."""
    picture("card/IMG_1.png", 0)
    assert restore(input=("card",)) == 0
    Path("card/IMG_1.png").rename("IMG_1_done.png")
    picture("card/IMG_2.png", 1)
    assert restore(input=("card",)) == 0
    shutil.rmtree("card")
    picture("card2/IMG_1.png", 2)
    assert restore(input=("card2",)) == 0
    assert outputs() == {
        "card/IMG_1.png": "IMG_1.png",
        "card/IMG_2.png": "IMG_2.png",
        "card2/IMG_1.png": "IMG_1_2.png",
    }


def test_photos_that_were_moved_are_not_restored_again(restore, tmp_path, monkeypatch):
    """A folder that was renamed, or a command from another folder."""
    for i in range(3):
        picture(f"photos/{i}.png", i)
    assert restore(input=("photos",), num_solutions=2) == 0
    before = rows("out")
    Path("photos").rename("renamed")
    assert restore(input=("renamed",), num_solutions=2) == 0
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    out = str(tmp_path / "out")
    assert restore(input=(str(tmp_path / "renamed"),), num_solutions=2, out=out) == 0
    assert rows(out) == before


def test_parts_keep_their_names_too(restore):
    """Each host names the photos for itself: a photo that came later must not have two names, nor
    two photos one."""
    for i in range(3):
        picture(f"photos/p{i + 1}/a.png", i)
    for index in range(2):
        assert restore(input=("photos",), part=f"{index}/2") == 0
    picture("photos/p0/a.png", 9)
    for index in range(2):
        assert restore(input=("photos",), part=f"{index}/2") == 0
    names = {**outputs("out/part-0-of-2"), **outputs("out/part-1-of-2")}
    expected = {"p0": "a_4.png", "p1": "a.png", "p2": "a_2.png", "p3": "a_3.png"}
    assert names == {f"photos/{p}/a.png": output for p, output in expected.items()}


@pytest.mark.parametrize("out", ["photos", "photos/restored"])
def test_results_beside_photos_are_no_photos(out, restore, capsys):
    """The second start would restore the results of the first, and the third those of the second.
    Evaluation and training must not take them either; a photo of a result's name stays as it is."""
    for i, name in enumerate(("a.bmp", "b.bmp")):
        picture("photos/x.png", i)
        Path("photos/x.png").rename(f"photos/{name}")
    for _ in range(2):
        assert restore(input=("photos",), out=out) == 0
        assert sorted(outputs(out).values()) == ["a.png", "b.png"]
    assert "photos: left out 6 of an earlier run\n" in capsys.readouterr().out
    assert len(data.open_photos("photos").names) == 2
    picture("photos/b.png" if out != "photos" else "photos/c.png", 7)
    mine = {path: path.read_bytes() for path in Path("photos").glob("[bc].*")}
    assert restore(input=("photos",), out=out) == 0
    assert len(rows(out)) == 3
    assert all(path.read_bytes() == content for path, content in mine.items())


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there alone")
def test_names_of_any_bytes(restore, tiny_prior, tmp_path):
    """One file from an old camera or another system ends the run, before or after hours; or its
    result is lost at the next start."""
    folder = tmp_path / "photos"
    picture("photos/plain.png", 0)
    for name in (b"caf\xe9.png", b"caf\xe8.png", b"new\nline.png"):
        shutil.copyfile(folder / "plain.png", os.fsencode(folder) + b"/" + name)
    for _ in range(2):
        assert restore(input=("photos",)) == 0
    table = outputs()
    assert table["photos/caf\\xe8.png"] == "caf_.png"
    assert table["photos/caf\\xe9.png"] == "caf__2.png"
    assert len(table) == 4 and all((tmp_path / "out" / name).is_file() for name in table.values())
    record = json.loads((tmp_path / "out" / "config.json").read_text())
    assert files.shown(record["photos"]["caf_.png"]["file"]) == "photos/caf\\xe8.png"
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    ended = commands.call(
        "super_resolve.py",
        f"--prior={tiny_prior}",
        "--method=bicubic",
        "--input=photos",
        "--out=new",
    )
    assert ended.status == 3, ended.stderr
    data.prepare("photos", 4, "cache", warn=print)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="names are bytes there alone")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_such_names_are_printed(encoding, tiny_prior, tmp_path):
    """A terminal or a log that lacks a letter ends the run at the line that has it."""
    for name in (b"caf\xe9.png", "\xe9\u4e2d.png".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"no picture")
    picture(str(tmp_path / "a.png"), 0)
    ended = commands.run(
        "super_resolve.py",
        *(f"--prior={tiny_prior}", "--method=bicubic", f"--input={tmp_path}", "--out=out"),
        cwd=tmp_path,
        PYTHONIOENCODING=encoding,
    )
    assert ended.status == 3, ended.stderr
    assert "cannot use" in ended.stdout and "caf\\xe9.png" in ended.stdout


def test_the_exit_status_tells(restore):
    """A script that restores thousands must learn that some failed, and that none did."""
    picture("photos/a.png", 0)
    assert restore(input=("photos",)) == 0
    Path("photos/bad.png").write_bytes(b"no picture")
    assert restore(input=("photos",)) == 3
    assert restore(input=("photos/a.png", "nowhere/*.png")) == 3
    with pytest.raises(ValueError, match="no such file"):  # status 2, see test_flags.py
        restore(input=("nowhere/*.png",))
    Path("photos/bad.png").unlink()
    assert restore(input=("photos",)) == 0


def test_an_infinite_psnr_is_told_and_spoils_no_mean(restore, capsys):
    """ "mean PSNR inf" of a table of which one photo is blank."""
    images.write("blank.png", np.full((16, 16, 3), 128 / 255, np.float32))
    images.write("sharp.png", photo(16))
    assert restore(reference=("blank.png", "sharp.png"), factor=4) == 0
    (blank, sharp) = rows("out")
    assert blank["psnr"] == "inf"
    said = capsys.readouterr().out
    assert f"PSNR {float(sharp['psnr']):.4g} (1 equal their reference: infinite, left out)" in said
