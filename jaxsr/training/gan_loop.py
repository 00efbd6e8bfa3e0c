"""The resumable loop around `gan.make_step`: checkpoints, sample grids, a Frechet curve, and the prior as it stands, in one folder."""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsr import data, images, locks, plots, priors, report, weights
from jaxsr.metrics.features import load_features
from jaxsr.metrics.frechet import frechet_distance
from jaxsr.nets import stylegan2
from jaxsr.training import checkpoints, gan
from jaxsr.training.augment import SYMMETRIES, symmetric
from jaxsr.types import Params

COLUMNS = ("images", "seconds", "loss_generator", "loss_discriminator", "sign_real", "r1", "path_mean", "ada_p", "frechet")


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run trains on and what it writes.

    symmetry: the exact symmetries of the photos, "none", "flip" or "dihedral" (8 flips and quarter turns).
    tick_images: images between two checkpoints; each also writes samples and a row of curve.csv.
    frechet_samples: generated and real images of each Frechet distance, 0 for none.
    """

    total_images: int = 1_000_000
    seed: int = 0
    symmetry: Literal["none", "flip", "dihedral"] = "flip"
    tick_images: int = 20_000
    frechet_samples: int = 2_000

    def __post_init__(self):
        if self.symmetry not in SYMMETRIES:
            raise ValueError(f"symmetry must be one of {', '.join(SYMMETRIES)}, got {self.symmetry!r}")
        for name, least in (("total_images", 1), ("tick_images", 1), ("frechet_samples", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.frechet_samples == 1:
            raise ValueError("frechet_samples must be 0 or at least 2, got 1")


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
    """Trains until `run.total_images` were seen, going on from the last checkpoint in `folder`; returns the prior's folder.

    Writes folder/checkpoints (the whole state), prior/ (what `load_prior` reads), samples.png and a row of curve.csv at every tick. Every
    step is a function of the state, the seed, the photos and the number of devices, so a killed run continues as if never stopped.

    Args:
        photos: uint8 [n, r, r, 3] with r = net.resolution, as from `data.prepare`.
        about: name, domain, licence and credit for the prior's config.json.
        warm: params of a prior to start from (`gan.begin`).

    Raises:
        ValueError: the folder holds a run with other settings or photos, or another process trains there, a batch that the devices do not
            divide, or the loss is no longer finite (the last good checkpoint stays).
    """
    folder = Path(folder)
    with locks.only_here(folder):
        return _fit(net, config, run, photos, folder, about, warm, say)


def _fit(
    net: stylegan2.Config,
    config: gan.Config,
    run: Run,
    photos: np.ndarray,
    folder: Path,
    about: dict[str, Any],
    warm: Params | None,
    say: Callable[[str], None],
) -> Path:
    if len(photos) < 2:
        raise ValueError(f"expected at least 2 photos to train on, got {len(photos)}")
    meta = {"net": dataclasses.asdict(net), "config": dataclasses.asdict(config), "seed": run.seed, "symmetry": run.symmetry}
    meta |= {"photos": checkpoints.digest(photos), "warm": warm and weights.digest(warm)}
    state = gan.begin(jax.random.key(run.seed), net, config, warm=warm)
    state, saved = checkpoints.resume(folder / "checkpoints", state, meta)
    row = saved.get("row", {})
    if row and row["images"] not in [float(r["images"]) for r in _curve(folder)]:
        _publish(net, run, state, photos, folder, about, row)  # killed between the checkpoint and the rest of its tick
    spent = row.get("seconds", 0.0)
    state, place, step = _spread(state, net, config)
    order = data.Order(len(photos), seed=run.seed, batch=config.batch)
    first, last = int(state.step), -(-run.total_images // config.batch)
    every = max(run.tick_images // config.batch, 1)
    logs, started = [], time.monotonic() - spent
    for i in range(first, last):
        batch = symmetric(np.random.default_rng((run.seed, i)), photos[order.indices(i)], run.symmetry)
        state, log = step(state, place(batch))
        logs.append(log)
        if (i + 1) % every == 0 or i + 1 == last:
            _check_finite(state, i + 1)
            row = _means(logs) | {"images": (i + 1) * config.batch, "seconds": time.monotonic() - started}
            checkpoints.save(folder / "checkpoints", i + 1, state, meta | {"row": row})
            row = _publish(net, run, state, photos, folder, about, row)
            say(_line(row, run.total_images, spent, first * config.batch))
            logs = []
    return folder / "prior"


def _spread(state: gan.State, net: stylegan2.Config, config: gan.Config) -> tuple[gan.State, Callable, Callable]:
    """The state on every device, a function that splits a batch among them, and the compiled step.

    On a CPU, where a device is only a core, as many take part as divide the batch.
    """
    devices = jax.devices()
    if jax.default_backend() == "cpu":
        devices = devices[: max(n for n in range(1, len(devices) + 1) if _fits(config.batch, n))]
    if not _fits(config.batch, len(devices)):
        raise ValueError(f"batch must be a multiple of the {len(devices)} devices, at least 2 on each, got {config.batch}")
    mesh = Mesh(np.array(devices), ("batch",))
    whole, split = PartitionSpec(), PartitionSpec("batch")
    step = jax.shard_map(
        gan.make_step(net, config, axis="batch"), mesh=mesh, in_specs=(whole, split), out_specs=(whole, whole), check_vma=False
    )
    place = functools.partial(jax.device_put, device=NamedSharding(mesh, split))
    return jax.device_put(state, NamedSharding(mesh, whole)), place, jax.jit(step, donate_argnums=0)


def _fits(batch: int, devices: int) -> bool:
    return batch % devices == 0 and batch >= 2 * devices


def _check_finite(state: gan.State, step: int) -> None:
    if not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves((state.params, state.ema))):
        raise ValueError(f"the weights are no longer finite at step {step}; the last good checkpoint is kept, try a lower learning rate")


def _means(logs: list[dict]) -> dict[str, float]:
    """Mean of every logged scalar since the last tick; NaN entries are steps on which a lazy term did not run."""
    means = {}
    for name in logs[0]:
        values = np.array([log[name] for log in logs])
        ran = values[~np.isnan(values)] if name == "r1" else values
        means[name] = float(ran.mean()) if len(ran) else float("nan")
    return means


def _publish(
    net: stylegan2.Config, run: Run, state: gan.State, photos: np.ndarray, folder: Path, about: dict, row: dict[str, float]
) -> dict[str, float]:
    """Writes the prior, a grid of its samples, and last the row of the curve; returns that with its Frechet distance."""
    params = jax.device_get(state.params | state.ema)
    params["statistics"] = _statistics(net)(params)
    config = {"architecture": "stylegan2", "net": dataclasses.asdict(net) | {"dtype": "float32"}, **about}
    weights.save(folder / "prior", params, config)
    generate = _generate(net)
    z = jax.random.normal(jax.random.key(run.seed), (64, net.z_dim))
    images.write(folder / "samples.png", plots.mosaic(np.asarray(generate(params, z)), 8))
    row = row | {"frechet": _frechet(net, run, params, photos) if run.frechet_samples else float("nan")}
    _append(folder / "curve.csv", row)
    return row


def _frechet(net: stylegan2.Config, run: Run, params: Params, photos: np.ndarray) -> float:
    """Distance between samples and photos under their symmetry, in the bundled feature network: one ruler for the curve, not FID."""
    generate = _generate(net)
    count = min(run.frechet_samples, len(photos))
    rng = np.random.default_rng(run.seed)
    real = symmetric(rng, photos[np.sort(rng.permutation(len(photos))[:count])], run.symmetry)
    chunks = [jax.random.normal(k, (64, net.z_dim)) for k in jax.random.split(jax.random.key(run.seed + 1), -(-count // 64))]
    fake = np.concatenate([np.asarray(generate(params, z)) for z in chunks])[:count]
    return frechet_distance(_features(real / np.float32(255)), _features(np.clip(fake, 0, 1)))


@functools.lru_cache
def _statistics(net: stylegan2.Config) -> Callable[[Params], dict]:
    prior = stylegan2.stylegan2(net)
    return jax.jit(lambda params: priors.latent_statistics(prior, params, jax.random.key(0)))


@functools.lru_cache
def _generate(net: stylegan2.Config) -> Callable[[Params, jax.Array], jax.Array]:
    prior = stylegan2.stylegan2(net)
    return jax.jit(jax.vmap(prior.decode, (None, 0)))


@functools.cache
def _feature_vectors() -> Callable[[np.ndarray], jax.Array]:
    net, params = load_features()
    vectors = jax.jit(jax.vmap(net.vector, (None, 0)))
    return lambda stack: vectors(params, jnp.asarray(stack))


def _features(stack: np.ndarray) -> np.ndarray:
    return np.concatenate([np.asarray(_feature_vectors()(stack[i : i + 64])) for i in range(0, len(stack), 64)])


def _append(path: Path, row: dict[str, float]) -> None:
    """Adds a row to curve.csv; rows that a killed run wrote beyond its last checkpoint are dropped."""
    rows = [r for r in _curve(path.parent) if float(r["images"]) < row["images"]]
    report.write_csv(path, [*rows, {name: row[name] for name in COLUMNS}], COLUMNS)


def _curve(folder: Path) -> list[dict[str, str]]:
    return report.read_csv(folder / "curve.csv")


def _line(row: dict[str, float], total: int, spent: float, before: int) -> str:
    rate = (row["images"] - before) / max(row["seconds"] - spent, 1e-9)
    left = (total - row["images"]) / rate / 60
    return (
        f"{row['images']:>9,.0f} of {total:,} images, {rate:.1f} a second, {left:.0f} min left: "
        f"G {row['loss_generator']:.3f} D {row['loss_discriminator']:.3f} sign {row['sign_real']:.2f} ada {row['ada_p']:.2f} "
        f"frechet {row['frechet']:.3f}"
    )
