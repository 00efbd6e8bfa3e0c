"""flags: a dataclass becomes flags and comes back the same; mistakes end as one line."""

import dataclasses
import itertools
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Literal

import commands
import pytest
from absl import flags as absl_flags

from jaxsr import flags

ROOT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Inner:
    """Nested.

    depth: of something.
    """

    depth: int = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that a field can be.

    Attributes:
        count: how many,
            on two lines.
        rate: a number.
        name: a text.
        on: a switch.
        kind: one of two.
        sizes: numbers.
        widths: other numbers.
        paths: texts.
        inner: a group.
    """

    count: int = 3
    rate: float | None = None
    name: str | None = None
    on: bool = False
    kind: Literal["crop", "pad"] = "crop"
    sizes: tuple[int, ...] = (1, 2)
    widths: tuple[int, ...] | None = None
    paths: tuple[str, ...] = ()
    inner: Inner = Inner()


NUMBERS = itertools.count()


@pytest.fixture
def parse():
    """A function from arguments to Settings; what it defines goes with the test."""
    before = set(absl_flags.FLAGS)

    def read(default, *arguments):
        prefix = f"t{next(NUMBERS)}."
        settings = flags.define(default, prefix=prefix)
        absl_flags.FLAGS(["test", *(f"--{prefix}{argument}" for argument in arguments)])
        return settings()

    yield read
    for name in set(absl_flags.FLAGS) - before:
        delattr(absl_flags.FLAGS, name)


@pytest.mark.parametrize(
    "default", [Settings(), Settings(4, 0.5, "x", True, "pad", (), (8, 4), ("a,b", "c"), Inner(7))]
)
def test_no_argument_gives_the_default(default, parse):
    assert parse(default) == default


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (["count=5"], {"count": 5}),
        (["rate=1e-3"], {"rate": 1e-3}),
        (["name=a b"], {"name": "a b"}),
        (["on"], {"on": True}),
        (["kind=pad"], {"kind": "pad"}),
        (["sizes=4,8,16"], {"sizes": (4, 8, 16)}),
        (["widths=64,32"], {"widths": (64, 32)}),
        (["paths=a,b", "paths=c"], {"paths": ("a,b", "c")}),  # a comma may be in a file's name
        (["inner.depth=9"], {"inner": Inner(9)}),
    ],
)
def test_every_kind_of_field_is_read(arguments, changes, parse):
    assert parse(Settings(), *arguments) == dataclasses.replace(Settings(), **changes)


@pytest.mark.parametrize("argument", ["count=x", "kind=stretch", "rate=fast"])
def test_values_that_do_not_fit_are_refused(argument, parse):
    with pytest.raises(absl_flags.Error, match=argument.partition("=")[2]):
        parse(Settings(), argument)


def test_help_is_the_docstring(parse):
    parse(Settings())
    texts = {
        name.partition(".")[2]: absl_flags.FLAGS[name].help
        for name in absl_flags.FLAGS
        if name.startswith("t")
    }
    assert texts["count"] == "How many, on two lines."
    assert texts["kind"].endswith("One of two.")
    assert texts["inner.depth"] == "Of something."


def test_fields_without_a_text_are_refused(parse):
    """--help would list a flag and say nothing of it."""

    @dataclasses.dataclass(frozen=True)
    class Silent:
        """Nothing of its field."""

        width: int = 1

    with pytest.raises(ValueError, match="Silent does not describe width"):
        parse(Silent())


def test_inherited_texts_and_fields_without_a_flag(parse):
    """A subclass would have to repeat its parent's texts; a value that something else decides would
    have two flags."""

    @dataclasses.dataclass(frozen=True)
    class Outer(Inner):
        """Its own.

        width: of another thing.
        """

        width: int = 2

    parse(Outer())
    helps = [absl_flags.FLAGS[name].help for name in absl_flags.FLAGS if name.endswith("depth")]
    assert "Of something." in helps
    read = flags.define(Outer(width=5), prefix="without.", without=("width",))
    absl_flags.FLAGS(["program", "--without.depth=3"])
    assert read() == Outer(depth=3, width=5)


def test_choose_names_the_nearest():
    assert flags.choose("rls", ["rls", "pulse"], "method") == "rls"
    with pytest.raises(
        ValueError, match="unknown method 'plse': did you mean 'pulse'\\? known: rls, pulse"
    ):
        flags.choose("plse", ["rls", "pulse"], "method")


@dataclasses.dataclass(frozen=True)
class Told:
    """Settings.

    how: One of {ways}.
    """

    how: str = "a"


def test_help_lists_the_names_of_a_table():
    """A name that is added to a table must not have to be added to texts."""
    flags.define(Told(), prefix="told.", tables={"ways": {"a": 1, "b": 2}})
    assert absl_flags.FLAGS["told.how"].help == "One of a, b."


def raising(error):
    """A program that ends with an error."""

    def main():
        raise error

    return main


def no_memory():
    return RuntimeError("RESOURCE_EXHAUSTED: 9 GiB")


@pytest.mark.parametrize(
    ("main", "arguments", "status", "words"),
    [
        (lambda: 0, [], 0, ""),
        (raising(ValueError("expected a, got b")), [], 2, "error: expected a, got b"),
        (raising(ValueError("two\nlines")), [], 2, "error: two lines"),
        (
            Path("/nowhere/x").read_text,
            [],
            2,
            "error: No such file or directory: /nowhere/x",
        ),
        (raising(no_memory()), [], 2, "out of memory: use a smaller prior"),
        (raising(KeyboardInterrupt()), [], 130, "the same command goes on from there"),
        (lambda: 0, ["photo.png"], 2, "unexpected argument 'photo.png'"),
        (lambda: 0, ["--unknown=1"], 2, "Unknown command line flag 'unknown'"),
    ],
)
def test_how_a_program_ends(main, arguments, status, words):
    """One line and a status that scripts can tell apart; a traceback is for our own mistakes
    alone."""
    ended = commands.ending(lambda: flags.run(main), "program", *arguments)
    assert ended.status == status, ended.stderr
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == (status != 0)


def test_lack_of_memory_names_the_flag_that_saves_it():
    """A user would have to guess which of forty flags makes the arrays smaller."""

    def program():
        absl_flags.DEFINE_integer("train.batch", 8, "")
        flags.run(raising(no_memory()))

    ended = commands.ending(program, "program")
    assert ended.status == 2
    assert "out of memory: use a smaller --train.batch" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "arguments"), [(RuntimeError("a bug"), []), (ValueError("a mistake"), ["--debug"])]
)
def test_our_own_mistakes_keep_their_traceback(error, arguments):
    """A bug would be one line that says nothing of where it is; --debug asks for a mistake's."""
    with pytest.raises(type(error), match=str(error)):
        commands.ending(lambda: flags.run(raising(error)), "program", *arguments)


def test_cpu_cores_become_devices_unless_told_otherwise(monkeypatch):
    """Fails when a user's own XLA_FLAGS are overridden."""
    import jax

    asked = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: asked.append((name, value)))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    flags.one_device_a_core()
    assert asked == []
    monkeypatch.setenv("XLA_FLAGS", "")
    flags.one_device_a_core()
    assert asked == [("jax_num_cpu_devices", 8)]


CORES = """
import os, sys; sys.path[:0] = {paths!r}; os.sched_setaffinity(0, {cores})
from jaxsr import flags; flags.one_device_a_core()
import jax, numpy as np, jaxsr
from jaxsr.search import restore
prior, params = jaxsr.load_prior("pbc64")
A = jaxsr.operators.downsample(8, image_shape=(64, 64, 3))
solve = jaxsr.methods.pulse(prior, A, jaxsr.methods.PULSE(steps=2))
y = np.full((1, 8, 8, 3), 0.4, np.float32)
print(restore(solve, params, y, progress=False).image.tobytes().hex()[-512:])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone can take cores away")
def test_the_number_of_cores_does_not_change_a_result():
    """A container with fewer cores would restore another picture from the same seed."""
    paths, made = [str(ROOT)], []
    every = {
        name: value
        for name, value in os.environ.items()
        if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "NPROC")
    }
    for cores in (set(sorted(os.sched_getaffinity(0))[:1]), os.sched_getaffinity(0)):
        code = CORES.format(paths=paths, cores=cores)
        done = subprocess.run(
            [sys.executable, "-c", code], env=every, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        made.append(done.stdout)
    assert made[0] == made[1]


@pytest.mark.parametrize("writable", [True, False])
def test_the_compilation_cache_is_in_the_users_cache_folder(writable, tmp_path, monkeypatch):
    """A second start must not compile; a home that cannot be written must not be an error."""
    import jax

    kept, folder = {}, jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)  # the tests have one of their own
    monkeypatch.setattr(jax.config, "update", kept.__setitem__)
    home = tmp_path / "cache"
    if not writable:
        home.write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    flags.cache_compilations()
    monkeypatch.undo()
    jax.config.update("jax_compilation_cache_dir", folder)
    assert kept.get("jax_compilation_cache_dir") == (
        str(home / "jaxsr" / "xla") if writable else None
    )


FAULTS = """
import resource
import numpy as np
from jaxsr import flags

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**24, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

flags.keep_freed_memory()
print(faults(), faults())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="only glibc hands freed memory back in a way that can be told not to",
)
def test_freed_memory_is_used_again_without_page_faults():
    """Every call of a compiled program would pay for fresh pages: up to four times the time where
    memory is the limit."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    first, again = map(int, done.stdout.split())
    assert first > 100
    assert again < first / 10
