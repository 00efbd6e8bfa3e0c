"""What a command says of itself and of what it did: suites in --help, flags that nothing reads, and
photos that were scaled."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import disentangle
import evaluate
import numpy as np
import pytest
import super_resolve
from disentangle import Settings
from evaluation import suites
from evaluation.options import Settings as EvaluateSettings
from exploration.conditions import NAMED, operator_of
from restoration import options

from jaxsr import images
from jaxsr.loading import toy_prior
from jaxsr.operators import OPERATORS

ROOT = Path(__file__).parents[1]


def run(script, *arguments, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "experiments" / script), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_help_names_every_suite(tmp_path):
    """A user must not read the source to learn what --suite takes, nor must a new suite be named
    twice."""
    done = run("evaluate.py", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for name, title in suites.summaries().items():
        assert f" {name}: {title}" in said
    assert {*suites.SUITES, *suites.FIGURES} == set(suites.summaries())


@pytest.mark.parametrize(("flag", "value"), [("factor", 4), ("kernel", "box")])
@pytest.mark.parametrize("operator", NAMED)
def test_what_an_operator_does_not_read_is_refused(operator, flag, value):
    """--factor=4 beside --operator=grey would pass for something that was done."""
    with pytest.raises(ValueError, match=f"--{flag} is for downsample, not for {operator}"):
        disentangle.check(Settings(operator=operator, **{flag: value}))


def test_training_refuses_it_too(tmp_path):
    """Hours of training for a factor that the operator has not."""
    arguments = ("--operator=grey", "--factor=4", "--data=photos")
    done = run("train_laren.py", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "train_laren.py: error: --factor is for downsample, not for grey: leave it out\n"
    )


def test_every_operator_is_a_condition():
    """A new operator that e-GLASS's benchmark does not know."""
    names = ("x2", *NAMED)
    made = {operator_of(name, 8).name.partition("(")[0] for name in names}
    assert len(made) == len(names) == len(OPERATORS)


@pytest.mark.parametrize(("sides", "words"), [((12, 10), "cropped to the centre"), ((8, 8), "")])
def test_a_scaled_photo_says_so(sides, words, tmp_path, capsys):
    """A score against a photo at another size than the file's passes for one at the file's."""
    pixels = np.random.default_rng(0).uniform(size=(*sides, 3)).astype(np.float32)
    images.write(tmp_path / "a.png", pixels)
    settings = options.Settings(
        prior=str(toy_prior(tmp_path / "toy")),
        reference=(str(tmp_path / "a.png"),),
        factor=2,
        method="bicubic",
        out=str(tmp_path / "out"),
        progress=False,
    )
    assert super_resolve.main(settings) == 0
    said = "scaled by area average: 10 x 10 px became 8 x 8 px"
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        [row] = csv.DictReader(file)
    assert (said in row["fit"]) == (said in capsys.readouterr().out) == bool(words)
    assert words in row["fit"] and bool(words) == bool(row["fit"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [({}, "has no flow: run experiments/train_flow.py"), ({"network": "vgg"}, "--network is for")],
)
def test_a_figure_of_the_prior_alone_wants_no_photos(flags, words, tmp_path):
    """--data is asked for where no photo is read, or a flag that nothing reads passes."""
    prior = str(toy_prior(tmp_path / "toy"))
    with pytest.raises(ValueError, match=words):
        evaluate.run(EvaluateSettings(suite="rls_figure3", prior=prior, **flags))
