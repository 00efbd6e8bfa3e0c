"""The losses of a GAN's training: generator, discriminator, R1 and path lengths. A key draws their
images and augmentations."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.nn import softplus

from jaxsr.nets import style_based, stylegan2
from jaxsr.nets.progressive import group_size
from jaxsr.training.augment import AUGMENTATIONS
from jaxsr.training.gan_config import Config
from jaxsr.training.gan_state import State
from jaxsr.types import Params, PRNGKey


def mixed_styles(
    key: PRNGKey, net: stylegan2.Config, mapping: Params, batch: int, mixing: float | jax.Array
) -> jax.Array:
    """W+ codes [batch, layers, w_dim] of fresh z; with probability `mixing` another z takes over
    from a random layer on."""
    key_z, key_cut, key_mix = jax.random.split(key, 3)
    z = jax.random.normal(key_z, (2, batch, net.z_dim))
    w = style_based.mapping(net, mapping, z)
    cut = jax.random.randint(key_cut, (batch, 1), 1, net.num_layers)
    cut = jnp.where(jax.random.uniform(key_mix, (batch, 1)) < mixing, cut, net.num_layers)
    first = jnp.arange(net.num_layers)[None] < cut
    return jnp.where(first[..., None], w[0][:, None], w[1][:, None])


def _synthesize(
    net: stylegan2.Config, params: Params, w_plus: jax.Array, key: PRNGKey
) -> jax.Array:
    """Images [n, H, W, 3] in [-1, 1] with fresh noise."""
    noise = style_based.random_noise(key, net, (w_plus.shape[0],))
    return jnp.asarray(
        jax.vmap(lambda w, n: stylegan2.synthesis(net, params, w, n)[1])(w_plus, noise)
    )


def _augmented(key: PRNGKey, images: jax.Array, p: jax.Array, config: Config) -> jax.Array:
    if config.augment == "none":
        return images
    return jax.vmap(AUGMENTATIONS[config.augment], (0, 0, None))(
        jax.random.split(key, len(images)), images, p
    )


def draw_fakes(key: PRNGKey, net: stylegan2.Config, config: Config, generator: Params) -> jax.Array:
    """A batch of generated images [n, H, W, 3] in [-1, 1]."""
    key_w, key_noise = jax.random.split(key)
    w_plus = mixed_styles(key_w, net, generator["mapping"], config.batch, config.style_mixing)
    return _synthesize(net, generator["synthesis"], w_plus, key_noise)


def judge(
    key: PRNGKey,
    net: stylegan2.Config,
    config: Config,
    params: Params,
    images: jax.Array,
    p: jax.Array,
) -> jax.Array:
    """Logits [n] of images [n, H, W, 3] in [-1, 1], augmented with probability p."""
    return judge_emphasised(key, net, config, params, stylegan2.emphasised(images, net.emphasis), p)


def judge_emphasised(
    key: PRNGKey,
    net: stylegan2.Config,
    config: Config,
    params: Params,
    images: jax.Array,
    p: jax.Array,
) -> jax.Array:
    """The same of images whose finer detail is amplified already: augmentations commute with that,
    but for mirrored borders."""
    plain = dataclasses.replace(net, emphasis=0.0)
    return stylegan2.discriminator(plain, params, _augmented(key, images, p, config))[0]


def judge_both(
    net: stylegan2.Config, params: Params, fakes: jax.Array, photos: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Logits [n] of fakes and of photos [n, H, W, 3], amplified and augmented already, in one pass,
    which is faster than two; no minibatch statistic is of both."""
    n = len(fakes)
    size = group_size(n, net.mbstd_group)
    pairs = jnp.concatenate([x.reshape(size, n // size, *x.shape[1:]) for x in (fakes, photos)], 1)
    grouped = dataclasses.replace(net, mbstd_group=size, emphasis=0.0)
    logits = stylegan2.discriminator(grouped, params, pairs.reshape(2 * n, *fakes.shape[1:]))[
        0
    ].reshape(size, 2, n // size)
    return logits[:, 0].reshape(n), logits[:, 1].reshape(n)


def generator_loss(
    key: PRNGKey,
    net: stylegan2.Config,
    config: Config,
    state: State,
    generator: Params,
    photos: jax.Array,
) -> jax.Array:
    """Mean of softplus(-D(G(z))), the non-saturating loss, or of softplus(D(photo) - D(G(z))), the
    relativistic one."""
    key_fake, key_augment = jax.random.split(key)
    discriminator = state.params["discriminator"]
    fakes = draw_fakes(key_fake, net, config, generator)
    fake = judge(key_augment, net, config, discriminator, fakes, state.ada_p)
    real = 0.0
    if config.loss == "relativistic":
        real = judge(key_augment, net, config, discriminator, photos, state.ada_p)
    return softplus(real - fake).mean()


def discriminator_loss(
    key: PRNGKey,
    net: stylegan2.Config,
    config: Config,
    state: State,
    discriminator: Params,
    photos: jax.Array,
    fakes: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Mean of softplus(D(G(z))) + softplus(-D(photo)), or of softplus(D(G(z)) - D(photo)); and the
    mean sign of the photos' logits."""
    _, key_augment, key_real = jax.random.split(key, 3)
    drawn = ((key_augment, fakes), (key_real, photos))
    seen = (
        _augmented(key, stylegan2.emphasised(x, net.emphasis), state.ada_p, config)
        for key, x in drawn
    )
    fake, real = judge_both(net, discriminator, *seen)
    loss = (
        softplus(fake - real).mean()
        if config.loss == "relativistic"
        else softplus(fake).mean() + softplus(-real).mean()
    )
    return loss, jnp.sign(real).mean()


def r1_penalty(
    key: PRNGKey,
    net: stylegan2.Config,
    config: Config,
    params: Params,
    photos: jax.Array,
    p: jax.Array,
) -> jax.Array:
    """Mean over photos of |d logit / d photo|^2 (Mescheder et al., arXiv:1801.04406), the logit
    being of the augmented photo as in StyleGAN2-ADA; photos [n, H, W, 3] in [-1, 1]. With
    `emphasis` the photo is the amplified one, or detail would be penalised for it."""
    seen = stylegan2.emphasised(photos, net.emphasis)
    grads = jax.grad(lambda x: judge_emphasised(key, net, config, params, x, p).sum())(seen)
    return jnp.sum(grads**2, (1, 2, 3)).mean()


def path_lengths(
    net: stylegan2.Config, params: Params, w_plus: jax.Array, key: PRNGKey
) -> jax.Array:
    """|J^T y| per sample [n] for image-space noise y, StyleGAN2's path lengths."""
    key_y, key_noise = jax.random.split(key)
    images, to_w = jax.vjp(lambda w: _synthesize(net, params, w, key_noise), w_plus)
    (grads,) = to_w(jax.random.normal(key_y, images.shape) / net.resolution)
    return jnp.sqrt(jnp.sum(grads**2, 2).mean(1))


def path_penalty(
    key: PRNGKey, net: stylegan2.Config, config: Config, state: State, generator: Params
) -> tuple[jax.Array, jax.Array]:
    """Mean over half a batch of (path length - running mean)^2, and the next running mean."""
    key_w, key_y = jax.random.split(key)
    w_plus = mixed_styles(key_w, net, generator["mapping"], config.batch // 2, config.style_mixing)
    lengths = path_lengths(net, generator["synthesis"], w_plus, key_y)
    mean = state.path_mean + 0.01 * (jax.lax.stop_gradient(lengths).mean() - state.path_mean)
    return jnp.mean((lengths - mean) ** 2), mean
