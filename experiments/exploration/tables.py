"""From rows of `explore_benchmark.py` to its tables: medians over photos with the middle half,
beside what the paper prints."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from evaluation import printed

from jaxsr.records import report

Row = Mapping
RATHER = 0.5
FIGURES = (
    "The paper's residuals, on other data: 256 to 32 px with BigGAN raw v^8 and v^12 0.024 to "
    "0.045, Algorithm 1 0.0029 to 0.0048, PULSE 0.0018 to 0.003 (its Figure 2); inpainting with "
    "PGGAN raw v^8 and v^26 0.0039 to 0.0047, Algorithm 1 0.0012 to 0.002, PULSE 0.00013 to "
    "0.00015 (its Figure 3)."
)


def markdown(rows: Sequence[Row], about: str) -> str:
    """Every table that there are rows for."""
    parts = [f"{about}. Medians over photos, in brackets the middle half.\n"]
    for table, make in TABLES.items():
        mine = [row for row in rows if row["table"] == table and row["status"] == "ok"]
        parts += make(mine) if mine else []
        failed = [row for row in rows if row["table"] == table and row["status"] != "ok"]
        parts += (
            [f"{len(failed)} photos have no row, the first because: {failed[0]['error']}\n"]
            if failed
            else []
        )
    return "\n".join(parts)


def _ways(rows: Sequence[Row]) -> list[str]:
    parts = ["## Ways at equal perceptual distance\n"]
    for condition, group in _grouped(rows, "condition"):
        raw = {
            (row["photo"], row["distance"]): row["change"]
            for row in group
            if row["way"] == "vk" and row["reached"] >= RATHER
        }
        lines = [_way(group, name, raw) for name in dict.fromkeys(row["name"] for row in group)]
        parts += [f"### {condition}\n", report.markdown(lines, list(lines[0]))]
    return [*parts, FIGURES + "\n"]


def _way(group: Sequence[Row], name: str, raw: Mapping[tuple[str, float], float | None]) -> dict:
    """A way's line: how much the measurement changes, and how many times less than along raw v^K on
    the same photo, where at least half of the walks of both are as far."""
    mine = [row for row in group if row["name"] == name]
    pairs = [
        (raw.get((row["photo"], row["distance"])), row["change"])
        for row in mine
        if row["reached"] >= RATHER
    ]
    less = [vk / change for vk, change in pairs if vk and change]
    return {
        "way and distance": name,
        "photos": sum(row["change"] is not None for row in mine),
        "walks that are as far": f"{np.mean([row['reached'] for row in mine]):.0%}",
        "measurement's change": _middle(row["change"] for row in mine),
        "residual": _middle(row["residual"] for row in mine),
        "at the start": _middle(row["residual_at_start"] for row in mine),
        "times less than v^K": _middle(less),
        "step / radius": _middle(row["step"] for row in mine),
        "k": _middle(row["relevant"] for row in mine),
    }


def _restarts(rows: Sequence[Row]) -> list[str]:
    parts = [f"## Seconds to {rows[0]['wanted']} solutions\n"]
    for condition, group in _grouped(rows, "condition"):
        ours = {row["photo"]: row for row in group if row["name"] == "e-GLASS"}
        lines = [
            _seconds(group, name, ours) for name in dict.fromkeys(row["name"] for row in group)
        ]
        parts += [f"### {condition}\n", report.markdown(lines, list(lines[0]))]
    names = ("", *printed.EGLASS1.columns)
    theirs = report.markdown(
        [dict(zip(names, row, strict=True)) for row in printed.EGLASS1.rows], names
    )
    return [*parts, f"As printed, other data: {printed.EGLASS1.heading}\n", theirs]


def _seconds(group: Sequence[Row], name: str, ours: Mapping[str, Row]) -> dict:
    """Seconds and ratios of the photos where all that was wanted was found, ratios where e-GLASS
    found it too."""
    mine = [row for row in group if row["name"] == name]
    whole = [row for row in mine if row["solutions"] >= row["wanted"]]
    known = [
        (row, ours[row["photo"]])
        for row in whole
        if row["photo"] in ours and ours[row["photo"]]["solutions"] >= row["wanted"]
    ]
    parts = {
        part: _middle(row.get(f"{part}_s") for row in whole)
        for part in ("inversion", "geometry", "walks")
    }
    others = [] if name == "e-GLASS" else known
    return {
        "": name,
        "photos": len(mine),
        "of which all found": len(whole),
        "seconds": _middle(row["seconds"] for row in whole),
        **parts,
        "solutions": _middle(row["solutions"] for row in mine),
        "runs or walks": _middle(row["runs"] for row in mine),
        "residual": _middle(row["residual"] for row in mine),
        "apart": _middle(row["apart"] for row in mine),
        "over e-GLASS": _middle(row["seconds"] / us["seconds"] for row, us in others),
        "over e-GLASS after its first solution": _middle(
            row["seconds"] / (us["seconds"] - us["inversion_s"]) for row, us in others
        ),
    }


def _figures(rows: Sequence[Row]) -> list[str]:
    parts = ["## Residuals of the figures' pictures\n"]
    for condition, group in _grouped(rows, "condition"):
        lines = [
            {
                "": name,
                "photos": len(mine),
                "lowest residual": _middle(row["lowest"] for row in mine),
                "highest residual": _middle(row["highest"] for row in mine),
            }
            for name, mine in _grouped(group, "name")
        ]
        parts += [f"### {condition}\n", report.markdown(lines, list(lines[0]))]
    return [*parts, FIGURES + "\n"]


def _cost(rows: Sequence[Row]) -> list[str]:
    names = (
        "latent",
        "dimensions",
        "resolution",
        "solver",
        "compile_s",
        "seconds",
        "of",
        "peak_mb",
        "before_mb",
        "k",
        "products",
    )
    lines = [{name: _short(row.get(name)) for name in names} for row in rows]
    return ["## Cost of both metrics' eigenvectors\n", report.markdown(lines, names)]


TABLES: dict[str, Callable[[Sequence[Row]], list[str]]] = {
    "ways": _ways,
    "restarts": _restarts,
    "figures": _figures,
    "cost": _cost,
}


def _grouped(rows: Sequence[Row], name: str) -> list[tuple[str, list[Row]]]:
    return [
        (value, [row for row in rows if row[name] == value])
        for value in dict.fromkeys(row[name] for row in rows)
    ]


def _middle(values: Iterable[float | None]) -> str:
    """ "3.1 [2.2, 4]" """
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, median, high = np.percentile(known, [25, 50, 75])
    return f"{median:.3g}" if low == high else f"{median:.3g} [{low:.3g}, {high:.3g}]"


def _short(value: object) -> object:
    return float(f"{value:.3g}") if isinstance(value, float) else "" if value is None else value
