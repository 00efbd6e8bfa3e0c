"""The papers' protocols in evaluate.py: at which side results are judged, photos without
references, aligned faces, which photos are taken."""

import dataclasses

import evaluate
import numpy as np
import pytest
import reference_networks
from evaluate import Settings
from evaluation import partitions, photos, units
from evaluation.partitions import PARTITIONS
from evaluation.plan import plan

from jaxsr import flags, images, metrics, operators
from jaxsr.metrics import networks
from jaxsr.metrics.identity import TEMPLATE
from jaxsr.records import report

SIDES = [(33, 40), (36, 32), (70, 64)]  # of the photos: height, width


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Photos of which two are smaller than the bundled prior's 64 px."""
    folder = tmp_path_factory.mktemp("faces")
    for i, (height, width) in enumerate(SIDES):
        rng = np.random.default_rng(i)
        coarse = rng.uniform(size=(9, 9, 3)).astype(np.float32)
        rows, columns = (np.arange(side) * 9 // side for side in (height, width))
        images.write(folder / f"f{i}.png", coarse[rows][:, columns])
    return folder


def run(out, status=0, **settings):
    """The rows of an evaluation that ends with this status, and its table."""
    assert evaluate.run(Settings(out=str(out), **settings)) == status
    return report.read_csv(out / "results.csv"), (out / "table.md").read_text()


@pytest.fixture(scope="module")
def judged(faces, tmp_path_factory):
    """An evaluation at 32 px with a prior of 64."""
    out = tmp_path_factory.mktemp("judged") / "out"
    found = run(out, methods=("bicubic,reference",), factors=(4,), judge_at=32, data=str(faces))
    return out, *found


def test_results_are_judged_at_the_side_that_is_asked_for(judged, faces):
    """Photos are degraded at the prior's size, so that CelebA's would be too small for it; or a
    result is compared at another size than its photo."""
    out, rows, table = judged
    assert {row["status"] for row in rows} == {"ok"} and len(rows) == 2 * len(SIDES)
    x4 = operators.downsample(4, image_shape=(32, 32, 3))
    for row in rows:
        made, photo, y = (
            images.read(out / row[name]) for name in ("output", "reference", "measurement")
        )
        square = images.square(images.read(faces / row["photo"]), mode="crop")[0]
        np.testing.assert_allclose(photo, images.resize_area(square, 32), atol=0.51 / 255)
        np.testing.assert_allclose(y, np.clip(x4(photo), 0, 1), atol=3 / 255)
        assert made.shape == photo.shape == (32, 32, 3) and y.shape == (8, 8, 3)
        error = np.mean((made.astype(float) - photo) ** 2)
        if row["method"] == "bicubic":
            assert float(row["psnr"]) == pytest.approx(-10 * np.log10(error), abs=1e-3)
        else:
            assert error == 0
    assert "judged at 32 px" in table and "at the side that is judged" in table


def test_a_smaller_side_is_what_lets_small_photos_in(faces, tmp_path, judged):
    """Without it the photos that are smaller than the prior have no result."""
    settings = {"methods": ("bicubic",), "factors": (4,), "data": str(faces)}
    rows, _ = run(tmp_path / "out", flags.SOME_FAILED, **settings)
    assert [row["status"] for row in rows] == ["error", "error", "ok"]


@pytest.mark.parametrize(
    ("suite", "resolution", "expected"),
    [
        # factor, side that is judged, side of the low-resolution photos, enlargement
        ("rlse_table2", 1024, [(64, 1024, 16, 64), (32, 512, 16, 64), (16, 256, 16, 64)]),
        ("rlse_table2", 64, [(8, 64, 8, 8), (4, 32, 8, 8), (2, 16, 8, 8)]),
        ("rlse_table1", 1024, [(16, 128, 8, 128), (8, 128, 16, 64)]),
        ("rlse_table1", 64, [(8, 64, 8, 8), (4, 64, 16, 4)]),
        ("rlse_tinyface", 1024, [(16, 256, 16, 64), (8, 128, 16, 64)]),
        ("rls_table1", 1024, [(64, 1024, 16, 64), (8, 1024, 128, 8)]),
    ],
)
def test_suites_have_the_sizes_of_their_papers(suite, resolution, expected):
    """16 x 16 to 256, 512 and 1024 (RLSE Table 2), faces of 128 px (Table 1), whatever the
    prior."""
    _, cells = plan(Settings(suite=suite), resolution)
    sizes = [
        (c.factor, c.side(resolution), c.side(resolution) // c.factor, c.enlargement(resolution))
        for c in cells
    ]
    assert list(dict.fromkeys(sizes)) == expected
    assert len({cell.name for cell in cells}) == len(cells)


SMALL = {"methods": ("bicubic",), "reference_free": True}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"judge_at": 128}, "--judge_at=128: expected from 8 to 64 px, the prior's resolution"),
        ({"judge_at": 4}, "--judge_at=4: expected from 8 to 64 px"),
        ({"judge_at": 36, "factors": (8,)}, "factor 8 does not divide the judged side of 36 px"),
        ({"judge_at": 40, "factors": (8,)}, "photos of 5 px at factor 8 do not divide"),
        (SMALL | {"methods": ("reference",)}, "needs photos of full resolution: leave --refer"),
        (SMALL | {"operators": ("grey",)}, "--operators=grey needs photos of full resolution"),
        (SMALL | {"degradations": ("salt",)}, "--degradations=salt needs photos of full"),
        (SMALL | {"landmarks": "l.csv"}, "--landmarks needs photos of full resolution"),
        ({"landmarks": "nowhere.csv"}, "nowhere.csv: expected a table of landmarks, got no such"),
        (
            {"noise": 0.1, "consistency": ("exact",)},
            "--noise=0.1 is for --consistency=auto, not for",
        ),
        ({"consistency": ("none,al",)}, "unknown consistency 'al'"),
        ({"noise": 2.0}, "--noise: expected a standard deviation from 0 to 1, got 2"),
        ({"methods": ("auto",), "preset": "code"}, "--preset=code is for a method, not for --meth"),
    ],
)
def test_mistakes_are_one_line(changed, words, faces, tmp_path):
    """Hours later it would be another table than the one that was asked for."""
    settings = Settings(methods=("bicubic",), data=str(faces), out=str(tmp_path / "out"))
    with pytest.raises(ValueError, match=words) as caught:
        evaluate.run(dataclasses.replace(settings, **changed))
    assert "\n" not in str(caught.value) and not (tmp_path / "out" / "rows.jsonl").exists()


def test_before_and_after_are_of_one_search(faces, tmp_path, monkeypatch):
    """Each way to move results costs a search of its own, or a row tells of another way's
    pictures."""
    searched = []
    batches = units.restore_batches

    def counted(solve, params, ys, **options):
        searched.append(len(ys))
        return batches(solve, params, ys, **options)

    monkeypatch.setattr(units, "restore_batches", counted)
    settings = {"methods": ("bicubic,reference",), "factors": (4,), "judge_at": 32}
    settings |= {"data": str(faces), "num_photos": 2}
    rows, table = run(tmp_path / "both", consistency=("none,exact",), **settings)
    assert searched == [2]
    assert "| bicubic, as found | 2 |" in table and "| bicubic, moved exactly | 2 |" in table
    assert [row["cell"] for row in rows[:4:2]] == [
        "bicubic_x4_at32_clean_none",
        "bicubic_x4_at32_clean_exact",
    ]
    assert "its differences are from bicubic, as found" in table
    for way in ("none", "exact"):
        alone, _ = run(tmp_path / way, consistency=(way,), **settings)
        mine = [row for row in rows if row["cell"].endswith(way)] + rows[-2:]
        for name in ("photo", "residual", "residual_before", "psnr"):
            assert [row[name] for row in mine] == [row[name] for row in alone]
    assert float(rows[0]["residual"]) > 10 * float(rows[2]["residual"])


def test_photos_without_references(tmp_path):
    """A photo that is low-resolution already is degraded once more, or its enlargement passes for
    a reference."""
    rng = np.random.default_rng(0)
    sides = [(8, 8), (20, 16), (5, 6)]
    for i, (height, width) in enumerate(sides):
        image = rng.uniform(size=(height, width, 3)).astype(np.float32)
        (tmp_path / "small").mkdir(exist_ok=True)
        images.write(tmp_path / "small" / f"{i}.png", image)
    out, small = tmp_path / "out", tmp_path / "small"
    rows, table = run(
        out,
        methods=("nearest,bicubic",),
        factors=(8,),
        reference_free=True,
        kernel="box",
        consistency=("none",),
        data=str(small),
    )
    assert {row["status"] for row in rows} == {"ok"} and len(rows) == 2 * len(sides)
    assert all(row["reference"] == row["psnr"] == row["type_agrees"] == "" for row in rows)
    whole = next(row for row in rows if row["photo"] == "0.png")
    y = images.read(out / whole["measurement"])
    np.testing.assert_array_equal(y, images.read(small / "0.png"))
    page = (out / "index.html").read_text()
    assert page.count("<img loading") == 3 * len(sides) and "real photo" not in page
    assert "NIQE left out: needs images of at least 192 px a side, these have 64" in table
    for told in ("made smaller (by area average)", "enlarged (bicubically)"):
        assert f"1 of 3 photos were {told} to be restored" in table
    fits = {row["photo"]: row["fit"] for row in rows}
    assert fits == {
        "0.png": "",
        "1.png": "made smaller: 16 x 16 px became 8 x 8 px",
        "2.png": "enlarged: 5 x 5 px became 8 x 8 px",
    }
    assert images.read(out / "grid_x8_clean.png").shape[1] < 4 * 128
    # Repeated pixels made small by their mean are the photo: at no distance from it.
    lines = [line for line in table.splitlines() if line.startswith(("| method", "| nea", "| bic"))]
    head, nearest, bicubic = ([cell.strip() for cell in line.split("|")] for line in lines[:3])
    column = next(i for i, name in enumerate(head) if "Frechet" in name and "made small" in name)
    assert float(nearest[column]) < 1e-6 < float(bicubic[column])


def test_the_first_photos_or_spaced_ones(faces):
    """The first 500 of CelebA-HQ are not 500 of all of it."""
    assert photos.picked(10, 3, "first") == [0, 1, 2]
    assert photos.picked(10, 3, "spaced") == [0, 4, 9]
    assert photos.picked(3, 3, "spaced") == photos.picked(3, 3, "first") == [0, 1, 2]
    assert photos.picked(5, 1, "spaced") == [0]
    found = {
        pick: photos.open_data(Settings(num_photos=2, pick=pick), str(faces), None)
        for pick in ("first", "spaced")
    }
    assert found["first"].names == ["f0.png", "f1.png"] and "first" in found["first"].picked
    assert found["spaced"].names == ["f0.png", "f2.png"] and "spaced" in found["spaced"].picked


@pytest.mark.parametrize("name", PARTITIONS)
def test_a_test_set_says_what_to_put_where(name, tmp_path, monkeypatch):
    """A researcher has to read the papers to learn which photos they took."""
    monkeypatch.setenv("JAXSR_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=f"--data={name}: expected .*{tmp_path / name}") as caught:
        partitions.located(name)
    assert "\n" not in str(caught.value) and PARTITIONS[name].papers in str(caught.value)
    (tmp_path / f"{name}.tar").touch()
    assert partitions.located(name) == str(tmp_path / f"{name}.tar")
    (tmp_path / name).mkdir()
    assert partitions.located(name) == str(tmp_path / name)


def test_a_test_set_is_taken_as_its_paper_does(tmp_path, monkeypatch, faces):
    """Its photos are spaced where the paper takes the first, or a flag no longer counts."""
    monkeypatch.setenv("JAXSR_DATA", str(tmp_path))
    (tmp_path / "celebahq_test").symlink_to(faces)
    part = PARTITIONS["celebahq_test"]._replace(count=2)
    monkeypatch.setitem(PARTITIONS, "celebahq_test", part)

    def names(**settings):
        return photos.open_data(Settings(**settings), "celebahq_test", None).names

    assert names() == ["f0.png", "f1.png"]
    assert names(num_photos=1) == ["f0.png"]
    assert names(pick="spaced") == ["f0.png", "f2.png"]


def landmarks_in(photo, side):
    """Five points of a photo [h, w], as TEMPLATE lies in its centre square of `side` px."""
    height, width = photo
    whole = min(height, width)
    before = np.array([(width - whole) // 2, (height - whole) // 2])
    at = (TEMPLATE * side / 112 + 0.5) * whole / side - 0.5
    return at + before


def write_landmarks(path, rows):
    columns = [f"{point}_{axis}" for point in photos.POINTS for axis in "xy"]
    lines = [",".join(["file", *columns])]
    lines += [",".join([name, *(f"{value:.9g}" for value in at.ravel())]) for name, at in rows]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_identity_is_of_aligned_crops_where_landmarks_are_given(faces, tmp_path, monkeypatch):
    """The points of the file are taken for points of the square, or of another size of it; or the
    report does not say that faces were not aligned."""
    params, load = reference_networks.shallow(), networks.load
    monkeypatch.setattr(networks, "load", lambda n, *a: params if n == "ir101" else load(n, *a))
    names = [f"f{i}.png" for i in range(len(SIDES))]
    points = [landmarks_in(sides, 32) for sides in SIDES]
    write_landmarks(tmp_path / "marks.csv", zip(names, points, strict=True))
    settings = {"methods": ("bicubic",), "factors": (4,), "judge_at": 32, "data": str(faces)}
    aligned, told = run(tmp_path / "a", landmarks=str(tmp_path / "marks.csv"), **settings)
    plain, untold = run(tmp_path / "b", **settings)
    for row in aligned:
        pair = [images.read(tmp_path / "a" / row[name]) for name in ("output", "reference")]
        crops = [metrics.aligned_face(image, TEMPLATE * 32 / 112) for image in pair]
        expected = float(metrics.identity_similarity(params, *crops))
        assert float(row["identity"]) == pytest.approx(expected, abs=1e-4)
    changed = [
        abs(float(a["identity"]) - float(b["identity"]))
        for a, b in zip(aligned, plain, strict=True)
    ]
    assert max(changed) > 1e-3
    assert "Identity is of crops that are aligned" in told and "not aligned" in untold


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("f0.png", TEMPLATE)], "got none of 'f1.png' and 1 more"),
        ([("f0.png", np.full((5, 2), np.nan))], "expected ten numbers for 'f0.png'"),
        ([], "expected columns file, lefteye_x, .*, got no row"),
    ],
)
def test_landmarks_that_are_missing_are_one_line(rows, words, faces, tmp_path):
    """Some faces would be aligned and others not, under one title."""
    write_landmarks(tmp_path / "marks.csv", rows)
    settings = Settings(landmarks=str(tmp_path / "marks.csv"))
    with pytest.raises(ValueError, match=words) as caught:
        photos.open_data(settings, str(faces), None)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_noise_that_is_given_is_reckoned_with(faces, tmp_path):
    """--noise changes nothing, or a result is moved as if the measurement were exact."""
    settings = {"methods": ("nearest",), "factors": (4,), "judge_at": 32, "data": str(faces)}
    found = {noise: run(tmp_path / f"{noise}", noise=noise, **settings)[0] for noise in (0.0, 0.9)}
    for sure, noisy in zip(found[0.0], found[0.9], strict=True):
        assert (float(sure["noise"]), float(noisy["noise"])) == (0.0, 0.9)
        assert float(sure["residual"]) < 5e-2 * float(sure["residual_before"])
        assert float(noisy["residual"]) > 10 * float(sure["residual"])
