"""AlexNet's convolutions in torchvision's numerics ("One weird trick for parallelizing CNNs",
Krizhevsky 2014, arXiv:1404.5997)."""

import jax

from jaxsr.nets.layers import around, conv, imagenet, max_pool, random_conv
from jaxsr.types import Image, Params, PRNGKey

# name: (side of the kernel, inputs, outputs, stride, zeros around, max-pooled before)
LAYERS = {
    "conv1": (11, 3, 64, 4, 2, False),
    "conv2": (5, 64, 192, 1, 2, True),
    "conv3": (3, 192, 384, 1, 1, True),
    "conv4": (3, 384, 256, 1, 1, False),
    "conv5": (3, 256, 256, 1, 1, False),
}
SMALLEST = 31


def init(key: PRNGKey) -> Params:
    """Random parameters: {"conv1": {"kernel": [11, 11, 3, 64], "bias": [64]}, ...}, 2.5 M numbers
    (no classifier)."""
    keys = jax.random.split(key, len(LAYERS))
    return {
        name: random_conv(key, (k, k, c, d))
        for key, (name, (k, c, d, *_)) in zip(keys, LAYERS.items(), strict=True)
    }


def features(params: Params, image: Image) -> list[jax.Array]:
    """The five maps [r, r', c] after each ReLU of an image [h, w, 3] in [0, 1], c = 64, 192, 384,
    256, 256.

    Raises:
        ValueError: not [h, w, 3], or a side below 31 pixels.
    """
    x, maps = imagenet(image, SMALLEST), []
    for name, (_, _, _, stride, zeros, pooled) in LAYERS.items():
        x = max_pool(x, 3, 2) if pooled else x
        x = jax.nn.relu(conv(params[name], x, stride, around(zeros)))
        maps.append(x)
    return maps
