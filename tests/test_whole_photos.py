"""experiments/super_resolve.py without a prior: photos of any size through a published network."""

import dataclasses

import jax
import numpy as np
import pytest
import super_resolve
from restoration import whole
from super_resolve import Settings
from tiny import rows

from jaxsr import images, weights
from jaxsr.learned import KINDS
from jaxsr.nets import rrdb, vdsr

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


REFUSED = {
    "another factor": ({"factor": 2}, "--factor=2: the network of .* enlarges 4x"),
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
