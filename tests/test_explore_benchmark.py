"""experiments/explore_benchmark.py: its rows are what its header says, and only what is missing is
measured again."""

import dataclasses
import functools
import json

import explore_benchmark
import jax
import numpy as np
import pytest
import toy
from exploration import conditions, cost, restarts, tables
from explore_benchmark import Settings

from jaxsr import explore, images, loading
from jaxsr.loading import toy_prior


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run of the first two tables, with what it printed."""
    folder = tmp_path_factory.mktemp("benchmark")
    settings = Settings(smoke=True, tables=("ways", "restarts"), out=str(folder / "out"), eps=0.2)
    assert explore_benchmark.main(settings) == 0
    return settings, folder / "out"


def rows(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_every_way_and_search_has_its_row(done):
    """A way is left out, or seconds are not the sum of their parts."""
    found = rows(done[1])
    assert [row["way"] for row in found if row["table"] == "ways"] == ["vk", "algorithm1"]
    assert [row["name"] for row in found if row["table"] == "restarts"] == [
        "e-GLASS",
        "PULSE one by one",
        "PULSE 1 at once",
    ]
    ours = next(row for row in found if row["name"] == "e-GLASS")
    assert ours["seconds"] == pytest.approx(
        ours["inversion_s"] + ours["geometry_s"] + ours["walks_s"]
    )
    assert all(2 <= row["solutions"] <= row["runs"] for row in found if row["table"] == "restarts")


@pytest.mark.slow
def test_the_same_command_measures_nothing_again(done, capsys):
    settings, folder = done
    before = (folder / "rows.jsonl").read_bytes()
    assert explore_benchmark.main(settings) == 0
    assert (folder / "rows.jsonl").read_bytes() == before
    assert "Seconds to 2 solutions" in capsys.readouterr().out


@pytest.mark.slow
def test_a_photo_without_a_first_solution_has_a_row_that_says_so(done):
    """One photo that cannot be explained ends a run of hours, and the same command ends there
    again."""
    settings, folder = done
    prior, params = loading.load_prior(str(folder / "toy"))
    settings = dataclasses.replace(settings, eps=1e-12, smoke=False, steps=1, tables=("ways",))
    condition = conditions.condition_of(settings, "x2", prior, params)
    find = functools.partial(
        conditions.around, settings, condition, "grey", np.full((8, 8, 3), 0.9, np.float32)
    )
    [row] = explore_benchmark.rows_of(settings, condition, "ways", find)
    assert row["status"] == "error" and "the start is no solution" in row["error"]


def test_restarts_that_are_alike_or_infeasible_do_not_count():
    """Duplicates or infeasible results are counted as solutions."""
    problem = explore.problem(
        toy.prior(), toy.operator(), explore.Config(perceptual="discriminator")
    )
    params = toy.params(jax.random.key(0), flow=False)
    a, b = (np.asarray(toy.image(jax.random.key(i), params)) for i in range(2))
    apart = float(explore.distance(problem, params, a, b))
    made = [(a, 0.0), (a, 0.0), (b, 1.0), (b, 0.0)]
    assert restarts.counted(problem, params, apart / 2, 0.5, made) == [0, 3]
    assert restarts.counted(problem, params, apart * 2, 0.5, made) == [0]


def test_ratios_are_of_the_same_photo():
    """A ratio of medians in place of the median of ratios, or one by another condition's rows."""

    def row(photo, way, change):
        shared = {
            "table": "ways",
            "condition": "x8",
            "photo": photo,
            "status": "ok",
            "step": 1.0,
            "relevant": 3,
        }
        shared |= {"reached": 1.0 if change else 0.0, "residual_at_start": 0.1}
        return {
            **shared,
            "name": f"{way} at 0.1",
            "way": way,
            "distance": 0.1,
            "change": change,
            "residual": change,
        }

    made = [
        row("a", "vk", 8.0),
        row("b", "vk", 1.0),
        row("a", "curved", 1.0),
        row("b", "curved", 0.5),
        row("c", "curved", None),
    ]
    line = next(line for line in tables.markdown(made, "").splitlines() if "curved at" in line)
    assert line.split(" | ")[6].startswith("5 [")


@pytest.mark.parametrize("solver", cost.SOLVERS)
def test_cost_counts_both_metrics(solver):
    case = cost.Case("w", 8, 8, solver)
    found = cost.cost(case)
    assert (found["dimensions"], found["k"]) == (8, 8)
    # Matrix-free: a block of all 8 and one for the trace.
    blocks = {"dense": 2 * 8, "matrix-free": 2 * 2 * 8}[solver]
    assert found["products"] == blocks and found["seconds"] > 0


def test_inpainting_hides_what_the_mask_hides(tmp_path):
    """--mask is not read, read for an enlargement, or what is white is seen."""
    white = np.zeros((16, 16, 3), np.float32)
    white[4:8, 2:6] = 1
    images.write(tmp_path / "mask.png", white)
    x = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    operator = conditions.operator_of("inpainting", 8, str(tmp_path / "mask.png"))
    seen = np.ones((8, 8, 1), np.float32)
    seen[2:4, 1:3] = 0
    np.testing.assert_allclose(operator.pinv(operator(x)), x * seen, atol=1e-6)
    assert conditions.operator_of("x2", 8, str(tmp_path / "mask.png")).measurement_shape == (
        4,
        4,
        3,
    )


def mask_file(folder, kind):
    """Writes a mask with something wrong; returns its file."""
    sides = {"small": (4, 4), "wide": (8, 16), "all": (8, 8), "none": (8, 8)}[kind]
    picture = np.full((*sides, 3), kind == "all", np.float32)
    picture[:2, 4:6] = kind != "none"
    images.write(folder / f"{kind}.png", picture)
    return str(folder / f"{kind}.png")


MASKS = [
    ("small", "small.png: 4x4 px is smaller than the prior's 8x8 px"),
    ("wide", "wide.png: expected a square picture, .* got 16x8 px"),
    ("all", "all.png: expected white where pixels are missing and black elsewhere, got no black"),
    ("none", "none.png: expected white where .*, got black alone"),
]


@pytest.mark.parametrize(("kind", "message"), MASKS)
def test_masks_that_fit_nothing_are_told_before_any_work(kind, message, tmp_path):
    """A mask of another size is stretched, or one that hides all leaves nothing to explain."""
    settings = {"conditions": ("inpainting",), "prior": str(toy_prior(tmp_path / "toy"))}
    settings |= {"mask": mask_file(tmp_path, kind), "out": str(tmp_path / "out")}
    with pytest.raises(ValueError, match=message) as raised:
        explore_benchmark.main(Settings(smoke=True, **settings))
    assert "\n" not in str(raised.value)


BAD = [
    ({"tables": ("way",)}, "unknown table 'way': did you mean 'ways'"),
    ({"smoke": False}, "--data is missing"),
    (
        {"conditions": ("inpaint",), "prior": "PRIOR"},
        "unknown condition 'inpaint': did you mean 'inpainting'",
    ),
    ({"conditions": ("x3",), "prior": "PRIOR"}, "a factor that divides the side, got factor 3"),
    (
        {"conditions": ("x2",), "mask": "m.png"},
        "--mask is for inpainting, not for x2: leave it out",
    ),
]


@pytest.mark.parametrize(("settings", "message"), BAD)
def test_mistakes_are_told_before_any_work(settings, message, tmp_path):
    if "prior" in settings:
        settings = settings | {"prior": str(toy_prior(tmp_path / "toy"))}
    with pytest.raises(ValueError, match=message):
        explore_benchmark.main(Settings(**{"smoke": True, "out": str(tmp_path / "out")} | settings))
