"""Photos of any size with faces in them: each face is restored where it lies, and drawn into the
photo, which is enlarged for it. One photo after the other, so that memory does not grow with their
number; faces that are about as large share their programs."""

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from jaxsr import faces, flags, images, loading
from jaxsr.records import report
from jaxsr.records.files import only_here
from restoration import aligned, faced_records, photos
from restoration.aligned import Finder, Portrait, Snapshot
from restoration.faced_method import Searcher, make_searcher
from restoration.jobs import Source
from restoration.options import Settings, check, out_folder
from restoration.plan import prior_source


class Bench(NamedTuple):
    """What all photos are restored with: the folder's table, the flags, what finds faces, and what
    restores them."""

    run: report.Run
    settings: Settings
    find: Finder
    searcher: Searcher


class Task(NamedTuple):
    """A face to restore: its file in the folder, and the number of the solution."""

    portrait: Portrait
    output: str
    solution: int


def serves(settings: Settings) -> bool:
    """Whether faces are to be found in the photos."""
    return settings.align != "none"


def execute(settings: Settings, sources: Sequence[Source]) -> int:
    """Restores what the folder lacks; writes the table and the pictures. Returns how many faces and
    photos have no result."""
    check(settings)
    aligned.check(settings)
    faced_records.check_names(sources, settings)
    find = aligned.make_finder(settings, sources)
    flags.cache_compilations()
    dtype = flags.compute_in(settings.precision)
    prior, params = loading.load_prior(prior_source(settings), dtype=dtype)
    searcher = make_searcher(prior, params, settings)
    with only_here(out_folder(settings)):
        run = faced_records.start_run(settings, sources, searcher)
        bench, shown, lost = Bench(run, settings, find, searcher), [], 0
        print(faced_records.told(searcher))
        for source in tqdm(sources, unit="photo", leave=False, disable=not settings.progress):
            failed, rows = _restore(bench, source)
            lost += failed
            shown += rows if len(shown) < faced_records.GRID_ROWS else []
        run.put_in_order()
        print(faced_records.summarise(run, lost))
        print(faced_records.draw_grid(run, shown))
    return lost


def _restore(bench: Bench, source: Source) -> tuple[int, list[faced_records.Shown]]:
    """One photo: its faces, and the photo with them. Returns how many of them have no result, and
    rows for the grid."""
    settings, run = bench.settings, bench.run
    try:
        snapshot = aligned.load(source, bench.find, bench.searcher.resolution, settings)
    except (ValueError, OSError) as error:
        run.add([faced_records.failed(source.file.name, name, error) for name in source.outputs])
        tqdm.write(f"cannot use {run.rows[source.outputs[0]]['error']}")
        return 1, []
    _mark(bench, source, snapshot)
    usable = [portrait for portrait in snapshot.portraits if portrait.cut is not None]
    tasks = [
        Task(portrait, faced_records.face_name(output, portrait.index), i)
        for i, output in enumerate(source.outputs)
        for portrait in usable
    ]
    missing = [task for task in tasks if not run.is_done(task.output, task.portrait.digest)]
    _search(bench, source, snapshot, missing)
    _paste_all(bench, source, snapshot, tasks)
    done = [task for task in tasks if run.is_there(task.output)]
    lost = len(snapshot.portraits) - len({task.portrait.index for task in done})
    shown = [
        faced_records.shown(run, snapshot, task.portrait, task.output)
        for task in done
        if task.solution == 0
    ]
    return lost, shown


def _mark(bench: Bench, source: Source, snapshot: Snapshot) -> None:
    """Writes NAME_faces.png, and a row for each face that cannot be restored."""
    usable = {portrait.index for portrait in snapshot.portraits if not portrait.problem}
    name = faced_records.marked_name(source.outputs[0], bench.settings)
    picture = faces.marked(snapshot.image, snapshot.found, usable)
    images.write(bench.run.folder / name, picture)
    for portrait in snapshot.portraits:
        told = [*portrait.remarks, *filter(None, [portrait.problem])]
        for line in told:
            tqdm.write(f"{source.file.name}, face {portrait.index}: {line}")
        if portrait.problem:
            output = faced_records.face_name(source.outputs[0], portrait.index)
            row = faced_records.failed(source.file.name, output, portrait.problem)
            bench.run.add([row | {"face": portrait.index}])


def _search(bench: Bench, source: Source, snapshot: Snapshot, missing: Sequence[Task]) -> None:
    """Restores faces, those of one canvas together, and writes each."""
    marks = _marks(bench, source)
    sides = sorted({len(task.portrait.cut.pixels) for task in missing if task.portrait.cut})
    for side in sides:
        group = [t for t in missing if t.portrait.cut and len(t.portrait.cut.pixels) == side]
        begun = time.perf_counter()
        found = bench.searcher.search([(task.portrait, task.solution) for task in group])
        seconds = (time.perf_counter() - begun) / len(group)
        for task, result in zip(group, found, strict=True):
            row = _row(bench, source, task)
            if np.isfinite(result.image).all():
                file = bench.run.folder / task.output
                images.write(file, result.image, depth=snapshot.depth, marks=marks)
                row |= {"status": "ok"}
            else:
                row |= {"status": "error", "error": "the search went to infinity"}
            bench.run.add([row | result.told | {"solution": task.solution, "seconds": seconds}])
        tqdm.write(
            f"{source.file.name}: {len(group)} results for {side} px, {seconds:.2g} s each, "
            f"residual {np.mean([result.told['residual'] for result in found]):.2g}"
        )


def _marks(bench: Bench, source: Source) -> images.Marks:
    """What the pictures of a photo say of themselves."""
    marks = images.of_run(bench.run.folder, method=bench.searcher.method.name)
    return dataclasses.replace(marks, taken=images.taken(source.file.name))


def _row(bench: Bench, source: Source, task: Task) -> dict:
    return faced_records.face_row(
        source.file.name, task.output, task.portrait, bench.searcher, bench.settings
    )


def _paste_all(bench: Bench, source: Source, snapshot: Snapshot, tasks: Sequence[Task]) -> None:
    """Writes the photo with the faces of each solution, unless it is there."""
    run = bench.run
    for i, output in enumerate(source.outputs):
        mine = [task for task in tasks if task.solution == i and run.is_there(task.output)]
        digest = _digest(snapshot, mine)
        if not mine:
            problem = "expected a face that can be restored, got none: see the rows of its faces"
            run.add([faced_records.failed(source.file.name, output, problem)])
        elif not run.is_done(output, digest):
            scale, pasted = _pasted(run, snapshot, mine, bench.searcher.resolution)
            # Of a photo of 16 bits JPEG and WebP keep 8.
            depth = snapshot.depth if bench.settings.format in ("png", "tif") else 8
            images.write(run.folder / output, pasted, depth=depth, marks=_marks(bench, source))
            row = faced_records.photo_row(source.file.name, output, snapshot, scale)
            run.add([row | {"solution": i, "digest": digest, "method": bench.searcher.method.name}])


def _digest(snapshot: Snapshot, tasks: Sequence[Task]) -> str:
    """Of the photo's pixels and the faces in it."""
    parts = [photos.digest(snapshot.image, None), *(task.portrait.digest for task in tasks)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _pasted(
    run: report.Run, snapshot: Snapshot, tasks: Sequence[Task], resolution: int
) -> tuple[int, np.ndarray]:
    """By what the photo was enlarged, and that with the faces as they lie in the folder."""
    squares = [task.portrait.face.square for task in tasks]
    results = [images.read(Path(run.folder) / task.output) for task in tasks]
    scale = faces.scale_for(squares, resolution, snapshot.image.shape)
    pairs = list(zip(squares, results, strict=True))
    return scale, faces.paste_all(snapshot.image, scale, pairs)
