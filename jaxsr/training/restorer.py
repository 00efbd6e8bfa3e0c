"""The training step of a learned restorer, around a frozen generator."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsr.training import members
from jaxsr.training.ema import averaged
from jaxsr.training.restorer_config import LEAST_RATE, Config
from jaxsr.training.restorer_discriminators import DISCRIMINATORS
from jaxsr.training.restorer_losses import Bound, check_terms, discriminator_loss, loss, r1
from jaxsr.types import Images, Params, PRNGKey

OWN = "generator"  # what a network calls a generator of its own


class State(NamedTuple):
    """All that training carries from step to step."""

    step: jax.Array
    key: jax.Array
    params: Params
    ema: Params
    opt: optax.OptState
    discriminator: Params
    discriminator_opt: optax.OptState


def _optimizer(config: Config) -> optax.GradientTransformation:
    if config.optimizer == "rmsprop":
        return optax.rmsprop(config.learning_rate, decay=0.99, eps=1e-8, eps_in_sqrt=False)
    return optax.adam(config.learning_rate, b1=0.9, b2=0.999, eps=1e-8)


def begin(key: PRNGKey, bound: Bound, prior_params: Params, config: Config) -> State:
    """Fresh state, or one that goes on from the params "learned" of a model. Raises ValueError
    where the prior has no discriminator and the adversarial term asks for it, or the network makes
    nothing that a term is of."""
    check_terms(bound.model, config)
    key_init, key = jax.random.split(key)
    discriminator = (
        DISCRIMINATORS[config.discriminator].init(
            jax.random.fold_in(key_init, 1), bound.prior, config, prior_params
        )
        if config.adversarial_weight
        else {}
    )
    start = prior_params.get("learned")
    params = jax.jit(bound.model.init)(key_init, prior_params) if start is None else start
    # Donated buffers of a jitted step must not alias.
    params, ema = (jax.tree.map(jnp.copy, params) for _ in range(2))
    optimizer = _optimizer(config)
    return State(
        jnp.int32(0),
        key,
        params,
        ema,
        optimizer.init(params),
        discriminator,
        optimizer.init(discriminator),
    )


def make_step(
    bound: Bound, config: Config, total_images: int, axis: str | None = None
) -> Callable[[State, Params, jax.Array], tuple[State, dict]]:
    """The training step (state, given, photos uint8 [n, H, W, 3]) -> (state, logged scalars): pure,
    to be jitted.

    The discriminator's step sees the images that the network's loss was taken of, as in the
    releases of GLEAN and ESRGAN.

    Args:
        total_images: of the run, over which a rate that falls does.
        axis: the mapped axis that splits a batch of config.batch photos into n a member; None: n is
            config.batch. Gradients are averaged.
    """

    mean = functools.partial(members.mean, axis=axis)

    def step(state: State, given: Params, photos: jax.Array) -> tuple[State, dict]:
        key = jax.random.fold_in(state.key, state.step)
        key = key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis))
        images, warm = (
            photos.astype(jnp.float32) / 255,
            state.step * config.batch < config.warmup_images,
        )

        def objective(config: Config, params: Params) -> tuple[tuple, Params]:
            whole = functools.partial(loss, key, bound, config, given, state.discriminator)
            return jax.value_and_grad(lambda p: whole(p, images), has_aux=True)(params)

        (value, (terms, made, kept)), grads = _either(warm, config, objective, state.params)
        value, terms, grads, kept = mean((value, terms, grads, kept))
        updates, opt = _optimizer(config).update(grads, state.opt)
        rate = _rate(config, state.step, total_images)
        params = optax.apply_updates(state.params, _scaled(updates, rate, config.generator_rate))
        # The moving average of the weights is that of the statistics too.
        params = params if kept is None else {**params, "statistics": kept}  # pyright: ignore[reportGeneralTypeIssues]
        started, state = (
            state.step,
            state._replace(
                params=params,
                opt=opt,
                ema=averaged(config, state.step, state.ema, params),
                step=state.step + 1,
            ),
        )
        # R1 goes by the steps that were made before this one.
        judge = functools.partial(_discriminator_objective, bound, images=images, step=started)
        state, judged = _either(
            warm,
            config,
            lambda config, state: _discriminator_step(
                config, state, functools.partial(judge, config, made=made), mean, rate
            ),
            state,
        )
        return state, {"loss": value, **terms, **judged}

    return step


def _rate(config: Config, step: jax.Array, total_images: int) -> jax.Array | None:
    """Share of the learning rate at a step; None: all of it, always."""
    if config.schedule == "constant":
        return None
    done = jnp.clip(step * config.batch / total_images, 0, 1)
    return LEAST_RATE + (1 - LEAST_RATE) * (1 + jnp.cos(jnp.pi * done)) / 2


def _scaled(updates: Params, rate: jax.Array | None, own: float) -> Params:
    """Updates at that share of the rate, and at `own` of it those of a generator of the network's
    own."""
    if own != 1:
        slow = jax.tree.map(lambda x: own * x, updates.get(OWN, {}))
        updates = updates | ({OWN: slow} if OWN in updates else {})
    return updates if rate is None else jax.tree.map(lambda x: rate * x, updates)


def _either(warm: jax.Array, config: Config, function: Callable[[Config, Any], Any], x: Any) -> Any:
    """function(config, x), without the adversarial term while it is `warm`."""
    if not config.warmup_images:
        return function(config, x)
    plain = dataclasses.replace(config, adversarial_weight=0.0, matching_weight=0.0)
    return jax.lax.cond(
        warm, functools.partial(function, plain), functools.partial(function, config), x
    )


def _discriminator_step(
    config: Config,
    state: State,
    objective: Callable[[Params], tuple[jax.Array, dict]],
    mean: Callable,
    rate: jax.Array | None,
) -> tuple[State, dict]:
    if not config.adversarial_weight:
        names = ("loss_discriminator", "sign_real", *(("r1",) if config.r1_weight else ()))
        return state, dict.fromkeys(names, jnp.float32(0))
    params = DISCRIMINATORS[config.discriminator].refreshed(state.discriminator)
    (_, logged), grads = mean(jax.value_and_grad(objective, has_aux=True)(params))
    updates, opt = _optimizer(config).update(grads, state.discriminator_opt)
    if config.discriminator_rate != 1:
        updates = jax.tree.map(lambda x: config.discriminator_rate * x, updates)
    discriminator = optax.apply_updates(params, _scaled(updates, rate, 1.0))
    return state._replace(discriminator=discriminator, discriminator_opt=opt), logged


def _discriminator_objective(
    bound: Bound,
    config: Config,
    params: Params,
    *,
    made: Images,
    images: Images,
    step: jax.Array,
) -> tuple[jax.Array, dict]:
    """The discriminator's loss, and every `r1_every` steps half of R1, which counts as many
    times; NaN is logged for R1 where there is none."""
    value, sign = discriminator_loss(bound, config, params, made, images)
    logged = {"loss_discriminator": value, "sign_real": sign}
    if config.r1_weight:
        due = step % config.r1_every == 0
        penalty = jax.lax.cond(
            due, lambda p: r1(bound, config, p, images), lambda p: jnp.float32(0), params
        )
        value = value + config.r1_weight / 2 * config.r1_every * penalty
        logged["r1"] = jnp.where(due, penalty, jnp.nan)
    return value, logged
