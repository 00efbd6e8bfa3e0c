"""Writes small state dicts of BigGAN-PyTorch and of pytorch-pretrained-BigGAN, every array random,
by the names of the released code."""

import functools
import itertools
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import reference_biggan as reference
from ports_files import Tensor, Written, legacy, zipped

from jaxsr.nets import biggan

NAMES = {"theta": "theta", "phi": "phi", "g": "g", "o": "o"}
DEEP_NAMES = {
    "theta": "snconv1x1_theta",
    "phi": "snconv1x1_phi",
    "g": "snconv1x1_g",
    "o": "snconv1x1_o_conv",
}


class Shallow(NamedTuple):
    """A BigGAN.

    channels: width that each block of the generator takes, then that of the last one's output;
        attention: blocks before it, 0: none.
    part: noise of each block besides the class; first: noise of the first layer; vector: length of
        a class's vector.
    statistics: "stored", "bn.stored" (mybn) or "bn.running" (cross replica).
    vectors: what its spectrally normalised layers have; TensorFlow Hub's converter writes no "sv0",
        and with () none is normalised.
    below: width that each block of the discriminator puts out.
    """

    channels: tuple
    attention: int = 0
    part: int = 3
    first: int = 3
    vector: int = 5
    classes: int = 7
    statistics: str = "stored"
    vectors: tuple = ("u0", "sv0")
    below: tuple = ()
    below_attention: int = 0


class Deep(NamedTuple):
    """A BigGAN-deep: channels as in `Shallow`; z is as long as the class's vector."""

    channels: tuple
    attention: int = 8
    vector: int = 6
    classes: int = 9
    statistics: int = 51


class State(dict):
    """A state dict of arrays that is being drawn; `sides` are the singular vectors that a kernel
    gets."""

    def __init__(self, seed, sides):
        super().__init__()
        self.rng, self.sides = np.random.default_rng(seed), sides

    def normal(self, name, *shape, scale=1.0, mean=0.0):
        self[name] = np.asarray(mean + scale * self.rng.normal(size=shape), np.float32)

    def variances(self, name, *shape, small=False):
        """Some so small, where it is asked for, that the eps shows."""
        self[name] = self.rng.uniform(1, 3, shape).astype(np.float32)
        self[name][..., ::4] *= 0.03 if small else 1

    def layer(self, name, outputs, *inputs, bias=True):
        """A spectrally normalised layer; its vectors are those of a step or two of the power
        iteration, so not yet converged."""
        kernel = self.rng.normal(size=(outputs, *inputs)).astype(np.float32)
        matrix, u = kernel.reshape(outputs, -1), self.rng.normal(size=outputs).astype(np.float32)
        v = u @ matrix / np.linalg.norm(u @ matrix)
        u = matrix @ v / np.linalg.norm(matrix @ v)
        if bias:
            self.normal(f"{name}.bias", outputs, scale=0.3)
        if "weight_u" in self.sides:
            self |= {f"{name}.weight_orig": kernel, f"{name}.weight_u": u, f"{name}.weight_v": v}
        else:
            vectors = {f"{name}.u0": u[None], f"{name}.sv0": u[:1]}
            self |= {f"{name}.weight": kernel if self.sides else kernel / np.linalg.norm(matrix, 2)}
            self |= {
                key: vector for key, vector in vectors.items() if key.split(".")[-1] in self.sides
            }

    def attention(self, name, width, names):
        for kind, (outputs, inputs) in {
            "theta": (width // 8, width),
            "phi": (width // 8, width),
            "g": (width // 2, width),
        }.items():
            self.layer(f"{name}.{names[kind]}", outputs, inputs, 1, 1, bias=False)
        self.layer(f"{name}.{names['o']}", width, width // 2, 1, 1, bias=False)


def generator(sizes, seed=0):
    state = State(seed, sizes.vectors)
    state.normal("shared.weight", sizes.classes, sizes.vector)
    state.layer("linear", 16 * sizes.channels[0], sizes.first)

    def statistics(name, width, small=False):
        state.normal(f"{name}.{sizes.statistics}_mean", width, scale=0.3)
        state.variances(f"{name}.{sizes.statistics}_var", width, small=small)
        if sizes.statistics == "bn.stored":
            state[f"{name}.bn.accumulation_counter"] = np.zeros(1, np.float32)
        if sizes.statistics == "bn.running":
            state[f"{name}.bn.num_batches_tracked"] = np.asarray(70)

    for i, (inputs, outputs) in enumerate(pairwise(sizes.channels)):
        block = f"blocks.{i}.0"
        state.layer(f"{block}.conv1", outputs, inputs, 3, 3)
        state.layer(f"{block}.conv2", outputs, outputs, 3, 3)
        state.layer(f"{block}.conv_sc", outputs, inputs, 1, 1)
        for name, width in (("bn1", inputs), ("bn2", outputs)):
            for kind in ("gain", "bias"):
                state.layer(f"{block}.{name}.{kind}", width, sizes.vector + sizes.part, bias=False)
            statistics(f"{block}.{name}", width, i == 0)
        if i + 1 == sizes.attention:
            state.attention(f"blocks.{i}.1", outputs, NAMES)
            state.normal(f"blocks.{i}.1.gamma", scale=0.1, mean=0.7)
    state.normal("output_layer.0.gain", sizes.channels[-1], scale=0.15, mean=0.5)
    state.normal("output_layer.0.bias", sizes.channels[-1], scale=0.3)
    statistics("output_layer.0", sizes.channels[-1], True)
    state.layer("output_layer.2", 3, sizes.channels[-1], 3, 3)
    return dict(state)


def discriminator(sizes, seed=1):
    state = State(seed, ("u0", "sv0"))
    side = 4 << (len(sizes.channels) - 1)
    halvings = 2 if side == 32 else len(sizes.below) - 1
    for i, (inputs, outputs) in enumerate(pairwise((3, *sizes.below))):
        block = f"blocks.{i}.0"
        state.layer(f"{block}.conv1", outputs, inputs, 3, 3)
        state.layer(f"{block}.conv2", outputs, outputs, 3, 3)
        if i < halvings or inputs != outputs:
            state.layer(f"{block}.conv_sc", outputs, inputs, 1, 1)
        if i + 1 == sizes.below_attention:
            state.attention(f"blocks.{i}.1", outputs, NAMES)
            state.normal(f"blocks.{i}.1.gamma", scale=0.1, mean=0.7)
    state.layer("linear", 1, sizes.below[-1])
    state.layer("embed", sizes.classes, sizes.below[-1], bias=False)
    return dict(state)


def deep(sizes, seed=2):
    state = State(seed, ("weight_u", "weight_v"))
    state.normal("embeddings.weight", sizes.vector, sizes.classes)
    state.layer("generator.gen_z", 16 * sizes.channels[0], 2 * sizes.vector)

    def statistics(name, width, small=False):
        state.normal(f"{name}.running_means", sizes.statistics, width, scale=0.3)
        state.variances(f"{name}.running_vars", sizes.statistics, width, small=small)

    for i, (inputs, outputs) in enumerate(pairwise(sizes.channels)):
        name, middle = f"generator.layers.{i + (0 < sizes.attention <= i)}", inputs // 4
        widths = [inputs, middle, middle, middle, outputs]
        for j, side in enumerate((1, 3, 3, 1)):
            for kind in ("scale", "offset"):
                state.layer(f"{name}.bn_{j}.{kind}", widths[j], 2 * sizes.vector, bias=False)
            statistics(f"{name}.bn_{j}", widths[j], i == 0)
            state.layer(f"{name}.conv_{j}", widths[j + 1], widths[j], side, side)
        if i + 1 == sizes.attention:
            state.attention(f"generator.layers.{i + 1}", outputs, DEEP_NAMES)
            state.normal(f"generator.layers.{i + 1}.gamma", 1, scale=0.1, mean=0.7)
    state.normal("generator.bn.weight", sizes.channels[-1], scale=0.05, mean=0.15)
    state.normal("generator.bn.bias", sizes.channels[-1], scale=0.3)
    statistics("generator.bn", sizes.channels[-1], True)
    state.layer("generator.conv_to_rgb", sizes.channels[-1], sizes.channels[-1], 3, 3)
    return dict(state)


def tensors(state):
    return {name: Tensor(array) for name, array in state.items()}


SHALLOW = {
    "32 px, cross replica": Shallow(
        (8, 8, 8, 8),
        attention=2,
        part=0,
        first=4,
        statistics="bn.running",
        below=(8, 8, 8, 8),
        below_attention=1,
    ),
    "64 px, mybn": Shallow(
        (12, 10, 8, 6, 16),
        attention=4,
        statistics="bn.stored",
        below=(8, 5, 6, 7, 9),
        below_attention=1,
    ),
    "128 px": Shallow(
        (12, 10, 9, 6, 8, 4), attention=4, below=(8, 5, 6, 7, 9, 9), below_attention=1
    ),
    "256 px, no attention": Shallow((12, 10, 8, 6, 5, 4, 3)),
    "16 px, not normalised": Shallow((8, 6, 6), vectors=()),
    "16 px, from TensorFlow Hub": Shallow((12, 16, 3), attention=1, vectors=("u0",)),
    "512 px, from TensorFlow Hub": Shallow(
        (12, 10, 8, 7, 16, 4, 3, 2), attention=4, vectors=("u0",)
    ),
}
DEEP = {
    "deep 8 px": Deep((16, 16, 8), attention=1),
    "deep 128 px": Deep((64, 64, 64, 64, 32, 32, 16, 16, 8, 8, 4)),
    "deep 256 px": Deep((64, 64, 64, 64, 32, 32, 32, 32, 16, 16, 8, 8, 4)),
    "deep 512 px": Deep((64, 64, 64, 64, 32, 32, 32, 32, 16, 16, 8, 8, 4, 4, 4)),
}
LABEL = 3
BETWEEN = 0.405  # a quarter of the way from the 21st to the 22nd of 51 statistics
TRUNCATIONS = {"deep 128 px": 0.4, "deep 256 px": BETWEEN}
LARGE = ("256 px, no attention", "512 px, from TensorFlow Hub", "deep 256 px", "deep 512 px")
CONFIG = biggan.Config((8, 8), attention=1, z_dim=4, z_part=2, shared_dim=4, classes=3, label=1)


@functools.cache
def states(name):
    """The networks of a format, [generator] or [generator, discriminator]."""
    if name in DEEP:
        return [deep(DEEP[name])]
    sizes = SHALLOW[name]
    return [generator(sizes)] + ([discriminator(sizes)] if sizes.below else [])


def packed(contents, forms=(zipped, legacy)):
    """Files of state dicts, in torch's two formats by turns."""
    return [form(tensors(state)) for form, state in zip(itertools.cycle(forms), contents)]


def vector(name, label=LABEL):
    """What the generator's file has for a class."""
    state = states(name)[0]
    return np.float64(
        state["embeddings.weight"][:, label] if name in DEEP else state["shared.weight"][label]
    )


def image(name, z, label=LABEL, truncation=1.0):
    """What the paper's network draws, [3, H, W] in [-1, 1]."""
    state, z = states(name)[0], np.float64(z)
    if name in DEEP:
        return reference.deep_generator(state, z, vector(name, label), truncation)
    return reference.generator(state, z, vector(name, label), 1e-4 if "Hub" in name else 1e-5)


def _logits(name):
    def logits(photos):
        scored = [reference.discriminator(states(name)[1], photo, LABEL) for photo in photos]
        logits, features = zip(*scored, strict=True)
        return np.array(logits), [np.stack(block) for block in zip(*features, strict=True)]

    return logits


def _written(name):
    chosen = {"label": LABEL, "truncation": TRUNCATIONS.get(name)}
    return Written(
        packed(states(name)),
        lambda z, noise: image(name, z, truncation=chosen["truncation"] or 1.0),
        logits=_logits(name) if len(states(name)) > 1 else None,
        chosen=chosen,
    )


FORMATS = {name: functools.partial(_written, name) for name in SHALLOW | DEEP}


# What can be wrong with a state dict: each changes one.


def without(prefix):
    def change(state):
        for name in [name for name in state if name.startswith(prefix)]:
            del state[name]

    return change


def cut(name):
    return lambda state: state.update({name: state[name][..., :-1]})


def zero(name):
    return lambda state: state.update({name: 0 * state[name]})


def empty(layer):
    return lambda state: state.update(
        {
            f"{layer}.weight": state[f"{layer}.weight"][:0],
            f"{layer}.u0": state[f"{layer}.u0"][:, :0],
        }
    )


def second_attention(state):
    """Where there is one, of whichever block."""
    (place,) = {name.split(".")[1] for name in state if ".1.gamma" in name}
    other = f"blocks.{1 - int(place)}.1."
    state |= {
        name.replace(f"blocks.{place}.1.", other): array
        for name, array in state.items()
        if f"blocks.{place}.1." in name
    }


def one_embedding_a_layer(state):
    """G_shared False: every layer has a vector of its own for each class."""
    classes = len(state.pop("shared.weight"))
    for name in [name for name in state if ".gain." in name or ".bias." in name]:
        array = state.pop(name)
        if name.endswith("weight"):
            state[name] = np.zeros((classes, len(array)), np.float32)


def thin(state):
    """D_wide False: a block's first layer keeps the width."""
    width = state["blocks.1.0.conv1.weight"].shape[1]
    state["blocks.1.0.conv1.weight"], state["blocks.1.0.conv1.u0"] = (
        np.ones((width, width, 3, 3), "f4"),
        np.ones((1, width), "f4"),
    )
    state["blocks.1.0.conv1.bias"], kernel = np.ones(width, "f4"), state["blocks.1.0.conv2.weight"]
    state["blocks.1.0.conv2.weight"] = np.ones((len(kernel), width, 3, 3), "f4")


def standing_sums(state):
    """Saved while standing statistics are being gathered: sums over so many batches."""
    for name in state:
        if name.endswith("accumulation_counter"):
            state[name] = np.full(1, 16, np.float32)
