"""The U-Net that predicts the noise in an image, as pure functions: that of DDPM (Ho et al.,
arXiv:2006.11239) and that of ADM (Dhariwal and Nichol, arXiv:2105.05233).

After pesser/pytorch_diffusion and openai/guided-diffusion (both MIT). The two families differ in
how they embed the step, in what the step does to a block, and in how they halve and double maps
(`unet_layers`). Levels are numbered from the finest, on the way down and on the way up.
"""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxsr.nets import unet_layers as layers
from jaxsr.types import Params, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of a U-Net.

    Attributes:
        resolution: side of the images, px.
        width: numbers in the sinusoidal embedding of the step; DDPM's first maps are as wide.
        widths: channels at each level, each of half the side of the one before.
        blocks: residual blocks of a level on the way down; one more on the way up.
        attention: sides of the maps, px, that attend to themselves; those in the middle always do.
        family: "ddpm" or "adm".
        heads: of each attention; not read where `head_width` is given.
        head_width: channels of each head of an attention; 0: as `heads` says.
        groups: of a group normalisation, at most one for each channel.
        outputs: channels of the prediction: 3, the noise, or 6, with ADM's learned variances.
        patch: side of the blocks of pixels that the network sees as channels of one.
    """

    resolution: int
    width: int = 128
    widths: tuple[int, ...] = (128, 128, 256, 256, 512, 512)
    blocks: int = 2
    attention: tuple[int, ...] = (16,)
    family: Literal["ddpm", "adm"] = "ddpm"
    heads: int = 1
    head_width: int = 0
    groups: int = 32
    outputs: int = 3
    patch: int = 1

    def __post_init__(self):
        if self.family not in layers.FAMILIES:
            raise ValueError(
                f"family must be one of {', '.join(layers.FAMILIES)}, got {self.family!r}"
            )
        for name in ("blocks", "heads", "groups", "patch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.outputs not in (3, 6):
            raise ValueError(f"outputs must be 3 or 6, got {self.outputs}")
        if self.width < 4 or self.width % 2 or not self.widths:
            raise ValueError(
                "expected an even width of at least 4 and a width for each level, got "
                f"{self.width} and {self.widths}"
            )
        self._check_sides()
        self._check_channels()

    def _check_sides(self) -> None:
        divisor = self.patch << (len(self.widths) - 1)
        if self.resolution < 1 or self.resolution % divisor:
            raise ValueError(
                f"resolution must be a multiple of {divisor}, which {len(self.widths)} levels of "
                f"a patch of {self.patch} px need, got {self.resolution}"
            )
        if not set(self.attention) <= set(self.sides):
            raise ValueError(
                f"attention must be among the levels' sides {self.sides}, got {self.attention}"
            )

    def _check_channels(self) -> None:
        for channels in {self.first, *self.widths}:
            if channels < 1 or channels % min(self.groups, channels):
                raise ValueError(
                    f"expected channels that {self.groups} groups divide, got {channels}"
                )
        for level in [*map(self.sides.index, self.attention), len(self.widths) - 1]:
            channels, heads = self.widths[level], self.heads_of(self.widths[level])
            if heads < 1 or channels % heads or (self.head_width and channels % self.head_width):
                raise ValueError(
                    f"expected channels that are heads of one width, got {channels} of "
                    f"{self.head_width or f'{heads} heads'}"
                )

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the maps of each level, px."""
        return tuple(self.resolution // self.patch >> level for level in range(len(self.widths)))

    @property
    def first(self) -> int:
        """Channels of the first maps."""
        return self.width if self.family == "ddpm" else self.widths[0]

    def heads_of(self, channels: int) -> int:
        """Heads of an attention over so many channels."""
        return channels // self.head_width if self.head_width else self.heads


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters, float32. What a residual adds, and the prediction, begin at 0."""
    leaves, structure = jax.tree.flatten(_layout(config), is_leaf=layers.is_leaf)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        structure, [layers.drawn(key, leaf) for key, leaf in zip(keys, leaves, strict=True)]
    )


def _layout(config: Config) -> dict[str, Any]:
    """The tree of the parameters, of `layers.Leaf`."""
    embedded, last = 4 * config.width, config.widths[-1]
    inputs = [config.first, *config.widths[:-1]]
    pixels = config.patch**2
    return {
        "time": {
            "dense0": layers.dense(config.width, embedded),
            "dense1": layers.dense(embedded, embedded),
        },
        "conv_in": layers.conv3(3 * pixels, config.first),
        "down": [_down(config, level, inputs[level]) for level in range(len(inputs))],
        "middle": {
            "block0": layers.residual(config.family, last, last, embedded),
            "attention": layers.attention(last),
            "block1": layers.residual(config.family, last, last, embedded),
        },
        "up": [_up(config, level, inputs) for level in range(len(inputs))],
        "norm_out": layers.norm(config.widths[0]),
        "conv_out": layers.conv3(config.widths[0], config.outputs * pixels, 0.0),
    }


def _down(config: Config, level: int, before: int) -> dict[str, Any]:
    width = config.widths[level]
    inputs = [before] + [width] * (config.blocks - 1)
    return _level(config, level, inputs, level < len(config.widths) - 1)


def _up(config: Config, level: int, inputs: list[int]) -> dict[str, Any]:
    """A level on the way up: each block sees the maps before it beside those kept on the way
    down."""
    width, is_last = config.widths[level], level == len(config.widths) - 1
    below = width if is_last else config.widths[level + 1]
    kept = [width] * config.blocks + [inputs[level]]
    flowing = [below] + [width] * config.blocks
    return _level(config, level, [a + b for a, b in zip(flowing, kept, strict=True)], level > 0)


def _level(config: Config, level: int, inputs: list[int], resampled: bool) -> dict[str, Any]:
    width, embedded = config.widths[level], 4 * config.width
    blocks = [layers.residual(config.family, n, width, embedded) for n in inputs]
    tree: dict[str, Any] = {"blocks": blocks}
    if config.sides[level] in config.attention:
        tree["attention"] = [layers.attention(width) for _ in inputs]
    if resampled:
        tree["resample"] = layers.resampling(config.family, width, embedded)
    return tree


def predicted(config: Config, params: Params, image: jax.Array, step: jax.Array) -> jax.Array:
    """What the network predicts of one noisy image.

    Args:
        config: its sizes.
        params: as from `init`.
        image: [resolution, resolution, 3], sqrt(alpha-bar) x + sqrt(1 - alpha-bar) noise with x in
            [-1, 1].
        step: [] of that alpha-bar, from 0.

    Returns:
        [resolution, resolution, outputs]; the first 3 channels are the noise.
    """
    emb = layers.embedded(config.family, config.width, params["time"], step)
    x = layers.convolved(params["conv_in"], layers.space_to_depth(image, config.patch))
    kept = [x]
    for level in params["down"]:
        for i, block in enumerate(level["blocks"]):
            kept.append(_attended(config, level, i, layers.mapped(config, block, kept[-1], emb)))
        if "resample" in level:
            kept.append(layers.halved(config, level["resample"], kept[-1], emb))
    middle = params["middle"]
    x = layers.mapped(config, middle["block0"], kept[-1], emb)
    x = layers.attended(config, middle["attention"], x)
    x = layers.mapped(config, middle["block1"], x, emb)
    for level in reversed(params["up"]):
        for i, block in enumerate(level["blocks"]):
            x = layers.mapped(config, block, jnp.concatenate([x, kept.pop()], -1), emb)
            x = _attended(config, level, i, x)
        if "resample" in level:
            x = layers.doubled(config, level["resample"], x, emb)
    x = layers.convolved(
        params["conv_out"], layers.swish(layers.normed(config, params["norm_out"], x))
    )
    return layers.depth_to_space(x, config.patch)


def _attended(config: Config, level: Params, i: int, x: jax.Array) -> jax.Array:
    return layers.attended(config, level["attention"][i], x) if "attention" in level else x
