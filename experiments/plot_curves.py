"""Plots the Frechet and the kernel distance of training runs beside each other, over images and
over minutes. Needs matplotlib.

    python experiments/plot_curves.py --run=runs/a --run=runs/b --out=curves.png

A run is a folder with the curve.csv of train_gan.py. Its line ends where the run stands; a new plot
replaces the old one. A run of before there were kernel distances has no line of them.
"""

import dataclasses
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jaxsr import flags
from jaxsr.records import files
from jaxsr.training import loop

COLOURS = 10  # of matplotlib's cycle
DISTANCES = {"frechet": "Frechet distance", "kernel": "kernel distance"}
PANELS = (("images", "images of the run", 1.0), ("seconds", "minutes", 60.0))


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to plot.

    Attributes:
        run: A folder of train_gan.py; may be repeated.
        out: The picture, a PNG.
    """

    run: tuple[str, ...] = ()
    out: str = "curves.png"


def read(folder: Path) -> dict[str, list[float]]:
    """The columns of a run's curve, as numbers, NaN where a row lacks a kernel distance. Raises
    ValueError where there is none, or none of Frechet distances."""
    rows = loop.curve(folder)
    needed = ("frechet", *(name for name, _, _ in PANELS))
    if not rows or not all(row.get(name) for row in rows for name in needed):
        raise ValueError(
            f"--run={folder}: expected a folder with a curve.csv of train_gan.py and rows in "
            "it, got none"
        )
    try:
        columns = dict.fromkeys((*needed, *DISTANCES))
        return {name: [float(row.get(name) or "nan") for row in rows] for name in columns}
    except ValueError as error:
        raise ValueError(
            f"--run={folder}: expected numbers in its curve.csv, got {error}"
        ) from None


def main(settings: Settings) -> None:
    if not settings.run:
        raise ValueError("--run is missing: expected one or more folders of train_gan.py")
    if not find_spec("matplotlib"):
        raise ValueError("plots need matplotlib: pip install matplotlib")
    found = {Path(run).resolve().name: read(Path(run)) for run in settings.run}
    if len(found) < len(settings.run):
        raise ValueError(
            f"expected runs of different names, got {', '.join(settings.run)}: rename a folder"
        )
    files.write_bytes(settings.out, _png(found))
    print(settings.out)


def _lines(
    axes: Any, found: dict[str, dict[str, list[float]]], column: str, unit: float, distance: str
) -> None:
    """A line a run over a column in units."""
    for i, (name, curve) in enumerate(found.items()):
        line = "o-" if i < COLOURS else "o--"  # an eleventh has the first one's colour
        at = [x / unit for x in curve[column]]
        axes.plot(at, curve[distance], line, markersize=3, label=name)
    axes.grid(alpha=0.3)


def _png(found: dict[str, dict[str, list[float]]]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(DISTANCES), len(PANELS), sharey="row", sharex="col")
    for row, distance in zip(panels, DISTANCES, strict=True):
        for axes, (column, label, unit) in zip(row, PANELS, strict=True):
            _lines(axes, found, column, unit, distance)
            axes.set_xlabel(label)
        row[0].set_ylabel(f"{DISTANCES[distance]} (bundled features)")
    # One run that fails would press all others into a line.
    panels[0, 0].set_yscale("log")
    panels[1, 0].set_yscale("symlog", linthresh=1e-3)  # unbiased, so below 0 at times
    panels[0, -1].legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return buffer.getvalue()


if __name__ == "__main__":
    read_settings = flags.define(Settings())
    flags.run(lambda: main(read_settings()))
