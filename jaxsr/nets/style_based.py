"""What StyleGAN1 and StyleGAN2 share: sizes, the mapping network, noise maps, fresh parameters, and
the `Prior` made of their parts."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jaxsr.nets.progressive import Sizes
from jaxsr.priors import MODULATIONS, Info, Prior
from jaxsr.types import Noise, Params, PRNGKey

SQRT2 = float(np.sqrt(2))
# What lies between two blocks: the feature map and the image so far.
Cut = tuple[jax.Array | None, jax.Array | None]
# What takes the place of a map [r, r, c] inside a block.
Between = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Config(Sizes):
    """Sizes of a style-based generator and of its discriminator; the other fields are those of
    `Sizes`.

    z_dim: numbers of z.
    w_dim: numbers of w.
    mapping_layers: layers of the mapping network.
    mapping_lr: learning rate of the mapping network, relative to the other layers'.
    mbstd_channels: channels that tell the discriminator the images' spread.
    """

    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    mapping_lr: float = 0.01
    mbstd_channels: int = 1

    def __post_init__(self):
        super().__post_init__()
        self._at_least_one("z_dim", "w_dim", "mapping_layers", "mbstd_channels")
        if not 0 < self.mapping_lr < np.inf:
            raise ValueError(f"mapping_lr must be a number above 0, got {self.mapping_lr}")

    @property
    def num_layers(self) -> int:
        return 2 * len(self.resolutions)

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((r, r) for r in self.resolutions for _ in range(2))


def lrelu(x: jax.Array, gain: float = SQRT2) -> jax.Array:
    """Leaky ReLU of slope 0.2, times `gain`."""
    return nn.leaky_relu(x, 0.2) * gain


def as_maps(noise: jax.Array) -> jax.Array:
    """Noise [r, r], the same for all channels, or maps [r, r, c] in its place -> [r, r, 1 or c]."""
    return noise if noise.ndim == 3 else noise[..., None]


class Dense(nn.Module):
    """Equalised-learning-rate dense layer: kernel ~ N(0, 1 / lr), scaled by lr / sqrt(inputs) in
    the forward pass."""

    features: int
    lr: float = 1.0
    bias: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param(
            "kernel", nn.initializers.constant(1 / self.lr), (x.shape[-1], self.features)
        )
        bias = self.param("bias", nn.initializers.constant(self.bias / self.lr), (self.features,))
        return (x * (self.lr / np.sqrt(x.shape[-1]))) @ kernel + bias * self.lr


class Mapping(nn.Module):
    """z [z_dim] -> w [w_dim]."""

    config: Config

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        x = z * lax.rsqrt(jnp.mean(z**2, -1, keepdims=True) + 1e-8)
        for i in range(self.config.mapping_layers):
            x = lrelu(Dense(self.config.w_dim, self.config.mapping_lr, name=f"fc{i}")(x))
        return x


def apply(net: nn.Module, params: Params, *inputs: Any) -> Any:
    """The output of a network with parameters of our own keeping."""
    return net.apply({"params": params}, *inputs)


def mapping(config: Config, params: Params, z: jax.Array) -> jax.Array:
    """z [..., z_dim] -> w [..., w_dim]; params as in params["mapping"]."""
    return apply(Mapping(config), params, z)


def mapped(
    config: Config, params: Params, z: jax.Array, truncation: float | jax.Array = 1.0
) -> jax.Array:
    """`Prior.map`: as `mapping`, of all parameters, on the line from the mean of w."""
    w = mapping(config, params["mapping"], z)
    center = params["statistics"]["w_mean"]
    return center + truncation * (w - center)


def init(key: PRNGKey, config: Config, synthesis: nn.Module, discriminator: nn.Module) -> Params:
    """Fresh parameters {"mapping", "synthesis", "noise", "discriminator", "statistics"} of a
    generator and its discriminator."""
    image = jnp.zeros((1, config.resolution, config.resolution, 3))
    statistics = ("w_mean", "w_std", "white_mean", "white_std")
    params = deviations(key, config, synthesis) | {
        "discriminator": discriminator.init(key, image)["params"],
        "statistics": {name: jnp.zeros(config.w_dim) for name in statistics},
    }
    return randomise(key, params)


def deviations(key: PRNGKey, config: Config, synthesis: nn.Module) -> Params:
    """{"mapping", "synthesis", "noise"} of a generator, for `randomise`."""
    noise = [jnp.ones(shape) for shape in config.noise_shapes]
    w_plus = jnp.zeros((config.num_layers, config.w_dim))
    return {
        "mapping": Mapping(config).init(key, jnp.zeros(config.z_dim))["params"],
        "synthesis": synthesis.init(key, w_plus, tuple(noise))["params"],
        "noise": noise,
    }


def randomise(key: PRNGKey, params: Params) -> Params:
    """Kernels, constants and noise maps hold their standard deviation so far: times one draw of
    normals, cut to their shapes (a draw for each would take most of a minute to compile)."""

    def random(path: tuple) -> bool:
        return path[0].key == "noise" or getattr(path[-1], "key", "") in ("kernel", "const")

    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    sizes = [x.size if random(path) else 0 for path, x in leaves]
    normals = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    drawn = [
        x * n.reshape(x.shape) if n.size else x for (_, x), n in zip(leaves, normals, strict=True)
    ]
    return jax.tree.unflatten(tree, drawn)


def random_noise(key: PRNGKey, config: Config, batch: tuple[int, ...] = ()) -> Noise:
    """Noise maps [*batch, r, r] ~ N(0, 1), cut from one draw, which compiles many times faster than
    a draw for each."""
    sizes = [h * w for h, w in config.noise_shapes]
    maps = jnp.split(jax.random.normal(key, (*batch, sum(sizes))), np.cumsum(sizes)[:-1], axis=-1)
    return tuple(
        m.reshape(*batch, *shape) for m, shape in zip(maps, config.noise_shapes, strict=True)
    )


def _tile(config: Config, w: jax.Array) -> jax.Array:
    return jnp.broadcast_to(w, (config.num_layers, config.w_dim))


def _splitter(config: Config, map_: Callable, synthesis: Callable) -> Callable:
    """`Prior.split`: between the two parts lie the map, the RGB so far (StyleGAN2) and w; the noise
    is the checkpoint's."""

    def split(blocks: int) -> tuple[Callable, Callable]:
        def head(params: Params, z: jax.Array) -> dict:
            w = map_(params, z)
            x, rgb = synthesis(
                config, params["synthesis"], _tile(config, w), tuple(params["noise"]), stop=blocks
            )
            return {"x": x, "rgb": rgb, "w": w}

        def tail(params: Params, cut: dict) -> jax.Array:
            before, w_plus = (cut["x"], cut["rgb"]), _tile(config, cut["w"])
            return (
                0.5
                + 0.5
                * synthesis(
                    config, params["synthesis"], w_plus, tuple(params["noise"]), before, blocks
                )[1]
            )

        return head, tail

    return split


def _modulations(
    net: nn.Module, params: Params, w_plus: jax.Array, noise: Noise
) -> dict[str, jax.Array]:
    """`Prior.styles`. Under jit the convolutions, whose results nobody asks for, are not run."""
    told = net.apply(
        {"params": params},
        w_plus,
        noise,
        capture_intermediates=lambda layer, _: layer.name in MODULATIONS,
    )[1]
    leaves = jax.tree_util.tree_leaves_with_path(told["intermediates"])
    return {
        jax.tree_util.keystr(path[:-2], simple=True, separator="/"): leaf for path, leaf in leaves
    }


class _StyleBased(NamedTuple):
    """The functions of a style-based network's `Prior`; fields as the arguments of `prior`."""

    config: Config
    net: nn.Module
    synthesis: Callable
    discriminator: Callable

    def sample(self, key: PRNGKey, params: Params) -> jax.Array:
        return jax.random.normal(key, (self.config.z_dim,))

    def map(self, params: Params, z: jax.Array, truncation: float | jax.Array = 1.0) -> jax.Array:
        return mapped(self.config, params, z, truncation)

    def noise(self, kind: str, params: Params, key: PRNGKey | None = None) -> Noise:
        if kind == "const":
            return tuple(params["noise"])
        if kind == "none":
            return tuple(jnp.zeros(shape) for shape in self.config.noise_shapes)
        if kind == "random" and key is not None:
            return random_noise(key, self.config)
        raise ValueError(
            'noise kind must be "const", "none" or "random" (which needs a key), got '
            f"{kind!r} with key {key}"
        )

    def synthesize(self, params: Params, w_plus: jax.Array, noise: Noise) -> jax.Array:
        return 0.5 + 0.5 * self.synthesis(self.config, params["synthesis"], w_plus, noise)[1]

    def decode(self, params: Params, z: jax.Array) -> jax.Array:
        w_plus = _tile(self.config, self.map(params, z))
        return self.synthesize(params, w_plus, self.noise("const", params))

    def discriminate(self, params: Params, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        return self.discriminator(self.config, params["discriminator"], 2 * images - 1)

    def styles(self, params: Params, w_plus: jax.Array) -> dict[str, jax.Array]:
        return _modulations(self.net, params["synthesis"], w_plus, self.noise("none", params))

    def blocks(
        self,
        params: Params,
        w_plus: jax.Array,
        noise: Noise,
        cut: Cut,
        start: int,
        stop: int,
        between: Between | None = None,
    ) -> Cut:
        config = self.config
        # StyleGAN1 makes its image at the very end.
        last = stop if stop < len(config.resolutions) else None
        return self.synthesis(config, params["synthesis"], w_plus, noise, cut, start, last, between)


def prior(
    config: Config,
    about: tuple[str, str, str],
    net: nn.Module,
    synthesis: Callable,
    discriminator: Callable,
) -> Prior:
    """The `Prior` over z of a style-based network.

    Args:
        config: its sizes.
        about: name, domain and licence.
        net: its synthesis network.
        synthesis: (config, params, w_plus [num_layers, w_dim], noise, cut, start, stop,
            between) -> (map, image [H, W, 3] in [-1, 1]).
        discriminator: (config, params, images [n, H, W, 3] in [-1, 1]) -> (logits [n], features).
    """
    made = _StyleBased(config, net, synthesis, discriminator)
    return Prior(
        _info(config, *about),
        made.sample,
        made.decode,
        made.map,
        made.noise,
        made.synthesize,
        made.discriminate,
        _splitter(config, made.map, synthesis),
        made.styles,
        made.blocks,
    )


def _info(config: Config, name: str, domain: str, licence: str) -> Info:
    return Info(
        name,
        config.resolution,
        config.z_dim,
        config.w_dim,
        config.num_layers,
        config.noise_shapes,
        domain,
        licence,
    )
