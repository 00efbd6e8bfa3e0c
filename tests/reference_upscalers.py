"""Slow float64 networks written from the papers: ESRGAN's, Real-ESRGAN's small one, VDSR, and the
two discriminators. They take state dicts with the official names and kernels [out, in, kh, kw]."""

import numpy as np

LRELU = 0.2


def conv(x, weight, bias=None, stride=1):
    """[h, w, c] -> [h / stride, w / stride, d]: one product a tap, zeros around, half a kernel."""
    weight = np.asarray(weight, np.float64)
    side, before = weight.shape[2], (weight.shape[2] - 1) // 2
    h, w = x.shape[0] // stride, x.shape[1] // stride
    padded = np.pad(x, ((before, side), (before, side), (0, 0)))
    total = np.zeros((h, w, len(weight)))
    for i in range(side):
        for j in range(side):
            tap = padded[i : i + stride * h : stride, j : j + stride * w : stride]
            total += tap @ weight[:, :, i, j].T
    return total if bias is None else total + np.asarray(bias, np.float64)


def leaky(x, slope=LRELU):
    return np.where(x > 0, x, slope * x)


def nearest(x, factor):
    return np.kron(x, np.ones((factor, factor, 1)))


def shuffle(x, factor):
    """Output (i, j) of channel c is channel c f^2 + (i mod f) f + (j mod f) of pixel (i/f, j/f)."""
    h, w, c = x.shape[0], x.shape[1], x.shape[2] // factor**2
    made = np.zeros((h * factor, w * factor, c))
    for i in range(factor):
        for j in range(factor):
            made[i::factor, j::factor] = x[..., i * factor + j :: factor**2]
    return made


def unshuffle(x, factor):
    """The other way round."""
    h, w, c = x.shape[0] // factor, x.shape[1] // factor, x.shape[2]
    made = np.zeros((h, w, c * factor**2))
    for i in range(factor):
        for j in range(factor):
            made[..., i * factor + j :: factor**2] = x[i::factor, j::factor]
    return made


def rrdb(state, x, *, blocks, ups, factor):
    """RRDBNet with BasicSR's names on an image [h, w, 3]; before it pixels are unshuffled by
    2^ups / factor."""

    def layer(name, x):
        return conv(x, state[f"{name}.weight"], state[f"{name}.bias"])

    x = first = layer("conv_first", unshuffle(np.float64(x), 2**ups // factor))
    for b in range(blocks):
        y = x
        for d in (1, 2, 3):
            seen = [y]
            for c in (1, 2, 3, 4):
                seen.append(leaky(layer(f"body.{b}.rdb{d}.conv{c}", np.concatenate(seen, -1))))
            y = y + 0.2 * layer(f"body.{b}.rdb{d}.conv5", np.concatenate(seen, -1))
        x = x + 0.2 * y
    x = first + layer("conv_body", x)
    for n in range(ups):
        x = leaky(layer(f"conv_up{n + 1}", nearest(x, 2)))
    return layer("conv_last", leaky(layer("conv_hr", x)))


def srvgg(state, image, *, layers, factor):
    """SRVGGNetCompact on an image [h, w, 3]."""
    x = image = np.asarray(image, np.float64)
    for n in range(layers + 1):
        x = conv(x, state[f"body.{2 * n}.weight"], state[f"body.{2 * n}.bias"])
        x = leaky(x, np.float64(state[f"body.{2 * n + 1}.weight"]))
    last = 2 * layers + 2
    x = conv(x, state[f"body.{last}.weight"], state[f"body.{last}.bias"])
    return shuffle(x, factor) + nearest(image, factor)


def vdsr(kernels, biases, image):
    """VDSR on an enlarged image [h, w, 3]: of luma where the first kernel has one input, by way of
    MATLAB's Y, Cb and Cr."""
    image = np.asarray(image, np.float64)
    matrix = np.array(
        [
            [65.481, 128.553, 24.966],
            [-37.797, -74.203, 112.0],
            [112.0, -93.786, -18.214],
        ]
    )
    offset = np.array([16.0, 128.0, 128.0])
    is_luma = kernels[0].shape[1] == 1
    ycbcr = (image @ matrix.T + offset) / 255 if is_luma else image
    x = ycbcr[..., :1] if is_luma else image
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        x = np.maximum(conv(x, kernel, bias), 0)
    added = conv(x, kernels[-1], biases[-1])
    if not is_luma:
        return image + added
    ycbcr[..., :1] += added
    return (ycbcr * 255 - offset) @ np.linalg.inv(matrix).T


def batch_norm(images, state, name):
    """Of a list of maps, with the mean and the variance of all their pixels."""
    pixels = np.concatenate([x.reshape(-1, x.shape[-1]) for x in images])
    gain = state[f"{name}.weight"] / np.sqrt(pixels.var(0) + 1e-5)
    return [(x - pixels.mean(0)) * gain + state[f"{name}.bias"] for x in images]


def vgg_discriminator(state, images, *, pairs):
    """BasicSR's VGGStyleDiscriminator in training: photos [n, h, w, 3] -> [n]."""
    maps = [np.asarray(x, np.float64) for x in images]
    for i in range(pairs):
        maps = [conv(x, state[f"conv{i}_0.weight"], state.get(f"conv{i}_0.bias")) for x in maps]
        maps = [leaky(x) for x in (batch_norm(maps, state, f"bn{i}_0") if i else maps)]
        maps = [conv(x, state[f"conv{i}_1.weight"], stride=2) for x in maps]
        maps = [leaky(x) for x in batch_norm(maps, state, f"bn{i}_1")]
    flat = np.stack([x.transpose(2, 0, 1).ravel() for x in maps])
    hidden = leaky(flat @ state["linear1.weight"].T + state["linear1.bias"])
    return (hidden @ state["linear2.weight"].T + state["linear2.bias"])[:, 0]


def doubled(x):
    """Bilinear, pixels as squares, the border repeated."""
    for axis in (0, 1):
        x = np.moveaxis(x, axis, 0)
        padded = np.concatenate([x[:1], x, x[-1:]])
        even, odd = 0.25 * padded[:-2] + 0.75 * x, 0.75 * x + 0.25 * padded[2:]
        x = np.moveaxis(np.stack([even, odd], 1).reshape(-1, *x.shape[1:]), 0, axis)
    return x


def unet_discriminator(state, image):
    """BasicSR's UNetDiscriminatorSN: a photo [h, w, 3] -> [h, w]."""

    def normal(name, x, stride=1):
        weight = np.float64(state[f"{name}.weight_orig"])
        u, v = state[f"{name}.weight_u"], state[f"{name}.weight_v"]
        return leaky(conv(x, weight / (u @ weight.reshape(len(u), -1) @ v), stride=stride))

    x0 = leaky(conv(np.float64(image), state["conv0.weight"], state["conv0.bias"]))
    x1 = normal("conv1", x0, 2)
    x2 = normal("conv2", x1, 2)
    x4 = normal("conv4", doubled(normal("conv3", x2, 2))) + x2
    x5 = normal("conv5", doubled(x4)) + x1
    x6 = normal("conv6", doubled(x5)) + x0
    x = normal("conv8", normal("conv7", x6))
    return conv(x, state["conv9.weight"], state["conv9.bias"])[..., 0]
