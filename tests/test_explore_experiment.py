"""experiments/explore.py as a user meets it: a photo in, solutions, tables and pictures out, one
clear line when something is wrong."""

import csv
import dataclasses
import json

import explore
import jax
import numpy as np
import pytest
from exploration import saved
from explore import Settings
from PIL import Image

from jaxsr import images, priors, weights
from jaxsr.nets import stylegan2

NET = stylegan2.Config(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channels=(8, 8, 8))


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    """A random 16 px prior with one example."""
    folder = tmp_path_factory.mktemp("priors") / "tiny"
    params = stylegan2.init(jax.random.key(0), NET)
    params["statistics"] = priors.latent_statistics(
        stylegan2.stylegan2(NET), params, jax.random.key(1), num_samples=2_000
    )
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
    images.write(folder / "examples" / "e.png", photo(4))
    return str(folder)


def photo(side):
    return np.random.default_rng(side).uniform(0.2, 0.8, (side, side, 3)).astype(np.float32)


def quick(**settings):
    return Settings(
        **{
            "smoke": True,
            "progress": False,
            "perceptual": "discriminator",
            "way": "generalized",
            "force": True,
        }
        | settings
    )


@pytest.mark.slow
def test_everything_promised_is_written(prior, tmp_path, monkeypatch):
    """A file of the header is missing, a table tells another picture than is there, a run cannot be
    repeated in its folder, or the first solution is searched for again where it is kept."""
    explore.main(quick(prior=prior, out=str(tmp_path)))
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["perceptual"], config["settings"]["way"]) == ("discriminator", "generalized")
    with open(tmp_path / "solutions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    done = [row for row in rows if row["verdict"] == "solution"]
    assert [row["output"] for row in done] == ["solution_1.png", "solution_2.png"]
    for row in done:
        assert images.read(tmp_path / row["output"]).shape == (16, 16, 3)
        assert float(row["distance"]) > 0
        assert row["sign"] == ("+" if float(row["step"]) > 0 else "-")
        with Image.open(tmp_path / f"walk_{row['direction']}.webp") as animation:
            assert getattr(animation, "n_frames", 1) > 1
    pictures = ("start.png", "gallery.png", "variation.png", "figure1.png", "spectra.png")
    assert all(images.read(tmp_path / name).ndim == 3 for name in pictures)
    before = [images.read(tmp_path / row["output"]) for row in done]
    deviation = np.load(tmp_path / "variation.npy")
    shown = [
        images.read(tmp_path / name) for name in ("start.png", "solution_1.png", "solution_2.png")
    ]
    np.testing.assert_allclose(deviation, np.std(shown, 0).mean(-1), atol=2 / 255)
    monkeypatch.setattr(saved, "restore_tuned", None)
    monkeypatch.setattr(explore.explore, "geometry", None)
    explore.main(quick(prior=prior, out=str(tmp_path)))
    np.testing.assert_array_equal([images.read(tmp_path / row["output"]) for row in done], before)
    with pytest.raises(ValueError, match="holds results of other settings: seed"):
        explore.main(quick(prior=prior, out=str(tmp_path), seed=1))


@pytest.mark.slow
def test_another_exploration_starts_from_the_same_solution(prior, tmp_path, monkeypatch):
    """Breaks when minutes of inversion are made again for another way, or another photo's solution
    is taken."""
    first = quick(prior=prior, out=str(tmp_path / "first"), num_solutions=1)
    explore.main(first)
    monkeypatch.setattr(saved, "restore_tuned", None)
    again = dataclasses.replace(
        first, out=str(tmp_path / "again"), way="vk", space="w_plus", start=str(tmp_path / "first")
    )
    explore.main(again)
    starts = [images.read(tmp_path / name / "start.png") for name in ("first", "again")]
    np.testing.assert_array_equal(*starts)
    with pytest.raises(
        ValueError,
        match="start is the first solution of another seed: choose another --out or --start",
    ):
        explore.main(dataclasses.replace(again, out=str(tmp_path / "other"), seed=1))
    # Which would refuse the mended command.
    assert not (tmp_path / "other" / "config.json").exists()


@pytest.mark.slow
def test_rows_of_a_killed_run_stay(prior, tmp_path, monkeypatch):
    """Breaks when a second start that is killed early too leaves fewer rows than pictures."""
    settings = quick(prior=prior, out=str(tmp_path))
    explore.main(settings)
    rows, candidates = (tmp_path / "solutions.csv").read_text(), explore.explore.candidates

    def killed(*args, **options):
        yield next(candidates(*args, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(explore.explore, "candidates", killed)
    with pytest.raises(KeyboardInterrupt):
        explore.main(settings)
    assert (tmp_path / "solutions.csv").read_text() == rows


@pytest.mark.slow
def test_projections_are_of_a_reference(prior, tmp_path):
    """Random projections of a photo are rounded like pixels, or shown as a picture that they are
    not."""
    images.write(tmp_path / "photo.png", photo(32))
    settings = quick(
        prior=prior,
        operator="compressed_sensing",
        reference=str(tmp_path / "photo.png"),
        out=str(tmp_path / "out"),
    )
    read = explore.load(settings, prior, 16)
    assert read.y.shape == (76,) and read.reference.shape == (16, 16, 3)
    np.testing.assert_allclose(
        read.y,
        read.operator(images.resize_area(images.read(tmp_path / "photo.png"), 16)),
        atol=1e-5,
    )
    explore.main(settings)
    assert (tmp_path / "out" / "gallery.png").exists()


@pytest.mark.parametrize("operator", ["inpainting", "motion_blur", "grey"])
def test_photos_of_every_operator(prior, tmp_path, operator):
    """A photo that lacks something, and a sharp one that is degraded first, are not the measurement
    that the operator takes."""
    images.write(tmp_path / "photo.png", photo(16 if operator == "motion_blur" else 32))
    for name in ("input", "reference"):
        settings = quick(
            prior=prior,
            operator=operator,
            out=str(tmp_path / "out"),
            **{name: str(tmp_path / "photo.png")},
        )
        read = explore.load(settings, prior, 16)
        assert read.y.shape == read.operator.measurement_shape
        assert (read.reference is None) == (name == "input")
        if operator != "motion_blur" or name == "reference":
            sharp = images.resize_area(images.read(tmp_path / "photo.png"), 16)
            np.testing.assert_allclose(read.y, read.operator(sharp), atol=0.01)


def test_a_blurred_photo_of_another_size_is_refused(prior, tmp_path):
    """Breaks when a photo is made smaller and its blur with it, without a word."""
    images.write(tmp_path / "photo.png", photo(32))
    settings = quick(
        prior=prior,
        operator="gaussian_blur",
        input=str(tmp_path / "photo.png"),
        out=str(tmp_path / "out"),
    )
    with pytest.raises(
        ValueError, match="32x32 px, but with this operator photos are of the prior's 16x16 px"
    ):
        explore.load(settings, prior, 16)


def test_a_first_solution_that_is_none_is_refused(prior, tmp_path):
    """Long work goes on from an image that does not explain the photo; start.png stays to show
    it."""
    images.write(tmp_path / "dark.png", np.zeros((4, 4, 3), np.float32))
    settings = quick(
        prior=prior,
        input=str(tmp_path / "dark.png"),
        out=str(tmp_path / "out"),
        method="pulse",
        space="w_plus",
    )
    settings = dataclasses.replace(settings, eps=1e-9, force=False)
    with pytest.raises(
        ValueError, match=r"the start is no solution: its residual .* is above eps 1e-09"
    ):
        explore.main(settings)
    assert (tmp_path / "out" / "start.png").exists()


HIDDEN = np.full((32, 64, 3), 1, np.float32)
PICTURES = {
    "photo.png": photo(32),
    "hidden.png": HIDDEN[:, :32],
    "small.png": HIDDEN[:8, :8] * np.tri(8)[..., None].astype(np.float32),
    "wide.png": HIDDEN * np.tri(32, 64)[..., None].astype(np.float32),
}
BAD = [
    ({"input": "a.png", "reference": "b.png"}, "--input and --reference are both given"),
    (
        {"factor": 4, "operator": "grey"},
        "--factor is for downsample or downsample_420, not for grey",
    ),
    ({"input": "nowhere.png"}, "nowhere.png: expected image files, got no such file"),
    (
        {"operator": "compressed_sensing"},
        "--operator=compressed_sensing needs --input or --reference",
    ),
    (
        {"operator": "inpainting", "smoke": False},
        "--operator=inpainting needs --input or --reference",
    ),
    (
        {"operator": "grey", "reference": "a.png", "kernel": "box"},
        "--kernel is for downsample or downsample_420, not for grey",
    ),
    ({"start": "nowhere"}, "--start=nowhere: expected the folder of an exploration"),
    (
        {"method": "pulse", "space": "z"},
        "space z starts from z, but the method returned .*; it fits --space=w or w_plus or "
        "w_plus_noise or styles",
    ),
    (
        {"method": "bicubic"},
        "--method=bicubic finds no single latent to explore from: .* returned no latent",
    ),
    ({"method": "pluse"}, "did you mean 'pulse'"),
    ({"perceptual": "lpips_vgg"}, "no weights 'vgg16': fetch"),
    ({"preset": "code"}, "unknown preset of iagan 'code': .*known: paper"),
    (
        {"method": "auto", "preset": "papr"},
        "unknown preset of pulse 'papr': did you mean 'paper'",
    ),
    ({"k": 0}, "--k must be from 1 to"),
    ({"k": 8, "way": "vk"}, "k must be below 8, how many numbers the latent has in space z, got 8"),
    ({"from_k": 9, "way": "vk"}, "from_k must be at most 8, how many numbers the latent has in"),
    (
        {"operator": "inpainting", "reference": "photo.png", "mask": "hidden.png"},
        "--mask=.*hidden.png: expected white where pixels are missing .* got no black",
    ),
    (
        {"operator": "inpainting", "reference": "photo.png", "mask": "small.png"},
        "--mask=.*small.png: 8x8 px is smaller than the prior's 16x16 px",
    ),
    (
        {"operator": "inpainting", "reference": "photo.png", "mask": "wide.png"},
        "photo.png: 32x32 px, but --mask is of 64x32 px: expected",
    ),
]


@pytest.mark.parametrize(("settings", "message"), BAD)
def test_mistakes_are_told_before_any_work(prior, tmp_path, settings, message):
    """A mistake is found out after the search, or tells nothing that helps."""
    for name, picture in PICTURES.items():
        images.write(tmp_path / name, picture)
    files = {name: file for name, file in settings.items() if str(file) in PICTURES}
    settings = settings | {name: str(tmp_path / file) for name, file in files.items()}
    settings = {"method": "iagan"} | settings
    settings = settings | {"out": str(tmp_path / "out")}
    with pytest.raises(ValueError, match=message) as raised:
        explore.main(quick(prior=prior, **settings))
    assert "\n" not in str(raised.value)


def test_a_photo_in_the_output_folder_is_safe(prior, tmp_path):
    images.write(tmp_path / "start.png", photo(4))
    with pytest.raises(ValueError, match="lies in the output folder: choose another --out"):
        explore.main(quick(prior=prior, input=str(tmp_path / "start.png"), out=str(tmp_path)))
