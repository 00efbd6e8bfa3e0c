"""evaluate.py over photos as people keep them: some that come later, blank ones, names of any
bytes, and the zip that StyleGAN's dataset_tool.py makes."""

import json
import os
import shutil
import zipfile

import evaluate
import numpy as np
import pytest
from evaluate import Settings
from evaluation.photos import labels_of
from evaluation.scores import Scorer

from jaxsr import data, images, loading
from jaxsr.records import report


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return str(loading.toy_prior(tmp_path_factory.mktemp("priors") / "toy"))


@pytest.fixture
def judged(toy, tmp_path):
    """(photos, flags) -> exit status and rows of tmp_path/out."""

    def run(photos, **settings) -> tuple[int, list[dict[str, str]]]:
        fixed = {"methods": ("bicubic,nearest",), "factors": (2,), "prior": toy}
        out = {"out": str(tmp_path / "out"), "data": str(photos)}
        status = evaluate.run(Settings(**fixed | out | settings))
        return status, report.read_csv(tmp_path / "out" / "results.csv")

    return run


def picture(path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).uniform(size=(8, 8, 3))
    images.write(path, pixels.astype(np.float32))


def test_photos_may_come_and_change_and_go(judged, tmp_path, capsys):
    """One more photo makes the run refuse to go on; or old results pass for those of a photo that
    was changed; or those of a photo that is gone stay in the means; or results of the evaluation
    itself are taken for photos, as it lies among them."""
    photos = tmp_path / "photos"
    for i in (1, 3):
        picture(photos / f"{i}.png", i)
    out = str(photos / "judged")
    assert judged(photos, out=out)[0] == 0
    lines = (photos / "judged" / "rows.jsonl").read_bytes()
    picture(photos / "2.png", 2)
    assert judged(photos, out=out)[0] == 0
    now = (photos / "judged" / "rows.jsonl").read_bytes()
    assert now.startswith(lines)
    assert [json.loads(line)["photo"] for line in now[len(lines) :].splitlines()] == ["2.png"] * 2
    picture(photos / "3.png", 9)
    os.utime(photos / "3.png", (1, 1))
    (photos / "1.png").unlink()
    assert judged(photos, out=out)[0] == 0
    rows = report.read_csv(photos / "judged" / "results.csv")
    assert [row["photo"] for row in rows] == ["2.png", "3.png"] * 2
    for row in rows:
        reference = images.read(photos / "judged" / row["reference"])
        np.testing.assert_array_equal(reference, images.read(photos / row["photo"]))
    assert "| bicubic | 2 |" in capsys.readouterr().out.rpartition("# Comparison")[2]


def test_blank_photos_are_treated_alike(judged, tmp_path):
    """What one method restores without any error counts in no method's mean: else that method's
    would be over the photos where it is worse."""
    for i in range(3):
        picture(tmp_path / "photos" / f"p{i}.png", i)
    images.write(tmp_path / "photos" / "blank.png", np.full((8, 8, 3), 128 / 255, np.float32))
    status, rows = judged(tmp_path / "photos", methods=("bicubic,nearest,reference",))
    assert status == 0
    numbers = {(row["method"], row["photo"]): float(row["psnr"]) for row in rows}
    assert numbers["bicubic", "blank.png"] == numbers["reference", "p0.png"] == np.inf
    text = (tmp_path / "out" / "table.md").read_text()
    lines = {
        line.split("|")[1].strip(): line for line in reversed(text.splitlines()) if "|" in line
    }
    for name in ("bicubic", "nearest"):
        mean = np.mean([numbers[name, f"p{i}.png"] for i in range(3)])
        assert f"| {mean:.4g} [" in lines[name] and "(of 3)" in lines[name]
    assert "| 4 | inf |" in lines["reference"]
    assert "is infinite where a result equals its photo: left out of every method's mean" in text
    assert "(1: blank.png)" in text


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there alone")
def test_names_of_any_bytes(judged, tmp_path):
    """One file from an old camera ends the evaluation, at its row or at the page."""
    folder = tmp_path / "photos"
    picture(folder / "a.png", 0)
    for name in (b"caf\xe9.png", b"<b>&.png", b"line\nend.png"):
        shutil.copyfile(folder / "a.png", os.fsencode(folder) + b"/" + name)
    for _ in range(2):
        status, rows = judged(folder)
        assert status == 0 and len(rows) == 2 * 4
    assert "caf\\xe9.png" in {row["photo"] for row in rows}
    assert all((tmp_path / "out" / row["output"]).is_file() for row in rows)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "caf\\xe9.png" in page and "&lt;b&gt;&amp;.png" in page


def test_the_zip_of_dataset_tool_and_its_labels(judged, tmp_path):
    """The format in which StyleGAN's users have their photos: refused, or its labels are."""
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for i in range(3):
            picture(tmp_path / "one.png", i)
            archive.write(tmp_path / "one.png", f"00000/img0000000{i}.png")
        labels = [[f"00000/img0000000{i}.png", i] for i in range(3)]
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    status, rows = judged(tmp_path / "data.zip")
    assert status == 0 and len({row["photo"] for row in rows}) == 3
    rows = data.read_labels(tmp_path / "data.zip")
    assert [row["label"] for row in rows] == ["0", "1", "2"]
    with pytest.raises(ValueError, match="values such as 'basophil', got the columns 'file', 'la"):
        judged(tmp_path / "data.zip", labels=str(tmp_path / "data.zip"))


def test_labels_that_excel_saved(judged, tmp_path):
    """UTF-8 with a byte order mark, or semicolons, is what Excel saves a table of labels as."""
    for i in range(2):
        picture(tmp_path / "photos" / f"c{i}.png", i)
    text = "file;cell_class\r\nc0.png;neutrophil\r\nc1.png;basophil\r\n"
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    status, rows = judged(tmp_path / "photos", labels=str(tmp_path / "labels.csv"))
    assert status == 0 and {row["type_right"] for row in rows} <= {"0", "1"}


TABLES = {
    "a space behind the comma": ("file, cell_class\nc0.png, neutrophil\n", None),
    "a value of its own": ("file,cell_class\nc0.png,giraffe\n", "got 'giraffe'"),
    "no row": ("file,cell_class\n", "got no row"),
    "another column": ("File,Type\nc0.png,neutrophil\n", "got the columns 'File', 'Type'"),
}


@pytest.mark.parametrize("name", TABLES)
def test_labels_that_are_not_the_networks_are_told(name, tmp_path):
    """A user is told that nothing came, and looks for the mistake in a table that is full."""
    text, words = TABLES[name]
    (tmp_path / "labels.csv").write_text(text)
    settings = Settings(labels=str(tmp_path / "labels.csv"))
    scorer = Scorer((8,), "pbc64")
    if words is None:
        assert labels_of(settings, scorer) == {"c0.png": "neutrophil"}
        return
    with pytest.raises(ValueError, match=words):
        labels_of(settings, scorer)


def test_labels_of_some_photos_are_not_lost_silently(tmp_path, capsys):
    """A type that is misspelt counts as no label, and the table only says "of 3"."""
    (tmp_path / "labels.csv").write_text("file,cell_class\nc0.png,neutrophil\nc1.png,giraffe\n")
    settings = Settings(labels=str(tmp_path / "labels.csv"))
    assert list(labels_of(settings, Scorer((8,), "pbc64"))) == ["c0.png"]
    assert "unlabelled (1 of 2, such as 'giraffe')" in capsys.readouterr().out
