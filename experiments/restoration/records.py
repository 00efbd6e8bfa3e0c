"""What a restoration leaves beside its pictures: config.json, a row a result, and what it says."""

import importlib.metadata
import math
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import jax

from jaxsr import flags, images, resample, weights
from jaxsr.operators import OPERATORS
from jaxsr.records import report
from restoration import fitting, free, pictures, scores, tolerances
from restoration.options import Settings, named_otherwise, out_folder
from restoration.plan import Plan

KERNELS = get_args(resample.Kernel)
FILES = ("results.csv", "config.json", pictures.GRID, pictures.TRAJECTORY)
PACKAGES = ("jaxsr-gan", "jax", "jaxlib", "optax", "numpy", "pillow")
FIXED = (
    "method",
    "model",
    "preset",
    "network",
    "consistency",
    "noise",
    "eps",
    "operator",
    "kernel",
    "factor",
    "fit",
    "white",
    "depth",
    "seed",
    "precision",
    "num_solutions",
    "smoke",
)
COLUMNS = (
    "file",
    "output",
    "solution",
    "method",
    "factor",
    "seconds",
    "residual",
    "feasible",
    *scores.SCORES,
    "top_octave",
    "residual_before",
    *free.COLUMNS,
    "noise",
    "eps",
    "eps_terms",
    "whiteness",
    "steps_made",
    "top_octave_reference",
    "fit",
    "remark",
    "status",
    "error",
    "digest",
)
MEANS = {"residual": "residual"} | {name: name.upper() for name in scores.SCORES}


def start_run(plan: Plan) -> report.Run:
    """The folder's table and record, those of an earlier run with the same settings gone on with.

    Raises:
        ValueError: the run would write over a photo, or over what no run made.
    """
    settings = plan.settings
    check_targets(plan)
    drawn = [pictures.GRID, pictures.TRAJECTORY] if settings.trajectory else [pictures.GRID]
    order = [name for source in plan.sources for name in source.outputs]
    return report.open_run(
        out_folder(settings),
        describe(plan),
        COLUMNS,
        order,
        pictures=drawn,
        overwrite=settings.overwrite,
    )


def check_targets(plan: Plan) -> None:
    """Raises ValueError when a file that is written, or that --overwrite removes, is a photo that
    is read."""
    folder, overwrite = out_folder(plan.settings), plan.settings.overwrite
    removed = [name for name in report.results(folder) if name] if overwrite else []
    written = [job.output for job in plan.jobs]
    targets = {(folder / name).resolve() for name in (*written, *removed, *FILES)}
    for job in plan.jobs:
        if Path(job.photo.file).resolve() in targets:
            raise ValueError(
                f"the run would replace or remove the photo {job.photo.file}: choose another --out"
            )


def describe(plan: Plan) -> dict:
    """What config.json holds. A run goes on only in a folder where "settings", and the "values" of
    each factor, are the same."""
    settings, prior = plan.settings, plan.prior
    fixed = {name: getattr(settings, name) for name in FIXED}
    fixed |= named_otherwise(settings)
    fixed |= {
        "mask": fitting.mask_digest(settings.mask),
        "free": flags.names("free", settings.free),
        "prior": prior.info.name,
        "prior_sha256": weights.digest(plan.params),
    }
    versions = {name: _version(name) for name in PACKAGES}
    photos = {job.output: job.photo for job in plan.jobs}
    return {
        "settings": fixed,
        "prior": {"source": plan.source, **prior.info._asdict()},
        "values": {f"factor {factor}": method.values for factor, method in plan.methods.items()},
        "batch_size": settings.batch_size,
        "command": shlex.join(["python", *sys.argv]),
        "versions": {"python": platform.python_version(), **versions},
        "device": f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}",
        "photos": {
            output: {"file": photo.file, "factor": photo.factor, "fit": photo.fit}
            for output, photo in photos.items()
        },
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def announce(plan: Plan, done: int) -> None:
    """Says what will be done, how photos were changed, and which cannot be used."""
    settings, info = plan.settings, plan.prior.info
    facts = ", ".join(filter(None, [f"{info.resolution} px", info.domain]))
    kernel = f" ({settings.kernel})" if OPERATORS[settings.operator].takes_factor else ""
    print(f"prior {info.name} ({facts}), operator {settings.operator}{kernel}")
    for factor, method in plan.methods.items():
        at = f" at {factor}x" if len(plan.methods) > 1 else ""
        print(f"method{at}: {method.name}, preset {method.values['preset']} ({method.why})")
    print(f"{len(plan.jobs)} results to make, {done} of them done before")
    changed = {job.photo.file: job.photo.fit for job in plan.jobs if job.photo.fit}
    for file, change in changed.items():
        print(f"{file}: {change}")
    told = {job.photo.file: job.photo.remarks for job in plan.jobs}
    print("".join(f"{line}\n" for line in images.summary(told)), end="")
    for row in plan.unusable:
        print(f"cannot use {row['error']}")


def summarise(run: report.Run, plan: Plan, refused: Sequence[Mapping]) -> str:
    """The lines that end a run; `refused`: rows of photos that got no result here."""
    rows = [run.rows[job.output] for job in plan.jobs]
    done = [row for row in rows if row["status"] == "ok"]
    lost = [row for row in (*refused, *rows) if row["status"] == "error"]
    lines = [_means(done), *_moved(done, plan.settings), *tolerances.summary(done)]
    if lost:
        lines.append(
            f"{len(lost)} not restored; {run.folder / 'results.csv'} says why, the first: "
            f"{lost[0]['error']}"
        )
    measured = [run.rows[job.output] for job in plan.jobs if not job.photo.is_reference]
    if report.share(measured, "feasible") < 0.5 and not plan.settings.smoke:
        lines.append(_hint(plan))
    return "\n".join(lines)


def _means(rows: Sequence[report.Row]) -> str:
    if not rows:
        return "no result"
    means = [
        f"{title} {told}" for name, title in MEANS.items() if (told := _finite_mean(rows, name))
    ]
    scored = [row for row in rows if report.cell(row.get("top_octave_reference"))]
    of_references = report.mean(scored, "top_octave_reference")
    if of_references > 0:
        share = report.mean(scored, "top_octave") / of_references
        means.append(f"top-octave power {share:.2g} of the references'")
    feasible = f"{report.share(rows, 'feasible'):.0%} feasible"
    return f"{len(rows)} results, {feasible}; mean {', '.join(means)}"


def _finite_mean(rows: Sequence[report.Row], column: str) -> str:
    """A column's mean without the infinite PSNR of results that equal their reference, which are
    told; "" where no row has a number."""
    finite = [row for row in rows if report.cell(row.get(column)) != "inf"]
    mean = report.mean(finite, column)
    told = "" if math.isnan(mean) else f"{mean:.4g}"
    if len(finite) == len(rows):
        return told
    return f"{told or 'inf'} ({len(rows) - len(finite)} equal their reference: infinite, left out)"


WHY = {
    "auto": "moved to explain the photos as far as their noise allows",
    "exact": "moved to explain the photos exactly, their noise included",
}


def _moved(rows: Sequence[report.Row], settings: Settings) -> list[str]:
    """What was done to the results after the search, and why."""
    noises = [float(report.cell(row["noise"])) for row in rows]
    if settings.consistency not in WHY or not noises:
        return []
    low, high = (f"{255 * noise:.3g}" for noise in (min(noises), max(noises)))
    noise = f"noise {low if low == high else f'{low} to {high}'} of 255"
    before = report.mean(rows, "residual_before")
    return [f"{WHY[settings.consistency]} ({noise}): mean residual {before:.2g} before"]


def _hint(plan: Plan) -> str:
    """Why the results of most photos may not explain them."""
    settings = plan.settings
    if OPERATORS[settings.operator].takes_factor:
        otherwise = (
            f"made small by another kernel than --kernel={settings.kernel} (there are "
            f"{', '.join(KERNELS)})"
        )
    else:
        otherwise = f"changed otherwise than --operator={settings.operator} says"
    domain = plan.prior.info.domain or "see its card"
    return (
        f"hint: most results do not match their photo: it may have been {otherwise}, or show "
        f"something else than the prior does ({domain})"
    )
