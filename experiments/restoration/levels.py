"""Photos that one program can restore: those of one noise for the methods with a diffusion model,
whose samplers are told it beforehand, and those of one kind of JPEG for a method that compresses
what it compares."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from jaxsr.methods import METHODS
from restoration.jobs import Job
from restoration.options import Settings
from restoration.plan import Method
from restoration.tolerances import jpeg_told
from restoration.work import noise_of

STEPS = 2  # levels for each doubling: a noise that is read of a photo is no surer than that


def at_levels(
    jobs: Sequence[Job], method: Method, settings: Settings
) -> Iterator[tuple[list[Job], Method]]:
    """Jobs whose photos show about the same noise, and the method that reckons with it; all of them
    where it is told (--noise), is not to be reckoned with, or the method does not."""
    if METHODS[method.name].compresses:
        yield from ((group, method) for group in of_one_kind(jobs))
        return
    reads = METHODS[method.name].kind == "diffusion"
    if not reads or settings.noise is not None or settings.consistency == "exact":
        yield list(jobs), method
        return
    groups: dict[float, list[Job]] = {}
    for job in jobs:
        groups.setdefault(level(noise_of(job, settings)), []).append(job)
    for noise, group in sorted(groups.items()):
        told = {"photo_noise": np.float32(noise)} if noise else {}
        yield group, method._replace(params=method.params | told)


def of_one_kind(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs by what is told of their photos' JPEG, see `jpeg_told`."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault("".join(jpeg_told(job)), []).append(job)
    return [group for _, group in sorted(groups.items())]


def level(noise: float) -> float:
    """The nearest of 1/255 times a power of the root of 2; 0 of 0."""
    if noise <= 0:
        return 0.0
    return 2 ** (round(STEPS * math.log2(255 * noise)) / STEPS) / 255
