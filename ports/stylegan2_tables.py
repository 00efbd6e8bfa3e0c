"""Tables that rename the arrays of StyleGAN2's files to the paths of `jaxsr.nets.stylegan2`: of
StyleGAN2(-ADA) for TensorFlow, of StyleGAN2-ADA-PyTorch and of rosinality's.

A file holds the generator as trained and its moving average (Gs, G_ema, g_ema); the average is
taken. Each table follows the names and shapes of its format, and is checked against what the
official network computes. Class-conditional networks have arrays for the label; their paths begin
with "label/", and `ports.labels` folds them into the others.
"""

import numpy as np

from ports.layouts import (
    anything,
    chw,
    flat,
    flattened,
    flattened_torch,
    flipped,
    hwio,
    noise_map,
    number,
    rgb_kernel,
    same,
    transposed,
)
from ports.tables import Row

_SIDES = 10  # 4 to 2,048 px
_FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def is_filter(array: np.ndarray) -> None:
    """Resampling filters are no parameters of ours: they must be [1, 3, 3, 1], normalised (or that
    times 4)."""
    if array.shape != (4, 4) or min(np.abs(array - gain * _FILTER).max() for gain in (1, 4)) > 1e-6:
        raise ValueError("another filter")


def average(array: np.ndarray) -> np.ndarray:
    """The mean of w: [w_dim], or a row for each layer, as pSp repeats it."""
    return array.reshape(-1, array.shape[-1]).mean(0)


def _dense(source: str, path: str) -> list[Row]:
    return [
        Row(source + r"\.weight", path + "/kernel", transposed),
        Row(source + r"\.bias", path + "/bias", same),
    ]


ADA_TORCH = [
    Row(r".*\.resample_filter", None, is_filter),
    Row(r"G_ema\.mapping\.w_avg|latent_avg", "statistics/w_mean", average),
    *_dense(r"G_ema\.mapping\.fc(\d+)", "mapping/fc{0}"),
    Row(r"G_ema\.synthesis\.b4\.const", "synthesis/b4/const", chw),
    *_dense(r"G_ema\.synthesis\.b(\d+)\.(conv[01]|torgb)\.affine", "synthesis/b{0}/{1}/affine"),
    Row(r"G_ema\.synthesis\.b(\d+)\.torgb\.weight", "synthesis/b{0}/torgb/kernel", rgb_kernel),
    Row(r"G_ema\.synthesis\.b(\d+)\.(conv[01])\.weight", "synthesis/b{0}/{1}/kernel", hwio),
    Row(r"G_ema\.synthesis\.b(\d+)\.(conv[01]|torgb)\.bias", "synthesis/b{0}/{1}/bias", same),
    Row(
        r"G_ema\.synthesis\.b(\d+)\.(conv[01])\.noise_strength",
        "synthesis/b{0}/{1}/noise_strength",
        number,
    ),
    *(
        Row(
            rf"G_ema\.synthesis\.b{4 << i}\.conv{j}\.noise_const",
            f"noise/{2 * i + j - 1}",
            noise_map,
        )
        for i in range(_SIDES)
        for j in (0, 1)
    ),
    *_dense(r"G_ema\.mapping\.embed", "label/embed"),
    *_dense(r"D\.mapping\.(embed|fc\d+)", "label/discriminator/{0}"),
    Row(r"D\.b\d+\.(fromrgb)\.weight", "discriminator/{0}/kernel", hwio),
    Row(r"D\.b\d+\.(fromrgb)\.bias", "discriminator/{0}/bias", same),
    Row(r"D\.b(\d+)\.(conv[01]|skip)\.weight", "discriminator/b{0}/{1}/kernel", hwio),
    Row(r"D\.b(\d+)\.(conv[01])\.bias", "discriminator/b{0}/{1}/bias", same),
    Row(r"D\.b4\.conv\.weight", "discriminator/conv/kernel", hwio),
    Row(r"D\.b4\.conv\.bias", "discriminator/conv/bias", same),
    Row(r"D\.b4\.fc\.weight", "discriminator/fc/kernel", flattened_torch),
    Row(r"D\.b4\.fc\.bias", "discriminator/fc/bias", same),
    *_dense(r"D\.b4\.out", "discriminator/out"),
]


def _plus_one(array: np.ndarray) -> np.ndarray:
    return array + 1


_G = r"Gs/synthesis/(\d+)x\d+/"
_LAYER = r"(?:Conv1|Conv)"

TENSORFLOW = [
    Row(r"Gs/lod", None, anything),
    Row(r"Gs/dlatent_avg", "statistics/w_mean", same),
    Row(r"Gs/mapping/Dense(\d+)/weight", "mapping/fc{0}/kernel", same),
    Row(r"Gs/mapping/Dense(\d+)/bias", "mapping/fc{0}/bias", same),
    Row(r"Gs/synthesis/noise(\d+)", "noise/{0}", noise_map),
    Row(r"Gs/synthesis/4x4/Const/const", "synthesis/b4/const", chw),
    Row(_G + r"Conv0_up/weight", "synthesis/b{0}/conv0/kernel", flipped),
    Row(_G + _LAYER + r"/weight", "synthesis/b{0}/conv1/kernel", same),
    Row(_G + r"ToRGB/weight", "synthesis/b{0}/torgb/kernel", lambda a: a[0, 0]),
    *(
        row
        for source, name in (("Conv0_up", "conv0"), (_LAYER, "conv1"), ("ToRGB", "torgb"))
        for row in (
            Row(f"{_G}{source}/mod_weight", f"synthesis/b{{0}}/{name}/affine/kernel", same),
            Row(f"{_G}{source}/mod_bias", f"synthesis/b{{0}}/{name}/affine/bias", _plus_one),
            Row(f"{_G}{source}/bias", f"synthesis/b{{0}}/{name}/bias", same),
            Row(f"{_G}{source}/noise_strength", f"synthesis/b{{0}}/{name}/noise_strength", number),
        )
    ),
    Row(r"D/\d+x\d+/FromRGB/weight", "discriminator/fromrgb/kernel", same),
    Row(r"D/\d+x\d+/FromRGB/bias", "discriminator/fromrgb/bias", same),
    Row(r"D/(\d+)x\d+/Conv0/weight", "discriminator/b{0}/conv0/kernel", same),
    Row(r"D/(\d+)x\d+/Conv0/bias", "discriminator/b{0}/conv0/bias", same),
    Row(r"D/(\d+)x\d+/Conv1_down/weight", "discriminator/b{0}/conv1/kernel", same),
    Row(r"D/(\d+)x\d+/Conv1_down/bias", "discriminator/b{0}/conv1/bias", same),
    Row(r"D/(\d+)x\d+/Skip/weight", "discriminator/b{0}/skip/kernel", same),
    Row(r"D/4x4/Conv/weight", "discriminator/conv/kernel", same),
    Row(r"D/4x4/Conv/bias", "discriminator/conv/bias", same),
    Row(r"D/4x4/Dense0/weight", "discriminator/fc/kernel", flattened),
    Row(r"D/4x4/Dense0/bias", "discriminator/fc/bias", same),
    Row(r"D/Output/weight", "discriminator/out/kernel", same),
    Row(r"D/Output/bias", "discriminator/out/bias", same),
]


def _five(array: np.ndarray) -> np.ndarray:
    return hwio(array[0])


def _rosinality_layer(source: str, path: str) -> list[Row]:
    return [
        Row(source + r"\.conv\.weight", path + "/kernel", _five),
        *_dense(source + r"\.conv\.modulation", path + "/affine"),
        Row(source + r"\.noise\.weight", path + "/noise_strength", number),
        Row(source + r"\.activate\.bias", path + "/bias", same),
    ]


def _rosinality_rgb(source: str, path: str) -> list[Row]:
    return [
        Row(source + r"\.conv\.weight", path + "/kernel", lambda a: rgb_kernel(a[0])),
        *_dense(source + r"\.conv\.modulation", path + "/affine"),
        Row(source + r"\.bias", path + "/bias", flat),
    ]


def rosinality_generator(layers: int, source: str, path: str = "") -> list[Row]:
    """The table of a generator with `layers` numbered convolutions whose names begin with the
    pattern `source`; our paths begin with `path`. Two a resolution above 4, the upsampling one
    first."""
    rows = [
        row
        for i in range(1, 33)
        for row in _dense(rf"{source}style\.{i}", f"{path}mapping/fc{i - 1}")
    ]
    synthesis = f"{path}synthesis/b"
    rows += [
        Row(source + r"input\.input", f"{synthesis}4/const", chw),
        *_rosinality_layer(source + "conv1", f"{synthesis}4/conv1"),
        *_rosinality_rgb(source + "to_rgb1", f"{synthesis}4/torgb"),
    ]
    for i in range(layers // 2):
        block = f"{synthesis}{8 << i}"
        for j in range(2):
            rows += _rosinality_layer(rf"{source}convs\.{2 * i + j}", f"{block}/conv{j}")
        rows += _rosinality_rgb(rf"{source}to_rgbs\.{i}", f"{block}/torgb")
    return rows


def _rosinality_discriminator(sides: list[int]) -> list[Row]:
    """Blocks are numbered from the finest; each holds [blur], convolution and bias in a row."""
    rows = [
        Row(r"d\.convs\.0\.0\.weight", "discriminator/fromrgb/kernel", hwio),
        Row(r"d\.convs\.0\.1\.bias", "discriminator/fromrgb/bias", same),
    ]
    for i, side in enumerate(sides[:0:-1], start=1):
        source, path = rf"d\.convs\.{i}", f"discriminator/b{side}"
        rows += [
            Row(source + r"\.conv1\.0\.weight", path + "/conv0/kernel", hwio),
            Row(source + r"\.conv1\.1\.bias", path + "/conv0/bias", same),
            Row(source + r"\.conv2\.1\.weight", path + "/conv1/kernel", hwio),
            Row(source + r"\.conv2\.2\.bias", path + "/conv1/bias", same),
            Row(source + r"\.skip\.1\.weight", path + "/skip/kernel", hwio),
        ]
    return rows


def rosinality_rows(layers: int) -> list[Row]:
    """The table of rosinality's files whose generator has `layers` numbered convolutions."""
    sides = [4 << i for i in range(layers // 2 + 1)]
    return [
        Row(r".*\.kernel", None, is_filter),
        Row(r"(?:g_ema\.)?latent_avg", "statistics/w_mean", average),
        Row(r"g_ema\.noises\.noise_(\d+)", "noise/{0}", noise_map),
        *rosinality_generator(layers, r"g_ema\."),
        *_rosinality_discriminator(sides),
        Row(r"d\.final_conv\.0\.weight", "discriminator/conv/kernel", hwio),
        Row(r"d\.final_conv\.1\.bias", "discriminator/conv/bias", same),
        Row(r"d\.final_linear\.0\.weight", "discriminator/fc/kernel", flattened_torch),
        Row(r"d\.final_linear\.0\.bias", "discriminator/fc/bias", same),
        *_dense(r"d\.final_linear\.1", "discriminator/out"),
    ]
