"""The house style and the public contract, enforced."""

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import jaxsr

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    p
    for folder in ("jaxsr", "experiments", "ports", "tests", "colab")
    for p in (ROOT / folder).rglob("*.py")
)
MODULES = [name for _, name, _ in pkgutil.walk_packages(jaxsr.__path__, "jaxsr.")]
HEAVY = (
    "distrax",
    "tensorflow_probability",
    "tensorflow_datasets",
    "tensorflow",
    "matplotlib",
    "scipy",
    "sklearn",
    "torch",
    "orbax",
)


def public(module):
    for name, item in vars(module).items():
        if (
            not name.startswith("_")
            and getattr(item, "__module__", None) == module.__name__
            and callable(item)
        ):
            yield name, item


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_follow_the_house_style(name):
    """Docstrings; no **kwargs; a key comes first, params before data."""
    for label, item in public(importlib.import_module(name)):
        assert inspect.getdoc(item), f"{name}.{label} has no docstring"
        if not inspect.isfunction(item):
            continue
        names = list(inspect.signature(item).parameters)
        kinds = [p.kind for p in inspect.signature(item).parameters.values()]
        assert inspect.Parameter.VAR_KEYWORD not in kinds, f"{name}.{label} takes **kwargs"
        assert "rng_key" not in names, f"{name}.{label}: a key is called key"
        if "params" in names and "image" in names:
            assert names.index("params") < names.index("image"), (
                f"{name}.{label}: params come before data"
            )


def test_the_package_of_the_same_name_is_told_apart(tmp_path):
    """`pip install jaxsr` brings a stranger's project, and what fails then would fail somewhere
    else."""
    (tmp_path / "jaxsr-0.3.0.dist-info").mkdir()
    (tmp_path / "jaxsr-0.3.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: jaxsr\nVersion: 0.3.0\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, "-c", "import jaxsr"], env=env, capture_output=True, text=True, check=False
    )
    assert (
        'ImportError: the distribution "jaxsr" is another project' in done.stderr.splitlines()[-1]
    )


@pytest.mark.parametrize(
    "code, absent",
    [
        ("import jaxsr", (*HEAVY, "flax", "jax")),
        ("import jaxsr; [getattr(jaxsr, name) for name in jaxsr.__all__]", HEAVY),
    ],
    ids=["import", "everything"],
)
def test_import_is_light(code, absent):
    """A script that fetches a file must not wait for JAX, nor a restoration for what only some
    users need."""
    code = f"import sys; {code}; print([m for m in {absent} if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.is_relative_to(ROOT / "jaxsr")], ids=lambda p: p.stem
)
def test_forbidden_imports(path):
    """torch and TensorFlow never enter jaxsr/; flax stays in nets/."""
    roots = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert not roots & {"torch", "tensorflow"}
    assert "flax" not in roots or path.parent.name == "nets"


def test_nothing_reads_pickles():
    """A checkpoint is data: nothing in jaxsr unpickles, evaluates or executes what it reads."""
    for path in SOURCES:
        if path.is_relative_to(ROOT / "jaxsr"):
            names = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
            assert not names & {"pickle", "eval", "exec"}, path
