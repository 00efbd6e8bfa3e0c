"""evaluate.py and its suites: what a reader of the tables relies on."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import evaluate
import jax
import numpy as np
import pytest
from evaluate import Settings
from evaluation import suites, tables
from evaluation.bench import Bench, Options
from evaluation.cells import Cell
from evaluation.intervals import Interval
from evaluation.plan import plan
from evaluation.scores import COLUMNS
from evaluation.suites import Suite, Variant

from jaxsr import images, operators
from jaxsr.learned import TOY_SIZES
from jaxsr.methods import METHODS
from jaxsr.methods.setups import Setup, make_config
from jaxsr.records import report
from jaxsr.settings import resolve

ROOT = Path(__file__).parents[1]
FIELDS = {
    name: {f.name for f in dataclasses.fields(config)} for name, (_, config, *_) in METHODS.items()
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An 8 px toy prior and nine photos, of which one is damaged and one too small."""
    root = tmp_path_factory.mktemp("world")
    done = start(
        "bundle.py", "--smoke", f"--out={root / 'toy'}", "--factor=2", cwd=root
    ).communicate()
    assert (root / "toy" / "config.json").exists(), done
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


def start(script, *arguments, cwd):
    command = [sys.executable, str(ROOT / "experiments" / script), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def begin(world, out, *more):
    fixed = (
        f"--prior={world / 'toy'}",
        f"--data={world / 'photos'}",
        "--methods=bicubic,pulse",
        "--factors=2",
        "--batch_size=2",
        "--smoke",
    )
    return start("evaluate.py", *fixed, f"--out={out}", "--num_photos=9", *more, cwd=world)


@pytest.fixture(scope="module")
def whole(world):
    """An undisturbed run."""
    process = begin(world, world / "whole")
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
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
    assert process.wait() == 0, process.communicate()
    assert (out / "rows.jsonl").read_bytes().startswith(kept.rpartition(b"\n")[0])
    assert comparable(out) == comparable(world / "whole")


def test_two_processes_share_a_folder(world, whole):
    """No row is lost, and none is made twice."""
    out = world / "shared"
    both = [begin(world, out) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], [
        process.communicate() for process in both
    ]
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
            "--models is for laren or glean, of which",
        ),
        (
            ("--methods=pulse", "--operators=grey", "--factors=2", "--data=photos"),
            "--factors is for an operator that makes photos small, of which",
        ),
        (("--methods=laren", "--factors=2", "--data=photos"), "no laren model for prior"),
        (
            ("--methods=bicubic", "--factors=2", "--data=damaged"),
            "damaged: expected photos, got 1 of which none can be read, the first: ",
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


@pytest.mark.parametrize("preset", ["paper", "code", "scaled"])
@pytest.mark.parametrize("name", suites.SUITES)
def test_no_row_of_a_suite_is_made_twice(name, preset):
    """Breaks when a preset turns two rows of a table into one under two labels."""
    x8 = operators.downsample(8, image_shape=(64, 64, 3))
    variants = [variant for variant in suites.SUITES[name].variants if variant.method in METHODS]
    made = [make_config(Setup(v.method, preset, settings=v.settings), x8) for v in variants]
    series = [v.at and v.at[0] for v in variants]  # the curves of a figure may meet in a point
    made = [
        repr((v.method, at, dataclasses.replace(c, preset="paper")))
        for v, at, c in zip(variants, series, made, strict=True)
    ]
    assert len(made) == len(set(made))


@pytest.mark.parametrize("resolution", [64, 1024])
@pytest.mark.parametrize("name", suites.SUITES)
def test_every_suite_can_be_planned(name, resolution):
    """A row that names no field of its method, a baseline that is no row, two rows in one folder, a
    column that nobody fills."""
    suite, cells = plan(Settings(suite=name), resolution)
    assert set(suite.columns) <= set(COLUMNS)
    assert len({cell.name for cell in cells}) == len(cells)
    assert not suite.variants or suite.baseline in {v.label for v in suite.variants}
    assert all(
        resolution % cell.factor == 0 and (cell.factor >= 2) == (cell.operator == "downsample")
        for cell in cells
    )
    for variant in suite.variants:
        if variant.method in METHODS:
            assert set(variant.settings) <= FIELDS[variant.method]
            resolve(
                METHODS[variant.method].Config(**{"preset": "paper", **variant.settings}),
                operators.identity((8, 8, 3)),
            )


@pytest.mark.parametrize(
    ("factors", "resolution", "expected"),
    [
        ((64, 8), 1024, (64, 8)),
        ((64, 8), 64, (8, 4)),
        ((64, 32, 16), 64, (8, 4, 2)),
        ((16,), 64, (8,)),
        ((64, 32, 16, 8), 64, (8, 4, 2)),
        ((8,), 8, (2,)),
    ],
)
def test_factors_shrink_with_the_prior(factors, resolution, expected):
    """64x of 64 px would leave one pixel."""
    assert tuple(suites.scaled(factors, resolution)) == expected


def test_tables_say_what_they_say():
    """Means, intervals and differences end in the right cells; what was not run says why."""
    suite = Suite(
        "T",
        (Variant("a", "bicubic"), Variant("b", "pulse"), Variant("c", "brgm")),
        (2,),
        "a",
        ("psnr",),
    )
    cells = [Cell(v, "downsample", 2, "clean") for v in suite.variants]
    rows = {}
    for i in range(5):
        for cell, psnr in ((cells[0], 20.0 + i), (cells[1], 21.5 + i)):
            row = {
                "cell": cell.name,
                "photo": f"{i}",
                "solution": 0,
                "status": "ok",
                "psnr": psnr,
                "output": "",
                "reference": "",
            }
            rows[cell.name, f"{i}", "0"] = row

    class Judge:
        def sets(self, results, references):
            return {}, []

    given: dict[str, Any] = {"prior": None, "params": {}, "data": None, "scorer": Judge()}
    bench = Bench(**given, options=Options(), folder=Path())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables.images, "read", lambda path: None)
        found = tables.lines(bench, suite, cells, rows, {cells[2].name: "no model"})
    assert found[1].values["psnr"].mean == pytest.approx(23.5) and found[1].paired["psnr"][
        :3
    ] == pytest.approx((1.5, 1.5, 1.5))
    text = tables.markdown(suite, found, {"niqe": "too small"}, [])
    assert (
        "| c | no model |" in text
        and "| b | +1.5 [+1.5, +1.5] |" in text
        and "NIQE left out: too small" in text
    )
    assert tables.show(Interval(1.0, float("nan"), float("nan"), 1)) == "1"


def test_w_space_keeps_one_code():
    """RLS Table 5, "w/o W+": all layers must share their code to the end, and the search must still
    move it."""
    import toy

    from jaxsr import methods

    params, operator = toy.params(jax.random.key(0)), toy.operator(4)
    y = operator(toy.image(jax.random.key(1), params))
    solve = methods.rls(toy.prior(), operator, methods.RLS(steps=5, space="w"))
    w_plus = np.asarray(jax.jit(solve)(jax.random.key(2), params, y).latent["w_plus"])
    assert w_plus.shape == (toy.LAYERS, toy.DIM) and np.ptp(w_plus, 0).max() == 0
    assert np.abs(w_plus[0] - params["statistics"]["w_mean"]).max() > 1e-3


def results_of(solutions):
    """Rows of one cell for 20 photos with as many equal solutions each."""
    rng = np.random.default_rng(0)
    photos = {f"{i}": float(rng.normal(20, 3)) for i in range(20)}
    row = {"cell": "c", "status": "ok", "output": "", "reference": ""}
    return [
        row | {"photo": photo, "solution": s, "psnr": psnr}
        for photo, psnr in photos.items()
        for s in range(solutions)
    ]


def test_solutions_of_a_photo_are_no_further_photos():
    """Ten equal results a photo would make every interval three times too narrow."""
    one, ten = (tables._summary("psnr", results_of(solutions)) for solutions in (1, 10))
    assert one == pytest.approx(ten, rel=1e-12) and one.count == 20


def test_a_number_that_some_photos_lack_is_marked():
    """A mean over other photos than the line says would pass for one over all."""
    rows = [row | ({"psnr": None} if row["photo"] == "3" else {}) for row in results_of(1)]
    line = tables.Line(
        Cell(Variant("a", "pulse"), "downsample", 2, "clean"),
        {"psnr": tables._summary("psnr", rows)},
        {},
        20,
        0,
        "",
    )
    assert tables.partial(line, "psnr") == " (of 19)"


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
    if damage in ("photos", "record"):
        with pytest.raises(ValueError, match=r"another photos|no config\.json tells"):
            evaluate.run(settings)
    else:
        assert evaluate.run(settings) == 0
    assert comparable(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["laren_table3", "laren_figure8", "laren_table4"])
def test_a_suite_without_trained_methods_says_so(name, tmp_path, capsys):
    """The row stays, with the paper's numbers; nothing fails."""
    assert evaluate.run(Settings(suite=name, out=str(tmp_path / "out"))) == 0
    assert {"table.md", "index.html", "results.csv"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    text = capsys.readouterr().out
    assert "train_laren.py" in text and (
        name == "laren_figure8" or "As printed, other data" in text
    )


def test_trained_models_have_their_rows(world, tmp_path):
    """A row is restored by another row's model, or a model that was trained again goes on with the
    old one's rows."""
    from jaxsr import learned, loading, operators

    prior, params = loading.load_prior(str(world / "toy"))
    side = prior.info.resolution
    x2 = operators.downsample(2, image_shape=(side, side, 3))
    for name in ("base", "glean"):
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
    assert evaluate.run(settings) == 0
    text = (tmp_path / "out" / "table.md").read_text()
    # Ours above the printed.
    lines = {
        line.split("|")[1].strip(): line
        for line in reversed(text.splitlines())
        if line.startswith("|")
    }
    assert (
        "| 1 (1 failed) |" in lines["Base"]
        and "| 1 (1 failed) |" in lines["GLEAN"]
        and "got nothing there" in lines["GDM (HMRR)"]
    )
    card = tmp_path / "models" / "base" / "model" / "config.json"
    card.write_text(card.read_text().replace('"images": 0', '"images": 1'))
    with pytest.raises(ValueError, match="another"):
        evaluate.run(settings)


def test_other_operators_than_downsampling(world, tmp_path):
    """An operator's rows are missing or mixed up with another's, or its measurement is not what its
    name says."""
    names = ("inpainting", "motion_blur", "gaussian_blur", "grey")
    settings = Settings(
        methods=("nearest,reference",),
        operators=names,
        prior=str(world / "toy"),
        data=str(world / "photos"),
        exact=True,
    )
    assert evaluate.run(dataclasses.replace(settings, out=str(tmp_path / "out"), num_photos=2)) == 0
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
            assert float(row["residual"]) <= 1e-6 + float(row["residual_before"])
        else:
            assert (made == photo).all() and row["residual_before"] == ""
    assert {f"grid_{name}_clean.png" for name in names} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    ("given", "words"), [("pulse, pulse,bicubic", None), (",", "--methods is empty")]
)
def test_lists_are_read_as_people_write_them(given, words):
    settings = Settings(methods=(given,), factors=(2, 2))
    if words:
        with pytest.raises(ValueError, match=words):
            plan(settings, 8)
    else:
        assert [cell.variant.method for cell in plan(settings, 8)[1]] == [
            "pulse",
            "bicubic",
        ]


def test_a_run_in_which_every_photo_fails_still_reports(world, tmp_path, capsys):
    """The reasons are then all that there is to say; the report must not fail over the results that
    it lacks."""
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
    assert evaluate.run(settings) == 1
    text = capsys.readouterr().out
    assert (
        "| bicubic | 0 (1 failed) |" in text
        and "failed: " in text
        and "a.png: expected sides of at least 8" in text
        and "at least two photos" in text
    )
