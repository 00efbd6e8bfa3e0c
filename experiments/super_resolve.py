"""Restores low-resolution photos with a GAN prior and writes them, a grid and a table.

    python experiments/super_resolve.py  # the bundled prior on its bundled examples, into results/
    # a folder, a file or a quoted pattern; repeatable
    python experiments/super_resolve.py --input=photos --out=restored
    # sharp photos: degraded, restored, scored against
    python experiments/super_resolve.py --reference=photos --factor=8
    # two photos, a few steps: a minute, nearly all of it compiling
    python experiments/super_resolve.py --smoke

OUT holds <name>.png for each photo (<name>_s0.png, <name>_s1.png, ... with several solutions),
grid.png, results.csv with a row for each, and config.json with every setting. Two photos of one
name become <name> and <name>_2. Results are written as they are done; the same command again does
only what is missing, whatever stopped it. A photo that cannot be used gets a row that says why.

A low-resolution photo must be a square with the prior's resolution over a whole number on a side.
What is over that is cropped away around the centre (--fit=crop), or what is missing is filled up
(--fit=pad), and the table says what was done. PSNR and SSIM are of the 8-bit RGB image written, all
of it, against the reference at the prior's resolution; the residual is the mean squared difference
between the low-resolution photo and the result brought to its size, before rounding; seconds are a
batch's wall time (the first includes compiling) over its photos.

Many hosts share the photos with --part: each takes every COUNTth, writes into a folder of its own
in OUT (part-03-of-64/), and never waits for another once it knows its number. So a lost host costs
the photos that it had not finished, and the same command on any host makes them up:

    # the fourth of 64 hosts
    python experiments/super_resolve.py --input=photos --part=3/64 --out=restored
    # hosts that jax.distributed finds
    srun -n 64 python experiments/super_resolve.py --input=photos --part=auto

On one host all devices share each batch; how many cores a CPU has, up to 8, does not change a
result. Nothing of this was measured on accelerators.
"""

import dataclasses
import importlib.metadata
import math
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import jax
import numpy as np
from restoration import hosts, inputs, pictures, scores
from restoration.inputs import Job
from tqdm import tqdm

from jaxsr import flags, images, loading, operators, resample, weights
from jaxsr.methods import METHODS, setups
from jaxsr.methods.setups import Setup
from jaxsr.operators import OPERATORS
from jaxsr.priors import Prior
from jaxsr.records import report
from jaxsr.records.files import only_here
from jaxsr.search import Solve, restore_batches
from jaxsr.types import Params, Result

KERNELS = get_args(resample.Kernel)
SMOKE_PHOTOS = 2
RECORDS = ("results.csv", "config.json")
BATCHES_READ = 64  # batches whose photos are held at once
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
)
COLUMNS += ("residual_before", "top_octave_reference", "fit", "status", "error", "digest")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to restore and how.

    Attributes:
        input: Low-resolution photos: a file, a folder or a quoted pattern; repeatable. Default: the
            prior's examples.
        reference: High-resolution photos instead of --input, given likewise: the centre square is
            brought to the prior's resolution (area average), degraded, rounded to 8 bits, restored
            and scored against.
        prior: A bundled prior's name, or a folder written by training or ports/convert.py; the
            latter has no examples and needs --input or --reference. Default: the best bundled one.
        method: {methods}; laren and glean want a network trained for the prior and the operator.
        model: Folder of the trained network of laren or glean (train_laren.py). Default: the
            bundled one, where there is one.
        preset: Settings of the method: paper, code (those of the authors' release) or scaled
            (RLSE).
        network: What perceptual terms see with: vgg (LPIPS, published weights) or features
            (bundled). Default: the preset's.
        exact: Project each result onto the images that explain the measurement exactly, before it
            is clipped and rounded to 8 bits; the table tells the residual before.
        operator: What the photos lack: {operators}. With all but the first, photos are of the
            prior's size; one that measures no picture is for --reference.
        mask: For inpainting, a picture of the photos' proportions: white where pixels are missing,
            else black. Default: the centre is.
        kernel: How the photos were made small: bicubic, bicubic_matlab, bicubic_pulse, box or
            bilinear.
        factor: Enlargement. Default: the prior's resolution over the photo's side; 8 for
            --reference.
        part: Where many hosts share the photos, which of them this one restores: INDEX/COUNT, 0/64
            the first of 64, or auto for what jax.distributed finds out (TPU slices, Slurm, Open
            MPI, Kubernetes). Each part gets a folder of its own in OUT.
        out: Folder for the results. Default: results (results_smoke with --smoke).
        seed: Another seed gives other random starts.
        batch_size: Photos at once; bounds the memory. Less than there are devices (CPU cores) is
            another program with other roundings, which a search can carry on to another picture.
        precision: What convolutions compute in on an accelerator: float32, tf32 or bfloat16, the
            faster the coarser.
        num_solutions: Results for each photo; number i is the one that --seed=SEED+i gives.
        fit: What to do with sides that no factor fits; references are always cropped.
        trajectory: Also draw how the search of the first photo went: OUT/trajectory.webp. Searches
            it once more.
        overwrite: Start anew in a folder that holds other results.
        progress: A progress bar on stderr.
        smoke: Two photos and a few steps, to see that everything runs.
    """

    input: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    prior: str | None = None
    method: str = "rls_plus"
    model: str | None = None
    preset: str = "paper"
    network: Literal["vgg", "features"] | None = None
    exact: bool = False
    operator: str = "downsample"
    mask: str | None = None
    kernel: str = "bicubic"
    factor: int | None = None
    part: str | None = None
    out: str | None = None
    seed: int = 0
    batch_size: int = 8
    precision: flags.Precision = "float32"
    num_solutions: int = 1
    fit: Literal["crop", "pad"] = "crop"
    trajectory: bool = False
    overwrite: bool = False
    progress: bool = True
    smoke: bool = False


def check(settings: Settings) -> None:
    """Raises ValueError for a name or a number that makes no sense, or an output folder that cannot
    be written."""
    flags.choose(settings.method, METHODS, "method")
    flags.choose(
        settings.preset, METHODS[settings.method].Config.PRESETS, f"preset of {settings.method}"
    )
    asked(settings).check()
    if (
        not settings.input
        and not settings.reference
        and not OPERATORS[settings.operator].takes_factor
    ):
        raise ValueError(
            f"--operator={settings.operator} needs --input or --reference: the prior's "
            "examples are small photos"
        )
    if settings.network is not None and not hasattr(METHODS[settings.method].Config, "network"):
        raise ValueError(
            f"--network={settings.network} is for methods with a perceptual term, and "
            f"{settings.method} has none: leave it out"
        )
    if settings.model is not None and METHODS[settings.method].kind != "learned":
        raise ValueError(
            f"--model={settings.model} is for laren and glean, not for {settings.method}: "
            "leave it out"
        )
    flags.require(
        settings,
        {"factor": 2, "seed": 0, "batch_size": 1, "num_solutions": 1},
        ("input", "reference", "prior", "model", "mask", "out"),
    )
    report.check_writable(out_folder(settings))


def asked(settings: Settings) -> inputs.Asked:
    return inputs.Asked(settings.operator, settings.factor, settings.kernel, settings.mask)


def out_folder(settings: Settings) -> Path:
    return Path(settings.out or ("results_smoke" if settings.smoke else "results"))


def make_solve(
    prior: Prior, params: Params, operator: operators.Operator, settings: Settings
) -> tuple[Solve, Params, dict]:
    """The method for one operator, the parameters with the networks that it needs, and all of its
    settings.

    Raises:
        ValueError: the prior lacks what the method needs, or weights are not on this machine.
    """
    setup = Setup(
        method=settings.method,
        preset=settings.preset,
        network=settings.network,
        solutions=settings.num_solutions,
        exact=settings.exact,
        smoke=settings.smoke,
        settings={"model": settings.model} if settings.model else {},
    )
    solve, params = setups.make_solve(prior, params, operator, setup)
    return solve, params, setups.values_of(setup, prior, operator)


def make_solves(
    prior: Prior, params: Params, fitter: inputs.Fitter, jobs: Sequence[Job], settings: Settings
) -> tuple[dict[int, tuple[Solve, Params, dict]], list[Job], list[dict]]:
    """factor -> what `make_solve` gives; the jobs of those factors; and a row for each job of a
    factor that the method does not serve.

    Raises:
        ValueError: it serves none.
    """
    solves, problems = {}, {}
    for factor in sorted({job.photo.factor for job in jobs}):
        try:
            solves[factor] = make_solve(prior, params, fitter.operator(factor), settings)
        except ValueError as error:
            problems[factor] = str(error)
    lost = [job for job in jobs if job.photo.factor in problems]
    if not solves:
        raise ValueError(problems[lost[0].photo.factor])
    told = {"status": "error", "method": settings.method}
    rows = [
        {
            "file": job.photo.file,
            "output": job.output,
            "error": f"{job.photo.file}: {problems[job.photo.factor]}",
            **told,
        }
        for job in lost
    ]
    return solves, [job for job in jobs if job.photo.factor in solves], rows


def describe(
    source: str, prior: Prior, params: Params, values: dict, jobs: Sequence[Job], settings: Settings
) -> dict:
    """What config.json holds. A run goes on only in a folder where "settings", and the "values" of
    each factor, are the same."""
    names = (
        "method",
        "model",
        "preset",
        "network",
        "exact",
        "operator",
        "mask",
        "kernel",
        "factor",
        "fit",
        "seed",
        "precision",
        "num_solutions",
        "smoke",
    )
    fixed = {name: getattr(settings, name) for name in names} | {
        "mask": inputs.mask_digest(settings.mask)
    }
    packages = ("jaxsr-gan", "jax", "jaxlib", "optax", "numpy", "pillow")
    return {
        "settings": {"prior": prior.info.name, "prior_sha256": weights.digest(params), **fixed},
        "prior": {"source": source, **prior.info._asdict()},
        "values": {f"factor {factor}": value for factor, value in values.items()},
        "batch_size": settings.batch_size,
        "command": shlex.join(["python", *sys.argv]),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in packages},
        },
        "device": f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}",
        "photos": {
            job.output: {"file": job.photo.file, "factor": job.photo.factor, "fit": job.photo.fit}
            for job in jobs
        },
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def check_targets(folder: Path, jobs: Sequence[Job], *, overwrite: bool) -> None:
    """Raises ValueError when a file that is written, or that --overwrite removes, is a photo that
    is read or, by the folder's table, the result of another photo."""
    rows = report.results(folder)
    removed = [name for name in rows if name] if overwrite else []
    targets = {
        (folder / name).resolve()
        for name in (
            *(job.output for job in jobs),
            *removed,
            pictures.GRID,
            pictures.TRAJECTORY,
            *RECORDS,
        )
    }
    made = (
        {} if overwrite else {name: row for name, row in rows.items() if row.get("status") == "ok"}
    )
    for job in jobs:
        if Path(job.photo.file).resolve() in targets:
            raise ValueError(
                f"the run would replace or remove the photo {job.photo.file}: choose another --out"
            )
        row = made.get(job.output)
        if row and row.get("digest") != job.photo.digest and row.get("file") != job.photo.file:
            raise ValueError(
                f"{folder / job.output} is the result of {row.get('file')}, not of "
                f"{job.photo.file}: choose another --out or --overwrite"
            )


def save(folder: Path, job: Job, result: Result, seconds: float, method: str) -> dict:
    """Writes one result; returns its row, without scores when the reference can no longer be
    read."""
    row = {
        "file": job.photo.file,
        "output": job.output,
        "solution": job.solution,
        "method": method,
        "factor": job.photo.factor,
    }
    row |= {"seconds": seconds, "fit": job.photo.fit, "digest": job.photo.digest}
    if not np.isfinite(result.image).all():
        return row | {"status": "error", "error": f"{job.photo.file}: the search went to infinity"}
    images.write(folder / job.output, result.image)
    found = {"residual": float(result.residual), "feasible": bool(result.feasible), "status": "ok"}
    if "residual_before" in result.latent:
        found["residual_before"] = float(result.latent["residual_before"])
    reference, problem = None, {}
    if job.photo.is_reference:
        try:
            _, reference = job.photo.read()
        except (ValueError, OSError) as error:
            problem = {"error": f"not scored: {error}"}
    return (
        row
        | found
        | scores.score(images.to_uint8(result.image) / np.float32(255), reference)
        | problem
    )


def restore_jobs(
    run: report.Run, jobs: Sequence[Job], solve: Solve, params: Params, settings: Settings
) -> None:
    """Restores photos of one size; each batch is in the folder and in the table as soon as it is
    done."""
    start, done, told = time.perf_counter(), 0, 0.0
    for batch, results in _batches(run, jobs, solve, params, settings):
        seconds = (time.perf_counter() - start) / len(batch)
        each = [jax.tree.map(lambda leaf, row=row: leaf[row], results) for row in range(len(batch))]
        run.add(
            [
                save(run.folder, job, result, seconds, settings.method)
                for job, result in zip(batch, each, strict=True)
            ]
        )
        done += len(batch)
        # 10,000 fast results are not as many lines.
        if done == len(jobs) or time.perf_counter() - told > 1:
            told = time.perf_counter()
            where = (
                f"factor {jobs[0].photo.factor}"
                if OPERATORS[settings.operator].takes_factor
                else settings.operator
            )
            residual = (
                f"residual {np.mean(results.residual):.2g}, {np.mean(results.feasible):.0%} "
                "feasible"
            )
            tqdm.write(f"{where}: {done} of {len(jobs)} done, {seconds:.2g} s each, {residual}")
        start = time.perf_counter()


def _batches(
    run: report.Run, jobs: Sequence[Job], solve: Solve, params: Params, settings: Settings
) -> Iterator[tuple[list[Job], Result]]:
    """`restore_batches` with the photos of some batches read at once, so that memory does not grow
    with their number."""
    length = BATCHES_READ * settings.batch_size
    for first in range(0, len(jobs), length):
        read = _measurements(run, jobs[first : first + length], settings)
        if read:
            block, ys = list(read), np.stack(list(read.values()))
            seeds = [settings.seed + job.solution for job in block]
            batches = restore_batches(
                solve,
                params,
                ys,
                seed=seeds,
                batch_size=settings.batch_size,
                progress=settings.progress,
            )
            yield from (([block[i] for i in indices], results) for indices, results in batches)


def _measurements(
    run: report.Run, jobs: Sequence[Job], settings: Settings
) -> dict[Job, np.ndarray]:
    """The measurement of each job; one whose file is gone or has changed since the start gets its
    row instead."""
    read, lost = {}, []
    for job in jobs:
        try:
            read[job] = job.photo.read()[0]
        except (ValueError, OSError) as error:
            row = {
                "file": job.photo.file,
                "output": job.output,
                "solution": job.solution,
                "method": settings.method,
            }
            lost.append(row | {"status": "error", "error": str(error)})
    if lost:
        run.add(lost)
    return read


def summarise(
    run: report.Run, jobs: Sequence[Job], bad: Sequence[dict], prior: Prior, settings: Settings
) -> str:
    """The lines that end a run."""
    rows = [run.rows[job.output] for job in jobs]
    rows = [row for row in rows if row["status"] == "ok"]
    names = {"residual": "residual"} | {name: name.upper() for name in scores.SCORES}
    means = [
        f"{text} {report.mean(rows, name):.4g}"
        for name, text in names.items()
        if not math.isnan(report.mean(rows, name))
    ]
    scored = [row for row in rows if report.cell(row.get("top_octave_reference"))]
    if report.mean(scored, "top_octave_reference") > 0:
        kept = report.mean(scored, "top_octave") / report.mean(scored, "top_octave_reference")
        means.append(f"top-octave power {kept:.2g} of the references'")
    lines = (
        [
            f"{len(rows)} results, {report.share(rows, 'feasible'):.0%} feasible; mean "
            f"{', '.join(means)}"
        ]
        if rows
        else ["no result"]
    )
    lost = [
        row for row in [*bad, *(run.rows[job.output] for job in jobs)] if row["status"] == "error"
    ]
    lines += (
        [
            f"{len(lost)} not restored; {run.folder / 'results.csv'} says why, the first: "
            f"{lost[0]['error']}"
        ]
        if lost
        else []
    )
    real = [run.rows[job.output] for job in jobs if not job.photo.is_reference]
    if report.share(real, "feasible") < 0.5 and not settings.smoke:
        shrunk = (
            f"made small by another kernel than --kernel={settings.kernel} (there are "
            f"{', '.join(KERNELS)})"
        )
        why = (
            shrunk
            if OPERATORS[settings.operator].takes_factor
            else f"changed otherwise than --operator={settings.operator} says"
        )
        shows = f"show something else than the prior does ({prior.info.domain or 'see its card'})"
        lines.append(
            f"hint: most results do not match their photo: it may have been {why}, or {shows}"
        )
    return "\n".join(lines)


def main(settings: Settings) -> int:
    part = hosts.part(settings.part)
    if part is not None:
        settings = dataclasses.replace(settings, out=str(out_folder(settings) / part.name))
    source = settings.prior or loading.default_source()
    patterns = settings.input or (() if settings.reference else (inputs.example_folder(source),))
    files = inputs.find_files(patterns, settings.reference)[
        : SMOKE_PHOTOS if settings.smoke else None
    ]
    names = inputs.output_names(files, settings.num_solutions)
    if part is not None:
        files, names = files[part.index :: part.count], names[part.index :: part.count]
        if not files:
            print(f"{part.name}: nothing to do, there are fewer photos than parts")
            return 0
    check(settings)
    flags.cache_compilations()
    prior, params = loading.load_prior(source, dtype=flags.compute_in(settings.precision))
    references = any(file.is_reference for file in files)
    fitter = inputs.make_fitter(
        prior.info.resolution, asked(settings), settings.fit, references=references
    )
    jobs, unusable = inputs.load_jobs(files, names, fitter, progress=settings.progress)
    solves, jobs, refused = make_solves(prior, params, fitter, jobs, settings)
    unusable += refused
    config = describe(
        source,
        prior,
        params,
        {factor: values for factor, (_, _, values) in solves.items()},
        jobs,
        settings,
    )
    with only_here(out_folder(settings)):
        run = start_run(config, jobs, [name for group in names for name in group], settings)
        bad = [
            row | {"method": settings.method} for row in unusable if not run.is_there(row["output"])
        ]
        run.add(bad)
        missing = [job for job in jobs if not run.is_done(job.output, job.photo.digest)]
        announce(jobs, unusable, len(jobs) - len(missing), prior, settings)
        for factor in solves:
            group = [job for job in missing if job.photo.factor == factor]
            if group:
                restore_jobs(run, group, *solves[factor][:2], settings)
        run.put_in_order()
        print(summarise(run, jobs, bad, prior, settings))
        print(pictures.draw_grid(run, jobs, fitter, settings.num_solutions))
        if settings.trajectory and jobs:
            print(
                pictures.draw_trajectory(
                    run, jobs[0], *solves[jobs[0].photo.factor][:2], settings.seed
                )
            )
    return 0


def start_run(
    config: dict, jobs: Sequence[Job], order: Sequence[str], settings: Settings
) -> report.Run:
    out = out_folder(settings)
    check_targets(out, jobs, overwrite=settings.overwrite)
    drawn = [pictures.GRID, pictures.TRAJECTORY] if settings.trajectory else [pictures.GRID]
    return report.open_run(
        out, config, COLUMNS, order, pictures=drawn, overwrite=settings.overwrite
    )


def announce(
    jobs: Sequence[Job], bad: Sequence[dict], done: int, prior: Prior, settings: Settings
) -> None:
    """Says what will be done, what was cropped or padded, and which photos cannot be used."""
    facts = ", ".join(filter(None, [f"{prior.info.resolution} px", prior.info.domain]))
    told = settings.operator + (
        f" ({settings.kernel})" if OPERATORS[settings.operator].takes_factor else ""
    )
    print(
        f"prior {prior.info.name} ({facts}), method {settings.method}, preset "
        f"{settings.preset}, operator {told}"
    )
    print(f"{len(jobs)} results to make, {done} of them done before")
    changed = {job.photo.file: job.photo.fit for job in jobs if job.photo.fit}
    for line in [f"{file}: {fit}" for file, fit in changed.items()] + [
        f"cannot use {row['error']}" for row in bad
    ]:
        print(line)


if __name__ == "__main__":
    read_settings = flags.define(Settings(), tables={"methods": METHODS, "operators": OPERATORS})
    flags.one_device_a_core()
    flags.run(lambda: main(read_settings()))
