"""Which files of a folder a run wrote there, so that nobody takes them for photos."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

from jaxsr.records import report

# What tells of a run, its table and what lies beside that -> what else the run draws there.
DRAWN = {
    ("results.csv", "config.json"): ("grid.png", "trajectory.webp"),
    ("rows.jsonl", "config.json"): (
        "images",
        "smoke_photos",
        "grid_*.png",
        "solutions_*.png",
        "plot_*.png",
        "figure_*.png",
        "correlations.png",
    ),
    ("solutions.csv", "start.png"): (
        "start.png",
        "solution_*.png",
        "gallery.png",
        "variation.png",
        "walk_*.webp",
        "figure1.png",
        "spectra.png",
    ),
    ("curve.csv", "checkpoints"): ("samples.png", "prior", "model", "cache", "val_cache"),
}


def written(folder: Path, names: Collection[str]) -> set[str]:
    """Those of the names in a folder, of files and of folders, that a run wrote: what its table
    names, and what it draws beside that."""
    patterns = [
        pattern for marks, drawn in DRAWN.items() if set(marks) <= set(names) for pattern in drawn
    ]
    found = {name for name in names if any(fnmatchcase(name, each) for each in patterns)}
    if "results.csv" not in names:
        return found
    try:
        table = report.results(folder)
    except (ValueError, OSError):  # a table of something else
        return found
    return found | {name for name, row in table.items() if row.get("status") == "ok"}
