"""An HTML page of tables and pictures that needs no network."""

import html
from collections.abc import Sequence

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


def document(title: str, parts: Sequence[str]) -> str:
    """A page of a title and parts in HTML; tables of the class "sortable" sort by a click."""
    head = f'<meta charset="utf-8"><title>{text(title)}</title><style>{STYLE}</style>'
    body = f"<h1>{text(title)}</h1>{''.join(parts)}<script>{SCRIPT}</script>"
    return f'<!doctype html><html lang="en">{head}{body}</html>\n'


def text(value: object) -> str:
    """Any text as HTML shows it."""
    return html.escape(str(value))


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A plain table."""
    head = "".join(f"<th>{text(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{text(value)}</td>' for value in row)}</tr>" for row in rows
    )
    return wide(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def wide(content: str) -> str:
    """What may be wider than the page, and scrolls then."""
    return f'<div class="wide">{content}</div>'


def plot(name: str) -> str:
    """A picture of the page's folder."""
    return f'<p><img class="plot" src="{text(name)}" alt="{text(name)}"></p>'
