"""StyleGAN2 training (arXiv:1912.04958, 2006.06676) as one pure step: non-saturating loss, lazy R1, lazy path length, style mixing, EMA,
adaptive augmentation. Generator and discriminator are updated together from one batch of fakes, which saves a quarter of the arithmetic of
taking turns; the lazy regularisers are added, times their interval, to the gradient of the step they fall on.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.nn import softplus

from jaxsr.nets import stylegan2
from jaxsr.training.augment import adapt, augment
from jaxsr.types import Params, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config:
    """How to train. Weights and intervals are StyleGAN2's; r1_gamma None is its rule 2e-4 resolution^2 / batch.

    ema_images: half-life of the generator's moving average, in images, at most `ema_rampup` of what was seen.
    augment: "ada" (probability adapted to keep the discriminator's sign on reals at `ada_target`) or "none".
    """

    batch: int = 32
    learning_rate: float = 2e-3
    beta2: float = 0.99
    r1_gamma: float | None = None
    r1_interval: int = 16
    path_weight: float = 2.0
    path_interval: int = 4
    style_mixing: float = 0.9
    ema_images: float = 10_000
    ema_rampup: float = 0.05
    augment: str = "ada"
    ada_target: float = 0.6
    ada_images: float = 500_000

    def __post_init__(self):
        if self.augment not in ("ada", "none"):
            raise ValueError(f'augment must be "ada" or "none", got {self.augment!r}')
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, got {self.batch}")


class State(NamedTuple):
    """All that training carries from step to step; saved whole, so that a resumed run continues as if never stopped."""

    step: jax.Array
    key: jax.Array
    params: Params
    ema: Params
    generator_opt: optax.OptState
    discriminator_opt: optax.OptState
    path_mean: jax.Array
    ada_p: jax.Array


def _generator(params: Params) -> Params:
    return {"mapping": params["mapping"], "synthesis": params["synthesis"]}


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate, b1=0.0, b2=config.beta2, eps=1e-8)


def begin(key: PRNGKey, net: stylegan2.Config, config: Config, *, warm: Params | None = None) -> State:
    """Fresh state; every array of `warm` (the params of another prior) whose path and shape fit replaces the random one.

    A prior of half the resolution with the same widths is such a start: its blocks fit, and only the new finest ones are fresh.
    """
    key_init, key = jax.random.split(key)
    params = stylegan2.init(key_init, net)
    if warm is not None:
        params = _transfer(params, warm)
    optimizer = _optimizer(config)
    opt = optimizer.init(_generator(params)), optimizer.init(params["discriminator"])
    # EMA starts as a copy: donated buffers of a jitted step must not alias.
    ema = jax.tree.map(jnp.copy, _generator(params))
    return State(jnp.int32(0), key, params, ema, *opt, path_mean=jnp.float32(0), ada_p=jnp.float32(0))


def _transfer(params: Params, warm: Params) -> Params:
    known = dict(jax.tree_util.tree_leaves_with_path(warm))
    return jax.tree_util.tree_map_with_path(lambda path, x: known[path] if path in known and known[path].shape == x.shape else x, params)


def _mixed_styles(key: PRNGKey, net: stylegan2.Config, mapping: Params, batch: int, mixing: float) -> jax.Array:
    """W+ codes [batch, layers, w_dim] of fresh z; with probability `mixing` another z takes over from a random layer on."""
    key_z, key_cut, key_mix = jax.random.split(key, 3)
    z = jax.random.normal(key_z, (2, batch, net.z_dim))
    w = stylegan2.Mapping(net).apply({"params": mapping}, z)
    cut = jax.random.randint(key_cut, (batch, 1), 1, net.num_layers)
    cut = jnp.where(jax.random.uniform(key_mix, (batch, 1)) < mixing, cut, net.num_layers)
    first = jnp.arange(net.num_layers)[None] < cut
    return jnp.where(first[..., None], w[0][:, None], w[1][:, None])


def _synthesize(net: stylegan2.Config, params: Params, w_plus: jax.Array, key: PRNGKey) -> jax.Array:
    """Images [n, H, W, 3] in [-1, 1] with fresh noise."""
    noise = stylegan2.random_noise(key, net, (w_plus.shape[0],))
    return jax.vmap(lambda w, n: stylegan2.Synthesis(net).apply({"params": params}, w, n))(w_plus, noise)


def _augmented(key: PRNGKey, images: jax.Array, p: jax.Array, config: Config) -> jax.Array:
    if config.augment == "none":
        return images
    return jax.vmap(augment, (0, 0, None))(jax.random.split(key, len(images)), images, p)


def _losses(net: stylegan2.Config, config: Config, state: State, photos: jax.Array, key: PRNGKey) -> tuple[Params, Params, dict]:
    """Gradients of the non-saturating losses for generator and discriminator from one batch of fakes, and what to log."""
    key_w, key_noise, key_fake, key_real = jax.random.split(key, 4)
    discriminator = stylegan2.Discriminator(net)

    def fakes(generator: Params) -> jax.Array:
        w_plus = _mixed_styles(key_w, net, generator["mapping"], config.batch, config.style_mixing)
        return _synthesize(net, generator["synthesis"], w_plus, key_noise)

    def judge(params: Params, images: jax.Array, key: PRNGKey) -> jax.Array:
        return discriminator.apply({"params": params}, _augmented(key, images, state.ada_p, config))[0]

    images, to_generator = jax.vjp(fakes, _generator(state.params))
    fake, to_fake = jax.vjp(lambda params, x: judge(params, x, key_fake), state.params["discriminator"], images)
    real, to_real = jax.vjp(lambda params: judge(params, photos, key_real), state.params["discriminator"])
    # d softplus(-fake) / d fake for the generator; d softplus(fake) and d softplus(-real) for the discriminator.
    (generator_grad,) = to_generator(to_fake(-jax.nn.sigmoid(-fake) / config.batch)[1])
    fake_grad, (real_grad,) = to_fake(jax.nn.sigmoid(fake) / config.batch)[0], to_real(-jax.nn.sigmoid(-real) / config.batch)
    log = {
        "loss_generator": softplus(-fake).mean(),
        "loss_discriminator": softplus(fake).mean() + softplus(-real).mean(),
        "sign_real": jnp.sign(real).mean(),
    }
    return generator_grad, jax.tree.map(jnp.add, fake_grad, real_grad), log


def r1_penalty(net: stylegan2.Config, params: Params, photos: jax.Array) -> jax.Array:
    """Mean over photos of |d logit / d photo|^2 (Mescheder et al., arXiv:1801.04406); photos [n, H, W, 3] in [-1, 1]."""
    grads = jax.grad(lambda x: stylegan2.Discriminator(net).apply({"params": params}, x)[0].sum())(photos)
    return jnp.sum(grads**2, (1, 2, 3)).mean()


def path_lengths(net: stylegan2.Config, params: Params, w_plus: jax.Array, key: PRNGKey) -> jax.Array:
    """|J^T y| per sample [n] for image-space noise y, StyleGAN2's path lengths."""
    key_y, key_noise = jax.random.split(key)
    images, to_w = jax.vjp(lambda w: _synthesize(net, params, w, key_noise), w_plus)
    (grads,) = to_w(jax.random.normal(key_y, images.shape) / net.resolution)
    return jnp.sqrt(jnp.sum(grads**2, 2).mean(1))


def _add_r1(net: stylegan2.Config, config: Config, state: State, grads: Params, photos: jax.Array) -> tuple[Params, jax.Array]:
    gamma = 2e-4 * net.resolution**2 / config.batch if config.r1_gamma is None else config.r1_gamma

    def regularised(_):
        value, r1_grads = jax.value_and_grad(lambda params: r1_penalty(net, params, photos))(state.params["discriminator"])
        return jax.tree.map(lambda g, r: g + 0.5 * gamma * config.r1_interval * r, grads, r1_grads), value

    return jax.lax.cond(state.step % config.r1_interval == 0, regularised, lambda _: (grads, jnp.float32(jnp.nan)), None)


def _add_path(net: stylegan2.Config, config: Config, state: State, grads: Params, key: PRNGKey) -> tuple[Params, jax.Array]:
    """Gradients with the path length penalty on half a batch, and the running mean of the lengths."""
    if config.path_weight == 0:
        return grads, state.path_mean
    key_w, key_y = jax.random.split(key)

    def penalty(generator: Params) -> tuple[jax.Array, jax.Array]:
        w_plus = _mixed_styles(key_w, net, generator["mapping"], config.batch // 2, config.style_mixing)
        lengths = path_lengths(net, generator["synthesis"], w_plus, key_y)
        mean = state.path_mean + 0.01 * (jax.lax.stop_gradient(lengths).mean() - state.path_mean)
        return jnp.mean((lengths - mean) ** 2), mean

    def regularised(_):
        path_grads, mean = jax.grad(penalty, has_aux=True)(_generator(state.params))
        return jax.tree.map(lambda g, r: g + config.path_weight * config.path_interval * r, grads, path_grads), mean

    return jax.lax.cond(state.step % config.path_interval == 0, regularised, lambda _: (grads, state.path_mean), None)


def make_step(net: stylegan2.Config, config: Config) -> Callable[[State, jax.Array], tuple[State, dict]]:
    """The training step (state, photos uint8 [batch, H, W, 3]) -> (state, logged scalars): pure, to be jitted, batch axis shardable."""
    optimizer = _optimizer(config)

    def step(state: State, photos: jax.Array) -> tuple[State, dict]:
        key_loss, key_path = jax.random.split(jax.random.fold_in(state.key, state.step))
        photos = photos.astype(jnp.float32) / 127.5 - 1
        generator_grad, discriminator_grad, log = _losses(net, config, state, photos, key_loss)
        discriminator_grad, log["r1"] = _add_r1(net, config, state, discriminator_grad, photos)
        generator_grad, path_mean = _add_path(net, config, state, generator_grad, key_path)
        generator, generator_opt = _update(optimizer, generator_grad, state.generator_opt, _generator(state.params))
        discriminator, discriminator_opt = _update(optimizer, discriminator_grad, state.discriminator_opt, state.params["discriminator"])
        seen = (state.step + 1) * config.batch
        half_life = jnp.minimum(config.ema_images, config.ema_rampup * seen)
        keep = 0.5 ** (config.batch / jnp.maximum(half_life, 1e-8))
        ada_p = state.ada_p
        if config.augment == "ada":
            ada_p = adapt(ada_p, log["sign_real"], images=config.batch, target=config.ada_target, ramp=config.ada_images)
        return State(
            state.step + 1,
            state.key,
            state.params | generator | {"discriminator": discriminator},
            jax.tree.map(lambda e, g: keep * e + (1 - keep) * g, state.ema, generator),
            generator_opt,
            discriminator_opt,
            path_mean,
            ada_p,
        ), log | {"path_mean": path_mean, "ada_p": ada_p}

    return step


def _update(optimizer: optax.GradientTransformation, grads: Params, opt: optax.OptState, params: Params) -> tuple:
    updates, opt = optimizer.update(grads, opt, params)
    return optax.apply_updates(params, updates), opt
