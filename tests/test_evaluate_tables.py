"""Tables of evaluate.py: means, intervals and differences end in the right cells, and say over how
many photos they are."""

from types import SimpleNamespace

import numpy as np
import pytest
from evaluation import tables
from evaluation.bench import Options
from evaluation.cells import Cell
from evaluation.intervals import Interval
from evaluation.suites import Suite
from evaluation.variants import Variant

from jaxsr import images

VARIANTS = (Variant("a", "bicubic"), Variant("b", "pulse"), Variant("c", "brgm"))
SUITE = Suite("T", VARIANTS, (2,), "a", ("psnr",))
CELLS = [Cell(variant, "downsample", 2, "clean") for variant in VARIANTS]


class NoDistances:
    """A scorer that has none of the distances between sets."""

    def sets(self, results, references):
        return {}, []


@pytest.fixture
def bench(tmp_path):
    """What the tables read of a run; all its pictures are one."""
    images.write(tmp_path / "a.png", np.full((8, 8, 3), 0.5, np.float32))
    return SimpleNamespace(scorer=NoDistances(), folder=tmp_path, options=Options())


def results(cell, psnrs, solutions=1):
    """Rows of a cell for as many photos as numbers, with as many equal solutions each."""
    row = {"cell": cell.name, "status": "ok", "output": "a.png", "reference": "a.png"}
    return {
        (cell.name, f"{i}", f"{s}"): row | {"photo": f"{i}", "solution": s, "psnr": psnr}
        for i, psnr in enumerate(psnrs)
        for s in range(solutions)
    }


def test_tables_say_what_they_say(bench):
    """Means, intervals and differences end in the right cells; what was not run says why."""
    rows = results(CELLS[0], 20.0 + np.arange(5)) | results(CELLS[1], 21.5 + np.arange(5))
    found = tables.lines(bench, SUITE, CELLS, rows, {CELLS[2].name: "no model"})
    assert found[1].values["psnr"].mean == pytest.approx(23.5)
    assert found[1].paired["psnr"][:3] == pytest.approx((1.5, 1.5, 1.5))
    text = tables.markdown(SUITE, found, {"niqe": "too small"}, [])
    for told in ("| c | no model |", "| b | +1.5 [+1.5, +1.5] |", "NIQE left out: too small"):
        assert told in text
    assert tables.show(Interval(1.0, float("nan"), float("nan"), 1)) == "1"


def test_solutions_of_a_photo_are_no_further_photos(bench):
    """Ten equal results a photo would make every interval three times too narrow."""
    psnrs = np.random.default_rng(0).normal(20, 3, 20)
    one, ten = (
        tables.lines(bench, SUITE, CELLS[:1], results(CELLS[0], psnrs, solutions), {})[0]
        for solutions in (1, 10)
    )
    assert one.values["psnr"] == pytest.approx(ten.values["psnr"], rel=1e-12)
    assert one.values["psnr"].count == one.photos == 20


def test_a_number_that_some_photos_lack_is_marked(bench):
    """A mean over other photos than the line says would pass for one over all."""
    rows = results(CELLS[0], [*np.arange(19.0), None])
    (line,) = tables.lines(bench, SUITE, CELLS[:1], rows, {})
    assert tables.partial(line, "psnr") == " (of 19)"
    assert "(of 19)" in tables.markdown(SUITE, [line], {}, [])


def test_what_is_infinite_for_one_method_counts_for_none(bench):
    """The method that restores a photo without error has the lower mean; or the baseline is
    compared with itself."""
    rows = results(CELLS[0], [np.inf, 30.0, 20.0]) | results(CELLS[1], [40.0, 31.0, 21.0])
    found = tables.lines(bench, SUITE, CELLS[:2], rows, {})
    assert [line.values["psnr"].mean for line in found] == pytest.approx([25.0, 26.0])
    assert [tables.partial(line, "psnr") for line in found] == [" (of 2)"] * 2
    assert not found[0].paired and found[1].paired["psnr"].mean == pytest.approx(1.0)
    assert all("(1: 0)" in line.remark for line in found)
