"""StyleGAN2 training (arXiv:1912.04958, 2006.06676) as one pure step: non-saturating loss, lazy R1,
lazy path length, style mixing, EMA, adaptive augmentation.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from jaxsr.nets import stylegan2
from jaxsr.training import gan_losses, members
from jaxsr.training.augment import adapt
from jaxsr.training.ema import averaged
from jaxsr.training.gan_config import Config
from jaxsr.training.gan_state import State, generator_of
from jaxsr.training.warm import transfer
from jaxsr.types import Params, PRNGKey


def _optimizer(config: Config, interval: int) -> optax.GradientTransformation:
    """Adam, corrected for the extra step that a lazy term makes every `interval` steps (0: there is
    none)."""
    ratio = interval / (interval + 1) if interval else 1.0
    return optax.adam(config.learning_rate * ratio, b1=0.0, b2=config.beta2**ratio, eps=1e-8)


def begin(
    key: PRNGKey, net: stylegan2.Config, config: Config, *, warm: Params | None = None
) -> State:
    """Fresh state, or one that starts from `warm`, the params of another prior (`warm.transfer`).

    A prior of half the resolution is such a start: its blocks fit, and only the new finest ones are
    fresh. So is a narrower one.

    Raises:
        ValueError: `warm` does not fit; `noise_layers` are more than the network has.
    """
    if (config.noise_layers or 0) > len(net.noise_shapes):
        raise ValueError(
            f"noise_layers must be at most {len(net.noise_shapes)}, all of this network's, "
            f"got {config.noise_layers}"
        )
    key_init, key = jax.random.split(key)
    params = jax.jit(stylegan2.init, static_argnums=1)(key_init, net)
    if warm is not None:
        params = transfer(params, warm)
    params = params | bound_noise(net, config, generator_of(params))
    optimizer = _optimizer(config, 0)
    opt = optimizer.init(generator_of(params)), optimizer.init(params["discriminator"])
    # EMA starts as a copy: donated buffers of a jitted step must not alias.
    ema = jax.tree.map(jnp.copy, generator_of(params))
    return State(
        jnp.int32(0),
        key,
        params,
        ema,
        *opt,
        path_mean=jnp.float32(0),
        ada_p=jnp.float32(config.augment_p or 0),
    )


def bound_noise(net: stylegan2.Config, config: Config, generator: Params) -> Params:
    """The generator with the strengths of its noise inputs within what `noise_bound` and
    `noise_layers` allow.

    Noise is the cheapest way to the photos' spectrum, and a young generator takes it: then nothing
    that is searched for in w can have texture. A strength is relative to a map of unit deviation,
    so the bound limits the share of a map that noise can be.
    """
    if config.noise_bound is None and config.noise_layers is None:
        return generator
    most = jnp.inf if config.noise_bound is None else config.noise_bound
    first = 0 if config.noise_layers is None else len(net.noise_shapes) - config.noise_layers

    def bounded(path: tuple, x: jax.Array) -> jax.Array:
        if path[-1].key != "noise_strength":
            return x
        _, block, conv, _ = (key.key for key in path)
        layer = 2 * net.resolutions.index(int(block[1:])) + int(conv[-1]) - 1
        return jnp.clip(x, -most, most) if layer >= first else jnp.zeros_like(x)

    return jax.tree_util.tree_map_with_path(bounded, generator)


def make_step(
    net: stylegan2.Config, config: Config, *, axis: str | None = None
) -> Callable[[State, jax.Array], tuple[State, dict]]:
    """The training step (state, photos uint8 [n, H, W, 3]) -> (state, logged scalars): pure, to be
    jitted.

    In the official order: generator, its path lengths, discriminator, its R1, each an Adam step of
    its own; a lazy term runs every `interval` steps with its gradient times `interval`.

    axis: the mapped axis (of `shard_map` or `vmap`) that splits a batch of config.batch photos into
        n a member; None: n is config.batch.
    As in the original each member draws its own numbers and has minibatch statistics of its own,
    and gradients are averaged.
    """

    def step(state: State, photos: jax.Array) -> tuple[State, dict]:
        share = _Share(
            net,
            dataclasses.replace(config, batch=len(photos), r1_gamma=_r1_gamma(net, config)),
            axis,
        )
        key = jax.random.fold_in(state.key, state.step)
        keys = jax.random.split(
            key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis)), 4
        )
        photos = photos.astype(jnp.float32) / 127.5 - 1
        state, loss_generator = _generator_step(keys[0], share, state, photos)
        if config.path_weight:
            state = _path_step(keys[1], share, state)
        fakes = gan_losses.draw_fakes(
            jax.random.split(keys[2], 3)[0], net, share.config, state.params
        )
        state, loss_discriminator, sign_real = _discriminator_step(
            keys[2], share, state, photos, fakes
        )
        state, r1 = _r1_step(keys[3], share, state, photos, fakes)
        if config.augment != "none" and config.augment_p is None:
            p = adapt(
                state.ada_p,
                sign_real,
                images=config.batch,
                target=config.ada_target,
                ramp=config.ada_images,
            )
            state = state._replace(ada_p=p)
        state = state._replace(
            step=state.step + 1,
            ema=averaged(config, state.step, state.ema, generator_of(state.params)),
        )
        log = {
            "loss_generator": loss_generator,
            "loss_discriminator": loss_discriminator,
            "sign_real": sign_real,
            "r1": r1,
        }
        return state, log | {"path_mean": state.path_mean, "ada_p": state.ada_p}

    return step


class _Share(NamedTuple):
    """What a member of the axis trains with; the batch of its config is its own."""

    net: stylegan2.Config
    config: Config
    axis: str | None

    def mean(self, tree: Any) -> Any:
        return members.mean(tree, self.axis)


def _r1_gamma(net: stylegan2.Config, config: Config) -> float:
    return 2e-4 * net.resolution**2 / config.batch if config.r1_gamma is None else config.r1_gamma


def _generator_step(
    key: PRNGKey, share: _Share, state: State, photos: jax.Array
) -> tuple[State, jax.Array]:
    net, config, _ = share
    objective = jax.value_and_grad(
        lambda g: gan_losses.generator_loss(key, net, config, state, g, photos)
    )
    loss, grads = share.mean(objective(generator_of(state.params)))
    return _update_generator(
        share, config.path_interval if config.path_weight else 0, state, grads
    ), loss


def _path_step(key: PRNGKey, share: _Share, state: State) -> State:
    net, config, _ = share

    def run(state: State) -> State:
        grads, mean = share.mean(
            jax.grad(lambda g: gan_losses.path_penalty(key, net, config, state, g), has_aux=True)(
                generator_of(state.params)
            )
        )
        grads = jax.tree.map(lambda g: config.path_weight * config.path_interval * g, grads)
        return _update_generator(share, config.path_interval, state, grads)._replace(path_mean=mean)

    return jax.lax.cond(state.step % config.path_interval == 0, run, lambda state: state, state)


def _discriminator_step(
    key: PRNGKey, share: _Share, state: State, photos: jax.Array, fakes: jax.Array
) -> tuple[State, jax.Array, jax.Array]:
    net, config, _ = share
    loss = jax.value_and_grad(
        lambda d: gan_losses.discriminator_loss(key, net, config, state, d, photos, fakes),
        has_aux=True,
    )
    (value, sign_real), grads = share.mean(loss(state.params["discriminator"]))
    interval = 0 if config.r1_gamma == 0 else config.r1_interval
    return _update_discriminator(_optimizer(config, interval), state, grads), value, sign_real


def _r1_step(
    key: PRNGKey, share: _Share, state: State, photos: jax.Array, fakes: jax.Array
) -> tuple[State, jax.Array]:
    """Also returns R1, NaN on the steps that it does not run on and when its weight is 0."""
    net, config, _ = share
    gamma = config.r1_gamma
    if not gamma:
        return state, jnp.float32(jnp.nan)

    def run(state: State) -> tuple[State, jax.Array]:
        def penalty(params: Params) -> tuple[jax.Array, jax.Array]:
            at = functools.partial(gan_losses.r1_penalty, key, net, config, params, p=state.ada_p)
            value = at(photos)
            return value + (at(fakes) if config.loss == "relativistic" else 0), value

        (_, value), grads = share.mean(
            jax.value_and_grad(penalty, has_aux=True)(state.params["discriminator"])
        )
        grads = jax.tree.map(lambda g: 0.5 * gamma * config.r1_interval * g, grads)
        return _update_discriminator(_optimizer(config, config.r1_interval), state, grads), value

    return jax.lax.cond(
        state.step % config.r1_interval == 0,
        run,
        lambda state: (state, jnp.float32(jnp.nan)),
        state,
    )


def _update_generator(share: _Share, interval: int, state: State, grads: Params) -> State:
    updates, opt = _optimizer(share.config, interval).update(grads, state.generator_opt)
    generator = bound_noise(
        share.net,
        share.config,
        cast(Params, optax.apply_updates(generator_of(state.params), updates)),
    )
    return state._replace(params=state.params | generator, generator_opt=opt)


def _update_discriminator(
    optimizer: optax.GradientTransformation, state: State, grads: Params
) -> State:
    updates, opt = optimizer.update(grads, state.discriminator_opt)
    discriminator = optax.apply_updates(state.params["discriminator"], updates)
    return state._replace(
        params=state.params | {"discriminator": discriminator}, discriminator_opt=opt
    )
