"""experiments/super_resolve.py as a user meets it: files in, files out, one clear line when
something is wrong."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import super_resolve
from PIL import Image
from super_resolve import Settings

from jaxsr import flows, images, priors, weights
from jaxsr.nets import stylegan2
from jaxsr.operators import OPERATORS
from jaxsr.records import files

ROOT = Path(__file__).parents[1]
NET = stylegan2.Config(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channels=(8, 8, 8))


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    """A random 16 px prior with a flow and two examples."""
    folder = tmp_path_factory.mktemp("priors") / "tiny"
    params = stylegan2.init(jax.random.key(0), NET)
    params["statistics"] = priors.latent_statistics(
        stylegan2.stylegan2(NET), params, jax.random.key(1), num_samples=2_000
    )
    params["flow"] = flows.init(jax.random.key(2), flows.Config(dim=8, hidden=16, num_blocks=2))
    weights.save(
        folder,
        params,
        {
            "architecture": "stylegan2",
            "name": "tiny",
            "domain": "noise",
            "net": dataclasses.asdict(NET),
        },
    )
    (folder / "examples").mkdir()
    for i in range(2):
        images.write(folder / "examples" / f"e{i}.png", photo(4, i))
    return str(folder)


def photo(side, seed=0, width=None):
    return (
        np.random.default_rng(seed).uniform(0.2, 0.8, (side, width or side, 3)).astype(np.float32)
    )


def quick(**settings):
    return Settings(**{"method": "pulse", "smoke": True, "progress": False} | settings)


def rows(out):
    with open(Path(out) / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


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
    # Smoke takes two photos.
    super_resolve.main(
        quick(prior=prior, input=(str(tmp_path / "photos"),), out=str(tmp_path / "two"))
    )
    for path in sorted((tmp_path / "photos").iterdir()):
        super_resolve.main(quick(prior=prior, input=(str(path),), out=str(tmp_path / "out")))
    done = {row["output"]: row for row in rows(tmp_path / "out")}
    assert sorted(done) == [f"{name}.png" for name in "abcdefghi"]
    assert all(row["status"] == "ok" for row in done.values())
    assert "crop" in done["i.png"]["fit"]
    assert len(rows(tmp_path / "two")) == 2


def test_photos_that_no_model_serves_have_their_rows(tmp_path):
    """One photo of another size than the bundled network's stops a whole folder; or three equal
    files pass for three solutions."""
    (tmp_path / "photos").mkdir()
    for side in (8, 16):
        images.write(tmp_path / "photos" / f"{side}.png", photo(side))
    settings = Settings(
        method="laren", input=(str(tmp_path / "photos"),), out=str(tmp_path / "out"), progress=False
    )
    assert super_resolve.main(settings) == 0
    status = {row["output"]: (row["status"], row["error"]) for row in rows(tmp_path / "out")}
    assert status["8.png"] == ("ok", "")
    assert "16.png: no laren model for prior 'pbc64' and downsample 4" in status["16.png"][1]
    with pytest.raises(ValueError, match="has one result for a photo, got 2 to make"):
        super_resolve.main(
            dataclasses.replace(settings, num_solutions=2, out=str(tmp_path / "two"))
        )


def test_trajectory_ends_at_the_result(prior, tmp_path):
    """The animation is of another photo, another seed, or stops before the last phase."""
    settings = quick(prior=prior, method="rls_plus", seed=3, trajectory=True, out=str(tmp_path))
    assert super_resolve.main(settings) == 0
    with Image.open(tmp_path / "trajectory.webp") as film:
        frames = film.n_frames
        film.seek(frames - 1)
        last = np.asarray(film.convert("RGB"))[::16, ::16] / 255
    assert frames > 2
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
        == 0
    )
    status = {Path(row["file"]).name: row["status"] for row in rows(tmp_path / "out")}
    assert status == {"good.png": "ok", "bad.png": "error"}


def start(prior, *arguments, cwd):
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(Path(prior).parent / "cache"),
    }
    command = [
        sys.executable,
        str(ROOT / "experiments" / "super_resolve.py"),
        f"--prior={prior}",
        *arguments,
    ]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_killed_run_goes_on_and_ends_with_the_same_files(prior, tmp_path):
    """kill -9 after the first results: the second start redoes none of them, and every picture
    equals an uninterrupted run's."""
    (tmp_path / "photos").mkdir()
    for i in range(6):
        images.write(tmp_path / "photos" / f"p{i}.png", photo(4, i))
    arguments = (f"--input={tmp_path / 'photos'}", "--method=pulse", "--noprogress")
    assert start(prior, *arguments, "--out=whole", cwd=tmp_path).wait(timeout=300) == 0
    process = start(prior, *arguments, "--out=parts", cwd=tmp_path)
    while not (tmp_path / "parts" / "results.csv").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {row["output"]: row for row in rows(tmp_path / "parts")}
    assert start(prior, *arguments, "--out=parts", cwd=tmp_path).wait(timeout=300) == 0
    after = {row["output"]: row for row in rows(tmp_path / "parts")}
    assert all(after[name] == row for name, row in finished.items())
    assert len(after) == 6
    for name in after:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not [
        p
        for p in (tmp_path / "parts").iterdir()
        if p.suffix not in (".png", ".csv", ".json") and p.name != ".lock"
    ]


def test_other_settings_in_the_same_folder_are_refused(prior, tmp_path):
    super_resolve.main(quick(prior=prior, out=str(tmp_path)))
    with pytest.raises(ValueError, match=r"seed \(0 there, 1 now\)"):
        super_resolve.main(quick(prior=prior, out=str(tmp_path), seed=1))
    assert super_resolve.main(quick(prior=prior, out=str(tmp_path), seed=1, overwrite=True)) == 0


def test_two_processes_in_one_folder_are_refused(prior, tmp_path):
    """Each would write the table without the other's rows."""
    with (
        files.only_here(tmp_path),
        pytest.raises(ValueError, match="another process is writing there"),
    ):
        super_resolve.main(quick(prior=prior, out=str(tmp_path)))


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


def test_bad_photos_are_in_the_table_before_the_search(prior, tmp_path, monkeypatch):
    """A run that is killed in its first hour must have said which photos it cannot use."""
    (tmp_path / "photos").mkdir()
    images.write(tmp_path / "photos" / "good.png", photo(4))
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("restoration.work.restore_batches", killed)
    with pytest.raises(KeyboardInterrupt):
        super_resolve.main(
            quick(prior=prior, input=(str(tmp_path / "photos"),), out=str(tmp_path / "out"))
        )
    assert [row["status"] for row in rows(tmp_path / "out")] == ["error"]


def photos_folder(tmp_path, *names):
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(names):
        images.write(tmp_path / "photos" / name, photo(4, i))
    return (str(tmp_path / "photos"),)


@pytest.mark.parametrize("name", ["grid.png", "results.csv", "p0.png"])
def test_a_photo_or_a_file_that_no_run_made_is_never_replaced(name, prior, tmp_path):
    """The user's own picture would be gone without a word."""
    source = photos_folder(tmp_path, "p0.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(b"mine")
    with pytest.raises(ValueError, match=rf"{name} exists"):
        super_resolve.main(quick(prior=prior, input=source, out=str(tmp_path / "out")))
    assert (tmp_path / "out" / name).read_bytes() == b"mine"


def test_the_folder_of_the_photos_may_not_be_written_over(prior, tmp_path):
    source = photos_folder(tmp_path, "a.png", "grid.png")
    with pytest.raises(ValueError, match=r"would replace or remove the photo .*grid\.png"):
        super_resolve.main(quick(prior=prior, input=source, out=source[0], num_solutions=2))


def test_overwrite_does_not_remove_the_photo_it_is_to_restore(prior, tmp_path):
    """A result of an earlier run, given as input, is on the list of what --overwrite removes."""
    super_resolve.main(
        quick(prior=prior, input=photos_folder(tmp_path, "a.png"), out=str(tmp_path / "out"))
    )
    settings = quick(
        prior=prior,
        reference=(str(tmp_path / "out" / "a.png"),),
        out=str(tmp_path / "out"),
        overwrite=True,
        num_solutions=2,
    )
    with pytest.raises(ValueError, match="would replace or remove the photo"):
        super_resolve.main(dataclasses.replace(settings, factor=4))
    assert (tmp_path / "out" / "a.png").exists()


def test_a_finished_result_keeps_its_row_when_its_photo_can_no_longer_be_read(prior, tmp_path):
    settings = quick(
        prior=prior, input=photos_folder(tmp_path, "a.png", "b.png"), out=str(tmp_path / "out")
    )
    super_resolve.main(settings)
    before = rows(tmp_path / "out")
    (tmp_path / "photos" / "b.png").write_bytes(b"")
    super_resolve.main(settings)
    assert rows(tmp_path / "out") == before


def spoil(path):
    images.write(path, photo(4, 99))


@pytest.mark.parametrize("happens", [Path.unlink, spoil])
def test_a_photo_that_goes_or_changes_while_others_are_restored_stops_none(
    happens, prior, tmp_path, monkeypatch
):
    """Photos are read again when their turn comes, hours later perhaps: one that is no longer the
    same gets a row, and no wrong result."""
    source = photos_folder(tmp_path, "a.png", "b.png")
    announce = super_resolve.announce

    def meanwhile(*arguments):
        announce(*arguments)
        happens(tmp_path / "photos" / "a.png")

    monkeypatch.setattr(super_resolve, "announce", meanwhile)
    assert super_resolve.main(quick(prior=prior, input=source, out=str(tmp_path / "out"))) == 0
    assert {row["output"]: row["status"] for row in rows(tmp_path / "out")} == {
        "a.png": "error",
        "b.png": "ok",
    }
    assert not (tmp_path / "out" / "a.png").exists()


def test_what_cannot_be_drawn_costs_no_finished_result(prior, tmp_path, capsys):
    """A damaged result, or a name that a font cannot set, must not turn a finished run into a
    failed one."""
    settings = quick(
        prior=prior, input=photos_folder(tmp_path, "a\nb.png", "c.png"), out=str(tmp_path / "out")
    )
    assert super_resolve.main(settings) == 0
    (tmp_path / "out" / "c.png").write_bytes(b"damaged")
    assert super_resolve.main(settings) == 0
    assert "2 results" in (said := capsys.readouterr().out)
    assert "1 left out, the first" in said


BAD = {
    "empty path": ({"out": ""}, "--out is empty"),
    "missing file": ({"input": ("nowhere.png",)}, "nowhere.png"),
    "larger than the prior": (
        {"input": ("large.png",)},
        "32x32 px is too large for a prior of 16x16 px",
    ),
    "factor": ({"factor": 5}, "--factor=5 does not divide"),
    "prior": ({"prior": "pbc46"}, "unknown prior"),
    "method": ({"method": "puls"}, "did you mean 'pulse'"),
    "preset": ({"preset": "papr"}, "did you mean 'paper'"),
    "kernel": ({"kernel": "bicubik"}, "did you mean 'bicubic'"),
    "out": ({"out": "large.png"}, "cannot write into large.png"),
    "batch size": ({"batch_size": 0}, "--batch_size must be from 1"),
    "NaN": ({"input": ("nan.tiff",)}, "finite"),
    "truncated": ({"input": ("cut.png",)}, "cut.png"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_before_any_compilation(case, prior, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images.write("large.png", photo(32))
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save("nan.tiff")
    Path("cut.png").write_bytes(Path("large.png").read_bytes()[:200])
    monkeypatch.setattr(
        "restoration.work.restore_batches", lambda *_, **__: pytest.fail("the search was started")
    )
    settings, words = BAD[case]
    with pytest.raises(ValueError, match=r"\w") as error:
        super_resolve.main(quick(**{"prior": prior, "out": "out"} | settings))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "argument", ["--method=puls", "--methd=pulse", "photo.png", "--factor=three"]
)
def test_mistakes_on_the_command_line_have_status_2(argument, prior, tmp_path):
    process = start(prior, argument, cwd=tmp_path)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert len(stderr.strip().splitlines()) == 1, stderr
    assert stderr.startswith("super_resolve.py: error: ")


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


def test_what_a_mask_paints_is_not_looked_at(prior, tmp_path):
    """The painted pixels of a photo must not matter, and all others must."""
    mask = np.zeros((16, 16, 3), np.float32)
    mask[2:6, 3:9] = 1.0
    images.write(tmp_path / "mask.png", mask)
    shown = photo(16)
    settings = quick(
        prior=prior, operator="inpainting", mask=str(tmp_path / "mask.png"), exact=True
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


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"operator": "grey"}, "--operator=grey needs --input or --reference"),
        ({"operator": "gray", "input": ("p.png",)}, "unknown operator 'gray': did you mean 'grey'"),
        (
            {"operator": "grey", "input": ("p.png",), "factor": 4},
            "--factor is for downsample, not for grey",
        ),
        (
            {"operator": "grey", "input": ("p.png",), "kernel": "box"},
            "--kernel is for downsample, not for grey",
        ),
        ({"mask": "p.png"}, "--mask is for inpainting, not for downsample: leave it out"),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "black.png"},
            "black elsewhere, got black alone",
        ),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "small.png"},
            "--mask=small.png: 4x4 px is smaller than the prior's 16x16",
        ),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "wide.png"},
            "16x16 px, but --mask is of 32x16 px",
        ),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "none.png"},
            "--mask=none.png: expected an image file",
        ),
        ({"operator": "inpainting", "input": ("p.png",), "mask": ""}, "--mask is empty"),
        (
            {"operator": "compressed_sensing", "input": ("p.png",)},
            "measures no picture: give a sharp photo as --reference",
        ),
        (
            {"operator": "motion_blur", "input": ("large.png",)},
            "with this operator photos are of the prior's 16x16 px",
        ),
    ],
)
def test_what_an_operator_does_not_take_is_refused(settings, words, prior, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, side in (("p", 16), ("large", 32), ("small", 4)):
        images.write(tmp_path / f"{name}.png", photo(side))
    images.write(tmp_path / "wide.png", np.stack([np.tri(16, 32, dtype=np.float32)] * 3, 2))
    images.write(tmp_path / "black.png", np.zeros((16, 16, 3), np.float32))
    with pytest.raises(ValueError, match=words):
        super_resolve.main(quick(prior=prior, out="out", **settings))
