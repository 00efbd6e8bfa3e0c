"""The U-Nets of DDPM and of ADM in slow float64 NumPy, written from the papers' descriptions and
the released networks' layer lists."""

import math

import numpy as np

EPS = {"ddpm": 1e-6, "adm": 1e-5}


def sigmoid_weighted(x):
    return x / (1 + np.exp(-x))


def convolution(params, x, stride=1, before=1, after=1):
    """A 3 x 3 correlation, one tap after the other."""
    kernel, (height, width, _) = params["kernel"], x.shape
    padded = np.pad(x, ((before, after), (before, after), (0, 0)))
    out = np.zeros((height // stride, width // stride, kernel.shape[3]))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            window = padded[stride * i : stride * i + 3, stride * j : stride * j + 3]
            out[i, j] = np.einsum("rsc,rscd->d", window, kernel)
    return out + params["bias"]


def line(params, x):
    return np.einsum("...c,cd->...d", x, params["kernel"]) + params["bias"]


def group_norm(config, params, x):
    out, size = np.empty_like(x), x.shape[2] // min(config.groups, x.shape[2])
    for first in range(0, x.shape[2], size):
        group = x[:, :, first : first + size]
        out[:, :, first : first + size] = (group - group.mean()) / math.sqrt(
            group.var() + EPS[config.family]
        )
    return out * params["scale"] + params["bias"]


def timestep(config, params, step):
    half = config.width // 2
    waves = np.empty(config.width)
    for i in range(half):
        if config.family == "ddpm":
            angle = step / 10000 ** (i / (half - 1))
            waves[i], waves[half + i] = math.sin(angle), math.cos(angle)
        else:
            angle = step / 10000 ** (i / half)
            waves[i], waves[half + i] = math.cos(angle), math.sin(angle)
    return line(params["dense1"], sigmoid_weighted(line(params["dense0"], waves)))


def block(config, params, x, emb, resample=lambda x: x):
    h = resample(sigmoid_weighted(group_norm(config, params["norm1"], x)))
    h = convolution(params["conv1"], h)
    moved = line(params["time"], sigmoid_weighted(emb))
    if config.family == "ddpm":
        h = group_norm(config, params["norm2"], h + moved)
    else:
        channels = h.shape[2]
        h = group_norm(config, params["norm2"], h) * (1 + moved[:channels]) + moved[channels:]
    h = convolution(params["conv2"], sigmoid_weighted(h))
    x = resample(x)
    return h + (line(params["skip"], x) if "skip" in params else x)


def attention(config, params, x):
    height, width, channels = x.shape
    heads = channels // config.head_width if config.head_width else config.heads
    size = channels // heads
    rows = group_norm(config, params["norm"], x).reshape(-1, channels)
    query, key, value = (line(params[name], rows) for name in ("query", "key", "value"))
    taken = np.empty_like(rows)
    for first in range(0, channels, size):
        part = slice(first, first + size)
        weights = np.exp(query[:, part] @ key[:, part].T / math.sqrt(size))
        taken[:, part] = weights / weights.sum(1, keepdims=True) @ value[:, part]
    return x + line(params["out"], taken).reshape(height, width, channels)


def means(x):
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def repeated(x):
    return x.repeat(2, 0).repeat(2, 1)


def down(config, params, x, emb):
    if config.family == "ddpm":
        return convolution(params, x, stride=2, before=0, after=1)
    return block(config, params, x, emb, means)


def up(config, params, x, emb):
    if config.family == "ddpm":
        return convolution(params, repeated(x))
    return block(config, params, x, emb, repeated)


def level_block(config, level, i, x, emb):
    x = block(config, level["blocks"][i], x, emb)
    return attention(config, level["attention"][i], x) if "attention" in level else x


def blocks_of_pixels(x, side):
    """Channel (row, column, c) of each block."""
    return np.concatenate(
        [x[row::side, column::side] for row in range(side) for column in range(side)], -1
    )


def pixels_of_blocks(x, side):
    height, width, channels = x.shape
    out = np.empty((height * side, width * side, channels // side**2))
    for n in range(side**2):
        part = x[:, :, n * out.shape[2] : (n + 1) * out.shape[2]]
        out[n // side :: side, n % side :: side] = part
    return out


def predicted(config, params, image, step):
    """The prediction [h, w, outputs] of an image, of parameters as nested dicts of float64."""
    emb = timestep(config, params["time"], step)
    kept = [convolution(params["conv_in"], blocks_of_pixels(image, config.patch))]
    for level in params["down"]:
        for i in range(len(level["blocks"])):
            kept.append(level_block(config, level, i, kept[-1], emb))
        if "resample" in level:
            kept.append(down(config, level["resample"], kept[-1], emb))
    x = block(config, params["middle"]["block0"], kept[-1], emb)
    x = attention(config, params["middle"]["attention"], x)
    x = block(config, params["middle"]["block1"], x, emb)
    for level in params["up"][::-1]:
        for i in range(len(level["blocks"])):
            x = level_block(config, level, i, np.concatenate([x, kept.pop()], 2), emb)
        if "resample" in level:
            x = up(config, level["resample"], x, emb)
    x = convolution(params["conv_out"], sigmoid_weighted(group_norm(config, params["norm_out"], x)))
    return pixels_of_blocks(x, config.patch)
