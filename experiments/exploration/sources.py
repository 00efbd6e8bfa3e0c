"""The photo that is explored, and what the pictures made of it say of themselves."""

import dataclasses
from pathlib import Path

from restoration import jobs

from jaxsr import images


def photo_file(given: str | None, prior: str) -> str:
    """The photo that was given, of an archive the first, or the first example of a prior.

    Raises:
        images.ImageError: there is no such photo.
    """
    if given is not None and Path(given).is_dir():
        return given  # which is told of when it is read
    found = images.find(given or jobs.example_folder(prior), warn=print)
    if given is not None and len(found) > 1:
        print(f"{found[0]}: the first of {len(found)} photos is explored; its name takes another")
    return str(found[0])


def marks(folder: Path, file: str) -> images.Marks:
    """Of the run in a folder, and of the date of its photo."""
    return dataclasses.replace(images.of_run(folder), taken=images.taken(file))
