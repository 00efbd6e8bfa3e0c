"""The resumable loop around `gan.make_step`: checkpoints, sample grids, a curve of Frechet and
kernel distances, and the prior as it stands, in one folder."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxsr import images, plots, priors, weights
from jaxsr.nets import stylegan2
from jaxsr.training import curve, gan, loop
from jaxsr.types import Params

COLUMNS = (
    "images",
    "seconds",
    "loss_generator",
    "loss_discriminator",
    "sign_real",
    "r1",
    "path_mean",
    "ada_p",
    *curve.DISTANCES,
)


@dataclasses.dataclass(frozen=True)
class Run(loop.Run):
    """How long one run trains, and what it does between: the fields of `loop.Run`, and of the
    distances of sets the number of samples.

    symmetry: the exact symmetries of the photos; dihedral: all 8 flips and quarter turns.
    tick_images: images between two checkpoints; each also writes samples and a row of curve.csv.
    frechet_samples: generated and real images of each Frechet and kernel distance, 0 for none.
    """

    frechet_samples: int = 2_000

    def __post_init__(self):
        super().__post_init__()
        if self.frechet_samples < 0 or self.frechet_samples == 1:
            raise ValueError(f"frechet_samples must be 0 or at least 2, got {self.frechet_samples}")


def fit(
    net: stylegan2.Config,
    config: gan.Config,
    run: Run,
    photos: np.ndarray,
    folder: str | Path,
    *,
    about: dict[str, Any],
    warm: Params | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Trains a prior as `loop.fit` does; returns its folder.

    Besides checkpoints and curve.csv, folder gets prior/ (what `load_prior` reads) and samples.png
    at every tick.

    Args:
        photos: uint8 [n, r, r, 3] with r = net.resolution, as from `data.prepare`.
        about: name, domain, licence and credit for the prior's config.json. The run's images are
            added to "images", those of `warm`.
        warm: params of a prior to start from (`gan.begin`).

    Raises:
        ValueError: as `loop.fit`.
    """
    before = about.get("images", 0)
    task = loop.Task(
        state=gan.begin(jax.random.key(run.seed), net, config, warm=warm),
        make_step=lambda axis: _without_given(gan.make_step(net, config, axis=axis)),
        given=(),
        batch=config.batch,
        settings={
            "net": dataclasses.asdict(net),
            "config": loop.fixed(config),
            "warm": warm and weights.digest(warm),
        },
        defaults={
            "config": loop.fixed(gan.Config()),
            "net": dataclasses.asdict(stylegan2.Config()),
        },
        finite=lambda state: (state.params, state.ema),
        publish=lambda state, row: _publish(
            net,
            run,
            state,
            photos,
            Path(folder),
            about | {"images": before + int(row["images"])},
            row,
        ),
        columns=COLUMNS,
        told=_told,
    )
    loop.fit(task, run, photos, folder, say=say)
    return Path(folder) / "prior"


def _without_given(step: Callable) -> Callable:
    """The step of a GAN as the loop calls it: with `Task.given`, of which it needs nothing."""
    return lambda state, given, photos: step(state, photos)


def _told(row: loop.Row) -> str:
    return (
        f"G {row['loss_generator']:.3f} D {row['loss_discriminator']:.3f} sign "
        f"{row['sign_real']:.2f} ada {row['ada_p']:.2f} "
        f"frechet {row['frechet']:.3f} kernel {row['kernel']:.3g}"
    )


def _publish(
    net: stylegan2.Config,
    run: Run,
    state: gan.State,
    photos: np.ndarray,
    folder: Path,
    about: dict,
    row: loop.Row,
) -> loop.Row:
    """Writes the prior and a grid of its samples; returns the row with its distances."""
    params = jax.device_get(state.params | state.ema)
    params["statistics"] = _statistics(net)(params)
    config = {
        "architecture": "stylegan2",
        "net": dataclasses.asdict(net) | {"dtype": "float32"},
        **about,
    }
    weights.save(folder / "prior", params, config)
    generate = _generate(net)
    z = jax.random.normal(jax.random.key(run.seed), (64, net.z_dim))
    images.write(folder / "samples.png", plots.mosaic(np.asarray(generate(params, z)), 8))
    if not run.frechet_samples:
        return row | dict.fromkeys(curve.DISTANCES, float("nan"))
    return row | _distances(net, run, params, photos)


def _distances(
    net: stylegan2.Config, run: Run, params: Params, photos: np.ndarray
) -> dict[str, float]:
    """Between samples and photos, see `curve.distances`."""
    generate, count = _generate(net), min(run.frechet_samples, len(photos))
    chunks = [
        jax.random.normal(k, (64, net.z_dim))
        for k in jax.random.split(jax.random.key(run.seed + 1), -(-count // 64))
    ]
    fake = np.concatenate([np.asarray(generate(params, z)) for z in chunks])[:count]
    return curve.distances(np.clip(fake, 0, 1), photos, symmetry=run.symmetry, seed=run.seed)


@functools.lru_cache
def _statistics(net: stylegan2.Config) -> Callable[[Params], dict]:
    prior = stylegan2.stylegan2(net)
    return jax.jit(lambda params: priors.latent_statistics(prior, params, jax.random.key(0)))


@functools.lru_cache
def _generate(net: stylegan2.Config) -> Callable[[Params, jax.Array], jax.Array]:
    prior = stylegan2.stylegan2(net)
    return jax.jit(jax.vmap(prior.decode, (None, 0)))
