"""explore_benchmark.py on the priors of e-GLASS's paper: Table 1 and the pictures of Figures 2 and
3 with BigGAN, made small, and PGGAN, with pixels missing."""

import json
from pathlib import Path

import explore_benchmark
import numpy as np
import pytest
import toy_z
from exploration import conditions, figures
from explore_benchmark import Settings

from jaxsr import images

pytestmark = pytest.mark.slow

PRINTED = [("biggan of one class", "x4"), ("pggan", "inpainting")]


@pytest.fixture(scope="module", params=PRINTED, ids=lambda pair: pair[0].split()[0])
def done(request, tmp_path_factory):
    """A finished run: its settings, its rows by name, and what it printed."""
    name, condition = request.param
    folder = tmp_path_factory.mktemp(name.split()[0])
    # Little of a toy's picture may be seen: its z has hardly more numbers than that measures.
    hidden = np.ones((16, 16, 3), np.float32)
    hidden[:, :2] = 0
    images.write(folder / "mask.png", hidden)
    settings = Settings(
        smoke=True,
        prior=toy_z.write(folder / "prior", name),
        conditions=(condition,),
        mask=str(folder / "mask.png") if condition == "inpainting" else None,
        tables=("restarts", "figures"),
        distances=(0.1,),
        directions=1,
        num_solutions=2,
        eps=0.3,
        out=str(folder / "out"),
    )
    assert explore_benchmark.main(settings) == 0
    lines = (folder / "out" / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return settings, rows, (folder / "out" / "table.md").read_text()


def test_table_1_has_both_searches(done):
    """PULSE does not restart on a prior without w, a search finds nothing, or the table leaves out
    the paper's numbers."""
    _, rows, table = done
    found = {row["name"]: row for row in rows if row["table"] == "restarts"}
    assert list(found) == ["e-GLASS", "PULSE one by one", "PULSE 1 at once"]
    for row in found.values():
        assert row["status"] == "ok" and row["seconds"] > 0
        assert 2 <= row["solutions"] <= row["runs"] and 0 < row["residual"] <= 0.3
        assert row["apart"] > 0.05 or row["name"] == "e-GLASS"
    assert "## Seconds to 2 solutions" in table and "3.5e4" in table and "over e-GLASS" in table


def test_figures_show_what_their_rows_say(done):
    """The picture of PULSE, raw v^K and d is missing or empty, or a row tells other residuals than
    its pictures have."""
    settings, rows, table = done
    mine = [row for row in rows if row["table"] == "figures"]
    assert [row["name"] for row in mine] == ["PULSE", "raw v^K", "d"]
    assert all(0 < row["lowest"] <= row["highest"] for row in mine)
    [file] = Path(settings.out).glob("figure_*_sample.png")
    assert images.read(file).std() > 0.1
    assert "## Residuals of the figures' pictures" in table


def test_pictures_of_a_figure_have_its_residuals(done):
    """A line's residuals are another way's, or d is walked further than raw v^K."""
    settings, _, _ = done
    prior, params = explore_benchmark.loading.load_prior(str(settings.prior))
    condition = conditions.condition_of(settings, settings.conditions[0], prior, params)
    [(name, reference)] = conditions.references(settings, prior, params)
    found = conditions.around(settings, condition, name, reference)
    raw, d = (figures.walked(settings, condition, found, way) for way in ("vk", "algorithm1"))
    pulse = figures.restarted(settings, condition, found, len(raw.images))
    assert len(raw.images) == len(d.images) == len(pulse.images) == 2
    for line in (raw, d, pulse):
        for image, residual in zip(line.images, line.residuals, strict=True):
            expected = np.mean((np.asarray(condition.operator(image)) - found.y) ** 2)
            np.testing.assert_allclose(residual, expected, rtol=1e-3, atol=1e-7)
    assert np.abs(np.array(raw.images) - np.array(d.images)).max() > 1e-4
