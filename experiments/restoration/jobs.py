"""Which results are made of which photos: files found, results named, photos read."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from jaxsr import images, loading, weights
from jaxsr.records.files import shown
from restoration import photos
from restoration.fitting import Fitter
from restoration.naming import Naming
from restoration.photos import Photo

LONGEST_STEM = 200  # bytes; file systems allow names of 255
ANY_SURROGATE = re.compile("[\ud800-\udfff]")  # a byte of a name that is no UTF-8 (PEP 383)
DEFAULT = Naming()
Row = Mapping[str, str]


class File(NamedTuple):
    """A file to restore or, if `is_reference`, to degrade and restore; `problem` says why it was
    not found."""

    name: str
    is_reference: bool
    problem: str = ""


class Source(NamedTuple):
    """A file, and the names of its results."""

    file: File
    outputs: list[str]


class Job(NamedTuple):
    """One result to make: the file OUT/output, solution number `solution` of the photo."""

    photo: Photo
    output: str
    solution: int


def example_folder(source: str) -> str:
    """The folder of a prior's examples. Raises ValueError for what is no prior, or one without."""
    folder = loading.prior_folder(source)
    weights.read_config(folder)
    if not (folder / "examples").is_dir():
        raise ValueError(f"the prior {folder.name} has no examples: give --input or --reference")
    return str(folder / "examples")


def find_files(inputs: Sequence[str], references: Sequence[str]) -> list[File]:
    """Each file once, in the order of the patterns."""
    found = {}
    for patterns, is_reference in ((inputs, False), (references, True)):
        for pattern in patterns:
            try:
                paths = images.find(pattern, warn=print)
                files = [File(str(path), is_reference) for path in paths]
            except images.ImageError as error:
                files = [File(pattern, is_reference, str(error))]
            found |= {file[:2]: file for file in files if file[:2] not in found}
    return list(found.values())


def named(
    files: Sequence[File],
    naming: Naming = DEFAULT,
    *,
    folder: Path,
    rows: Sequence[Row] = (),
) -> list[Source]:
    """Each file with the names of its results: <stem>.png, or <stem>_s0.png and so on.

    A file that has results in `rows`, of an earlier run, keeps their names, and no other file gets
    them. A stem that is taken (upper and lower case being the same), that is "grid", or that would
    replace one of the files in the results' folder gets _2, _3, ...; one that leaves no room for
    such an ending is cut. Bytes that are no UTF-8 become _.
    """
    kept: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.get("status") == "ok":
            stem = naming.stem_of(row)
            kept.setdefault(_known(row.get("file", "")), {})[stem] = None
    taken = {"grid"} | {stem.casefold() for stems in kept.values() for stem in stems}
    place = os.path.realpath(folder)
    taken |= {
        Path(file.name).stem.casefold()
        for file in files
        if os.path.realpath(os.path.dirname(file.name)) == place
        and file.name.lower().endswith(f".{naming.format}")
    }
    waiting, sources = {name: [*stems] for name, stems in kept.items()}, []
    for file in files:
        mine = waiting.get(_known(file.name))
        stem = mine.pop(0) if mine else _new_stem(file, taken)
        taken.add(stem.casefold())
        sources.append(Source(file, naming.outputs(stem)))
    return sources


def _known(name: str) -> str:
    """A file's path as rows of runs can be compared by it."""
    return shown(os.path.abspath(name))


def _new_stem(file: File, taken: Collection[str]) -> str:
    stem = ANY_SURROGATE.sub("_", Path(file.name).stem)
    whole = stem.encode()[:LONGEST_STEM].decode(errors="ignore")
    candidates = chain([whole], (f"{whole}_{i}" for i in count(2)))
    return next(name for name in candidates if name.casefold() not in taken)


def recognised(sources: Sequence[Source], jobs: Sequence[Job], rows: Sequence[Row]) -> list[Job]:
    """The jobs, where a photo was moved since an earlier run under the names that its results, of
    the same pixels, have in that run's rows."""
    mine = {_known(source.file.name) for source in sources}
    free: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.get("status") == "ok" and _known(row.get("file", "")) not in mine:
            key = row.get("digest", ""), row.get("solution", "")
            free.setdefault(key, []).append(row["output"])
    known, found = {row["output"] for row in rows if row.get("status") == "ok"}, []
    for job in jobs:
        names = free.get((job.photo.digest, str(job.solution)), [])
        moved = names and job.output not in known
        found.append(job._replace(output=names.pop(0)) if moved else job)
    return found


def load_jobs(
    sources: Sequence[Source], fitter: Fitter, *, progress: bool = False
) -> tuple[list[Job], list[dict]]:
    """The results to make, in order, and a row (file, output, status, error) for each file that
    cannot be used.

    Raises:
        ValueError: none can.
    """
    jobs, unusable = [], []
    for source in tqdm(
        sources,
        desc="reading",
        unit="photo",
        delay=2,
        leave=False,
        disable=not progress,
        dynamic_ncols=True,
    ):
        try:
            photo = _load(source.file, fitter)
            jobs += [Job(photo, output, i) for i, output in enumerate(source.outputs)]
        except (ValueError, OSError) as error:
            unusable.append(_row(source, str(error)))
    if not jobs:
        first = unusable[0]["error"]
        several = f"none of the {len(unusable)} photos can be used; the first: "
        raise ValueError(first if len(unusable) == 1 else several + first)
    return jobs, unusable


def _load(file: File, fitter: Fitter) -> Photo:
    if file.problem:
        raise ValueError(file.problem)
    return (photos.load_reference if file.is_reference else photos.load_input)(file.name, fitter)


def _row(source: Source, problem: str) -> dict:
    name = source.file.name
    message = problem if name in problem else f"{name}: {problem}"
    return {"file": name, "output": source.outputs[0], "status": "error", "error": message}
