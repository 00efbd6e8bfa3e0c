"""BigGAN in a checkpoint: state dicts of BigGAN-PyTorch (also as its TFHub converter writes them)
and of pytorch-pretrained-BigGAN.

Networks with cross-replica batch normalisation are computed as in training, gain times value plus
bias; the released evaluation adds both.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxsr.nets import biggan
from ports import spectral
from ports.layouts import anything, hwio, number, same, transposed
from ports.priors import Choice, Found
from ports.tables import Converted, Row, few

_LICENCE = (
    "not stated in the file; BigGAN-PyTorch's own weights: MIT, trained on ImageNet (research use)"
)
_DEEP_LICENCE = (
    "not stated in the file; DeepMind's own weights: see their TensorFlow Hub page; trained on "
    "ImageNet (research use)"
)
_MOST_BLOCKS = 20


def find(contents: list[Any]) -> Found | None:
    """The BigGAN in what `torch_files.read` returned of a generator's file, or of a generator's and
    a discriminator's, or None.

    Raises:
        ValueError: it is one of the formats, but damaged, or a network that ours cannot compute.
    """
    if not all(isinstance(content, dict) for content in contents):
        return None
    if (
        len(contents) == 1
        and "embeddings.weight" in contents[0]
        and "generator.gen_z.weight_orig" in contents[0]
    ):
        return _deep(contents[0])
    generators = [
        content
        for content in contents
        if "shared.weight" in content and "output_layer.0.gain" in content
    ]
    discriminators = [
        content for content in contents if "embed.weight" in content and "linear.weight" in content
    ]
    if len(generators) != 1 or len(discriminators) > 1 or 1 + len(discriminators) != len(contents):
        return None
    return _shallow(generators[0], discriminators)


def _named(prefix: str, content: dict) -> dict[str, Any]:
    return {
        f"{prefix}.{name}": value
        for name, value in spectral.normalised({str(k): v for k, v in content.items()}).items()
    }


def _shallow(generator: dict, discriminators: list[dict]) -> Found:
    sources = _named("G", generator)
    for discriminator in discriminators:
        sources |= _named("D", discriminator)
    # TensorFlow Hub's networks, which the converter writes without singular values, have another
    # eps in their conditional layers.
    eps = 1e-4 if "linear.u0" in generator and "linear.sv0" not in generator else 1e-5
    places = {
        "attention": 1 + _after(sources, r"G\.blocks\.(\d+)\.1\.gamma"),
        "discriminator_attention": 1 + _after(sources, r"D\.blocks\.(\d+)\.1\.gamma"),
    }
    return Found(
        "biggan",
        "BigGAN-PyTorch",
        _LICENCE,
        sources,
        _shallow_rows(),
        _settle_shallow(eps, places),
        judged=bool(discriminators),
    )


def _convolution(source: str, path: str) -> list[Row]:
    return [
        Row(source + r"\.weight", path + "/kernel", hwio),
        Row(source + r"\.bias", path + "/bias", same),
    ]


def _no_sums(counter: np.ndarray) -> None:
    """Statistics that were being accumulated are sums, of as many batches as this counts."""
    if np.any(counter):
        raise ValueError("sums in place of statistics")


def _row_vector(array: np.ndarray) -> np.ndarray:
    return array.reshape(1, -1)


def _attention(source: str, path: str) -> list[Row]:
    return [
        Row(rf"{source}\.(theta|phi|g|o)\.weight", path + "/{0}/kernel", hwio),
        Row(source + r"\.gamma", path + "/gamma", number),
    ]


def _statistics(source: str, path: str) -> list[Row]:
    return [
        Row(source + r"\.(?:bn\.)?(?:stored|running)_mean", path + "/mean", _row_vector),
        Row(source + r"\.(?:bn\.)?(?:stored|running)_var", path + "/var", _row_vector),
        Row(source + r"\.(?:bn\.)?num_batches_tracked", None, anything),
        Row(source + r"\.(?:bn\.)?accumulation_counter", None, _no_sums),
    ]


def _shallow_rows() -> list[Row]:
    rows = [
        Row(r"G\.shared\.weight", "embedding", same),
        Row(r"G\.linear\.weight", "generator/kernel", lambda a: _pixels(a.transpose(1, 0))),
        Row(r"G\.linear\.bias", "generator/bias", _pixels),
        Row(r"G\.output_layer\.0\.(gain|bias)", "generator/bn/{0}", same),
        *_statistics(r"G\.output_layer\.0", "generator/bn"),
        *_convolution(r"G\.output_layer\.2", "generator/output"),
        Row(r"D\.linear\.weight", "discriminator/kernel", transposed),
        Row(r"D\.linear\.bias", "discriminator/bias", same),
        Row(r"D\.embed\.weight", "discriminator/embedding", same),
    ]
    for i in range(_MOST_BLOCKS):
        g, block = rf"G\.blocks\.{i}\.0", f"generator/block{i}"
        for bn in ("bn1", "bn2"):
            rows += [
                Row(rf"{g}\.{bn}\.(gain|bias)\.weight", f"{block}/{bn}/{{0}}", transposed),
                *_statistics(rf"{g}\.{bn}", f"{block}/{bn}"),
            ]
        d, below = rf"D\.blocks\.{i}\.0", f"discriminator/block{i}"
        for prefix, path in ((g, block), (d, below)):
            for theirs, ours in (("conv1", "conv1"), ("conv2", "conv2"), ("conv_sc", "skip")):
                rows += _convolution(rf"{prefix}\.{theirs}", f"{path}/{ours}")
    return (
        rows
        + _attention(r"G\.blocks\.\d+\.1", "generator/attention")
        + _attention(r"D\.blocks\.\d+\.1", "discriminator/attention")
    )


def _pixels(array: np.ndarray) -> np.ndarray:
    """The last axis in the order c, h, w (4x4 pixels) -> in the order h, w, c."""
    return (
        array.reshape(*array.shape[:-1], -1, 4, 4)
        .swapaxes(-3, -2)
        .swapaxes(-2, -1)
        .reshape(array.shape)
    )


def _blocks(converted: Converted, first: str, path: str) -> list[np.ndarray]:
    """Kernels `path` of the blocks 0, 1, ..."""
    found = []
    for i in range(_MOST_BLOCKS):
        kernel = converted.arrays.get(path.format(i))
        if kernel is None:
            break
        found.append(kernel)
    if not found or first not in converted.arrays or "embedding" not in converted.arrays:
        raise ValueError(
            "expected a BigGAN with a shared embedding and numbered blocks, got "
            f"{few(converted.arrays)}"
        )
    return found


def _after(sources: dict[str, Any], pattern: str) -> int:
    """Number of blocks before the one self-attention, whose place is the pattern's group; -1: there
    is none."""
    places = {int(m[1]) for name in sources if (m := re.fullmatch(pattern, name))}
    if len(places) > 1:
        raise ValueError(f"expected a BigGAN with one self-attention, got {len(places)}")
    return places.pop() if places else -1


def _halvings(arrays: dict[str, np.ndarray], blocks: int, doublings: int) -> int:
    """Blocks of the discriminator that halve the side: all with a shortcut layer but the last,
    which never does.

    Raises:
        ValueError: it belongs to pictures of another side than the generator's.
    """
    if blocks and blocks != doublings + 1:
        raise ValueError(
            f"expected a discriminator of {doublings + 1} blocks as the generator's "
            f"{4 << doublings} px need, got {blocks}"
        )
    return sum(f"discriminator/block{i}/skip/kernel" in arrays for i in range(blocks - 1))


def _settle_shallow(
    eps: float, places: dict[str, int]
) -> Callable[[Converted, Choice], tuple[Converted, biggan.Config]]:
    def settle(converted: Converted, choice: Choice) -> tuple[Converted, biggan.Config]:
        arrays = converted.arrays
        kernels = _blocks(converted, "generator/kernel", "generator/block{}/conv1/kernel")
        embedding, condition = arrays["embedding"], arrays.get("generator/block0/bn1/gain")
        part = 0 if condition is None else max(0, len(condition) - embedding.shape[1])
        below = [
            arrays[p]
            for i in range(_MOST_BLOCKS)
            if (p := f"discriminator/block{i}/conv1/kernel") in arrays
        ]
        return converted, biggan.Config(
            channels=(kernels[0].shape[-2], *(kernel.shape[-1] for kernel in kernels)),
            z_dim=len(arrays["generator/kernel"]) + part * len(kernels),
            z_part=part,
            shared_dim=embedding.shape[1],
            classes=len(embedding),
            eps=eps,
            discriminator_channels=tuple(kernel.shape[-1] for kernel in below),
            discriminator_halvings=_halvings(arrays, len(below), len(kernels)),
            **places,
            **choice._asdict(),
        )

    return settle


def _deep(content: dict) -> Found:
    sources = spectral.normalised({str(name): value for name, value in content.items()})
    attention = _after(sources, r"generator\.layers\.(\d+)\.gamma")
    rows = [
        Row(r"embeddings\.weight", "embedding", transposed),
        Row(r"generator\.gen_z\.weight", "generator/kernel", transposed),
        Row(r"generator\.gen_z\.bias", "generator/bias", same),
        Row(r"generator\.bn\.weight", "generator/bn/gain", same),
        Row(r"generator\.bn\.bias", "generator/bn/bias", same),
        Row(r"generator\.bn\.running_means", "generator/bn/mean", same),
        Row(r"generator\.bn\.running_vars", "generator/bn/var", same),
        Row(r"generator\.conv_to_rgb\.weight", "generator/output/kernel", lambda a: hwio(a[:3])),
        Row(r"generator\.conv_to_rgb\.bias", "generator/output/bias", lambda a: a[:3]),
    ]
    for i in range(_MOST_BLOCKS):
        place = i if attention < 0 or i < attention else i + 1
        rows += _deep_block(rf"generator\.layers\.{place}", f"generator/block{i}")
    names = {"theta": "theta", "phi": "phi", "g": "g", "o_conv": "o"}
    here = rf"generator\.layers\.{attention}"
    rows += [
        Row(rf"{here}\.snconv1x1_{name}\.weight", f"generator/attention/{ours}/kernel", hwio)
        for name, ours in names.items()
    ]
    rows += [Row(here + r"\.gamma", "generator/attention/gamma", number)]
    return Found(
        "biggan",
        "pytorch-pretrained-BigGAN (BigGAN-deep)",
        _DEEP_LICENCE,
        sources,
        rows,
        _settle_deep(attention),
    )


def _deep_block(source: str, path: str) -> list[Row]:
    rows = []
    for i in range(4):
        bn, ours = rf"{source}\.bn_{i}\.", f"{path}/bn{i}/"
        rows += [
            Row(bn + r"scale\.weight", ours + "gain", transposed),
            Row(bn + r"offset\.weight", ours + "bias", transposed),
            Row(bn + r"running_means", ours + "mean", same),
            Row(bn + r"running_vars", ours + "var", same),
            *_convolution(rf"{source}\.conv_{i}", f"{path}/conv{i}"),
        ]
    return rows


def _settle_deep(attention: int) -> Callable[[Converted, Choice], tuple[Converted, biggan.Config]]:
    def settle(converted: Converted, choice: Choice) -> tuple[Converted, biggan.Config]:
        arrays = converted.arrays
        firsts = _blocks(converted, "generator/kernel", "generator/block{}/conv0/kernel")
        lasts = _blocks(converted, "generator/kernel", "generator/block{}/conv3/kernel")
        embedding, statistics = arrays["embedding"], arrays.get("generator/bn/mean")
        return converted, biggan.Config(
            channels=(firsts[0].shape[-2], *(kernel.shape[-1] for kernel in lasts)),
            deep=True,
            attention=max(attention, 0),
            z_dim=len(arrays["generator/kernel"]) - embedding.shape[1],
            z_part=0,
            shared_dim=embedding.shape[1],
            classes=len(embedding),
            statistics=1 if statistics is None else len(statistics),
            eps=1e-4,
            output_eps=1e-4,
            **choice._asdict(),
        )

    return settle
