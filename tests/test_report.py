"""report: tables that survive a kill, and folders that a run goes on with."""

import json
import math
import os

import pytest

from jaxsr.records import files, report

COLUMNS = ("output", "digest", "status", "residual", "feasible")
CONFIG = {"settings": {"method": "rls", "seed": 0}}


def row(output: str, digest: str = "d", status: str = "ok") -> dict:
    return {"output": output, "digest": digest, "status": status, "residual": 0.5, "feasible": True}


def open_run(
    folder, *, settings=None, order=("a.png", "b.png"), overwrite=False, **config
) -> report.Run:
    return report.open_run(
        folder,
        {"settings": settings or CONFIG["settings"], **config},
        COLUMNS,
        order,
        overwrite=overwrite,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (True, "yes"),
        (False, "no"),
        (1 / 3, "0.333333"),
        (1e-7, "1e-07"),
        (3, "3"),
        ("x", "x"),
    ],
)
def test_cell(value, text):
    assert report.cell(value) == text


def test_csv_round_trip_with_awkward_text(tmp_path):
    rows = [{"output": 'a "b", c\nd|é'}, row("x")]
    report.write_csv(tmp_path / "t.csv", rows, COLUMNS)
    back = report.read_csv(tmp_path / "t.csv")
    assert [r["output"] for r in back] == ['a "b", c\nd|é', "x"]
    assert list(back[0]) == list(COLUMNS)
    report.write_csv(tmp_path / "u.csv", back, COLUMNS)
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "u.csv").read_bytes()


def test_unknown_column_is_refused(tmp_path):
    with pytest.raises(ValueError, match="speed"):
        report.write_csv(tmp_path / "t.csv", [{"speed": 1}], COLUMNS)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    """Fails when the table is written in place, so that a full disk would cost all rows."""
    files.write_text(tmp_path / "t.csv", "old")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match=r"t\.csv: No space left on device"):
        files.write_text(tmp_path / "t.csv", "new")
    assert (tmp_path / "t.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_markdown_escapes_bars():
    assert (
        report.markdown([{"a": "x|y", "b": 0.25}], ["a", "b"])
        == "| a | b |\n| --- | --- |\n| x\\|y | 0.25 |\n"
    )


def test_mean_and_share_take_numbers_and_text_and_skip_gaps():
    rows = [{"x": 1.0, "ok": True}, {"x": "3", "ok": "no"}, {"x": "", "ok": ""}, {}]
    assert report.mean(rows, "x") == 2
    assert report.share(rows, "ok") == 0.5
    assert math.isnan(report.mean([], "x"))
    assert math.isnan(report.share([{}], "ok"))


def test_rows_keep_the_order_of_the_run_and_other_rows(tmp_path):
    open_run(tmp_path).add([row("z.png")])
    run = open_run(tmp_path)
    run.add([row("b.png")])
    run.add([row("a.png", status="error")])
    run.add([row("a.png")])
    assert [r["output"] for r in report.read_csv(tmp_path / "results.csv")] == [
        "z.png",
        "b.png",
        "a.png",
        "a.png",
    ]
    run.put_in_order()
    assert [r["output"] for r in report.read_csv(tmp_path / "results.csv")] == [
        "z.png",
        "a.png",
        "b.png",
    ]
    assert {r["status"] for r in report.read_csv(tmp_path / "results.csv")} == {"ok"}


@pytest.mark.parametrize(
    "name", ["b.png", 'b "b", b.png', "b\nb.png", "\xe9\u4e2d.png", "b\n\nb.png"]
)
def test_a_table_cut_anywhere_keeps_its_whole_rows(tmp_path, name):
    """A kill in the middle of a row makes the folder unusable, loses rows that were whole, or
    spoils the row that comes next."""
    open_run(tmp_path).add([row("a.png")])
    whole = (tmp_path / "results.csv").read_bytes()
    open_run(tmp_path).add([row(name)])
    table = (tmp_path / "results.csv").read_bytes()
    for end in range(len(whole), len(table)):
        (tmp_path / "results.csv").write_bytes(table[:end])
        run = open_run(tmp_path, order=("a.png", name, "c.png"))
        assert list(run.rows) == ["a.png"]
        run.add([row("c.png")])
        assert [r["output"] for r in report.read_csv(tmp_path / "results.csv")] == [
            "a.png",
            "c.png",
        ]


@pytest.mark.parametrize(
    ("made", "asked", "exists", "done"),
    [
        (row("a.png"), "d", True, True),
        (row("a.png"), "other", True, False),
        (row("a.png"), "d", False, False),
        (row("a.png", status="error"), "d", True, False),
        (row("b.png"), "d", True, False),
    ],
)
def test_done_means_row_and_file_and_content(tmp_path, made, asked, exists, done):
    open_run(tmp_path).add([made])
    if exists:
        (tmp_path / "a.png").touch()
    assert open_run(tmp_path).is_done("a.png", asked) is done


def test_other_settings_are_refused_and_named(tmp_path):
    open_run(tmp_path).add([row("a.png")])
    config = (tmp_path / "config.json").read_bytes()
    with pytest.raises(ValueError, match=r"seed \(0 there, 1 now\).*choose another folder"):
        open_run(tmp_path, settings={"method": "rls", "seed": 1})
    assert (tmp_path / "config.json").read_bytes() == config


def test_records_of_two_runs_are_merged_unless_their_values_differ(tmp_path):
    """A folder tells of every photo in it; a preset whose numbers have changed since must not go on
    under its name."""
    open_run(tmp_path, values={"factor 4": {"steps": 5}}, photos={"a.png": 1})
    open_run(tmp_path, values={"factor 8": {"steps": 7}}, photos={"b.png": 2})
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["values"] == {"factor 4": {"steps": 5}, "factor 8": {"steps": 7}}
    assert config["photos"] == {"a.png": 1, "b.png": 2}
    with pytest.raises(ValueError, match=r"another factor 4 steps \(5 there, 6 now\)"):
        open_run(tmp_path, values={"factor 4": {"steps": 6}})


def test_overwrite_removes_the_old_results_and_nothing_else(tmp_path):
    """Pictures of the old settings must not lie among the new ones; nor may a table make us remove
    what no run made."""
    folder = tmp_path / "run"
    open_run(folder).add(
        [row("a.png"), row("b.png"), row("../outside.png"), row("c.png", status="error")]
    )
    for name in ("a.png", "b.png", "c.png", "mine.png", "../outside.png"):
        (folder / name).touch()
    run = open_run(folder, settings={"method": "rls", "seed": 1}, overwrite=True)
    assert not run.is_done("a.png", "d")
    assert {p.name for p in folder.iterdir()} == {"c.png", "mine.png", "config.json"}
    assert (tmp_path / "outside.png").exists()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.png", "", "a.png exists"),
        ("config.json", "{}", "not the record"),
        ("config.json", "[", "not the record"),
        ("x/y", "", "cannot write into"),
    ],
)
def test_foreign_folders_are_left_alone(tmp_path, name, text, words):
    """Fails when a run would replace files it did not make."""
    folder = tmp_path / "x" if "/" in name else tmp_path
    path = tmp_path / name.partition("/")[0]
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        open_run(folder)
    assert path.read_text() == text
