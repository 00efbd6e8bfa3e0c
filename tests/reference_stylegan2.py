"""StyleGAN2 in slow float64 NumPy, written from the paper: per-sample weights, zero-filled
upsampling, the full 4x4 filter, NCHW."""

import numpy as np

SQRT2 = np.sqrt(2)
FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def correlate(x, kernel, pad):
    """x [c, h, w], kernel [o, c, k, k] -> [o, h + 2 pad - k + 1, ...]."""
    k = kernel.shape[-1]
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))
    return np.einsum("chwij,ocij->ohw", windows, kernel)


def fir(x, before, after, gain=1.0):
    x = np.pad(x, ((0, 0), (before, after), (before, after)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (4, 4), (1, 2))
    return gain * np.einsum("chwij,ij->chw", windows, FILTER)


def zeros_between(x):
    out = np.zeros((x.shape[0], 2 * x.shape[1], 2 * x.shape[2]))
    out[:, ::2, ::2] = x
    return out


def upsample(x):
    return fir(zeros_between(x), 2, 1, 4.0)


def downsample(x):
    return fir(x, 1, 1)[:, ::2, ::2]


def conv_up(x, kernel):
    """Transposed convolution of stride 2 by its definition, then the filter."""
    _, h, w = x.shape
    out = np.zeros((kernel.shape[0], 2 * h + 1, 2 * w + 1))
    for i in range(3):
        for j in range(3):
            out[:, i : i + 2 * h : 2, j : j + 2 * w : 2] += np.einsum(
                "chw,oc->ohw", x, kernel[:, :, i, j]
            )
    return fir(out, 1, 1, 4.0)


def conv_down(x, kernel):
    return correlate(fir(x, 2, 2), kernel, 0)[:, ::2, ::2]


def lrelu(x, gain=SQRT2):
    return np.where(x > 0, x, 0.2 * x) * gain


def dense(p, x, lr=1.0):
    return x @ p["kernel"] * lr / np.sqrt(len(x)) + p["bias"] * lr


def mapping(params, z, lr=0.01):
    x = z / np.sqrt(np.mean(z**2) + 1e-8)
    for i in range(len(params)):
        x = lrelu(dense(params[f"fc{i}"], x, lr))
    return x


def layer(p, x, w, noise, up):
    weight = p["kernel"].transpose(3, 2, 0, 1) * dense(p["affine"], w)[None, :, None, None]
    weight = weight / np.sqrt(np.sum(weight**2, (1, 2, 3), keepdims=True) + 1e-8)
    y = conv_up(x, weight) if up else correlate(x, weight, 1)
    return lrelu(y + p["noise_strength"] * noise + p["bias"][:, None, None])


def to_rgb(p, x, w):
    style = dense(p["affine"], w) / np.sqrt(x.shape[0])
    return np.einsum("chw,cd->dhw", x, style[:, None] * p["kernel"]) + p["bias"][:, None, None]


def synthesis(params, w_plus, noise):
    """[3, H, W] in [-1, 1]."""
    blocks = sorted(params, key=lambda name: int(name[1:]))
    first = params[blocks[0]]
    x = layer(first["conv1"], first["const"].transpose(2, 0, 1), w_plus[0], noise[0], False)
    rgb = to_rgb(first["torgb"], x, w_plus[1])
    for i, name in enumerate(blocks[1:]):
        p, n = params[name], 2 * i + 1
        x = layer(p["conv0"], x, w_plus[n], noise[n], True)
        x = layer(p["conv1"], x, w_plus[n + 1], noise[n + 1], False)
        rgb = upsample(rgb) + to_rgb(p["torgb"], x, w_plus[n + 2])
    return rgb


def conv(p, x, down=False, activate=True, gain=SQRT2):
    kernel = p["kernel"].transpose(3, 2, 0, 1)
    kernel = kernel / np.sqrt(np.prod(kernel.shape[1:]))
    if kernel.shape[-1] == 1:
        x = correlate(downsample(x) if down else x, kernel, 0)
    else:
        x = conv_down(x, kernel) if down else correlate(x, kernel, 1)
    return lrelu(x + p["bias"][:, None, None], gain) if activate else x * gain


def minibatch_std(xs, group):
    """Official order: with n = group * m, sample i belongs to group i mod m."""
    n = len(xs)
    group = min(group, n)
    m = n // group
    stats = [
        np.mean(np.sqrt(np.var([xs[k * m + j] for k in range(group)], 0) + 1e-8)) for j in range(m)
    ]
    return [np.concatenate([x, np.full((1, *x.shape[1:]), stats[i % m])]) for i, x in enumerate(xs)]


def discriminator(params, images, group=4):
    """images [n, c, H, W] in [-1, 1] -> logits [n], features per block, which have shortcuts where
    there are arrays of them."""
    blocks = sorted((b for b in params if b.startswith("b")), key=lambda name: -int(name[1:]))
    xs = [conv(params["fromrgb"], x) for x in images]
    features = []
    for name in blocks:
        p = params[name]
        gain = 1.0 if "skip" in p else SQRT2
        deep = [conv(p["conv1"], conv(p["conv0"], x), down=True, gain=gain) for x in xs]
        xs = [
            conv(p["skip"], x, down=True, activate=False, gain=np.sqrt(0.5)) + d
            if "skip" in p
            else d
            for x, d in zip(xs, deep, strict=True)
        ]
        features.append(np.stack(xs))
    xs = [conv(params["conv"], x) for x in minibatch_std(xs, group)]
    xs = [lrelu(dense(params["fc"], x.transpose(1, 2, 0).reshape(-1))) for x in xs]
    return np.array([dense(params["out"], x)[0] for x in xs]), features
