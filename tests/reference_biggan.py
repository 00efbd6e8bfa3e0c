"""BigGAN and BigGAN-deep in slow float64 NumPy, NCHW, from the paper's appendix B; parameters are
the released PyTorch code's state dicts.

Spectral normalisation is computed where a kernel is used: one step of the power iteration from u0,
or u^T W v with both vectors.
"""

import re

import numpy as np
from reference_stylegan2 import correlate


def array(state, name):
    return np.asarray(state[name], np.float64)


def unit(x):
    return x / np.sqrt(np.sum(x**2))


def weight(state, name):
    """The kernel of a layer, over its largest singular value where the file has vectors of it."""
    if f"{name}.weight_orig" in state:
        kernel = array(state, f"{name}.weight_orig")
        u, v = array(state, f"{name}.weight_u"), array(state, f"{name}.weight_v")
        return kernel / np.einsum("i,ij,j", u, kernel.reshape(len(kernel), -1), v)
    kernel = array(state, f"{name}.weight")
    if f"{name}.u0" not in state:
        return kernel
    matrix = kernel.reshape(len(kernel), -1)
    v = unit(array(state, f"{name}.u0")[0] @ matrix)
    u = unit(matrix @ v)
    return kernel / (v @ matrix.T @ u)


def linear(state, name, x):
    y = weight(state, name) @ x
    return y + array(state, f"{name}.bias") if f"{name}.bias" in state else y


def conv(state, name, x):
    kernel = weight(state, name)
    y = correlate(x, kernel, kernel.shape[-1] // 2)
    return y + array(state, f"{name}.bias")[:, None, None] if f"{name}.bias" in state else y


def relu(x):
    return np.maximum(x, 0)


def up(x):
    return np.kron(x, np.ones((1, 2, 2)))


def quarters(x):
    """[c, h, w] -> [c, h/2, w/2, 4]: the pixels that become one."""
    return np.stack([x[:, i::2, j::2] for i in range(2) for j in range(2)], -1)


def normalise(x, mean, var, gain, bias, eps):
    mean, var, gain, bias = (a[:, None, None] for a in (mean, var, gain, bias))
    return relu((x - mean) / np.sqrt(var + eps) * gain + bias)


def attend(state, names, gamma, x):
    """`names`: of the layers that give queries, keys and values, and of the one behind them."""
    query, key, value = (conv(state, name, x) for name in names[:3])
    key, value = (quarters(a).max(-1).reshape(len(a), -1) for a in (key, value))
    scores = query.reshape(len(query), -1).T @ key  # [pixel, seen pixel]
    scores = np.exp(scores - scores.max(1, keepdims=True))
    seen = value @ (scores / scores.sum(1, keepdims=True)).T
    return x + array(state, gamma).reshape(()) * conv(
        state, names[3], seen.reshape(-1, *x.shape[1:])
    )


def count(state, pattern):
    return len({m[1] for name in state if (m := re.match(pattern, name))})


def shallow_statistics(state, name):
    """Standing statistics of the three kinds of batch normalisation in BigGAN-PyTorch."""
    (kind,) = [
        kind for kind in ("stored", "bn.stored", "bn.running") if f"{name}.{kind}_mean" in state
    ]
    return array(state, f"{name}.{kind}_mean"), array(state, f"{name}.{kind}_var")


def generator(state, z, vector, eps):
    """BigGAN-PyTorch's state dict, z and the class's vector -> [3, H, W] in [-1, 1]; `eps` is that
    of the class-conditional layers."""
    blocks = count(state, r"blocks\.(\d+)\.")
    hierarchical = array(state, "blocks.0.0.bn1.gain.weight").shape[1] > len(vector)
    parts = np.split(z, blocks + 1) if hierarchical else [z, *[[]] * blocks]
    x = linear(state, "linear", parts[0]).reshape(-1, 4, 4)
    for i, part in enumerate(parts[1:]):
        condition, name = np.concatenate([vector, part]), f"blocks.{i}.0"

        def norm(x, bn, name=name, condition=condition):
            gain, bias = (
                linear(state, f"{name}.{bn}.{kind}", condition) for kind in ("gain", "bias")
            )
            return normalise(x, *shallow_statistics(state, f"{name}.{bn}"), 1 + gain, bias, eps)

        h = conv(state, f"{name}.conv1", up(norm(x, "bn1")))
        x = conv(state, f"{name}.conv2", norm(h, "bn2")) + conv(state, f"{name}.conv_sc", up(x))
        if f"blocks.{i}.1.gamma" in state:
            x = attend(
                state,
                [f"blocks.{i}.1.{n}" for n in ("theta", "phi", "g", "o")],
                f"blocks.{i}.1.gamma",
                x,
            )
    gain, bias = array(state, "output_layer.0.gain"), array(state, "output_layer.0.bias")
    x = normalise(x, *shallow_statistics(state, "output_layer.0"), gain, bias, 1e-5)
    return np.tanh(conv(state, "output_layer.2", x))


def discriminator(state, image, label):
    """BigGAN-PyTorch's state dict and an image [3, H, W] in [-1, 1] -> (logit, features after each
    block)."""
    blocks = count(state, r"blocks\.(\d+)\.")
    halvings = 2 if image.shape[-1] == 32 else blocks - 1
    x, features = image, []
    for i in range(blocks):
        name = f"blocks.{i}.0"
        h = conv(state, f"{name}.conv2", relu(conv(state, f"{name}.conv1", relu(x) if i else x)))
        x = conv(state, f"{name}.conv_sc", x) if f"{name}.conv_sc.weight" in state else x
        x = (quarters(h).mean(-1) + quarters(x).mean(-1)) if i < halvings else h + x
        if f"blocks.{i}.1.gamma" in state:
            x = attend(
                state,
                [f"blocks.{i}.1.{n}" for n in ("theta", "phi", "g", "o")],
                f"blocks.{i}.1.gamma",
                x,
            )
        features.append(x)
    total = relu(x).sum((1, 2))
    return linear(state, "linear", total)[0] + weight(state, "embed")[label] @ total, features


def deep_statistics(state, name, truncation):
    """Of 51 truncations; between two of them on the line that joins them."""
    means, variances = array(state, f"{name}.running_means"), array(state, f"{name}.running_vars")
    place = truncation * (len(means) - 1)
    return [
        np.array([np.interp(place, np.arange(len(a)), column) for column in a.T])
        for a in (means, variances)
    ]


def deep_generator(state, z, vector, truncation):
    """pytorch-pretrained-BigGAN's state dict, z and the class's vector -> [3, H, W] in [-1, 1]."""
    condition = np.concatenate([z, vector])
    x = linear(state, "generator.gen_z", condition).reshape(4, 4, -1).transpose(2, 0, 1)
    blocks = 0
    for i in range(count(state, r"generator\.layers\.(\d+)\.")):
        name = f"generator.layers.{i}"
        if f"{name}.gamma" in state:
            x = attend(
                state,
                [f"{name}.snconv1x1_{n}" for n in ("theta", "phi", "g", "o_conv")],
                f"{name}.gamma",
                x,
            )
            continue
        h, doubles = x, blocks % 2 == 1
        blocks += 1
        for j in range(4):
            gain, bias = (
                linear(state, f"{name}.bn_{j}.{kind}", condition) for kind in ("scale", "offset")
            )
            h = normalise(
                h, *deep_statistics(state, f"{name}.bn_{j}", truncation), 1 + gain, bias, 1e-4
            )
            h = conv(state, f"{name}.conv_{j}", up(h) if doubles and j == 1 else h)
        x = x[: len(h)]
        x = h + (up(x) if doubles else x)
    gain, bias = array(state, "generator.bn.weight"), array(state, "generator.bn.bias")
    x = normalise(x, *deep_statistics(state, "generator.bn", truncation), gain, bias, 1e-4)
    return np.tanh(conv(state, "generator.conv_to_rgb", x)[:3])
