"""What a restoration looks like: the grid of its results, and how the search of a photo went."""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxsr import images, methods, operators, plots
from jaxsr.records import report
from jaxsr.search import Solve, trajectory
from jaxsr.types import Params
from restoration.fitting import Fitter
from restoration.jobs import Job

GRID, GRID_ROWS = "grid.png", 64
TRAJECTORY, HELD = "trajectory.webp", 12  # times that the last image is shown


def draw_grid(run: report.Run, jobs: Sequence[Job], fitter: Fitter, num_solutions: int) -> str:
    """Writes OUT/grid.png from the images in the folder, a row a photo; returns what it shows."""
    groups = [jobs[i : i + num_solutions] for i in range(0, len(jobs), num_solutions)]
    groups = [group for group in groups if all(run.is_there(job.output) for job in group)]
    rows, captions, left_out = [], [], []
    for group in groups[:GRID_ROWS]:
        try:
            y, reference = group[0].photo.read()
            results = [images.read(run.folder / job.output) for job in group]
        except (ValueError, OSError) as error:
            left_out.append(str(error))
            continue
        operator = fitter.operator(group[0].photo.factor)
        seen = [
            operators.as_image(operator, jnp.asarray(y)),
            operators.enlarged(operator, jnp.asarray(y), "bicubic"),
        ]
        rows.append(
            [*map(np.asarray, seen if fitter.kind.takes_factor else seen[:1]), *results, reference]
        )
        captions.append(_caption(group[0].output, run.rows[group[0].output]))
    if not rows:
        return f"no grid: {left_out[0] if left_out else 'there is no result'}"
    titles = [f"result {i + 1}" for i in range(num_solutions)] if num_solutions > 1 else ["result"]
    columns = ["input", *(["bicubic"] if fitter.kind.takes_factor else []), *titles, "reference"]
    if all(row[-1] is None for row in rows):
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    cell = min(fitter.resolution * math.ceil(128 / fitter.resolution), 256)
    picture = plots.grid(rows, columns=columns, captions=captions, cell=cell)
    images.write(run.folder / GRID, picture, marks=images.of_run(run.folder))
    shown = f" (the first {GRID_ROWS} of {len(groups)} photos)" if len(groups) > GRID_ROWS else ""
    return f"{run.folder / GRID}{shown}" + (
        f"; {len(left_out)} left out, the first: {left_out[0]}" if left_out else ""
    )


def _caption(output: str, row: report.Row) -> str:
    psnr = report.cell(row.get("psnr"))
    return f"{Path(output).stem}  " + (
        f"{float(psnr):.2f} dB" if psnr else f"residual {float(report.cell(row['residual'])):.2g}"
    )


def draw_trajectory(
    run: report.Run,
    job: Job,
    solve: Solve,
    params: Params,
    *,
    noise: float,
    seed: int,
    progress: bool,
) -> str:
    """Searches the photo once more and writes OUT/trajectory.webp, each image made consistent with
    the photo (`noise`: see `methods.project`); returns what it shows."""
    try:
        y, _ = job.photo.read()
    except (ValueError, OSError) as error:
        return f"no trajectory: {error}"
    frames = trajectory(solve, params, y, seed=seed + job.solution, progress=progress)
    consistent = functools.partial(methods.consistent, solve.operator, y=y, noise=noise)
    frames = [np.asarray(consistent(jnp.asarray(frame))) for frame in frames]
    times = math.ceil(256 / len(frames[0]))
    shown = [
        np.clip(frame, 0, 1).repeat(times, 0).repeat(times, 1)
        for frame in (*frames, *[frames[-1]] * HELD)
    ]
    images.write_animation(run.folder / TRAJECTORY, shown)
    return f"{run.folder / TRAJECTORY}: {len(frames)} images of the search of {job.photo.file}"
