"""Training of the network that reads labels off photos (`jaxsr.nets.features`): cross-entropies,
AdamW, a cosine, resumable by epochs."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsr import data
from jaxsr.nets import features
from jaxsr.training import checkpoints, members
from jaxsr.training.augment import symmetric
from jaxsr.types import Params, Scalar

UNKNOWN = -1  # a label that a photo does not have


@dataclasses.dataclass(frozen=True)
class Config:
    """How the network is trained.

    batch: photos a step; split over the devices.
    epochs: passes over the photos.
    learning_rate: its peak, after a warm-up of one epoch; a cosine to 0 follows.
    weight_decay: of AdamW, on kernels.
    attribute_weight: of the mean cross-entropy of all labels but the first, whose weight is 1.
    smoothing: share of each label spread over all values.
    symmetry: the exact symmetries of the photos; dihedral: all 8 flips and quarter turns.
    seed: of the start, the order and the augmentation.
    """

    batch: int = 64
    epochs: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    attribute_weight: float = 1.0
    smoothing: float = 0.05
    symmetry: Literal["none", "flip", "dihedral"] = "dihedral"
    seed: int = 0

    def __post_init__(self):
        for name, least in (("batch", 1), ("epochs", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")


class State(NamedTuple):
    """Parameters and Adam's moments."""

    params: Params
    opt: optax.OptState


def heads_of(
    rows: Sequence[Mapping[str, str]], columns: Sequence[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The values that occur in each column of a table of labels, sorted; an empty cell is no value.

    Raises:
        ValueError: a column that the table lacks, or that has fewer than two values.
    """
    found = []
    for name in columns:
        values = tuple(sorted({row.get(name, "") for row in rows} - {""}))
        if len(values) < 2:
            raise ValueError(
                f"expected a column {name!r} with at least two values, got {list(values) or 'none'}"
            )
        found.append((name, values))
    return tuple(found)


def encode(
    rows: Sequence[Mapping[str, str]], heads: tuple[tuple[str, tuple[str, ...]], ...]
) -> np.ndarray:
    """Labels int32 [n, heads] of a table's rows: the index of the value, UNKNOWN where it has none
    of the head's."""
    tables = [(name, {value: i for i, value in enumerate(values)}) for name, values in heads]
    return np.array(
        [[table.get(row.get(name, ""), UNKNOWN) for name, table in tables] for row in rows],
        np.int32,
    )


def loss(
    net: features.Features, config: Config, params: Params, images: jax.Array, labels: jax.Array
) -> Scalar:
    """Mean over images [n, r, r, 3] of the first label's cross-entropy plus the weighted mean of
    the others'; unknown labels count 0."""
    logits = jax.vmap(net.read, (None, 0))(params, images)
    losses = []
    for (name, values), label in zip(net.config.heads, labels.T, strict=True):
        target = optax.smooth_labels(jax.nn.one_hot(label, len(values)), config.smoothing)
        losses.append(
            jnp.mean(
                jnp.where(label == UNKNOWN, 0.0, optax.softmax_cross_entropy(logits[name], target))
            )
        )
    first, rest = losses[0], losses[1:]
    return first + config.attribute_weight * sum(rest, jnp.float32(0)) / max(len(rest), 1)


def optimiser(config: Config, steps_per_epoch: int) -> optax.GradientTransformation:
    """AdamW with a warm-up of an epoch (at most a third of the run) and a cosine."""
    steps = config.epochs * steps_per_epoch
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, min(steps_per_epoch, steps // 3), steps
    )
    kernels = lambda params: jax.tree.map(lambda x: x.ndim > 1, params)  # noqa: E731
    return optax.adamw(schedule, weight_decay=config.weight_decay, mask=kernels)


def make_step(
    net: features.Features, config: Config, tx: optax.GradientTransformation, mesh: Mesh
) -> Callable:
    """The jitted step (state, images uint8 [n, r, r, 3], labels [n, heads]) -> (state, loss), a
    share of the batch on each device."""
    whole, split = PartitionSpec(), PartitionSpec("batch")

    def step(state: State, photos: jax.Array, labels: jax.Array) -> tuple[State, Scalar]:
        value, grads = jax.value_and_grad(lambda p: loss(net, config, p, photos / 255.0, labels))(
            state.params
        )
        value, grads = members.mean((value, grads), "batch")
        updates, opt = tx.update(grads, state.opt, state.params)
        return State(optax.apply_updates(state.params, updates), opt), value

    return jax.jit(
        jax.shard_map(
            step,
            mesh=mesh,
            in_specs=(whole, split, split),
            out_specs=(whole, whole),
            check_vma=False,
        )
    )


def fit(
    net: features.Features,
    config: Config,
    photos: np.ndarray,
    labels: np.ndarray,
    folder: str | Path,
    *,
    say: Callable[[str], None] = print,
) -> Params:
    """Trains on photos uint8 [n, r, r, 3] with labels int32 [n, heads]; goes on from the last epoch
    in folder/checkpoints.

    A killed run ends with the parameters that it would have had undisturbed.

    Raises:
        ValueError: fewer photos than a batch, labels that are not one a photo, a batch that the
            devices do not divide, a folder that holds a run with other settings, or a loss that is
            no longer finite.
    """
    _check(net, config, photos, labels)
    folder, mesh, steps = (
        Path(folder) / "checkpoints",
        Mesh(np.array(jax.devices()), ("batch",)),
        len(photos) // config.batch,
    )
    tx, params = optimiser(config, steps), features.init(jax.random.key(config.seed), net.config)
    settings = {
        "net": dataclasses.asdict(net.config),
        "config": dataclasses.asdict(config),
        "photos": checkpoints.digest(photos),
    }
    state, _ = checkpoints.resume(folder, State(params, tx.init(params)), settings)
    state, step = (
        jax.device_put(state, NamedSharding(mesh, PartitionSpec())),
        make_step(net, config, tx, mesh),
    )
    for epoch in range((checkpoints.latest(folder) or 0) // steps, config.epochs):
        start = time.monotonic()
        state, mean = _epoch(
            step, state, config, photos, labels, range(epoch * steps, (epoch + 1) * steps)
        )
        if not np.isfinite(mean):
            raise ValueError(
                f"the loss is no longer finite in epoch {epoch + 1}; the last good checkpoint "
                "is kept, lower the learning rate"
            )
        checkpoints.save(folder, (epoch + 1) * steps, state, settings)
        rate = steps * config.batch / (time.monotonic() - start)
        say(f"epoch {epoch + 1} of {config.epochs}: loss {mean:.4f}, {rate:.0f} photos a second")
    return jax.device_get(state.params)


def _epoch(
    step: Callable,
    state: State,
    config: Config,
    photos: np.ndarray,
    labels: np.ndarray,
    indices: range,
) -> tuple[State, float]:
    """The state after the steps `indices`, and their mean loss."""
    order, values = data.Order(len(photos), seed=config.seed, batch=config.batch), []
    for i in indices:
        rows, rng = order.indices(i), np.random.default_rng((config.seed, i))
        batch = shifted(rng, symmetric(rng, photos[rows], config.symmetry))
        jax.block_until_ready(values[-1:])  # at most one step ahead, as in `loop.fit`
        state, value = step(state, batch, labels[rows])
        values.append(value)
    return state, float(np.mean(jax.device_get(values)))


def _check(net: features.Features, config: Config, photos: np.ndarray, labels: np.ndarray) -> None:
    if labels.shape != (len(photos), len(net.config.heads)):
        raise ValueError(
            f"expected labels of shape {(len(photos), len(net.config.heads))}, got {labels.shape}"
        )
    if len(photos) < config.batch:
        raise ValueError(f"expected at least a batch of {config.batch} photos, got {len(photos)}")
    if config.batch % jax.device_count():
        raise ValueError(
            f"batch must be a multiple of the {jax.device_count()} devices, got {config.batch}"
        )


def shifted(rng: np.random.Generator, photos: np.ndarray) -> np.ndarray:
    """Each of photos [n, r, r, 3] moved by up to r / 16 pixels a side, mirrored at the border."""
    reach = photos.shape[1] // 16
    offsets = rng.integers(0, 2 * reach + 1, (len(photos), 2))
    padded = np.pad(photos, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    side = photos.shape[1]
    return np.stack(
        [image[y : y + side, x : x + side] for image, (y, x) in zip(padded, offsets, strict=True)]
    )


def accuracies(
    net: features.Features, params: Params, images: np.ndarray, labels: np.ndarray
) -> dict[str, dict[str, float]]:
    """For each label over images float [n, r, r, 3] in [0, 1]: the share read right, its mean over
    the values (balanced), the share of the commonest value, and how many photos have the label."""
    read = jax.jit(jax.vmap(net.read, (None, 0)))
    chunks = [
        jax.device_get(read(params, jnp.asarray(images[i : i + 64])))
        for i in range(0, len(images), 64)
    ]
    table = {}
    for (name, values), truth in zip(net.config.heads, labels.T, strict=True):
        said = np.concatenate([np.argmax(chunk[name], 1) for chunk in chunks])
        known = truth != UNKNOWN
        hits, counts = (said == truth)[known], np.bincount(truth[known], minlength=len(values))
        balanced = (
            np.mean([hits[truth[known] == v].mean() for v in range(len(values)) if counts[v]])
            if known.any()
            else np.nan
        )
        most = counts.max() / max(counts.sum(), 1)
        table[name] = {
            "accuracy": float(hits.mean()),
            "balanced": float(balanced),
            "commonest": float(most),
            "photos": int(known.sum()),
        }
    return table
