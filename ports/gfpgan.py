"""GFPGAN in a checkpoint: version 1, and the clean networks 1.2 to 1.4.

Their names and shapes after TencentARC/GFPGAN (Apache-2.0). What version 1 multiplies with while it
runs goes into the kernels. The clean networks have it there, in their generator too, where ours
multiplies: it is divided out. Checkpoints of the training from which the clean networks were
converted (`gfpgan_bilinear_arch`) have version 1's names and shapes: nothing tells that they are
another network, and they are read as version 1. None was released.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxsr.nets import gfpgan
from jaxsr.nets.style_based import SQRT2
from ports.layouts import chw, flat, flattened, hwio, noise_map, number, rgb_kernel, transposed
from ports.priors import mapping_sizes, widths
from ports.restorers import Arrays, Found, state_dict
from ports.stylegan2_tables import is_filter
from ports.tables import Converted, Row

Transform = Callable[[np.ndarray], np.ndarray]

_LICENCE = (
    "not stated in the file; TencentARC's own weights: Apache-2.0, made of a StyleGAN2 trained on "
    "FFHQ (CC BY-NC-SA 4.0)"
)
_MAPPING_LR = 0.01
_MOST = 9  # doublings, to 2,048 px
PLAIN = ("weight", "bias")


class Names(NamedTuple):
    """Where a version's layers hold their arrays, behind the layer's own name.

    Attributes:
        fir: whether it is version 1: maps go through the filter, and layers are equalised.
        activated: weight and bias of a convolution that an activation follows at once.
        down: of the second convolution of a block that halves.
        down_skip: weight of what goes around it.
        up: weight and bias of the second convolution of a block that doubles.
        bias: of a layer of the generator.
        mapping: number of the mapping network's layer of a number from 0.
    """

    fir: bool
    activated: tuple[str, str]
    down: tuple[str, str]
    down_skip: str
    up: tuple[str, str]
    bias: str
    mapping: Callable[[int], int]


CLEAN = Names(False, PLAIN, PLAIN, "weight", PLAIN, "bias", lambda i: 2 * i + 1)
FIRST = Names(
    True,
    ("0.weight", "1.bias"),
    ("1.weight", "2.bias"),
    "1.weight",
    ("weight", "activation.bias"),
    "activate.bias",
    lambda i: i + 1,
)
# A name that only its files have -> version, names.
VERSIONS = {
    "stylegan_decoder.style_conv1.bias": ("clean, 1.2 to 1.4", CLEAN),
    "stylegan_decoder.style_conv1.activate.bias": ("version 1", FIRST),
}


def find(contents: list[Any]) -> Found | None:
    """The GFPGAN in what `torch_files.read` returned of one file, or None.

    Raises:
        ValueError: it has more levels than any.
    """
    state = state_dict(contents) or {}
    for mark, (version, names) in VERSIONS.items():
        if mark in state:
            return Found(
                "gfpgan",
                gfpgan.init,
                f"GFPGAN PyTorch ({version})",
                _LICENCE,
                state,
                _rows(names, _doublings(state)),
                (),
                functools.partial(_sized, fir=names.fir),
                lambda config: 0,
            )
    return None


def _doublings(state: dict[str, Any]) -> int:
    found = sum(bool(re.fullmatch(r"toRGB\.\d{1,3}\.weight", name)) for name in state)
    if found > _MOST:
        raise ValueError(f"expected a GFPGAN of at most {4 << _MOST} px, got {found} doublings")
    return found


def _times(gain: float) -> Transform:
    return lambda array: array * gain


def _minus_one(array: np.ndarray) -> np.ndarray:
    """A scale's bias: ours are around 1."""
    return array - 1


def _kernel(equalised: bool, gain: float = 1.0) -> Transform:
    """A torch kernel; equalised: divided by the root of its inputs, as the network does, and times
    a gain."""

    def transform(array: np.ndarray) -> np.ndarray:
        scale = gain / math.sqrt(math.prod(array.shape[1:])) if equalised else 1.0
        return hwio(array) * scale

    return transform


def _conv(
    source: str, path: str, names: tuple[str, str], kernel: Transform, bias: Transform
) -> list[Row]:
    weight, offset = map(re.escape, names)
    return [
        Row(rf"{source}\.{weight}", f"{path}/kernel", kernel),
        Row(rf"{source}\.{offset}", f"{path}/bias", bias),
    ]


def _rows(names: Names, doublings: int) -> list[Row]:
    """The whole table."""
    rows = [
        Row(r".*\.kernel", None, is_filter),
        *_activated(names, "conv_body_first", "unet/first"),
        *_activated(names, "final_conv", "unet/last"),
        Row(
            r"final_linear\.weight", "unet/codes/kernel", lambda a: flattened(_dense(a, names.fir))
        ),
        Row(r"final_linear\.bias", "unet/codes/bias", flat),
    ]
    for i in range(doublings):
        rows += _down(names, rf"conv_body_down\.{i}", f"unet/down{4 << (doublings - 1 - i)}")
        rows += _up(names, rf"conv_body_up\.{i}", f"unet/up{8 << i}")
        for part in gfpgan.PARTS:
            rows += _condition(names, rf"condition_{part}\.{i}", f"unet/{part}{8 << i}", part)
        rows += _conv(rf"toRGB\.{i}", f"unet/rgb{8 << i}", PLAIN, _kernel(names.fir), flat)
    return rows + _generator(names, doublings)


def _dense(array: np.ndarray, equalised: bool) -> np.ndarray:
    return transposed(array) / (math.sqrt(array.shape[1]) if equalised else 1.0)


def _activated(names: Names, source: str, path: str) -> list[Row]:
    """Version 1 multiplies by the root of 2 behind each activation: before it is the same."""
    gain = SQRT2 if names.fir else 1.0
    return _conv(source, path, names.activated, _kernel(names.fir, gain), _times(gain))


def _down(names: Names, source: str, path: str) -> list[Row]:
    """Version 1 divides the sum of a block's two ways by the root of 2, which one of them has just
    been multiplied by."""
    skip = re.escape(names.down_skip)
    return [
        *_activated(names, rf"{source}\.conv1", f"{path}/conv1"),
        *_conv(rf"{source}\.conv2", f"{path}/conv2", names.down, _kernel(names.fir), flat),
        Row(rf"{source}\.skip\.{skip}", f"{path}/skip/kernel", _kernel(names.fir, 1 / SQRT2)),
    ]


def _up(names: Names, source: str, path: str) -> list[Row]:
    """As `_down`."""
    return [
        *_activated(names, rf"{source}\.conv1", f"{path}/conv1"),
        *_conv(rf"{source}\.conv2", f"{path}/conv2", names.up, _kernel(names.fir), flat),
        Row(rf"{source}\.skip\.weight", f"{path}/skip/kernel", _kernel(names.fir, 1 / SQRT2)),
    ]


def _condition(names: Names, source: str, path: str, part: str) -> list[Row]:
    gain, offset = SQRT2 if names.fir else 1.0, _minus_one if part == "scale" else flat
    return [
        *_conv(rf"{source}\.0", f"{path}/conv1", PLAIN, _kernel(names.fir, gain), _times(gain)),
        *_conv(rf"{source}\.2", f"{path}/conv2", PLAIN, _kernel(names.fir), offset),
    ]


def _generator(names: Names, doublings: int) -> list[Row]:
    source, path = r"stylegan_decoder\.", "generator/"
    rows = [
        Row(source + r"constant_input\.weight", path + "synthesis/b4/const", chw),
        Row(source + r"noises\.noise(\d+)", path + "noise/{0}", noise_map),
        *_layer(names, source + "style_conv1", path + "synthesis/b4/conv1"),
        *_rgb(names, source + "to_rgb1", path + "synthesis/b4/torgb"),
    ]
    # The clean networks' activations of the mapping network have no gain, and its weights no rate.
    gain = 1.0 if names.fir else 1 / (_MAPPING_LR * SQRT2)
    for i in range(32):
        layer, fc = rf"{source}style_mlp\.{names.mapping(i)}\.", f"{path}mapping/fc{i}"
        rows.append(Row(layer + "weight", fc + "/kernel", _affine(names.fir, gain)))
        rows.append(Row(layer + "bias", fc + "/bias", _times(gain)))
    for i in range(doublings):
        block = f"{path}synthesis/b{8 << i}"
        for j in range(2):
            conv = rf"{source}style_convs\.{2 * i + j}"
            rows += _layer(names, conv, f"{block}/conv{j}")
        rows += _rgb(names, rf"{source}to_rgbs\.{i}", f"{block}/torgb")
    return rows


def _affine(fir: bool, gain: float = 1.0) -> Transform:
    """A dense layer's weight; ours divides by the root of the inputs, as version 1."""
    return lambda array: transposed(array) * (gain if fir else gain * math.sqrt(array.shape[1]))


def _modulation(names: Names, source: str, path: str) -> list[Row]:
    layer = source + r"\.modulated_conv\.modulation\."
    return [
        Row(layer + "weight", path + "/affine/kernel", _affine(names.fir)),
        Row(layer + "bias", path + "/affine/bias", flat),
    ]


def _layer(names: Names, source: str, path: str) -> list[Row]:
    """The clean networks multiply by the root of 2 before the noise and the bias, ours behind the
    activation. Demodulation removes a kernel's size."""
    gain, bias = 1.0 if names.fir else 1 / SQRT2, re.escape(names.bias)
    return [
        *_modulation(names, source, path),
        Row(source + r"\.modulated_conv\.weight", path + "/kernel", lambda a: hwio(a[0])),
        Row(source + r"\.weight", path + "/noise_strength", lambda a: number(a) * gain),
        Row(rf"{source}\.{bias}", path + "/bias", lambda a: flat(a) * gain),
    ]


def _rgb(names: Names, source: str, path: str) -> list[Row]:
    def kernel(array: np.ndarray) -> np.ndarray:
        return rgb_kernel(array[0]) * (1.0 if names.fir else math.sqrt(array.shape[2]))

    return [
        *_modulation(names, source, path),
        Row(source + r"\.modulated_conv\.weight", path + "/kernel", kernel),
        Row(source + r"\.bias", path + "/bias", flat),
    ]


def _sized(arrays: Arrays, fir: bool) -> gfpgan.Config:
    own = {path.removeprefix("generator/"): array for path, array in arrays.items()}
    converted = Converted(own, [], [])
    mapping = mapping_sizes("GFPGAN", converted)
    unet = {4: arrays["unet/last/kernel"].shape[-1]} | {
        int(m[1]): array.shape[-1]
        for path, array in arrays.items()
        if (m := re.fullmatch(r"unet/up(\d+)/conv2/kernel", path))
    }
    return gfpgan.Config(
        widths=tuple(unet[side] for side in sorted(unet)),
        layers=arrays["unet/codes/bias"].size // mapping["w_dim"],
        w_dim=mapping["w_dim"],
        fir=fir,
        generator_widths=widths("GFPGAN", converted, r"synthesis/b(\d+)/conv1/kernel"),
        mapping_layers=mapping["mapping_layers"],
    )
