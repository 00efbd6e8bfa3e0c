"""What super_resolve.py refuses: one clear line, before any search."""

from pathlib import Path

import commands
import numpy as np
import pytest
import super_resolve
from PIL import Image
from tiny import photo, quick, write_prior

from jaxsr import images


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_prior(tmp_path_factory.mktemp("priors") / "tiny")


BAD = {
    "empty path": ({"out": ""}, "--out is empty"),
    "missing file": ({"input": ("nowhere.png",)}, "nowhere.png"),
    "larger than the prior": (
        {"input": ("large.png",)},
        "32x32 px is too large for a prior of 16x16 px",
    ),
    "factor": ({"factor": 5}, "--factor=5 does not divide"),
    "prior": ({"prior": "pbc46"}, "unknown prior"),
    "method": ({"method": "puls"}, "did you mean 'pulse'"),
    "preset": ({"preset": "papr"}, "did you mean 'paper'"),
    "kernel": ({"kernel": "bicubik"}, "did you mean 'bicubic'"),
    "noise": ({"noise": 1.5}, "--noise: expected a standard deviation from 0 to 1, got 1.5"),
    "noise of exact": (
        {"noise": 0.1, "consistency": "exact"},
        "--noise=0.1 is for --consistency=auto, not for exact: leave it out",
    ),
    "free": ({"free": ("shift,blurr",)}, "did you mean 'blur'"),
    "free of a network": (
        {"free": ("gain",), "method": "bicubic"},
        "--free=gain is for searches that make photos larger, without a trajectory, not for "
        "--method=bicubic: leave one out",
    ),
    "out": ({"out": "large.png"}, "cannot write into large.png"),
    "batch size": ({"batch_size": 0}, "--batch_size must be from 1"),
    "NaN": ({"input": ("nan.tiff",)}, "finite"),
    "truncated": ({"input": ("cut.png",)}, "cut.png"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_before_any_compilation(
    case, prior, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    images.write("large.png", photo(32))
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save("nan.tiff")
    Path("cut.png").write_bytes(Path("large.png").read_bytes()[:200])
    settings, words = BAD[case]
    with pytest.raises(ValueError, match=r"\w") as error:
        super_resolve.main(quick(**{"prior": prior, "out": "out"} | settings))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    # Which is said before the search.
    assert "results to make" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "argument", ["--method=puls", "--methd=pulse", "photo.png", "--factor=three"]
)
def test_mistakes_on_the_command_line_have_status_2(argument, prior, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = commands.call("super_resolve.py", f"--prior={prior}", argument)
    assert ended.status == 2
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert ended.stderr.startswith("super_resolve.py: error: ")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"operator": "grey"}, "--operator=grey needs --input or --reference"),
        ({"operator": "gray", "input": ("p.png",)}, "unknown operator 'gray': did you mean 'grey'"),
        (
            {"operator": "grey", "input": ("p.png",), "factor": 4},
            "--factor is for downsample or downsample_420, not for grey",
        ),
        (
            {"operator": "grey", "input": ("p.png",), "kernel": "box"},
            "--kernel is for downsample or downsample_420, not for grey",
        ),
        ({"mask": "p.png"}, "--mask is for inpainting, not for downsample: leave it out"),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "black.png"},
            "black elsewhere, got black alone",
        ),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "small.png"},
            "--mask=small.png: 4x4 px is smaller than the prior's 16x16",
        ),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "wide.png"},
            "16x16 px, but --mask is of 32x16 px",
        ),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "large.png"},
            "black elsewhere, got a picture of which 100% is neither",
        ),
        (
            {"operator": "inpainting", "input": ("p.png",), "mask": "none.png"},
            "--mask=none.png: expected an image file",
        ),
        ({"operator": "inpainting", "input": ("p.png",), "mask": ""}, "--mask is empty"),
        (
            {"operator": "compressed_sensing", "input": ("p.png",)},
            "measures no picture: give a sharp photo as --reference",
        ),
        (
            {"operator": "motion_blur", "input": ("large.png",)},
            "with this operator photos are of the prior's 16x16 px",
        ),
    ],
)
def test_what_an_operator_does_not_take_is_refused(settings, words, prior, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, side in (("p", 16), ("large", 32), ("small", 4)):
        images.write(tmp_path / f"{name}.png", photo(side))
    images.write(tmp_path / "wide.png", np.stack([np.tri(16, 32, dtype=np.float32)] * 3, 2))
    images.write(tmp_path / "black.png", np.zeros((16, 16, 3), np.float32))
    with pytest.raises(ValueError, match=words):
        super_resolve.main(quick(prior=prior, out="out", **settings))
