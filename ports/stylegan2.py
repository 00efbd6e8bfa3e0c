"""StyleGAN2 in a checkpoint: StyleGAN2(-ADA) TensorFlow, StyleGAN2-ADA-PyTorch (also in StyleGAN3's
files), rosinality."""

import re
from collections.abc import Callable
from typing import Any

from jaxsr.nets import stylegan2
from ports import labels, modules, stylegan3, tensorflow
from ports.pickles import Record
from ports.priors import Choice, Found, mapping_sizes, widths
from ports.stylegan2_tables import ADA_TORCH, TENSORFLOW, rosinality_rows
from ports.tables import Converted

_NVIDIA = (
    "not stated in the file; NVIDIA's own weights: Nvidia Source Code License-NC (non-commercial)"
)
_ROSINALITY = (
    "not stated in the file; official weights converted by rosinality's code: Nvidia Source Code "
    "License-NC (non-commercial)"
)
# Settings of TensorFlow's networks that change what they compute, with the only values that our
# network has.
_FIXED = {
    "architecture": ("skip", "resnet"),
    "resample_kernel": ([1, 3, 3, 1],),
    "nonlinearity": ("lrelu",),
    "mapping_nonlinearity": ("lrelu",),
    "normalize_latents": (True,),
    "use_noise": (True,),
    "num_channels": (3,),
    "label_size": (0,),
}


def find(contents: list[Any]) -> Found | None:
    """The StyleGAN2 in what `torch_files.read` returned of one file, or None.

    Raises:
        ValueError: it is one of the formats, but damaged, or a network that ours cannot compute.
    """
    content = contents[0]
    if len(contents) > 1:
        return None
    if isinstance(content, dict):
        if isinstance(content.get("G_ema"), Record):
            return None if stylegan3.is_generator(content["G_ema"]) else _ada_torch(content)
        averaged = content.get("g_ema")
        # GPEN's training keeps its generator under one more name.
        plain = isinstance(averaged, dict) and "generator.input.input" not in averaged
        return _rosinality(content) if plain else None
    networks = tensorflow.networks(content)
    # As StyleGAN1's and PGGAN's.
    grown = networks is not None and any("/ToRGB_lod" in name for name in networks.sources)
    return _tensorflow(networks) if networks and not grown else None


def _ada_torch(content: dict) -> Found:
    sources = modules.arrays(content["G_ema"], "G_ema") | (
        modules.arrays(content["D"], "D") if content.get("D") is not None else {}
    )
    lr = _inside(content["G_ema"], "mapping", "fc0").get("bias_gain", 0.01)
    group = _inside(content.get("D"), "b4", "mbstd").get("group_size", 4)
    clamp = _inside(content["G_ema"], "synthesis", "b4", "conv1").get("conv_clamp")
    settings = {"mapping_lr": lr, "mbstd_group": group} | (
        {} if clamp is None else {"clamp": clamp}
    )
    return Found(
        "stylegan2", "StyleGAN2-ADA PyTorch", _NVIDIA, sources, ADA_TORCH, _settle(settings)
    )


def _inside(module: Any, *names: str) -> dict:
    """The state of a module's module's ... module; {} where there is none."""
    state = module.state if isinstance(module, Record) and isinstance(module.state, dict) else {}
    for name in names:
        inner = state.get("_modules")
        module = inner.get(name) if isinstance(inner, dict) else None
        state = (
            module.state if isinstance(module, Record) and isinstance(module.state, dict) else {}
        )
    return state


def _rosinality(content: dict) -> Found:
    sources = {f"g_ema.{name}": value for name, value in content["g_ema"].items()}
    if isinstance(content.get("d"), dict):
        sources |= {f"d.{name}": value for name, value in content["d"].items()}
    if content.get("latent_avg") is not None:
        sources["latent_avg"] = content["latent_avg"]
    numbers = [
        int(m[1])
        for name in sources
        if (m := re.fullmatch(r"g_ema\.convs\.(\d{1,2})\.conv\.weight", name))
    ]
    layers = max(numbers, default=-1) + 1
    if layers > 20:
        raise ValueError(f"expected at most 20 numbered convolutions in g_ema, got {layers}")
    return Found(
        "stylegan2",
        "rosinality StyleGAN2",
        _ROSINALITY,
        sources,
        rosinality_rows(layers),
        _settle({}),
    )


def _tensorflow(networks: tensorflow.Networks) -> Found:
    what = "StyleGAN2(-ADA) TensorFlow"
    tensorflow.require("StyleGAN2", networks.generator, _FIXED)
    tensorflow.require("StyleGAN2", networks.discriminator, _FIXED)
    lr, clamp = networks.generator.get("mapping_lrmul", 0.01), networks.generator.get("conv_clamp")
    group = networks.discriminator.get("mbstd_group_size", 4)
    settings = {"mapping_lr": lr, "mbstd_group": group} | (
        {} if clamp is None else {"clamp": clamp}
    )
    return Found("stylegan2", what, _NVIDIA, networks.sources, TENSORFLOW, _settle(settings))


def _settle(
    settings: dict[str, Any],
) -> Callable[[Converted, Choice], tuple[Converted, stylegan2.Config]]:
    """Sizes from the shapes, besides the `settings` that no shape tells; the class of a conditional
    network is folded in."""
    for name, value in settings.items():
        if (
            not isinstance(value, float | int)
            or not 0 < value < 2**31
            or (name == "mbstd_group" and type(value) is not int)
        ):
            raise ValueError(
                f"expected {name} of a StyleGAN2 as a positive number, got another object"
            )

    def settle(converted: Converted, choice: Choice) -> tuple[Converted, stylegan2.Config]:
        Choice(truncation=choice.truncation).none("a StyleGAN2")
        lr = float(settings.get("mapping_lr", 0.01))
        converted = converted._replace(arrays=labels.fold(converted.arrays, choice.label, lr))
        channels = widths("StyleGAN2", converted, r"synthesis/b(\d+)/conv1/kernel")
        last = converted.arrays.get("discriminator/conv/kernel")
        sizes = mapping_sizes("StyleGAN2", converted) | {
            "mbstd_channels": 1 if last is None else max(1, last.shape[2] - channels[0])
        }
        numbers = {"mapping_lr": lr, "mbstd_group": settings.get("mbstd_group", 4)}
        clamp = settings.get("clamp")
        resolution = 2 << len(channels)
        config = stylegan2.Config(
            resolution=resolution,
            channels=channels,
            clamp=None if clamp is None else float(clamp),
            **sizes,
            **numbers,
        )
        return converted, config

    return settle
