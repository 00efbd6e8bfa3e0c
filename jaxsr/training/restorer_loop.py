"""The resumable loop around `restorer.make_step`: checkpoints, a grid of photos that are not
trained on, their scores, and the model."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import images, learned, metrics, plots, weights
from jaxsr.nets.features import Features
from jaxsr.training import loop, restorer
from jaxsr.training.restorer_config import Config
from jaxsr.training.restorer_discriminators import BEGUN
from jaxsr.training.restorer_losses import Bound, measure, restored, weights_of
from jaxsr.types import Params

SHOWN = 8  # photos in the grid
CHANGED = ("discriminator", "learned", BEGUN)  # of params: what a step does not see as given
JUDGED = ("val_psnr", "val_distance", "val_residual")


def columns(config: Config) -> tuple[str, ...]:
    """Of curve.csv."""
    terms = (config.pixel_fit, "perceptual", "adversarial", "loss_discriminator", "sign_real")
    weights = weights_of(config) | {"r1": config.r1_weight}
    more = [name for name, weight in weights.items() if weight and name not in terms]
    return ("images", "seconds", "loss", *terms, *more, *JUDGED)


def fit(
    bound: Bound,
    config: Config,
    run: loop.Run,
    prior_params: Params,
    sets: tuple[np.ndarray, np.ndarray],
    folder: str | Path,
    *,
    about: dict[str, Any],
    say: Callable[[str], None] = print,
) -> Path:
    """Trains a learned restorer as `loop.fit` does; returns its folder.

    Besides checkpoints and curve.csv, folder gets model/ (what `learned.load` reads, of the moving
    average, in half precision) and samples.png (photos, what the network sees, what it makes) at
    every tick; the scores of curve.csv are those of all validation photos.

    Args:
        prior_params: of the prior, with "perceptual" (`jaxsr.methods.networks`), and "learned"
            where the training goes on from a model's params.
        sets: photos to train on and to judge by, each uint8 [n, H, W, 3].
        about: joins the model's config.json.

    Raises:
        ValueError: as `loop.fit`; or there is no photo to judge by.
    """
    photos, held = sets
    if not len(held):
        raise ValueError("expected at least 1 photo to judge the network by, got none")
    about = about | {"training": dataclasses.asdict(config)}
    task = loop.Task(
        state=restorer.begin(jax.random.key(run.seed), bound, prior_params, config),
        make_step=lambda axis: restorer.make_step(bound, config, run.total_images, axis),
        given={name: tree for name, tree in prior_params.items() if name not in CHANGED},
        batch=config.batch,
        settings=_settings(bound, config, run, prior_params),
        defaults={"config": loop.fixed(Config())},
        finite=lambda state: (state.params, state.ema, state.discriminator),
        publish=_Publish(bound, prior_params, held, Path(folder), about),
        columns=columns(config),
        told=functools.partial(_told, config),
    )
    loop.fit(task, run, photos, folder, say=say)
    return Path(folder) / "model"


def _settings(bound: Bound, config: Config, run: loop.Run, prior_params: Params) -> dict[str, Any]:
    """What a training that goes on must be alike in: the network, what it is trained for and from
    what, and how."""
    architecture, start = bound.model.architecture, prior_params.get("learned")
    found: dict[str, Any] = {
        "architecture": architecture,
        "version": learned.KINDS[architecture].version,
        "net": dataclasses.asdict(bound.model.net),
        "network": bound.network,
        "config": loop.fixed(config),
        "prior": learned.generator_digest(prior_params),
        "operator": bound.operator.name,
        "start": None if start is None else weights.digest(start),
    }
    if BEGUN in prior_params:
        found[BEGUN] = weights.digest(prior_params[BEGUN])
    if config.schedule != "constant":
        found["total_images"] = run.total_images
    return found


def _told(config: Config, row: loop.Row) -> str:
    return (
        f"{config.pixel_fit} {row[config.pixel_fit]:.4f} perceptual {row['perceptual']:.3f} D "
        f"{row['loss_discriminator']:.3f}; validation {row['val_psnr']:.2f} dB, "
        f"feature distance {row['val_distance']:.3f}, residual {row['val_residual']:.2g}"
    )


@dataclasses.dataclass(frozen=True)
class _Publish:
    """What each tick writes and measures."""

    bound: Bound
    given: Params
    held: np.ndarray
    folder: Path
    about: dict[str, Any]

    def __call__(self, state: restorer.State, row: loop.Row) -> loop.Row:
        half = jax.tree.map(lambda x: np.asarray(x, np.float16), state.ema)
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), half)
        made, scores = scored(self.bound, self.given, params, self.held)
        refs = jnp.asarray(self.held[:SHOWN], jnp.float32) / 255
        seen = np.asarray(jax.vmap(functools.partial(_shown, self.bound))(refs))
        grid = np.concatenate([np.asarray(refs), seen, made[:SHOWN]])
        images.write(self.folder / "samples.png", plots.mosaic(grid, len(self.held[:SHOWN])))
        row = row | {f"val_{name}": float(values.mean()) for name, values in scores.items()}
        judged = {name: row[f"val_{name}"] for name in scores} | {"photos": len(self.held)}
        record = self.about | {"images": int(row["images"]), "validation": judged}
        learned.save(
            self.folder / "model",
            self.bound.model,
            half,
            self.bound.prior,
            self.given,
            self.bound.operator,
            record,
        )
        return row


def _shown(bound: Bound, image: jax.Array) -> jax.Array:
    """What the network sees of an image, at the image's size."""
    seen = 0.5 + 0.5 * learned.seen(bound.prior, bound.operator, measure(bound, image[None])[0])
    return jax.image.resize(seen, image.shape, "nearest")


def scored(
    bound: Bound, given: Params, params: Params, photos: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Restored photos [n, H, W, 3] and their scores [n]: PSNR in dB, distance in the bundled
    feature network, residual."""
    net, features = metrics.load_features()
    size, made, rows = min(16, len(photos)), [], []
    for first in range(0, len(photos), size):
        chunk = np.pad(
            photos[first : first + size],
            ((0, max(0, first + size - len(photos))), (0, 0), (0, 0), (0, 0)),
            mode="edge",
        )
        images_, *scores = _judge(bound, net, given, features, params, jnp.asarray(chunk))
        made.append(np.asarray(images_))
        rows.append(np.stack(scores))
    names, values = ("psnr", "distance", "residual"), np.concatenate(rows, 1)[:, : len(photos)]
    return np.concatenate(made)[: len(photos)], dict(zip(names, values, strict=True))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _judge(
    bound: Bound,
    net: "Features",
    given: Params,
    features: Params,
    params: Params,
    photos: jax.Array,
) -> tuple[jax.Array, ...]:
    refs = photos.astype(jnp.float32) / 255
    ys = measure(bound, refs)
    made = restored(jax.random.key(0), bound, given, params, ys)
    rounded = jnp.clip(made, 0, 1)
    psnr = jax.vmap(metrics.psnr)(rounded, refs)
    distance = jax.vmap(lambda x, ref: metrics.feature_distance(net, features, x, ref))(
        rounded, refs
    )
    return (
        made,
        psnr,
        distance,
        jax.vmap(lambda x, y: jnp.mean((bound.operator(x) - y) ** 2))(made, ys),
    )
