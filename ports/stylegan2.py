"""StyleGAN2 in a checkpoint: StyleGAN2(-ADA) TensorFlow, StyleGAN2-ADA-PyTorch (also in StyleGAN3's
files), rosinality, BasicSR, MMagic."""

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxsr.nets import stylegan2
from ports import labels, modules, stylegan2_names, tensorflow, wrappers
from ports.priors import Choice, Found, mapping_sizes, widths
from ports.stylegan2_names import Names
from ports.stylegan2_tables import ADA_TORCH, TENSORFLOW, rosinality_rows
from ports.tables import Converted, few
from ports.wrappers import Network

_NVIDIA = (
    "not stated in the file; NVIDIA's own weights: Nvidia Source Code License-NC (non-commercial)"
)
_ROSINALITY = (
    "not stated in the file; official weights converted by rosinality's code: Nvidia Source Code "
    "License-NC (non-commercial)"
)
_OF_PROJECT = (
    "not stated in the file; official weights that the project converted: Nvidia Source Code "
    "License-NC (non-commercial)"
)
# Settings of TensorFlow's networks that change what they compute, with the only values that our
# network has.
_SHARED = {
    "resample_kernel": ([1, 3, 3, 1],),
    "nonlinearity": ("lrelu",),
    "num_channels": (1, 3, 4),
    "label_size": (0,),
}
_GENERATOR = _SHARED | {
    "architecture": ("skip",),
    "mapping_nonlinearity": ("lrelu",),
    "normalize_latents": (True,),
    "use_noise": (True,),
}
_DISCRIMINATOR = _SHARED | {"architecture": ("resnet", "orig")}
# Names of networks around a StyleGAN2 that is no prior by itself: GPEN, GFPGAN.
_OF_OTHERS = ("ecd0.0.0.weight", "conv_body_first.0.weight")
# Share of a network's names that a layout has, which makes it one.
KNOWN = 0.9
_AVERAGES = ("latent_avg", "mean_latent", "w_avg", "avg_latent", "dlatent_avg")


class Layout(NamedTuple):
    """Names that a generator and a discriminator of a PyTorch project have, and what makes a port
    of them."""

    generator: tuple[str, ...]
    discriminator: tuple[str, ...]
    found: Callable[[Network, Network | None], Found]


def find(contents: list[Any]) -> Found | None:
    """The StyleGAN2 in what `torch_files.read` returned of one file, or None: the averaged one of
    several, with the discriminator beside it.

    Raises:
        ValueError: it is one of the formats, but damaged, or a network that ours cannot compute.
    """
    if len(contents) > 1:
        return None
    networks = tensorflow.networks(contents[0]) if not isinstance(contents[0], dict) else None
    if networks is not None:
        # StyleGAN1's and PGGAN's have layers of an image of every size.
        grown = any("/ToRGB_lod" in name for name in networks.sources)
        return None if grown else _tensorflow(networks)
    found = wrappers.networks(contents[0])
    if any(name in one.arrays for one in found for name in _OF_OTHERS):
        return None
    for layout in LAYOUTS:
        generators, discriminators = (_having(found, names) for names in layout[:2])
        if generators:
            port = layout.found(generators[0], discriminators[0] if discriminators else None)
            return _with_average(_with_others(port, generators), found)
    for layout in LAYOUTS:
        _refuse_incomplete(layout, found)
    return None


def _refuse_incomplete(layout: Layout, found: list[Network]) -> None:
    """Raises ValueError for a network of which only the array is missing that tells the layout."""
    for one in found:
        lost = [name for name in layout.generator if name not in one.arrays]
        if len(lost) == len(layout.generator) or not lost:
            continue
        port = layout.found(one, None)
        known = [re.compile(row.pattern) for row in port.rows]
        names = [name for name in port.sources if any(row.fullmatch(name) for row in known)]
        if len(names) >= KNOWN * len(port.sources):
            raise ValueError(
                f"expected a {port.format} with {few(lost)}, got one without: it is damaged, or "
                "only part of a network"
            )


def _having(found: list[Network], names: tuple[str, ...]) -> list[Network]:
    return [one for one in found if all(name in one.arrays for name in names)]


def _with_others(port: Found, generators: list[Network]) -> Found:
    """Tells of generators that might as well have been taken."""
    first, *rest = generators
    rank = first.averaged, len(first.path)
    others = [".".join(one.path) for one in rest if (one.averaged, len(one.path)) == rank]
    told = (f"other generators in the file were left out: {few(others)}",) if others else ()
    return port._replace(notes=port.notes + told)


def _with_average(port: Found, found: list[Network]) -> Found:
    """The file's average of w, where it lies beside the generator."""
    told = ()
    if "latent_avg" not in port.sources:
        averages = (one.arrays[name] for one in found for name in _AVERAGES if name in one.arrays)
        average = next(averages, None)
        if average is None or "G_ema.mapping.w_avg" in port.sources:
            return port
        port.sources["latent_avg"] = average
        told = ("the mean of w is the file's own (latent_avg)",)
    return port._replace(notes=port.notes + told)


def _sources(
    prefixes: tuple[str, str], generator: Network, discriminator: Network | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Arrays under the names of a table, and what is told of where they were found."""
    sources = {f"{prefixes[0]}.{name}": value for name, value in generator.arrays.items()}
    used: tuple[str, ...] = ()
    if discriminator is not None:
        sources |= {f"{prefixes[1]}.{name}": x for name, x in discriminator.arrays.items()}
        used = discriminator.path
    return sources, wrappers.told(generator, used)


def _ada_torch(generator: Network, discriminator: Network | None) -> Found:
    sources, notes = _sources(("G_ema", "D"), generator, discriminator)
    module, judge = generator.module, discriminator.module if discriminator else None
    if module is None:
        notes += (
            "a state dict does not tell the largest value of a layer's output (conv_clamp): any is "
            "taken as allowed",
        )
    lr = modules.state(module, "mapping", "fc0").get("bias_gain", 0.01)
    group = modules.state(judge, "b4", "mbstd").get("group_size", 4)
    clamp = modules.state(module, "synthesis", "b4", "conv1").get("conv_clamp")
    settings = {"mapping_lr": lr, "mbstd_group": group} | (
        {} if clamp is None else {"clamp": clamp}
    )
    return Found(
        "stylegan2", "StyleGAN2-ADA PyTorch", _NVIDIA, sources, ADA_TORCH, _settle(settings), notes
    )


def _rosinality(generator: Network, discriminator: Network | None) -> Found:
    sources, notes = _sources(("g_ema", "d"), generator, discriminator)
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
        notes,
    )


def _of_project(names: Names, generator: Network, discriminator: Network | None) -> Found:
    """rosinality's network, under the names of another project."""
    judge = discriminator and stylegan2_names.renamed(discriminator, names.judged | names.changes)
    found = _rosinality(stylegan2_names.renamed(generator, names.changes), judge)
    return found._replace(
        format=names.project, licence=_OF_PROJECT, notes=found.notes + names.notes
    )


LAYOUTS = (
    Layout(
        ("mapping.fc0.weight", "synthesis.b4.const"),
        ("b4.conv.weight", "b4.out.weight"),
        _ada_torch,
    ),
    Layout(
        ("input.input", "conv1.conv.weight"),
        ("convs.0.0.weight", "final_linear.0.weight"),
        _rosinality,
    ),
    *(
        Layout(names.generator, names.discriminator, functools.partial(_of_project, names))
        for names in (stylegan2_names.BASICSR, stylegan2_names.MMAGIC)
    ),
)


def _tensorflow(networks: tensorflow.Networks) -> Found:
    tensorflow.require("StyleGAN2", networks.generator, _GENERATOR)
    networks = tensorflow.judged("StyleGAN2", networks, _DISCRIMINATOR)
    lr, clamp = networks.generator.get("mapping_lrmul", 0.01), networks.generator.get("conv_clamp")
    group = networks.discriminator.get("mbstd_group_size", 4)
    settings = {"mapping_lr": lr, "mbstd_group": group} | (
        {} if clamp is None else {"clamp": clamp}
    )
    what = "StyleGAN2(-ADA) TensorFlow"
    return Found(
        "stylegan2",
        what,
        _NVIDIA,
        networks.sources,
        TENSORFLOW,
        _settle(settings),
        networks.notes,
    )


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
        _require_square(converted.arrays)
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
            residual=_has_shortcuts(converted.arrays),
            clamp=None if clamp is None else float(clamp),
            **sizes,
            **numbers,
        )
        return converted, config

    return settle


def _require_square(arrays: dict[str, np.ndarray]) -> None:
    shape = getattr(arrays.get("synthesis/b4/const"), "shape", ())
    if len(shape) == 3 and shape[:2] != (4, 4):
        raise ValueError(
            "expected a StyleGAN2 of square pictures, which grow from 4 x 4, got one whose grow "
            f"from {shape[0]} x {shape[1]}{': not square' if shape[0] != shape[1] else ''}"
        )


def _has_shortcuts(arrays: dict[str, np.ndarray]) -> bool:
    """False for a discriminator of NVIDIA's architecture "orig", as --cfg=cifar has."""
    blocks = [path for path in arrays if re.fullmatch(r"discriminator/b\d+/conv0/kernel", path)]
    return not blocks or any(path.endswith("/skip/kernel") for path in arrays)
