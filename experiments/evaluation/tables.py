"""From rows to tables: means with bootstrap intervals, paired differences, distances of sets,
beside what the papers print."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluation.bench import Bench, degrading_of, moved_by
from evaluation.cells import Cell
from evaluation.intervals import Interval, difference_interval, mean_interval
from evaluation.perfect import perfect_photos, told, without_perfect
from evaluation.printed import Table
from evaluation.scores import COLUMNS, SET_COLUMNS
from evaluation.suites import Suite
from evaluation.units import ENLARGED, SHRUNK
from jaxsr import images
from jaxsr.methods import METHODS
from jaxsr.metrics import METRICS
from jaxsr.operators import as_image
from jaxsr.records import report

Rows = Sequence[Mapping]
SHOWN_ERRORS = 3
ROW_COLUMNS = (
    "cell",
    "method",
    "operator",
    "factor",
    "degradation",
    "photo",
    "solution",
    "status",
    "error",
    "remark",
    "seconds",
    "residual",
    "residual_before",
    "whiteness",
    "noise",
    "feasible",
    *METRICS,
    "type_agrees",
    "type_right",
    "diversity",
    "output",
    "reference",
    "measurement",
    "fit",
    "stamp",
)


class Line(NamedTuple):
    """One cell's line in the table.

    Attributes:
        cell: which.
        values: column -> its mean and interval; distances of sets have none (low and high are NaN).
        paired: column -> this cell minus the baseline, over the photos that both have.
        photos: how many have a result.
        failed: photos without one.
        remark: why there is nothing, or what to be careful of; "" for nothing.
    """

    cell: Cell
    values: dict[str, Interval]
    paired: dict[str, Interval]
    photos: int
    failed: int
    remark: str


def lines(
    bench: Bench,
    suite: Suite,
    cells: Sequence[Cell],
    rows: Mapping[tuple[str, ...], Mapping],
    lacking: Mapping[str, str],
) -> list[Line]:
    """The table's lines in the order of the cells; `lacking`: cell's name -> why it was not run."""
    of_cells: dict[str, list[Mapping]] = {}
    for row in rows.values():
        of_cells.setdefault(row["cell"], []).append(row)
    perfect = {cell.conditions: perfect_photos(cell.conditions, cells, of_cells) for cell in cells}

    def shown(cell: Cell) -> Rows:
        return without_perfect(cell, of_cells.get(cell.name, []), perfect[cell.conditions])

    def line(cell: Cell) -> Line:
        if cell.name in lacking:
            return _lacking(cell, lacking[cell.name])
        base = _baseline(suite, cell, cells)
        rows_here = shown(cell)
        made = _line(bench, cell, rows_here, rows_here if base == cell else shown(base))
        other = made.paired and base.consistency != cell.consistency
        from_other = [f"its differences are from {base.title}"] if other else []
        notes = filter(None, [made.remark, *from_other, *told(perfect[cell.conditions])])
        return made._replace(remark="; ".join(notes))

    return [line(cell) for cell in cells]


def _line(bench: Bench, cell: Cell, rows: Rows, base: Rows) -> Line:
    """A cell's line from its rows and the baseline's, which may be the same."""
    done = _done(rows)
    sets, warnings = _sets(bench, cell, [row for row in done if row["solution"] == 0])
    photos = {row["photo"] for row in rows}
    good = {row["photo"] for row in done}
    values = {name: _summary(name, done) for name in _names(done)}
    paired = {} if base is rows else _pairs(done, _done(base))
    notes = [*_about(bench, cell), *_scaled(done), *warnings, *_errors(rows)]
    return Line(cell, values | sets, paired, len(good), len(photos - good), "; ".join(notes))


def _done(rows: Rows) -> list[Mapping]:
    return [row for row in rows if row["status"] == "ok"]


def _names(done: Rows) -> list[str]:
    """The columns of single results that some row has."""
    return [
        name
        for name in COLUMNS
        if name not in SET_COLUMNS and any(row.get(name) is not None for row in done)
    ]


def _pairs(done: Rows, base: Rows) -> dict[str, Interval]:
    """Column -> difference from the baseline, where the two have a photo in common."""
    found = {name: _paired(name, done, base) for name in _names(done) if name != "seconds"}
    return {name: i for name, i in found.items() if i.count and not math.isinf(i.mean)}


def _scaled(done: Rows) -> list[str]:
    """How many photos that were low-resolution already were brought to another size."""
    fits = {row["photo"]: row.get("fit") or "" for row in done}
    found = []
    for way, how in ((SHRUNK, "by area average"), (ENLARGED, "bicubically")):
        count = sum(fit.startswith(way) for fit in fits.values())
        if count:
            found.append(f"{count} of {len(fits)} photos were {way} ({how}) to be restored")
    return found


def _errors(rows: Rows) -> list[str]:
    """The first reasons for which photos have no result."""
    errors = list(dict.fromkeys(row["error"] for row in rows if row["status"] == "error"))
    shown = [f"failed: {error}" for error in errors[:SHOWN_ERRORS]]
    return [*shown, "and others"] if len(errors) > SHOWN_ERRORS else shown


def _about(bench: Bench, cell: Cell) -> list[str]:
    """What a cell's numbers do not tell of how they came about."""
    if cell.variant.method not in METHODS:
        return []
    method, options, notes = METHODS[cell.variant.method], bench.options, []
    if cell.variant.chosen:
        notes.append(f"took {cell.variant.method}: {cell.variant.chosen}")
    if options.preset not in method.Config.PRESETS:
        notes.append(f"has no preset {options.preset} and ran with paper")
    if method.kind == "interpolation" and not cell.takes_factor:
        notes.append(
            "shows the image of least norm behind the measurement, projected"
            if moved_by(bench, cell) != "none"
            else "shows the measurement as it is, which is as large as the photo"
        )
    if method.kind == "interpolation" and options.solutions > 1:
        notes.append("draws nothing at random: its solutions are one")
    return notes


def lines_lacking(cells: Sequence[Cell], lacking: Mapping[str, str]) -> list[Line]:
    """The lines of cells that were not run."""
    return [_lacking(cell, lacking[cell.name]) for cell in cells]


def _lacking(cell: Cell, why: str) -> Line:
    return Line(cell, values={}, paired={}, photos=0, failed=0, remark=why)


def _baseline(suite: Suite, cell: Cell, cells: Sequence[Cell]) -> Cell:
    """The baseline's cell under the conditions of a cell, moved as its results are; beside the real
    photo, which nothing moves, the first way."""
    same = [c for c in cells if c.conditions == cell.conditions]
    own = [c for c in same if c.variant.label == suite.baseline]
    return next((c for c in own if c.consistency == cell.consistency), own[0] if own else cell)


def _by_photo(name: str, rows: Rows) -> dict[str, float]:
    """A column's number for each photo: the mean over its solutions, which are not independent of
    each other. NaN where there is none."""
    values: dict[str, list[float]] = {}
    for row in rows:
        value = row.get(name)
        values.setdefault(row["photo"], []).append(math.nan if value is None else float(value))
    return {photo: float(np.mean(found)) for photo, found in values.items()}


def _summary(name: str, rows: Rows) -> Interval:
    """Seconds are a median, since another program may have run beside for a while."""
    values = np.array(list(_by_photo(name, rows).values()))
    if name != "seconds":
        return mean_interval(values)
    return Interval(float(np.nanmedian(values)), math.nan, math.nan, len(values))


def _paired(name: str, rows: Rows, base: Rows) -> Interval:
    ours, theirs = _by_photo(name, rows), _by_photo(name, base)
    both = [photo for photo in ours if photo in theirs]
    return difference_interval(
        np.array([ours[photo] for photo in both]), np.array([theirs[photo] for photo in both])
    )


def _sets(bench: Bench, cell: Cell, rows: Rows) -> tuple[dict[str, Interval], list[str]]:
    """Distances of sets: the results, as they lie in the folder, and their photos; where these are
    low-resolution, of the results made small."""
    if len(rows) < 2:
        return {}, ["distances of sets need at least two photos"]
    results = [images.read(bench.folder / row["output"]) for row in rows]
    if bench.options.reference_free:
        operator = degrading_of(bench, cell)
        results = [np.asarray(as_image(operator, operator(image))) for image in results]
    source = "measurement" if bench.options.reference_free else "reference"
    paths = dict.fromkeys(row[source] for row in rows)
    found, notes = bench.scorer.sets(results, [images.read(bench.folder / path) for path in paths])
    return {
        name: Interval(value, math.nan, math.nan, len(rows)) for name, value in found.items()
    }, notes


def markdown(
    suite: Suite, found: Sequence[Line], missing: Mapping[str, str], head: Sequence[str]
) -> str:
    """The report as text: a table for each set of conditions, paired differences, what is missing
    and why, the printed tables."""
    parts = [f"# {suite.title}\n", *(f"{line}\n" for line in head)]
    for group in groups(found):
        parts += [f"## {heading(suite, group[0].cell)}\n", _values(group)]
        if any(line.paired for line in group):
            parts += [
                f"Differences from {suite.baseline} over the same photos, mean and 95 % "
                "bootstrap interval:\n",
                _differences(group),
            ]
    notes = remarks(found, missing)
    if notes:
        parts += ["## Remarks\n", "\n".join(f"- {note}" for note in notes) + "\n"]
    for table in suite.as_printed:
        parts += [f"## As printed, other data: {table.heading}\n", printed(table)]
    if suite.note:
        parts.append(f"Note: {suite.note}.\n")
    return "\n".join(parts)


def remarks(found: Sequence[Line], missing: Mapping[str, str]) -> list[str]:
    """What to be careful of, each remark once with its lines, and what is left out."""
    about: dict[str, list[str]] = {}
    for line in found:
        if line.remark:
            about.setdefault(line.remark, []).append(f"{line.cell.title}, {line.cell.conditions}")
    absent: dict[str, list[str]] = {}
    for name, why in missing.items():
        absent.setdefault(why, []).append(COLUMNS[name].title)
    notes = [
        f"{'all' if len(where) == len(found) else '; '.join(where)}: {remark}"
        for remark, where in about.items()
    ]
    return notes + [f"{' and '.join(names)} left out: {why}" for why, names in absent.items()]


def heading(suite: Suite, cell: Cell) -> str:
    """ "Factor 8 (in place of the paper's 64), clean, judged at 32 px" """
    judged = f", judged at {cell.judge_at} px" if cell.judge_at else ""
    if not cell.takes_factor:
        return f"{cell.operator.replace('_', ' ').capitalize()}, {cell.degradation}{judged}"
    instead = (
        f" (in place of the paper's {suite.stands_for[cell.factor]})"
        if cell.factor in suite.stands_for
        else ""
    )
    return f"Factor {cell.factor}{instead}, {cell.degradation}{judged}"


def groups(found: Sequence[Line]) -> list[list[Line]]:
    """The lines of each operator, factor and degradation, in order."""
    keys = dict.fromkeys(line.cell.conditions for line in found)
    return [[line for line in found if line.cell.conditions == key] for key in keys]


def columns_of(group: Sequence[Line]) -> list[str]:
    """The columns that some line of a group has."""
    return [name for name in COLUMNS if any(name in line.values for line in group)]


def _values(group: Sequence[Line]) -> str:
    names = columns_of(group)
    rows = [
        {
            "method": line.cell.title,
            "photos": _count(line),
            **{n: show(line.values.get(n)) + partial(line, n) for n in names},
        }
        for line in group
    ]
    return _titled(rows, names)


def _differences(group: Sequence[Line]) -> str:
    names = [name for name in columns_of(group) if any(name in line.paired for line in group)]
    rows = [
        {
            "method": line.cell.title,
            **{n: show(line.paired.get(n), sign=True) for n in names},
        }
        for line in group
        if line.paired
    ]
    return _titled(rows, names)


def _titled(rows: Rows, names: Sequence[str]) -> str:
    titles: dict[str, str] = {name: title(name) for name in names}
    shown = [{titles.get(str(key), str(key)): value for key, value in row.items()} for row in rows]
    first = [key for key in shown[0] if key not in titles.values()]
    return report.markdown(shown, [*first, *titles.values()])


def title(name: str) -> str:
    """A column's title with an arrow in the direction that is better."""
    return COLUMNS[name].title + {"higher": " ↑", "lower": " ↓"}.get(COLUMNS[name].better, "")


def _count(line: Line) -> str:
    if not line.photos and not line.failed:
        return line.remark
    return f"{line.photos} ({line.failed} failed)" if line.failed else str(line.photos)


def partial(line: Line, name: str) -> str:
    """ " (of 190)" where a column has a number for fewer photos than the line has, such as PSNR
    where some method's is infinite."""
    count = line.values[name].count if name in line.values else line.photos
    return f" (of {count})" if 0 < count < line.photos else ""


def show(interval: Interval | None, *, sign: bool = False) -> str:
    """ "20.31 [20.05, 20.57]" """
    if interval is None or math.isnan(interval.mean):
        return ""
    plus = "+" if sign else ""
    mean = f"{interval.mean:{plus}.4g}"
    if math.isnan(interval.low) or interval.count < 2:
        return mean
    return f"{mean} [{interval.low:{plus}.4g}, {interval.high:{plus}.4g}]"


def printed(table: Table) -> str:
    """A paper's table in Markdown."""
    names = ("", *table.columns)
    return report.markdown([dict(zip(names, row, strict=True)) for row in table.rows], names)


def write_rows(
    path: Path,
    rows: Mapping[tuple[str, ...], Mapping],
    cells: Sequence[Cell],
    photos: Sequence[str],
) -> None:
    """results.csv: a row a result, in the order of the cells and the photos, whatever order they
    were made in."""
    place = (
        {cell.name: i for i, cell in enumerate(cells)},
        {name: i for i, name in enumerate(photos)},
    )
    mine = [row for row in rows.values() if row["cell"] in place[0] and row["photo"] in place[1]]
    mine.sort(key=lambda row: (place[0][row["cell"]], place[1][row["photo"]], row["solution"]))
    report.write_csv(path, mine, ROW_COLUMNS)
