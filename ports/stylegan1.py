"""StyleGAN1 in a checkpoint: NVIDIA's TensorFlow pickles, and PULSE's PyTorch state dicts, in one
file or several."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxsr.nets import stylegan1
from ports import tensorflow
from ports.layouts import (
    anything,
    chw,
    final_lod,
    flat,
    flattened,
    flipped,
    hwio,
    noise_map,
    rgb_kernel,
    same,
    transposed,
)
from ports.priors import Choice, Found, last_width, mapping_sizes, widths
from ports.tables import Converted, Row, few

_LICENCE = "not stated in the file; NVIDIA's own weights: CC BY-NC 4.0 (non-commercial)"
# Px: from there on TensorFlow doubles the side and convolves in one, with the kernel turned by 180
# degrees.
_FUSED_FROM = 128
_SQRT2 = np.float32(np.sqrt(2))
_FIXED = {
    "nonlinearity": ("lrelu",),
    "mapping_nonlinearity": ("lrelu",),
    "normalize_latents": (True,),
    "use_wscale": (True,),
    "use_styles": (True,),
    "use_noise": (True,),
    "use_pixel_norm": (False,),
    "use_instance_norm": (True,),
    "const_input_layer": (True,),
    "blur_filter": ([1, 2, 1],),
    "num_channels": (1, 3),
    "label_size": (0,),
}


def find(contents: list[Any]) -> Found | None:
    """The StyleGAN1 in what `torch_files.read` returned of one or more files, or None.

    Raises:
        ValueError: it is one of the formats, but damaged, or a network that ours cannot compute.
    """
    if all(isinstance(content, dict) for content in contents):
        if not any(
            {"blocks.4x4.const", "g_synthesis.blocks.4x4.const"} & content.keys()
            for content in contents
        ):
            return None
        sources: dict[str, Any] = {}
        for content in contents:
            named = {
                str(name).removeprefix("g_synthesis.").removeprefix("g_mapping."): value
                for name, value in content.items()
            }
            if sources.keys() & named.keys():
                raise ValueError(
                    "expected files that hold different parts, got "
                    f"{few(sorted(sources.keys() & named.keys()))} in two"
                )
            sources |= named
        if "blocks.4x4.const" in sources and "dense0.weight" not in sources:
            raise ValueError(
                "expected PULSE's synthesis.pt with its mapping.pt (--source=synthesis.pt "
                "--source=mapping.pt), got no mapping"
            )
        return _torch(sources) if "blocks.4x4.const" in sources else None
    networks = tensorflow.networks(contents[0]) if len(contents) == 1 else None
    return (
        _tensorflow(networks)
        if networks and "Gs/synthesis/ToRGB_lod0/weight" in networks.sources
        else None
    )


def _tensorflow(networks: tensorflow.Networks) -> Found:
    tensorflow.require("StyleGAN1", networks.generator, _FIXED)
    networks = tensorflow.judged("StyleGAN1", networks, _FIXED)
    fused = networks.generator.get("fused_scale", "auto")
    if fused not in (True, False, "auto"):
        raise ValueError(
            "expected fused_scale of a StyleGAN1 as True, False or 'auto', got another object"
        )
    settings = {
        "mapping_lr": float(tensorflow.number(networks.generator, "mapping_lrmul", 0.01)),
        "mbstd_group": int(tensorflow.number(networks.discriminator, "mbstd_group_size", 4)),
    }
    rows = _tensorflow_rows({True: 0, False: 1 << 30, "auto": _FUSED_FROM}[fused])
    return Found(
        "stylegan1",
        "StyleGAN1 TensorFlow",
        _LICENCE,
        networks.sources,
        rows,
        _settle(settings),
        networks.notes,
    )


def _over_sqrt2(bias: np.ndarray) -> np.ndarray:
    """Our mapping multiplies by sqrt(2) behind the activation, bias and all; the official one only
    the kernel."""
    return bias / _SQRT2


def _positive(deviation: np.ndarray) -> np.ndarray:
    if not (deviation > 0).all():
        raise ValueError("a deviation that is not positive")
    return deviation.reshape(-1)


def _tensorflow_rows(fused_from: int) -> list[Row]:
    turned = {
        side: flipped if side >= fused_from else same for side in (4 << i for i in range(1, 10))
    }
    g, d = r"Gs/synthesis/(\d+)x\d+/", r"D/(\d+)x\d+/"
    return [
        Row(r"Gs/lod|Gs/synthesis/lod|D/lod", None, final_lod),
        Row(r"Gs/dlatent_avg", "statistics/w_mean", same),
        Row(r"Gs/mapping/Dense(\d+)/weight", "mapping/fc{0}/kernel", same),
        Row(r"Gs/mapping/Dense(\d+)/bias", "mapping/fc{0}/bias", _over_sqrt2),
        Row(r"Gs/synthesis/noise(\d+)", "noise/{0}", noise_map),
        Row(r"Gs/synthesis/4x4/Const/const", "synthesis/b4/const", chw),
        Row(r"Gs/synthesis/4x4/Conv/weight", "synthesis/b4/conv1/kernel", same),
        *(
            Row(rf"Gs/synthesis/{s}x{s}/Conv0_up/weight", f"synthesis/b{s}/conv0/kernel", turned[s])
            for s in turned
        ),
        Row(g + r"Conv1/weight", "synthesis/b{0}/conv1/kernel", same),
        *_tensorflow_epilogue(g + r"(?:Const|Conv0_up)", "synthesis/b{0}/epilogue0"),
        *_tensorflow_epilogue(g + r"(?:Conv|Conv1)", "synthesis/b{0}/epilogue1"),
        Row(r"Gs/synthesis/ToRGB_lod0/weight", "synthesis/torgb/kernel", lambda a: a[0, 0]),
        Row(r"Gs/synthesis/ToRGB_lod0/bias", "synthesis/torgb/bias", same),
        Row(r"Gs/synthesis/ToRGB_lod\d+/(weight|bias)", None, anything),
        *discriminator_rows(d),
    ]


def discriminator_rows(d: str) -> list[Row]:
    """The discriminator of StyleGAN1 and of PGGAN."""
    return [
        Row(r"D/FromRGB_lod0/weight", "discriminator/fromrgb/kernel", same),
        Row(r"D/FromRGB_lod0/bias", "discriminator/fromrgb/bias", same),
        Row(r"D/FromRGB_lod\d+/(weight|bias)", None, anything),
        Row(d + r"Conv0/weight", "discriminator/b{0}/conv0/kernel", same),
        Row(d + r"Conv0/bias", "discriminator/b{0}/conv0/bias", same),
        Row(d + r"Conv1(?:_down)?/weight", "discriminator/b{0}/conv1/kernel", same),
        Row(d + r"Conv1(?:_down)?/bias", "discriminator/b{0}/conv1/bias", same),
        Row(r"D/4x4/Conv/weight", "discriminator/conv/kernel", same),
        Row(r"D/4x4/Conv/bias", "discriminator/conv/bias", same),
        Row(r"D/4x4/Dense0/weight", "discriminator/fc/kernel", flattened),
        Row(r"D/4x4/Dense0/bias", "discriminator/fc/bias", same),
        Row(r"D/4x4/Dense1/weight", "discriminator/out/kernel", same),
        Row(r"D/4x4/Dense1/bias", "discriminator/out/bias", same),
    ]


def _tensorflow_epilogue(source: str, path: str) -> list[Row]:
    return [
        Row(source + r"/Noise/weight", path + "/noise_strength", same),
        Row(source + r"/bias", path + "/bias", same),
        Row(source + r"/StyleMod/weight", path + "/style/kernel", same),
        Row(source + r"/StyleMod/bias", path + "/style/bias", same),
    ]


def _torch(sources: dict[str, Any]) -> Found:
    """The port normalises instances with PyTorch's default eps."""
    rows = [
        Row(r"(?:truncation\.)?avg_latent", "statistics/w_mean", flat),
        Row(r"mean", "statistics/white_mean", flat),
        Row(r"std", "statistics/white_std", _positive),
        Row(r"dense(\d+)\.weight", "mapping/fc{0}/kernel", transposed),
        Row(r"dense(\d+)\.bias", "mapping/fc{0}/bias", _over_sqrt2),
        Row(r"blocks\.4x4\.const", "synthesis/b4/const", chw),
        Row(r"blocks\.4x4\.bias", "synthesis/b4/epilogue0/bias", flat),
        *_torch_convolution(r"blocks\.(4)x4\.conv", 1, hwio),
        *(row for i in range(1, 10) for row in _torch_block(4 << i)),
        *_torch_epilogue(0),
        *_torch_epilogue(1),
        Row(r".*\.intermediate\.kernel", None, _is_blur),
        Row(r"torgb\.weight", "synthesis/torgb/kernel", rgb_kernel),
        Row(r"torgb\.bias", "synthesis/torgb/bias", same),
    ]
    return Found(
        "stylegan1",
        "StyleGAN1 PyTorch (as in PULSE)",
        _LICENCE,
        sources,
        rows,
        _settle({"eps": 1e-5}),
    )


def _torch_block(side: int) -> list[Row]:
    up: Callable = (lambda a: flipped(hwio(a))) if side >= _FUSED_FROM else hwio
    block = rf"blocks\.({side})x{side}\."
    return [
        *_torch_convolution(block + "conv0_up", 0, up),
        *_torch_convolution(block + "conv1", 1, hwio),
    ]


def _torch_convolution(source: str, index: int, layout: Callable) -> list[Row]:
    return [
        Row(source + r"\.weight", f"synthesis/b{{0}}/conv{index}/kernel", layout),
        Row(source + r"\.bias", f"synthesis/b{{0}}/epilogue{index}/bias", same),
    ]


def _torch_epilogue(index: int) -> list[Row]:
    source, path = rf"blocks\.(\d+)x\d+\.epi{index + 1}\.", f"synthesis/b{{0}}/epilogue{index}"
    return [
        Row(source + r"noise\.weight", path + "/noise_strength", same),
        Row(source + r"style_mod\.lin\.weight", path + "/style/kernel", transposed),
        Row(source + r"style_mod\.lin\.bias", path + "/style/bias", same),
    ]


def _is_blur(array: np.ndarray) -> None:
    if (
        array.size != 9
        or np.abs(array.reshape(3, 3) - np.outer([1, 2, 1], [1, 2, 1]) / 16).max() > 1e-6
    ):
        raise ValueError("another filter")


def _settle(
    settings: dict[str, Any],
) -> Callable[[Converted, Choice], tuple[Converted, stylegan1.Config]]:
    def settle(converted: Converted, choice: Choice) -> tuple[Converted, stylegan1.Config]:
        choice.none("a network without classes")
        channels = widths("StyleGAN1", converted, r"synthesis/b(\d+)/conv1/kernel")
        hidden = last_width(converted, "discriminator/fc/kernel", 512)
        sizes = mapping_sizes("StyleGAN1", converted)
        config = stylegan1.Config(
            resolution=2 << len(channels), channels=channels, hidden=hidden, **sizes, **settings
        )
        return converted, config

    return settle
