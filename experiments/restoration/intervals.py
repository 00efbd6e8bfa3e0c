"""What may be believed of the results of a run: a lower and an upper picture of each photo, the map
of widths, and a table of what the photo fixes."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsr import calibration, images
from jaxsr.calibration import Calibration
from jaxsr.records import report
from restoration import intervals_made
from restoration.intervals_fingerprint import differences, fingerprint
from restoration.intervals_made import Found, TypeReader
from restoration.jobs import Job
from restoration.options import out_folder
from restoration.plan import Plan
from restoration.work import noise_of

TABLE, KINDS = "intervals.csv", ("lower", "upper", "width")
COLUMNS = ("file", "name", "level", "share", "calibrated_on", "mean_width", "fixed", "seen")
COLUMNS += ("psnr_bound", "types", "share_held", "noise", "status", "error")


class Wanted(NamedTuple):
    """The level and the calibration that intervals are made with, the network that reads types,
    and factor -> what the operator sees of a picture."""

    level: float
    calibrated: Calibration
    reader: TypeReader | None
    seen: dict[int, Callable[[np.ndarray], np.ndarray]]


def prepare(plan: Plan) -> Wanted | None:
    """What --interval and --calibration ask for; None where they do not.

    Raises:
        ValueError: the calibration is of other settings than the run (each is named), has too few
            photos for the level, or a picture would replace a photo.
    """
    settings = plan.settings
    if settings.interval is None or settings.calibration is None:
        return None
    calibrated = calibration.read(settings.calibration)
    _check_fingerprint(plan, calibrated)
    reader = intervals_made.type_reader() if calibrated.features else None
    if reader and reader.digest != calibrated.features:
        raise ValueError(
            f"--calibration={settings.calibration}: types were read by another feature network "
            "than the one that comes with this version: calibrate anew"
        )
    for group in (None, *calibrated.types):
        _factor(plan, calibrated, group)
    _check_targets(plan)
    seen = {f: intervals_made.seen_by(plan.fitter.operator(f)) for f in plan.methods}
    return Wanted(settings.interval, calibrated, reader, seen)


def _factor(plan: Plan, calibrated: Calibration, group: str | None) -> float:
    settings = plan.settings
    try:
        return calibrated.factor(settings.interval or math.nan, group)
    except ValueError as error:
        raise ValueError(f"--calibration={settings.calibration}: {error}") from error


def _check_fingerprint(plan: Plan, calibrated: Calibration) -> None:
    for factor, method in plan.methods.items():
        used = fingerprint(
            plan.settings, plan.prior, plan.params, plan.fitter.operator(factor), method
        )
        different = differences(calibrated.fingerprint, used)
        if different:
            others = f" and {len(different) - 3} more" if len(different) > 3 else ""
            raise ValueError(
                f"--calibration={plan.settings.calibration} is of other settings: "
                f"{', '.join(different[:3])}{others}: calibrate with these, or ask for those"
            )


def _check_targets(plan: Plan) -> None:
    folder = out_folder(plan.settings)
    targets = {path.resolve() for jobs in groups(plan) for path in _paths(folder, jobs)}
    read = [job.photo.file for job in plan.jobs if Path(job.photo.file).resolve() in targets]
    if read:
        raise ValueError(f"an interval would replace the photo {read[0]}: choose another --out")
    there = [path for path in sorted(targets) if path.exists()]
    if there and not (folder / TABLE).exists():
        raise ValueError(
            f"{there[0]} exists and no {TABLE} tells what made it: choose another --out"
        )


def groups(plan: Plan) -> list[list[Job]]:
    """The jobs of each photo."""
    count = plan.settings.num_solutions
    return [plan.jobs[i : i + count] for i in range(0, len(plan.jobs), count)]


def name_of(jobs: Sequence[Job]) -> str:
    """What the pictures of a photo are named after: the names of its results without their
    numbers, in which alone the first two differ."""
    first, *others = [Path(job.output).stem for job in jobs[:2]]
    if not others:
        return first
    letters = zip(first, others[0], strict=True)
    number = next(i for i, (one, other) in enumerate(letters) if one != other)
    return first[: number - len("_s")] + first[number + 1 :]


def _paths(folder: Path, jobs: Sequence[Job]) -> list[Path]:
    return [folder / f"{name_of(jobs)}_{kind}.png" for kind in KINDS]


def write_all(run: report.Run, plan: Plan, wanted: Wanted) -> str:
    """Writes the pictures of every photo from its results in the folder, as their 8 or 16 bits
    hold them, and the table; returns what is to be told."""
    rows = [_write(run, plan, wanted, jobs) for jobs in groups(plan)]
    report.write_csv(run.folder / TABLE, rows, COLUMNS)
    return _summary(rows, run.folder, wanted)


def _write(run: report.Run, plan: Plan, wanted: Wanted, jobs: Sequence[Job]) -> dict:
    """The row of a photo; pictures that it no longer has are removed."""
    about = {
        "file": jobs[0].photo.file,
        "name": name_of(jobs),
        "level": wanted.level,
        "share": wanted.calibrated.share,
        "calibrated_on": len(wanted.calibrated.scores),
        "noise": noise_of(jobs[0], plan.settings),
    }
    found, problem = _found(run, plan, wanted, jobs)
    if found is None:
        for path in _paths(run.folder, jobs):
            path.unlink(missing_ok=True)
        return {**about, "status": "error", "error": problem}
    bounds = intervals_made.rounded_outwards(found.interval)
    pictures = (bounds.lower, bounds.upper, intervals_made.width_map(found.interval))
    for path, picture in zip(_paths(run.folder, jobs), pictures, strict=True):
        images.write(path, picture, marks=images.of_run(run.folder))
    return {
        **about,
        "mean_width": float(found.interval.width.mean()),
        "fixed": found.shares.fixed,
        "seen": found.shares.seen,
        "psnr_bound": found.psnr_bound,
        "types": " ".join(found.types),
        **_held(jobs[0], found),
        "status": "ok",
    }


def _held(job: Job, found: Found) -> dict:
    """Which share of a reference the interval holds, where there is one."""
    if not job.photo.is_reference:
        return {}
    try:
        truth = job.photo.read()[1]
    except (ValueError, OSError):  # the row of the result says so
        return {}
    return {} if truth is None else {"share_held": calibration.covered_share(truth, found.interval)}


def _found(
    run: report.Run, plan: Plan, wanted: Wanted, jobs: Sequence[Job]
) -> tuple[Found | None, str]:
    """What the calibration says of a photo, or why it says nothing."""
    photo, most = jobs[0].photo, wanted.calibrated.noise
    there = sum(run.is_there(job.output) for job in jobs)
    if there < len(jobs):
        return None, f"{photo.file}: {len(jobs) - there} of its {len(jobs)} solutions are missing"
    if photo.noise > most:
        return None, (
            f"{photo.file}: noise of {255 * photo.noise:.3g} of 255 was found, more than the "
            f"{255 * most:.3g} of the photos that calibrated"
        )
    solutions = np.stack([images.read(run.folder / job.output) for job in jobs])
    feasible = np.array([report.cell(run.rows[job.output]["feasible"]) == "yes" for job in jobs])
    found = intervals_made.find(
        wanted.calibrated,
        wanted.level,
        solutions,
        feasible,
        seen=wanted.seen[photo.factor],
        reader=wanted.reader,
    )
    return found, f"{photo.file}: no two solutions explain it; it counts as missed"


def _summary(rows: Sequence[dict], folder: Path, wanted: Wanted) -> str:
    made = [row for row in rows if row["status"] == "ok"]
    lines = [wanted.calibrated.sentence(wanted.level)]
    if made:
        typed = [row["types"].split() for row in made if row["types"]]
        types = f", {np.mean([*map(len, typed)]):.2g} types possible" if typed else ""
        lines.append(
            f"intervals of {len(made)} photos (*_lower.png, *_upper.png, *_width.png): mean width "
            f"{report.mean(made, 'mean_width'):.3g}, the photo fixes "
            f"{report.mean(made, 'fixed'):.0%} of a picture's contrast and the prior filled in the "
            f"rest{types}; {folder / TABLE}"
        )
    without = [row for row in rows if row["status"] != "ok"]
    if without:
        lines.append(f"{len(without)} photos have no interval; the first: {without[0]['error']}")
    return "\n".join(lines)


def remove(folder: Path, kept: Sequence[str]) -> None:
    """Removes the pictures that the table of an earlier run names, but not those `kept`, and the
    table."""
    stay = {Path(file).resolve() for file in kept}
    if not (folder / TABLE).is_file():
        return
    for row in report.read_csv(folder / TABLE):
        name = row.get("name", "")
        if name and Path(name).name == name:
            pictures = [folder / f"{name}_{kind}.png" for kind in KINDS]
            for picture in pictures:
                if picture.resolve() not in stay:
                    picture.unlink(missing_ok=True)
    (folder / TABLE).unlink(missing_ok=True)
