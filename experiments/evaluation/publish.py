"""What an evaluation leaves: config.json, results.csv, table.md, the page and the pictures."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from evaluation import curves, grids, methods, page, tables
from evaluation.bench import Bench
from evaluation.cells import Cell
from evaluation.suites import Suite
from jaxsr import weights
from jaxsr.records import files, report

CONSISTENCY = {
    "auto": "results moved to explain the measurement as far as its noise allows",
    "exact": "results moved to explain the measurement exactly, its noise included",
    "none": "results as the methods leave them (--consistency=none)",
}


def describe(
    bench: Bench, suite: Suite, cells: Sequence[Cell], precision: str
) -> tuple[dict, dict]:
    """What all rows of a folder have in common, and what else config.json holds."""
    options, data = bench.options, bench.data
    names = ("preset", "network", "noise", "kernel", "white", "seed", "smoke", "solutions")
    fixed = {
        **{name: getattr(options, name) for name in names},
        "consistency": list(options.consistency),
        "reference_free": options.reference_free,
        "precision": precision,
        "prior": bench.prior.info.name,
        "prior_sha256": weights.digest(bench.params),
        "features_sha256": weights.digest(bench.scorer.params),
        "metrics": bench.scorer.names,
        **{f"cell {cell.name}": methods.settings_of(bench, cell) for cell in cells},
    }
    about = {
        "suite": suite.title,
        "data": data.photos.source,
        "command": shlex.join(["python", *sys.argv]),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "left_out": bench.scorer.missing,
    }
    return fixed, about


def publish(
    bench: Bench,
    suite: Suite,
    cells: Sequence[Cell],
    lacking: Mapping[str, str],
    rows: Mapping[tuple[str, ...], Mapping],
) -> str:
    """Writes results.csv, table.md, index.html and the plots; returns the tables as text."""
    folder, names = bench.folder, bench.data.names
    rows = {key: row for key, row in rows.items() if row["photo"] in {*names}}
    tables.write_rows(folder / "results.csv", rows, cells, names)
    lines, head = tables.lines(bench, suite, cells, rows, lacking), _head(bench, suite)
    text = tables.markdown(suite, lines, bench.scorer.missing, head)
    files.write_text(folder / "table.md", text)
    plots = curves.draw(folder, lines, suite.columns)
    mine = [row for row in rows.values() if row["cell"] in {cell.name for cell in cells}]
    order = {name: i for i, name in enumerate(names)}
    mine.sort(key=lambda row: (order.get(row["photo"], len(order)), row["solution"]))
    grids.draw(folder, lines, mine)
    plots += grids.draw_solutions(folder, lines, mine)
    page.write(folder, suite, lines, mine, bench.scorer.missing, head, plots)
    return text


def _head(bench: Bench, suite: Suite) -> list[str]:
    """What a reader must know before the figures."""
    options, info, net = bench.options, bench.prior.info, bench.scorer.net
    noise = [] if options.noise is None else [f"noise {options.noise:g} given"]
    facts = [
        f"{len(bench.data.indices)} photos of {bench.data.photos.source}{bench.data.picked}",
        f"prior {info.name} ({info.resolution} px)",
        f"kernel {options.kernel}",
        f"preset {options.preset}",
        *([f"perceptual network {options.network}"] if options.network else []),
        f"seed {options.seed}",
        "; ".join(CONSISTENCY[name] for name in options.consistency),
        *noise,
    ]
    return [
        f"{', '.join(facts)}.",
        _compared(bench, suite),
        *_faces(bench),
        f"Feature distances and types ({net.config.heads[0][0]}) are of the network {net.name}: "
        "not LPIPS, FID, KID or identity.",
        *(["A --smoke run: a few steps; the figures mean nothing."] if options.smoke else []),
    ]


def _compared(bench: Bench, suite: Suite) -> str:
    """What is compared with what, and at which size."""
    if bench.options.reference_free:
        return (
            "The photos are low-resolution already, and results have no reference: distances of "
            "sets are of the results made small again and the photos, so that they tell whether "
            "results explain photos, not whether they look real; that is NIQE's."
        )
    resolution = bench.prior.info.resolution
    own = suite.low or suite.judge_at not in (None, resolution)
    side = "the side that is judged" if own else "the prior's resolution"
    return (
        f"Scores are of the whole 8-bit RGB image against the photo's centre square at {side} "
        "(area average)."
    )


def _faces(bench: Bench) -> list[str]:
    """How identity was measured, where it was."""
    if not bench.scorer.reads_faces():
        return []
    if bench.data.landmarks:
        return ["Identity is of crops that are aligned by the landmarks of the photo."]
    return [
        "Identity is of whole squares, not aligned (--landmarks gives points): not comparable with "
        "the papers'."
    ]


def publish_nothing(
    suite: Suite, cells: Sequence[Cell], lacking: Mapping[str, str], folder: Path
) -> str:
    """The report of a suite of which no method can be run: why, and what the paper printed."""
    report.check_writable(folder)
    lines, head = (
        tables.lines_lacking(cells, lacking),
        ["No method of it can be run here: nothing was."],
    )
    text = tables.markdown(suite, lines, {}, head)
    files.write_text(folder / "table.md", text)
    tables.write_rows(folder / "results.csv", {}, cells, [])
    page.write(folder, suite, lines, [], {}, head, [])
    return text
