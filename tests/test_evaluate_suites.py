"""The suites of evaluate.py: their rows, what they are planned to be, and what is said where they
cannot run."""

import dataclasses

import evaluate
import jax
import numpy as np
import pytest
from evaluate import Settings
from evaluation import suites
from evaluation.plan import plan
from evaluation.scores import COLUMNS

from jaxsr import operators
from jaxsr.methods import METHODS
from jaxsr.methods.setups import Setup, make_config
from jaxsr.records import report
from jaxsr.settings import resolve

FIELDS = {
    name: {f.name for f in dataclasses.fields(config)} for name, (_, config, *_) in METHODS.items()
}


@pytest.mark.parametrize("preset", ["paper", "code", "scaled", "means"])
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


@pytest.mark.parametrize("name", ["laren_table3", "laren_figure8", "laren_table4"])
def test_a_suite_without_trained_methods_says_so(name, tmp_path, capsys):
    """The row stays, with the paper's numbers; nothing fails."""
    assert evaluate.run(Settings(suite=name, out=str(tmp_path / "out"))) == 0
    assert {"table.md", "index.html", "results.csv"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    text = capsys.readouterr().out
    assert "train_restorer.py" in text and (
        name == "laren_figure8" or "As printed, other data" in text
    )


def test_a_figure_of_the_prior_leaves_what_a_suite_does(tmp_path, monkeypatch):
    """A script that gathers tables of all suites finds none of this one."""
    import toy
    from evaluation import gaussianisation

    monkeypatch.setattr(gaussianisation, "SAMPLES", 300)
    monkeypatch.setattr(gaussianisation, "FITTED", 1_000)
    params = toy.params(jax.random.key(0))
    suites.FIGURES["rls_figure3"].draw(toy.prior(), params, tmp_path, seed=0)
    rows = report.read_csv(tmp_path / "results.csv")
    text, page = ((tmp_path / name).read_text() for name in ("table.md", "index.html"))
    assert [row["space"] for row in rows] == list(gaussianisation.PANELS.values())
    for row in rows:
        assert 0 <= float(row["ks_distance"]) <= 1
        line = f"| {row['space']} | {row['mean']} | {row['std']} | {row['ks_distance']} |"
        assert line in text and f"<td>{row['mean']}</td>" in page
    assert ('src="gaussianisation.png"' in page) == (tmp_path / "gaussianisation.png").exists()


def test_laren_table_4_has_the_rows_of_the_paper():
    """A method of another table stands among the ablations."""
    suite = suites.SUITES["laren_table4"]
    assert len(suite.variants) == len(suite.as_printed[0].rows) == 7
    assert {variant.method for variant in suite.variants} == {"laren"}


def test_laren_table_1_has_a_column_for_every_number():
    """Two numbers in one cell cannot be read by a script."""
    (table,) = suites.SUITES["laren_table1"].as_printed
    numbers = [cell for row in table.rows for cell in row[1:]]
    assert len(table.columns) == 8 and len(numbers) == 64 and numbers.count("N/A") == 4
    assert all(float(cell) > 0 for cell in numbers if cell != "N/A")
