"""Makes the notebooks of this folder from their percent scripts (restore.py, ...) and runs them, so
that they hold outputs of real runs.

    python colab/make_notebooks.py  # all, into this folder: half an hour on 2 CPU cores
    python colab/make_notebooks.py --name=restore                  # one
    python colab/make_notebooks.py --smoke --out=/tmp/notebooks    # a few steps, as the tests do

A cell tagged "install" gets install.py. Needs `pip install ".[notebooks]"`.
"""

import datetime
import os
import platform
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

import jupytext
import nbformat
from absl import app
from absl import flags as absl_flags
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

HERE = Path(__file__).resolve().parent
NAMES = ("restore", "explore", "checkpoint", "train", "tables")
REPOSITORY = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["urls"][
    "Repository"
]
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/{}/blob/main/colab/{}.ipynb)"
LONGEST = 3600  # seconds of a cell
LONGEST_SMOKE = 300


def notebook(name: str) -> nbformat.NotebookNode:
    """The notebook of a percent script, without outputs."""
    book = jupytext.read(HERE / f"{name}.py", fmt="py:percent")
    install = (HERE / "install.py").read_text().strip()
    for i, cell in enumerate(book.cells):
        if "install" in cell.metadata.get("tags", []):
            cell.source = install.replace("{REPOSITORY}", REPOSITORY)
        cell.id = f"{name}{i}"  # the same every time
    book.cells[0].source += "\n\n" + BADGE.format(
        REPOSITORY.removeprefix("https://github.com/"), name
    )
    book.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "colab": {"provenance": []},
    }
    return book


def executed(name: str, *, smoke: bool) -> nbformat.NotebookNode:
    """The notebook with its outputs and, in a last cell, the seconds of each cell.

    Raises:
        ValueError: a cell failed, and how.
    """
    try:
        book = _run(name, smoke=smoke)
    except CellTimeoutError:
        # Once in many runs a kernel that is done is never heard of again.
        book = _run(name, smoke=smoke)
    seconds = [_seconds(cell) for cell in book.cells if cell.cell_type == "code"]
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            settled = [
                _settled(output) for output in cell.outputs if output.get("name") != "stderr"
            ]
            cell.outputs = [output for output in settled if output.get("text") != ""]
    book.cells.append(nbformat.v4.new_markdown_cell(_times(seconds), id=f"{name}_times"))
    book.metadata.pop("widgets", None)
    return book


def _run(name: str, *, smoke: bool) -> nbformat.NotebookNode:
    """The notebook with its outputs. Raises ValueError for a cell that fails, CellTimeoutError."""
    book = notebook(name)
    # In the checkout, so that the notebook finds it.
    folder = Path(tempfile.mkdtemp(prefix=f".run-{name}-", dir=HERE))
    environment = os.environ | ({"JAXSR_SMOKE": "1"} if smoke else {})
    try:
        client = NotebookClient(
            book,
            timeout=LONGEST_SMOKE if smoke else LONGEST,
            resources={"metadata": {"path": str(folder)}},
            record_timing=True,
        )
        client.execute(env=environment)
    except CellExecutionError as error:
        raise ValueError(f"{name}: {error.ename}: {error.evalue}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return book


def _settled(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The output with the last state of each progress bar alone."""
    if output.output_type == "stream":
        output.text = re.sub(r"[^\n]*\r", "", output.text)
    return output


def _seconds(cell: nbformat.NotebookNode) -> float:
    times = cell.metadata["execution"]
    begun, ended = (
        datetime.datetime.fromisoformat(times[at])
        for at in ("iopub.execute_input", "shell.execute_reply")
    )
    return (ended - begun).total_seconds()


def _times(seconds: list[float]) -> str:
    return (
        f"Seconds of each cell, in order, on {os.cpu_count()} CPU cores ({platform.machine()}): "
        f"{', '.join(f'{s:.0f}' for s in seconds)}."
    )


def main(names: list[str], out: Path, *, smoke: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        book = executed(name, smoke=smoke)
        path = out / f"{name}.ipynb"
        nbformat.write(book, path)
        print(f"{path}: {path.stat().st_size / 1024:.0f} KiB. {book.cells[-1].source}", flush=True)


if __name__ == "__main__":
    NAME = absl_flags.DEFINE_multi_enum("name", list(NAMES), NAMES, "Which notebooks.")
    SMOKE = absl_flags.DEFINE_bool("smoke", False, "A few steps, to see that every cell runs.")
    OUT = absl_flags.DEFINE_string("out", str(HERE), "Folder of the notebooks.")
    try:
        app.run(lambda argv: main(NAME.value, Path(OUT.value), smoke=SMOKE.value))
    except ValueError as error:
        sys.exit(f"make_notebooks.py: error: {error}")
