"""What a prior is judged by: power by frequency, precision and recall, the share of noise,
searches; and the command around them."""

import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import judge_prior
import numpy as np
import pytest
import toy
from evaluation import judged, spectra

from jaxsr import images, metrics, weights
from jaxsr.metrics import networks
from jaxsr.nets import features as nets
from jaxsr.nets import pggan, squeezenet

FEW = judge_prior.Settings(num=16, invert=2)
PRIOR = toy.prior()


def _noise(seed, *shape):
    return np.random.default_rng(seed).normal(0.5, 0.1, shape).astype(np.float32)


def _masks(height, width):
    """The band of each frequency of fft2, -1 for the mean; by loops."""
    found = np.full((height, width), -1)
    for i, j in np.ndindex(height, width):
        radius = 2 * np.hypot(min(i, height - i) / height, min(j, width - j) / width)
        found[i, j] = sum(radius > edge for edge in metrics.BAND_EDGES) - 1
    return found


def test_band_powers_equal_numpys_fft():
    """The definition in float64, and Parseval's sum over all bands: a frequency lost or counted
    twice, or another scale, shows here."""
    images = _noise(0, 3, 24, 20, 3)
    x = images.astype(np.float64)
    window = np.outer(
        np.sin(np.pi * np.arange(1, 25) / 25) ** 2, np.sin(np.pi * np.arange(1, 21) / 21) ** 2
    )[None, :, :, None]
    windowed = (x - x.mean((1, 2), keepdims=True)) * window
    power = (np.abs(np.fft.fft2(windowed, axes=(1, 2))) ** 2 / np.sum(window**2)).mean((0, 3))
    masks = _masks(24, 20)
    found = np.asarray(metrics.band_powers(images))
    np.testing.assert_allclose(found, [power[masks == band].mean() for band in range(7)], rtol=1e-4)
    counts = [np.sum(masks == band) for band in range(7)]
    whole = np.mean(np.sum(windowed**2, (1, 2))) * 24 * 20 / np.sum(window**2)
    np.testing.assert_allclose(found @ counts + power[0, 0], whole, rtol=1e-4)


def test_band_powers_of_white_noise_are_its_variance():
    """A window that is not divided out, or a band that hears its neighbour, would tilt what is
    flat."""
    np.testing.assert_allclose(metrics.band_powers(_noise(1, 64, 64, 64, 3)), 0.01, rtol=0.06)


@pytest.mark.parametrize(("cycles", "band"), [(2, 0), (6, 1), (12, 2), (20, 3), (26, 4), (30, 5)])
def test_a_wave_is_heard_in_its_band(cycles, band):
    """A table that names the bands wrongly would send its reader to the wrong layer of the
    generator."""
    row = 0.5 + 0.25 * np.cos(2 * np.pi * cycles * np.arange(64) / 64)
    power = np.asarray(
        metrics.band_powers(np.broadcast_to(row[None, :, None], (2, 64, 64, 3)).astype(np.float32))
    )
    counts = [np.sum(_masks(64, 64) == band) for band in range(7)]
    assert (power * counts)[band] > 0.95 * (power @ counts)
    names = spectra.band_names(64)
    assert names == ["0-4", "4-8", "8-16", "16-24", "24-28", "28-32", "corners"]
    low, high = map(int, names[band].split("-"))
    assert low < cycles < high


def test_band_powers_of_other_sizes_and_inputs():
    """Small pictures have no frequency in the first band, which is no number; integers and wrong
    shapes are refused, not measured."""
    np.testing.assert_array_equal(
        np.isnan(metrics.band_powers(_noise(2, 2, 8, 8, 3))), [True] + [False] * 6
    )
    jitted = jax.jit(metrics.band_powers)(_noise(3, 2, 16, 16, 3))
    np.testing.assert_allclose(jitted, metrics.band_powers(_noise(3, 2, 16, 16, 3)), rtol=1e-4)
    for stack, edges, message in [
        (np.zeros((4, 8, 8, 3), np.uint8), (0, 1), "floats"),
        (np.zeros((8, 8, 3), np.float32), (0, 1), "expected images"),
        (np.zeros((4, 8, 8, 3), np.float32), (0.5, 0.5), "ascend"),
    ]:
        with pytest.raises(ValueError, match=message):
            metrics.band_powers(stack, edges)


def _within(rows, others):
    """The share of rows in the manifold of others, by loops."""
    radii = [sorted(np.sqrt(np.sum((x - y) ** 2)) for y in others)[3] for x in others]
    return np.mean(
        [
            any(
                np.sqrt(np.sum((x - y) ** 2)) <= radius
                for y, radius in zip(others, radii, strict=True)
            )
            for x in rows
        ]
    )


def test_precision_and_recall_equal_the_definition():
    """Swapped sets, another neighbour, or a row that counts as its own neighbour would still look
    like shares."""
    random = np.random.default_rng(0)
    f, g = random.normal(size=(40, 4)), random.normal(1.2, 1.3, (30, 4))
    expected = _within(f, g), _within(g, f)
    assert 0.2 < expected[1] < expected[0] < 1
    assert metrics.precision_recall(f, g) == expected
    assert metrics.precision_recall(g, f) == expected[::-1]


def test_precision_and_recall_of_equal_and_of_far_sets():
    """The ends of the scale, also with rows that occur many times, whose balls have no size, and
    with more rows than one block."""
    f = np.random.default_rng(1).normal(size=(1100, 3)) + 1000
    for rows in (f, f[:50].repeat(5, 0)):
        assert metrics.precision_recall(rows, rows[::-1]) == (1.0, 1.0)
        assert metrics.precision_recall(rows, rows + 100) == (0.0, 0.0)
    # All samples are like one photo: none is wrong, and most photos are missing.
    precision, recall = metrics.precision_recall(f[:1] + 1e-6 * f[:100], f)
    assert precision == 1.0 and recall < 0.02
    with pytest.raises(ValueError, match="more than 3 rows in both sets, got 3"):
        metrics.precision_recall(f[:3], f)


def _toy_params(strength, scale=1.0):
    params = toy.params(jax.random.key(0), flow=False)
    layers = {
        name: {"weight": scale * block["weight"], "noise_strength": strength}
        for name, block in params["synthesis"].items()
    }
    return params | {"synthesis": layers}


@pytest.mark.parametrize(("strength", "scale", "share"), [(0.0, 1.0, 0.0), (0.02, 0.0, 1.0)])
def test_share_of_noise_at_its_ends(strength, scale, share):
    """Without strengths nothing is noise, and with a picture that no w changes all is; a share of
    standard deviations would pass neither between, nor the count of two pictures that stand for a
    variance."""
    photos = np.random.default_rng(0).integers(0, 256, (96, 16, 16, 3), np.uint8)
    found = spectra.noise_spectrum(PRIOR, _toy_params(strength, scale), photos, 96)
    np.testing.assert_allclose(found.noise, share, atol=0.03 * share)
    if share == 0:
        np.testing.assert_array_equal(found.shares["off"], found.shares["fresh"])


def test_shares_of_a_priors_own_pictures_are_one():
    """Samples against themselves; and fresh noise has more fine power than none. Else photos and
    samples are measured differently."""
    params = _toy_params(0.02)
    drawn = spectra.samples(PRIOR, params, np.arange(40), kind="const")
    photos = np.round(drawn * 255).astype(np.uint8)
    found = spectra.noise_spectrum(PRIOR, params, photos, 40)
    np.testing.assert_allclose(found.shares["constant"], 1, rtol=0.02)
    assert (found.shares["fresh"] > found.shares["off"])[1:].all() and 0 < found.noise < 0.2
    text = spectra.markdown(found)
    assert (
        "| noise inputs | 0-1 | 1-2 |" in text
        and "| constant | 1.00 | 1.00 |" in text
        and "of the variance" in text
    )
    with pytest.raises(ValueError, match=r"at least 41 photos of 16 px, got 40"):
        spectra.noise_spectrum(PRIOR, params, photos, 41)


@functools.cache
def _network():
    """A random feature network, small enough to compile in a second."""
    config = nets.Config((("type", ("a", "b")),), resolution=16, widths=(4, 8))
    return nets.features(config), nets.init(jax.random.key(0), config)


@pytest.mark.parametrize("codes", judged.CODES)
def test_a_search_finds_what_the_prior_drew(codes):
    """A search that starts wrong, follows another gradient or returns another iterate judges the
    search, not the prior."""
    params = _toy_params(0.02)
    photos = np.round(spectra.samples(PRIOR, params, np.arange(3), kind="none") * 255).astype(
        np.uint8
    )
    found = judged.invert(PRIOR, params, photos, _network(), codes=codes, steps=100)
    mean = PRIOR.synthesize(
        params,
        jnp.tile(params["statistics"]["w_mean"], (toy.LAYERS, 1)),
        PRIOR.noise("none", params),
    )
    before = np.array([metrics.psnr(mean, photo / np.float32(255)) for photo in photos])
    assert (found.psnr > before + 10).all(), (before, found.psnr)
    again = [
        metrics.psnr(x, photo / np.float32(255))
        for x, photo in zip(found.pictures, photos, strict=True)
    ]
    np.testing.assert_allclose(found.psnr, again, rtol=1e-3)


def test_readers_are_of_published_networks_too(tmp_path):
    """--features takes a network's folder as ports/convert.py writes it; weights that are no
    network of images are told from it."""
    sha256 = networks.SOURCES["squeezenet"].sha256.ljust(64, "0")
    params = squeezenet.init(jax.random.key(0))
    weights.save(
        tmp_path / "squeeze", params, {"architecture": "squeezenet", "source_sha256": sha256}
    )
    reader = judged.reader(tmp_path / "squeeze")
    assert reader.name == "squeezenet" and jax.eval_shape(
        reader.vector, reader.params, jnp.ones((32, 32, 3))
    ).shape == (512,)
    assert judged.reader("pbc64").name == "pbc64"
    weights.save(
        tmp_path / "heads", [jnp.zeros(3)], {"architecture": "lpips_alex", "source_sha256": sha256}
    )
    with pytest.raises(
        ValueError, match=r"expected a network of one of features, .*, got 'lpips_alex'"
    ):
        judged.reader(tmp_path / "heads")


@pytest.mark.slow
def test_a_second_start_makes_only_what_is_missing(tmp_path, capsys, monkeypatch):
    """After kill -9 hours of samples and searches would be made again, or a row that the kill cut
    off would stay half."""
    monkeypatch.setattr(metrics, "load_features", lambda *_: _network())
    settings = dataclasses.replace(FEW, smoke=True, out=str(tmp_path / "out"))
    judge_prior.run(settings)
    table, rows = (
        (tmp_path / "out" / "table.md").read_text(),
        (tmp_path / "out" / "rows.jsonl").read_text(),
    )
    assert all(word in table for word in ("precision", "| toy | fresh |", "psnr_w_plus"))
    assert {json.loads(line)["part"] for line in rows.splitlines()} == set(judge_prior.PARTS)
    (tmp_path / "out" / "rows.jsonl").write_text(rows[:-40])
    (tmp_path / "out" / "toy_samples.png").unlink()
    capsys.readouterr()
    judge_prior.run(settings)
    told = capsys.readouterr().out
    assert "toy: sets" in told and "toy: inversion" in told and "toy: spectrum" not in told
    assert (tmp_path / "out" / "table.md").read_text() == table
    assert len((tmp_path / "out" / "results.csv").read_text().splitlines()) == 2
    with pytest.raises(ValueError, match=r"other settings: seed \(0 there, 1 now\)"):
        judge_prior.run(dataclasses.replace(settings, seed=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two priors of one name, one without a w space, and three photos."""
    folder = tmp_path_factory.mktemp("priors")
    shutil.copytree(
        judge_prior.toy_prior(folder / "x" / "same" / "prior"), folder / "y" / "same" / "prior"
    )
    net = pggan.Config(resolution=8, z_dim=4, channels=(4, 4))
    config = {"architecture": "pggan", "name": "p", "net": dataclasses.asdict(net)}
    weights.save(folder / "pggan", pggan.init(jax.random.key(0), net), config)
    (folder / "photos").mkdir()
    for i in range(3):
        images.write(folder / "photos" / f"{i}.png", np.full((8, 8, 3), 0.5, np.float32))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "--data is missing"),
        ({"prior": ("nowhere",)}, "unknown prior 'nowhere'"),
        ({"prior": ("pggan",)}, "needs a prior with a w space: 'p' has none"),
        ({"prior": ("x/same/prior", "y/same/prior")}, "another prior is called same too"),
        (
            {"prior": ("x/same/prior",), "data": "photos"},
            "photos: expected at least 16 photos for --num and --invert, got 3: lower them",
        ),
        ({"features": "nowhere"}, "unknown feature network 'nowhere'"),
        ({"num": 3}, "--num must be from 4"),
        ({"invert": 0}, "--invert must be from 1"),
    ],
)
def test_mistakes_are_told_before_any_work(changes, message, folder, monkeypatch):
    """A typo is found after an hour of samples; or it is written down, and the right command is
    refused as another run's."""
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match=message):
        judge_prior.run(dataclasses.replace(FEW, **({"data": "photos", "out": "out"} | changes)))
    assert not (folder / "out" / "config.json").exists()
