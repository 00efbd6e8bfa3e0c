"""Writes small files of RRDBNet, SRVGGNetCompact and VDSR in the official formats, each with what
the slow network makes of it."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import ports_files as files
import reference_upscalers as reference
from scipy.io import savemat

BLOCKS, WIDTH, GROWTH, LAYERS = 2, 6, 3, 4


class Written(NamedTuple):
    """A file, what it is, and what the slow network makes of an image [h, w, 3]."""

    content: bytes
    architecture: str
    net: dict[str, Any]
    factor: int
    restored: Callable[[np.ndarray], np.ndarray]


def _conv(rng, name, inputs, outputs, *, bias=True):
    weight = rng.normal(size=(outputs, inputs, 3, 3)) / np.sqrt(4 * inputs)
    arrays = {f"{name}.weight": np.float32(weight)}
    return arrays | ({f"{name}.bias": np.float32(0.1 * rng.normal(size=outputs))} if bias else {})


def rrdb_state(ups=2, unshuffle=1, channels=3):
    """With BasicSR's names; no array at its default."""
    rng = np.random.default_rng(ups)
    state = _conv(rng, "conv_first", channels * unshuffle**2, WIDTH)
    for b in range(BLOCKS):
        for d in (1, 2, 3):
            for c in (1, 2, 3, 4, 5):
                inputs, outputs = WIDTH + (c - 1) * GROWTH, WIDTH if c == 5 else GROWTH
                state |= _conv(rng, f"body.{b}.rdb{d}.conv{c}", inputs, outputs)
    for name in ("conv_body", *(f"conv_up{n + 1}" for n in range(ups)), "conv_hr"):
        state |= _conv(rng, name, WIDTH, WIDTH)
    return state | _conv(rng, "conv_last", WIDTH, channels)


def esrgan_names(state):
    renamed = {}
    for name, array in state.items():
        for ours, theirs in {
            "body.": "RRDB_trunk.",
            ".rdb": ".RDB",
            "conv_up": "upconv",
            "conv_hr": "HRconv",
            "conv_body": "trunk_conv",
        }.items():
            name = theirs + name.removeprefix(ours) if name.startswith(ours) else name
            name = name.replace(ours, theirs) if ours == ".rdb" else name
        renamed[name] = array
    return renamed


def names_of_2018(state, ups=2):
    """Numbers of the layers, as they stand in the network: 0 the first, 1 the trunk, three for
    each enlargement, two behind."""
    tops = {"conv_first": "model.0", "conv_body": f"model.1.sub.{BLOCKS}"}
    tops |= {f"conv_up{n}": f"model.{3 * n}" for n in range(1, ups + 1)}
    tops |= {"conv_hr": f"model.{3 * ups + 2}", "conv_last": f"model.{3 * ups + 4}"}
    renamed = {}
    for name, array in state.items():
        layer, leaf = name.rsplit(".", 1)
        if layer.startswith("body."):
            layer = layer.replace("body.", "model.1.sub.").replace("rdb", "RDB") + ".0"
        renamed[f"{tops.get(layer, layer)}.{leaf}"] = array
    return renamed


def tensors(state, prefix=""):
    return {prefix + name: files.Tensor(array) for name, array in state.items()}


def _rrdb(write, ups=2, unshuffle=1):
    state, factor = rrdb_state(ups, unshuffle), 2**ups // unshuffle
    sizes = {"blocks": BLOCKS, "width": WIDTH, "growth": GROWTH, "ups": ups}

    def restored(image):
        return reference.rrdb(state, image, blocks=BLOCKS, ups=ups, factor=factor)

    return Written(write(state), "rrdb", sizes | {"unshuffle": unshuffle}, factor, restored)


def averaged(state):
    """The weights in training come first, and are others."""
    other = {name: -array for name, array in state.items()}
    return files.zipped({"params": tensors(other), "params_ema": tensors(state)})


def srvgg_state(factor=2):
    rng = np.random.default_rng(7)
    state = {}
    for n in range(LAYERS + 1):
        state |= _conv(rng, f"body.{2 * n}", WIDTH if n else 3, WIDTH)
        state[f"body.{2 * n + 1}.weight"] = np.float32(rng.uniform(-0.5, 0.5, WIDTH))
    return state | _conv(rng, f"body.{2 * LAYERS + 2}", WIDTH, 3 * factor**2)


def _srvgg(factor=2):
    state = srvgg_state(factor)
    return Written(
        files.zipped({"params": tensors(state)}),
        "srvgg",
        {"layers": LAYERS, "width": WIDTH, "factor": factor},
        factor,
        lambda image: reference.srvgg(state, image, layers=LAYERS, factor=factor),
    )


def vdsr_arrays(channels=1, *, bias=True):
    """Kernels [out, in, 3, 3] and biases."""
    rng = np.random.default_rng(8)
    widths = [channels, *[WIDTH] * (LAYERS - 1), channels]
    layers = [_conv(rng, "x", c, d) for c, d in zip(widths[:-1], widths[1:], strict=True)]
    kernels = [layer["x.weight"] for layer in layers]
    return kernels, [layer["x.bias"] * bias for layer in layers]


def matconvnet(kernels, biases):
    """MATLAB keeps [kh, kw, in, out], without a last axis of 1, and columns of biases."""

    def cells(arrays):
        row = np.empty((1, len(arrays)), object)
        row[0] = [*arrays, None][:-1]
        return row

    weights = [np.squeeze(k.transpose(2, 3, 1, 0), 3) if len(k) == 1 else k.transpose(2, 3, 1, 0)
               for k in kernels]  # fmt: skip
    file = io.BytesIO()
    model = {"weight": cells(weights), "bias": cells([b[:, None] for b in biases])}
    savemat(file, {"model": model}, do_compression=True)
    return file.getvalue()


def vdsr_state(kernels):
    names = ["input", *(f"residual_layer.{i}.conv" for i in range(LAYERS - 2)), "output"]
    return {f"{name}.weight": kernel for name, kernel in zip(names, kernels, strict=True)}


def _whole_module(kernels):
    def conv(kernel):
        return files.whole("Conv2d", {"weight": files.Parameter(kernel), "bias": None})

    blocks = {
        str(i): files.whole("Conv_ReLU_Block", None, {"conv": conv(k), "relu": files.whole("ReLU")})
        for i, k in enumerate(kernels[1:-1])
    }
    inner = {"residual_layer": files.whole("Sequential", None, blocks)}
    inner |= {"input": conv(kernels[0]), "output": conv(kernels[-1])}
    return files.legacy({"epoch": 50, "model": files.whole("Net", None, inner)})


def _vdsr(write, channels=1, *, bias=True):
    kernels, biases = vdsr_arrays(channels, bias=bias)
    net = {"layers": LAYERS, "width": WIDTH, "channels": channels, "bias": bias}
    content = write(kernels, biases) if bias else write(kernels)
    return Written(content, "vdsr", net, 0, lambda image: reference.vdsr(kernels, biases, image))


FORMATS: dict[str, Callable[[], Written]] = {
    "BasicSR, averaged": lambda: _rrdb(averaged),
    "BasicSR 2x": lambda: _rrdb(lambda s: files.zipped({"params": tensors(s)}), unshuffle=2),
    "BasicSR 1x": lambda: _rrdb(lambda s: files.legacy({"params": tensors(s)}), unshuffle=4),
    "BasicSR's names, 8x": lambda: _rrdb(lambda s: files.zipped(tensors(s)), ups=3),
    "ESRGAN": lambda: _rrdb(lambda s: files.legacy(tensors(esrgan_names(s)))),
    "2018": lambda: _rrdb(lambda s: files.legacy(tensors(names_of_2018(s), "module."))),
    "2018, 2x": lambda: _rrdb(lambda s: files.legacy(tensors(names_of_2018(s, 1))), ups=1),
    "SRVGG": _srvgg,
    "VDSR .mat": lambda: _vdsr(matconvnet),
    "VDSR .mat of RGB": lambda: _vdsr(matconvnet, 3),
    "VDSR, a whole module": lambda: _vdsr(_whole_module, bias=False),
    "VDSR, a state dict": lambda: _vdsr(
        lambda k: files.zipped({"model": tensors(vdsr_state(k))}), bias=False
    ),
}
