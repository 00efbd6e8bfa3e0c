"""The notebooks of colab/: they say what their scripts say, hold what a run printed, and every cell
runs."""

import os
import subprocess
import sys
from pathlib import Path

import make_notebooks
import nbformat
import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", make_notebooks.NAMES)
def test_notebook_is_its_scripts(name):
    """A script was changed and the notebook that a reader opens was not made again (python
    colab/make_notebooks.py)."""
    kept, made = nbformat.read(ROOT / "colab" / f"{name}.ipynb", 4), make_notebooks.notebook(name)
    assert [(cell.id, cell.cell_type, cell.source) for cell in kept.cells[:-1]] == [
        (c.id, c.cell_type, c.source) for c in made.cells
    ]
    assert kept.cells[-1].source.startswith("Seconds of each cell")


@pytest.mark.parametrize("name", make_notebooks.NAMES)
def test_notebook_holds_a_run(name):
    """A reader sees pictures before running anything; an error, or a file of many megabytes, is
    none of them."""
    path = ROOT / "colab" / f"{name}.ipynb"
    outputs = [
        output
        for cell in nbformat.read(path, 4).cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [
        output
        for output in outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert path.stat().st_size < 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", make_notebooks.NAMES)
def test_every_cell_runs(name, tmp_path):
    """A notebook that fails half way, found by the first person who opens it."""
    command = [
        sys.executable,
        str(ROOT / "colab" / "make_notebooks.py"),
        "--smoke",
        f"--name={name}",
        f"--out={tmp_path}",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    cells = nbformat.read(tmp_path / f"{name}.ipynb", 4).cells
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")
