"""Each method's own rules: where it starts, what it moves, and what it leaves."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from method_cases import SEARCHES, begin, case, given, own, solve_of

import jaxsr.methods
from jaxsr import search
from jaxsr.methods import BRGM, METHODS, PULSE, RLS, RLSE, MGANPrior, RLSPlus


def test_pulse_stays_on_its_spheres():
    """v, or a searched noise map, leaves its sphere; a fixed map moves; the paper's radius is not
    sqrt(d)."""
    phase, begun = begin("pulse", PULSE(steps=5, num_noise=2, bad_noise_layer=4))
    state, _ = search.advance(phase, given().params[0], given().ys[0], begun, length=5)
    for end in (begun, state):
        np.testing.assert_allclose(
            np.linalg.norm(end.variables["v"], axis=-1), math.sqrt(toy.DIM), rtol=1e-5
        )
    assert not np.allclose(state.variables["v"], begun.variables["v"], atol=1e-2)
    assert len(state.variables["noise"]) == 2
    assert (state.context["noise"][-1] == 0).all()
    for new, old in zip(state.variables["noise"], begun.variables["noise"], strict=True):
        np.testing.assert_allclose(np.linalg.norm(new), np.linalg.norm(old), rtol=1e-5)
        assert not np.allclose(new, old)


def test_pulse_has_no_data_gradient_once_feasible():
    """The data term still pulls at an image whose residual is below eps."""
    phase, state = begin("pulse", PULSE(geocross_weight=0.0, eps=10.0))
    grads, _ = jax.grad(phase.loss, argnums=3, has_aux=True)(
        given().params[0], given().ys[0], state.context, state.variables
    )
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(grads))


def test_pulse_code_keeps_the_norm_of_the_draw():
    """Preset "code" puts v on the sphere of radius sqrt(d) instead of that of its random start."""
    _, begun = begin("pulse", PULSE(preset="code"))
    assert np.ptp(np.linalg.norm(begun.variables["v"], axis=-1)) > 0.1


def test_rls_starts_at_the_mean_of_w():
    """The start is another point, or init_spread does not lead away from it by its share."""
    mean = given().params[0]["statistics"]["w_mean"]
    begun, near, far = (begin("rls", RLS(init_spread=spread))[1] for spread in (0.0, 0.2, 1.0))
    np.testing.assert_array_equal(begun.variables["w_plus"], np.tile(mean, (toy.LAYERS, 1)))
    np.testing.assert_allclose(
        near.variables["w_plus"] - mean, 0.2 * (far.variables["w_plus"] - mean), atol=1e-6
    )
    assert np.abs(far.variables["w_plus"] - mean).max() > 0.1
    for map in begun.context["noise"]:
        np.testing.assert_allclose([map.mean(), map.std()], [0, 1], atol=1e-5)


def test_rls_plus_refines_what_it_should():
    """The refinement leaves the l1 ball or the noise's normalisation, tunes a fixed map, or leaves
    a weight alone."""
    config = dataclasses.replace(SEARCHES["rls_plus"].config, radius=0.05, num_noise=2)
    phase, begun = begin("rls_plus", config, phase=1)
    state, trace = search.advance(phase, given().params[0], given().ys[0], begun, length=15)
    moved = np.abs(state.variables["w_plus"] - begun.variables["w_plus"]).sum(-1) / (
        0.05 * math.sqrt(toy.DIM)
    )
    assert 0.9 < moved.max() <= 1 + 1e-4
    assert len(state.variables["noise"]) == 2
    assert len(state.context["noise"]) == 3
    for new, old in zip(state.variables["noise"], begun.variables["noise"], strict=True):
        np.testing.assert_allclose([new.mean(), new.std()], [0, 1], atol=1e-5)
        assert not np.allclose(new, old)
    changed = jax.tree.map(
        lambda a, b: not np.array_equal(a, b),
        state.variables["synthesis"],
        given().params[0]["synthesis"],
    )
    assert all(jax.tree.leaves(changed))
    assert set(trace) == {"loss", "l1", "l2"}


def test_rls_plus_starts_from_its_first_stage_and_beats_it():
    """Refinement does not start at exactly the best image of the search, or ends with a worse
    fit."""
    fit, loss = (np.asarray(case("rls_plus").results[0].trace[name]) for name in ("l1", "loss"))
    best = loss[:, :30].argmin(1)
    np.testing.assert_allclose(fit[:, 30], fit[np.arange(3), best], rtol=1e-4)
    assert (fit[:, 30:].min(1) < fit[:, 30]).all()


def test_rls_plus_searches_as_rls_does():
    """With the same key the first stage of RLS+ is not RLS."""
    (rls, start), (plus, start_plus) = begin("rls", RLS()), begin("rls_plus", RLSPlus())
    jax.tree.map(np.testing.assert_array_equal, start.variables, start_plus.variables)
    args = (given().params[0], given().ys[0], start.context, start.variables)
    assert rls.loss(*args)[0] == plus.loss(*args)[0]


def test_refinement_takes_every_noise_map_of_a_small_prior():
    """A prior with fewer than nine noise maps fails, or some of its maps are left out."""
    _, state = begin("rls_plus", RLSPlus(), phase=1)
    assert len(state.variables["noise"]) == 5
    assert state.context["noise"] == ()


def test_rlse_compares_as_many_blocks_as_asked():
    """blocks=0 compares all of them, or a small prior that has fewer cannot be searched."""
    phase, state = begin("rlse", RLSE(blocks=0))
    assert (
        phase.loss(given().params[0], given().ys[0], state.context, state.variables)[1]["semantic"]
        == 0
    )
    assert [len(begin("rlse", RLSE(blocks=n))[1].context["features"]) for n in (2, 3, 4)] == [
        2,
        3,
        3,
    ]


def test_rlse_tunes_the_generator_and_leaves_the_discriminator():
    """The weights stay, the discriminator moves, or v leaves its sphere."""
    phase, begun = begin("rlse", RLSE(steps=5))
    state, trace = search.advance(phase, given().params[0], given().ys[0], begun, length=5)
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
    phase, state = begin("rlse", RLSE())
    image = (
        METHODS["rlse"]
        .make(toy.prior(), toy.operator(), RLSE())
        .finish(given().params[0], None, state.variables, state.context)[0]
    )
    y = toy.operator()(image)
    begun = search.begin(phase, given().keys[0], given().params[0], y, None)
    _, terms = phase.loss(given().params[0], y, begun.context, begun.variables)
    assert terms["semantic"] < 1e-4 and terms["pixel"] < 1e-4


def test_pulse_tiled_searches_one_code():
    """tile_latent gives several codes, or searches noise that it should leave alone."""
    _, begun = begin("pulse", PULSE(tile_latent=True, noise="fixed"))
    assert begun.variables["v"].shape == (1, toy.DIM) and begun.variables["noise"] == ()
    _, begun = begin("pulse", PULSE(noise="zero"))
    assert all((map == 0).all() for map in begun.context["noise"])


def test_phased_moves_every_code_by_the_same_length():
    """Steps depend on the size of the gradient: the method has no other regulariser."""
    config = SEARCHES["phased"].config
    for stage, length in enumerate((0.08, 0.02, 0.005)):
        phase, begun = begin("phased", config, stage)
        state, _ = search.advance(phase, given().params[0], given().ys[0], begun, length=1)
        step = jax.tree.map(
            lambda new, old: np.linalg.norm(new - old, axis=-1), state.variables, begun.variables
        )
        for norms in jax.tree.leaves(step):
            np.testing.assert_allclose(norms, length, rtol=1e-3)


def test_phased_needs_modulations():
    params = {**given().params[0], "synthesis": {"b4": {"weight": jnp.zeros(3)}}}
    phase = METHODS["phased"].make(toy.prior(), toy.operator(), SEARCHES["phased"].config).phases[2]
    with pytest.raises(ValueError, match="needs a style-based generator"):
        phase.start(jax.random.key(0), params, given().ys[0], ({"w_plus": jnp.zeros((6, 8))}, {}))


def test_brgm_starts_at_the_mean_of_w_plus_one_number():
    """The start's spread is another number for each entry or layer, or in units of one entry's
    deviation."""
    params = given().params[0]
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
    statistics = given().params[0]["statistics"]
    phase, begun = begin("brgm_vi", SEARCHES["brgm_vi"].config)
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
    other = search.begin(phase, given().keys[1], given().params[0], given().ys[0], None)
    assert not np.allclose(phase.redraw(other.context, 0)["normal"], draws[0], atol=0.1)


def test_brgm_vi_gives_any_number_of_solutions_from_one_fit():
    """`draw` has another mean or deviation than the fit, or the result's own image is no draw."""
    params, result = (
        given().params[0],
        jax.tree.map(lambda leaf: leaf[0], case("brgm_vi").results[0]),
    )
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


def test_iagan_goes_on_with_the_best_start():
    """The refinement starts at another z than the one with the smallest residual."""
    phase, begun = begin("iagan", SEARCHES["iagan"].config, phase=1)
    _, first = begin("iagan", SEARCHES["iagan"].config)
    residuals = [
        jnp.mean((toy.operator()(toy.prior().decode(given().params[0], z)) - given().ys[0]) ** 2)
        for z in first.variables["z"]
    ]
    np.testing.assert_array_equal(
        begun.variables["z"], first.variables["z"][int(np.argmin(residuals))]
    )
    assert set(begun.variables["weights"]) == {"mapping", "synthesis"} and phase.steps == 15


def test_iagan_tells_how_far_it_was_before_its_own_projection():
    """The residual of IAGAN's own answer is lost, or `project` reports that of the projected image
    in its place."""
    projected, y = solve_of("iagan"), given().ys[0]
    plain = METHODS["iagan"].make(toy.prior(), toy.operator(), own(SEARCHES["iagan"].config))

    def both(*found):  # of one search
        return plain.finish(*found)[0], [solve.finish(*found) for solve in (plain, projected)]

    search = jax.jit(dataclasses.replace(plain, finish=both))
    result = search(given().keys[0], given().params[0], y)
    (_, alone), (image, latent) = result.latent
    assert "residual_before" not in alone
    np.testing.assert_allclose(latent["residual_before"], result.residual, rtol=1e-2, atol=1e-9)
    assert np.mean((toy.operator()(image) - y) ** 2) < 0.01 * result.residual
    one = jax.tree.map(lambda leaf: np.asarray(leaf)[None], result)
    one = one._replace(image=np.asarray(image)[None], latent=jax.tree.map(np.asarray, latent))
    again = jaxsr.methods.project(projected, one, np.asarray(y)[None], [0.0])
    assert again.latent["residual_before"] == latent["residual_before"]


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


def test_the_networks_parameters_must_be_those_of_the_network():
    """Parameters of VGG-16 under the bundled network's distance end deep inside a convolution."""
    params = given().params[0] | {"perceptual": {"vgg": {}}}
    with pytest.raises(
        ValueError, match=r"expected params\[\"perceptual\"\] of network 'features', got 'vgg'"
    ):
        jax.eval_shape(case("mganprior").solve, jax.random.key(0), params, given().ys[0])
