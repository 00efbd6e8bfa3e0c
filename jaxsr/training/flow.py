"""Training of the flow of `jaxsr.flows` on w samples of a prior, and what shows how well it
Gaussianises them (RLS, Figure 3)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxsr import flows
from jaxsr.priors import Prior
from jaxsr.training import checkpoints
from jaxsr.types import Params, PRNGKey, Scalar

CHUNK = 1_000  # samples that are mapped or evaluated at once


@dataclass(frozen=True)
class Config:
    """Settings of the flow and its training: RLS's sizes, and the defaults of the layers' usual
    training where the paper is silent.

    Attributes:
        hidden: units in each of the two hidden layers of a MADE.
        num_blocks: number of [MADE, batch normalisation, reversal].
        num_train: w samples to train on, drawn once.
        num_valid: w samples that decide when to stop.
        batch_size: samples a step.
        learning_rate: of Adam.
        weight_decay: added to Adam's gradient, times the weight.
        max_epochs: passes over the training samples, at most.
        patience: stop after this many epochs without gain on the validation samples.
        save_every: epochs between two checkpoints.
    """

    hidden: int = 1024
    num_blocks: int = 5
    num_train: int = 100_000
    num_valid: int = 10_000
    batch_size: int = 100
    learning_rate: float = 1e-4
    weight_decay: float = 1e-6
    max_epochs: int = 1_000
    patience: int = 30
    save_every: int = 5

    def __post_init__(self):
        for name in ("hidden", "num_blocks", "num_train", "batch_size", "max_epochs", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")


class State(NamedTuple):
    """All that a training needs to go on: trained and best parameters (jaxsr.flows), both with
    statistics of all training samples."""

    params: Params
    opt_state: optax.OptState
    key: jax.Array
    epoch: jax.Array
    best: Params
    best_value: jax.Array
    stale: jax.Array


class Samples(NamedTuple):
    """w samples [n, d] of a prior: to train on, to stop by, and to report on (as many as to stop
    by)."""

    train: jax.Array
    valid: jax.Array
    test: jax.Array


def draw(key: PRNGKey, prior: Prior, params: Params, *, num_samples: int) -> Float[Array, "n d"]:
    """w of `num_samples` standard normal z."""

    def one(key: jax.Array) -> jax.Array:
        return prior.map(params, jax.random.normal(key, (prior.info.z_dim,)))

    return jax.lax.map(one, jax.random.split(key, num_samples), batch_size=CHUNK)


def samples(prior: Prior, params: Params, key: PRNGKey, config: Config) -> Samples:
    """The samples that `fit` uses under the same key, and further ones for a report.

    Raises:
        ValueError: w is not finite, or does not vary in some dimension.
    """
    keys = jax.random.split(jax.random.fold_in(key, 0), 3)
    sizes = (config.num_train, config.num_valid, config.num_valid)
    drawn = jax.jit(draw, static_argnums=1, static_argnames="num_samples")
    made = Samples(
        *(drawn(k, prior, params, num_samples=n) for k, n in zip(keys, sizes, strict=True))
    )
    std = np.asarray(made.train.std(0))
    if not (std > 0).all():  # also false for NaN
        raise ValueError(
            "expected finite w that vary in each dimension, got a standard deviation of "
            f"{std.min()} in the training samples"
        )
    return made


def fit(
    prior: Prior,
    params: Params,
    key: PRNGKey,
    config: Config = Config(),
    *,
    folder: str | Path | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> Params:
    """Trains a flow on w samples of `prior` and returns the parameters (jaxsr.flows) that were best
    on the validation samples.

    The result depends on the arguments alone: a training that was killed and started again ends
    with the same parameters.

    Args:
        folder: where checkpoints go; a training found there is continued. None: no checkpoints.
        report: called after each epoch with its number (from 1) and the log-likelihoods "train",
            "valid" and "best" in nats a dimension.

    Raises:
        ValueError: a setting is impossible, `folder` holds another training, or no epoch had a
            finite likelihood.
    """
    _check(config)
    train, valid, _ = samples(prior, params, key, config)
    state = begin(jax.random.fold_in(key, 1), train, config)
    if folder is not None and checkpoints.latest(folder) is not None:
        state = _resume(folder, state, config)
    while not _finished(state, config):
        state, metrics = run_epoch(state, train, valid, config)
        if report is not None:
            report(int(state.epoch), {name: float(value) for name, value in metrics.items()})
        if folder is not None and (
            _finished(state, config) or state.epoch % config.save_every == 0
        ):
            checkpoints.save(folder, int(state.epoch), state, {"config": asdict(config)})
    if not np.isfinite(state.best_value):
        raise ValueError(
            "expected a finite likelihood in some epoch, got none: try a learning rate below "
            f"{config.learning_rate}"
        )
    return state.best


def begin(key: PRNGKey, train: Float[Array, "n d"], config: Config) -> State:
    """The state before the first epoch: an untrained flow that standardises `train`."""
    key_init, key_order = jax.random.split(key)
    params = jax.jit(flows.init, static_argnums=1)(
        key_init, flows.Config(train.shape[1], config.hidden, config.num_blocks)
    )
    params["statistics"]["w"] = {"mean": train.mean(0), "std": train.std(0)}
    opt_state = _optimiser(config).init(params["blocks"])
    # Its own buffers, because run_epoch gives the state's away.
    best = jax.tree.map(jnp.copy, params)
    return State(
        params,
        opt_state,
        key_order,
        jnp.zeros((), jnp.int32),
        best,
        jnp.full((), -jnp.inf, jnp.float32),
        jnp.zeros((), jnp.int32),
    )


@partial(jax.jit, static_argnames="config", donate_argnames="state")
def run_epoch(
    state: State, train: Float[Array, "n d"], valid: Float[Array, "m d"], config: Config
) -> tuple[State, dict[str, Float[Array, ""]]]:
    """One pass over `train` in a new order (what does not fill a batch is left out), then
    validation; `state` is consumed.

    For validation, and in the state returned, the normalisation's statistics are those of all
    training samples.
    """
    order = jax.random.permutation(jax.random.fold_in(state.key, state.epoch), len(train))
    batches = order[: len(train) // config.batch_size * config.batch_size].reshape(
        -1, config.batch_size
    )
    state, values = jax.lax.scan(
        lambda state, rows: train_step(state, train[rows], config), state, batches
    )
    params = state.params | {"statistics": measure(state.params, train)}
    value = mean_log_prob(params, valid)
    better = value > state.best_value  # false for NaN
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, state.best)
    state = state._replace(
        params=params,
        epoch=state.epoch + 1,
        best=best,
        best_value=jnp.where(better, value, state.best_value),
        stale=jnp.where(better, 0, state.stale + 1),
    )
    dim = train.shape[1]
    return state, {
        "train": values.mean() / dim,
        "valid": value / dim,
        "best": state.best_value / dim,
    }


def train_step(state: State, batch: Float[Array, "n d"], config: Config) -> tuple[State, Scalar]:
    """One Adam step on -mean log p of `batch`, normalised by its own statistics; returns the mean
    log p in nats before the step."""
    statistics = state.params["statistics"]
    loss, gradient = jax.value_and_grad(
        lambda blocks: -batch_log_prob(blocks, statistics["w"], batch).mean()
    )(state.params["blocks"])
    updates, opt_state = _optimiser(config).update(
        gradient, state.opt_state, state.params["blocks"]
    )
    blocks = optax.apply_updates(state.params["blocks"], updates)
    return state._replace(
        params={"blocks": blocks, "statistics": statistics}, opt_state=opt_state
    ), -loss


def batch_log_prob(blocks: Params, standard: Params, w: Float[Array, "n d"]) -> Float[Array, " n"]:
    """log p of each w with every batch normalisation using the mean and variance of these very w
    (training mode)."""
    x: Any
    x, log_det = flows.standardisation(standard).forward_and_log_det(w)
    for i in range(len(blocks)):
        block = blocks[f"block{i}"]
        x, log_det_made = flows.Made(block).forward_and_log_det(x)
        x, log_det_norm = flows.batch_norm(block, _moments(x)).forward_and_log_det(x)
        x = flows.Reverse().forward(x)
        log_det = log_det + log_det_made + log_det_norm
    return -0.5 * (x**2).sum(-1) - 0.5 * x.shape[-1] * jnp.log(2 * jnp.pi) + log_det


def measure(params: Params, w: Float[Array, "n d"]) -> Params:
    """The flow's statistics over all of `w`: each normalisation's, given that those before it
    already use theirs."""
    statistics = {"w": params["statistics"]["w"]}
    x = flows.standardisation(statistics["w"]).forward(w)
    for i in range(len(params["blocks"])):
        block = params["blocks"][f"block{i}"]
        x = jax.lax.map(flows.Made(block).forward, x, batch_size=CHUNK)
        statistics[f"block{i}"] = _moments(x)
        x = flows.Reverse().forward(flows.batch_norm(block, statistics[f"block{i}"]).forward(x))
    return statistics


@jax.jit
def mean_log_prob(params: Params, w: Float[Array, "n d"]) -> Scalar:
    """Mean of log p_F over `w`, in nats."""
    return jax.lax.map(partial(flows.log_prob, params), w, batch_size=CHUNK).mean()


def _moments(x: jax.Array) -> dict[str, jax.Array]:
    return {"mean": x.mean(0), "var": x.var(0)}


def _optimiser(config: Config) -> optax.GradientTransformation:
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay), optax.adam(config.learning_rate)
    )


def _finished(state: State, config: Config) -> bool:
    return int(state.epoch) >= config.max_epochs or int(state.stale) >= config.patience


def _check(config: Config) -> None:
    sizes = {
        name: value
        for name, value in asdict(config).items()
        if name not in ("learning_rate", "weight_decay")
    }
    low = {name: value for name, value in sizes.items() if value < 1}
    if low:
        raise ValueError(f"expected positive settings, got {low}")
    if config.batch_size > config.num_train:
        raise ValueError(
            f"expected batch_size <= num_train, got {config.batch_size} > {config.num_train}"
        )


def _resume(folder: str | Path, fresh: State, config: Config) -> State:
    found = checkpoints.read_meta(folder).get("config", {})
    for name, value in asdict(config).items():
        if found.get(name) != value:
            raise ValueError(
                f"{folder}: expected a training with {name}={value}, got {found.get(name)}"
            )
    state, _ = checkpoints.restore(folder, fresh)
    old, new = (s.params["statistics"]["w"]["mean"] for s in (state, fresh))
    if not np.allclose(old, new, atol=1e-3 * float(np.abs(new).max())):
        raise ValueError(
            f"{folder}: expected a training on samples of this prior with this seed, got one "
            "on others"
        )
    return state


def gaussian_log_prob(train: Float[Array, "n d"], w: Float[Array, "m d"]) -> float:
    """Mean log-density in nats of `w` under the normal distribution with the mean and full
    covariance of `train`, in float64."""
    known, new = np.asarray(train, np.float64), np.asarray(w, np.float64)
    mean, covariance = known.mean(0), np.cov(known, rowvar=False)
    _, log_det = np.linalg.slogdet(covariance)
    distance = np.einsum("ij,ij->i", new - mean, np.linalg.solve(covariance, (new - mean).T).T)
    return float(-0.5 * (distance.mean() + log_det + w.shape[1] * np.log(2 * np.pi)))


@jax.jit
def squared_norms(
    statistics: Params, flow: Params, w: Float[Array, "n d"]
) -> dict[str, Float[Array, " n"]]:
    """|w|^2 raw, after PULSE's transform and after the flow: what RLS Figure 3 shows, chi-squared
    of d degrees if w were made normal.

    PULSE's transform is (LeakyReLU_5(w) - white_mean) / white_std, the inverse of its w =
    LeakyReLU_0.2(v * white_std + white_mean).

    Args:
        statistics: params["statistics"] of the prior, for `white_mean` and `white_std`.
        flow: params of jaxsr.flows.
    """
    white = (jnp.where(w >= 0, w, 5 * w) - statistics["white_mean"]) / statistics["white_std"]
    gaussian = jax.lax.map(lambda w: flows.forward_and_log_det(flow, w)[0], w, batch_size=CHUNK)
    return {
        name: (x**2).sum(-1) for name, x in {"raw": w, "pulse": white, "flow": gaussian}.items()
    }


def compare_chi_squared(values: Float[Array, " n"], dim: int) -> dict[str, float]:
    """Mean and deviation of `values` (of chi-squared: dim, sqrt(2 dim)) and their
    Kolmogorov-Smirnov distance from it, 0 to 1."""
    cdf = np.asarray(jax.scipy.stats.chi2.cdf(jnp.sort(values), dim))
    steps = np.arange(len(cdf) + 1) / len(cdf)
    distance = max(np.abs(steps[1:] - cdf).max(), np.abs(cdf - steps[:-1]).max())
    return {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "ks_distance": float(distance),
    }


def assess(flow: Params, drawn: Samples, norms: dict[str, Float[Array, " n"]]) -> dict:
    """How well `flow` describes new samples (`drawn.test`, which `fit` does not see), as a dict
    that JSON can hold.

    "nats_per_dim" and "gaussian_nats_per_dim": mean log-likelihood under the flow, and under a
    normal distribution with full covariance fitted to the same training samples; "squared_norm":
    `compare_chi_squared` of each of `norms`, the `squared_norms` of `drawn.test`.
    """
    dim = drawn.test.shape[1]
    return {
        "dim": dim,
        "test_samples": len(drawn.test),
        "nats_per_dim": float(mean_log_prob(flow, drawn.test)) / dim,
        "gaussian_nats_per_dim": gaussian_log_prob(drawn.train, drawn.test) / dim,
        "squared_norm": {
            "chi_squared": {"mean": float(dim), "std": float(np.sqrt(2 * dim)), "ks_distance": 0.0},
            **{name: compare_chi_squared(values, dim) for name, values in norms.items()},
        },
    }
