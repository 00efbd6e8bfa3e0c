"""GPEN in slow float64 NumPy, written from the paper and from rosinality's layers, from the arrays
of an official file under their own names. NCHW, one image."""

import numpy as np
from reference_stylegan2 import conv_down, conv_up, correlate, lrelu, upsample


def equalised(w):
    return w / np.sqrt(np.prod(w.shape[1:]))


def encoded(state, image):
    """image [3, H, W] in [-1, 1] -> (z, maps from the finest on)."""
    x = correlate(image, equalised(state["ecd0.0.0.weight"]), 0)
    x = lrelu(x + state["ecd0.0.1.bias"][:, None, None])
    maps = [x]
    while x.shape[1] > 4:
        name = f"ecd{len(maps)}.0"
        x = conv_down(x, equalised(state[f"{name}.1.weight"]))
        x = lrelu(x + state[f"{name}.2.bias"][:, None, None])
        maps.append(x)
    z = equalised(state["final_linear.0.weight"]) @ x.reshape(-1)
    return lrelu(z + state["final_linear.0.bias"]), maps


def mapped(state, z, lr=0.01):
    x = z / np.sqrt(np.mean(z**2) + 1e-8)
    for i in range(1, sum(n.startswith("generator.style") for n in state) // 2 + 1):
        name = f"generator.style.{i}"
        x = lrelu(lr * (equalised(state[f"{name}.weight"]) @ x + state[f"{name}.bias"]))
    return x


def modulated(state, name, w):
    affine = f"{name}.conv.modulation"
    style = equalised(state[f"{affine}.weight"]) @ w + state[f"{affine}.bias"]
    return equalised(state[f"{name}.conv.weight"][0]) * style[None, :, None, None]


def layer(state, name, x, w, beside, up=False):
    kernel = modulated(state, name, w)
    kernel = kernel / np.sqrt(np.sum(kernel**2, (1, 2, 3), keepdims=True) + 1e-8)
    y = conv_up(x, kernel) if up else correlate(x, kernel, 1)
    y = np.concatenate([y, state[f"{name}.noise.weight"] * beside])
    return lrelu(y + state[f"{name}.activate.bias"][:, None, None])


def to_rgb(state, name, x, w):
    return correlate(x, modulated(state, name, w), 0) + state[f"{name}.bias"][0]


def restored(state, image):
    """state: {official name: array}; image [3, H, W] in [-1, 1] -> [3, H, W]."""
    state = {name: np.asarray(array, np.float64) for name, array in state.items()}
    z, maps = encoded(state, image)
    w = mapped(state, z)
    x = layer(state, "generator.conv1", state["generator.input.input"][0], w, maps[-1])
    rgb = to_rgb(state, "generator.to_rgb1", x, w)
    for i, beside in enumerate(maps[-2::-1]):
        convs = [f"generator.convs.{2 * i + j}" for j in range(2)]
        x = layer(state, convs[0], x, w, beside, up=True)
        x = layer(state, convs[1], x, w, beside)
        rgb = upsample(rgb) + to_rgb(state, f"generator.to_rgbs.{i}", x, w)
    return rgb
