"""napari opens a folder of results as layers that lie on one another."""

import importlib
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from jaxsr import images
from jaxsr.napari_reader import get_reader
from jaxsr.records import report

COLUMNS = ("file", "output", "factor", "psnr", "status")


@pytest.fixture
def folder(tmp_path):
    """Two photos of 4 px restored to 16, one of them cropped from 5; one that failed."""
    draw = np.random.default_rng(0)
    rows = []
    for name, side in (("a", 4), ("b", 5)):
        images.write(tmp_path / f"{name}_photo.png", draw.random((side, side, 3)))
        images.write(tmp_path / f"{name}.png", draw.random((16, 16, 3)))
        file, output = str(tmp_path / f"{name}_photo.png"), f"{name}.png"
        rows.append({"file": file, "output": output, "factor": 4, "status": "ok"})
    rows.append({"file": "gone.png", "output": "c.png", "factor": 4, "status": "error"})
    report.write_csv(tmp_path / "results.csv", rows, COLUMNS)
    return tmp_path


def test_photo_and_result_lie_on_one_another(folder):
    """A person compares a pixel with what it became: a layer off by half a pixel lies."""
    reader = get_reader(folder)
    assert reader is not None
    photo, restored = reader(str(folder))
    assert (photo[1]["name"], restored[1]["name"]) == ("photo", "restored")
    assert photo[0].shape == (2, 4, 4, 3) and restored[0].shape == (2, 16, 16, 3)
    np.testing.assert_allclose(restored[0][1], images.read(folder / "b.png"))
    corners = np.array([-0.5, 3.5])  # edges of the first and the last pixel of the photo
    placed = corners * photo[1]["scale"][1] + photo[1]["translate"][1]
    np.testing.assert_allclose(placed, [-0.5, 15.5])


def test_pictures_of_an_interval_are_layers_too(folder):
    """They are what the folder was made for; one photo without them has none of any."""
    named = [{"file": str(folder / f"{name}_photo.png"), "name": name} for name in ("a", "b")]
    report.write_csv(folder / "intervals.csv", named, ("file", "name"))
    for name in ("a", "b"):
        images.write(folder / f"{name}_lower.png", np.zeros((16, 16, 3), np.float32))
    images.write(folder / "a_upper.png", np.ones((16, 16, 3), np.float32))
    reader = get_reader(str(folder / "results.csv"))
    assert reader is not None
    assert [shown["name"] for _, shown, _ in reader(str(folder))] == ["photo", "restored", "lower"]
    # Names are those of the table: results of several solutions are numbered, intervals are not.
    (folder / "intervals.csv").unlink()
    assert [shown["name"] for _, shown, _ in reader(str(folder))] == ["photo", "restored"]


def test_a_photo_that_is_gone_costs_its_layer_only(folder):
    (folder / "a_photo.png").unlink()
    reader = get_reader(folder)
    assert reader is not None
    assert [shown["name"] for _, shown, _ in reader(str(folder))] == ["restored"]


def test_other_folders_are_left_to_other_readers(tmp_path):
    """A reader that claims every folder keeps napari from opening stacks of TIFFs."""
    assert get_reader(tmp_path) is None
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    assert get_reader(tmp_path) is None
    assert get_reader([str(tmp_path)]) is None


def test_the_manifest_names_what_is_there():
    """napari finds the reader by the entry point and the manifest alone."""
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    package, _, file = project["entry-points"]["napari.manifest"][project["name"]].partition(":")
    manifest = (root / package / file).read_text()
    module, _, name = re.findall(r"python_name: (\S+)", manifest)[0].partition(":")
    assert getattr(importlib.import_module(module), name) is get_reader
    assert f"name: {project['name']}" in manifest
