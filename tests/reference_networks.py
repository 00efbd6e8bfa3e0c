"""Slow float64 networks in numpy, written from the papers' tables and torchvision's layer lists,
and small random parameters for them."""

import jax
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from jaxsr.nets import iresnet

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def small(init, by=16):
    """Random parameters of `init`'s tree with every width divided by `by`: widths of 16 up are
    multiples of it in these networks."""
    random = np.random.default_rng(0)

    def draw(path, leaf):
        shape = tuple(n // by if n >= 16 else n for n in leaf.shape)
        name = getattr(path[-1], "key", None)
        if name == "kernel":
            return (random.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
        return (
            random.uniform(0.5, 1.5, shape)
            if name in ("var", "scale")
            else random.normal(0, 0.2, shape)
        ).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(init, jax.random.key(0)))


def shallow():
    """Random parameters of an IR-101 with two units a stage."""
    params = small(iresnet.init)
    return params | {"stages": [stage[:2] for stage in params["stages"]]}


def relu(x):
    return np.maximum(x, 0)


def windows(x, rows, columns, stride, fill, before, after):
    """[h', w', c, rows, columns] of x padded with `fill`; before and after: (rows, columns)
    added."""
    x = np.pad(x, [*zip(before, after, strict=True), (0, 0)], constant_values=fill)
    return sliding_window_view(x, (rows, columns), (0, 1))[::stride, ::stride]


def conv(layer, x, stride=1, pad=(0, 0)):
    kernel = layer["kernel"].astype(np.float64)
    return np.einsum(
        "hwcij,ijcd->hwd", windows(x, *kernel.shape[:2], stride, 0, pad, pad), kernel, optimize=True
    )


def biased(layer, x, stride=1, pad=0):
    return relu(conv(layer, x, stride, (pad, pad)) + layer["bias"])


def pool(x, size, stride, pad=0, ceil=False):
    """torch's MaxPool2d, ceil mode by its own formula for the output's size."""
    ends = [pad, pad]
    if ceil:
        outs = [-(-(n - size) // stride) + 1 for n in x.shape[:2]]
        ends = [(out - 1) * stride + size - n for out, n in zip(outs, x.shape[:2], strict=True)]
    return windows(x, size, size, stride, -np.inf, (pad, pad), ends).max((3, 4))


def mean(x):
    """3 x 3 average that does not count the padding."""
    return np.nanmean(windows(x, 3, 3, 1, np.nan, (1, 1), (1, 1)), (3, 4))


def norm(layer, x, eps):
    return (x - layer["mean"]) / np.sqrt(layer["var"].astype(np.float64) + eps) * layer[
        "scale"
    ] + layer["bias"]


def resize(image, side):
    """Bilinear between pixel centres, coordinates clamped at the border, no antialiasing."""

    def matrix(n):
        at = np.clip((np.arange(side) + 0.5) * n / side - 0.5, 0, n - 1)
        low = np.minimum(np.floor(at).astype(int), n - 1)
        m = np.zeros((side, n))
        np.add.at(m, (np.arange(side), low), 1 - (at - low))
        np.add.at(m, (np.arange(side), np.minimum(low + 1, n - 1)), at - low)
        return m

    rows = np.einsum("ih,hwc->iwc", matrix(image.shape[0]), image.astype(np.float64), optimize=True)
    return np.einsum("jw,iwc->ijc", matrix(image.shape[1]), rows, optimize=True)


def alexnet(params, image):
    p = params
    a = biased(p["conv1"], (image.astype(np.float64) - MEAN) / STD, 4, 2)
    b = biased(p["conv2"], pool(a, 3, 2), 1, 2)
    c = biased(p["conv3"], pool(b, 3, 2), 1, 1)
    d = biased(p["conv4"], c, 1, 1)
    return [a, b, c, d, biased(p["conv5"], d, 1, 1)]


def vgg16(params, image):
    """The widths of configuration D of the paper, 0 for a pool, give the names."""
    x, block, i, maps = (image.astype(np.float64) - MEAN) / STD, 1, 1, []
    for entry in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        if not entry:
            maps.append(x)
            x, block, i = pool(x, 2, 2), block + 1, 1
        else:
            x, i = biased(params[f"conv{block}_{i}"], x, 1, 1), i + 1
    return [*maps, x]


def squeezenet(params, image):
    def fire(n, x):
        p = params[f"fire{n}"]
        s = biased(p["squeeze"], x)
        return np.concatenate([biased(p["expand1"], s), biased(p["expand3"], s, 1, 1)], -1)

    first = biased(params["conv1"], (image.astype(np.float64) - MEAN) / STD, 2)
    second = fire(3, fire(2, pool(first, 3, 2, ceil=True)))
    third = fire(5, fire(4, pool(second, 3, 2, ceil=True)))
    rest = [fire(6, pool(third, 3, 2, ceil=True))]
    for n in (7, 8, 9):
        rest.append(fire(n, rest[-1]))
    return [first, second, third, *rest]


def cell(p, name, x, stride=1, valid=False):
    rows, columns = p[name]["kernel"].shape[:2]
    pad = (0, 0) if valid else (rows // 2, columns // 2)
    return relu(norm(p[name], conv(p[name], x, stride, pad), 1e-3))


def chain(p, x, *names):
    for name in names:
        x = cell(p, name, x)
    return x


def mixed(p, x, branches, pooled):
    outs = [chain(p, x, *branch) for branch in branches]
    return np.concatenate([*outs, cell(p, "branch_pool", pooled(x))], -1)


def last_mixed(p, x, pooled):
    three, double = cell(p, "branch3x3_1", x), chain(p, x, "branch3x3dbl_1", "branch3x3dbl_2")
    ends = [cell(p, f"branch3x3_2{i}", three) for i in "ab"] + [
        cell(p, f"branch3x3dbl_3{i}", double) for i in "ab"
    ]
    return np.concatenate([cell(p, "branch1x1", x), *ends, cell(p, "branch_pool", pooled(x))], -1)


def reduced(p, x, *names):
    return cell(p, names[-1], chain(p, x, *names[:-1]), 2, True)


def inception(params, image):
    """Table 1 and figures 5 to 7 and 10 of arXiv:1512.00567, with the average pools and the last
    maximum pool of FID's graph."""
    x = cell(params, "conv2d_1a_3x3", 2 * resize(image, 299) - 1, 2, True)
    x = cell(params, "conv2d_2b_3x3", cell(params, "conv2d_2a_3x3", x, 1, True))
    x = cell(params, "conv2d_3b_1x1", pool(x, 3, 2))
    x = pool(cell(params, "conv2d_4a_3x3", x, 1, True), 3, 2)
    five = ["branch1x1"], ["branch5x5_1", "branch5x5_2"], [f"branch3x3dbl_{i}" for i in (1, 2, 3)]
    for letter in "bcd":
        x = mixed(params[f"mixed_5{letter}"], x, five, mean)
    p = params["mixed_6a"]
    double = reduced(p, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    x = np.concatenate([reduced(p, x, "branch3x3"), double, pool(x, 3, 2)], -1)
    six = (
        ["branch1x1"],
        [f"branch7x7_{i}" for i in (1, 2, 3)],
        [f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)],
    )
    for letter in "bcde":
        x = mixed(params[f"mixed_6{letter}"], x, six, mean)
    p = params["mixed_7a"]
    long = reduced(p, x, *[f"branch7x7x3_{i}" for i in (1, 2, 3, 4)])
    x = np.concatenate([reduced(p, x, "branch3x3_1", "branch3x3_2"), long, pool(x, 3, 2)], -1)
    x = last_mixed(params["mixed_7b"], x, mean)
    return last_mixed(params["mixed_7c"], x, lambda x: pool(x, 3, 1, 1)).mean((0, 1))


def ir101(params, image):
    """[112, 112, 3] only."""

    def prelu(layer, x):
        return relu(x) - layer["slope"] * relu(-x)

    x = 2 * image.astype(np.float64) - 1
    x = prelu(params["input"], norm(params["input"], conv(params["input"], x, 1, (1, 1)), 1e-5))
    for stage in params["stages"]:
        for stride, p in zip([2] + [1] * (len(stage) - 1), stage, strict=True):
            y = prelu(p["conv1"], conv(p["conv1"], norm(p["norm1"], x, 1e-5), 1, (1, 1)))
            y = norm(p["conv2"], conv(p["conv2"], y, stride, (1, 1)), 1e-5)
            short = (
                norm(p["shortcut"], conv(p["shortcut"], x, stride), 1e-5)
                if "shortcut" in p
                else pool(x, 1, stride)
            )
            x = y + short
    head = params["output"]
    flat = (
        norm(head["norm"], x, 1e-5).reshape(-1)
        @ head["kernel"].reshape(-1, head["kernel"].shape[-1])
        + head["bias"]
    )
    flat = (flat - head["mean"]) / np.sqrt(head["var"] + 1e-5)
    return flat / np.linalg.norm(flat)
