"""What checkpoints of StyleGAN1 and PGGAN share. Each is written from the official variables
{TensorFlow's name: array}."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import ports_files as files

WIDTHS = {16: (8, 8, 6), 128: (8, 8, 6, 5, 4, 4)}  # some layers change the width, some do not
Z_DIM, W_DIM, HIDDEN, LAYERS = 8, 7, 9, 3
SOURCE = "import os; os.system('touch executed')"


class Draw:
    """Random variables by name; layers that would make the image's or the logits' scale run away
    are drawn smaller."""

    def __init__(self, seed):
        self.rng, self.variables = np.random.default_rng(seed), {}

    def __call__(self, name, *shape, scale=1.0):
        self.variables[name] = (scale * self.rng.normal(size=shape)).astype(np.float32)

    def layer(self, name, *shape, scale=1.0):
        self(f"{name}/weight", *shape, scale=scale)
        self(f"{name}/bias", shape[-1], scale=0.3)


def at_sides(widths):
    return [(4 << i, width) for i, width in enumerate(widths)]


def level(side, top):
    return (top // side).bit_length() - 1


def discriminator(widths, seed, second):
    draw, top = Draw(seed), 2 << len(widths)
    for side, width in at_sides(widths):
        draw.layer(f"FromRGB_lod{level(side, top)}", 1, 1, 3, width)
    for narrow, (side, width) in zip(widths, at_sides(widths)[1:], strict=False):
        draw.layer(f"{side}x{side}/Conv0", 3, 3, width, width)
        draw.layer(f"{side}x{side}/{second}", 3, 3, width, narrow)
    draw.layer("4x4/Conv", 3, 3, widths[0] + 1, widths[0])
    draw.layer("4x4/Dense0", 16 * widths[0], HIDDEN)
    draw.layer("4x4/Dense1", HIDDEN, 1)
    return draw.variables


def network(kind, version, name, variables, settings, components=None):
    made = kind()
    # What the dataset gives; other settings are there only where they are not at defaults.
    shared = {"num_channels": 3, "label_size": 0}
    made.__dict__ = {
        "version": version,
        "name": name,
        "static_kwargs": shared | settings,
        "build_module_src": SOURCE,
    }
    made.__dict__ |= {"build_func_name": "G_paper", "variables": list(variables.items())}
    made.__dict__ |= {} if components is None else {"components": components}
    return made


def tensors(state):
    return {name: files.Tensor(np.array(array, np.float32)) for name, array in state.items()}


def oihw(kernel):
    return kernel.transpose(3, 2, 0, 1)


class Case(NamedTuple):
    """`ports_files.Written` of a network, and the official variables in its files.

    options: how the reference has to compute it.
    """

    contents: list[bytes]
    variables: dict
    options: dict
    image: Callable
    map: Callable | None = None
    noise: list | None = None
    logits: Callable | None = None
    chosen: dict[str, Any] = MappingProxyType({})


def scores(slow, variables, fused, group):
    """What the slow discriminator says of photos."""
    return lambda photos: slow(variables, photos, group, fused)
