"""Which results are made of which photos: files found, results named, photos read."""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from jaxsr import images, loading, weights
from restoration import photos
from restoration.fitting import Fitter
from restoration.photos import Photo

LONGEST_STEM = 200  # bytes; file systems allow names of 255


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
                files = [File(str(path), is_reference) for path in images.find(pattern)]
            except images.ImageError as error:
                files = [File(pattern, is_reference, str(error))]
            found |= {file[:2]: file for file in files if file[:2] not in found}
    return list(found.values())


def named(files: Sequence[File], num_solutions: int) -> list[Source]:
    """Each file with the names of its results: <stem>.png, or <stem>_s0.png and so on.

    A stem that is taken (upper and lower case being the same) or that is "grid" gets _2, _3, ...;
    one that leaves no room for such an ending is cut.
    """
    taken, sources = {"grid"}, []
    for file in files:
        whole = Path(file.name).stem.encode()[:LONGEST_STEM].decode(errors="ignore")
        candidates = chain([whole], (f"{whole}_{i}" for i in count(2)))
        stem = next(name for name in candidates if name.casefold() not in taken)
        taken.add(stem.casefold())
        endings = [""] if num_solutions == 1 else [f"_s{i}" for i in range(num_solutions)]
        sources.append(Source(file, [f"{stem}{ending}.png" for ending in endings]))
    return sources


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
