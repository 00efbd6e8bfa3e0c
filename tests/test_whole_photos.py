"""experiments/super_resolve.py without a prior: photos of any size through a published network."""

import dataclasses

import jax
import numpy as np
import ports_faces as faces
import ports_files as files
import pytest
import super_resolve
from restoration import tiles, whole
from super_resolve import Settings
from tiny import rows

from jaxsr import images, resample, weights
from jaxsr.learned import KINDS
from jaxsr.nets import gfpgan, gpen, rrdb, vdsr
from ports.convert import convert

NET = rrdb.Config(blocks=1, width=4, growth=2)


def published(folder, architecture="rrdb", net: rrdb.Config | vdsr.Config = NET, factor=4):
    """A model as ports/convert.py writes it."""
    init = {"rrdb": rrdb.init, "vdsr": vdsr.init}[architecture]
    record = {"architecture": architecture, "net": dataclasses.asdict(net), "factor": factor}
    record["version"] = KINDS[architecture].version
    weights.save(folder, init(jax.random.key(0), net), record)
    return str(folder)


def photo(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)


@pytest.fixture
def asked(tmp_path):
    """Two photos of two sizes and a network for them."""
    (tmp_path / "photos").mkdir()
    for i, size in enumerate(((8, 10), (7, 5))):
        images.write(tmp_path / "photos" / f"{i}.png", photo(*size, seed=i))
    return Settings(
        method="rrdb",
        model=published(tmp_path / "model"),
        input=(str(tmp_path / "photos"),),
        out=str(tmp_path / "out"),
        progress=False,
    )


def test_photos_keep_their_proportions(asked, tmp_path):
    """A photo is cropped to a prior's square, or what is written is not the network's."""
    assert super_resolve.main(asked) == 0
    params = weights.load(asked.model)[0]
    for i, size in enumerate(((8, 10), (7, 5))):
        y, made = (images.read(tmp_path / name / f"{i}.png") for name in ("photos", "out"))
        assert made.shape == (4 * size[0], 4 * size[1], 3)
        expected = np.clip(rrdb.restored(NET, params, y), 0, 1)
        np.testing.assert_allclose(made, expected, atol=0.51 / 255)
    assert [row["status"] for row in rows(tmp_path / "out")] == ["ok", "ok"]


def test_what_is_done_is_kept_and_what_cannot_be_read_is_told(asked, tmp_path, monkeypatch):
    """The same command again does all anew, or one bad file ends it."""
    super_resolve.main(asked)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    monkeypatch.setattr(rrdb, "restored", None)  # nothing is left to be restored
    assert super_resolve.main(asked) == 3
    told = {row["output"]: row for row in rows(tmp_path / "out")}
    assert [told[f"{i}.png"]["status"] for i in range(2)] == ["ok", "ok"]
    assert told["bad.png"]["status"] == "error" and "bad.png" in told["bad.png"]["error"]


def test_references_are_made_small_and_scored(asked, tmp_path):
    """A sharp photo is enlarged instead, or scored against another part of itself."""
    images.write(tmp_path / "sharp.png", photo(34, 45))
    model = published(tmp_path / "vdsr", "vdsr", vdsr.Config(3, 4, channels=3), factor=0)
    settings = dataclasses.replace(
        asked, method="vdsr", model=model, input=(), reference=(str(tmp_path / "sharp.png"),)
    )
    with pytest.raises(ValueError, match="--factor is missing: vdsr enlarges by any"):
        super_resolve.main(settings)
    assert super_resolve.main(dataclasses.replace(settings, factor=4)) == 0
    (row,) = rows(tmp_path / "out")
    assert "cropped to the centre" in row["fit"] and float(row["psnr"]) > 0
    made, sharp = images.read(tmp_path / "out" / "sharp.png"), photo(34, 45)[1:33, 0:44]
    expected = -10 * np.log10(np.mean((made - images.to_uint8(sharp) / 255) ** 2))
    assert float(row["psnr"]) == pytest.approx(expected, abs=0.01)


def test_grid_shows_the_middle_of_each(asked, tmp_path, capsys):
    """Nobody looks at hundreds of files; or what is shown is another part than its input."""
    images.write(tmp_path / "photos" / "large.png", photo(90, 80, seed=2))
    assert super_resolve.main(asked) == 0
    grid = images.read(tmp_path / "out" / "grid.png")
    assert grid.shape[1] >= 3 * whole.SHOWN and "grid.png" in capsys.readouterr().out
    y, made = (images.read(tmp_path / name / "large.png") for name in ("photos", "out"))
    expected = images.to_uint8(made[52:308, 32:288]), images.to_uint8(y[13:77, 8:72])
    shown = [images.to_uint8(grid[i : i + 256, j : j + 256]) for i, j in _cells(grid, expected[0])]
    assert len(shown) == 1
    small = expected[1].repeat(4, 0).repeat(4, 1)
    assert len(_cells(grid, small)) == 1


def _cells(grid, picture):
    """Where a picture of 256 x 256 px lies in a grid."""
    pixels = images.to_uint8(grid)
    height, width = (side - 256 for side in pixels.shape[:2])
    corner = picture[0, :8]
    return [
        (i, j)
        for i in range(height)
        for j in range(width)
        if (pixels[i, j : j + 8] == corner).all()
        and (pixels[i : i + 256, j : j + 256] == picture).all()
    ]


def test_large_photos_go_through_in_windows(asked, tmp_path, monkeypatch):
    """A photo of megapixels takes all memory, or its windows are put together wrongly."""
    (tmp_path / "photos" / "0.png").unlink()
    images.write(tmp_path / "photos" / "1.png", photo(40, 300))
    seen = []
    original = tiles.parts
    monkeypatch.setattr(
        tiles, "parts", lambda *a, **k: [seen.append(p[0]) or p for p in original(*a, **k)]
    )
    monkeypatch.setattr(whole, "MOST_SCORED", 1)
    assert super_resolve.main(asked) == 0
    assert len(seen) == 2
    made, y = (images.read(tmp_path / name / "1.png") for name in ("out", "photos"))
    expected = np.clip(rrdb.restored(NET, weights.load(asked.model)[0], y), 0, 1)
    np.testing.assert_allclose(made, expected, atol=0.51 / 255)
    (row,) = rows(tmp_path / "out")
    assert row["status"] == "ok" and row["top_octave"] == ""  # its spectrum would take gigabytes


# GFPGAN and GPEN hold a generator of their own

FACES = {"gfpgan": lambda: faces.gfpgan(first=False), "gpen": faces.gpen}


@pytest.fixture(params=FACES)
def face(request, tmp_path):
    """An official file, converted, and a photo that is larger than it restores."""
    state = {name: files.Tensor(array) for name, array in FACES[request.param]().items()}
    (tmp_path / "official.pth").write_bytes(files.zipped({"params_ema": state}))
    params, about = convert(tmp_path / "official.pth")
    weights.save(tmp_path / "model", params, about)
    images.write(tmp_path / "face.png", photo(40, 34))
    return Settings(
        method=request.param,
        model=str(tmp_path / "model"),
        input=(str(tmp_path / "face.png"),),
        out=str(tmp_path / "out"),
        progress=False,
    )


def made_of(settings, x):
    """What the network makes of an image of its side."""
    net = {"gfpgan": gfpgan, "gpen": gpen}[settings.method]
    params, about = weights.load(settings.model)
    sizes = {n: tuple(v) if isinstance(v, list) else v for n, v in about["net"].items()}
    restored = jax.jit(net.restored, static_argnums=0)
    return np.clip(0.5 + 0.5 * restored(net.Config(**sizes), params, 2 * x - 1), 0, 1)


def test_a_converted_face_restorer_needs_no_prior(face, tmp_path):
    """The published files, which hold their own generator, ask for a StyleGAN2 of their size; or
    the photo comes to them stretched."""
    assert super_resolve.main(face) == 0
    (row,) = rows(tmp_path / "out")
    assert row["status"] == "ok" and row["factor"] == ""
    assert "cropped to the centre" in row["fit"] and "34 x 34 px became 16 x 16 px" in row["fit"]
    square = images.square(images.read(tmp_path / "face.png"), mode="crop")[0]
    expected = made_of(face, images.resize_area(square, faces.SIDE))
    made = images.read(tmp_path / "out" / "face.png")
    np.testing.assert_allclose(made, expected, atol=0.51 / 255 + 1e-4)
    assert (tmp_path / "out" / "grid.png").exists()


def test_a_sharp_face_is_made_small_and_scored(face, tmp_path):
    """It is scored against what the network saw, or by a factor that nobody asked for."""
    sharp = {"input": (), "reference": face.input, "factor": 2}
    assert super_resolve.main(dataclasses.replace(face, **sharp)) == 0
    (row,) = rows(tmp_path / "out")
    assert row["factor"] == "2" and float(row["psnr"]) > 0
    square = images.square(images.read(tmp_path / "face.png"), mode="crop")[0]
    small = whole.made_small(images.resize_area(square, faces.SIDE), 2, "bicubic")
    seen = np.clip(resample.upsample(small, 2), 0, 1)
    made = images.read(tmp_path / "out" / "face.png")
    np.testing.assert_allclose(made, made_of(face, seen), atol=0.51 / 255 + 1e-4)
    with pytest.raises(ValueError, match="--factor=2 is for --reference here"):
        super_resolve.main(dataclasses.replace(face, factor=2))


REFUSED = {
    "another factor": ({"factor": 2}, "--factor=2: the network of .* enlarges 4x"),
    "aligned": ({"align": "ffhq"}, "--align=ffhq is for results of a prior"),
    "several solutions": ({"num_solutions": 2}, "--num_solutions=2 is for results of a prior"),
    "consistency": ({"consistency": "exact"}, "--consistency=exact is for results of a prior"),
    "another kind": ({"method": "vdsr"}, "expected a model with architecture 'vdsr', got 'rrdb'"),
    "no photos": ({"input": ()}, "--input is missing: without a prior there are no examples"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_do_is_refused(name, asked):
    """A flag is ignored, which shows in no result."""
    changed, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        super_resolve.main(dataclasses.replace(asked, **changed))


def test_a_prior_or_a_model_trained_for_one_is_not_bypassed(asked, tmp_path):
    """Photos are no longer fitted to the prior that was asked for."""
    assert whole.serves(asked)
    assert not whole.serves(dataclasses.replace(asked, prior="pbc64"))
    record = weights.read_config(asked.model) | {"prior": "pbc64"}
    weights.save(tmp_path / "own", weights.load(asked.model)[0], record)
    assert not whole.serves(dataclasses.replace(asked, model=str(tmp_path / "own")))
    assert not whole.serves(dataclasses.replace(asked, method="auto"))


def test_a_model_trained_for_a_prior_says_so_where_photos_do_not_fit(asked, tmp_path):
    """Why a network that enlarges any photo elsewhere refuses this one stays a riddle."""
    record = weights.read_config(asked.model) | {"prior": "pbc64", "operator": "downsample_4"}
    weights.save(tmp_path / "own", weights.load(asked.model)[0], record)
    images.write(tmp_path / "large.png", photo(80, 80))
    own = {"model": str(tmp_path / "own"), "input": (str(tmp_path / "large.png"),)}
    with pytest.raises(ValueError, match="was trained here, for photos of prior 'pbc64'") as caught:
        super_resolve.main(dataclasses.replace(asked, **own))
    told = str(caught.value)
    assert "too large for a prior of 64x64" in told and "give that --prior" in told
    assert "\n" not in told
