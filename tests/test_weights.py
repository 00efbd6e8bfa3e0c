"""weights and load_prior: what was saved comes back, and what is not ours is refused in one
line."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr import loading, priors, weights
from jaxsr.nets import stylegan2

NET = {"resolution": 8, "z_dim": 4, "w_dim": 4, "mapping_layers": 2, "channels": [4, 3]}
CONFIG = {
    "architecture": "stylegan2",
    "net": NET,
    "name": "tiny",
    "domain": "noise",
    "licence": "CC0",
}


@functools.cache
def params():
    config = stylegan2.Config(**{**NET, "channels": (4, 3)})
    return jax.jit(stylegan2.init, static_argnums=1)(jax.random.key(0), config)


def test_round_trip_is_exact(tmp_path):
    weights.save(tmp_path / "w", params(), CONFIG)
    loaded, config = weights.load(tmp_path / "w")
    jax.tree.map(np.testing.assert_array_equal, loaded, params())
    assert config == CONFIG


def test_half_precision_is_read_as_float32(tmp_path):
    """A search at learning rate 1e-4 on float16 weights would not move them."""
    half = jax.tree.map(lambda x: x.astype(jnp.float16), params())
    weights.save(tmp_path / "w", half, CONFIG)
    loaded, _ = weights.load(tmp_path / "w")
    assert {x.dtype for x in jax.tree.leaves(loaded)} == {jnp.dtype("float32")}
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b.astype(jnp.float32)), loaded, half)


def test_saving_replaces_weights_and_keeps_what_lies_beside_them(tmp_path):
    weights.save(tmp_path / "w", params(), CONFIG)
    (tmp_path / "w" / "card.md").write_text("card")
    weights.save(tmp_path / "w", {"a": jnp.ones(3)}, {"name": "other"})
    loaded, config = weights.load(tmp_path / "w")
    assert (list(loaded), config, (tmp_path / "w" / "card.md").read_text()) == (
        ["a"],
        {"name": "other"},
        "card",
    )
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_a_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"nothing was written"):
        weights.save(tmp_path, params(), CONFIG)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_load_prior(tmp_path):
    weights.save(tmp_path / "w", params(), CONFIG)
    prior, loaded = loading.load_prior(tmp_path / "w")
    assert prior.info == priors.Info("tiny", 8, 4, 4, 4, ((4, 4), (8, 8), (8, 8)), "noise", "CC0")
    assert jax.jit(prior.decode)(loaded, jnp.ones(4)).shape == (8, 8, 3)


def test_a_dtype_that_is_none_is_refused():
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, got 'float16'"):
        loading.load_prior(loading.default_source(), dtype="float16")


CONFIG_TEXTS = {
    "no JSON": "{",
    "a list": "[]",
    "unknown architecture": json.dumps(CONFIG | {"architecture": "stylegan9"}),
    "unknown setting": json.dumps(CONFIG | {"net": NET | {"layers": 3}}),
    "other sizes": json.dumps(CONFIG | {"net": NET | {"channels": [4, 5]}}),
}


def broken(tmp_path, case):
    folder = tmp_path / "w"
    weights.save(folder, params(), CONFIG)
    if case == "missing folder":
        return tmp_path / "nowhere"
    if case == "no config":
        (folder / "config.json").unlink()
    elif case == "damaged arrays":
        for path in [
            p for p in (folder / "params").rglob("*") if p.is_file() and p.stat().st_size > 100
        ]:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        (folder / "config.json").write_text(CONFIG_TEXTS[case])
    return folder


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("missing folder", "unknown prior"),
        ("no config", "without config.json"),
        ("no JSON", "expected JSON"),
        ("a list", "JSON object, got list"),
        ("unknown architecture", "stylegan9"),
        ("unknown setting", "layers"),
        ("other sizes", "arrays do not fit config.json"),
        ("damaged arrays", "expected readable Orbax arrays"),
    ],
)
def test_what_is_not_a_prior_is_refused_in_one_line(tmp_path, case, words):
    with pytest.raises(ValueError, match=words) as error:
        loading.load_prior(broken(tmp_path, case))
    assert "\n" not in str(error.value)
