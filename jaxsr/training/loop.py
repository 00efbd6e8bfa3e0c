"""The resumable loop around a training step: batches in a fixed order spread over the devices,
checkpoints, and what each tick shows."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tqdm import tqdm

from jaxsr import data
from jaxsr.records import files, report
from jaxsr.training import checkpoints
from jaxsr.training.augment import SYMMETRIES, symmetric
from jaxsr.types import Params

Row = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Run:
    """How long one run trains, and what it does between.

    total_images: images that the run ends after; a photo counts each time it is seen.
    seed: of the first weights and of the order of the photos.
    symmetry: the exact symmetries of the photos; dihedral: all 8 flips and quarter turns.
    tick_images: images between two checkpoints; each also writes samples and a row of curve.csv.
    """

    total_images: int = 1_000_000
    seed: int = 0
    symmetry: Literal["none", "flip", "dihedral"] = "flip"
    tick_images: int = 20_000

    def __post_init__(self):
        if self.symmetry not in SYMMETRIES:
            raise ValueError(
                f"symmetry must be one of {', '.join(SYMMETRIES)}, got {self.symmetry!r}"
            )
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        for name in ("total_images", "tick_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class Task(NamedTuple):
    """What is trained.

    Attributes:
        state: before the first step: a NamedTuple with `step`, the number of steps made.
        make_step: (axis) -> (state, given, photos uint8 [n, r, r, 3]) -> (state, {name: scalar}), a
            pure step for one member of that axis.
        given: arrays that every step sees and none changes.
        batch: photos a step, on all devices together.
        settings: what a checkpoint must have in common with the run that goes on from it.
        defaults: of `settings` that a checkpoint may be too old to know.
        finite: (state) -> what must stay finite.
        publish: (state, row) -> row: writes what a person looks at, and adds to the row of
            curve.csv what it measures.
        columns: of curve.csv, "images" and "seconds" among them.
        told: (row) -> what a line of progress says of it.
    """

    state: Any
    make_step: Callable
    given: Any
    batch: int
    settings: dict[str, Any]
    defaults: dict[str, Any]
    finite: Callable[[Any], Any]
    publish: Callable[[Any, Row], Row]
    columns: Sequence[str]
    told: Callable[[Row], str]


def fixed(config: Any) -> dict[str, Any]:
    """The settings of a run that must stay as they are when it goes on: all but the learning rate,
    which may have been too high."""
    return {
        name: value for name, value in dataclasses.asdict(config).items() if name != "learning_rate"
    }


def fit(
    task: Task,
    run: Run,
    photos: np.ndarray,
    folder: str | Path,
    *,
    say: Callable[[str], None] = print,
) -> None:
    """Trains until `run.total_images` were seen, going on from the last checkpoint in `folder`.

    Writes folder/checkpoints (the whole state), and at every tick a row of curve.csv and what the
    task publishes. Every step is a function of the state, the seed, the photos and the number of
    devices, so a killed run continues as if never stopped.

    Args:
        photos: uint8 [n, r, r, 3], as from `data.prepare`.

    Raises:
        ValueError: fewer than 2 photos, the folder holds a run with other settings or photos, or
            another process trains there, a batch that the devices do not divide, or the state is no
            longer finite (the last good checkpoint stays).
    """
    if len(photos) < 2:
        raise ValueError(f"expected at least 2 photos to train on, got {len(photos)}")
    with files.only_here(folder):
        _fit(task, run, photos, Path(folder), say)


def _fit(
    task: Task, run: Run, photos: np.ndarray, folder: Path, say: Callable[[str], None]
) -> None:
    meta = task.settings | {
        "seed": run.seed,
        "symmetry": run.symmetry,
        "photos": checkpoints.digest(photos),
    }
    state, saved = checkpoints.resume(folder / "checkpoints", task.state, meta, task.defaults)
    row = saved.get("row", {})
    if row and row["images"] not in [float(r["images"]) for r in curve(folder)]:
        # Killed between the checkpoint and the rest of its tick.
        _append(folder, task.columns, task.publish(state, row))
    spent = row.get("seconds", 0.0)
    state, place, step = _spread(task, state)
    order = data.Order(len(photos), seed=run.seed, batch=task.batch)
    first, last = int(state.step), -(-run.total_images // task.batch)
    every = max(run.tick_images // task.batch, 1)
    logs, started = [], time.monotonic() - spent
    for i in tqdm(
        range(first, last),
        unit_scale=task.batch,
        unit=" images",
        mininterval=2,
        delay=2,
        leave=False,
        dynamic_ncols=True,
    ):
        batch = symmetric(
            np.random.default_rng((run.seed, i)), photos[order.indices(i)], run.symmetry
        )
        # At most one step ahead: on a CPU those that wait for a place among 32 hold the threads
        # that the first needs, and all stand still.
        jax.block_until_ready(logs[-1:])
        state, log = step(state, place(batch))
        logs.append(log)
        if (i + 1) % every == 0 or i + 1 == last:
            _check_finite(task.finite(state), logs, i, order)
            row = _means(logs) | {
                "images": (i + 1) * task.batch,
                "seconds": time.monotonic() - started,
            }
            checkpoints.save(folder / "checkpoints", i + 1, state, meta | {"row": row})
            row = task.publish(state, row)
            _append(folder, task.columns, row)
            say(_line(row, run.total_images, spent, first * task.batch) + task.told(row))
            logs = []


def _spread(task: Task, state: Any) -> tuple[Any, Callable, Callable]:
    """The state on every device, a function that splits a batch among them, and the compiled step.

    On a CPU, where a device is only a core, as many take part as divide the batch.
    """
    devices = jax.devices()
    if jax.default_backend() == "cpu":
        devices = devices[: max(n for n in range(1, len(devices) + 1) if fits(task.batch, n))]
    if not fits(task.batch, len(devices)):
        raise ValueError(
            f"batch must be a multiple of the {len(devices)} devices, at least 2 on each, got "
            f"{task.batch}"
        )
    mesh = Mesh(np.array(devices), ("batch",))
    whole, split = PartitionSpec(), PartitionSpec("batch")
    specs = {"in_specs": (whole, whole, split), "out_specs": (whole, whole)}
    step = jax.jit(
        jax.shard_map(task.make_step("batch"), mesh=mesh, check_vma=False, **specs),
        donate_argnums=0,
    )
    place = functools.partial(jax.device_put, device=NamedSharding(mesh, split))
    given, state = jax.device_put((task.given, state), NamedSharding(mesh, whole))
    return state, place, lambda state, photos: step(state, given, photos)


def fits(batch: int, devices: int) -> bool:
    """Whether each device gets as many photos, and at least 2: the minibatch statistic of one is
    zero."""
    return batch % devices == 0 and batch >= 2 * devices


def _check_finite(tree: Params, logs: list[dict], last: int, order: data.Order) -> None:
    """Raises ValueError, which names the batch of the first step since the last tick whose loss was
    not finite, unless all weights are."""
    if all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(tree)):
        return
    losses = [
        all(np.isfinite(float(value)) for name, value in log.items() if name.startswith("loss"))
        for log in logs
    ]
    step = last + 1 - len(logs) + (losses.index(False) if False in losses else len(losses) - 1)
    photos = ", ".join(map(str, order.indices(step)[:8]))
    raise ValueError(
        f"the weights are no longer finite at step {step + 1} (photos {photos}, ...); the "
        "last good checkpoint is kept, try a lower learning rate"
    )


def _means(logs: list[dict]) -> Row:
    """Mean of every logged scalar since the last tick; NaN entries of R1 are steps on which it did
    not run."""
    means = {}
    for name in logs[0]:
        values = np.array([log[name] for log in logs])
        ran = values[~np.isnan(values)] if name == "r1" else values
        means[name] = float(ran.mean()) if len(ran) else float("nan")
    return means


def curve(folder: str | Path) -> list[dict[str, str]]:
    """The rows of a run's curve.csv."""
    return report.read_csv(Path(folder) / "curve.csv")


def _append(folder: Path, columns: Sequence[str], row: Row) -> None:
    """Adds a row to curve.csv; rows that a killed run wrote beyond its last checkpoint are
    dropped."""
    rows = [r for r in curve(folder) if float(r["images"]) < row["images"]]
    report.write_csv(folder / "curve.csv", [*rows, {name: row[name] for name in columns}], columns)


def _line(row: Row, total: int, spent: float, before: int) -> str:
    rate = (row["images"] - before) / max(row["seconds"] - spent, 1e-9)
    left = (total - row["images"]) / rate / 60
    return f"{row['images']:>9,.0f} of {total:,} images, {rate:.1f} a second, {left:.0f} min left: "
