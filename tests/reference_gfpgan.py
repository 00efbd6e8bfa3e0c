"""GFPGAN in slow float64 NumPy, from the arrays of an official file under their own names: version
1 with its layers equalised, its gains and its filter, the clean networks with linear interpolation
by its definition. NCHW, one image."""

import numpy as np
from reference_stylegan2 import SQRT2, conv_down, conv_up, correlate, downsample, lrelu, upsample

DECODER = "stylegan_decoder."


def linear(outputs, inputs):
    """The matrix of linear interpolation between the centres of pixels, which repeats the edge."""
    matrix = np.zeros((outputs, inputs))
    for i in range(outputs):
        at = np.clip((i + 0.5) * inputs / outputs - 0.5, 0, inputs - 1)
        before = int(at)
        matrix[i, before] += 1 - (at - before)
        matrix[i, min(before + 1, inputs - 1)] += at - before
    return matrix


def resized(x, side):
    matrix = linear(side, x.shape[1])
    return np.einsum("ih,jw,chw->cij", matrix, matrix, x)


def weight(state, name, first):
    w = state[name]
    return w / np.sqrt(np.prod(w.shape[1:])) if first else w


def conv(state, name, x, first, bias="bias"):
    kernel = weight(state, f"{name}.weight", first)
    return correlate(x, kernel, kernel.shape[-1] // 2) + state[f"{name}.{bias}"][:, None, None]


def activated(state, name, x, first):
    if not first:
        return lrelu(conv(state, name, x, False), 1)
    kernel = weight(state, f"{name}.0.weight", True)
    y = correlate(x, kernel, kernel.shape[-1] // 2)
    return lrelu(y + state[f"{name}.1.bias"][:, None, None])


def down(state, name, x, first):
    y, half = activated(state, f"{name}.conv1", x, first), x.shape[1] // 2
    if not first:
        y = lrelu(conv(state, f"{name}.conv2", resized(y, half), False), 1)
        return y + correlate(resized(x, half), state[f"{name}.skip.weight"], 0)
    y = conv_down(y, weight(state, f"{name}.conv2.1.weight", True))
    y = lrelu(y + state[f"{name}.conv2.2.bias"][:, None, None])
    skip = correlate(downsample(x), weight(state, f"{name}.skip.1.weight", True), 0)
    return (y + skip) / SQRT2


def up(state, name, x, first):
    y, twice = activated(state, f"{name}.conv1", x, first), 2 * x.shape[1]
    bias = "activation.bias" if first else "bias"
    y = conv(state, f"{name}.conv2", resized(y, twice), first, bias)
    skip = correlate(resized(x, twice), weight(state, f"{name}.skip.weight", first), 0)
    return (lrelu(y) + skip) / SQRT2 if first else lrelu(y, 1) + skip


def condition(state, name, x, first):
    y = lrelu(conv(state, f"{name}.0", x, first), SQRT2 if first else 1)
    return conv(state, f"{name}.2", y, first)


def dense(state, name, x, first):
    return weight(state, f"{name}.weight", first) @ x + state[f"{name}.bias"]


def modulated(state, name, w, first):
    style = dense(state, f"{name}.modulated_conv.modulation", w, first)
    kernel = state[f"{name}.modulated_conv.weight"][0]
    kernel = kernel / np.sqrt(np.prod(kernel.shape[1:])) if first else kernel
    return kernel * style[None, :, None, None]


def layer(state, name, x, w, noise, first, up=False):
    kernel = modulated(state, name, w, first)
    kernel = kernel / np.sqrt(np.sum(kernel**2, (1, 2, 3), keepdims=True) + 1e-8)
    if up and first:
        y = conv_up(x, kernel)
    else:
        y = correlate(resized(x, 2 * x.shape[1]) if up else x, kernel, 1)
    bias = state[f"{name}.activate.bias" if first else f"{name}.bias"].reshape(-1, 1, 1)
    y = (y if first else y * SQRT2) + state[f"{name}.weight"] * noise + bias
    return lrelu(y, SQRT2 if first else 1)


def to_rgb(state, name, x, w, first):
    kernel = modulated(state, name, w, first)
    return correlate(x, kernel, 0) + state[f"{name}.bias"].reshape(3, 1, 1)


def decoded(state, codes, conditions, noise, first):
    x = state[DECODER + "constant_input.weight"][0]
    x = layer(state, DECODER + "style_conv1", x, codes[0], noise[0], first)
    rgb = to_rgb(state, DECODER + "to_rgb1", x, codes[1], first)
    for i, (scale, shift) in enumerate(conditions):
        n, convs = 2 * i + 1, [f"{DECODER}style_convs.{2 * i + j}" for j in range(2)]
        x = layer(state, convs[0], x, codes[n], noise[n], first, up=True)
        half = len(x) // 2
        x = np.concatenate([x[:half], x[half:] * scale + shift])
        x = layer(state, convs[1], x, codes[n + 1], noise[n + 1], first)
        rgb = upsample(rgb) if first else resized(rgb, 2 * rgb.shape[1])
        rgb = rgb + to_rgb(state, f"{DECODER}to_rgbs.{i}", x, codes[n + 2], first)
    return rgb


def restored(state, image):
    """state: {official name: array}; image [3, H, W] in [-1, 1] -> (image, images at 8, 16, ...
    px), with the noise of the file."""
    state = {name: np.asarray(array, np.float64) for name, array in state.items()}
    first = DECODER + "style_conv1.activate.bias" in state
    blocks = sum(name.startswith("toRGB") for name in state) // 2
    x, skips, conditions, images = activated(state, "conv_body_first", image, first), [], [], []
    for i in range(blocks):
        x = down(state, f"conv_body_down.{i}", x, first)
        skips.append(x)
    x = activated(state, "final_conv", x, first)
    codes = dense(state, "final_linear", x.reshape(-1), first).reshape(2 * blocks + 2, -1)
    for i in range(blocks):
        x = up(state, f"conv_body_up.{i}", x + skips.pop(), first)
        parts = [condition(state, f"condition_{p}.{i}", x, first) for p in ("scale", "shift")]
        conditions.append(parts)
        images.append(conv(state, f"toRGB.{i}", x, first))
    noise = [state[f"{DECODER}noises.noise{i}"][0, 0] for i in range(2 * blocks + 1)]
    return decoded(state, codes, conditions, noise, first), images
