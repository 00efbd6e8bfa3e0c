"""evaluate.py as a user meets it: every photo's row, pictures and page; after kills, beside others
and over damaged folders."""

import dataclasses
import json
import shutil
import signal
import time

import commands
import evaluate
import jax
import numpy as np
import pytest
from evaluate import Settings

from jaxsr import images, loading
from jaxsr.learned import TOY_SIZES
from jaxsr.records import report


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An 8 px toy prior and nine photos, of which one is damaged and one too small."""
    root = tmp_path_factory.mktemp("world")
    loading.toy_prior(root / "toy")
    rng = np.random.default_rng(0)
    (root / "photos").mkdir()
    for i in range(7):
        images.write(
            root / "photos" / f"p{i}.png", rng.uniform(size=(10, 12, 3)).astype(np.float32)
        )
    (root / "photos" / "p7.png").write_bytes(b"no image")
    (root / "damaged").mkdir()
    (root / "damaged" / "p.png").write_bytes(b"no image")
    images.write(root / "photos" / "p8.png", rng.uniform(size=(6, 6, 3)).astype(np.float32))
    return root


def begin(world, out, *more):
    fixed = (
        f"--prior={world / 'toy'}",
        f"--data={world / 'photos'}",
        "--methods=bicubic,pulse",
        "--factors=2",
        "--batch_size=2",
        "--smoke",
    )
    return commands.start("evaluate.py", *fixed, f"--out={out}", "--num_photos=9", *more, cwd=world)


@pytest.fixture(scope="module")
def whole(world):
    """An undisturbed run."""
    process = begin(world, world / "whole")
    stdout, stderr = process.communicate()
    assert process.returncode == 3, stderr  # one photo is too small
    return stdout


def comparable(folder):
    return [
        {k: v for k, v in row.items() if k != "seconds"}
        for row in report.read_csv(folder / "results.csv")
    ]


def test_leaves_what_the_header_promises(world, whole):
    """Every photo has a row for every method, failed ones with the reason; the page and the table
    show them."""
    rows = comparable(world / "whole")
    assert len(rows) == 2 * 4  # --smoke takes four, evenly spaced
    bad = {row["photo"]: row["error"] for row in rows if row["status"] == "error"}
    assert set(bad) == {"p8.png"} and "expected sides of at least 8 px, got 6 x 6" in bad["p8.png"]
    for row in rows:
        if row["status"] == "ok":
            assert all(
                (world / "whole" / row[name]).is_file()
                for name in ("output", "reference", "measurement")
            )
    page = (world / "whole" / "index.html").read_text()
    assert page.count("<img loading") == 3 * 4 and "1 failed" in page
    assert "| pulse | 3 (1 failed) |" in whole
    assert (world / "whole" / "plot_x2_clean.png").exists()
    grid = images.read(world / "whole" / "grid_x2_clean.png")
    assert grid.shape[1] >= 4 * 128 and np.ptp(grid) > 0.5  # input, two methods, the photo


@pytest.mark.slow
def test_killed_run_goes_on_and_ends_with_the_same_table(world, whole):
    """kill -9 after the first rows: they stay, the rest is made, and the table is that of an
    undisturbed run."""
    out = world / "killed"
    process = begin(world, out)
    while not (out / "rows.jsonl").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = (out / "rows.jsonl").read_bytes()
    process = begin(world, out)
    told = process.communicate()
    assert process.returncode == 3, told
    assert (out / "rows.jsonl").read_bytes().startswith(kept.rpartition(b"\n")[0])
    assert comparable(out) == comparable(world / "whole")


@pytest.mark.slow
def test_two_processes_share_a_folder(world, whole):
    """No row is lost, and none is made twice."""
    out = world / "shared"
    both = [begin(world, out) for _ in range(2)]
    told = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [3, 3], told
    lines = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    # The one that failed may be tried by both.
    done = [(row["cell"], row["photo"]) for row in lines if row["status"] == "ok"]
    assert len(done) == len(set(done)) == 6
    assert comparable(out) == comparable(world / "whole")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--suite=rls_tabel1",), "did you mean 'rls_table1'"),
        (("--methods=pulze",), "did you mean 'pulse'"),
        (("--methods=pulse", "--factors=3"), "factor 3 does not divide"),
        (("--methods=pulse", "--factors=1"), "expected factors of at least 2, got 1"),
        (("--methods=pulse", "--degradations=fog"), "unknown degradation 'fog'"),
        (("--methods=pulse", "--operators=inpaint"), "did you mean 'inpainting'"),
        (("--methods=pulse", "--factors=2", "--data=nowhere"), "nothing there"),
        (("--methods=pulse", "--factors=2"), "--data is missing"),
        (("--methods=rls", "--factors=2", "--data=photos"), "needs a flow"),
        ((), "give --suite or --methods"),
        (
            ("--methods=bicubic", "--network=vgg", "--data=photos"),
            "--network is for a method with a perceptual term, of which",
        ),
        (
            ("--methods=pulse", "--models=models", "--data=photos"),
            "--models is for a method with a model of its own, of which",
        ),
        (
            ("--methods=pulse", "--operators=grey", "--factors=2", "--data=photos"),
            "--factors is for an operator that makes photos small, of which",
        ),
        (("--methods=laren", "--factors=2", "--data=photos"), "no laren model for prior"),
        (
            ("--methods=bicubic", "--factors=2", "--data=damaged"),
            "damaged: expected photos, got 1 of which none can be used, the first: ",
        ),
    ],
)
def test_mistakes_are_one_line_before_any_work(arguments, words, world, monkeypatch):
    monkeypatch.chdir(world)
    settings = parsed(arguments)
    with pytest.raises(ValueError, match=words) as caught:
        evaluate.run(
            dataclasses.replace(settings, prior=str(world / "toy"), out=str(world / "mistake"))
        )
    assert "\n" not in str(caught.value)
    assert not (world / "mistake").exists()


def parsed(arguments):
    """Settings of flags, read without absl, whose flags are one process's."""
    values = dict(argument.removeprefix("--").split("=") for argument in arguments)
    lists = {"methods": (values.pop("methods"),)} if "methods" in values else {}
    lists |= {name: (values.pop(name),) for name in ("degradations", "operators") if name in values}
    lists |= (
        {"factors": tuple(int(f) for f in values.pop("factors").split(","))}
        if "factors" in values
        else {}
    )
    return Settings(**lists, **values)


@pytest.mark.parametrize("damage", ["photos", "picture", "row", "record"])
def test_what_changed_since_is_noticed(damage, world, whole, tmp_path):
    """Old results must not pass for those of other photos or settings; a lost picture or a damaged
    row is made again."""
    shutil.copytree(world / "whole", tmp_path / "out")
    photos = tmp_path / "photos"
    shutil.copytree(world / "photos", photos)
    before = comparable(tmp_path / "out")
    if damage == "photos":
        images.write(photos / "p0.png", np.zeros((11, 13, 3), np.float32))
    elif damage == "picture":
        next((tmp_path / "out" / "images" / "bicubic_x2_clean").iterdir()).unlink()
    elif damage == "row":
        with open(tmp_path / "out" / "rows.jsonl", "a") as file:
            file.write(
                json.dumps({"cell": "bicubic_x2_clean", "photo": "p0.png", "solution": 0}) + "\n"
            )
    else:
        (tmp_path / "out" / "config.json").unlink()
    settings = Settings(
        methods=("bicubic,pulse",),
        factors=(2,),
        prior=str(world / "toy"),
        num_photos=9,
        batch_size=2,
        smoke=True,
    )
    settings = dataclasses.replace(
        settings,
        data=str(photos if damage == "photos" else world / "photos"),
        out=str(tmp_path / "out"),
    )
    if damage == "record":
        with pytest.raises(ValueError, match=r"no config\.json tells"):
            evaluate.run(settings)
    else:
        assert evaluate.run(settings) == 3
    after = comparable(tmp_path / "out")
    changed = {row["photo"] for row, old in zip(after, before, strict=True) if row != old}
    assert changed == ({"p0.png"} if damage == "photos" else set())


@pytest.mark.slow
def test_trained_models_have_their_rows(world, tmp_path):
    """A row is restored by another row's model, or a model that was trained again goes on with the
    old one's rows."""
    from jaxsr import learned, operators

    prior, params = loading.load_prior(str(world / "toy"))
    side = prior.info.resolution
    x2 = operators.downsample(2, image_shape=(side, side, 3))
    for name in ("base", "gdm"):
        model = learned.bind(learned.sized(name, prior, params, x2, TOY_SIZES), prior, x2)
        init = jax.jit(model.init)(jax.random.key(0), params)
        learned.save(
            tmp_path / "models" / name / "model", model, init, prior, params, x2, {"images": 0}
        )
    settings = Settings(
        suite="laren_table4",
        factors=(2,),
        prior=str(world / "toy"),
        data=str(world / "photos"),
        num_photos=2,
    )
    settings = dataclasses.replace(
        settings, models=str(tmp_path / "models"), out=str(tmp_path / "out")
    )
    assert evaluate.run(settings) == 3
    text = (tmp_path / "out" / "table.md").read_text()
    # Ours above the printed.
    lines = {
        line.split("|")[1].strip(): line
        for line in reversed(text.splitlines())
        if line.startswith("|")
    }
    assert (
        "| 1 (1 failed) |" in lines["Base"]
        and "| 1 (1 failed) |" in lines["GDM (HMRR)"]
        and "got nothing there" in lines["GDM (VRR)"]
    )
    card = tmp_path / "models" / "base" / "model" / "config.json"
    card.write_text(card.read_text().replace('"images": 0', '"images": 1'))
    with pytest.raises(ValueError, match="results of other settings: cell "):
        evaluate.run(settings)


def test_the_method_that_fits_is_told_of(world, tmp_path):
    """--methods=auto hides what restored the photos; several solutions of a photo are lost from the
    pictures."""
    settings = Settings(
        methods=("auto,nearest",),
        factors=(2,),
        prior=str(world / "toy"),
        data=str(world / "photos"),
        out=str(tmp_path / "out"),
        num_photos=2,
        pick="first",
        num_solutions=2,
        smoke=True,
    )
    assert evaluate.run(settings) == 0
    rows = report.read_csv(tmp_path / "out" / "results.csv")
    assert [row["method"] for row in rows] == ["auto (pulse)"] * 4 + ["nearest"] * 4
    assert {row["cell"] for row in rows} == {"auto_x2_clean", "nearest_x2_clean"}
    assert [row["photo"] for row in rows[:4]] == ["p0.png", "p0.png", "p1.png", "p1.png"]
    text = (tmp_path / "out" / "table.md").read_text()
    assert "| auto (pulse) | 2 |" in text
    assert "auto (pulse), x2_clean: took pulse: a search finds several solutions" in text
    grid = images.read(tmp_path / "out" / "solutions_x2_clean.png")
    assert grid.shape[0] > 4 * 128 and grid.shape[1] >= 4 * 128  # two methods of two photos
    assert "solutions_x2_clean.png" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.slow
def test_other_operators_than_downsampling(world, tmp_path):
    """An operator's rows are missing or mixed up with another's, or its measurement is not what its
    name says."""
    names = ("inpainting", "motion_blur", "gaussian_blur", "grey")
    settings = Settings(
        methods=("nearest,reference",),
        operators=names,
        prior=str(world / "toy"),
        data=str(world / "photos"),
        consistency=("exact",),
    )
    assert evaluate.run(dataclasses.replace(settings, out=str(tmp_path / "out"), num_photos=2)) == 3
    rows = [
        row for row in report.read_csv(tmp_path / "out" / "results.csv") if row["status"] == "ok"
    ]
    assert {(row["method"], row["operator"]) for row in rows} == {
        (m, name) for m in ("nearest", "reference") for name in names
    }
    for row in rows:
        measured, photo, made = (
            images.read(tmp_path / "out" / row[name])
            for name in ("measurement", "reference", "output")
        )
        if row["operator"] == "inpainting":
            assert (measured[2:6, 2:6] == 0).all() and (measured[:2] == photo[:2]).all()
        if row["operator"] == "grey":
            assert np.ptp(measured, -1).max() == 0
        if row["method"] == "nearest":
            assert float(row["residual"]) <= 1e-5 + float(row["residual_before"])
            assert float(row["noise"]) >= 1 / 255 / 12**0.5 - 1e-9 or row["operator"] == "grey"
        else:
            assert (made == photo).all() and row["residual_before"] == ""
    assert {f"grid_{name}_clean.png" for name in names} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_a_run_in_which_every_photo_fails_still_reports(world, tmp_path, capsys, monkeypatch):
    """The reasons are then all that there is to say; the report must not fail over the results that
    it lacks. Photos that change after the first look do that."""
    monkeypatch.setattr("evaluation.photos._check_readable", lambda *looked_at: None)
    (tmp_path / "bad").mkdir()
    images.write(tmp_path / "bad" / "a.png", np.zeros((4, 4, 3), np.float32))
    out = tmp_path / "out"
    settings = Settings(
        methods=("bicubic",),
        factors=(2,),
        prior=str(world / "toy"),
        data=str(tmp_path / "bad"),
        out=str(out),
        smoke=True,
    )
    assert evaluate.run(settings) == 3
    text = capsys.readouterr().out
    assert (
        "| bicubic | 0 (1 failed) |" in text
        and "failed: " in text
        and "a.png: expected sides of at least 8" in text
        and "at least two photos" in text
    )
