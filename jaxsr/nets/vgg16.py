"""VGG-16's convolutions in torchvision's numerics (Simonyan and Zisserman, arXiv:1409.1556,
configuration D)."""

import jax

from jaxsr.nets.layers import around, conv, imagenet, max_pool, random_conv
from jaxsr.types import Image, Params, PRNGKey

# (width, convolutions) of each block; a 2 x 2 max-pool lies between two blocks
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
NAMES = tuple(
    f"conv{block + 1}_{i + 1}" for block, (_, count) in enumerate(BLOCKS) for i in range(count)
)
TAPS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
SMALLEST = 16


def init(key: PRNGKey) -> Params:
    """Random parameters: {"conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, ...}, 14.7 M numbers
    (no classifier)."""
    widths = [width for width, count in BLOCKS for _ in range(count)]
    sizes = zip(jax.random.split(key, len(NAMES)), NAMES, [3, *widths[:-1]], widths, strict=True)
    return {name: random_conv(key, (3, 3, c, d)) for key, name, c, d in sizes}


def convolutions(params: Params, image: Image) -> dict[str, jax.Array]:
    """The maps [r, r', c] after each of the 13 convolutions, "conv1_1" to "conv5_3", BEFORE their
    ReLU.

    The image [h, w, 3] is in [0, 1]; only ImageNet's mean and deviation are applied to it, so that
    a loss that feeds its network another range can pass that instead. Under jit, what is not used
    of the maps is not computed. In torchvision's `features`, "conv4_3" is layer 21 and its ReLU
    layer 22.

    Raises:
        ValueError: not [h, w, 3], or a side below 16 pixels.
    """
    x, maps = imagenet(image, SMALLEST), {}
    for name in NAMES:
        if name.endswith("_1") and name != "conv1_1":
            x = max_pool(x, 2, 2)
        maps[name] = conv(params[name], x, 1, around(1))
        x = jax.nn.relu(maps[name])
    return maps


def features(params: Params, image: Image) -> list[jax.Array]:
    """The five maps relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3, [r, r', c], of an image [h, w,
    3] in [0, 1].

    Raises:
        ValueError: not [h, w, 3], or a side below 16 pixels.
    """
    maps = convolutions(params, image)
    return [jax.nn.relu(maps[name]) for name in TAPS]
