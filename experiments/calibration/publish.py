"""What a calibration leaves: calibration.json, photos.csv, table.md, index.html and pictures."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from evaluation import document
from restoration.intervals_made import Found

from calibration import figures
from calibration.figures import Table
from calibration.judged import Judged, is_covered, levels_of
from calibration.searches import Bench
from jaxsr import calibration, images, operators, plots
from jaxsr.calibration import Calibration
from jaxsr.records import files, report

FILE, PICTURE = "calibration.json", "photos.png"
COLUMNS = ("photo", "type", "level", "share_held", "covered", "mean_width", "spearman", "mse")
COLUMNS += ("mse_of_one", "true_psnr", "psnr_bound", "types", "fixed", "seen", "noise", "feasible")


def publish(
    bench: Bench,
    calibrated: Calibration,
    judged: Sequence[Judged],
    lost: Sequence[str],
    folder: Path,
) -> str:
    """Writes the report; returns it as text."""
    calibration.write(folder / FILE, calibrated)
    report.write_csv(folder / "photos.csv", _rows(calibrated, judged), COLUMNS)
    head = _head(bench, calibrated, lost)
    tables = figures.tables(calibrated, judged, bench.settings.num_solutions)
    text = _markdown(head, tables)
    files.write_text(folder / "table.md", text)
    drawn = [PICTURE] if draw(bench, calibrated, judged, folder / PICTURE) else []
    files.write_text(
        folder / "index.html", document.document("Calibration", _page(head, tables, drawn))
    )
    return text


def _head(bench: Bench, calibrated: Calibration, lost: Sequence[str]) -> list[str]:
    """What a reader must know before the figures."""
    settings, mark = bench.settings, bench.fingerprint
    levels = levels_of(calibrated)
    lines = [
        f"{settings.num_solutions} solutions by {mark['solutions']} of {mark['method']}, operator "
        f"{mark['operator']} ({mark['kernel']}), prior {mark['prior']}, consistency "
        f"{mark['consistency']}; floor of the deviation {calibrated.floor:.3g}, noise of the "
        f"measurements up to {255 * calibrated.noise:.2g} of 255.",
        *[calibrated.sentence(level) for level in levels],
    ]
    if not levels:
        lines.append("No level: too few photos, or too few that their solutions explain.")
    if lost:
        lines.append(f"{len(lost)} photos could not be used; the first: {lost[0]}")
    if settings.smoke:
        lines.append("A --smoke run: a few steps; the figures mean nothing.")
    return [*lines, f"Made by: {shlex.join(['python', *sys.argv])}"]


def _markdown(head: Sequence[str], tables: Sequence[Table]) -> str:
    parts = ["# Calibration", *head]
    for table in tables:
        lines = [table.columns, ["---"] * len(table.columns), *table.rows]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts += [f"## {table.title}", *([table.note] if table.note else []), body]
    parts += ["## Not covered", "\n".join(f"- {line}" for line in figures.NOT_COVERED)]
    return "\n\n".join(parts) + "\n"


def _page(head: Sequence[str], tables: Sequence[Table], drawn: Sequence[str]) -> list[str]:
    parts = [f"<p>{document.text(line)}</p>" for line in head]
    for table in tables:
        parts += [
            f"<h2>{document.text(table.title)}</h2><p>{document.text(table.note)}</p>",
            document.table(table.columns, table.rows),
        ]
    items = "".join(f"<li>{document.text(line)}</li>" for line in figures.NOT_COVERED)
    parts.append(f"<h2>Not covered</h2><ul>{items}</ul>")
    if drawn:
        parts.append("<h2>The best, the middle and the worst photo</h2>")
    return [*parts, *map(document.plot, drawn)]


def _rows(calibrated: Calibration, judged: Sequence[Judged]) -> list[dict]:
    """A row a photo and level."""
    rows = []
    for each in judged:
        about = {
            "photo": each.photo.name,
            "type": each.label,
            "spearman": each.spearman,
            "mse": each.mean,
            "mse_of_one": each.single,
            "true_psnr": each.psnr,
            "noise": each.photo.noise,
            "feasible": int(each.photo.feasible.sum()),
        }
        for level, found in each.found.items():
            held = {
                "level": level,
                "share_held": each.held[level],
                "covered": is_covered(each, calibrated, level),
            }
            rows.append(about | held | (_told(found) if found else {}))
    return rows


def _told(found: Found) -> dict:
    return {
        "mean_width": float(found.interval.width.mean()),
        "psnr_bound": found.psnr_bound,
        "types": " ".join(found.types),
        "fixed": found.shares.fixed,
        "seen": found.shares.seen,
    }


def draw(bench: Bench, calibrated: Calibration, judged: Sequence[Judged], path: Path) -> bool:
    """Writes the photos of which most, the middle share and least is held; whether there is one."""
    levels = levels_of(calibrated)
    told = [each for each in judged if levels and each.found[_shown(levels)]]
    if not told:
        return False
    level = _shown(levels)
    order = sorted(told, key=lambda each: -each.held[level])
    chosen = {"best": order[0], "middle": order[len(order) // 2], "worst": order[-1]}
    operator = bench.fitter.operator(bench.factor)
    rows, captions = [], []
    for name, each in chosen.items():
        found = each.found[level]
        assert found is not None
        width = np.repeat(found.interval.width[..., None], 3, 2)
        missed = (each.photo.truth < found.interval.lower) | (
            each.photo.truth > found.interval.upper
        )
        rows.append(
            [
                np.clip(np.asarray(operators.as_image(operator, each.photo.y)), 0, 1),
                each.photo.solutions[int(np.argmax(each.photo.feasible))],
                found.spread.mean,
                found.interval.lower,
                found.interval.upper,
                width,
                missed.astype(np.float32),
                each.photo.truth,
            ]
        )
        captions.append(f"{name}: {each.photo.name}, {each.held[level]:.1%} held at {level:g}")
    columns = ["input", "first result", "mean", "lower", "upper", "width (white 1)", "missed"]
    picture = plots.grid(rows, columns=[*columns, "real photo"], captions=captions, cell=128)
    images.write(path, picture)
    return True


def _shown(levels: Sequence[float]) -> float:
    return figures.REPORTED if figures.REPORTED in levels else levels[-1]
