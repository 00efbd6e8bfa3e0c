"""methods/auto: what `--method=auto` takes."""

import jax
import pytest
import super_resolve
import toy_z
from tiny import quick, write_prior

from jaxsr import learned, loading, operators
from jaxsr.methods import METHODS
from jaxsr.methods.auto import choose
from jaxsr.records import report

X8, X4 = (operators.downsample(factor, image_shape=(64, 64, 3)) for factor in (8, 4))


def without(params, name):
    return {key: tree for key, tree in params.items() if key != name}


def other_weights(params):
    return params | {"synthesis": jax.tree.map(lambda x: x + 0.01, params["synthesis"])}


CASES = {
    "a network that fits": (lambda p: p, X8, 1, "laren"),
    "several solutions": (lambda p: p, X8, 3, "rls_plus"),
    "another factor": (lambda p: p, X4, 1, "rls_plus"),
    "another generator of the name": (other_weights, X8, 1, "rls_plus"),
    "no flow": (lambda p: without(p, "flow"), X4, 1, "pulse"),
}


@pytest.mark.parametrize("case", CASES)
def test_choice_fits_prior_and_operator(case):
    """The default is a method that cannot run there, a network of another generator, or one that
    has a single answer where several are wanted."""
    change, operator, solutions, expected = CASES[case]
    prior, params = loading.load_prior("pbc64")
    choice = choose(prior, change(params), operator, solutions=solutions)
    assert choice.method == expected
    assert choice.preset in METHODS[expected].Config.PRESETS and choice.why
    assert set(METHODS[expected].Config.NEEDS) - {"learned"} <= set(change(params))


def test_a_model_of_old_equations_is_not_taken(monkeypatch):
    """The default command is refused for a network that nobody asked for."""
    monkeypatch.setitem(learned.KINDS, "laren", learned.KINDS["laren"]._replace(version=99))
    assert choose(*loading.load_prior("pbc64"), X8).method == "rls_plus"


def test_priors_without_w_get_a_method_that_takes_them():
    prior, params = toy_z.made("pggan")
    operator = toy_z.operator_of(prior)
    assert METHODS[choose(prior, params, operator).method].any_prior


@pytest.mark.slow
def test_default_says_what_it_took_and_why(tmp_path, capsys):
    """The table and the first lines name "auto", which nobody can look up."""
    prior = write_prior(tmp_path / "tiny")
    assert super_resolve.main(quick(prior=prior, method="auto", out=str(tmp_path / "out"))) == 0
    expected = choose(*loading.load_prior(prior), operators.downsample(2, image_shape=(16, 16, 3)))
    assert f"method: {expected.method}, preset {expected.preset} (no network comes with" in (
        capsys.readouterr().out
    )
    rows = report.read_csv(tmp_path / "out" / "results.csv")
    assert {row["method"] for row in rows} == {expected.method}


def test_preset_of_no_method_is_refused(tmp_path):
    settings = quick(prior=write_prior(tmp_path / "tiny"), method="auto", preset="scaled")
    with pytest.raises(ValueError, match="--preset=scaled is for a method, not for --method=auto"):
        super_resolve.main(settings)
