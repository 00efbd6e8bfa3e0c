"""experiments/recipes: the stages of a training, with a stand-in that only counts images in the
place of train_gan.py."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jaxsr import loading

RECIPE = Path(__file__).parent.parent / "experiments" / "recipes" / "pbc64.sh"
TRAIN = """
import json, os, pathlib, sys
given = dict(flag[2:].partition("=")[::2] for flag in sys.argv[1:])
start = json.load(open(given["warm"] + "/config.json"))["images"] if "warm" in given else 0
assert "data" in given
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(given) + "\\n")
images = start + min(int(given["total_images"]), int(os.environ.get("KILLED_AFTER", 10**9)))
prior = pathlib.Path(given["out"], "prior")
(prior / "params").mkdir(parents=True, exist_ok=True)
config = {"images": images, "net": {"resolution": int(given["resolution"])}}
(prior / "config.json").write_text(json.dumps(config))
(prior.parent / "curve.csv").touch()
sys.exit("KILLED_AFTER" in os.environ)
"""


@pytest.fixture
def run(tmp_path):
    """Runs the recipe, which may be edited in between; returns the flags of each training that it
    started."""
    recipe, calls = tmp_path / "experiments" / "recipes" / RECIPE.name, tmp_path / "calls"
    shutil.copytree(RECIPE.parent, recipe.parent)
    (tmp_path / "experiments" / "train_gan.py").write_text(TRAIN)
    here = {
        "CALLS": str(calls),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(RECIPE.parents[2]),
    }

    def start(edits=(), folder="recipes", **env):
        text = recipe.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        recipe.write_text(text)
        calls.write_text("")
        used = recipe.parents[1] / folder / recipe.name
        given = ["bash", str(used), "photos.tar", str(tmp_path / "a run")]
        subprocess.run(
            given,
            env=os.environ | here | env,
            capture_output=True,
            text=True,
            check="KILLED_AFTER" not in env,
        )
        return [json.loads(line) for line in calls.read_text().splitlines()]

    return start


def images(prior):
    return json.loads(Path(prior, "config.json").read_text())["images"]


def test_from_nothing_it_takes_every_stage_from_the_one_before(run):
    """A stage that starts afresh throws away the days before it."""
    small, large, last = run(FROM="none")
    assert "warm" not in small and (
        small["resolution"],
        large["resolution"],
        last["resolution"],
    ) == ("32", "64", "64")
    first, second = (int(s["total_images"]) for s in (small, large))
    assert [images(s["warm"]) for s in (large, last)] == [first, first + second]
    assert run(FROM="none") == []  # nothing is left to do


def test_it_goes_on_from_the_bundled_prior(run):
    """On a new machine the hours in the bundled prior would be trained again, at 32 px."""
    first, _ = run()
    bundled = loading.prior_folder("pbc64")
    assert first["resolution"] == "64" and images(first["warm"]) == images(bundled)
    assert weights_of(first["warm"]) == weights_of(bundled)


def weights_of(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in Path(folder, "params").rglob("*")
        if p.is_file()
    }


def test_a_copy_has_settings_of_its_own(run, tmp_path):
    """README's way to a prior of one's own: days of training with another's settings and credit."""
    copied = tmp_path / "experiments" / "mine"
    shutil.copytree(tmp_path / "experiments" / "recipes", copied)
    settings = (copied / "settings.sh").read_text()
    assert "--name=pbc64" in settings
    (copied / "settings.sh").write_text(settings.replace("--name=pbc64", "--name=leaves"))
    assert {given["name"] for given in run(folder="mine")} == {"leaves"}


def test_killed_it_goes_on_in_the_same_stage(run):
    """The same settings must find their own checkpoints: same folder, same start, same total."""
    (killed,) = run(KILLED_AFTER="1000")
    again, _ = run()
    assert again == killed


def test_a_changed_recipe_goes_on_from_the_newest_weights(run):
    """It must not start anew, nor go on in a folder that holds a run with other settings, which
    train_gan.py refuses."""
    (killed,) = run(KILLED_AFTER="1000")
    changed, _ = run(edits=[("--r1_gamma=0.1", "--r1_gamma=0.1 --beta2=0.9")])
    assert changed["out"] != killed["out"] and changed["beta2"] == "0.9"
    assert images(changed["warm"]) == images(killed["warm"]) + 1000
    assert int(changed["total_images"]) == int(killed["total_images"]) - 1000


def test_settings_that_come_back_go_on_from_the_newest_weights_too(run):
    """Their old folder's checkpoints are older: what another stage trained since would be lost
    without a word."""
    run(KILLED_AFTER="1000")
    run(edits=[("--r1_gamma=0.1", "--r1_gamma=0.1 --beta2=0.9")], KILLED_AFTER="2000")
    back, _ = run(edits=[("--r1_gamma=0.1 --beta2=0.9", "--r1_gamma=0.1")])
    assert images(back["warm"]) == images(loading.prior_folder("pbc64")) + 3000


def test_a_longer_stage_is_followed_by_the_last_one_from_its_weights(run):
    """More images for a stage would be in no weight of the prior that the recipe ends with."""
    *_, last = run()
    longer, again = run(
        edits=[
            ("stage 64px 64 1500000", "stage 64px 64 2500000"),
            ("stage last 64 1600000", "stage last 64 2600000"),
        ]
    )
    assert (
        images(longer["warm"]) == images(Path(last["out"], "prior")) == 1_600_000
        and images(again["warm"]) == 2_500_000
    )


def test_an_unknown_prior_to_start_from_is_told_before_anything_is_made(run, tmp_path):
    """A typo would train for days from nothing."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(FROM="pbc46")
    assert failed.value.stderr.startswith(
        "FROM=pbc46: unknown prior 'pbc46': did you mean 'pbc64'?"
    )
    assert not (tmp_path / "a run").exists()


def test_candidates_differ_in_their_own_flags_alone(tmp_path):
    """One that starts from another prior, or sees another number of images, is compared with
    nothing. All are judged beside the start."""
    recipes, calls = tmp_path / "experiments" / "recipes", tmp_path / "calls"
    shutil.copytree(RECIPE.parent, recipes)
    (recipes.parent / "train_gan.py").write_text(TRAIN)
    for name in ("plot_curves", "judge_prior"):
        (recipes.parent / f"{name}.py").write_text(
            f"import sys; open({str(tmp_path / name)!r}, 'w').write(' '.join(sys.argv[1:]))"
        )
    start = loading.prior_folder("pbc64")
    given = [
        "bash",
        str(recipes / "candidates.sh"),
        "photos.tar",
        "val.tar",
        str(start),
        str(tmp_path / "out"),
    ]
    env = os.environ | {"CALLS": str(calls), "SEEDS": "0 1", "PYTHON": sys.executable}
    subprocess.run([*given, "recipe", "batch8"], env=env, capture_output=True, check=True)
    runs = [json.loads(line) for line in calls.read_text().splitlines()]
    assert [Path(run.pop("out")).name for run in runs] == [
        "recipe-0",
        "recipe-1",
        "batch8-0",
        "batch8-1",
    ]
    assert {run.pop("batch") for run in runs[:2]} == {"16"} and {
        run.pop("batch") for run in runs[2:]
    } == {"8"}
    assert (
        [run.pop("seed") for run in runs] == ["0", "1", "0", "1"]
        and runs == [runs[0]] * 4
        and runs[0]["warm"] == str(start)
    )
    judged = (tmp_path / "judge_prior").read_text()
    assert (
        judged.count("--prior=") == 1 + len(runs)
        and f"--prior={start}" in judged
        and "batch8-1/prior" in judged
    )
    assert (tmp_path / "plot_curves").read_text().count("--run=") == len(runs)
    unknown = subprocess.run([*given, "recipee"], env=env, capture_output=True, text=True)
    assert unknown.returncode == 2 and unknown.stderr.startswith(
        "unknown candidate recipee: expected one of recipe batch8"
    )
