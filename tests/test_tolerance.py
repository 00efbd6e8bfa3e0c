"""A photo's eps: what its noise, its file and doubt add up to, and how it reaches searches, rows
and feasibility."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import super_resolve
import toy
from PIL import Image
from restoration import options, tolerances
from restoration.jobs import Job
from restoration.photos import Photo
from restoration.plan import Method
from super_resolve import Settings
from tiny import photo, quick, rows, write_prior

from jaxsr import images, methods, search
from jaxsr.images import KERNEL, Tolerance, tolerance_of
from jaxsr.images.tolerance import ROUNDING
from jaxsr.types import Result

RNG = np.random.default_rng(0)


def smooth(side: int) -> np.ndarray:
    """A photo without noise: a ramp of colours."""
    down, right = np.mgrid[0:side, 0:side] / side
    return np.stack([down, right, 0.5 * (down + right)], 2)


@pytest.mark.parametrize("side", [8, 16, 32])
@pytest.mark.parametrize("sigma", [0.03, 0.1])
def test_the_truth_is_feasible_in_19_of_20_photos(side, sigma):
    """Eps is what noise leaves in the mean, so that half of all true pictures are refused; or so
    lax that it tells nothing."""
    tolerance = Tolerance(sigma, 0.0, 0.0, 0.0, 0.0, side * side * 3, 1.0)
    noise = RNG.normal(0, sigma, (4000, side * side * 3))
    share = np.mean(np.mean(noise**2, 1) <= tolerance.eps)
    assert 0.93 < share < 0.97
    assert sigma**2 < tolerance.eps < 1.2 * sigma**2


def test_eps_follows_the_noise_that_is_added():
    """A noisy photo is fitted to its noise, or a clean one is allowed PULSE's 0.002."""
    clean = smooth(32)
    eps = []
    for sigma in (0.0, 0.03, 0.06):
        noisy = clean + RNG.normal(0, sigma, clean.shape)
        eps.append(tolerance_of(noisy, kernel=KERNEL).eps)
    assert eps[0] == pytest.approx(KERNEL + ROUNDING, rel=0.1)
    assert 0.6 * 0.03**2 < eps[1] - eps[0] < 1.3 * 0.03**2
    assert 0.6 * 0.06**2 < eps[2] - eps[0] < 1.3 * 0.06**2


ADDED = {
    "compression": (0.02, 0.02**2),
    "kernel": (KERNEL, KERNEL),
    "registration": (2e-3, 2e-3),
}


@pytest.mark.parametrize("name", ADDED)
def test_each_term_counts(name):
    """A doubt that is told changes nothing."""
    given, added = ADDED[name]
    plain, with_it = tolerance_of(smooth(32)), tolerance_of(smooth(32), **{name: given})
    assert added <= with_it.eps - plain.eps <= 1.1 * added
    assert sum(with_it.terms.values()) == pytest.approx(with_it.eps)
    assert with_it.line.count("+") == plain.line.count("+") + 1


def test_eps_stays_below_the_variance_and_above_rounding():
    """A picture of one colour is feasible, or no picture of a photo of one colour is."""
    faint = 0.5 + 0.01 * (smooth(16) - 0.5)
    tolerance = tolerance_of(faint, registration=2e-3)
    assert tolerance.eps == pytest.approx(faint.var((0, 1)).mean())
    assert "at most the variance" in tolerance.line
    flat = tolerance_of(np.full((16, 16, 3), 0.5), kernel=KERNEL)
    assert ROUNDING <= flat.eps < 1.2 * ROUNDING


def test_hidden_pixels_leave_no_residual():
    """An inpainted photo gets the eps of a whole one, although half of it leaves nothing."""
    whole, half = (tolerance_of(smooth(32), kernel=KERNEL, share=share) for share in (1.0, 0.5))
    assert half.numbers == whole.numbers / 2 and half.eps == pytest.approx(
        0.5 * whole.eps, rel=0.01
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [({"kernel": -1.0}, "kernel: expected"), ({"compression": np.nan}, "compression: expected")],
)
def test_terms_that_are_none_are_refused(given, told):
    with pytest.raises(ValueError, match=told):
        tolerance_of(smooth(8), **given)
    with pytest.raises(ValueError, match="expected a photo"):
        tolerance_of(np.zeros(5))


# How it reaches searches

PARAMS = toy.params(jax.random.key(0))
OPERATOR = toy.operator(4)


def ys(n: int = 3) -> np.ndarray:
    found = jax.vmap(lambda key: OPERATOR(toy.image(key, PARAMS)))(
        jax.random.split(jax.random.key(1), n)
    )
    return np.asarray(found)


def test_a_photo_rests_and_is_feasible_by_its_own_eps():
    """The search stops by another photo's eps, or is compiled for each; told eps of all alike is
    another search than the setting."""
    config = methods.RLSPlus(steps=6, refine_steps=5, refine_rounds=4, eps=0.0)
    solve = methods.rls_plus(toy.prior(), OPERATOR, config)
    told = {"photo_eps": np.asarray([1e3, 0.0, 1e3])}
    found = search.restore(solve, PARAMS, ys(), told=told, progress=False)
    assert found.latent["steps_made"].tolist() == [5, 20, 5]
    assert found.feasible.tolist() == [True, False, True]
    plain = search.restore(solve, PARAMS, ys(), progress=False)
    np.testing.assert_allclose(found.image[1], plain.image[1], atol=1e-5)
    assert np.abs(found.image[0] - plain.image[0]).max() > 1e-4


def test_pulse_is_flat_below_a_photos_own_eps():
    """PULSE fits on into the noise, or stops where the papers do whatever the photo."""
    setting = methods.PULSE(steps=3, eps=10.0)
    loose, strict = (
        methods.pulse(toy.prior(), OPERATOR, dataclasses.replace(setting, eps=eps))
        for eps in (10.0, 1e-9)
    )
    of_photo = search.restore(
        loose, PARAMS, ys(1), told={"photo_eps": np.asarray([1e-9])}, progress=False
    )
    expected = search.restore(strict, PARAMS, ys(1), progress=False)
    np.testing.assert_allclose(of_photo.trace["loss"], expected.trace["loss"], rtol=1e-5)
    assert not np.allclose(
        search.restore(loose, PARAMS, ys(1), progress=False).trace["loss"],
        expected.trace["loss"],
        rtol=1e-3,
    )


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"photo_eps": np.asarray([1.0])}, "photo_eps: expected one for each of 3"),
        ({"statistics": np.zeros(3)}, "statistics: params have one for all"),
    ],
)
def test_what_is_told_fits_the_photos(told, says):
    solve = methods.pulse(toy.prior(), OPERATOR, methods.PULSE(steps=1))
    with pytest.raises(ValueError, match=says):
        search.restore(solve, PARAMS, ys(), told=told, progress=False)


def test_projected_results_are_judged_by_their_own_eps():
    solve = methods.pulse(toy.prior(), OPERATOR, methods.PULSE(steps=1, eps=1e3))
    found = search.restore(solve, PARAMS, ys(2), progress=False)
    moved = methods.project(solve, found, ys(2), np.inf, [1e3, 1e-12])
    assert moved.feasible.tolist() == [True, False]
    with pytest.raises(ValueError, match="an eps of at least 0"):
        methods.project(solve, found, ys(2), np.inf, [-1.0, 1.0])


# How it reaches a user


def test_a_run_tells_eps_and_its_terms(tmp_path):
    """--eps is not read, a JPEG has the eps of a PNG, or a photo that the run itself made small is
    judged by another eps than one that came small."""
    prior = write_prior(tmp_path / "prior")
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = images.to_uint8(photo(4))
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels).save(folder / "b.jpg", quality=50)
    images.write(tmp_path / "large.png", photo(16))
    given = quick(prior=prior, method="bicubic", input=(str(folder),))
    given = dataclasses.replace(given, reference=(str(tmp_path / "large.png"),), smoke=False)
    super_resolve.main(dataclasses.replace(given, factor=4, out=str(tmp_path / "auto")))
    png, jpeg, large = rows(tmp_path / "auto")
    assert "kernel" in png["eps_terms"] and "jpeg" not in png["eps_terms"]
    assert "jpeg" in jpeg["eps_terms"] and float(jpeg["eps"]) > float(png["eps"])
    assert "kernel" in large["eps_terms"]
    assert float(large["eps"]) == pytest.approx(float(png["eps"]), rel=0.05)
    assert all(float(row["whiteness"]) > 0 for row in (png, jpeg, large))
    super_resolve.main(dataclasses.replace(given, factor=4, eps="0.5", out=str(tmp_path / "half")))
    assert {row["eps"] for row in rows(tmp_path / "half")} == {"0.5"}
    assert {row["feasible"] for row in rows(tmp_path / "half")} == {"yes"}


@pytest.mark.parametrize("eps", ["0", "-1", "lots", "nan", "inf"])
def test_an_eps_that_is_none_is_refused(eps):
    with pytest.raises(ValueError, match="--eps: expected auto, or a mean square above 0"):
        options.check(Settings(eps=eps))


def left(residual: float, whiteness: float = 1.0) -> Result:
    """A result whose search left this residual of this whiteness."""
    latent = {"residual_before": residual, "whiteness": jnp.asarray(whiteness)}
    return Result(jnp.zeros((16, 16, 3)), latent, {}, jnp.asarray(residual), jnp.asarray(True))


def remark(result: Result, sigma: float = 0.05, **settings) -> str:
    tolerance = Tolerance(sigma, 0.0, 0.0, 0.0, 0.0, 48, 1.0)
    y = np.zeros((4, 4, 3))
    shot = Photo("a.png", False, 4, "", "", 0.0, (), lambda: (y, None), tolerance)
    solve = methods.pulse(toy.prior(), OPERATOR, methods.PULSE(steps=1))
    method = Method("pulse", "asked for", solve, {}, {})
    return str(
        tolerances.cells(Job(shot, "a.png", 0), result, Settings(**settings), method)["remark"]
    )


def test_what_a_search_left_is_told():
    """A result that repeats the photo's noise, or does not explain it, passes for an ordinary one;
    or ordinary ones are accused."""
    noise = 0.05**2
    assert remark(left(noise)) == ""
    assert "explains noise too" in remark(left(0.2 * noise))
    assert remark(left(0.2 * noise), consistency="exact") == ""
    assert remark(left(1e-9), sigma=0.0) == ""
    far = 2 * noise + 2e-3
    assert "structured (whiteness 3, " in remark(left(far, 3.0))
    assert "as white as noise" in remark(left(far, 1.0))
    assert remark(left(1.1 * noise, 3.0)) == ""
