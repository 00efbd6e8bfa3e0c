"""The resumable loop around `diffusion.make_step`: checkpoints, a grid of samples, their distance
from the photos, and the model as it stands, in one folder."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import diffusion, images, plots
from jaxsr.training import curve, loop
from jaxsr.training import diffusion as training
from jaxsr.types import Params

COLUMNS = ("images", "seconds", "loss", *curve.DISTANCES)
SHOWN = 64  # samples in the grid
CHUNK = 16  # samples at once


@dataclasses.dataclass(frozen=True)
class Run(loop.Run):
    """How long one run trains, and what it does between: the fields of `loop.Run`, and what samples
    are judged.

    symmetry: the exact symmetries of the photos; dihedral: all 8 flips and quarter turns.
    tick_images: images between two checkpoints; each also writes samples and a row of curve.csv.
    judged_samples: samples and photos of each Frechet and kernel distance, 0 for none.
    sample_steps: steps of the diffusion that samples take (DDIM).
    """

    total_images: int = 80_000
    tick_images: int = 8_000
    judged_samples: int = 256
    sample_steps: int = 20

    def __post_init__(self):
        super().__post_init__()
        if self.judged_samples < 0 or self.judged_samples == 1:
            raise ValueError(f"judged_samples must be 0 or at least 2, got {self.judged_samples}")
        if self.sample_steps < 1:
            raise ValueError(f"sample_steps must be at least 1, got {self.sample_steps}")


def fit(
    model: diffusion.Model,
    config: training.Config,
    run: Run,
    photos: np.ndarray,
    folder: str | Path,
    *,
    about: dict[str, Any],
    say: Callable[[str], None] = print,
) -> Path:
    """Trains a diffusion model as `loop.fit` does; returns its folder.

    Besides checkpoints and curve.csv, folder gets model/ (what `diffusion.load` reads, of the
    moving average, in half precision) and samples.png at every tick.

    Args:
        photos: uint8 [n, r, r, 3] with r = model.net.resolution, as from `data.prepare`.
        about: name, domain, licence and credit for the model's config.json.

    Raises:
        ValueError: as `loop.fit`; more steps than the schedule has; a network that predicts
            variances.
    """
    diffusion.chain(model.schedule, run.sample_steps)
    task = loop.Task(
        state=training.begin(jax.random.key(run.seed), model, config),
        make_step=lambda axis: training.make_step(model, config, axis),
        given=(),
        batch=config.batch,
        settings={**diffusion.described(model), "config": loop.fixed(config)},
        defaults={"config": loop.fixed(training.Config())},
        finite=lambda state: (state.params, state.ema),
        publish=_Publish(
            model, run, photos, Path(folder), about | {"training": dataclasses.asdict(config)}
        ),
        columns=COLUMNS,
        told=lambda row: (
            f"loss {row['loss']:.4f} frechet {row['frechet']:.3f} kernel {row['kernel']:.4f}"
        ),
    )
    loop.fit(task, run, photos, folder, say=say)
    return Path(folder) / "model"


@dataclasses.dataclass(frozen=True)
class _Publish:
    """What each tick writes and measures."""

    model: diffusion.Model
    run: Run
    photos: np.ndarray
    folder: Path
    about: dict[str, Any]

    def __call__(self, state: training.State, row: loop.Row) -> loop.Row:
        half = jax.tree.map(lambda x: np.asarray(x, np.float16), state.ema)
        made = samples(
            self.model,
            jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), half),
            max(SHOWN, self.run.judged_samples),
            steps=self.run.sample_steps,
            seed=self.run.seed,
        )
        images.write(self.folder / "samples.png", plots.mosaic(made[:SHOWN], 8))
        judged = self._judged(made)
        row = row | judged
        record = {"images": int(row["images"]), "judged": judged if self._count else {}}
        diffusion.save(self.folder / "model", self.model, half, self.about | record)
        return row

    @property
    def _count(self) -> int:
        return min(self.run.judged_samples, len(self.photos))

    def _judged(self, made: np.ndarray) -> dict[str, float]:
        """Distances of samples from photos, see `curve.distances`; NaN where none are judged."""
        if not self._count:
            return dict.fromkeys(curve.DISTANCES, float("nan"))
        return curve.distances(
            made[: self._count], self.photos, symmetry=self.run.symmetry, seed=self.run.seed
        )


def samples(
    model: diffusion.Model, params: Params, count: int, *, steps: int, seed: int
) -> np.ndarray:
    """`count` images [count, r, r, 3] in [0, 1] that a model draws by itself."""
    side = model.net.resolution
    keys = jax.random.split(jax.random.key(seed), -(-count // CHUNK))
    made = [
        _drawn(model, steps, params, jax.random.normal(key, (CHUNK, side, side, 3))) for key in keys
    ]
    return np.clip(np.concatenate([np.asarray(chunk) for chunk in made])[:count], 0, 1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _drawn(model: diffusion.Model, steps: int, params: Params, starts: jax.Array) -> jax.Array:
    chain = diffusion.chain(model.schedule, steps)
    denoise = diffusion.denoiser(model, params)
    return 0.5 + 0.5 * jax.vmap(lambda start: diffusion.sample(denoise, chain, start))(starts)
