"""The metric networks' official files -> the folders that `jaxsr.metrics.networks.load` reads.

torchvision's AlexNet, VGG-16 and SqueezeNet 1.1 (without their classifiers), LPIPS heads,
pytorch-fid's Inception-V3, EfficientNet-Lite0 of Tan and Le as ML Illustrated converted it, IR-101
of CurricularFace.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsr.metrics.networks import SOURCES
from jaxsr.nets import alexnet, efficientnet, inception, iresnet, squeezenet, vgg16
from jaxsr.types import Params
from ports import tables
from ports.layouts import anything, flat, hwio, same
from ports.priors import Choice
from ports.tables import Row, check, nest

_VGG = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_UNITS = (3, 13, 30, 3)


class Network(NamedTuple):
    """One of the networks.

    Attributes:
        key: a name that only its file has, and the shape it has there.
        rows: the table.
        init: what describes its parameters.
        eps: of the file's batch normalisations, where the network has them folded into its kernels.
    """

    key: str
    shape: tuple[int, ...]
    rows: list[Row]
    init: Callable[[jax.Array], Params]
    eps: float | None = None


def _conv(source: str, path: str) -> list[Row]:
    return [
        Row(source + r"\.weight", path + "/kernel", hwio),
        Row(source + r"\.bias", path + "/bias", same),
    ]


def _norm(source: str, path: str) -> list[Row]:
    names = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    rows = [Row(rf"{source}\.{theirs}", f"{path}/{ours}", same) for theirs, ours in names.items()]
    return [*rows, Row(source + r"\.num_batches_tracked", None, anything)]


def _classifier(name: str) -> Row:
    return Row(name + r"\..*", None, anything)


def _alexnet() -> list[Row]:
    return [
        row
        for i, n in enumerate((0, 3, 6, 8, 10), 1)
        for row in _conv(rf"features\.{n}", f"conv{i}")
    ]


def _vgg16() -> list[Row]:
    layers = [
        (n, f"conv{i}_{j}") for i, block in enumerate(_VGG, 1) for j, n in enumerate(block, 1)
    ]
    return [row for n, name in layers for row in _conv(rf"features\.{n}", name)]


def _squeezenet() -> list[Row]:
    rows = _conv(r"features\.0", "conv1")
    for i, n in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 2):
        for theirs, ours in (
            ("squeeze", "squeeze"),
            ("expand1x1", "expand1"),
            ("expand3x3", "expand3"),
        ):
            rows += _conv(rf"features\.{n}\.{theirs}", f"fire{i}/{ours}")
    return rows


def _inception() -> list[Row]:
    """Torchvision's names, whose first part has a capital: "Mixed_5b.branch1x1.conv.weight" ->
    mixed_5b/branch1x1/kernel."""
    rows = [_classifier("fc")]
    for layer in _inception_layers():
        theirs = r"\.".join(part.capitalize() if i == 0 else part for i, part in enumerate(layer))
        path = "/".join(layer)
        rows += [
            Row(theirs + r"\.conv\.weight", path + "/kernel", hwio),
            *_norm(theirs + r"\.bn", path),
        ]
    return rows


def _inception_layers() -> list[tuple[str, ...]]:
    paths = jax.tree_util.tree_leaves_with_path(jax.eval_shape(inception.init, jax.random.key(0)))
    layers = {
        tuple(jax.tree_util.keystr(path, simple=True, separator="/").split("/")[:-1])
        for path, _ in paths
    }
    return sorted(layers)


def _efficientnet() -> list[Row]:
    """The names of efficientnet_pytorch: "_blocks.3._expand_conv.weight", "_blocks.3._bn0.weight"
    -> blocks/3/expand. No last layers."""
    rows = [Row(r"_conv_stem\.weight", "stem/kernel", hwio), *_norm("_bn0", "stem")]
    for n, (name, layout) in enumerate(
        (("expand", _pointwise), ("depthwise", _depthwise), ("project", _pointwise))
    ):
        block, path = r"_blocks\.(\d+)\.", "blocks/{0}/" + name
        rows += [
            Row(rf"{block}_{name}_conv\.weight", path + "/kernel", layout),
            *_norm(rf"{block}_bn{n}", path),
        ]
    return [*rows, *map(_classifier, ("_conv_head", "_bn1", "_fc"))]


def _pointwise(weight: np.ndarray) -> np.ndarray:
    """[d, c, 1, 1] -> [c, d]."""
    return weight.reshape(weight.shape[:2]).transpose(1, 0)


def _depthwise(weight: np.ndarray) -> np.ndarray:
    """[c, 1, k, k] -> [k, k, c]."""
    return weight.reshape(len(weight), *weight.shape[2:]).transpose(1, 2, 0)


def _unfolded(expected: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """{path: shape} before batch normalisations are folded: every bias comes with a scale, a mean
    and a variance."""
    biases = {
        path.removesuffix("bias"): shape
        for path, shape in expected.items()
        if path.endswith("/bias")
    }
    return expected | {
        path + name: shape for path, shape in biases.items() for name in ("scale", "mean", "var")
    }


def _folded(arrays: dict[str, np.ndarray], eps: float) -> dict[str, np.ndarray]:
    """Each layer's batch normalisation in its kernel and bias."""
    folded = {}
    for layer in (path.removesuffix("kernel") for path in arrays if path.endswith("/kernel")):
        kernel, scale, bias, mean, var = (
            np.float64(arrays[layer + name]) for name in ("kernel", "scale", "bias", "mean", "var")
        )
        gain = scale / np.sqrt(var + eps)
        folded |= {
            layer + "kernel": np.float32(kernel * gain),
            layer + "bias": np.float32(bias - mean * gain),
        }
    return folded


def _ir101() -> list[Row]:
    rows = [
        Row(r"input_layer\.0\.weight", "input/kernel", hwio),
        *_norm(r"input_layer\.1", "input"),
        Row(r"input_layer\.2\.weight", "input/slope", same),
    ]
    places = [(stage, unit) for stage, units in enumerate(_UNITS) for unit in range(units)]
    for n, (stage, unit) in enumerate(places):
        rows += _unit(rf"body\.{n}\.", f"stages/{stage}/{unit}")
    return [
        *rows,
        *_norm(r"output_layer\.0", "output/norm"),
        Row(r"output_layer\.3\.weight", "output/kernel", _over_map),
        Row(r"output_layer\.3\.bias", "output/bias", same),
        Row(r"output_layer\.4\.running_mean", "output/mean", same),
        Row(r"output_layer\.4\.running_var", "output/var", same),
        Row(r"output_layer\.4\.num_batches_tracked", None, anything),
    ]


def _unit(source: str, path: str) -> list[Row]:
    return [
        *_norm(source + r"res_layer\.0", path + "/norm1"),
        Row(source + r"res_layer\.1\.weight", path + "/conv1/kernel", hwio),
        Row(source + r"res_layer\.2\.weight", path + "/conv1/slope", same),
        Row(source + r"res_layer\.3\.weight", path + "/conv2/kernel", hwio),
        *_norm(source + r"res_layer\.4", path + "/conv2"),
        Row(source + r"shortcut_layer\.0\.weight", path + "/shortcut/kernel", hwio),
        *_norm(source + r"shortcut_layer\.1", path + "/shortcut"),
    ]


def _over_map(weight: np.ndarray) -> np.ndarray:
    """[d, c * 7 * 7], the rows of a map in the order c, h, w -> [7, 7, c, d]."""
    return weight.reshape(len(weight), -1, 7, 7).transpose(2, 3, 1, 0)


def _heads(widths: tuple[int, ...]) -> Network:
    def init(_: jax.Array) -> list[np.ndarray]:
        return [np.zeros(width, np.float32) for width in widths]

    rows = [Row(r"lin(\d)\.model\.1\.weight", "{0}", flat)]
    last = len(widths) - 1
    return Network(f"lin{last}.model.1.weight", (1, widths[last], 1, 1), rows, init)


NETWORKS = {
    "alexnet": Network(
        "features.10.weight",
        (256, 256, 3, 3),
        [*_alexnet(), _classifier("classifier")],
        alexnet.init,
    ),
    "vgg16": Network(
        "features.28.weight", (512, 512, 3, 3), [*_vgg16(), _classifier("classifier")], vgg16.init
    ),
    "squeezenet": Network(
        "features.12.squeeze.weight",
        (64, 512, 1, 1),
        [*_squeezenet(), _classifier("classifier")],
        squeezenet.init,
    ),
    "lpips_alex": _heads((64, 192, 384, 256, 256)),
    "lpips_vgg": _heads((64, 128, 256, 512, 512)),
    "lpips_squeeze": _heads((64, 128, 256, 384, 384, 512, 512)),
    "inception_fid": Network(
        "Conv2d_1a_3x3.conv.weight", (32, 3, 3, 3), _inception(), inception.init
    ),
    "efficientnet_lite0": Network(
        "_conv_stem.weight", (32, 3, 3, 3), _efficientnet(), efficientnet.init, 1e-3
    ),
    "ir101": Network("input_layer.0.weight", (64, 3, 3, 3), _ir101(), iresnet.init),
}


class Found(NamedTuple):
    """A metric network in a checkpoint."""

    name: str
    network: Network
    sources: dict[str, Any]


def find(contents: list[Any]) -> Found | None:
    """The metric network in what `torch_files.read` returned of one file (a state dict), or
    None."""
    content = contents[0]
    if len(contents) > 1 or not isinstance(content, dict):
        return None
    for name, network in NETWORKS.items():
        if getattr(content.get(network.key), "shape", None) == network.shape:
            return Found(name, network, {str(key): value for key, value in content.items()})
    return None


def convert(found: Found, choice: Choice) -> tuple[Params, dict[str, Any]]:
    """Parameters (float32) of the network and their {"architecture", "licence", "format"} for
    config.json.

    Raises:
        ValueError: arrays are missing, left over or of the wrong shape, with the lists; a class was
            chosen.
    """
    choice.none("a network without classes")
    network, source = found.network, SOURCES[found.name]
    converted = tables.convert(network.rows, found.sources)
    leaves = jax.tree_util.tree_leaves_with_path(jax.eval_shape(network.init, jax.random.key(0)))
    expected = {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in leaves
    }
    check(source.what, converted, expected if network.eps is None else _unfolded(expected))
    arrays = converted.arrays if network.eps is None else _folded(converted.arrays, network.eps)
    return nest(arrays), {
        "architecture": found.name,
        "licence": source.licence,
        "format": "torch state dict",
    }
