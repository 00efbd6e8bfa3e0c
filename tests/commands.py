"""Commands of experiments/ and ports/ as a shell starts them: in this process, or in one of their
own, which costs seconds, most of them to import JAX."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jaxtyping._decorator
import pytest
from absl import app
from absl.flags import _helpers
from absl.testing import flagsaver

from jaxsr import flags

ROOT = Path(__file__).parents[1]

# `--help` lists the flags of the program alone, told by who calls: not the type checker between.
_helpers.disclaim_module_ids.add(id(jaxtyping._decorator))


class Ended(NamedTuple):
    """What a shell sees of a program."""

    status: int
    stdout: str
    stderr: str


def script(name: str) -> str:
    """The path of a command, found by its file's name."""
    (path,) = (
        ROOT / folder / name
        for folder in ("experiments", "ports")
        if (ROOT / folder / name).exists()
    )
    return str(path)


def call(name: str, *arguments: str) -> Ended:
    """Runs a command in this process and returns how it ended."""
    path = script(name)
    return ending(lambda: runpy.run_path(path, run_name="__main__"), path, *arguments)


def ending(program: Callable[[], object], *argv: str) -> Ended:
    """Runs `program`, which ends with `flags.run`, in this process and returns how it ended. Flags
    that it defines, and its settings of the whole process, are gone afterwards."""
    app.define_help_flags()  # absl defines them once only, so they must outlive the program
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        flagsaver.flagsaver(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", list(argv))
        patch.setattr(sys, "path", list(sys.path))
        # JAX runs already: its devices and its cache are those of the tests.
        for name in ("one_device_a_core", "cache_compilations", "keep_freed_memory"):
            patch.setattr(flags, name, lambda **_: None)
        with pytest.raises(SystemExit) as ended:
            program()
    return Ended(ended.value.code or 0, out.getvalue(), err.getvalue())


def start(name: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.Popen:
    """Starts a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, script(name), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(name: str, *arguments: str, cwd: Path, **environment: str) -> Ended:
    """Runs a command in a process of its own and returns how it ended."""
    process = start(name, *arguments, cwd=cwd, **environment)
    stdout, stderr = process.communicate(timeout=300)
    return Ended(process.returncode, stdout, stderr)
