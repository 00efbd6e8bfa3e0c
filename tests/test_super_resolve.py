"""experiments/super_resolve.py as a user meets it: photos of every kind in, pictures and a table
out."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import super_resolve
from PIL import Image
from super_resolve import Settings
from tiny import photo, quick, rows, write_prior

from jaxsr import images
from jaxsr.operators import OPERATORS, families


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_prior(tmp_path_factory.mktemp("priors") / "tiny")


def test_examples_are_restored_without_any_input(prior, tmp_path):
    assert super_resolve.main(quick(prior=prior, method="rls_plus", out=str(tmp_path))) == 0
    assert [row["output"] for row in rows(tmp_path)] == ["e0.png", "e1.png"]
    assert all(row["status"] == "ok" and float(row["residual"]) >= 0 for row in rows(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["values"]["factor 4"]["preset"] == "paper"
    assert images.read(tmp_path / "e0.png").shape == (16, 16, 3)
    assert images.read(tmp_path / "grid.png").shape[0] > 100


def write_formats(folder):
    """The same 4x4 picture as people have it."""
    folder.mkdir()
    pixels = images.to_uint8(photo(4))
    for name in ("a.png", "b.jpg", "c.webp", "d.tiff"):
        Image.fromarray(pixels).save(folder / name)
    Image.fromarray(pixels).convert("L").save(folder / "e.png")
    Image.fromarray(pixels).convert("RGBA").save(folder / "f.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "g.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(folder / "h.png", exif=exif)
    Image.fromarray(np.repeat(pixels, 2, 1)).save(folder / "i.png")  # 8 wide, 4 high


def test_every_format_is_restored(prior, tmp_path):
    """Grey, alpha, 16 bit, turned by EXIF, not square: each gets a row and a picture."""
    write_formats(tmp_path / "photos")
    given = quick(prior=prior, method="bicubic", input=(str(tmp_path / "photos"),))
    # Smoke takes two photos.
    super_resolve.main(dataclasses.replace(given, out=str(tmp_path / "two")))
    super_resolve.main(dataclasses.replace(given, smoke=False, out=str(tmp_path / "out")))
    done = {row["output"]: row for row in rows(tmp_path / "out")}
    assert sorted(done) == [f"{name}.png" for name in "abcdefghi"]
    assert all(row["status"] == "ok" for row in done.values())
    assert "crop" in done["i.png"]["fit"]
    assert len(rows(tmp_path / "two")) == 2


@pytest.mark.slow
def test_photos_that_no_model_serves_have_their_rows(tmp_path):
    """One photo of another size than the bundled network's stops a whole folder; or three equal
    files pass for three solutions."""
    (tmp_path / "photos").mkdir()
    for side in (8, 16):
        images.write(tmp_path / "photos" / f"{side}.png", photo(side))
    settings = Settings(
        method="laren", input=(str(tmp_path / "photos"),), out=str(tmp_path / "out"), progress=False
    )
    assert super_resolve.main(settings) == 3
    status = {row["output"]: (row["status"], row["error"]) for row in rows(tmp_path / "out")}
    assert status["8.png"] == ("ok", "")
    assert "16.png: no laren model for prior 'pbc64' and downsample 4" in status["16.png"][1]
    with pytest.raises(ValueError, match="has one result for a photo, got 2 to make"):
        super_resolve.main(
            dataclasses.replace(settings, num_solutions=2, out=str(tmp_path / "two"))
        )


@pytest.mark.slow
def test_trajectory_ends_at_the_result(prior, tmp_path):
    """The animation is of another photo, another seed, or stops before the last phase."""
    settings = quick(prior=prior, method="rls_plus", seed=3, trajectory=True, out=str(tmp_path))
    assert super_resolve.main(settings) == 0
    with Image.open(tmp_path / "trajectory.webp") as film:
        frames = film.n_frames
        film.seek(frames - 1)
        last = np.asarray(film.convert("RGB"))[::16, ::16] / 255
    assert frames >= 2  # WebP joins equal ones, and a few steps that are made consistent are near
    np.testing.assert_allclose(last, images.read(tmp_path / "e0.png"), atol=0.03)
    # Or the law would hold of any photo.
    assert np.abs(last - images.read(tmp_path / "e1.png")).max() > 0.1


def test_references_are_scored(prior, tmp_path):
    images.write(tmp_path / "sharp.png", photo(24))
    super_resolve.main(
        quick(
            prior=prior,
            reference=(str(tmp_path / "sharp.png"),),
            factor=4,
            out=str(tmp_path / "out"),
        )
    )
    (row,) = rows(tmp_path / "out")
    assert 0 < float(row["psnr"]) < 60
    assert -1 <= float(row["ssim"]) <= 1
    image, reference = (
        images.read(tmp_path / "out" / "sharp.png"),
        images.resize_area(images.read(tmp_path / "sharp.png"), 16),
    )
    np.testing.assert_allclose(
        float(row["psnr"]), -10 * np.log10(np.mean((image - reference) ** 2)), atol=1e-3
    )


def test_one_bad_photo_does_not_stop_the_others(prior, tmp_path):
    (tmp_path / "photos").mkdir()
    images.write(tmp_path / "photos" / "good.png", photo(4))
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    assert (
        super_resolve.main(
            quick(prior=prior, input=(str(tmp_path / "photos"),), out=str(tmp_path / "out"))
        )
        == 3
    )
    status = {Path(row["file"]).name: row["status"] for row in rows(tmp_path / "out")}
    assert status == {"good.png": "ok", "bad.png": "error"}


def test_names_near_the_limit_of_the_file_system_are_restored(prior, tmp_path):
    """255 bytes are allowed, and results need room for _s1."""
    (tmp_path / "photos").mkdir()
    images.write(tmp_path / "photos" / f"{'é' * 125}.png", photo(4))
    settings = quick(
        prior=prior, input=(str(tmp_path / "photos"),), out=str(tmp_path / "out"), num_solutions=2
    )
    assert super_resolve.main(settings) == 0
    assert [row["output"] for row in rows(tmp_path / "out")] == [
        f"{'é' * 100}_s{i}.png" for i in range(2)
    ]


@pytest.mark.parametrize(
    "operator", [name for name, kind in OPERATORS.items() if not kind.takes_factor]
)
def test_every_operator_restores_sharp_photos(operator, prior, tmp_path):
    """A measurement that is no small photo: the grid cannot show it, or the table calls for a
    factor."""
    images.write(tmp_path / "sharp.png", photo(16))
    settings = quick(
        prior=prior,
        reference=(str(tmp_path / "sharp.png"),),
        operator=operator,
        out=str(tmp_path / "out"),
    )
    assert super_resolve.main(settings) == 0
    (row,) = rows(tmp_path / "out")
    assert (row["status"], row["factor"]) == ("ok", "1") and float(row["psnr"]) > 0
    assert images.read(tmp_path / "out" / "grid.png").shape[0] > 100


def test_results_explain_their_photo_as_far_as_its_noise_allows(prior, tmp_path, capsys):
    """A JPEG is fitted with its blocks; --noise, or --consistency, is read by nothing; or nobody is
    told what was done."""
    pixels = images.to_uint8(photo(4))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.jpg", quality=90)
    cases = {
        "none": ({"consistency": "none"}, None),
        "exact": ({"consistency": "exact"}, "exactly"),
    }
    cases |= {"auto": ({}, "as far as their noise"), "told": ({"noise": 1.0}, "(noise 255 of")}
    residual, noise = {}, {}
    for name, (flags, words) in cases.items():
        given = quick(prior=prior, method="bicubic", input=(str(tmp_path / "*.*"),), **flags)
        assert super_resolve.main(dataclasses.replace(given, out=str(tmp_path / name))) == 0
        said = capsys.readouterr().out
        assert words in said if words else "moved to explain" not in said
        for row in rows(tmp_path / name):
            residual[name, row["output"]] = float(row["residual"])
            noise[name, row["output"]] = float(row["noise"])
            assert (row["residual_before"] == "") == (name == "none")
    assert noise["auto", "a.png"] == pytest.approx(1 / 255 / 12**0.5, rel=1e-4)
    assert noise["auto", "b.png"] == pytest.approx(
        np.hypot(images.compression_noise(tmp_path / "b.jpg"), 1 / 255 / 12**0.5), rel=1e-4
    )
    assert noise["told", "a.png"] == 1.0
    for photo_name in ("a.png", "b.png"):
        assert residual["told", photo_name] == residual["none", photo_name]
        assert residual["exact", photo_name] <= residual["auto", photo_name]
    assert residual["exact", "b.png"] < residual["auto", "b.png"] <= residual["none", "b.png"]
    assert residual["auto", "a.png"] < residual["none", "a.png"]


@pytest.mark.slow
def test_what_a_mask_paints_is_not_looked_at(prior, tmp_path):
    """The painted pixels of a photo must not matter, and all others must."""
    mask = np.zeros((16, 16, 3), np.float32)
    mask[2:6, 3:9] = 1.0
    images.write(tmp_path / "mask.png", mask)
    shown = photo(16)
    settings = quick(
        prior=prior,
        operator="inpainting",
        mask=str(tmp_path / "mask.png"),
        consistency="exact",
    )
    results = {}
    for name, change in (("as_it_is", 0.0), ("hidden", mask), ("seen", np.roll(mask, 6, 0))):
        images.write(
            tmp_path / f"{name}.png",
            np.where(change > 0, 0.0, shown) if name != "as_it_is" else shown,
        )
        one = dataclasses.replace(
            settings, input=(str(tmp_path / f"{name}.png"),), out=str(tmp_path / name)
        )
        assert super_resolve.main(one) == 0
        results[name] = images.read(tmp_path / name / f"{name}.png")
    np.testing.assert_array_equal(results["as_it_is"], results["hidden"])
    assert np.abs(results["as_it_is"] - results["seen"]).max() > 0.1
    np.testing.assert_allclose(results["as_it_is"][mask == 0], shown[mask == 0], atol=1 / 255)


def test_a_camera_nobody_knows_is_told_in_the_table(prior, tmp_path):
    """--free is searched for nothing; or a table without it changes."""
    given = quick(prior=prior, method="pulse")
    columns = ("blur", "shift_x", "shift_y", "gain", "residual_at_start")
    runs = {"free": ("shift,gain",), "known": ()}
    for name, free in runs.items():
        super_resolve.main(dataclasses.replace(given, free=free, out=str(tmp_path / name)))
    for row in rows(tmp_path / "free"):
        assert all(np.isfinite(float(row[column])) for column in columns)
        assert float(row["shift_x"]) != 0 != float(row["shift_y"])
        assert (float(row["blur"]), row["gain"] != "1.0") == (0.0, True)
    assert all(row[column] == "" for row in rows(tmp_path / "known") for column in columns)


def test_a_camera_that_ran_away_is_told(prior, tmp_path, monkeypatch, capsys):
    """A shift of a whole pixel is taken for a measurement."""
    monkeypatch.setitem(families.OPTICS, "gain", (1.0, 0.9999, 1.0001))
    settings = quick(prior=prior, free=("gain",), out=str(tmp_path / "out"))
    super_resolve.main(settings)
    assert all("not found: gain" in row["remark"] for row in rows(tmp_path / "out"))
    assert capsys.readouterr().out.count("e0.png: not found: gain") == 1
