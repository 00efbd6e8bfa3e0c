"""Plots of an evaluation: each metric of each method with its interval, or over the weight that a
figure varies. Needs matplotlib."""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evaluation import tables
from evaluation.scores import COLUMNS
from evaluation.tables import Line

PER_ROW = 4


def draw(folder: Path, found: Sequence[Line], columns: Sequence[str]) -> list[str]:
    """Writes folder/plot_CONDITIONS.png for each group of lines; returns the names. Without
    matplotlib there are none."""
    if not find_spec("matplotlib"):
        return []
    names = []
    for group in tables.groups(found):
        shown = [name for name in tables.columns_of(group) if name in columns]
        done = [line for line in group if line.values]
        if shown and done:
            names.append(f"plot_{done[0].cell.conditions}.png")
            _figure(folder / names[-1], done, shown)
    return names


def _figure(path: Path, group: Sequence[Line], columns: Sequence[str]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across, down = min(PER_ROW, len(columns)), math.ceil(len(columns) / PER_ROW)
    figure = Figure(figsize=(3.4 * across, 2.6 * down), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    curves = all(line.cell.variant.at for line in group)
    for axes, name in zip(panels, columns, strict=False):
        (_curves if curves else _dots)(axes, [line for line in group if name in line.values], name)
        axes.set_title(tables.title(name), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    for axes in panels[len(columns) :]:
        axes.set_visible(False)
    figure.savefig(path, dpi=110, format="png")


def _dots(axes: Any, group: Sequence[Line], name: str) -> None:
    for i, line in enumerate(group):
        value = line.values[name]
        axes.plot([value.mean], [i], "o", color="tab:blue")
        axes.plot([value.low, value.high], [i, i], color="tab:blue")
    axes.set_yticks(range(len(group)), [line.cell.title for line in group])
    axes.invert_yaxis()
    axes.locator_params(axis="x", nbins=4)  # more labels of 0.0002 run into each other
    if COLUMNS[name].better == "" and name == "top_octave_share":
        axes.axvline(1.0, color="black", linewidth=0.8)


def _curves(axes: Any, group: Sequence[Line], name: str) -> None:
    """A line a series over what it varies, on a logarithmic axis that has room for 0."""
    series = dict.fromkeys(line.cell.variant.at[0] for line in group if line.cell.variant.at)
    for label in series:
        points = sorted(
            (line.cell.variant.at[1], line.values[name])
            for line in group
            if line.cell.variant.at and line.cell.variant.at[0] == label
        )
        x, y = [at for at, _ in points], [value.mean for _, value in points]
        axes.plot(x, y, "o-", label=label, markersize=3)
        axes.fill_between(x, [v.low for _, v in points], [v.high for _, v in points], alpha=0.2)
    axes.set_xscale("symlog", linthresh=1e-5)
    axes.set_xlabel("value", fontsize=8)
    axes.legend(fontsize=6)
