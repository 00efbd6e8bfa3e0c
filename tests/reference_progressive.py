"""StyleGAN1 and PGGAN in slow float64 NumPy, NCHW, from the papers (arXiv:1812.04948, 1710.10196)
and the official networks' semantics.

They take the official variables {TensorFlow's name: array} as a pickle has them, know nothing of
jaxsr's tables, and resample as the official networks do: fused layers sum a padded kernel to 4x4
and stride by two, others repeat pixels or take means of 2x2.
"""

import numpy as np

SQRT2 = np.sqrt(2)
BLUR = np.outer([1, 2, 1], [1, 2, 1]) / 16


def around(size, kernel, stride):
    """TensorFlow's SAME: zeros before and after one axis."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def correlate(x, kernel, stride=1):
    """SAME correlation of [n, c, h, w] with [k, k, c, d]."""
    k = kernel.shape[0]
    x = np.pad(x, ((0, 0), (0, 0), around(x.shape[2], k, stride), around(x.shape[3], k, stride)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, kernel, ((1, 4, 5), (2, 0, 1))).transpose(0, 3, 1, 2)


def transposed(x, kernel):
    """SAME transposed convolution of stride 2 of [n, c, h, w] with [k, k, d, c]: what the strided
    correlation's gradient does."""
    (n, _, h, w), k = x.shape, kernel.shape[0]
    full = np.zeros((n, kernel.shape[2], 2 * h + k, 2 * w + k))
    for i in range(k):
        for j in range(k):
            full[:, :, i : i + 2 * h : 2, j : j + 2 * w : 2] += np.einsum(
                "nchw,dc->ndhw", x, kernel[i, j]
            )
    top, left = around(2 * h, k, 2)[0], around(2 * w, k, 2)[0]
    return full[:, :, top : top + 2 * h, left : left + 2 * w]


def summed(kernel):
    """[3, 3, c, d] -> [4, 4, c, d]: the kernel at its four positions in a 2x2 cell."""
    padded = np.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    return padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]


def repeated(x):
    return x.repeat(2, 2).repeat(2, 3)


def means(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


def blur(x):
    return np.stack(
        [correlate(x[:, [c]], BLUR[:, :, None, None])[:, 0] for c in range(x.shape[1])], 1
    )


def weight(variables, name, gain=SQRT2, lr=1.0):
    """Equalised learning rate: the last axis is that of the outputs."""
    array = np.asarray(variables[f"{name}/weight"], np.float64)
    return array * (gain * lr / np.sqrt(np.prod(array.shape[:-1])))


def biased(x, variables, name):
    bias = np.asarray(variables[f"{name}/bias"], np.float64)
    return x + bias.reshape(1, len(bias), *(bias.shape[1:] or (1,) * (x.ndim - 2)))


def lrelu(x):
    return np.maximum(x, 0.2 * x)


def pixel_norm(x, eps=1e-8):
    return x / np.sqrt(np.mean(x**2, 1, keepdims=True) + eps)


def instance_norm(x, eps):
    x = x - x.mean((2, 3), keepdims=True)
    return x / np.sqrt(np.mean(x**2, (2, 3), keepdims=True) + eps)


def minibatch_std(x, group):
    """With n = group * m samples, sample i belongs to group i mod m."""
    n, _, h, w = x.shape
    m = n // min(group, n)
    deviations = [np.sqrt(np.var(x[j::m], 0) + 1e-8).mean() for j in range(m)]
    return np.concatenate(
        [x, np.stack([np.full((1, h, w), deviations[i % m]) for i in range(n)])], 1
    )


def convolved(x, variables, name):
    return correlate(x, weight(variables, name))


def activated(x, variables, name):
    return lrelu(biased(x, variables, name))


def is_fused(fused, side):
    return side >= 128 if fused == "auto" else fused


def stylegan1_mapping(variables, z, lr=0.01):
    """z [n, z_dim] -> w [n, w_dim]."""
    x = pixel_norm(np.asarray(z, np.float64))
    for i in range(sum(name.startswith("mapping/") for name in variables) // 2):
        name = f"mapping/Dense{i}"
        x = lrelu(x @ weight(variables, name, lr=lr) + variables[f"{name}/bias"] * lr)
    return x


def stylegan1_synthesis(variables, w_plus, noise, fused="auto", eps=1e-8):
    """w_plus [layers, w_dim] and maps [r, r] -> image [3, H, W] in [-1, 1]."""

    def finished(x, name, index):
        name = f"synthesis/{name}"
        x = x + np.asarray(variables[f"{name}/Noise/weight"], np.float64)[
            None, :, None, None
        ] * np.asarray(noise[index], np.float64)
        x = instance_norm(activated(x, variables, name), eps)
        style = (
            w_plus[index] @ weight(variables, f"{name}/StyleMod", gain=1)
            + variables[f"{name}/StyleMod/bias"]
        )
        scale, shift = style.reshape(2, 1, -1, 1, 1)
        return x * (scale + 1) + shift

    x = finished(np.asarray(variables["synthesis/4x4/Const/const"], np.float64), "4x4/Const", 0)
    x = finished(convolved(x, variables, "synthesis/4x4/Conv"), "4x4/Conv", 1)
    for i in range(2, len(w_plus), 2):
        side = 4 << i // 2
        block = f"{side}x{side}"
        kernel = weight(variables, f"synthesis/{block}/Conv0_up")
        up = (
            transposed(x, summed(kernel.transpose(0, 1, 3, 2)))
            if is_fused(fused, side)
            else correlate(repeated(x), kernel)
        )
        x = finished(blur(up), f"{block}/Conv0_up", i)
        x = finished(convolved(x, variables, f"synthesis/{block}/Conv1"), f"{block}/Conv1", i + 1)
    return biased(
        correlate(x, weight(variables, "synthesis/ToRGB_lod0", gain=1)),
        variables,
        "synthesis/ToRGB_lod0",
    )[0]


def discriminator(variables, images, *, group, blurred, fused, unfused_name):
    """images [n, 3, H, W] in [-1, 1] -> logits [n], features after each block."""
    x = activated(correlate(images, weight(variables, "FromRGB_lod0")), variables, "FromRGB_lod0")
    features, side = [], images.shape[-1]
    while side > 4:
        block = f"{side}x{side}"
        x = activated(convolved(x, variables, f"{block}/Conv0"), variables, f"{block}/Conv0")
        x, down = blur(x) if blurred else x, is_fused(fused, side)
        name = f"{block}/{'Conv1_down' if down else unfused_name}"
        kernel = weight(variables, name)
        # StyleGAN1 changes the side before the activation, PGGAN's separate layers behind it.
        if blurred or down:
            x = activated(
                correlate(x, summed(kernel) / 4, 2) if down else means(correlate(x, kernel)),
                variables,
                name,
            )
        else:
            x = means(activated(correlate(x, kernel), variables, name))
        features.append(x)
        side //= 2
    x = activated(convolved(minibatch_std(x, group), variables, "4x4/Conv"), variables, "4x4/Conv")
    x = activated(x.reshape(len(x), -1) @ weight(variables, "4x4/Dense0"), variables, "4x4/Dense0")
    return biased(x @ weight(variables, "4x4/Dense1", gain=1), variables, "4x4/Dense1")[
        :, 0
    ], features


def stylegan1_discriminator(variables, images, group=4, fused="auto"):
    return discriminator(
        variables, images, group=group, blurred=True, fused=fused, unfused_name="Conv1_down"
    )


def pggan_discriminator(variables, images, group=4, fused=True):
    return discriminator(
        variables, images, group=group, blurred=False, fused=fused, unfused_name="Conv1"
    )


def pggan_generator(variables, z, fused=True):
    """z [z_dim] -> image [3, H, W] in [-1, 1]. The fused kernels are [k, k, outputs, inputs]."""
    x = pixel_norm(np.asarray(z, np.float64)[None]) @ weight(variables, "4x4/Dense", gain=SQRT2 / 4)
    x = pixel_norm(activated(x.reshape(1, -1, 4, 4), variables, "4x4/Dense"))
    x = pixel_norm(activated(convolved(x, variables, "4x4/Conv"), variables, "4x4/Conv"))
    side = 8
    while f"{side}x{side}/Conv1/weight" in variables:
        block = f"{side}x{side}"
        if fused:
            kernel = np.asarray(variables[f"{block}/Conv0_up/weight"], np.float64)
            x = transposed(x, summed(kernel * SQRT2 / np.sqrt(9 * kernel.shape[3])))
        else:
            x = convolved(repeated(x), variables, f"{block}/Conv0")
        name = f"{block}/{'Conv0_up' if fused else 'Conv0'}"
        x = pixel_norm(activated(x, variables, name))
        x = pixel_norm(
            activated(convolved(x, variables, f"{block}/Conv1"), variables, f"{block}/Conv1")
        )
        side *= 2
    return biased(correlate(x, weight(variables, "ToRGB_lod0", gain=1)), variables, "ToRGB_lod0")[0]
