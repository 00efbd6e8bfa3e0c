"""The evaluation as one HTML page: sortable tables, plots, and results beside their input and the
real photo. Needs no network."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation import tables
from evaluation.document import document, plot, table, text, wide
from evaluation.intervals import Interval
from evaluation.suites import Suite
from evaluation.tables import Line
from jaxsr.records import files

SHOWN = 60  # photos with pictures; the others are in results.csv


def write(
    folder: Path,
    suite: Suite,
    found: Sequence[Line],
    rows: Sequence[Mapping],
    missing: Mapping[str, str],
    head: Sequence[str],
    plots: Sequence[str],
) -> None:
    """Writes folder/index.html."""
    parts = [f"<p>{text(line)}</p>" for line in head]
    parts.append(
        "<p>Small print under a mean: its 95 % bootstrap interval over photos. A click on a "
        "title sorts.</p>"
    )
    groups = tables.groups(found)
    parts += [part for group in groups for part in _group(suite, group)]
    parts += [plot(name) for name in plots]
    remarks = tables.remarks(found, missing) + ([suite.note] if suite.note else [])
    if remarks:
        items = "".join(f"<li>{text(remark)}</li>" for remark in remarks)
        parts.append(f"<h2>Remarks</h2><ul>{items}</ul>")
    for printed in suite.as_printed:
        parts += [
            f"<h2>As printed, other data: {text(printed.heading)}</h2>",
            table(("", *printed.columns), printed.rows),
        ]
    parts += [_pictures(tables.heading(suite, group[0].cell), group, rows) for group in groups]
    files.write_text(folder / "index.html", document(suite.title, parts))


def _group(suite: Suite, group: Sequence[Line]) -> list[str]:
    """The table of the lines under the same conditions, and their differences from the baseline."""
    columns = tables.columns_of(group)
    parts = [
        f"<h2>{text(tables.heading(suite, group[0].cell))}</h2>",
        _cells(group, [line.values for line in group], columns),
    ]
    paired = [line for line in group if line.paired]
    if paired:
        parts += [
            f"<p>Differences from {text(suite.baseline)} over the same photos:</p>",
            _cells(paired, [line.paired for line in paired], columns),
        ]
    return parts


def _cells(
    group: Sequence[Line], values: Sequence[Mapping[str, Interval]], columns: Sequence[str]
) -> str:
    """Means over intervals, a row a line."""
    names = [name for name in columns if any(name in row for row in values)]
    head = "".join(
        f"<th>{text(title)}</th>"
        for title in ("method", "photos", *(tables.title(name) for name in names))
    )
    rows = [
        (line, "".join(_value(row.get(name)) for name in names))
        for line, row in zip(group, values, strict=True)
    ]
    body = "".join(
        f"<tr><td>{_label(line)}</td><td>{line.photos or ''}</td>{cells}</tr>"
        for line, cells in rows
    )
    return wide(
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def _label(line: Line) -> str:
    name = text(line.cell.title)
    failed = f" <small>{line.failed} failed</small>" if line.failed else ""
    return name + failed if line.values else f"{name} <small>{text(line.remark)}</small>"


def _value(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.mean):
        return "<td></td>"
    spread = (
        ""
        if math.isnan(interval.low) or interval.count < 2
        else f"<br><small>{interval.low:.4g} to {interval.high:.4g}</small>"
    )
    return f'<td data-value="{interval.mean!r}">{interval.mean:.4g}{spread}</td>'


def _pictures(heading: str, group: Sequence[Line], rows: Sequence[Mapping]) -> str:
    """A row a photo: input, each method, the real photo."""
    cells = [line.cell for line in group if line.values]
    mine = {(row["photo"], row["cell"]): row for row in rows if row["solution"] == 0}
    photos = list(dict.fromkeys(row["photo"] for row in rows))[:SHOWN]
    if not cells:
        return ""
    is_known = any(row.get("reference") for row in rows)  # else photos were small already
    heads = ["input", *(cell.title for cell in cells), *(["real photo"] if is_known else [])]
    body = []
    for photo in photos:
        found = [mine.get((photo, cell.name), {}) for cell in cells]
        whole = next((row for row in found if row.get("status") == "ok"), {})
        pictures = [
            _picture(whole.get("measurement"), "" if is_known else photo),
            *(_result(row) for row in found),
            *([_picture(whole.get("reference"), photo)] if is_known else []),
        ]
        body.append(f"<tr>{''.join(f'<td>{picture}</td>' for picture in pictures)}</tr>")
    first = "first solutions, " if any(row["solution"] for row in rows) else ""
    title = f"{heading}: pictures ({first}the first {len(photos)} photos)"
    head = "".join(f"<th>{text(name)}</th>" for name in heads)
    shown = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f"<h2>{text(title)}</h2>" + wide(f'<table class="pictures">{shown}</table>')


def _result(row: Mapping) -> str:
    if row.get("status") != "ok":
        return text(row.get("error", "not done"))
    psnr = row.get("psnr")
    return _picture(row["output"], f"{psnr:.1f} dB" if psnr is not None else "")


def _picture(path: object, caption: str) -> str:
    return f'<img loading="lazy" src="{text(str(path))}" alt=""><br>{text(caption)}' if path else ""
