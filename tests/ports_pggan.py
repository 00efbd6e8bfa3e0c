"""Writes small checkpoints of PGGAN in every format."""

import numpy as np
import ports_files as files
import reference_progressive as reference
from ports_progressive import (
    WIDTHS,
    Z_DIM,
    Case,
    Draw,
    at_sides,
    discriminator,
    level,
    network,
    oihw,
    scores,
    tensors,
)

TFUTIL = files.stand_in("tfutil", "Network", type("Network", (), {}))
CONFIG = files.stand_in("models.utils.config", "BaseConfig", type("BaseConfig", (), {}))
files.NAMES.extend([TFUTIL, CONFIG])  # official_names() lets pickle find them


def pggan(resolution=16, seed=0, fused=True):
    """Variables of Gs and of D; the generator that is not fused computes what the fused one
    does."""
    draw, widths = Draw(seed), WIDTHS[resolution]
    draw("4x4/Dense/weight", Z_DIM, widths[0] * 16)
    draw("4x4/Dense/bias", widths[0], scale=0.3)
    draw.layer("4x4/Conv", 3, 3, widths[0], widths[0])
    draw.layer(f"ToRGB_lod{level(4, resolution)}", 1, 1, widths[0], 3)
    for inputs, (side, width) in zip(widths, at_sides(widths)[1:], strict=False):
        block = f"{side}x{side}"
        draw(f"{block}/Conv0_up/weight", 3, 3, width, inputs)
        draw(f"{block}/Conv0_up/bias", width, scale=0.3)
        draw.layer(f"{block}/Conv1", 3, 3, width, width)
        draw.layer(f"ToRGB_lod{level(side, resolution)}", 1, 1, width, 3)
    variables = draw.variables if fused else turned(draw.variables)
    return variables, discriminator(widths, seed + 1, "Conv1_down" if fused else "Conv1")


def turned(variables):
    """A fused PGGAN's kernels [k, k, outputs, inputs] of transposed convolutions as those of
    convolutions."""
    up = "Conv0_up/weight"
    kernels = {
        name: x[::-1, ::-1].transpose(0, 1, 3, 2) if name.endswith(up) else x
        for name, x in variables.items()
    }
    return {name.replace("Conv0_up", "Conv0"): x for name, x in kernels.items()}


def pggan_pickle(
    networks, settings=None, d_settings=None, *, lod=0.0, kind=TFUTIL, names=("G", "D", "Gs")
):
    """(G, D, Gs) of NVIDIA's PGGAN code: version 2, no components. With `kind` NETWORK, as
    StyleGAN1's code writes a PGGAN."""
    (g, d), number = networks, {"lod": np.float32(lod)}
    other = {n: x + 1 for n, x in g.items()}
    version, components = (2, None) if kind is TFUTIL else (3, {})

    def member(name, variables, own):
        return network(kind, version, name, number | variables, own or {}, components)

    parts = (other, settings), (d, d_settings), (g, settings)
    return files.pickled(
        tuple(member(name, *part) for name, part in zip(names, parts, strict=True))
    )


def _layers(variables):
    """PGGAN's layers in their order: (name, kernel, bias)."""
    sides = sorted({int(name.split("x")[0]) for name in variables if "x" in name.split("/")[0]})
    pairs = [("Dense", "Conv") if side == 4 else ("Conv0_up", "Conv0", "Conv1") for side in sides]
    names = [
        f"{side}x{side}/{layer}"
        for side, layers in zip(sides, pairs, strict=True)
        for layer in layers
    ]
    return [
        (n, variables[f"{n}/weight"], variables[f"{n}/bias"])
        for n in names
        if f"{n}/weight" in variables
    ]


def _pixel(dense):
    """The dense layer as a 4x4 convolution of one pixel padded by three."""
    return dense.reshape(len(dense), -1, 4, 4).transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]


def genforce(variables):
    """genforce's state dict; a fused kernel is kept [k, k, inputs, outputs]."""
    state = {"lod": np.float32(0)}
    for i, (name, kernel, bias) in enumerate(_layers(variables)):
        state[f"layer{i}.wscale.bias"] = bias
        if name.endswith("Conv0_up"):
            state[f"layer{i}.weight"] = kernel.transpose(0, 1, 3, 2)
        else:
            state[f"layer{i}.conv.weight"] = _pixel(kernel) if i == 0 else oihw(kernel)
    last = len(_layers(variables)) // 2 - 1
    for i in range(last + 1):
        state[f"output{i}.conv.weight"] = oihw(variables[f"ToRGB_lod{last - i}/weight"])
        state[f"output{i}.wscale.bias"] = variables[f"ToRGB_lod{last - i}/bias"]
    return tensors(state)


def _official_scale(index, kernel):
    return np.sqrt(2 / len(kernel)) / 4 if index == 0 else np.sqrt(2 / np.prod(kernel.shape[:-1]))


def ptrblck(variables):
    """ptrblck's state dict, of an unfused network: each layer's scale is a number in the file, here
    a random one."""
    rng, state = np.random.default_rng(6), {}
    for i, (_, kernel, bias) in enumerate(_layers(variables)):
        scale = np.float32(rng.uniform(0.5, 1.5))
        weight = (_pixel(kernel) if i == 0 else oihw(kernel)) * _official_scale(i, kernel) / scale
        state |= {
            f"features.{i}.conv.weight": weight,
            f"features.{i}.wscale.scale": [scale],
            f"features.{i}.wscale.b": bias,
        }
    kernel = variables["ToRGB_lod0/weight"]
    state |= {
        "output.conv.weight": oihw(kernel) / np.sqrt(kernel.shape[2]) / 0.7,
        "output.wscale.scale": [0.7],
    }
    return tensors(state | {"output.wscale.b": variables["ToRGB_lod0/bias"]})


def zoo(variables, averaged=True):
    """pytorch_GAN_zoo's file of an unfused network; kernel and bias are both scaled by sqrt(2 /
    inputs). The first bias is [c, 4, 4]."""

    def state(variables):
        layers, made = _layers(variables), {}
        last = len(layers) // 2 - 1
        for i, (_, kernel, bias) in enumerate(layers):
            name = {0: "formatLayer", 1: "groupScale0.0"}.get(
                i, f"scaleLayers.{i // 2 - 1}.{i % 2}"
            )
            scale = np.sqrt(2 / (len(kernel) if i == 0 else np.prod(kernel.shape[:-1])))
            made[f"{name}.module.weight"] = kernel.T / 4 if i == 0 else oihw(kernel)
            made[f"{name}.module.bias"] = bias.reshape(-1) / scale
        for i in range(last + 1):
            kernel, bias = (
                variables[f"ToRGB_lod{last - i}/weight"],
                variables[f"ToRGB_lod{last - i}/bias"],
            )
            made[f"toRGBLayers.{i}.module.weight"] = oihw(kernel) / np.sqrt(2)
            made[f"toRGBLayers.{i}.module.bias"] = bias / np.sqrt(2 / kernel.shape[2])
        return tensors(made)

    config = CONFIG()
    config.__dict__ = {"depthScales": [8, 8, 6], "name": "x", "mean": np.float64(3)}
    content = {
        "config": config,
        "netG": state(variables),
        "netD": tensors({"a.module.weight": np.ones(3)}),
    }
    if averaged:
        content |= {
            "avgG": content["netG"],
            "netG": state({name: x + 1 for name, x in variables.items()}),
        }
    return content


def _case(contents, variables, fused, logits=None):
    def image(z, noise):
        return reference.pggan_generator(variables, z, fused)

    return Case(contents, variables, {"fused": fused}, image, logits=logits)


def _tensorflow(fused, **names):
    g, d = pggan(fused=fused)
    settings = {} if fused else {"fused_scale": False}
    content = pggan_pickle((g, d), settings, settings, **names)
    return _case([content], g, fused, scores(reference.pggan_discriminator, d, fused, 4))


def _by_stylegan1():
    """StyleGAN1's code keeps PGGAN's fused kernels [k, k, inputs, outputs]."""
    (g, d), up = pggan(), "Conv0_up/weight"
    swapped = {
        name: array.transpose(0, 1, 3, 2) if name.endswith(up) else array
        for name, array in g.items()
    }
    content = pggan_pickle((swapped, d), kind=files.NETWORK)
    return _case([content], g, True, scores(reference.pggan_discriminator, d, True, 4))


def _torch(write, pack, fused=False, bias=()):
    variables = pggan(fused=fused)[0]
    if bias:
        variables["4x4/Dense/bias"] = (
            np.random.default_rng(7).normal(size=(8, *bias)).astype(np.float32)
        )
    return _case([pack(write(variables))], variables, fused)


FORMATS = {
    "TensorFlow": lambda: _tensorflow(True),
    "TensorFlow, not fused": lambda: _tensorflow(False),
    "TensorFlow, NVIDIA's own": lambda: _tensorflow(False, names=("G_paper", "D_paper", "G_paper")),
    "by StyleGAN1": _by_stylegan1,
    "genforce": lambda: _torch(genforce, files.legacy),
    "genforce, fused": lambda: _torch(genforce, files.zipped, True),
    "ptrblck": lambda: _torch(ptrblck, files.zipped),
    "zoo": lambda: _torch(zoo, files.legacy, bias=(4, 4)),
    "zoo, not averaged": lambda: _torch(
        lambda v: zoo(v, averaged=False), files.zipped, bias=(4, 4)
    ),
}
