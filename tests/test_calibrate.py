"""experiments/calibrate.py and the intervals of super_resolve.py as a user meets them, on a random
prior of 16 px."""

import csv
import dataclasses
import json
import shutil
import time
from pathlib import Path

import calibrate
import commands
import numpy as np
import pytest
import super_resolve
from calibration import photos, searches
from calibration.options import Settings
from restoration import intervals
from tiny import photo, write_prior

from jaxsr import calibration, images
from jaxsr.records import report

COUNT, TESTED = 12, 10  # photos that calibrate, 3 of them for the floor, and that test


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_prior(tmp_path_factory.mktemp("priors") / "tiny")


@pytest.fixture(scope="module")
def sharp(tmp_path_factory):
    """A folder of real photos: noise of other brightness and contrast each."""
    folder = tmp_path_factory.mktemp("sharp")
    for i in range(COUNT + TESTED + 3):
        picture = 0.5 + (photo(16, i) - 0.5) * (0.2 + 0.03 * i)
        images.write(folder / f"p{i:02}.png", picture.astype(np.float32))
    return folder


def asked(prior, sharp, out, **settings) -> Settings:
    fixed = {"method": "pulse", "preset": "paper", "factor": 4, "num_solutions": 3}
    fixed |= {"num_photos": COUNT, "num_test": TESTED, "progress": False, "smoke": True}
    return Settings(**fixed | {"data": str(sharp), "prior": prior, "out": str(out)} | settings)


@pytest.fixture(scope="module")
def calibrated(prior, sharp, tmp_path_factory):
    """The folder of a calibration."""
    out = tmp_path_factory.mktemp("calibration")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calibration.options.SMOKE_PHOTOS", COUNT)
        assert calibrate.main(asked(prior, sharp, out)) == 0
    return out


@pytest.fixture(scope="module")
def results(calibrated, prior, sharp, tmp_path_factory):
    """The folder of two restored photos with their intervals."""
    out = tmp_path_factory.mktemp("results")
    assert super_resolve.main(restored(prior, sharp, out, calibrated / "calibration.json")) == 0
    return out


@pytest.fixture(autouse=True)
def _enough_photos(monkeypatch):
    monkeypatch.setattr("calibration.options.SMOKE_PHOTOS", COUNT)


def restored(prior, sharp, out, file, **settings) -> super_resolve.Settings:
    fixed = {"method": "pulse", "factor": 4, "num_solutions": 3, "interval": 0.9}
    fixed |= {"calibration": str(file), "progress": False, "smoke": True, "preset": "paper"}
    fixed |= {"reference": (str(sharp / "p00.png"), str(sharp / "p01.png"))}
    return super_resolve.Settings(**fixed | {"prior": prior, "out": str(out)} | settings)


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_calibration_tells_how_often_it_held(calibrated):
    """The report is not of the scores and photos that lie beside it."""
    found = calibration.read(calibrated / "calibration.json")
    assert len(found.scores) == 9 and found.fingerprint["method"] == "pulse"
    rows = [row for row in table(calibrated / "photos.csv") if row["level"] == "0.9"]
    assert len(rows) == TESTED
    hits = sum(row["covered"] == "yes" for row in rows)
    assert all((float(row["share_held"]) >= 0.9) == (row["covered"] == "yes") for row in rows)
    text = (calibrated / "table.md").read_text()
    assert f"({hits} of {TESTED};" in text and "n = 9, alpha = 0.1, q = 0.9" in text
    assert "| 0.95 |" not in text  # for which 9 photos are too few
    assert "Not covered" in text and "Not covered" in (calibrated / "index.html").read_text()
    assert images.read(calibrated / "photos.png").shape[0] > 300


def test_scores_are_of_the_very_results_of_super_resolve(calibrated, results, prior, sharp):
    """A calibration of other searches than those in use says nothing of them."""
    samples = photos.choose(asked(prior, sharp, calibrated), prior)
    kept = {each.name: each for each in searches.load_all(calibrated, samples)}
    both = [name for name in ("p00", "p01") if f"{name}.png" in kept]
    assert both
    for name in both:
        written = [images.read(results / f"{name}_s{i}.png") for i in range(3)]
        np.testing.assert_array_equal(np.stack(written), kept[f"{name}.png"].solutions)


def test_a_result_gets_its_interval(calibrated, results, prior, sharp, tmp_path, capsys):
    """The pictures are missing, narrower than the interval, or the table says something else."""
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    (tmp_path / "p00_lower.png").unlink()  # a run that was killed before, goes on
    given = restored(prior, sharp, tmp_path, calibrated / "calibration.json")
    assert super_resolve.main(given) == 0
    assert "With probability at least 0.9, at least 0.9 of the colour" in capsys.readouterr().out
    found = calibration.read(calibrated / "calibration.json")
    for row, name in zip(table(tmp_path / "intervals.csv"), ("p00", "p01"), strict=True):
        lower, upper = (images.read(tmp_path / f"{name}_{kind}.png") for kind in ("lower", "upper"))
        solutions = np.stack([images.read(tmp_path / f"{name}_s{i}.png") for i in range(3)])
        spread = calibration.spread(solutions, np.ones(3, bool))
        assert spread is not None
        exact = calibration.interval(spread, found.floor, found.factor(0.9))
        assert (lower <= exact.lower + 1e-6).all() and (upper >= exact.upper - 1e-6).all()
        assert max((exact.lower - lower).max(), (upper - exact.upper).max()) <= 1 / 255 + 1e-6
        truth = images.read(sharp / f"{name}.png")
        held = calibration.covered_share(truth, exact)
        assert float(row["share_held"]) == pytest.approx(held, abs=0.01)
        assert row["status"] == "ok" and 0 < float(row["mean_width"]) < 1
        assert images.read(tmp_path / f"{name}_width.png").shape[1] > 256
    # They go with the results that they were of.
    other = {"interval": None, "calibration": None, "method": "bicubic", "preset": None}
    assert super_resolve.main(dataclasses.replace(given, overwrite=True, **other)) == 0
    assert not list(tmp_path.glob("*_lower.png")) and not (tmp_path / "intervals.csv").exists()


def test_pictures_that_are_photos_of_this_run_stay(tmp_path):
    """--overwrite removes a photo that it has just read."""
    report.write_csv(tmp_path / "intervals.csv", [{"name": "a"}], ("name",))
    for kind in ("lower", "upper"):
        images.write(tmp_path / f"a_{kind}.png", np.zeros((4, 4, 3), np.float32))
    intervals.remove(tmp_path, kept=[str(tmp_path / "a_lower.png")])
    assert [file.name for file in tmp_path.iterdir()] == ["a_lower.png"]


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"num_solutions": 2}, "num_solutions .3 calibrated, 2 asked for"),
        ({"consistency": "none"}, "consistency .'auto' calibrated, 'none' asked for"),
        ({"kernel": "box"}, "kernel .'bicubic' calibrated, 'box' asked for"),
        ({"factor": 2}, "operator .'downsample 4 bicubic' calibrated, 'downsample 2 bicubic'"),
        ({"preset": "code"}, "pulse radius .'sqrt_d' calibrated, 'draw' asked for"),
        ({"smoke": False}, "pulse steps .4 calibrated, 100 asked for"),
        ({"noise": 0.01}, "noise .'found in each photo' calibrated, 0.01 asked for"),
        ({"method": "iagan"}, "method .'pulse' calibrated, 'iagan' asked for"),
        ({"interval": 0.95}, "needs a calibration with at least 19 photos, got 9"),
        ({"interval": 1.5}, "expected a level between 0 and 1, got 1.5"),
        ({"interval": None}, "--interval and --calibration go together"),
        (
            {"format": "jpg"},
            "--interval is for results as calibrate.py makes them, not for --forma",
        ),
        ({"eps": "0.01"}, "not for --eps=0.01: leave one out"),
        ({"free": ("shift",)}, "not for --free=shift: leave one out"),
        ({"calibration": "none.json"}, "none.json: cannot read the calibration"),
    ],
    ids=lambda each: "" if isinstance(each, str) else next(iter(each)),
)
def test_a_calibration_of_other_settings_is_refused(
    changed, told, calibrated, prior, sharp, tmp_path
):
    """Intervals that were calibrated for something else are shown as if they held; or the refusal
    comes after hours of searching."""
    given = restored(prior, sharp, tmp_path, calibrated / "calibration.json", **changed)
    with pytest.raises(ValueError, match=told):
        super_resolve.main(given)
    assert not list(tmp_path.glob("*.png"))


def test_a_prior_of_other_weights_is_refused(calibrated, prior, sharp, tmp_path):
    """A prior that was trained on keeps its name."""
    path = tmp_path / "c.json"
    content = json.loads((calibrated / "calibration.json").read_text())
    content["fingerprint"]["prior_sha256"] = "another"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="prior_sha256"):
        super_resolve.main(restored(prior, sharp, tmp_path / "out", path))


def test_photos_that_the_calibration_says_nothing_of(
    calibrated, results, prior, sharp, tmp_path, capsys
):
    """A noisier photo than any that calibrated, or one whose solutions do not explain it, gets an
    interval all the same."""
    path = tmp_path / "c.json"
    shutil.copytree(results, tmp_path / "out")
    given = restored(prior, sharp, tmp_path / "out", calibrated / "calibration.json")
    content = json.loads((calibrated / "calibration.json").read_text())
    path.write_text(json.dumps(content | {"noise": 0.0}))
    assert super_resolve.main(dataclasses.replace(given, calibration=str(path))) == 0
    rows = table(tmp_path / "out" / "intervals.csv")
    assert all("more than the 0 of the photos that calibrated" in row["error"] for row in rows)
    assert not list((tmp_path / "out").glob("*_lower.png"))
    text = (tmp_path / "out" / "results.csv").read_text()
    assert ",yes," in text
    (tmp_path / "out" / "results.csv").write_text(text.replace(",yes,", ",no,"))
    assert super_resolve.main(given) == 0
    rows = table(tmp_path / "out" / "intervals.csv")
    assert all("no two solutions explain it; it counts as missed" in row["error"] for row in rows)
    assert "2 photos have no interval; the first:" in capsys.readouterr().out


@pytest.mark.slow
def test_infeasible_photos_make_no_calibration(prior, sharp, tmp_path):
    """Solutions that explain no photo are calibrated as if they did."""
    given = asked(prior, sharp, tmp_path, consistency="none", num_photos=6, num_test=2)
    with pytest.raises(
        ValueError, match=r"expected photos that two solutions explain.* none among 2"
    ):
        calibrate.main(given)
    assert not (tmp_path / "calibration.json").exists()


def test_the_two_sets_have_no_photo_in_common(prior, sharp, tmp_path):
    """A calibration is judged by the photos that it was made of; or other numbers choose others,
    and all searches are made again."""

    def chosen(**settings):
        samples = photos.choose(asked(prior, sharp, tmp_path, smoke=False, **settings), prior)
        return [{s.name for s in samples if s.calibrates == which} for which in (True, False)]

    few, many = chosen(num_photos=5, num_test=4), chosen(num_photos=12, num_test=13)
    assert [len(part) for part in (*few, *many)] == [5, 4, 12, 13]
    assert not many[0] & many[1] and few[0] < many[0] and few[1] < many[1]
    with pytest.raises(ValueError, match="at least 26 photos for --num_photos and --num_test"):
        chosen(num_photos=13, num_test=13)
    with pytest.raises(ValueError, match="are one photo: it must not test what it calibrated"):
        calibrate.main(
            asked(
                prior,
                sharp,
                tmp_path,
                method="bicubic",
                smoke=False,
                test=str(sharp),
                num_photos=5,
                num_test=25,
            )
        )


def test_pictures_that_a_prior_drew_are_refused(prior, tmp_path):
    """The commonest mistake: real photos lie off the prior, and its own pictures make intervals too
    narrow for them."""
    with pytest.raises(ValueError, match="expected real photos, got a prior's own pictures"):
        calibrate.main(asked(prior, Path(prior) / "examples", tmp_path / "out"))
    (tmp_path / "drawn").mkdir()
    images.write(tmp_path / "drawn" / "a.png", photo(16))
    with open(tmp_path / "drawn" / "a.png", "ab") as file:
        file.write(b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia")
    with pytest.raises(ValueError, match="a picture that is marked as generated"):
        calibrate.main(asked(prior, tmp_path / "drawn", tmp_path / "out"))


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"data": None}, "--data is missing: expected sharp real photos"),
        ({"num_solutions": 1}, "num_solutions must be from 2"),
        ({"share": 1.0}, "--share: expected a share between 0 and 1, got 1"),
        ({"num_photos": 3}, "num_photos must be from 5"),
        ({"labels": "none.csv"}, "none.csv: expected a table of labels, got no such file"),
        ({"method": "pulze"}, "unknown method 'pulze': did you mean 'pulse'"),
        ({"factor": 5}, "--factor=5 does not divide the prior's resolution of 16 px"),
    ],
    ids=lambda each: "" if isinstance(each, str) else next(iter(each)),
)
def test_mistakes_are_told_before_any_search(changed, told, prior, sharp, tmp_path):
    """A traceback, or a line that comes after an hour."""
    with pytest.raises(ValueError, match=told):
        calibrate.main(asked(prior, sharp, tmp_path / "out", **changed))
    assert not list(tmp_path.rglob("*.npz"))


def test_a_run_goes_on_where_it_stopped(prior, sharp, calibrated, tmp_path, monkeypatch):
    """What was searched is searched again, or a calibration that was stopped becomes another."""
    made, searched = searches.solutions, []

    def few(bench, found):
        if len(searched) == 3:
            raise KeyboardInterrupt
        searched.append(len(found))
        return made(bench, found)

    given = asked(prior, sharp, tmp_path, batch_size=3)
    monkeypatch.setattr(searches, "solutions", few)
    with pytest.raises(KeyboardInterrupt):
        calibrate.main(given)
    assert len(list(tmp_path.rglob("*.npz"))) == 3
    monkeypatch.setattr(searches, "solutions", lambda *of: (searched.append(1), made(*of))[1])
    assert calibrate.main(given) == 0
    assert len(searched) == COUNT + TESTED
    first, second = (calibration.read(f / "calibration.json") for f in (calibrated, tmp_path))
    assert first == second
    with pytest.raises(ValueError, match="holds results of other settings: seed"):
        calibrate.main(dataclasses.replace(given, seed=1))


@pytest.mark.slow
def test_a_killed_run_goes_on(prior, sharp, tmp_path):
    """kill -9 in the middle leaves half a file that is read, or a lock that nobody holds."""
    flags = [f"--data={sharp}", f"--prior={prior}", "--method=pulse", "--factor=4", "--smoke"]
    flags += ["--num_solutions=2", "--out=out", "--noprogress"]
    process = commands.start("calibrate.py", *flags, cwd=tmp_path)
    begun = time.monotonic()
    while len(list(tmp_path.rglob("*.npz"))) < 2 and time.monotonic() - begun < 200:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    there = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert 2 <= len(there) < 20
    ended = commands.run("calibrate.py", *flags, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert "give --calibration=out/calibration.json" in ended.stdout
    assert len(list(tmp_path.rglob("*.npz"))) == 20
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in there.items())


@pytest.mark.slow
def test_types_are_told_with_their_sets(prior, sharp, tmp_path):
    """Coverage by type, and the types that the truth may be of, are missing or of other photos."""
    rows = [f"p{i:02}.png,{('monocyte', 'neutrophil')[i % 2]}" for i in range(25)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,cell_class", *rows]) + "\n")
    given = asked(prior, sharp, tmp_path / "c", labels=str(tmp_path / "labels.csv"))
    assert calibrate.main(given) == 0
    text = (tmp_path / "c" / "table.md").read_text()
    assert "| monocyte |" in text and "| neutrophil |" in text
    wanted = restored(prior, sharp, tmp_path / "out", tmp_path / "c" / "calibration.json")
    assert super_resolve.main(wanted) == 0
    found = calibration.read(tmp_path / "c" / "calibration.json")
    for row in table(tmp_path / "out" / "intervals.csv"):
        assert row["types"] and set(row["types"].split()) <= set(found.types)
