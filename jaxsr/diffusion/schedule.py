"""How much noise there is at each step of a diffusion, and which steps a sampler visits."""

import dataclasses
from typing import Literal, NamedTuple

import numpy as np

BETAS = (1e-4, 0.02)  # of DDPM, at 1,000 steps
SHIFT = 0.008  # of the cosine
MOST = 0.999  # of a cosine's beta


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The variances of a diffusion's steps.

    Attributes:
        kind: "linear" (DDPM, arXiv:2006.11239) or "cosine" (Nichol and Dhariwal, arXiv:2102.09672).
        steps: T.
    """

    kind: Literal["linear", "cosine"] = "linear"
    steps: int = 1000

    def __post_init__(self):
        if self.kind not in ("linear", "cosine"):
            raise ValueError(f"schedule must be linear or cosine, got {self.kind!r}")
        if self.steps < 2:
            raise ValueError(f"a schedule has at least 2 steps, got {self.steps}")


class Chain(NamedTuple):
    """The steps that a sampler visits, the noisiest first.

    Attributes:
        steps: int32 [n], from T - 1 at most down to 0.
        kept: float32 [n], alpha-bar of each: an image is sqrt(kept) x + sqrt(1 - kept) noise there.
    """

    steps: np.ndarray
    kept: np.ndarray


def alpha_bar(schedule: Schedule) -> np.ndarray:
    """The product of 1 - beta up to each step, float64 [T]."""
    if schedule.kind == "linear":
        scale = 1000 / schedule.steps
        betas = np.linspace(scale * BETAS[0], scale * BETAS[1], schedule.steps)
    else:
        time = np.arange(schedule.steps + 1) / schedule.steps
        share = np.cos((time + SHIFT) / (1 + SHIFT) * np.pi / 2) ** 2
        betas = np.minimum(1 - share[1:] / share[:-1], MOST)
    return np.cumprod(1 - betas)


def chain(schedule: Schedule, steps: int) -> Chain:
    """The steps 0, d, 2 d, ... with d = T / steps, rounded down: where that is whole, those of DDRM
    and DDNM, of which the noisiest is T - d, not T - 1.

    Raises:
        ValueError: more steps than the schedule has, or none.
    """
    if not 1 <= steps <= schedule.steps:
        raise ValueError(f"expected from 1 to {schedule.steps} steps, got {steps}")
    visited = np.arange(steps)[::-1] * schedule.steps // steps
    return Chain(visited.astype(np.int32), alpha_bar(schedule)[visited].astype(np.float32))
