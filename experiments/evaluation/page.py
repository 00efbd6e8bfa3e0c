"""The evaluation as one HTML page: sortable tables, plots, and results beside their input and the
real photo. Needs no network."""

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation import tables
from evaluation.intervals import Interval
from evaluation.suites import Suite
from evaluation.tables import Line
from jaxsr.records import files

SHOWN = 60  # photos with pictures; the others are in results.csv
STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1400px; }
body { padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .3em .7em; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
table.sortable th { cursor: pointer; background: #f4f4f4; }
small { color: #777; white-space: nowrap; }
.wide { overflow-x: auto; }
.pictures img { width: 128px; image-rendering: pixelated; }
.pictures td { text-align: center; vertical-align: top; font-size: 12px; }
img.plot { max-width: 100%; }
"""
SCRIPT = """
document.querySelectorAll("table.sortable th").forEach(th => th.addEventListener("click", () => {
  const body = th.closest("table").tBodies[0], column = th.cellIndex;
  const up = th.dataset.up = th.dataset.up === "1" ? "0" : "1";
  const value = row => {
    const v = row.cells[column].dataset.value;
    return v === undefined ? row.cells[column].textContent : v;
  };
  const compare = (a, b) => {
    const x = parseFloat(a), y = parseFloat(b);
    if (isNaN(x) || isNaN(y)) return (isNaN(x) - isNaN(y)) || a.localeCompare(b);
    return x - y;
  };
  const sign = up === "1" ? 1 : -1;
  const order = (a, b) => sign * compare(value(a), value(b));
  [...body.rows].sort(order).forEach(row => body.append(row));
}));
"""


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
    parts = [f"<h1>{_text(suite.title)}</h1>", *(f"<p>{_text(line)}</p>" for line in head)]
    parts.append(
        "<p>Small print under a mean: its 95 % bootstrap interval over photos. A click on a "
        "title sorts.</p>"
    )
    for group in tables.groups(found):
        title = tables.heading(suite, group[0].cell)
        parts += [
            f"<h2>{_text(title)}</h2>",
            _cells(group, [line.values for line in group], tables.columns_of(group)),
        ]
        paired = [line for line in group if line.paired]
        parts += (
            [f"<p>Differences from {_text(suite.baseline)} over the same photos:</p>"]
            if paired
            else []
        )
        parts += (
            [_cells(paired, [line.paired for line in paired], tables.columns_of(group))]
            if paired
            else []
        )
    parts += [
        f'<p><img class="plot" src="{_text(name)}" alt="{_text(name)}"></p>' for name in plots
    ]
    remarks = tables.remarks(found, missing) + ([suite.note] if suite.note else [])
    parts += (
        ["<h2>Remarks</h2><ul>", *(f"<li>{_text(remark)}</li>" for remark in remarks), "</ul>"]
        if remarks
        else []
    )
    for table in suite.as_printed:
        parts += [
            f"<h2>As printed, other data: {_text(table.heading)}</h2>",
            _table(("", *table.columns), table.rows),
        ]
    parts += [
        _pictures(tables.heading(suite, group[0].cell), group, rows)
        for group in tables.groups(found)
    ]
    title = _text(suite.title)
    document = (
        '<!doctype html><html lang="en"><meta '
        f'charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    )
    files.write_text(
        folder / "index.html", f"{document}{''.join(parts)}<script>{SCRIPT}</script></html>\n"
    )


def _text(text: str) -> str:
    return html.escape(str(text))


def _cells(
    group: Sequence[Line], values: Sequence[Mapping[str, Interval]], columns: Sequence[str]
) -> str:
    """Means over intervals, a row a line."""
    names = [name for name in columns if any(name in row for row in values)]
    head = "".join(
        f"<th>{_text(title)}</th>"
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
    return (
        '<div class="wide"><table '
        f'class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _label(line: Line) -> str:
    name = _text(line.cell.variant.label)
    failed = f" <small>{line.failed} failed</small>" if line.failed else ""
    return name + failed if line.values else f"{name} <small>{_text(line.remark)}</small>"


def _value(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.mean):
        return "<td></td>"
    spread = (
        ""
        if math.isnan(interval.low) or interval.count < 2
        else f"<br><small>{interval.low:.4g} to {interval.high:.4g}</small>"
    )
    return f'<td data-value="{interval.mean!r}">{interval.mean:.4g}{spread}</td>'


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>" for row in rows
    )
    return (
        "<div "
        f'class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _pictures(heading: str, group: Sequence[Line], rows: Sequence[Mapping]) -> str:
    """A row a photo: input, each method, the real photo."""
    cells = [line.cell for line in group if line.values]
    mine = {(row["photo"], row["cell"]): row for row in rows if row["solution"] == 0}
    photos = list(dict.fromkeys(row["photo"] for row in rows))[:SHOWN]
    if not cells:
        return ""
    heads = ["input", *(cell.variant.label for cell in cells), "real photo"]
    body = []
    for photo in photos:
        found = [mine.get((photo, cell.name), {}) for cell in cells]
        whole = next((row for row in found if row.get("status") == "ok"), {})
        pictures = [
            _picture(whole.get("measurement"), ""),
            *(_result(row) for row in found),
            _picture(whole.get("reference"), photo),
        ]
        body.append(f"<tr>{''.join(f'<td>{picture}</td>' for picture in pictures)}</tr>")
    first = "first solutions, " if any(row["solution"] for row in rows) else ""
    title = f"{heading}: pictures ({first}the first {len(photos)} photos)"
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    table = (
        "<table "
        f'class="pictures"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    )
    return f'<h2>{_text(title)}</h2><div class="wide">{table}</div>'


def _result(row: Mapping) -> str:
    if row.get("status") != "ok":
        return _text(row.get("error", "not done"))
    psnr = row.get("psnr")
    return _picture(row["output"], f"{psnr:.1f} dB" if psnr is not None else "")


def _picture(path: object, caption: str) -> str:
    return (
        f'<img loading="lazy" src="{_text(str(path))}" alt=""><br>{_text(caption)}' if path else ""
    )
