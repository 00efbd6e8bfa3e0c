"""StyleGAN3 in a checkpoint, T or R: NVIDIA's pickle, and the state dict of its generator.

Cutoffs and sampling rates are in no array. A pickle tells those that are not the official ones;
whichever they are, the file's own filters and the sides in its layers' names must follow from them.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxsr.nets import stylegan3, stylegan3_filters
from ports import labels, modules, wrappers
from ports.layouts import hwio, number, same, transposed
from ports.priors import Choice, Found, mapping_sizes
from ports.stylegan2_tables import ADA_TORCH
from ports.tables import Converted, Row
from ports.wrappers import Network

_LICENCE = (
    "not stated in the file; NVIDIA's own weights: Nvidia Source Code License-NC (non-commercial)"
)
# Names that the networks' arrays have.
_GENERATOR = ("mapping.fc0.weight", "synthesis.input.freqs")
_DISCRIMINATOR = ("b4.conv.weight", "b4.out.weight")
_MOST_LAYERS, _MOST_PIXELS = 64, 2048
_LAYER = r"G_ema\.synthesis\.L(\d{1,2})_(\d{1,4})_(\d{1,4})\."
_INPUT = r"G_ema\.synthesis\.input\."
# Arguments of the official network, by our names; it has our defaults.
_ARGUMENTS = {
    "critical": "num_critical",
    "first_cutoff": "first_cutoff",
    "first_stopband": "first_stopband",
    "last_stopband": "last_stopband_rel",
    "margin": "margin_size",
    "scale": "output_scale",
}
_WHOLE = ("critical", "margin", "mbstd_group")


def _identity(array: np.ndarray) -> None:
    """The transform that a user may set by hand; ours has none."""
    if array.shape != (3, 3) or np.abs(array - np.eye(3)).max() > 1e-6:
        raise ValueError("another transform")


ROWS = [
    *(row for row in ADA_TORCH if "synthesis" not in row.pattern),
    Row(_INPUT + r"transform", None, _identity),
    Row(_INPUT + r"freqs", "synthesis/input/frequencies", same),
    Row(_INPUT + r"phases", "synthesis/input/phases", same),
    Row(_INPUT + r"weight", "synthesis/input/kernel", transposed),
    Row(_INPUT + r"affine\.weight", "synthesis/input/affine/kernel", transposed),
    Row(_INPUT + r"affine\.bias", "synthesis/input/affine/bias", same),
    Row(_LAYER + r"weight", "synthesis/layer{0}/kernel", hwio),
    Row(_LAYER + r"bias", "synthesis/layer{0}/bias", same),
    Row(_LAYER + r"magnitude_ema", "synthesis/layer{0}/magnitude", number),
    Row(_LAYER + r"affine\.weight", "synthesis/layer{0}/affine/kernel", transposed),
    Row(_LAYER + r"affine\.bias", "synthesis/layer{0}/affine/bias", same),
    Row(_LAYER + r"(up|down)_filter", "filters/{0}/{3}", same),
]


def find(contents: list[Any]) -> Found | None:
    """The StyleGAN3 in what `torch_files.read` returned of one file, or None.

    Raises:
        ValueError: it is one, but damaged, or a network that ours cannot compute.
    """
    if len(contents) > 1 or not isinstance(contents[0], dict):
        return None
    found = wrappers.networks(contents[0])
    generator, discriminator = (_first(found, names) for names in (_GENERATOR, _DISCRIMINATOR))
    if generator is None:
        return None
    sources = {f"G_ema.{name}": value for name, value in generator.arrays.items()}
    beside: tuple[str, ...] = ()
    if discriminator is not None:
        sources |= {f"D.{name}": value for name, value in discriminator.arrays.items()}
        beside = discriminator.path
    notes = wrappers.told(generator, beside)
    if generator.module is None:
        note = "a state dict does not tell the network's settings: the official ones were taken"
        return _found("StyleGAN3 state dict", sources, {}, (*notes, note))
    judge = discriminator.module if discriminator else None
    return _found("StyleGAN3 PyTorch", sources, _settings(generator.module, judge), notes)


def _first(found: list[Network], names: tuple[str, ...]) -> Network | None:
    return next((one for one in found if all(name in one.arrays for name in names)), None)


def _settings(generator: Any, discriminator: Any) -> dict[str, Any]:
    """What a pickle tells of the network, by our names."""
    synthesis = modules.state(generator, "synthesis")
    given = synthesis.get("_init_kwargs")
    told = (given if isinstance(given, dict) else {}) | synthesis
    settings = {ours: told[theirs] for ours, theirs in _ARGUMENTS.items() if theirs in told}
    layers = synthesis.get("_modules", {})
    clamps = [
        modules.state(layers[name]).get("conv_clamp", 256) for name in layers if name != "input"
    ]
    settings["clamp"] = clamps[0] if clamps else None
    settings["mapping_lr"] = modules.state(generator, "mapping", "fc0").get("bias_gain", 0.01)
    settings["mbstd_group"] = modules.state(discriminator, "b4", "mbstd").get("group_size", 4)
    return settings


def _found(
    name: str, sources: dict[str, Any], settings: dict[str, Any], notes: tuple[str, ...] = ()
) -> Found:
    for setting, value in settings.items():
        kinds = (int,) if setting in _WHOLE else (int, float)
        known = type(value) in kinds and 0 <= value < 2**31
        if not known and not (setting == "clamp" and value is None):
            raise ValueError(
                f"expected {setting} of a StyleGAN3 as a positive number, got another object"
            )
    made = [m for source in sources if (m := re.match(_LAYER, source))]
    sides = {int(m[1]): (int(m[2]), int(m[3])) for m in made}
    return Found("stylegan3", name, _LICENCE, sources, ROWS, _settle(settings, sides), notes)


def _settle(
    settings: dict[str, Any], named: dict[int, tuple[int, int]]
) -> Callable[[Converted, Choice], tuple[Converted, stylegan3.Config]]:
    """Sizes from the shapes and from the layers' names {number: (side, channels)}, besides the
    `settings` that neither tells; the class of a conditional network is folded in."""

    def settle(converted: Converted, choice: Choice) -> tuple[Converted, stylegan3.Config]:
        Choice(truncation=choice.truncation).none("a StyleGAN3")
        lr = float(settings.get("mapping_lr", 0.01))
        arrays = labels.fold(converted.arrays, choice.label, lr)
        filters = {path: arrays.pop(path) for path in list(arrays) if path.startswith("filters/")}
        converted = converted._replace(arrays=arrays)
        config = stylegan3.Config(
            **mapping_sizes("StyleGAN3", converted),
            **_synthesis_sizes(arrays, filters, named),
            **_discriminator_sizes(arrays),
            **settings,
        )
        _check(config, filters, named)
        return converted, config

    return settle


def _synthesis_sizes(
    arrays: dict[str, np.ndarray],
    filters: dict[str, np.ndarray],
    named: dict[int, tuple[int, int]],
) -> dict[str, Any]:
    count = len(named)
    if sorted(named) != list(range(count)) or not 3 <= count <= _MOST_LAYERS:
        raise ValueError(
            f"expected a StyleGAN3 with layers 0, 1, 2, ... to at least 2, got {sorted(named)}"
        )
    if named[count - 1][0] > _MOST_PIXELS:
        raise ValueError(
            f"expected a StyleGAN3 of at most {_MOST_PIXELS} px, got {named[count - 1][0]}"
        )
    kernels = [arrays[f"synthesis/layer{number}/kernel"] for number in range(count)]
    if kernels[-1].shape[-1] == 1:
        raise ValueError("expected a StyleGAN3 of RGB pictures, got one of grey ones: not read")
    return {
        "resolution": named[count - 1][0],
        "layers": count - 1,
        "side": kernels[0].shape[0],
        "maps": tuple(kernel.shape[-1] for kernel in kernels[:-1]),
        "radial": filters.get("filters/0/down", np.zeros(1)).ndim == 2,
    }


def _discriminator_sizes(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """None of a file that has no discriminator."""
    last = arrays.get("discriminator/conv/kernel")
    if last is None:
        return {}
    pattern = r"discriminator/b(\d+)/conv0/kernel"
    found = {int(m[1]): arrays[path] for path in arrays if (m := re.fullmatch(pattern, path))}
    channels = (last.shape[3], *(found[side].shape[-1] for side in sorted(found)))
    return {"channels": channels, "mbstd_channels": max(1, last.shape[2] - channels[0])}


def _check(
    config: stylegan3.Config, filters: dict[str, np.ndarray], named: dict[int, tuple[int, int]]
) -> None:
    """Raises ValueError if the file's sides or filters do not follow from the sizes."""
    sides = [signal.side for signal in stylegan3.signals(config)]
    have = [named[number][0] for number in range(len(named))]
    if sides != have:
        raise ValueError(f"expected a StyleGAN3 with maps of {sides} px, got {have}")
    for place, layer in enumerate(stylegan3.layers(config)):
        for way in ("up", "down"):
            file = filters.get(f"filters/{place}/{way}", np.ones(()))
            own = np.ones(()) if layer.how is None else _taps(layer.how, way)
            if own.shape != file.shape or np.abs(own - file).max() > 1e-6:
                raise ValueError(
                    f"expected a StyleGAN3 with its own {way}_filter in layer {place}, got another"
                )


def _taps(how: stylegan3_filters.Resampling, way: str) -> np.ndarray:
    """A filter in the layout of a file: [T], or [T, T] of a radial one."""
    if way == "up":
        return np.asarray(how.up_filter)
    taps = np.asarray(how.down_filter)
    return taps[0] if len(taps) == 1 else taps
