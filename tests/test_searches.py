"""The searches that RLS and RLSE are compared with: any operator, their own rules, cut generators,
exact consistency."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from test_methods import FIT, SEARCHES, SMALL, begin, case, two_params

import jaxsr.methods
from jaxsr import operators, search
from jaxsr.methods import BRGM, BRGMVI, IAGAN, METHODS, PULSE, RLSE, MGANPrior, Phased
from jaxsr.nets import pggan, stylegan1, stylegan2

SHAPE = (16, 16, 3)
OPERATORS = {
    "mask": lambda: operators.mask(np.pad(np.zeros((8, 8)), 4, constant_values=1.0), SHAPE),
    "motion": lambda: operators.motion_blur(5, 45.0, image_shape=SHAPE),
    "compressed sensing": lambda: operators.compressed_sensing(jax.random.key(0), 96, SHAPE),
    "grey and small": lambda: operators.compose(
        operators.grey(SHAPE), operators.downsample(4, image_shape=(16, 16, 1), kernel="box")
    ),
}


ODD = {  # whose pseudo-inverse is found by conjugate gradients, inside the objective
    "rows": lambda: operators.linear(lambda x: x.mean(1), SHAPE),
    "two channels": lambda: operators.linear(lambda x: x[..., :2], SHAPE),
    "sensed and small": lambda: operators.compose(
        operators.downsample(2, image_shape=SHAPE),
        operators.compressed_sensing(jax.random.key(0), 40, (8, 8, 3)),
    ),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("name", SEARCHES)
def test_a_measurement_that_is_no_image_can_be_searched_for(name, what):
    """The gradient of what stands for it as an image does not exist."""
    operator = ODD[what]()
    y = jax.ShapeDtypeStruct(operator.measurement_shape, np.float32)
    assert (
        jax.eval_shape(
            METHODS[name].make(toy.prior(), operator, SMALL[name]),
            jax.random.key(0),
            two_params()[0],
            y,
        ).image.shape
        == SHAPE
    )


def test_rlse_compares_as_many_blocks_as_asked():
    """blocks=0 compares all of them, or a small prior that has fewer cannot be searched."""
    phase, state = begin("rlse", RLSE(blocks=0))
    assert (
        phase.loss(two_params()[0], case("rlse").ys[0], state.context, state.variables)[1][
            "semantic"
        ]
        == 0
    )
    assert [len(begin("rlse", RLSE(blocks=n))[1].context["features"]) for n in (2, 3, 4)] == [
        2,
        3,
        3,
    ]


def test_phased_asks_for_a_network_only_where_it_looks():
    """Small photos need published weights that nothing looks at, or large ones are compared without
    any."""
    x4, x2 = (operators.downsample(f, image_shape=(64, 64, 3)) for f in (4, 2))
    assert [jaxsr.settings.resolve(Phased(), operator).network for operator in (x4, x2)] == [
        "features",
        "vgg",
    ]
    assert jaxsr.settings.resolve(Phased(smallest=15), x4).network == "vgg"
    with pytest.raises(ValueError, match=r"take jaxsr\.settings\.resolve"):
        jaxsr.methods.networks(Phased())


@pytest.mark.parametrize("what", OPERATORS)
@pytest.mark.parametrize("name", SEARCHES)
def test_every_method_takes_every_linear_operator(name, what):
    """A method assumes that a measurement is a small colour image."""
    operator = OPERATORS[what]()
    solve = METHODS[name].make(toy.prior(), operator, SMALL[name])
    y = jax.ShapeDtypeStruct(operator.measurement_shape, np.float32)
    result = jax.eval_shape(solve, jax.random.key(0), two_params()[0], y)
    assert result.image.shape == SHAPE and result.residual.shape == ()


def test_rlse_says_how_else_a_measurement_enters_the_discriminator():
    with pytest.raises(
        ValueError, match=r'needs measurements \[h, w, 1 or 3\], got \(96,\): use entry="pinv"'
    ):
        METHODS["rlse"].make(toy.prior(), OPERATORS["compressed sensing"](), RLSE(entry="resize"))


def test_the_networks_parameters_must_be_those_of_the_network():
    """Parameters of VGG-16 under the bundled network's distance end deep inside a convolution."""
    params = two_params()[0] | {"perceptual": {"vgg": {}}}
    with pytest.raises(
        ValueError, match=r"expected params\[\"perceptual\"\] of network 'features', got 'vgg'"
    ):
        jax.eval_shape(case("mganprior").solve, jax.random.key(0), params, case("mganprior").ys[0])


def test_iagan_tells_how_far_it_was_before_its_own_projection():
    """The residual of IAGAN's own answer is lost, or `exact` reports that of the projected image in
    its place."""
    this = case("iagan")
    own = METHODS["iagan"].make(
        toy.prior(), toy.operator(), dataclasses.replace(SMALL["iagan"], back_projection=False)
    )
    plain = jax.jit(own)(this.keys[0], this.params[0], this.ys[0])
    exact = jax.jit(jaxsr.methods.exact(this.solve))(this.keys[0], this.params[0], this.ys[0])
    for result in (jax.tree.map(lambda leaf: leaf[0], this.results[0]), exact):
        np.testing.assert_allclose(
            result.latent["residual_before"], plain.residual, rtol=1e-2, atol=1e-9
        )
        assert result.residual < 0.01 * plain.residual


@pytest.mark.parametrize("name", ["pulse", "rls_plus", "iagan"])
@pytest.mark.parametrize("what", ["downsample", "mask"])
def test_exact_explains_the_measurement_and_changes_nothing_else(name, what):
    """--exact leaves a residual, or moves the image where the measurement does not look."""
    operator = toy.operator() if what == "downsample" else OPERATORS[what]()
    config = dataclasses.replace(
        SMALL[name], **({"back_projection": False} if name == "iagan" else {})
    )
    solve = METHODS[name].make(toy.prior(), operator, config)
    params, key = two_params()[0], jax.random.key(3)
    y = operator(toy.image(jax.random.key(4), params))
    plain, exact = (
        jax.jit(solve)(key, params, y),
        jax.jit(jaxsr.methods.exact(solve))(key, params, y),
    )
    np.testing.assert_allclose(
        exact.latent["residual_before"], plain.residual, rtol=1e-3, atol=1e-9
    )
    assert exact.residual < 1e-6 + 0.01 * plain.residual
    moved = exact.image - plain.image
    unseen = moved - operator.pinv(operator(moved))
    assert np.abs(unseen).max() < 1e-3 * max(1.0, float(np.abs(moved).max()))


def test_rlse_tunes_the_generator_and_leaves_the_discriminator():
    """The weights stay, the discriminator moves, or v leaves its sphere."""
    phase, begun = begin("rlse", RLSE(steps=5))
    state, trace = search.advance(phase, two_params()[0], case("rlse").ys[0], begun, length=5)
    assert set(state.variables) == {"v", "noise", "synthesis"} and set(trace) == {
        "loss",
        "pixel",
        "semantic",
        "geocross",
    }
    changed = jax.tree.map(
        lambda a, b: not np.array_equal(a, b),
        state.variables["synthesis"],
        begun.variables["synthesis"],
    )
    assert all(jax.tree.leaves(changed))
    np.testing.assert_allclose(
        np.linalg.norm(state.variables["v"], axis=-1),
        np.linalg.norm(begun.variables["v"], axis=-1),
        rtol=1e-5,
    )


def test_rlse_compares_with_the_photo_itself():
    """The semantic term is not 0 where the measurement is matched: features of y are of something
    else."""
    this = case("rlse")
    phase, state = begin("rlse", RLSE())
    image = (
        METHODS["rlse"]
        .make(toy.prior(), toy.operator(), RLSE())
        .finish(this.params[0], None, state.variables, state.context)[0]
    )
    y = toy.operator()(image)
    begun = search.begin(phase, this.keys[0], this.params[0], y, None)
    _, terms = phase.loss(this.params[0], y, begun.context, begun.variables)
    assert terms["semantic"] < 1e-4 and terms["pixel"] < 1e-4


def test_pulse_tiled_searches_one_code():
    """tile_latent gives several codes, or searches noise that it should leave alone."""
    _, begun = begin("pulse", PULSE(tile_latent=True, noise="fixed"))
    assert begun.variables["v"].shape == (1, toy.DIM) and begun.variables["noise"] == ()
    _, begun = begin("pulse", PULSE(noise="zero"))
    assert all((map == 0).all() for map in begun.context["noise"])


def test_phased_moves_every_code_by_the_same_length():
    """Steps depend on the size of the gradient: the method has no other regulariser."""
    config = Phased(network="features", smallest=1)
    for stage, length in enumerate((0.08, 0.02, 0.005)):
        phase, begun = begin("phased", config, stage)
        state, _ = search.advance(phase, two_params()[0], case("phased").ys[0], begun, length=1)
        step = jax.tree.map(
            lambda new, old: np.linalg.norm(new - old, axis=-1), state.variables, begun.variables
        )
        for norms in jax.tree.leaves(step):
            np.testing.assert_allclose(norms, length, rtol=1e-3)


def test_brgm_starts_at_the_mean_of_w_plus_one_number():
    """The start's spread is another number for each entry or layer, or in units of one entry's
    deviation."""
    params = two_params()[0]
    begun, code = (
        begin("brgm", BRGM(preset=preset, network="features"))[1] for preset in ("paper", "code")
    )
    moved = np.asarray(begun.variables["w_plus"] - params["statistics"]["w_mean"])
    assert np.ptp(moved) < 1e-6 and 0 < np.abs(moved).max() < 0.05 * np.linalg.norm(
        params["statistics"]["w_std"]
    )
    np.testing.assert_array_equal(
        code.variables["w_plus"], np.tile(params["statistics"]["w_mean"], (toy.LAYERS, 1))
    )


def test_brgm_vi_starts_at_the_prior_of_w_and_draws_anew_in_each_step():
    """The fit starts elsewhere, its samples are the same in two steps or for two photos, or the
    first is not the mean."""
    statistics = two_params()[0]["statistics"]
    phase, begun = begin("brgm_vi", SMALL["brgm_vi"])
    np.testing.assert_allclose(
        begun.variables["mean"], np.tile(statistics["w_mean"], (toy.LAYERS, 1))
    )
    np.testing.assert_allclose(
        jax.nn.softplus(begun.variables["rho"]),
        np.tile(statistics["w_std"], (toy.LAYERS, 1)),
        rtol=1e-5,
    )
    draws = [phase.redraw(begun.context, step)["normal"] for step in (0, 1, 0)]
    assert draws[0].shape == (3, toy.LAYERS, toy.DIM) and (draws[0][0] == 0).all()
    assert not np.allclose(draws[0][1:], draws[1][1:], atol=0.1) and (draws[0] == draws[2]).all()
    other = search.begin(
        phase, case("brgm_vi").keys[1], two_params()[0], case("brgm_vi").ys[0], None
    )
    assert not np.allclose(phase.redraw(other.context, 0)["normal"], draws[0], atol=0.1)


def test_brgm_vi_gives_any_number_of_solutions_from_one_fit():
    """`draw` has another mean or deviation than the fit, or the result's own image is no draw."""
    params, result = two_params()[0], jax.tree.map(lambda leaf: leaf[0], case("brgm_vi").results[0])
    images, codes = jax.vmap(
        lambda key: jaxsr.methods.draw(toy.prior(), params, result.latent, key)
    )(jax.random.split(jax.random.key(1), 4000))
    mean, std = result.latent["mean"], result.latent["std"]
    np.testing.assert_allclose((codes.mean(0) - mean) / std, 0.0, atol=5 / np.sqrt(4000))
    np.testing.assert_allclose(codes.std(0) / std, 1.0, atol=5 / np.sqrt(8000))
    with pytest.raises(ValueError, match="expected the latent of one result of brgm_vi"):
        jaxsr.methods.draw(
            toy.prior(), params, case("brgm_vi").results[0].latent, jax.random.key(0)
        )
    np.testing.assert_allclose(
        images[0], toy.prior().synthesize(params, codes[0], result.latent["noise"]), atol=1e-5
    )
    np.testing.assert_allclose(
        toy.prior().synthesize(params, result.latent["w_plus"], result.latent["noise"]),
        result.image,
        atol=1e-5,
    )


def test_phased_needs_modulations():
    params = {**two_params()[0], "synthesis": {"b4": {"weight": jnp.zeros(3)}}}
    phase = METHODS["phased"].make(toy.prior(), toy.operator(), SMALL["phased"]).phases[2]
    with pytest.raises(ValueError, match="needs a style-based generator"):
        phase.start(
            jax.random.key(0), params, case("phased").ys[0], ({"w_plus": jnp.zeros((6, 8))}, {})
        )


def test_iagan_goes_on_with_the_best_start():
    """The refinement starts at another z than the one with the smallest residual."""
    this = case("iagan")
    phase, begun = begin("iagan", SMALL["iagan"], stage=1)
    _, first = begin("iagan", SMALL["iagan"])
    residuals = [
        jnp.mean((toy.operator()(toy.prior().decode(this.params[0], z)) - this.ys[0]) ** 2)
        for z in first.variables["z"]
    ]
    np.testing.assert_array_equal(
        begun.variables["z"], first.variables["z"][int(np.argmin(residuals))]
    )
    assert set(begun.variables["weights"]) == {"mapping", "synthesis"} and phase.steps == 15


@pytest.mark.parametrize("layer", [0, 3, 6])
def test_mganprior_composes_behind_whole_resolutions(layer):
    with pytest.raises(ValueError, match="composing_layer must be an even number from 2 to 4"):
        METHODS["mganprior"].make(
            toy.prior(), toy.operator(), MGANPrior(composing_layer=layer, network="features")
        )
    with pytest.raises(ValueError, match="cannot"):
        METHODS["mganprior"].make(
            toy.prior()._replace(split=None), toy.operator(), MGANPrior(network="features")
        )


def test_published_values():
    """A preset differs from METHODS' facts of the papers and releases."""
    x8, x32 = (operators.downsample(f, image_shape=(64, 64, 3)) for f in (8, 32))
    rlse, scaled = (jaxsr.settings.resolve(RLSE(preset=p), x8) for p in ("paper", "scaled"))
    assert (rlse.pixel_weight, rlse.semantic_weight, rlse.geocross_weight, rlse.blocks) == (
        100,
        0.5,
        500,
        3,
    )
    assert (rlse.steps, rlse.learning_rate, rlse.generator_learning_rate, rlse.reduction) == (
        100,
        0.4,
        5e-5,
        "norm",
    )
    assert (scaled.geocross_weight, scaled.reduction) == (0.05, "mean")
    brgm, code = (jaxsr.settings.resolve(BRGM(preset=p), x8) for p in ("paper", "code"))
    assert (brgm.steps, brgm.learning_rate, brgm.prior_weight, brgm.cosine_weight) == (
        5000,
        0.1,
        100,
        3,
    )
    assert (
        code.steps,
        code.cosine_weight,
        jaxsr.settings.resolve(BRGM(preset="code"), x32).cosine_weight,
    ) == (501, 0.1, 1)
    vi = jaxsr.settings.resolve(BRGMVI(), x8)
    assert (vi.samples, vi.steps, vi.prior_weight, vi.cosine_weight, vi.side) == (
        6,
        501,
        100,
        0.1,
        "256",
    )
    mgan = jaxsr.settings.resolve(MGANPrior(), x8)
    assert (mgan.steps, mgan.learning_rate, mgan.codes, mgan.composing_layer) == (2000, 1, 30, 6)
    iagan = jaxsr.settings.resolve(IAGAN(), x8)
    assert (iagan.steps, iagan.learning_rate, iagan.starts, iagan.refine_steps) == (
        1800,
        0.1,
        5,
        300,
    )
    assert (iagan.refine_learning_rate, iagan.generator_learning_rate) == (1e-4, 1e-3)
    phased = jaxsr.settings.resolve(Phased(), x8)
    assert (phased.w_steps, phased.w_plus_steps, phased.style_steps, phased.l1_weight) == (
        150,
        150,
        150,
        0.1,
    )
    assert (phased.w_learning_rate, phased.w_plus_learning_rate, phased.style_learning_rate) == (
        0.08,
        0.02,
        0.005,
    )
    assert set(FIT) == set(SEARCHES)


SIZES = {"resolution": 16, "channels": (8, 6, 4), "z_dim": 5}
NETS = {
    "stylegan1": (
        stylegan1.stylegan1,
        stylegan1.init,
        stylegan1.Config(**SIZES, w_dim=5, mapping_layers=2),
    ),
    "stylegan2": (
        stylegan2.stylegan2,
        stylegan2.init,
        stylegan2.Config(**SIZES, w_dim=5, mapping_layers=2),
    ),
    "pggan": (pggan.pggan, pggan.init, pggan.Config(**SIZES)),
}


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("name", NETS)
def test_the_two_parts_of_a_cut_generator_are_the_generator(name, blocks):
    """Style inputs, noise or the RGB so far are lost at the cut."""
    make, init, config = NETS[name]
    prior, params = make(config), init(jax.random.key(0), config)
    z = prior.sample(jax.random.key(1), params)
    head, tail = prior.split(blocks)
    cut = head(params, z)
    assert cut["x"].shape[:2] == (2 << blocks, 2 << blocks)
    np.testing.assert_allclose(tail(params, cut), prior.decode(params, z), atol=2e-5)


def test_stylegan2_clamps_as_networks_of_half_precision():
    """An activation beyond the clamp passes, or the clamp changes what lies within."""
    config = NETS["stylegan2"][2]
    params = stylegan2.init(jax.random.key(0), config)
    z, images = (
        jax.random.normal(jax.random.key(1), (5,)),
        jax.random.normal(jax.random.key(2), (2, 16, 16, 3)),
    )
    free, wide, narrow = (
        stylegan2.stylegan2(dataclasses.replace(config, clamp=clamp)) for clamp in (None, 1e3, 0.5)
    )
    np.testing.assert_array_equal(free.decode(params, z), wide.decode(params, z))
    assert np.abs(2 * narrow.decode(params, z) - 1).max() <= 0.5 * 3 + 1e-6 and not np.allclose(
        free.decode(params, z), narrow.decode(params, z)
    )
    _, features = narrow.discriminate(params, images)
    assert not np.allclose(features[0], free.discriminate(params, images)[1][0])
