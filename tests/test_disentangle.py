"""Codes as disentangle.py sees them: log odds, the factors that are used, correlations, and a whole
run that goes on after a kill."""

import dataclasses

import disentangle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation import codes

from jaxsr import learned, loading, operators
from jaxsr.nets import features

CONFIG = features.Config(
    (("kind", ("a", "b", "c")), ("size", ("big", "small"))), resolution=8, widths=(4, 4)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of the smoke, and its settings."""
    pytest.importorskip("sklearn")
    out = tmp_path_factory.mktemp("disentangle")
    settings = disentangle.Settings(out=str(out), smoke=True)
    disentangle.run(settings)
    return out, settings


def test_log_odds_are_those_of_the_softmax():
    """A factor's order of samples is that of another number than its probability."""
    reader, params = features.features(CONFIG), features.init(jax.random.key(0), CONFIG)
    image = jax.random.uniform(jax.random.key(1), (8, 8, 3))
    expected = []
    for label, values in CONFIG.heads:
        logits = np.asarray(reader.read(params, image)[label], np.float64)
        p = np.exp(logits) / np.exp(logits).sum()
        expected += [*(np.log(p) - np.log1p(-p))][0 if len(values) > 2 else 1 :]
    np.testing.assert_allclose(codes.read_odds(reader, params, image), expected, rtol=1e-4)
    assert codes.factor_names(reader) == ["kind=a", "kind=b", "kind=c", "size=small"]


def test_correlations_are_numpys_and_finite():
    """An entry that never changes makes the whole figure NaN."""
    rows = (
        np.random.default_rng(0).normal(size=(50, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
        + 5
    )
    np.testing.assert_allclose(
        codes.correlations(rows), np.abs(np.corrcoef(rows, rowvar=False)), atol=1e-12
    )
    constant = codes.correlations(
        np.concatenate([rows, np.full((50, 2), [0.1, 0.3])], 1).astype(np.float32)
    )
    np.testing.assert_array_equal(constant[-1], [0, 0, 0, 0, 0, 0, 0, 1])
    assert codes.summary(np.eye(5)) == {"mean": 0.0, "share above 0.5": 0.0, "mean of 1 to 20": 0.0}


def test_rare_and_repeated_factors_are_left_out():
    """A factor with three samples on one side is noise; the same attribute twice counts twice."""
    x = np.random.default_rng(0).normal(size=(400, 4))
    x[:, 2] = -3 * x[:, 0] + 0.01 * x[:, 2]
    x[:, 3] += 4
    assert codes.kept([x, x]) == [0, 1]
    with pytest.raises(
        ValueError, match="expected two of 4 factors with 5% of samples on each side, got 1"
    ):
        codes.kept([x, np.where(np.arange(4) == 1, 1.0, x)])


@pytest.mark.slow
def test_samples_of_the_spaces_are_of_one_image(run):
    """W, W+ and S draw the same image by the generator's own way from either; G is what the
    restorer decodes from its measurement."""
    out, settings = run
    prior, params = loading.load_prior(out / "toy")
    operator = operators.downsample(2, image_shape=(8, 8, 3))
    params |= learned.load("laren", prior, params, operator, str(out / "model"))
    subject = codes.Subject(prior, operator, learned.read_net(out / "model"))
    spaces = codes.spaces(subject, settings.seed)
    number = jnp.int32(3)
    w, w_plus, styles, g = (spaces[name].code(params, number) for name in ("W", "W+", "S", "G"))
    np.testing.assert_array_equal(w_plus, np.tile(w, prior.info.num_layers))
    drawn = prior.synthesize(params, w_plus.reshape(-1, len(w)), prior.noise("const", params))
    for name in ("W", "W+", "S"):
        np.testing.assert_allclose(spaces[name].image(params, number), drawn, atol=1e-5)
    shapes = [x.size for x in jax.tree.leaves(prior.styles(params, w_plus.reshape(-1, len(w))))]
    assert styles.shape == (sum(shapes),) and g.shape == w_plus.shape
    model = learned.bind(subject.net, prior, operator)
    y = jnp.round(jnp.clip(operator(jnp.clip(drawn, 0, 1)), 0, 1) * 255) / 255
    _, latent = model.restore(jax.random.key(0), params, params["learned"], y)
    np.testing.assert_allclose(g, latent["w_plus"].ravel(), atol=1e-4)


@pytest.mark.slow
def test_run_goes_on_after_a_kill(run, capsys):
    """Samples and regressors that were done are made again, or a lost chunk stays empty."""
    out, settings = run
    before, rows = (out / "dci.md").read_text(), (out / "rows.jsonl").read_text()
    odds = np.load(out / "log_odds_G.npy")
    held = np.load(out / "log_odds_G.npy", mmap_mode="r+")
    held[150:] = np.nan
    held.flush()
    lines = rows.splitlines(keepends=True)
    (out / "rows.jsonl").write_text("".join(lines[:-2]) + lines[-2][:40])
    disentangle.run(settings)
    np.testing.assert_array_equal(np.load(out / "log_odds_G.npy"), odds)
    assert (out / "dci.md").read_text() == before and "Table II" in before
    assert "|correlation|" not in before and (out / "correlations.png").is_file()
    # The modules at the paper's sizes.
    assert all(count in (out / "sizes.md").read_text() for count in ("420,417", "10,723,328"))
    with pytest.raises(ValueError, match=r"other settings: seed \(0 there, 1 now\)"):
        disentangle.run(dataclasses.replace(settings, seed=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tables": ("dcis",)}, "did you mean 'dci'"),
        ({"samples": 300}, "at least 400 for 8 labels at each end, got 300"),
        ({"labelled": 0.6}, "--labelled must be above 0 and at most 0.5"),
        ({"num_photos": 2}, "--num_photos must be from 3"),
        ({"model": ""}, "--model is empty"),
    ],
)
def test_settings_are_checked(changes, message):
    """A typo is found after an hour of samples."""
    with pytest.raises(ValueError, match=message):
        disentangle.check(disentangle.Settings(**changes))


@pytest.mark.slow
def test_other_networks_are_refused(run):
    """Base (W) has no G; its codes would be called G's."""
    prior, params = loading.load_prior(run[0] / "toy")
    operator = operators.downsample(2, image_shape=(8, 8, 3))
    subject = codes.Subject(prior, operator, learned.sized("base", prior, params, operator))
    with pytest.raises(ValueError, match="expected a network with GDM, got one that makes w"):
        codes.check(subject, run[0])
