"""evaluate.py started twice, and with methods that it chooses itself."""

import evaluate
import numpy as np
import pytest
from evaluate import Settings
from evaluation import units

from jaxsr import images, loading
from jaxsr.records import report


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """An 8 px prior."""
    return str(loading.toy_prior(tmp_path_factory.mktemp("toy") / "toy"))


def test_a_smoke_run_started_twice_makes_nothing_anew(toy, tmp_path):
    """Its photos are drawn again, as other ones, and the folder is refused, or all is restored once
    more."""
    out = tmp_path / "out"
    settings = Settings(
        methods=("bicubic,nearest",), factors=(2,), prior=toy, smoke=True, out=str(out)
    )
    assert evaluate.run(settings) == 0
    files = {path.name: path.stat().st_mtime_ns for path in (out / "smoke_photos").iterdir()}
    rows = (out / "rows.jsonl").read_bytes()
    assert len(files) == 4 and rows.count(b"\n") == 8
    assert evaluate.run(settings) == 0
    assert (out / "rows.jsonl").read_bytes() == rows
    again = {path.name: path.stat().st_mtime_ns for path in (out / "smoke_photos").iterdir()}
    assert again == files


def test_the_chosen_method_has_a_row_for_each_way(toy, tmp_path, monkeypatch):
    """--methods=auto with --consistency=none,auto searches twice, mixes the word auto up, or has
    the rows of one way only."""
    (tmp_path / "photos").mkdir()
    for i in range(2):
        drawn = np.random.default_rng(i).random((8, 8, 3), np.float32)
        images.write(tmp_path / "photos" / f"p{i}.png", drawn)
    searched, batches = [], units.restore_batches
    monkeypatch.setattr(
        units,
        "restore_batches",
        lambda solve, params, ys, **k: searched.append(len(ys)) or batches(solve, params, ys, **k),
    )
    settings = Settings(
        methods=("auto,bicubic",),
        consistency=("none,auto",),
        factors=(2,),
        prior=toy,
        data=str(tmp_path / "photos"),
        out=str(tmp_path / "out"),
        smoke=True,
    )
    assert evaluate.run(settings) == 0
    assert searched == [2, 2]  # one search for each method
    rows = report.read_csv(tmp_path / "out" / "results.csv")
    ways = ("as found", "moved as noise allows")
    expected = [f"{m}, {way}" for m in ("auto (pulse)", "bicubic") for way in ways]
    assert list(dict.fromkeys(row["method"] for row in rows)) == expected
    cells = [f"{m}_x2_clean_{way}" for m in ("auto", "bicubic") for way in ("none", "auto")]
    assert list(dict.fromkeys(row["cell"] for row in rows)) == cells
    table = (tmp_path / "out" / "table.md").read_text()
    assert all(f"| {title} | 2 |" in table for title in expected)
    by_cell = {row["cell"]: row for row in rows if row["photo"] == "p0.png"}
    none, auto = by_cell["auto_x2_clean_none"], by_cell["auto_x2_clean_auto"]
    assert float(auto["residual"]) < float(none["residual"])
    assert none["residual_before"] == "" and auto["residual_before"]
