"""What `explore_benchmark.py` is asked for: its flags, and whether they make sense."""

import dataclasses
from pathlib import Path

from jaxsr import flags, loading
from jaxsr.explore import SPACES
from jaxsr.loading import toy_prior
from jaxsr.methods import METHODS
from jaxsr.operators import OPERATORS
from jaxsr.records import report
from jaxsr.settings import iterates_of

TABLES = ("ways", "restarts", "figures", "cost")
WITH_PRIOR = tuple(name for name, row in METHODS.items() if row.kind in ("search", "learned"))


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: Photos: a folder, a .tar, or tfds:NAME@SPLIT.
        num_photos: How many photos of --data, evenly spaced.
        prior: A bundled prior's name, or a folder. Default: the best bundled one; with --smoke a
            random toy.
        conditions: x8 (8-fold enlargement), any other factor, {conditions}.
        mask: For the condition inpainting, a square picture: white where pixels are missing, else
            black. Default: the centre is.
        tables: {tables}.
        method: What finds the first solution: {methods}, if it has one latent.
        steps: Of each phase of the method. Default: the preset's.
        space: Latent space that is explored: {spaces}.
        distances: Perceptual distances at which the ways are compared, as shares of that of two
            random images.
        directions: How many directions of each way.
        num_solutions: To be found, in table 2.
        eps: Largest feasible residual, a mean squared difference.
        out: Folder of the tables.
        seed: Of every search; another gives other first solutions.
        smoke: One photo, few steps.
    """

    data: str | None = None
    num_photos: int = 20
    prior: str | None = None
    conditions: tuple[str, ...] = ("x8", "x4", "inpainting")
    mask: str | None = None
    tables: tuple[str, ...] = TABLES
    method: str = "iagan"
    steps: int | None = None
    space: str = "z"
    distances: tuple[float, ...] = (0.1, 0.25, 0.5)
    directions: int = 4
    num_solutions: int = 10
    eps: float = 1e-2
    out: str = "explore_benchmark"
    seed: int = 0
    smoke: bool = False


def check(settings: Settings) -> Settings:
    """The same with its prior found, or made. Raises ValueError for what does not exist, before any
    long work."""
    lists = {
        name: tuple(flags.names(name, getattr(settings, name))) for name in ("tables", "conditions")
    }
    settings = dataclasses.replace(settings, **lists)
    for name in settings.tables:
        flags.choose(name, TABLES, "table")
    flags.choose(settings.method, WITH_PRIOR, "method")
    flags.choose(settings.space, SPACES, "space")
    if min(*settings.distances, settings.eps) <= 0:
        raise ValueError(
            f"--distances and --eps must be above 0, got {settings.distances} and {settings.eps}"
        )
    least = {"num_photos": 1, "steps": 1, "directions": 1, "num_solutions": 1, "seed": 0}
    flags.require(settings, least, ("data", "prior", "out", "mask"))
    readers = [name for name, kind in OPERATORS.items() if kind.takes_mask]
    if settings.mask is not None and not set(readers) & set(settings.conditions):
        raise ValueError(
            f"--mask is for {' or '.join(readers)}, not for {', '.join(settings.conditions)}: "
            "leave it out"
        )
    if settings.data is None and not settings.smoke and set(settings.tables) != {"cost"}:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar of photos, or tfds:NAME@SPLIT"
        )
    report.check_writable(settings.out)
    if settings.smoke and settings.prior is None:
        changed = {"conditions": ("x2",), "num_solutions": 2, "distances": (0.1,), "directions": 1}
        return dataclasses.replace(
            settings, prior=str(toy_prior(Path(settings.out) / "toy")), **changed
        )
    return dataclasses.replace(settings, prior=settings.prior or loading.default_source())


def steps_of(settings: Settings) -> dict[str, int]:
    kind = METHODS[flags.choose(settings.method, METHODS, "method")].Config
    return {} if settings.steps is None else dict.fromkeys(iterates_of(kind), settings.steps)
