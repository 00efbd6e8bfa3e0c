"""StyleGAN3's files: settings that no array tells are read from where a file has them, and what
does not follow from them is refused."""

import numpy as np
import ports_stylegan3 as writers
import pytest
from ports_files import Tensor, pickled, write, zipped

from ports import priors
from ports.convert import convert


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    """100,000 draws of z are not what these tests are about."""
    names = ("w_mean", "w_std", "white_mean", "white_std")
    measured = {name: np.ones(8, np.float32) for name in names}
    monkeypatch.setattr(priors, "_measure", lambda *_: measured)


def converted(folder, content):
    return convert(*write(folder, [content]))


@pytest.mark.parametrize("config", [writers.T, writers.R], ids=["T", "R"])
def test_a_pickle_gives_the_sizes_and_arrays_it_was_written_from(config, tmp_path):
    """A setting is left at the official one, or an array is another's."""
    params = writers.random_params(config)
    got, about = converted(tmp_path, writers.whole(config, params))
    net = {name: about["net"][name] for name in vars(config)} | {"channel_base": 32768}
    assert net == vars(config) and "non-commercial" in about["licence"]
    for part in ("mapping", "synthesis", "discriminator"):
        same(got[part], params[part])
    np.testing.assert_array_equal(got["statistics"]["w_mean"], params["statistics"]["w_mean"])


def same(got, expected):
    if not isinstance(expected, dict):
        np.testing.assert_allclose(got, expected, atol=3e-7)
        return
    assert set(got) == set(expected)
    for name in expected:
        same(got[name], expected[name])


def test_a_state_dict_says_what_it_does_not_tell(tmp_path):
    """Settings are guessed silently, or a generator alone pretends to have a discriminator."""
    params = writers.random_params(writers.OFFICIAL)
    content = zipped(writers.state_dict(writers.OFFICIAL, params))
    _, about = converted(tmp_path, content)
    assert about["discriminator"] is False and "settings" in about["notes"][0]


def pickle(**changed):
    generator = writers.generator(writers.T, writers.random_params(writers.T), **changed)
    return pickled({"G_ema": generator, "D": None})


def state(change):
    content = writers.state_dict(writers.OFFICIAL, writers.random_params(writers.OFFICIAL))
    change(content)
    return zipped(content)


def renamed(content):
    """As the layers of an unfinished or foreign file are."""
    for name in list(content):
        if ".L4_" in name:
            content.pop(name)


def turned(content):
    content["synthesis.input.transform"] = Tensor(np.diag([2.0, 2, 1]).astype("f4"))


def grey(content):
    content["synthesis.L4_16_3.weight"] = Tensor(np.zeros((1, 4, 1, 1), "f4"))
    content["synthesis.L4_16_3.bias"] = Tensor(np.zeros(1, "f4"))


def other_filter(content):
    content["synthesis.L1_36_5.up_filter"].array[3] += 0.01


REFUSED = {
    "another margin": (lambda: pickle(margin_size=5), r"with maps of \[18, 26, 16, 16\] px, got"),
    "another scale of cutoffs": (
        lambda: pickle(_init_kwargs={"first_cutoff": 1.5, "first_stopband": 2.2}),
        "expected a StyleGAN3 with its own up_filter in layer 0, got another",
    ),
    "a setting that is none": (
        lambda: pickle(margin_size="10"),
        "expected margin of a StyleGAN3 as a positive number, got another object",
    ),
    "layers are missing": (lambda: state(renamed), "StyleGAN3 with maps of"),
    "turned by hand": (
        lambda: state(turned),
        r"of the wrong shape or value: G_ema\.synthesis\.inp",
    ),
    "grey": (lambda: state(grey), r"a StyleGAN3 of RGB pictures, got one of grey ones"),
    "another filter": (lambda: state(other_filter), "its own up_filter in layer 1, got another"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(name, tmp_path):
    """A network with other filters than the file's would draw other pictures than it."""
    make, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as told:
        converted(tmp_path, make())
    assert "\n" not in str(told.value) and "StyleGAN3" in str(told.value)
