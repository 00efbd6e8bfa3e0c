"""experiments/inspect.py as a user meets it, the look that super_resolve.py takes by itself, and
that the command's name hides no module of the standard library."""

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import commands
import numpy as np
import photographs
import pytest
import super_resolve
from PIL import Image
from restoration import look
from restoration.jobs import Job
from restoration.options import Settings, check
from restoration.photos import Photo
from tiny import quick, write_prior

SCRIPTS = sorted(path.name for path in (commands.ROOT / "experiments").glob("*.py"))


def save(folder: Path, name: str, pixels: np.ndarray, **settings) -> str:
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / name, **settings)
    return str(folder / name)


def repeated(name: str, side: int, scale: int) -> np.ndarray:
    return photographs.sharp(name, side).repeat(scale, 0).repeat(scale, 1)


# The command


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """A folder of photos of every kind, and what the command said and wrote."""
    folder = tmp_path_factory.mktemp("look")
    photos, out = folder / "photos", folder / "out"
    save(photos, "plain.png", photographs.sharp("coffee", 16))
    save(photos, "o'clock é.png", repeated("rocket", 20, 4)[1:-1])
    save(photos, "camera.jpg", photographs.sharp("chelsea", 32), quality=80)
    save(photos, "large.png", photographs.sharp("astronaut", 96))
    (photos / "broken.png").write_text("no photo")
    ended = commands.call("inspect.py", f"--input={photos}", f"--out={out}", "--noprogress")
    rows = {
        Path(row["file"]).name: row for row in json.loads((out / "inspections.json").read_text())
    }
    return SimpleNamespace(folder=photos, out=out, ended=ended, rows=rows)


def test_a_row_a_photo(looked):
    """A photo is not in the table, or one that cannot be read stops all others."""
    assert (looked.ended.status, looked.ended.stderr) == (3, "")
    lines = looked.ended.stdout.splitlines()
    assert lines[0].split()[:4] == ["photo", "px", "bits", "file"]
    (line,) = [line for line in lines if "camera.jpg" in line and "JPEG" in line]
    assert "32x32" in line and "JPEG 80 4:2:0" in line
    assert any(line.startswith("cannot read") and "broken.png" in line for line in lines)
    assert not any("nan" in line or "None" in line for line in lines)


def test_json_and_csv_hold_the_same(looked):
    """A script reads other numbers than a spreadsheet."""
    with open(looked.out / "inspections.csv", newline="", encoding="utf-8") as file:
        table = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert table.keys() == looked.rows.keys() and len(table) == 5
    for name, row in looked.rows.items():
        assert table[name]["command"] == row.get("command", "")
        assert float(table[name]["eps"] or 0) == pytest.approx(row.get("eps", 0), rel=1e-5)
    assert "expected an image" in table["broken.png"]["error"]
    assert looked.rows["large.png"]["factor"] is None
    assert "higher resolution" in looked.rows["large.png"]["why_not"]


def test_the_proposed_commands_run_as_they_are_printed(looked):
    """A command with a quote or a letter of its own in it is retyped by hand, or makes small what
    it should not."""
    row = looked.rows["o'clock é.png"]
    assert (row["enlarged"], row["enlarged_by"]) == (4, "nearest")
    assert row["first"] in looked.ended.stdout and row["command"] in looked.ended.stdout
    shell = {"shell": True, "capture_output": True, "text": True, "check": True}
    subprocess.run(row["first"].replace("python", shlex.quote(sys.executable), 1), **shell)
    made = np.asarray(Image.open(looked.folder / "o'clock é_small.png"))
    np.testing.assert_array_equal(made, photographs.sharp("rocket", 20)[1:])


@pytest.mark.parametrize("name", ["o'clock é.png", "plain.png", "camera.jpg"])
def test_super_resolve_takes_the_proposed_flags(looked, name):
    """The ready command ends with a mistake in its flags."""
    words = shlex.split(looked.rows[name]["command"])
    assert words[:1] == ["python"] and Path(words[1]).name == "super_resolve.py"
    given = dict(word[2:].split("=", 1) for word in words[2:])
    assert Path(given["input"]).name in (name, "o'clock é_small.png")
    assert (given["method"], given["factor"]) == ("auto", "2" if name == "camera.jpg" else "4")
    texts = {name: given[name] for name in ("method", "kernel")}
    check(Settings(**texts, factor=int(given["factor"]), out=str(looked.out / "restored")))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--input=nowhere.png",), "nowhere.png: expected image files, got no such file"),
        (("--prior=pbc46",), "did you mean 'pbc64'?"),
        (("--out=",), "--out is empty"),
        (("--white=much",), "--white: expected auto or a number"),
    ],
)
def test_mistakes_are_one_line(flags, words, tmp_path, monkeypatch):
    """A mistake ends as a traceback."""
    monkeypatch.chdir(tmp_path)
    ended = commands.call("inspect.py", *flags)
    assert ended.status == 2 and words in ended.stderr and len(ended.stderr.splitlines()) == 1


# The look before the search


def job(file: str, factor: int, reference: bool = False) -> Job:
    photo = Photo(file, reference, factor, "", "", 0.0, (), lambda: (np.zeros(0), None))
    return Job(photo, "", 0)


def warned(jobs, unusable=(), **settings) -> str:
    plan = SimpleNamespace(
        settings=Settings(**settings),
        unusable=[{"file": name} for name in unusable],
        fitter=SimpleNamespace(resolution=64),
    )
    return look.warning(plan, jobs)  # pyright: ignore[reportArgumentType]


def nearest(name: str) -> np.ndarray:
    return photographs.sharp(name, 512)[::32, ::32]


def black_and_white(name: str, side: int) -> np.ndarray:
    return np.where(photographs.sharp(name, side) < 128, 0, 255).astype(np.uint8)


DISAGREE = {
    "nearest": (lambda: nearest("coffee"), {}, "with aliasing, or sharpened"),
    "repeated": (lambda: repeated("coffee", 8, 4), {}, "enlarged before ({}, 4 times)"),
    "smooth": (
        lambda: photographs.resized(photographs.sharp("coffee", 16), 32),
        {},
        "enlarged before ({}, about 2 times)",
    ),
    "JPEG in a PNG": (
        lambda: photographs.after_jpeg(photographs.sharp("chelsea", 32), 60),
        {},
        "with a JPEG inside",
    ),
    "noise": (
        lambda: np.random.default_rng(0).integers(90, 170, (32, 32, 3)).astype(np.uint8),
        {"noise": 0.01},
        "noisier than --noise=0.01",
    ),
    "exact": (
        lambda: np.random.default_rng(0).integers(90, 170, (32, 32, 3)).astype(np.uint8),
        {"consistency": "exact"},
        "with noise that --consistency=exact explains",
    ),
    "clipped": (lambda: black_and_white("coffee", 32), {}, "clipped"),
    "factor": (lambda: photographs.sharp("coffee", 32), {"factor": 8}, "at factor 2 less is lost"),
}


@pytest.mark.parametrize("case", DISAGREE)
def test_what_disagrees_is_told_in_one_line(case, tmp_path):
    """A wrong setting costs a night of searching; and photos where nothing disagrees, or that are
    degraded as asked, must not be warned about."""
    make, settings, words = DISAGREE[case]
    bad = save(tmp_path, "bad.png", make())
    good = save(tmp_path, "good.png", photographs.sharp("rocket", 16))
    told = warned([job(good, 4), job(bad, settings.get("factor", 2))], **settings)
    assert (
        words.format(bad) in told and "\n" not in told and told.startswith("warning: of 2 photos")
    )
    assert "inspect.py tells more" in told and good not in told.replace(bad, "")
    assert warned([job(good, 4)]) == "" and warned([job(bad, 2, reference=True)]) == ""


def test_many_photos_are_counted_and_few_of_them_looked_at(tmp_path):
    """A line a photo, or hours of looking before the search begins."""
    files = [save(tmp_path, f"{i}.png", repeated("coffee", 8, 2)) for i in range(65)]
    told = warned([job(name, 4) for name in files])
    assert told.startswith(
        "warning: of 33 photos looked at, 33 apparently enlarged before (the first:"
    )
    assert told.count(".png") == 1
    gone = str(tmp_path / "gone.png")
    assert warned([job(gone, 4)]) == ""
    assert "of 1 photos, 1 apparently enlarged" in warned([], unusable=[files[0]])


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_prior(tmp_path_factory.mktemp("priors") / "tiny")


def test_super_resolve_tells_it_before_the_search(prior, tmp_path, capsys):
    """The look is taken by nobody."""
    file = save(tmp_path / "photos", "a.png", black_and_white("coffee", 8))
    settings = quick(prior=prior, input=(file,), method="bicubic", out=str(tmp_path / "out"))
    assert super_resolve.main(settings) == 0
    said = capsys.readouterr().out
    assert "warning: of 1 photos, 1 clipped" in said
    assert said.index("warning") < said.index("done, ")
    assert super_resolve.main(settings) == 0
    assert "warning" not in capsys.readouterr().out


def test_a_photo_too_large_because_it_was_enlarged(prior, tmp_path):
    """The one line of a refusal says to get another prior, where the photo is small in truth."""
    file = save(tmp_path, "a.png", repeated("coffee", 16, 2))
    settings = quick(prior=prior, input=(file,), out=str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"too large .* apparently enlarged before \(2 times\)"):
        super_resolve.main(settings)
    file = save(tmp_path, "b.png", photographs.sharp("coffee", 32))
    with pytest.raises(ValueError, match="too large") as error:
        super_resolve.main(quick(prior=prior, input=(file,), out=str(tmp_path / "out")))
    assert "enlarged" not in str(error.value)


# The name


IMPORTED = """
import dataclasses, inspect, sys
assert inspect.signature(print) and inspect is sys.modules["inspect"] and inspect.getsource
assert "experiments" not in inspect.__file__, inspect.__file__
"""


def fresh(code: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs code in a new interpreter that looks into experiments/ first."""
    path = os.pathsep.join([str(commands.ROOT / "experiments"), str(commands.ROOT)])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_standard_librarys_module_stays():
    """Whatever imports dataclasses from experiments/ gets the command for the module, and fails."""
    done = fresh(IMPORTED)
    assert (done.returncode, done.stderr) == (0, "")


HELP = f"""
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert not ended.code, ended.code
{IMPORTED}
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_keeps_it(script):
    """A command gets another module than it asks for."""
    done = fresh(HELP, commands.script(script))
    assert done.returncode == 0, done.stderr
    assert "--out: " in done.stdout
