"""Which files of a folder a run wrote there, so that nobody takes them for photos."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

from jaxsr.records import report

# What tells of a run, its table and what lies beside that -> what else it writes there.
WRITTEN = {
    ("results.csv", "config.json"): ("grid.png", "trajectory.webp", "*_faces.png"),
    ("results.csv", "intervals.csv"): ("*_lower.png", "*_upper.png", "*_width.png"),
    ("rows.jsonl", "config.json"): (
        "images",
        "smoke_photos",
        "*.csv",
        "index.html",
        "table.md",
        "grid_*.png",
        "solutions_*.png",
        "plot_*.png",
        "figure_*.png",
        "correlations.png",
    ),
    ("calibration.json", "solutions"): ("config.json", "photos.*", "index.html", "table.md"),
    ("solutions.csv", "start.png"): (
        "solution_*.png",
        "gallery.png",
        "variation.*",
        "walk_*.webp",
        "figure1.png",
        "spectra.png",
    ),
    ("curve.csv", "checkpoints"): ("samples.png", "prior", "model", "cache", "val_cache"),
}
ALWAYS = (".lock", ".claims")


def written(folder: Path, names: Collection[str]) -> set[str]:
    """Those of the names in a folder, of files and of folders, that a run wrote: what its table
    names, and what lies beside that."""
    runs = [marks for marks in WRITTEN if set(marks) <= {*names}]
    patterns = {each for marks in runs for each in (*marks, *WRITTEN[marks], *ALWAYS)}
    found = {name for name in names if any(fnmatchcase(name, each) for each in patterns)}
    if "results.csv" not in names:
        return found
    try:
        table = report.results(folder)
    except (ValueError, OSError):  # a table of something else
        return found
    return found | {name for name, row in table.items() if row.get("status") == "ok"}
