"""The papers' test sets by name: what to put where, and which photos of it a paper takes.

Nothing is downloaded. A name is read from the folder that JAXSR_DATA names, or from jaxsr/data of
the user's cache folder, as NAME/ (a folder of photos) or NAME.tar.
"""

import os
from pathlib import Path
from typing import Literal, NamedTuple

from jaxsr.records.files import cache_folder


class Partition(NamedTuple):
    """A test set.

    Attributes:
        what: which photos, and what they are called.
        source: where they come from, and terms where they are known.
        papers: who measured on how many of them.
        count: how many the first of these took; None: all.
        pick: which ones.
    """

    what: str
    source: str
    papers: str
    count: int | None = None
    pick: Literal["first", "spaced"] = "first"


_CELEBA = "mmlab.ie.cuhk.edu.hk/projects/CelebA.html (non-commercial research)"
_LSUN = "github.com/fyu/lsun"
_UNSEEN = "photos that no prior saw, such as its validation part"
_LAREN = "LAREN Table I, which does not say how many"

# Who took what is from the papers' texts, counts of parts from the sets' own descriptions; what no
# paper says is said to be so.
PARTITIONS = {
    "celebahq_test": Partition(
        "the test set of CelebA-HQ at 1024 px, under its own file names",
        "github.com/tkarras/progressive_growing_of_gans; the papers do not say which photos it is, "
        "usual are those that CelebA's list_eval_partition.txt calls test",
        "RLS takes the first 2,000, 1,000 in Table 4; LAREN Table I 3,000; RLSE Table 2 the first "
        "500 of CelebA-HQ, of no part of it that it names",
        2_000,
    ),
    "celeba_test": Partition(
        "aligned faces of CelebA that no restorer was trained on, brought to 128 px when judged",
        _CELEBA,
        "RLSE Table 1 takes 500 that it does not name",
        500,
    ),
    "tinyface": Partition(
        "the faces of TinyFace, of 20 x 16 px on average, for --reference_free",
        "qmul-tinyface.github.io",
        "RLSE Table 1, the NIQE columns, which does not say how many",
    ),
    "cat_test": Partition(
        "the 3,000 test photos of CAT (Zhang et al., ECCV 2008)",
        "academictorrents.com, Cat Annotation Dataset Merged",
        _LAREN,
    ),
    "car_test": Partition(
        "the 8,041 test photos of CAR (Krause et al. 2013, Stanford Cars)",
        "ai.stanford.edu/~jkrause/cars/car_dataset.html; tfds:cars196@test has them too",
        _LAREN,
    ),
    "lsun_church_test": Partition(f"LSUN's church_outdoor, {_UNSEEN}", _LSUN, _LAREN),
    "lsun_bedroom_test": Partition(f"LSUN's bedroom, {_UNSEEN}", _LSUN, _LAREN),
    "lsun_tower_test": Partition(f"LSUN's tower, {_UNSEEN}", _LSUN, _LAREN),
}


def summaries() -> dict[str, str]:
    """Name -> what it is, of everything that --data knows by name."""
    return {name: f"{part.what} ({part.papers})" for name, part in PARTITIONS.items()}


def located(name: str) -> str:
    """Where a test set lies: a folder or a .tar. Raises ValueError, in a line that says what to put
    where, if it is not there."""
    named = os.environ.get("JAXSR_DATA")
    folder = Path(named) if named else cache_folder() / "jaxsr" / "data"
    for place in (folder / name, folder / f"{name}.tar"):
        if place.exists():
            return str(place)
    part = PARTITIONS[name]
    raise ValueError(
        f"--data={name}: expected {part.what}, as the folder {folder / name} or the file "
        f"{folder / name}.tar, got neither; they come from {part.source}; {part.papers}"
    )
