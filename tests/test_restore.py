"""restore: the result of a photo is its own, whatever is restored beside it."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from jaxsr import methods, operators, search
from jaxsr.search import batches, mesh_of, restore, restore_batches, restore_tuned, rows_at_once

PARAMS = toy.params(jax.random.key(0))
OPERATOR = toy.operator(4)


def small_rls_plus() -> search.Solve:
    return methods.rls_plus(toy.prior(), OPERATOR, methods.RLSPlus(steps=12, refine_steps=6))


def counting(solve: search.Solve) -> tuple[search.Solve, list]:
    """The same method, with a list that grows whenever its first loss is traced."""
    traced = []

    def loss(*args):
        traced.append(1)
        return phase.loss(*args)

    phase = solve.phases[0]
    return search.Solve(
        (phase._replace(loss=loss), *solve.phases[1:]), solve.finish, solve.operator, solve.eps
    ), traced


def photos(n: int) -> np.ndarray:
    images = jax.vmap(lambda key: OPERATOR(toy.image(key, PARAMS)))(
        jax.random.split(jax.random.key(1), n)
    )
    return np.asarray(images)


SOLVE = small_rls_plus()


@pytest.fixture(scope="module", autouse=True)
def batched():
    """Batches as on an accelerator: on a CPU photos go one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "rows_at_once", lambda batch_size: batch_size)
        yield


def test_a_cpu_takes_photos_one_by_one():
    """A photo alone must not pay for a whole batch where batching gains nothing."""
    assert rows_at_once(8) == 1


@pytest.fixture(scope="module")
def all_eight(batched):
    return restore(SOLVE, PARAMS, photos(8), batch_size=8, progress=False)


def test_equals_the_method_applied_to_one_photo(all_eight):
    """Fails when the chunks, the phases or the keys differ from solve(key, params, y)."""
    keys = jax.random.wrap_key_data(batches.photo_keys(photos(8), np.zeros(8)))
    for i in (0, 5):
        one = jax.jit(SOLVE)(keys[i], PARAMS, photos(8)[i])
        np.testing.assert_allclose(all_eight.image[i], one.image, atol=1e-4)
        np.testing.assert_allclose(
            all_eight.trace["loss"][i], one.trace["loss"], rtol=1e-3, atol=1e-5
        )
        np.testing.assert_allclose(all_eight.residual[i], one.residual, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batch_size_does_not_change_a_result(all_eight, batch_size):
    """Fails when a batch couples its photos, or padding leaks into results."""
    other = restore(SOLVE, PARAMS, photos(8), batch_size=batch_size, progress=False)
    np.testing.assert_allclose(other.image, all_eight.image, atol=1 / 255)
    assert other.trace["loss"].shape == (8, 18)


def test_neighbours_and_order_do_not_change_a_result(all_eight):
    """Fails when a key comes from the position; the arithmetic is the same, so the bits are."""
    order = [6, 2, 7]
    some = restore(SOLVE, PARAMS, photos(8)[order], batch_size=8, progress=False)
    np.testing.assert_array_equal(some.image, all_eight.image[order])


def test_keys_depend_on_pixels_and_seed_alone():
    ys = photos(3)
    keys = batches.photo_keys(ys[[0, 1, 0, 0]], np.array([0, 0, 0, 1]))
    assert (keys[0] == keys[2]).all()
    assert (keys[0] != keys[1]).any()
    assert (keys[0] != keys[3]).any()


def test_seed_for_each_photo_is_the_seed_for_all():
    """Solution i of a photo is what another run with that seed gives."""
    solve = methods.pulse(toy.prior(), OPERATOR, methods.PULSE(steps=5))
    ys = photos(1)
    several = restore(solve, PARAMS, ys[[0, 0]], seed=[3, 4], batch_size=2, progress=False)
    single = restore(solve, PARAMS, ys, seed=4, batch_size=2, progress=False)
    np.testing.assert_array_equal(several.image[1], single.image[0])
    assert np.abs(several.image[0] - several.image[1]).max() > 0.01


def test_second_call_and_other_params_compile_nothing():
    """Fails when params are closed over, or the jitted functions are made anew."""
    solve, traced = counting(small_rls_plus())
    restore(solve, PARAMS, photos(3), batch_size=2, progress=False)
    before = len(traced)
    restore(solve, toy.params(jax.random.key(9)), photos(5), batch_size=2, progress=False)
    assert len(traced) == before
    phases = batches.programs(solve, mesh_of(2)).phases
    begins = [begin._cache_size() for begin, _, _ in phases]
    assert [advance._cache_size() for _, advance, _ in phases] == begins == [1, 1]


def test_batches_come_one_by_one_with_their_indices():
    """Fails when everything is restored before the first result is handed out."""
    got = []
    for indices, result in restore_batches(SOLVE, PARAMS, photos(5), batch_size=2, progress=False):
        assert isinstance(result.image, np.ndarray)
        assert len(result.image) == len(indices)
        got.append(list(indices))
    assert got == [[0, 1], [2, 3], [4]]


def test_bar_on_stderr_can_be_off(capsys):
    solve = methods.pulse(toy.prior(), OPERATOR, methods.PULSE(steps=4))
    restore(solve, PARAMS, photos(1), batch_size=1)
    assert "batch 1 of 1" in capsys.readouterr().err
    restore(solve, PARAMS, photos(1), batch_size=1, progress=False)
    assert capsys.readouterr() == ("", "")


def nan_in(i: int) -> np.ndarray:
    ys = photos(4).copy()
    ys[i, 1, 1, 0] = np.nan
    return ys


@pytest.mark.parametrize(
    ("ys", "options", "words"),
    [
        (nan_in(2), {}, "number 2"),
        (photos(2)[:, :3], {}, r"\(n, 4, 4, 3\).*got \(2, 3, 4, 3\)"),
        (photos(1)[0], {}, r"got \(4, 4, 3\)"),
        (photos(1)[:0], {}, "n >= 1"),
        (photos(2), {"batch_size": 0}, "batch_size"),
        (photos(2), {"seed": [1]}, "2, one a measurement"),
        (photos(2), {"seed": -1}, "seeds that are whole numbers from 0 to .*, got -1"),
        (photos(2), {"seed": 2**33}, "seeds that are whole numbers from 0 to .*, got 8589934592"),
        (photos(2), {"seed": 0.5}, "seeds that are whole numbers from 0 to .*, got 0.5"),
        (photos(2), {"batch_size": "2"}, "a whole number, got '2'"),
        (255 * photos(2), {}, "got values up to 2.*: divide 8-bit values by 255"),
        (
            (255 * photos(2)).astype(np.uint8),
            {},
            "floating-point measurements of images in .*got uint8",
        ),
        (None, {}, r"measurements \[n, ...\], got NoneType"),
        ("photos", {}, r"measurements \[n, ...\], got str"),
        (
            [photos(1)[0], photos(1)[0, :2]],
            {},
            "array of measurements, got one that NumPy cannot make",
        ),
        (photos(2), {"seed": jax.random.key(0)}, "array of seeds, got one that NumPy cannot make"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_compiled(ys, options, words):
    solve, traced = counting(small_rls_plus())
    with pytest.raises(ValueError, match=words):
        restore_batches(solve, PARAMS, ys, **options)  # at the call, not at the first batch
    assert not traced


@pytest.mark.parametrize(
    ("y", "seed", "words"),
    [
        ((255 * photos(1)[0]).astype(np.uint8), 0, "got uint8"),
        (photos(1)[0], -1, "seeds that are whole numbers"),
        (nan_in(0)[0], 0, "number 0"),
        (photos(1), 0, "expected measurements of shape"),
    ],
)
def test_a_restoration_that_tells_its_weights_refuses_the_same(y, seed, words):
    solve, traced = counting(small_rls_plus())
    with pytest.raises(ValueError, match=words):
        restore_tuned(solve, PARAMS, y, seed=seed, progress=False)
    assert not traced


@pytest.mark.parametrize(
    "operator",
    [
        operators.linear(lambda x: 255 * x, (16, 16, 3)),
        operators.linear(lambda x: jnp.fft.rfft2(x, axes=(0, 1)).real, (16, 16, 3)),
        operators.linear(lambda x: x.sum(0, keepdims=True), (16, 16, 3)),
    ],
    ids=["8 bits", "Fourier", "sums"],
)
def test_what_an_operator_makes_of_white_bounds_its_measurements(operator):
    """Breaks when an operator whose measurements are far from [0, 1] is refused, or a photo of 8
    bits is not."""
    solve, x = methods.bicubic(toy.prior(), operator), np.full((1, 16, 16, 3), 0.75, np.float32)
    ys = np.asarray(jax.vmap(operator.apply)(x))
    assert ys.max() > 10
    results = restore(solve, PARAMS, ys, progress=False)
    exact = methods.project(solve, results, ys, [0.0])
    found = np.asarray(operator(exact.image[0]))
    assert np.mean((found - ys[0]) ** 2) < 1e-6 * np.max(ys) ** 2
    with pytest.raises(ValueError, match="divide 8-bit values by 255"):
        restore(solve, PARAMS, 255 * ys, progress=False)


def test_hidden_pixels_may_hold_anything():
    """Breaks when what a mask hides enters a result: people hide pixels in white, in grey, or not
    at all."""
    hidden = np.zeros((16, 16, 3), bool)
    hidden[4:12, 4:12] = True
    solve = methods.pulse(
        toy.prior(), operators.mask(~hidden[..., 0], (16, 16, 3)), methods.PULSE(steps=3)
    )
    x = np.random.default_rng(0).uniform(size=(1, 16, 16, 3)).astype(np.float32)
    made = [
        restore(solve, PARAMS, np.where(hidden, value, x), progress=False)
        for value in (0.0, 1.0, np.nan, x)
    ]
    for other in made[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, made[0])


DEVICES = """
import sys; sys.path[:0] = {paths!r}
import jax, numpy as np, test_restore as t
assert jax.device_count() == 2
images = []
for batch_size, used in ((8, 2), (2, 2), (1, 1)):
    found = t.restore(t.SOLVE, t.PARAMS, t.photos(8), batch_size=batch_size, progress=False)
    images.append(found.image)
    assert t.mesh_of(batch_size).size == used
    # Each device runs the program of one photo; that of one device may round its last bit apart.
    apart = 0 if used == 2 else 1e-6
    np.testing.assert_allclose(images[-1], images[0], atol=apart, rtol=0)
(begin, _, _), (refine, advance, _) = t.batches.programs(t.SOLVE, t.mesh_of(2)).phases
keys, ys = jax.random.split(jax.random.key(0), 2), t.batches.Photos(t.photos(2), {{}})
state = begin(keys, t.PARAMS, ys, None)
state = refine(keys, t.PARAMS, ys, (state.best, state.context))
assert "all-gather" not in advance.lower(t.PARAMS, ys, state).compile().as_text()
"""


@pytest.mark.slow
def test_devices_do_not_change_a_result():
    """Fails when the shares of several devices are mixed up, when a CPU's result depends on the
    batch size or the number of cores, or when the devices exchange what they compute: then each
    refines every photo."""
    here = Path(__file__).parent
    code = DEVICES.format(paths=[str(here), str(here.parent)])
    # As users run it: with the tests' own flags, which switch the optimiser off, programs of one
    # and two devices round apart on some CPUs.
    env = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
    }
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
