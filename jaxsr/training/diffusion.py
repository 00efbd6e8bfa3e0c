"""Training of a diffusion model: the squared error of the predicted noise (DDPM, arXiv:2006.11239,
Eq. 14)."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsr.diffusion import Model, alpha_bar
from jaxsr.nets import unet
from jaxsr.training import members
from jaxsr.training.ema import averaged
from jaxsr.types import Images, Params, PRNGKey

LONGEST = 1.0  # norm of a gradient, as DDPM's


@dataclasses.dataclass(frozen=True)
class Config:
    """How to train. The rate is DDPM's for small images.

    Attributes:
        batch: photos a step.
        learning_rate: of Adam.
        ema_images: half-life of the moving average of the weights, in images, at most `ema_rampup`
            of what was seen.
        ema_rampup: share of the images seen, beyond which the average's half-life does not go.
    """

    batch: int = 16
    learning_rate: float = 2e-4
    ema_images: float = 2_000
    ema_rampup: float = 0.05

    def __post_init__(self):
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, got {self.batch}")
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(
                f"learning_rate must be a finite number of at least 0, got {self.learning_rate}"
            )
        for name in ("ema_images", "ema_rampup"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


class State(NamedTuple):
    """All that training carries from step to step."""

    step: jax.Array
    key: jax.Array
    params: Params
    ema: Params
    opt: optax.OptState


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(LONGEST), optax.adam(config.learning_rate, eps=1e-8)
    )


def begin(key: PRNGKey, model: Model, config: Config) -> State:
    """Fresh state."""
    key_init, key = jax.random.split(key)
    params = jax.jit(unet.init, static_argnums=1)(key_init, model.net)
    ema = jax.tree.map(jnp.copy, params)  # donated buffers of a jitted step must not alias
    return State(jnp.int32(0), key, params, ema, _optimizer(config).init(params))


def loss(key: PRNGKey, model: Model, params: Params, images: Images) -> jax.Array:
    """Mean squared error of the noise predicted in images [n, r, r, 3] in [-1, 1], each at a random
    step."""
    key_steps, key_noise = jax.random.split(key)
    steps = jax.random.randint(key_steps, (len(images),), 0, model.schedule.steps)
    kept = jnp.asarray(alpha_bar(model.schedule), jnp.float32)[steps][:, None, None, None]
    noise = jax.random.normal(key_noise, images.shape)
    noisy = jnp.sqrt(kept) * images + jnp.sqrt(1 - kept) * noise
    predicted = jax.vmap(functools.partial(unet.predicted, model.net, params))(noisy, steps)
    return jnp.mean((predicted - noise) ** 2)


def make_step(
    model: Model, config: Config, axis: str | None = None
) -> Callable[[State, Params, jax.Array], tuple[State, dict]]:
    """The training step (state, given, photos uint8 [n, r, r, 3]) -> (state, {"loss"}): pure, to be
    jitted; it needs nothing of `given`.

    Args:
        model: what is trained; a network of 3 outputs.
        config: how.
        axis: the mapped axis that splits a batch of config.batch photos into n a member; None: n is
            config.batch. Gradients are averaged.

    Raises:
        ValueError: a network that predicts variances, which this loss does not train.
    """
    if model.net.outputs != 3:
        raise ValueError(f"expected a network of 3 outputs to train, got {model.net.outputs}")

    def step(state: State, given: Params, photos: jax.Array) -> tuple[State, dict]:
        key = jax.random.fold_in(state.key, state.step)
        key = key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis))
        images = photos.astype(jnp.float32) / 127.5 - 1
        objective = jax.value_and_grad(lambda params: loss(key, model, params, images))
        value, grads = members.mean(objective(state.params), axis)
        updates, opt = _optimizer(config).update(grads, state.opt)
        params = optax.apply_updates(state.params, updates)
        ema = averaged(config, state.step, state.ema, params)
        return State(state.step + 1, state.key, params, ema, opt), {"loss": value}

    return step
