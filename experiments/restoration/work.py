"""The restoring itself: photos of one size through a method, each result written, scored and put
into the table as soon as its batch is done."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import jax
import numpy as np
from tqdm import tqdm

from jaxsr import images
from jaxsr.methods import project, trusted
from jaxsr.operators import OPERATORS
from jaxsr.records import report
from jaxsr.search import restore_batches
from jaxsr.types import Result
from restoration import free, scores, tolerances
from restoration.jobs import Job
from restoration.options import Settings
from restoration.plan import Method, failed

BATCHES_READ = 64  # batches whose photos are held at once
LEAST_WAIT = 1.0  # seconds between two lines: 10,000 fast results are not as many


def restore_jobs(run: report.Run, jobs: Sequence[Job], method: Method, settings: Settings) -> None:
    """Restores photos of one size; each batch is in folder and table as soon as it is done."""
    begun, done, last_line = time.perf_counter(), 0, 0.0
    marks = images.of_run(run.folder, method=method.name)
    for batch, results in _batches(run, jobs, method, settings):
        seconds = (time.perf_counter() - begun) / len(batch)
        rows = _saved(run.folder, batch, results, seconds, method, settings, marks)
        run.add(rows)
        for row in rows:
            if "not found: " in row["remark"]:
                tqdm.write(f"{row['file']}: {row['remark']}")
        done += len(batch)
        if done == len(jobs) or time.perf_counter() - last_line > LEAST_WAIT:
            last_line = time.perf_counter()
            tqdm.write(
                f"{_conditions(jobs[0], settings)}: {done} of {len(jobs)} done, {seconds:.2g} s "
                f"each, residual {np.mean(results.residual):.2g}, "
                f"{np.mean(results.feasible):.0%} feasible"
            )
        begun = time.perf_counter()


def _conditions(job: Job, settings: Settings) -> str:
    if OPERATORS[settings.operator].takes_factor:
        return f"factor {job.photo.factor}"
    return settings.operator


def _batches(
    run: report.Run, jobs: Sequence[Job], method: Method, settings: Settings
) -> Iterator[tuple[list[Job], Result]]:
    """`restore_batches` with the photos of some batches read at once, so that memory does not grow
    with their number."""
    length = BATCHES_READ * settings.batch_size
    for first in range(0, len(jobs), length):
        read = _measurements(run, jobs[first : first + length], settings)
        if read:
            block, ys = list(read), np.stack(list(read.values()))
            batches = restore_batches(
                method.solve,
                method.params,
                ys,
                seed=[settings.seed + job.solution for job in block],
                told=tolerances.told(block, settings, method),
                batch_size=settings.batch_size,
                progress=settings.progress,
            )
            for indices, results in batches:
                batch = [block[i] for i in indices]
                noises = [trusted(settings.consistency, noise_of(j, settings)) for j in batch]
                eps = [tolerances.eps_of(j.photo.tolerance, settings, method.solve) for j in batch]
                yield batch, project(method.solve, results, ys[indices], noises, eps)


def noise_of(job: Job, settings: Settings) -> float:
    """The noise of a job's photo, the one that is told first."""
    return job.photo.noise if settings.noise is None else settings.noise


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
            lost.append(failed(job, settings.method, str(error)))
    if lost:
        run.add(lost)
    return read


def _saved(
    folder: Path,
    jobs: Sequence[Job],
    results: Result,
    seconds: float,
    method: Method,
    settings: Settings,
    marks: images.Marks,
) -> list[dict]:
    """Writes the results of a batch; returns their rows."""
    each = [jax.tree.map(lambda leaf, i=i: leaf[i], results) for i in range(len(jobs))]
    return [
        {
            "file": job.photo.file,
            "output": job.output,
            "solution": job.solution,
            "method": method.name,
            "factor": job.photo.factor,
            "seconds": seconds,
            "fit": job.photo.fit,
            "digest": job.photo.digest,
            "noise": noise_of(job, settings),
            **tolerances.cells(job, result, settings, method),
            **save(folder, job, result, cast(images.Depth, settings.depth), marks),
        }
        for job, result in zip(jobs, each, strict=True)
    ]


def save(folder: Path, job: Job, result: Result, depth: images.Depth, marks: images.Marks) -> dict:
    """Writes one result; returns what its row says of it, without scores when the reference can no
    longer be read."""
    if not np.isfinite(result.image).all():
        return {"status": "error", "error": f"{job.photo.file}: the search went to infinity"}
    marks = dataclasses.replace(marks, taken=images.taken(job.photo.file))
    images.write(folder / job.output, result.image, depth=depth, marks=marks)
    reference, problem = _reference(job)
    found = {"residual": float(result.residual), "feasible": bool(result.feasible), "status": "ok"}
    if "residual_before" in result.latent:
        found["residual_before"] = float(result.latent["residual_before"])
    if "steps_made" in result.latent:
        found["steps_made"] = int(result.latent["steps_made"])
    found |= free.told(result)
    written = scores.as_written(folder / job.output, images.to_uint8(result.image))
    return {**found, **scores.score(written, reference), **problem}


def _reference(job: Job) -> tuple[np.ndarray | None, dict[str, str]]:
    """The sharp photo, if there is one; where it can no longer be read, what the row says."""
    if not job.photo.is_reference:
        return None, {}
    try:
        return job.photo.read()[1], {}
    except (ValueError, OSError) as error:
        return None, {"error": f"not scored: {error}"}
