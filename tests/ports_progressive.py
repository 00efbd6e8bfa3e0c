"""Writes small checkpoints of StyleGAN1 and PGGAN in every format, each from the official variables
{TensorFlow's name: array}."""

import re
from typing import NamedTuple

import numpy as np
import ports_files as files

TFUTIL = files._stand_in("tfutil", "Network", type("Network", (), {}))
CONFIG = files._stand_in("models.utils.config", "BaseConfig", type("BaseConfig", (), {}))
files.NAMES.extend([TFUTIL, CONFIG])  # official_names() lets pickle find them
WIDTHS = {16: (8, 8, 6), 128: (8, 8, 6, 5, 4, 4)}  # some layers change the width, some do not
Z_DIM, W_DIM, HIDDEN, LAYERS = 8, 7, 9, 3
SOURCE = "import os; os.system('touch executed')"


class _Draw:
    """Random variables by name; layers that would make the image's or the logits' scale run away
    are drawn smaller."""

    def __init__(self, seed):
        self.rng, self.variables = np.random.default_rng(seed), {}

    def __call__(self, name, *shape, scale=1.0):
        self.variables[name] = (scale * self.rng.normal(size=shape)).astype(np.float32)

    def layer(self, name, *shape, scale=1.0):
        self(f"{name}/weight", *shape, scale=scale)
        self(f"{name}/bias", shape[-1], scale=0.3)


def _sides(widths):
    return [(4 << i, width) for i, width in enumerate(widths)]


def _lod(side, top):
    return (top // side).bit_length() - 1


def stylegan1(resolution=16, seed=0):
    """Variables of Gs, those of components as "mapping/..." and "synthesis/...", and of D."""
    draw, widths, synthesis = _Draw(seed), WIDTHS[resolution], "synthesis"
    for i in range(LAYERS):
        inputs, outputs = Z_DIM if i == 0 else W_DIM, W_DIM
        draw(f"mapping/Dense{i}/weight", inputs, outputs, scale=100)
        draw(f"mapping/Dense{i}/bias", outputs, scale=100)
    draw("dlatent_avg", W_DIM)
    # So small that the normalisation's eps shows.
    draw(f"{synthesis}/4x4/Const/const", 1, widths[0], 4, 4, scale=0.01)
    before = widths[0]
    for index, (side, width) in enumerate(_sides(widths)):
        block = f"{synthesis}/{side}x{side}"
        first, second = ("Const", "Conv") if side == 4 else ("Conv0_up", "Conv1")
        for layer, inputs, name in ((2 * index, before, first), (2 * index + 1, width, second)):
            if name != "Const":
                draw(f"{block}/{name}/weight", 3, 3, inputs, width)
            draw(f"{block}/{name}/bias", width)
            draw(f"{block}/{name}/Noise/weight", width, scale=0.01 if name == "Const" else 0.5)
            draw.layer(f"{block}/{name}/StyleMod", W_DIM, 2 * width)
            draw(f"{synthesis}/noise{layer}", 1, 1, side, side)
        draw.layer(f"{synthesis}/ToRGB_lod{_lod(side, resolution)}", 1, 1, width, 3, scale=0.3)
        before = width
    return draw.variables, discriminator(widths, seed + 1, "Conv1_down")


def pggan(resolution=16, seed=0, fused=True):
    """Variables of Gs and of D; the generator that is not fused computes what the fused one
    does."""
    draw, widths = _Draw(seed), WIDTHS[resolution]
    draw("4x4/Dense/weight", Z_DIM, widths[0] * 16)
    draw("4x4/Dense/bias", widths[0], scale=0.3)
    draw.layer("4x4/Conv", 3, 3, widths[0], widths[0])
    draw.layer(f"ToRGB_lod{_lod(4, resolution)}", 1, 1, widths[0], 3)
    for inputs, (side, width) in zip(widths, _sides(widths)[1:], strict=False):
        block = f"{side}x{side}"
        draw(f"{block}/Conv0_up/weight", 3, 3, width, inputs)
        draw(f"{block}/Conv0_up/bias", width, scale=0.3)
        draw.layer(f"{block}/Conv1", 3, 3, width, width)
        draw.layer(f"ToRGB_lod{_lod(side, resolution)}", 1, 1, width, 3)
    variables = draw.variables if fused else turned(draw.variables)
    return variables, discriminator(widths, seed + 1, "Conv1_down" if fused else "Conv1")


def discriminator(widths, seed, second):
    draw, top = _Draw(seed), 2 << len(widths)
    for side, width in _sides(widths):
        draw.layer(f"FromRGB_lod{_lod(side, top)}", 1, 1, 3, width)
    for narrow, (side, width) in zip(widths, _sides(widths)[1:], strict=False):
        draw.layer(f"{side}x{side}/Conv0", 3, 3, width, width)
        draw.layer(f"{side}x{side}/{second}", 3, 3, width, narrow)
    draw.layer("4x4/Conv", 3, 3, widths[0] + 1, widths[0])
    draw.layer("4x4/Dense0", 16 * widths[0], HIDDEN)
    draw.layer("4x4/Dense1", HIDDEN, 1)
    return draw.variables


def turned(variables):
    """A fused PGGAN's kernels [k, k, outputs, inputs] of transposed convolutions as those of
    convolutions."""
    up = "Conv0_up/weight"
    kernels = {
        name: x[::-1, ::-1].transpose(0, 1, 3, 2) if name.endswith(up) else x
        for name, x in variables.items()
    }
    return {name.replace("Conv0_up", "Conv0"): x for name, x in kernels.items()}


def _network(kind, version, name, variables, settings, components=None):
    network = kind()
    # What the dataset gives; other settings are there only where they are not at defaults.
    shared = {"num_channels": 3, "label_size": 0}
    network.__dict__ = {
        "version": version,
        "name": name,
        "static_kwargs": shared | settings,
        "build_module_src": SOURCE,
    }
    network.__dict__ |= {"build_func_name": "G_paper", "variables": list(variables.items())}
    network.__dict__ |= {} if components is None else {"components": components}
    return network


def stylegan1_pickle(networks, settings=None, d_settings=None, lod=0.0, protocol=4):
    """(G, D, Gs) of NVIDIA's StyleGAN1 code; the settings go to Gs and its components, and to D. G
    holds other numbers."""
    (g, d), settings = networks, settings or {}

    def generator(name, variables):
        parts = {
            part: {
                n.removeprefix(f"{part}/"): x
                for n, x in variables.items()
                if n.startswith(f"{part}/")
            }
            for part in PARTS
        }
        parts["synthesis"] = {"lod": np.float32(lod)} | parts["synthesis"]
        components = {
            part: _network(files.NETWORK, 3, f"G_{part}", inner, settings, {})
            for part, inner in parts.items()
        }
        own = {"lod": np.float32(lod), "dlatent_avg": variables["dlatent_avg"]}
        return _network(files.NETWORK, 3, name, own, settings, components)

    score = _network(files.NETWORK, 3, "D", {"lod": np.float32(lod)} | d, d_settings or {}, {})
    return files.pickled(
        (generator("G", {n: x + 1 for n, x in g.items()}), score, generator("Gs", g)), protocol
    )


PARTS = ("synthesis", "mapping")


def pggan_pickle(
    networks, settings=None, d_settings=None, *, lod=0.0, kind=TFUTIL, names=("G", "D", "Gs")
):
    """(G, D, Gs) of NVIDIA's PGGAN code: version 2, no components. With `kind` NETWORK, as
    StyleGAN1's code writes a PGGAN."""
    (g, d), number = networks, {"lod": np.float32(lod)}
    other = {n: x + 1 for n, x in g.items()}
    version, components = (2, None) if kind is TFUTIL else (3, {})

    def network(name, variables, own):
        return _network(kind, version, name, number | variables, own or {}, components)

    parts = (other, settings), (d, d_settings), (g, settings)
    return files.pickled(
        tuple(network(name, *part) for name, part in zip(names, parts, strict=True))
    )


def _tensors(state):
    return {name: files.Tensor(np.array(array, np.float32)) for name, array in state.items()}


def _oihw(kernel):
    return kernel.transpose(3, 2, 0, 1)


def _same(array):
    return array


PULSE = [
    (r"(Const)/const", "const", _same),
    (r"(Const)/bias", "bias", _same),
    (r"(Conv\w*)/weight", "{layer}.weight", _oihw),
    (r"(Conv\w*)/bias", "{layer}.bias", _same),
    (r"(\w+)/Noise/weight", "epi{i}.noise.weight", _same),
    (r"(\w+)/StyleMod/weight", "epi{i}.style_mod.lin.weight", np.transpose),
    (r"(\w+)/StyleMod/bias", "epi{i}.style_mod.lin.bias", _same),
]


def pulse(variables):
    """PULSE's synthesis.pt, mapping.pt and gaussian_fit.pt as dicts; the last holds two random
    vectors."""
    mapping = {
        f"dense{i}.{k}": variables[f"mapping/Dense{i}/{k}"].T
        for i in range(LAYERS)
        for k in ("weight", "bias")
    }
    synthesis = {}
    for name, x in variables.items():
        for pattern, new, layout in PULSE:
            if match := re.fullmatch(r"synthesis/(\d+x\d+)/" + pattern, name):
                block, *layer = match.groups()
                epilogue = {"Const": 1, "Conv0_up": 1, "Conv": 2, "Conv1": 2}.get(*layer)
                synthesis[f"blocks.{block}." + new.format(layer=layer[0].lower(), i=epilogue)] = (
                    layout(x)
                )
        if name.endswith("Conv0_up/weight"):
            block = name.split("/")[1]
            synthesis[f"blocks.{block}.conv0_up.intermediate.kernel"] = (
                np.outer([1, 2, 1], [1, 2, 1])[None, None] / 16
            )
    synthesis |= {
        "torgb.weight": _oihw(variables["synthesis/ToRGB_lod0/weight"]),
        "torgb.bias": variables["synthesis/ToRGB_lod0/bias"],
    }
    rng = np.random.default_rng(5)
    return (
        _tensors(synthesis),
        _tensors(mapping),
        _tensors({"mean": rng.normal(size=W_DIM), "std": rng.uniform(size=W_DIM)}),
    )


def pulse_one(variables):
    """The same in one dict, with the average of w instead of the fit."""
    synthesis, mapping, _ = pulse(variables)
    state = {f"g_synthesis.{n}": x for n, x in synthesis.items()} | {
        f"g_mapping.{n}": x for n, x in mapping.items()
    }
    return state | _tensors({"truncation.avg_latent": variables["dlatent_avg"]})


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
            state[f"layer{i}.conv.weight"] = _pixel(kernel) if i == 0 else _oihw(kernel)
    last = len(_layers(variables)) // 2 - 1
    for i in range(last + 1):
        state[f"output{i}.conv.weight"] = _oihw(variables[f"ToRGB_lod{last - i}/weight"])
        state[f"output{i}.wscale.bias"] = variables[f"ToRGB_lod{last - i}/bias"]
    return _tensors(state)


def _official_scale(index, kernel):
    return np.sqrt(2 / len(kernel)) / 4 if index == 0 else np.sqrt(2 / np.prod(kernel.shape[:-1]))


def ptrblck(variables):
    """ptrblck's state dict, of an unfused network: each layer's scale is a number in the file, here
    a random one."""
    rng, state = np.random.default_rng(6), {}
    for i, (_, kernel, bias) in enumerate(_layers(variables)):
        scale = np.float32(rng.uniform(0.5, 1.5))
        weight = (_pixel(kernel) if i == 0 else _oihw(kernel)) * _official_scale(i, kernel) / scale
        state |= {
            f"features.{i}.conv.weight": weight,
            f"features.{i}.wscale.scale": [scale],
            f"features.{i}.wscale.b": bias,
        }
    kernel = variables["ToRGB_lod0/weight"]
    state |= {
        "output.conv.weight": _oihw(kernel) / np.sqrt(kernel.shape[2]) / 0.7,
        "output.wscale.scale": [0.7],
    }
    return _tensors(state | {"output.wscale.b": variables["ToRGB_lod0/bias"]})


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
            made[f"{name}.module.weight"] = kernel.T / 4 if i == 0 else _oihw(kernel)
            made[f"{name}.module.bias"] = bias.reshape(-1) / scale
        for i in range(last + 1):
            kernel, bias = (
                variables[f"ToRGB_lod{last - i}/weight"],
                variables[f"ToRGB_lod{last - i}/bias"],
            )
            made[f"toRGBLayers.{i}.module.weight"] = _oihw(kernel) / np.sqrt(2)
            made[f"toRGBLayers.{i}.module.bias"] = bias / np.sqrt(2 / kernel.shape[2])
        return _tensors(made)

    config = CONFIG()
    config.__dict__ = {"depthScales": [8, 8, 6], "name": "x", "mean": np.float64(3)}
    content = {
        "config": config,
        "netG": state(variables),
        "netD": _tensors({"a.module.weight": np.ones(3)}),
    }
    if averaged:
        content |= {
            "avgG": content["netG"],
            "netG": state({name: x + 1 for name, x in variables.items()}),
        }
    return content


class Case(NamedTuple):
    """A network's files, the official variables in them, and how the reference has to compute
    it."""

    contents: list[bytes]
    variables: dict
    options: dict
    discriminator: dict | None = None
    group: int = 4


def _stylegan1(resolution, fused="auto", lr=0.01):
    g, d = stylegan1(resolution)
    settings = {
        name: value
        for name, value in {"fused_scale": fused, "mapping_lrmul": lr}.items()
        if value not in ("auto", 0.01)
    }
    content = stylegan1_pickle((g, d), settings, {"mbstd_group_size": 2, "fused_scale": fused})
    return Case([content], g, {"fused": fused}, d, 2)


def _pulse(resolution, split):
    variables = stylegan1(resolution)[0]
    contents = (
        [files.zipped(part) for part in pulse(variables)]
        if split
        else [files.legacy(pulse_one(variables))]
    )
    return Case(contents, variables, {"eps": 1e-5})


def _pggan(fused, **names):
    g, d = pggan(fused=fused)
    settings = {} if fused else {"fused_scale": False}
    return Case([pggan_pickle((g, d), settings, settings, **names)], g, {"fused": fused}, d)


def _pggan_by_stylegan1():
    """StyleGAN1's code keeps PGGAN's fused kernels [k, k, inputs, outputs]."""
    (g, d), up = pggan(), "Conv0_up/weight"
    swapped = {
        name: array.transpose(0, 1, 3, 2) if name.endswith(up) else array
        for name, array in g.items()
    }
    return Case([pggan_pickle((swapped, d), kind=files.NETWORK)], g, {"fused": True}, d)


def noise_of(variables):
    """StyleGAN1's noise maps."""
    count = sum(name.startswith("synthesis/noise") for name in variables)
    return [variables[f"synthesis/noise{i}"][0, 0] for i in range(count)]


def _torch(write, pack, fused=False, bias=()):
    variables = pggan(fused=fused)[0]
    if bias:
        variables["4x4/Dense/bias"] = (
            np.random.default_rng(7).normal(size=(8, *bias)).astype(np.float32)
        )
    return Case([pack(write(variables))], variables, {"fused": fused})


STYLEGAN1 = {
    "TensorFlow": lambda: _stylegan1(128),
    "TensorFlow, fused": lambda: _stylegan1(16, True, 0.02),
    "TensorFlow, not fused": lambda: _stylegan1(128, False),
    "PULSE": lambda: _pulse(128, True),
    "PULSE in one file": lambda: _pulse(16, False),
}
PGGAN = {
    "PGGAN TensorFlow": lambda: _pggan(True),
    "PGGAN TensorFlow, not fused": lambda: _pggan(False),
    "PGGAN TensorFlow, NVIDIA's own": lambda: _pggan(
        False, names=("G_paper", "D_paper", "G_paper")
    ),
    "PGGAN by StyleGAN1": _pggan_by_stylegan1,
    "genforce": lambda: _torch(genforce, files.legacy),
    "genforce, fused": lambda: _torch(genforce, files.zipped, True),
    "ptrblck": lambda: _torch(ptrblck, files.zipped),
    "zoo": lambda: _torch(zoo, files.legacy, bias=(4, 4)),
    "zoo, not averaged": lambda: _torch(
        lambda v: zoo(v, averaged=False), files.zipped, bias=(4, 4)
    ),
}
