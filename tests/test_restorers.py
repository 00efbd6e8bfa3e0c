"""learned/restorers: laws that every row of the table obeys, and what is refused."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learners import NETWORKS, SHAPE, SIZES, X4, bound, fresh, photos, prior_of

import jaxsr
from jaxsr import learned, loading, operators, weights
from jaxsr.learned import KINDS, RESTORERS
from jaxsr.methods import METHODS, Learned
from jaxsr.methods.auto import choose
from jaxsr.training import restorer
from jaxsr.training.restorer_config import Config

X2 = operators.downsample(2, image_shape=SHAPE)
OF_KIND = {row.kind: name for name, row in RESTORERS.items()}  # one of each


def test_rows_belong_together():
    """A network can be trained and not used, a kind is of no network, or a setting of a row's
    training has another name."""
    trained = {row.method for row in RESTORERS.values()}
    assert trained == {name for name, row in METHODS.items() if row.kind == "learned"}
    assert {row.kind for row in RESTORERS.values()} == set(KINDS)
    assert len({kind.Config for kind in KINDS.values()}) == len(KINDS)
    for name, row in RESTORERS.items():
        assert row.begins_from in ("", *RESTORERS) and row.summary, name
        assert METHODS[row.method].any_prior == row.is_free, name
        config, default = Config(**row.training), Config()
        assert all(getattr(config, key) != getattr(default, key) for key in row.training), name


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_come_back_from_json(name):
    """A model's folder is read as another network, or not at all."""
    net = bound(name).model.net
    told = json.loads(json.dumps(dataclasses.asdict(net)))
    assert learned.from_json(type(net), told) == net
    assert learned.is_free(net) == RESTORERS[name].is_free
    assert learned.architecture_of(net) == RESTORERS[name].kind == bound(name).model.architecture
    with pytest.raises(TypeError):
        learned.from_json(type(net), told | {"depth": 3})


@pytest.mark.parametrize("name", OF_KIND.values())
@pytest.mark.slow
def test_steps_lower_the_loss(name):
    """The gradient of a network's own objective does not reach its params."""
    this, (_, given) = bound(name), prior_of()
    off = ("perceptual_weight", "style_weight", "adversarial_weight", "matching_weight")
    changed = {"batch": 4, "warmup_images": 0, **dict.fromkeys(off, 0.0)}
    config = Config(**{**RESTORERS[name].training, **changed, "learning_rate": 1e-3})
    state = restorer.begin(jax.random.key(0), this, given | {"learned": fresh(name)}, config)
    step, losses = jax.jit(restorer.make_step(this, config, 400)), []
    for _ in range(30):
        state, log = step(state, given, photos(4))
        losses.append(float(log["loss"]))
    assert np.mean(losses[-3:]) < 0.9 * losses[0]


@pytest.mark.parametrize("name", ["esrgan", "gfpgan", "gpen"])
@pytest.mark.slow
def test_a_step_with_every_term_moves_both_networks(name):
    """The terms that a paper adds to LAREN's do not go together with its network."""
    this, (_, given) = bound(name), prior_of()
    config = Config(**{**RESTORERS[name].training, "batch": 4, "discriminator_width": 4})
    state = restorer.begin(jax.random.key(0), this, given, config)
    after, log = jax.jit(restorer.make_step(this, config, 400))(state, given, photos(4))
    assert all(np.isfinite(value) for value in log.values())
    for old, new in (
        (state.params, after.params),
        (state.discriminator, after.discriminator),
    ):
        assert max(jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), old, new))) > 0


def test_a_fresh_vdsr_adds_to_the_enlargement():
    """The network sees another image than the bicubic one, or replaces it."""
    given = prior_of()[1]
    this, y = bound("vdsr"), jnp.asarray(photos(1)[0, ::4, ::4], jnp.float32) / 255
    zeros = jax.tree.map(jnp.zeros_like, fresh("vdsr"))
    image, latent = this.model.restore(jax.random.key(0), given, zeros, y)
    np.testing.assert_allclose(image, jax.image.resize(y, SHAPE, "bicubic"), atol=1e-5)
    assert latent == {}


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_rrdb_has_the_factor_of_its_operator(factor):
    """A photo comes back at another size than the prior's."""
    prior, given = prior_of()
    operator = operators.downsample(factor, image_shape=SHAPE)
    net = learned.sized("rrdb", prior, given, operator, SIZES)
    assert net.factor == factor
    model = learned.bind(net, prior, operator)
    params = jax.eval_shape(model.init, jax.random.key(0), given)
    y = jax.ShapeDtypeStruct(operator.measurement_shape, jnp.float32)
    image, _ = jax.eval_shape(model.restore, jax.random.key(0), given, params, y)
    assert image.shape == SHAPE


# Models on disk


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of an rrdb that was trained here, of one that was trained as esrgan, and of one that
    somebody else published for 4x."""
    folder = tmp_path_factory.mktemp("models")
    (prior, given), this, params = prior_of(), bound("rrdb"), fresh("rrdb")
    for name in ("rrdb", "esrgan"):
        about = {"name": name}
        learned.save(folder / name, this.model, params, prior, given, X4, about)
    net = dataclasses.asdict(this.model.net)
    record = {"architecture": "rrdb", "version": KINDS["rrdb"].version, "net": net, "factor": 4}
    weights.save(folder / "official", params, record)
    return folder


def test_published_models_fit_every_prior_of_their_factor(models):
    """A network that knows nothing of a prior is refused for another one, or another one's digest
    is asked for."""
    prior, given = prior_of()
    other = given | {"synthesis": jax.tree.map(lambda x: x + 1, given["synthesis"])}
    config = Learned(model=str(models / "official"))
    y = X4(jnp.full(SHAPE, 0.5))
    for name in ("rrdb", "esrgan"):
        params = other | learned.load(name, prior, other, X4, config.model)
        result = METHODS[name].make(prior, X4, config)(jax.random.key(0), params, y)
        assert result.image.shape == SHAPE and np.isfinite(result.image).all()


REFUSED = {
    "of another generator": (
        lambda folder: learned.load(
            "rrdb",
            prior_of()[0],
            prior_of()[1] | {"synthesis": {}},
            X4,
            str(folder / "rrdb"),
        ),
        "other weights of prior 'tiny'",
    ),
    "of another factor": (
        lambda folder: learned.load("rrdb", *prior_of(), X2, str(folder / "official")),
        "expected a model with factor 2, got 4",
    ),
    "of another method": (
        lambda folder: learned.load("rrdb", *prior_of(), X4, str(folder / "esrgan")),
        "expected a model trained as rrdb, got one trained as esrgan: take method esrgan",
    ),
    "of another kind": (
        lambda folder: learned.load("vdsr", *prior_of(), X4, str(folder / "official")),
        "expected a model with architecture 'vdsr', got 'rrdb'",
    ),
    "bound to another factor": (
        lambda folder: learned.bind(bound("rrdb").model.net, prior_of()[0], X2),
        "expected a network of factor 2, got one of factor 4",
    ),
    "sized for no power of two": (
        lambda folder: learned.sized(
            "rrdb",
            prior_of()[0]._replace(info=prior_of()[0].info._replace(resolution=12)),
            prior_of()[1],
            operators.downsample(3, image_shape=(12, 12, 3)),
            SIZES,
        ),
        "expected an operator of factor 1, 2, 4, 8, ... for rrdb, got 3",
    ),
    "no model": (
        lambda folder: jaxsr.methods.vdsr(prior_of()[0], X4),
        "no vdsr model for prior 'tiny'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name, models):
    """A photo is restored by a network for another one, to a picture that looks right."""
    call, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        call(models)
    assert "\n" not in str(caught.value)


def test_auto_takes_the_network_of_least_distance(models, monkeypatch):
    """A network that happens to stand first in the table, and is worse, becomes the default."""
    prior, params = loading.load_prior("pbc64")
    x8 = operators.downsample(8, image_shape=(64, 64, 3))
    folder = models / "bundled"
    shutil.copytree(learned.MODELS / "pbc64_laren_x8", folder / "laren")
    record = weights.read_config(folder / "laren")
    for distance, expected in ((record["validation"]["distance"] + 1, "laren"), (0.0, "vdsr")):
        changed = {"architecture": "vdsr", "version": 1, "name": "vdsr", "net": {"channels": 3}}
        changed["validation"] = record["validation"] | {"distance": distance}
        (folder / "another").mkdir(exist_ok=True)
        (folder / "another" / "config.json").write_text(json.dumps(record | changed))
        monkeypatch.setattr("jaxsr.learned.models.MODELS", folder)
        assert choose(prior, params, x8).method == expected
