"""A benchmark's tables as Markdown, and beside another run's: what became faster or slower."""

import json
from pathlib import Path
from typing import Any

from jaxsr.records import report

TITLES = {
    "generator": "Generator",
    "steps": "Steps",
    "weights": "Weights of its own for each photo",
    "memory": "Memory and time",
    "learned": "Learned restorers",
    "hot": "Metrics, e-GLASS, training",
}
TIMES = {
    "generator": "ms",
    "steps": "ms",
    "weights": "step_ms",
    "memory": "ms_a_photo_step",
    "learned": "ms",
    "hot": "ms",
}
Rows = list[dict[str, Any]]


def read(file: str | None) -> dict[str, Rows]:
    """The tables of another run's benchmark.json, {} for None. Raises ValueError for
    another file."""
    if file is None:
        return {}
    expected = f"--compare={file}: expected the benchmark.json of another run, got"
    try:
        record = json.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{expected} {error}") from error
    found = record if isinstance(record, dict) else {}
    tables = {name: found[name] for name in TITLES if found.get(name)}
    if not tables:
        raise ValueError(f"{expected} none of its tables")
    for name, rows in tables.items():
        if not (isinstance(rows, list) and all(_has_time(name, row) for row in rows)):
            raise ValueError(f"{expected} a table {name} without {TIMES[name]} in every row")
    return tables


def _has_time(table: str, row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get(TIMES[table]), float)


def markdown(record: dict[str, Any], before: dict[str, Any] | None = None) -> str:
    """All tables of a record (benchmark.json) with three significant digits; each followed by its
    comparison with those of `before`."""
    rates = (
        f"matrix product {record['matrix_gflop_per_s']:.0f} GFLOP/s, copy "
        f"{record['copy_gb_per_s']:.1f} GB/s"
    )
    parts = [
        f"{record['device']}, jax {record['jax']}, {record['precision']}, prior "
        f"{record['prior']}: {rates}\n"
    ]
    for name, title in TITLES.items():
        parts += _table(title, record.get(name, []))
        parts += _table(
            f"{title}: before and now",
            compared(name, (before or {}).get(name, []), record.get(name, [])),
        )
    if before and not any("before and now" in part for part in parts):
        parts.append("The other run measured nothing that this one did.\n")
    return "\n".join(parts)


def compared(name: str, before: Rows, now: Rows) -> Rows:
    """A row for each program that both runs measured; a change is clear where it is more than both
    spreads together."""
    old = {_identity(row): row for row in before}
    rows = []
    for row in now:
        if (found := old.get(_identity(row))) is not None:
            pair = found[TIMES[name]], row[TIMES[name]]
            spread = found.get("spread_ms", 0.0) + row.get("spread_ms", 0.0)
            times = {"ms_before": pair[0], "ms_now": pair[1], "times_faster": pair[0] / pair[1]}
            rows.append(
                dict(_identity(row))
                | times
                | {"clear": "yes" if abs(pair[0] - pair[1]) > spread else ""}
            )
    return rows


def _identity(row: dict[str, Any]) -> tuple[tuple[str, str | int], ...]:
    """What is measured: all that is no measurement."""
    return tuple(
        (name, value)
        for name, value in row.items()
        if not isinstance(value, float) and name != "chosen"
    )


def _table(title: str, rows: Rows) -> list[str]:
    if not rows:
        return []
    short = [
        {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in row.items()}
        for row in rows
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return [
        f"{title}\n",
        report.markdown([{name: row.get(name, "") for name in columns} for row in short], columns),
    ]
