"""What a command says of itself and of what it did: suites in --help, flags that nothing reads, and
photos that were scaled."""

import csv
from pathlib import Path

import commands
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


def test_help_names_every_suite():
    """A user must not read the source to learn what --suite takes, nor must a new suite be named
    twice."""
    done = commands.call("evaluate.py", "--help")
    assert done.status == 0, done.stderr
    said = " ".join(done.stdout.split())
    for name, title in suites.summaries().items():
        assert f" {name}: {title}" in said
    assert {*suites.SUITES, *suites.FIGURES} == set(suites.summaries())


@pytest.mark.parametrize(("flag", "value"), [("factor", 4), ("kernel", "box")])
@pytest.mark.parametrize("operator", NAMED)
def test_what_an_operator_does_not_read_is_refused(operator, flag, value):
    """--factor=4 beside --operator=grey would pass for something that was done."""
    readers = "downsample or downsample_420"
    with pytest.raises(ValueError, match=f"--{flag} is for {readers}, not for {operator}"):
        disentangle.check(Settings(operator=operator, **{flag: value}))


def test_training_refuses_it_too():
    """Hours of training for a factor that the operator has not."""
    arguments = ("--operator=grey", "--factor=4", "--data=photos")
    done = commands.call("train_restorer.py", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr == (
        "train_restorer.py: error: --factor is for downsample or downsample_420, not for grey: "
        "leave it out\n"
    )


def test_every_operator_is_a_condition():
    """A new operator that e-GLASS's benchmark does not know."""
    names = ("x2", *NAMED)
    made = {operator_of(name, 8).name.partition("(")[0] for name in names}
    of_no_factor = [name for name, kind in OPERATORS.items() if not kind.takes_factor]
    assert len(made) == len(names) == 1 + len(of_no_factor)


def test_a_scaled_photo_says_so(tmp_path, capsys):
    """A score against a photo at another size than the file's passes for one at the file's."""
    (tmp_path / "photos").mkdir()
    draw = np.random.default_rng(0)
    for name, sides in (("scaled", (12, 10)), ("whole", (8, 8))):
        pixels = draw.uniform(size=(*sides, 3)).astype(np.float32)
        images.write(tmp_path / "photos" / f"{name}.png", pixels)
    settings = options.Settings(
        prior=str(toy_prior(tmp_path / "toy")),
        reference=(str(tmp_path / "photos"),),
        factor=2,
        method="bicubic",
        out=str(tmp_path / "out"),
        progress=False,
    )
    assert super_resolve.main(settings) == 0
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        fits = {Path(row["file"]).stem: row["fit"] for row in csv.DictReader(file)}
    said = "scaled by area average: 10 x 10 px became 8 x 8 px"
    assert "cropped to the centre" in fits["scaled"] and said in fits["scaled"]
    assert fits["whole"] == "" and capsys.readouterr().out.count(said) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "has no flow: run experiments/train_flow.py"),
        ({"network": "vgg"}, "--network is for"),
        ({"judge_at": 8}, "--judge_at is for photos, of which --suite=rls_figure3 reads none"),
        ({"reference_free": True}, "--reference_free is for photos, of which"),
    ],
)
def test_a_figure_of_the_prior_alone_wants_no_photos(flags, words, tmp_path):
    """--data is asked for where no photo is read, or a flag that nothing reads passes."""
    prior = str(toy_prior(tmp_path / "toy"))
    with pytest.raises(ValueError, match=words):
        evaluate.run(EvaluateSettings(suite="rls_figure3", prior=prior, **flags))
