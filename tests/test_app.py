"""The page in a browser: a photo dropped is restored, and mistakes are told on the page."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxsr import images, loading
from jaxsr.app import Restorer, prepare
from jaxsr.images import ImageError
from jaxsr.operators import downsample

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def restorer(tmp_path_factory) -> Restorer:
    return Restorer(str(loading.toy_prior(tmp_path_factory.mktemp("toy") / "prior")), smoke=True)


def photo(folder, side: int, *, width: int | None = None) -> str:
    """A file that shows a slope of each colour, without noise."""
    ramp = [np.linspace(*ends, n) for ends, n in (((40, 120), side), ((0, 100), width or side))]
    pixels = np.stack([np.add.outer(*ramp), np.subtract.outer(ramp[0] + 120, ramp[1])] * 2, axis=2)
    pixels = np.rint(pixels[..., :3]).astype(np.uint8)
    file = folder / f"photo_{side}.png"
    Image.fromarray(pixels).save(file)
    return str(file)


@pytest.mark.parametrize(
    ("side", "width", "factor", "size"),
    [(8, 8, None, 8), (9, 12, None, 8), (8, 8, 4, 8), (20, 20, 4, 8), (8, 8, 16, 2)],
)
def test_a_small_photo_is_cropped_and_never_resampled(tmp_path, side, width, factor, size):
    """A photo that was brought to another size has another kernel than the operator thinks."""
    file = photo(tmp_path, side, width=width)
    found = prepare(file, 32, factor)
    pixels = np.asarray(Image.open(file), np.float32) / 255
    top, left = (side - size) // 2, (width - size) // 2
    np.testing.assert_allclose(found.y, pixels[top : top + size, left : left + size], atol=1e-6)
    assert (found.factor, found.reference) == (32 // size, None)


def test_a_large_photo_is_made_small_as_the_operator_does(tmp_path):
    """Else the score beside the result is of another degradation than the one inverted."""
    found = prepare(photo(tmp_path, 64), 32, 4)
    assert found.reference is not None and found.reference.shape == (32, 32, 3)
    y = downsample(4, image_shape=(32, 32, 3))(found.reference)
    np.testing.assert_allclose(found.y, np.clip(y, 0, 1), atol=0.5 / 255 + 1e-6)


def test_a_photo_too_small_for_the_factor_is_told(tmp_path):
    """It must not be enlarged before it is restored."""
    with pytest.raises(ImageError, match=r"at least 16 px.*got 8 px"):
        prepare(photo(tmp_path, 8), 32, 2)


def test_solutions_explain_the_photo_and_differ(tmp_path, restorer):
    """The gallery shows other answers, the map where; one solution has no map."""
    y = prepare(photo(tmp_path, restorer.side // 4), restorer.side)
    found = restorer.restore(y, "pulse", solutions=2)
    assert found.images.shape == (2, restorer.side, restorer.side, 3)
    spread = found.spread()
    assert spread is not None and spread.max() > 0
    assert (found.residuals < 0.01).all()  # moved to explain it: before, some 0.1
    assert restorer.restore(y, "pulse").spread() is None


# In a browser


@contextlib.contextmanager
def served(prior: str, log: Path) -> Iterator[str]:
    """The address of the page, served by the command that users start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jaxsr.app", f"--prior={prior}", f"--port={port}", "--smoke"]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as server:
        try:
            while f"127.0.0.1:{port}" not in log.read_text():
                assert server.poll() is None, log.read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_photo_dropped_in_a_browser_is_restored(tmp_path, restorer):
    """What a person does: drop, look, restore, save; nothing is asked of another host."""
    api = pytest.importorskip("playwright.sync_api")
    with (
        served(restorer.source, tmp_path / "log") as address,
        api.sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 1100})
        hosts = set()
        page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
        page.goto(address)
        page.click("#restore")
        page.get_by_text("expected a photo: drop one first").first.wait_for()
        page.set_input_files("#photo input[type=file]", photo(tmp_path, restorer.side // 4))
        page.get_by_text("to be enlarged 4 times").wait_for()
        page.fill("#count input[type=number]", "2")
        page.click("#restore")
        page.get_by_text("made small again").wait_for(timeout=120_000)
        page.locator("#spread img").wait_for()
        assert page.locator("#solutions img").count() >= 2
        with page.expect_download() as saved:
            page.locator("#files a").first.click()
        file = tmp_path / saved.value.suggested_filename
        saved.value.save_as(file)
        assert images.read(file).shape == (restorer.side, restorer.side, 3)
        assert hosts == {"127.0.0.1"}
        browser.close()
