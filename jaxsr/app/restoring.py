"""Restores one photo after the other, and keeps what was compiled for the last settings."""

import functools
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import loading, operators
from jaxsr.app.photos import Prepared
from jaxsr.methods import METHODS, project, setups
from jaxsr.methods.auto import AUTO, Choice, choose
from jaxsr.methods.setups import Setup
from jaxsr.metrics import psnr
from jaxsr.search import EPS, Solve, restore
from jaxsr.types import Params, Result

KEPT = 4  # compiled methods


class Restored(NamedTuple):
    """What was made of a photo.

    Attributes:
        images: [k, side, side, 3] in [0, 1].
        bicubic: [side, side, 3] in [0, 1], the photo enlarged without any prior.
        residuals: [k], mean squared difference of each, made small, and the photo.
        feasible: [k], whether that is near enough.
        method: what restored.
        told: how, for the user.
    """

    images: np.ndarray
    bicubic: np.ndarray
    residuals: np.ndarray
    feasible: np.ndarray
    method: str
    told: tuple[str, ...]

    def spread(self) -> np.ndarray | None:
        """[side, side], the standard deviation of each pixel over the solutions, as the largest of
        its colours; None of one solution."""
        return self.images.std(axis=0).max(axis=-1) if len(self.images) > 1 else None


class Restorer:
    """A prior, and the methods that were bound to it.

    Args:
        source: a bundled prior's name, or a folder. Default: the best bundled one.
        smoke: a few steps of each search, to see that everything runs.

    Raises:
        ValueError: what is no prior.
    """

    def __init__(self, source: str | None = None, *, smoke: bool = False) -> None:
        self.source = source or loading.default_source()
        self.prior, self.params = loading.load_prior(self.source)
        self.smoke = smoke
        self._bound = functools.lru_cache(maxsize=KEPT)(self._bind)

    @property
    def side(self) -> int:
        """Of its pictures, px."""
        return self.prior.info.resolution

    @staticmethod
    def methods() -> list[str]:
        """Names that `restore` takes."""
        named = [name for name, row in METHODS.items() if row.kind in ("search", "learned")]
        return [AUTO, *named]

    def restore(
        self, photo: Prepared, method: str = AUTO, *, solutions: int = 1, seed: int = 0
    ) -> Restored:
        """Restores a photo with `solutions` random starts, and moves each result to explain it as
        far as its noise lets it be trusted.

        Raises:
            ValueError: the prior lacks what the method needs, or several solutions are asked of
                one that has one.
        """
        began = time.monotonic()
        choice, solve, params = self._bound(method, photo.factor, solutions)
        ys = np.stack([photo.y] * solutions)
        seeds = range(seed, seed + solutions)
        # It is moved afterwards: the search need not come nearer than its method asks for.
        told = {EPS: np.full(solutions, max(photo.eps, solve.eps), np.float32)}
        results = restore(solve, params, ys, seed=list(seeds), told=told, batch_size=solutions)
        results = project(solve, results, ys, photo.noise, photo.eps)
        pictures = np.clip(results.image, 0, 1)
        bicubic = jax.image.resize(photo.y, pictures.shape[1:], "bicubic")
        return Restored(
            pictures,
            np.clip(np.asarray(bicubic), 0, 1),
            np.asarray(results.residual),
            np.asarray(results.feasible),
            choice.method,
            tuple(_told(photo, results, pictures, choice, time.monotonic() - began)),
        )

    def _bind(self, method: str, factor: int, solutions: int) -> tuple[Choice, Solve, Params]:
        shape = (self.side, self.side, 3)
        operator = operators.downsample(factor, image_shape=shape)
        preset = "scaled" if _has_preset(method, "scaled") else "paper"
        choice = Choice(method, preset, "asked for")
        if method == AUTO:
            choice = choose(self.prior, self.params, operator, solutions=solutions)
        setup = Setup(choice.method, choice.preset, solutions=solutions, smoke=self.smoke)
        return choice, *setups.make_solve(self.prior, self.params, operator, setup)


def _has_preset(method: str, preset: str) -> bool:
    return method in METHODS and preset in METHODS[method].Config.PRESETS


def _told(
    photo: Prepared, results: Result, pictures: np.ndarray, choice: Choice, seconds: float
) -> Iterator[str]:
    """Lines on how it went."""
    yield f"{choice.method}, {choice.preset} ({choice.why}): {seconds:.0f} s"
    count, worst = int(results.feasible.sum()), float(results.residual.max())
    explain = "it explains" if count else "it does NOT explain"
    if len(pictures) > 1:
        explain = f"{count} of {len(pictures)} explain"
    yield f"made small again, {explain} the photo (mean square at most {worst:.2g})"
    if photo.reference is not None:
        scores = [float(psnr(jnp.asarray(each), photo.reference)) for each in pictures]
        yield f"PSNR against the photo before: {scores[0]:.2f} dB"
