"""Every command runs as a user would start it, tells everything with --help, and a mistake ends as
one line with status 2."""

import json

import commands
import numpy as np
import pytest

from jaxsr import images

SMOKE = {
    "train_gan.py": ("samples.png", "curve.csv", "prior/config.json", "checkpoints"),
    "train_flow.py": ("flow.json", "prior/config.json", "gaussianisation.png"),
    "train_restorer.py": ("samples.png", "curve.csv", "model/config.json", "checkpoints"),
    "train_diffusion.py": ("samples.png", "curve.csv", "model/config.json", "checkpoints"),
    "train_features.py": ("accuracies.json", "features/config.json", "checkpoints"),
    "bundle.py": ("config.json", "examples/example_7.png", "samples.png", "spectrum.md"),
    "judge_prior.py": ("results.csv", "table.md", "toy_samples.png", "toy_inverted.png"),
}
COMMANDS = sorted(path.name for path in (commands.ROOT / "experiments").glob("*.py"))


def _photos(folder):
    """Two photos of the toy prior's size."""
    folder.mkdir()
    for i in range(2):
        images.write(
            folder / f"{i}.png", np.random.default_rng(i).uniform(size=(8, 8, 3)).astype(np.float32)
        )
    return folder


def run(script, *arguments, cwd):
    return commands.run(script, *arguments, cwd=cwd, XDG_CACHE_HOME=str(cwd / "cache"))


# more than ten seconds to compile
LONG = {"train_gan.py", "train_restorer.py", "train_diffusion.py", "judge_prior.py"}


@pytest.mark.parametrize(
    "script",
    [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in SMOKE],
)
def test_smoke(script, tmp_path):
    """A user's first try must leave everything that the header promises."""
    more = ("--factor=2", f"--data={_photos(tmp_path / 'photos')}") if script == "bundle.py" else ()
    done = run(script, "--smoke", f"--out={tmp_path / 'out'}", *more, cwd=tmp_path)
    assert done.status == 0, done.stderr
    for name in SMOKE[script]:
        assert (tmp_path / "out" / name).exists(), (name, done.stdout)


@pytest.mark.slow
def test_esrgan_goes_on_from_rrdb(tmp_path):
    """The second stage cannot read the first one's model, or forgets the flags of the command for
    its own defaults."""
    for name, more in (
        ("rrdb", ()),
        ("esrgan", (f"--init_from={tmp_path / 'rrdb' / 'model'}",)),
    ):
        out = f"--out={tmp_path / name}"
        prior = (f"--prior={tmp_path / 'rrdb' / 'toy'}",) if name == "esrgan" else ()
        done = run(
            "train_restorer.py",
            "--smoke",
            f"--network={name}",
            "--discriminator_width=4",
            "--learning_rate=1e-5",
            out,
            *more,
            *prior,
            cwd=tmp_path,
        )
        assert done.status == 0, done.stderr
    record = json.loads((tmp_path / "esrgan" / "model" / "config.json").read_text())
    assert record["architecture"] == "rrdb" and record["name"] == "esrgan"
    asked = {"learning_rate": 1e-5, "discriminator": "vgg", "discriminator_width": 4}
    assert asked.items() <= record["training"].items()


@pytest.mark.slow
def test_benchmark_smoke(tmp_path):
    """A table that a user waits an hour for is empty, or lacks a program of it."""
    bundled = run("bundle.py", "--smoke", f"--out={tmp_path / 'toy'}", "--factor=2", cwd=tmp_path)
    assert bundled.status == 0, bundled.stderr
    done = run(
        "benchmark.py",
        "--smoke",
        f"--prior={tmp_path / 'toy'}",
        "--factor=2",
        f"--out={tmp_path / 'out'}",
        cwd=tmp_path,
    )
    assert done.status == 0, done.stderr
    assert "| pulse | 1 | 1 |" in done.stdout
    assert "| rlse | 1 | layer by layer | yes |" in done.stdout
    assert "| pulse | latents | 2 |" in done.stdout
    assert "| laren | pass | 1 |" in done.stdout
    assert "| 8 | 1 | gradient |" in done.stdout
    assert "| e-GLASS, both metrics of 8 latents | 8 | 1 |" in done.stdout
    assert (tmp_path / "out" / "benchmark.md").read_text() in done.stdout
    tables = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert all(
        len(tables[name]) >= 1
        for name in ("generator", "steps", "weights", "memory", "learned", "hot")
    )
    assert all(
        row["ms"] > 0 and row["gflop"] > 0
        for name in ("generator", "steps", "learned", "hot")
        for row in tables[name]
    )
    assert all(
        row["peak_mb"] >= row["before_mb"] > 0 and row["ms_a_photo_step"] > 0
        for row in tables["memory"]
    )


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("train_gan.py", (), "--data is missing"),
        ("train_gan.py", ("--data=nowhere",), "nothing there"),
        ("train_gan.py", ("--resolution=48", "--data=nowhere"), "power of two"),
        ("train_flow.py", ("--prior=nowhere",), "unknown prior 'nowhere'"),
        ("train_features.py", (), "--data, --labels, --val_data, --val_labels missing"),
        (
            "train_features.py",
            ("--data=x", "--labels=nowhere", "--val_data=x", "--val_labels=x"),
            "nowhere: expected a table of labels",
        ),
        ("train_diffusion.py", (), "--data is missing"),
        ("train_diffusion.py", ("--resolution=50", "--data=x"), "must be a multiple of 8"),
        ("train_restorer.py", (), "--data is missing"),
        (
            "train_restorer.py",
            ("--network=larn", "--data=x"),
            "unknown network 'larn': did you mean 'laren'?",
        ),
        (
            "train_restorer.py",
            ("--network=esrgan", "--data=x"),
            "--network=esrgan goes on from a trained rrdb: give its folder as --init_from",
        ),
        (
            "train_restorer.py",
            ("--network=esrgan", "--data=x", "--init_from=x", "--blocks=4"),
            "--blocks is that of the model in --init_from=x: leave it out",
        ),
        (
            "super_resolve.py",
            ("--method=glean",),
            "no glean model for prior 'pbc64' and downsample 8",
        ),
        (
            "super_resolve.py",
            ("--method=ddrm", "--model=nowhere"),
            "nowhere: expected a folder of weights",
        ),
        (
            "super_resolve.py",
            ("--method=pulse", "--model=x"),
            "--model=x is for methods with a model of their own, not for --method=pulse",
        ),
        (
            "super_resolve.py",
            ("--method=pulse", "--network=vgg"),
            "perceptual term, not for --method=pulse",
        ),
        (
            "evaluate.py",
            ("--methods=bicubic", "--preset=scaled", "--data=x"),
            "none of the methods has it, expected paper",
        ),
        (
            "evaluate.py",
            ("--methods=bicubic", "--factors=", "--data=x"),
            "--factors must be numbers",
        ),
        ("evaluate.py", ("--methods=bicubic", "--operators=", "--data=x"), "--operators is empty"),
        ("evaluate.py", ("--suite=rls_tabel1",), "did you mean 'rls_table1'"),
        (
            "explore.py",
            ("--input=a.png", "--reference=b.png"),
            "--input and --reference are both given",
        ),
        ("bundle.py", (), "--prior is missing"),
        ("bundle.py", ("--prior=pbc64", "--data=nowhere"), "nowhere: expected a folder of photos"),
        ("judge_prior.py", (), "--data is missing"),
        (
            "judge_prior.py",
            ("--data=x", "--prior=pbc46"),
            "unknown prior 'pbc46': did you mean 'pbc64'?",
        ),
        ("benchmark.py", ("--prior=nowhere",), "unknown prior 'nowhere'"),
        ("benchmark.py", ("--tables=weihgts",), "did you mean 'weights'"),
        (
            "benchmark.py",
            ("--compare=nowhere.json",),
            "--compare=nowhere.json: expected the benchmark.json of another run",
        ),
        (
            "benchmark.py",
            ("--official=nowhere",),
            "--official=nowhere: expected a checkout of stylegan2-ada-pytorch",
        ),
        ("benchmark.py", ("--methods=bicubic",), "unknown method 'bicubic'"),
        ("train_gan.py", ("--resolutoin=64",), "Did you mean"),
    ],
)
def test_mistakes_are_one_line_with_status_2(script, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_line(script, commands.call(script, *arguments), words)


def check_line(script, ended, words):
    assert ended.status == 2
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith(f"{script}: error: ")
    assert words in lines[0]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(name, marks=() if name == "super_resolve.py" else pytest.mark.slow)
        for name in COMMANDS
        if name not in SMOKE
    ],
)
def test_it_starts_in_a_process_of_its_own(script, tmp_path):
    """A command that needs what only a test has imported, or a library that warns at its import,
    on the first line that a user reads."""
    check_line(script, run(script, "--nonsuch=1", cwd=tmp_path), "Unknown command line flag")


@pytest.mark.parametrize("script", COMMANDS)
def test_help_begins_with_the_docstring_and_lists_the_flags(script):
    """A user who asks for help gets a traceback, or flags that say nothing of themselves."""
    first = (commands.ROOT / "experiments" / script).read_text().splitlines()[0].strip('"')
    ended = commands.call(script, "--help")
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.startswith(first) and "--out: " in ended.stdout
