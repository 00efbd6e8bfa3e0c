"""PGGAN in a checkpoint: NVIDIA's TensorFlow pickles; PyTorch files of genforce (mGANprior),
ptrblck and pytorch_GAN_zoo."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxsr.nets import pggan
from ports import tensorflow
from ports.layouts import anything, final_lod, flipped, hwio, number, rgb_kernel, same
from ports.priors import Choice, Found, last_width
from ports.stylegan1 import discriminator_rows
from ports.tables import Converted, Row, few

_LICENCE = "not stated in the file; NVIDIA's own weights: CC BY-NC 4.0 (non-commercial)"
_ZOO_LICENCE = "not stated in the file; pytorch_GAN_zoo's own weights: BSD-3-Clause"
_SIDES = tuple(4 << i for i in range(9))
_LAYERS = 2 * len(_SIDES)
_WIDEST = 1 << 16  # channels
_SQRT2 = float(np.sqrt(2))
_FIXED = {
    "num_channels": (1, 3),
    "label_size": (0,),
    "normalize_latents": (True,),
    "use_wscale": (True,),
    "use_pixelnorm": (True,),
    "pixelnorm_epsilon": (1e-8,),
    "use_leakyrelu": (True,),
}


def find(contents: list[Any]) -> Found | None:
    """The PGGAN in what `torch_files.read` returned of one file, or None.

    Raises:
        ValueError: it is one of the formats, but damaged, or a network that ours cannot compute.
    """
    content = contents[0]
    if len(contents) > 1:
        return None
    if isinstance(content, dict):
        return _torch(content)
    networks = tensorflow.networks(content)
    return (
        _tensorflow(networks) if networks and "Gs/ToRGB_lod0/weight" in networks.sources else None
    )


def _torch(content: dict) -> Found | None:
    if "layer0.conv.weight" in content and "layer0.wscale.bias" in content:
        return _genforce(content)
    if "features.0.conv.weight" in content and "features.0.wscale.scale" in content:
        return Found(
            "pggan",
            "PGGAN PyTorch (ptrblck)",
            _LICENCE,
            dict(content),
            _ptrblck_rows(),
            _settle({}, _scaled),
        )
    if isinstance(content.get("netG"), dict) and "formatLayer.module.weight" in content["netG"]:
        return _zoo(content)
    return None


def _tensorflow(networks: tensorflow.Networks) -> Found:
    tensorflow.require("PGGAN", networks.generator, _FIXED)
    networks = tensorflow.judged("PGGAN", networks, _FIXED)
    settings = {
        "mbstd_group": int(tensorflow.number(networks.discriminator, "mbstd_group_size", 4)),
        "fused": not any(
            re.fullmatch(r"D/\d+x\d+/Conv1/weight", name) for name in networks.sources
        ),
    }
    rows = _tensorflow_rows(
        flipped if networks.version > 2 else lambda a: flipped(a).transpose(0, 1, 3, 2)
    )
    return Found(
        "pggan",
        "PGGAN TensorFlow",
        _LICENCE,
        networks.sources,
        rows,
        _settle(settings, same_arrays),
        networks.notes,
    )


def _spread(bias: np.ndarray) -> np.ndarray:
    """[c] -> [4, 4, c]: one bias for all pixels."""
    if bias.ndim != 1 or len(bias) > _WIDEST:
        raise ValueError("not one bias a channel")
    return np.broadcast_to(bias, (4, 4, len(bias)))


def _tensorflow_rows(up_kernel: Callable) -> list[Row]:
    """`up_kernel`: of the fused layers, which PGGAN's code keeps [k, k, outputs, inputs] and
    StyleGAN1's the other way round."""
    rows = [
        Row(r"Gs/lod|D/lod", None, final_lod),
        Row(
            r"Gs/4x4/Dense/weight",
            "generator/layer0/kernel",
            lambda a: a.reshape(len(a), -1, 4, 4).transpose(0, 2, 3, 1),
        ),
        Row(r"Gs/4x4/Dense/bias", "generator/layer0/bias", _spread),
        Row(r"Gs/4x4/Conv/weight", "generator/layer1/kernel", same),
        Row(r"Gs/4x4/Conv/bias", "generator/layer1/bias", same),
        Row(r"Gs/ToRGB_lod0/weight", "generator/torgb/kernel", lambda a: a[0, 0]),
        Row(r"Gs/ToRGB_lod0/bias", "generator/torgb/bias", same),
        Row(r"Gs/ToRGB_lod\d+/(weight|bias)", None, anything),
    ]
    for i, side in enumerate(_SIDES[1:], 1):
        up = f"generator/layer{2 * i}"
        rows += [
            Row(rf"Gs/{side}x{side}/Conv0_up/weight", f"{up}/kernel", up_kernel),
            Row(rf"Gs/{side}x{side}/Conv0/weight", f"{up}/kernel", same),
            Row(rf"Gs/{side}x{side}/Conv0(?:_up)?/bias", f"{up}/bias", same),
            Row(rf"Gs/{side}x{side}/Conv1/weight", f"generator/layer{2 * i + 1}/kernel", same),
            Row(rf"Gs/{side}x{side}/Conv1/bias", f"generator/layer{2 * i + 1}/bias", same),
        ]
    return rows + discriminator_rows(r"D/(\d+)x\d+/")


def _from_pixel(weight: np.ndarray) -> np.ndarray:
    """A 4x4 convolution [c, z, 4, 4] of one pixel padded by three -> [z, 4, 4, c]."""
    return weight[:, :, ::-1, ::-1].transpose(1, 2, 3, 0)


def _genforce(content: dict) -> Found:
    outputs = [
        int(m[1]) for name in content if (m := re.fullmatch(r"output(\d)\.conv\.weight", str(name)))
    ]
    last = max(outputs, default=0)
    rows = [
        Row(r"lod", None, final_lod),
        Row(r"layer0\.conv\.weight", "generator/layer0/kernel", _from_pixel),
        Row(r"layer0\.wscale\.bias", "generator/layer0/bias", _spread),
        Row(r"layer(\d+)\.conv\.weight", "generator/layer{0}/kernel", hwio),
        Row(r"layer(\d+)\.weight", "generator/layer{0}/kernel", flipped),
        Row(r"layer(\d+)\.wscale\.bias", "generator/layer{0}/bias", same),
        Row(rf"output{last}\.conv\.weight", "generator/torgb/kernel", rgb_kernel),
        Row(rf"output{last}\.wscale\.bias", "generator/torgb/bias", same),
        Row(r"output\d\..*", None, anything),
    ]
    return Found(
        "pggan", "PGGAN PyTorch (genforce)", _LICENCE, dict(content), rows, _settle({}, same_arrays)
    )


def _ptrblck_rows() -> list[Row]:
    """Scales are numbers in the file, where others compute them from the shapes."""
    return [
        Row(r"features\.0\.conv\.weight", "generator/layer0/kernel", _from_pixel),
        Row(r"features\.0\.wscale\.b", "generator/layer0/bias", _spread),
        Row(r"features\.(\d+)\.conv\.weight", "generator/layer{0}/kernel", hwio),
        Row(r"features\.(\d+)\.wscale\.b", "generator/layer{0}/bias", same),
        Row(r"features\.(\d+)\.wscale\.scale", "scale/layer{0}", number),
        Row(r"output\.conv\.weight", "generator/torgb/kernel", rgb_kernel),
        Row(r"output\.wscale\.b", "generator/torgb/bias", same),
        Row(r"output\.wscale\.scale", "scale/torgb", number),
    ]


def _official_scale(path: str, kernel: np.ndarray) -> float:
    """What the network multiplies a kernel by."""
    if path == "layer0":
        return _SQRT2 / 4 / float(np.sqrt(len(kernel)))
    return (1.0 if path == "torgb" else _SQRT2) / float(np.sqrt(np.prod(kernel.shape[:-1])))


def _scaled(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The file's scales go into the kernels."""
    arrays = dict(arrays)
    for path in [path for path in arrays if path.startswith("scale/")]:
        layer, scale = path.removeprefix("scale/"), arrays.pop(path)
        kernel = arrays.get(f"generator/{layer}/kernel")
        if kernel is not None:
            arrays[f"generator/{layer}/kernel"] = kernel * (
                scale / np.float32(_official_scale(layer, kernel))
            )
    return arrays


def _zoo(content: dict) -> Found:
    """The averaged generator avgG where the file has one. The discriminator takes its minibatch
    statistic from other samples than ours."""
    averaged = isinstance(content.get("avgG"), dict)
    generator = content["avgG" if averaged else "netG"]
    scales = [
        int(m[1])
        for name in generator
        if (m := re.fullmatch(r"scaleLayers\.(\d)\.0\.module\.weight", str(name)))
    ]
    last = max(scales, default=-1) + 1
    rows = [
        Row(
            r"formatLayer\.module\.weight",
            "generator/layer0/kernel",
            lambda a: a.reshape(-1, 4, 4, a.shape[1]).transpose(3, 1, 2, 0),
        ),
        Row(
            r"formatLayer\.module\.bias",
            "generator/layer0/bias",
            lambda a: a.reshape(-1, 4, 4).transpose(1, 2, 0),
        ),
        *_zoo_layer(r"groupScale0\.0", "layer1"),
        *(
            row
            for i in range(8)
            for j in range(2)
            for row in _zoo_layer(rf"scaleLayers\.{i}\.{j}", f"layer{2 * i + j + 2}")
        ),
        Row(rf"toRGBLayers\.{last}\.module\.weight", "generator/torgb/kernel", rgb_kernel),
        Row(rf"toRGBLayers\.{last}\.module\.bias", "generator/torgb/bias", same),
        Row(r"toRGBLayers\.\d\..*", None, anything),
    ]
    notes = (
        "the file's discriminator was left out: its minibatch statistic is another than PGGAN's",
    )
    if not averaged:
        notes += ("the file has no averaged generator (avgG): the one as trained was taken",)
    return Found(
        "pggan",
        "PGGAN PyTorch (pytorch_GAN_zoo)",
        _ZOO_LICENCE,
        dict(generator),
        rows,
        _settle({}, _zoo_scales),
        notes,
    )


def _zoo_layer(source: str, path: str) -> list[Row]:
    return [
        Row(source + r"\.module\.weight", f"generator/{path}/kernel", hwio),
        Row(source + r"\.module\.bias", f"generator/{path}/bias", same),
    ]


def _zoo_scales(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Its layers multiply kernel and bias by sqrt(2 / inputs), all of them."""
    arrays = dict(arrays)
    for path in [path for path in arrays if path.endswith("/kernel")]:
        layer, kernel = path.split("/")[1], arrays[path]
        inputs = len(kernel) if layer == "layer0" else np.prod(kernel.shape[:-1])
        scale = np.sqrt(2 / inputs)
        arrays[path] = kernel * np.float32(scale / _official_scale(layer, kernel))
        bias = f"generator/{layer}/bias"
        if bias in arrays:
            arrays[bias] = arrays[bias] * np.float32(scale)
    return arrays


def same_arrays(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As they are."""
    return arrays


def _settle(
    settings: dict[str, Any], rescale: Callable
) -> Callable[[Converted, Choice], tuple[Converted, pggan.Config]]:
    def settle(converted: Converted, choice: Choice) -> tuple[Converted, pggan.Config]:
        choice.none("a network without classes")
        converted = converted._replace(arrays=rescale(converted.arrays))
        arrays: Any = converted.arrays
        layers = list(
            itertools.takewhile(
                lambda x: x is not None,
                (arrays.get(f"generator/layer{i}/kernel") for i in range(_LAYERS)),
            )
        )
        if not layers or len(layers) % 2:
            raise ValueError(
                f"expected a PGGAN with two layers a resolution, got {len(layers)}; left "
                f"over: {few(converted.left_over)}"
            )
        channels = tuple(layer.shape[-1] for layer in layers[1::2])
        hidden = last_width(converted, "discriminator/fc/kernel", 512)
        config = pggan.Config(
            resolution=2 << len(channels),
            channels=channels,
            z_dim=len(layers[0]),
            hidden=hidden,
            **settings,
        )
        return converted, config

    return settle
