"""BigGAN and BigGAN-deep (Brock et al., arXiv:1809.11096): class-conditional generators with a
shared embedding of the classes.

Networks speak [-1, 1] and HWC; `biggan` wraps them as a `Prior`, which speaks [0, 1] and has no w
space. Spectral normalisation is no part of a finished network: kernels are the normalised ones.
Batch normalisation uses stored statistics, of BigGAN-deep one set for each of 51 truncations;
between two of them they are interpolated (pytorch-pretrained-BigGAN exchanges the two weights).
"""

import dataclasses
import math
import numbers

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxsr.nets.progressive import resampling_conv
from jaxsr.nets.style_based import apply
from jaxsr.priors import Prior, without_w
from jaxsr.types import Params, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of a BigGAN, and which class and truncation its prior has. The defaults are those of
    the original at 128 px.

    channels: width that each block of the generator takes, then that of the last one's output.
        Every block of BigGAN doubles the side, every second one of BigGAN-deep, from 4 px on.
    attention: blocks before the self-attention; 0: there is none.
    z_dim: inputs of the noise, all of its parts together.
    z_part: noise that each block takes besides the class (the hierarchical latent of BigGAN); 0:
        none. BigGAN-deep gives all of z to all.
    shared_dim: length of a class's vector.
    statistics: sets of the batch normalisation's statistics, for truncations 0 to 1; with one set
        it serves all.
    discriminator_channels: width that each block of the discriminator puts out; (): there is none.
    discriminator_halvings: its first blocks that halve the side.
    discriminator_attention: blocks before its self-attention; 0: there is none.
    label: the class of the prior, from 0. None: the latent is [z, vector of the class], z_dim +
        shared_dim, and a sample has any class.
    truncation: z is drawn from a normal cut at +-2, times this. None: from a normal.
    """

    channels: tuple[int, ...] = (1536, 1536, 768, 384, 192, 96)
    deep: bool = False
    attention: int = 4
    z_dim: int = 120
    z_part: int = 20
    shared_dim: int = 128
    classes: int = 1000
    statistics: int = 1
    eps: float = 1e-5
    output_eps: float = 1e-5
    discriminator_channels: tuple[int, ...] = ()
    discriminator_halvings: int = 0
    discriminator_attention: int = 0
    label: int | None = None
    truncation: float | None = None

    def __post_init__(self):
        label, truncation = self.label, self.truncation
        if label is not None and not (
            isinstance(label, numbers.Integral)
            and not isinstance(label, bool)
            and 0 <= label < self.classes
        ):
            raise ValueError(
                f"label must be a whole number from 0 to {self.classes - 1}, got {label!r}"
            )
        if truncation is not None and not (
            isinstance(truncation, numbers.Real) and 0 < truncation <= 1
        ):
            raise ValueError(f"truncation must be above 0 and at most 1, got {truncation!r}")

    @property
    def blocks(self) -> int:
        return len(self.channels) - 1

    @property
    def resolution(self) -> int:
        return 4 << (self.blocks // 2 if self.deep else self.blocks)

    @property
    def latent_dim(self) -> int:
        return self.z_dim + (self.shared_dim if self.label is None else 0)


class Conv(nn.Module):
    """3x3 or 1x1 convolution of [n, h, w, c] with a bias; `up` repeats the pixels before, `down`
    takes means of 2x2 after it."""

    features: int
    size: int = 3
    up: bool = False
    down: bool = False
    bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param(
            "kernel",
            nn.initializers.orthogonal(),
            (self.size, self.size, x.shape[-1], self.features),
        )
        y = resampling_conv(x, kernel, self.up, self.down)
        return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.bias else y


class BatchNorm(nn.Module):
    """Stored statistics, then gain and bias, which are linear in the condition or, without one,
    parameters; and ReLU."""

    config: Config

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array | None) -> jax.Array:
        config, width = self.config, x.shape[-1]
        mean = self._at_truncation(
            self.param("mean", nn.initializers.zeros, (config.statistics, width))
        )
        var = self._at_truncation(
            self.param("var", nn.initializers.ones, (config.statistics, width))
        )
        if condition is None:
            gain, eps = self.param("gain", nn.initializers.ones, (width,)), config.output_eps
            bias = self.param("bias", nn.initializers.zeros, (width,))
        else:
            shape, eps = (len(condition), width), config.eps
            gain = 1 + condition @ self.param("gain", nn.initializers.orthogonal(), shape)
            bias = condition @ self.param("bias", nn.initializers.orthogonal(), shape)
        return nn.relu((x - mean) * (lax.rsqrt(var + eps) * gain) + bias)

    def _at_truncation(self, statistics: jax.Array) -> jax.Array:
        place = (1.0 if self.config.truncation is None else self.config.truncation) * (
            len(statistics) - 1
        )
        low = math.floor(place)
        return statistics[low] + (place - low) * (statistics[math.ceil(place)] - statistics[low])


class Attention(nn.Module):
    """Self-attention over the pixels of [n, h, w, c], with keys and values at half the side, as in
    the released code."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        n, height, width, c = x.shape
        query = Conv(c // 8, 1, bias=False, name="theta")(x).reshape(n, height * width, -1)
        key = nn.max_pool(Conv(c // 8, 1, bias=False, name="phi")(x), (2, 2), (2, 2)).reshape(
            n, height * width // 4, -1
        )
        value = nn.max_pool(Conv(c // 2, 1, bias=False, name="g")(x), (2, 2), (2, 2)).reshape(
            n, height * width // 4, -1
        )
        seen = jax.nn.softmax(query @ key.swapaxes(1, 2)) @ value
        gamma = self.param("gamma", nn.initializers.zeros, ())
        return x + gamma * Conv(c, 1, bias=False, name="o")(seen.reshape(n, height, width, -1))


def _repeat(x: jax.Array) -> jax.Array:
    return x.repeat(2, 1).repeat(2, 2)


class Block(nn.Module):
    """BigGAN's residual block: [1, r, r, c] -> [1, 2 r, 2 r, features]."""

    config: Config
    features: int

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        h = Conv(self.features, up=True, name="conv1")(
            BatchNorm(self.config, name="bn1")(x, condition)
        )
        h = Conv(self.features, name="conv2")(BatchNorm(self.config, name="bn2")(h, condition))
        return h + _repeat(Conv(self.features, 1, name="skip")(x))


class DeepBlock(nn.Module):
    """BigGAN-deep's bottleneck block; its shortcut drops channels instead of mixing them."""

    config: Config
    features: int
    up: bool

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        h, middle = x, x.shape[-1] // 4
        layers = [
            Conv(middle, 1, name="conv0"),
            Conv(middle, up=self.up, name="conv1"),
            Conv(middle, name="conv2"),
        ]
        for i, layer in enumerate([*layers, Conv(self.features, 1, name="conv3")]):
            h = layer(BatchNorm(self.config, name=f"bn{i}")(h, condition))
        x = x[..., : self.features]
        return h + (_repeat(x) if self.up else x)


class Generator(nn.Module):
    """z [z_dim] and a class's vector [shared_dim] -> image [H, W, 3] in [-1, 1]."""

    config: Config

    @nn.compact
    def __call__(self, z: jax.Array, vector: jax.Array) -> jax.Array:
        config = self.config
        first, conditions = self._inputs(z, vector)
        kernel = self.param(
            "kernel", nn.initializers.orthogonal(), (len(first), 16 * config.channels[0])
        )
        bias = self.param("bias", nn.initializers.zeros, (16 * config.channels[0],))
        x = (first @ kernel + bias).reshape(1, 4, 4, -1)
        for i, (features, condition) in enumerate(
            zip(config.channels[1:], conditions, strict=True)
        ):
            name = f"block{i}"
            block = (
                DeepBlock(config, features, i % 2 == 1, name=name)
                if config.deep
                else Block(config, features, name=name)
            )
            x = block(x, condition)
            x = Attention(name="attention")(x) if i + 1 == config.attention else x
        return jnp.tanh(Conv(3, name="output")(BatchNorm(config, name="bn")(x, None)))[0]

    def _inputs(self, z: jax.Array, vector: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        """What the first layer takes, and the condition of each block."""
        config = self.config
        if config.deep:
            both = jnp.concatenate([z, vector])
            return both, [both] * config.blocks
        first = config.z_dim - config.blocks * config.z_part
        parts = z[first:].reshape(config.blocks, config.z_part)
        return z[:first], [jnp.concatenate([vector, part]) for part in parts]


class DiscriminatorBlock(nn.Module):
    """Residual block: [n, r, r, c] -> [n, r/2, r/2, features], or the same side for the last
    one."""

    features: int
    first: bool
    down: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        h = Conv(self.features, name="conv1")(x if self.first else nn.relu(x))
        h = Conv(self.features, down=self.down, name="conv2")(nn.relu(h))
        if self.down:
            n, height, width, c = x.shape
            x = x.reshape(n, height // 2, 2, width // 2, 2, c).mean((2, 4))
        return h + (
            Conv(self.features, 1, name="skip")(x)
            if self.down or x.shape[-1] != self.features
            else x
        )


class Discriminator(nn.Module):
    """images [n, H, W, 3] in [-1, 1] -> (logits [n] for class `label`, features after each block,
    finest first)."""

    config: Config

    @nn.compact
    def __call__(self, images: jax.Array, label: int) -> tuple[jax.Array, list[jax.Array]]:
        config, x, features = self.config, images, []
        for i, width in enumerate(config.discriminator_channels):
            x = DiscriminatorBlock(
                width, i == 0, i < config.discriminator_halvings, name=f"block{i}"
            )(x)
            x = Attention(name="attention")(x) if i + 1 == config.discriminator_attention else x
            features.append(x)
        total = nn.relu(x).sum((1, 2))
        kernel = self.param("kernel", nn.initializers.orthogonal(), (total.shape[-1], 1))
        bias = self.param("bias", nn.initializers.zeros, (1,))
        embedding = self.param(
            "embedding", nn.initializers.orthogonal(), (config.classes, total.shape[-1])
        )
        return total @ (kernel[:, 0] + embedding[label]) + bias, features


def generator(config: Config, params: Params, z: jax.Array, vector: jax.Array) -> jax.Array:
    """z [z_dim] and a class's vector [shared_dim] -> image [H, W, 3] in [-1, 1]; params as in
    params["generator"]."""
    return apply(Generator(config), params, z, vector)


def discriminator(
    config: Config, params: Params, images: jax.Array, label: int
) -> tuple[jax.Array, list[jax.Array]]:
    """images [n, H, W, 3] in [-1, 1] and their class -> (logits [n], features after each block,
    finest first)."""
    return apply(Discriminator(config), params, images, label)


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"generator", "embedding"} and, with `discriminator_channels`,
    {"discriminator"}."""
    keys = jax.random.split(key, 3)
    params = {
        "generator": Generator(config).init(
            keys[0], jnp.zeros(config.z_dim), jnp.zeros(config.shared_dim)
        )["params"],
        "embedding": jax.random.normal(keys[1], (config.classes, config.shared_dim)),
    }
    if not config.discriminator_channels:
        return params
    image = jnp.zeros((1, config.resolution, config.resolution, 3))
    return params | {"discriminator": Discriminator(config).init(keys[2], image, 0)["params"]}


def biggan(config: Config, *, name: str = "biggan", domain: str = "", licence: str = "") -> Prior:
    """BigGAN as a `Prior` over z, of one class, or over z and the vector of the class; see
    `Config.label`, `init` for the parameters."""

    def sample(key: PRNGKey, params: Params) -> jax.Array:
        key_z, key_class = jax.random.split(key)
        if config.truncation is None:
            z = jax.random.normal(key_z, (config.z_dim,))
        else:
            z = config.truncation * jax.random.truncated_normal(key_z, -2.0, 2.0, (config.z_dim,))
        if config.label is not None:
            return z
        return jnp.concatenate(
            [z, params["embedding"][jax.random.randint(key_class, (), 0, config.classes)]]
        )

    def decode(params: Params, z: jax.Array) -> jax.Array:
        vector = z[config.z_dim :] if config.label is None else params["embedding"][config.label]
        return 0.5 + 0.5 * generator(config, params["generator"], z[: config.z_dim], vector)

    def discriminate(params: Params, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        if not config.discriminator_channels:
            raise ValueError(
                "this prior has no discriminator: its checkpoint held a generator alone"
            )
        if config.label is None:
            raise ValueError(
                "BigGAN's discriminator judges images of one class: expected a prior loaded "
                "with a label, got none"
            )
        return discriminator(config, params["discriminator"], 2 * images - 1, config.label)

    sizes = config.resolution, config.latent_dim, config.blocks
    return without_w((name, domain, licence), sizes, sample, decode, discriminate)
