"""The convolution layer of the restorers and of their discriminators, and what lies between two of
them."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets import convolution

# PyTorch's default beginning shrinks what a photo changes 2.4 times a layer, so that the first
# thousand steps would see nothing of it.
HE = nn.initializers.he_normal()
# That default, without its random bias: for networks that are trained as their authors did.
TORCH = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Conv(nn.Module):
    """Convolution with zeros around the image; [..., h, w, c] -> [..., h / stride, w / stride,
    features].

    Of stride 1, or of stride 2 with kernels of 3, 4 or 7 pixels; PyTorch's padding of half a
    kernel.
    """

    features: int
    dtype: str
    stride: int = 1
    kernel_init: nn.initializers.Initializer = HE
    side: int = 3
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.side, self.side, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        y = convolved(x.astype(self.dtype), kernel, self.stride)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)


def conv(
    features: int, name: str, dtype: str, *, stride: int = 1, init: nn.initializers.Initializer = HE
) -> Conv:
    """A 3 x 3 `Conv` of that name."""
    return Conv(features, dtype, stride, init, name=name)


def convolved(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """What `Conv` computes but for the bias: x [..., h, w, c], kernel [k, k, c, d]."""
    images = x.reshape(-1, *x.shape[-3:])
    if stride == 1:
        y = convolution.conv(images, kernel, convolution.same(kernel))
    else:
        y = _halved(images, kernel)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def _halved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Stride 2, as a convolution of stride 1 over blocks of 2 x 2 pixels."""
    side = len(kernel)
    if side % 2 == 0:  # the first window begins in the middle of a block
        around = side // 2 - 1
        x = jnp.pad(x, ((0, 0), (around, around), (around, around), (0, 0)))
        return convolution.conv(_blocks(x), _blocks_kernel(kernel), ((0, 0), (0, 0)))
    before = (side + 1) // 4
    padding = (before, before - 1), (before, before - 1)
    return convolution.conv(
        _blocks(x), _blocks_kernel(jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))), padding
    )


def _blocks(x: jax.Array) -> jax.Array:
    """Each 2 x 2 pixels as one of 4 c channels: on these a convolution of stride 2 has stride 1,
    and the fast gradients of that."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).swapaxes(2, 3).reshape(n, h // 2, w // 2, 4 * c)


def _blocks_kernel(kernel: jax.Array) -> jax.Array:
    """[k, k, c, d] -> [k / 2, k / 2, 4 c, d] for `_blocks`."""
    half, c, d = len(kernel) // 2, *kernel.shape[2:]
    blocks = kernel.reshape(half, 2, half, 2, c, d).swapaxes(1, 2)
    return blocks.reshape(half, half, 4 * c, d)


def lrelu(x: jax.Array) -> jax.Array:
    """Leaky ReLU of slope 0.2."""
    return nn.leaky_relu(x, 0.2)


def repeated(x: jax.Array, factor: int = 2) -> jax.Array:
    """[..., h, w, c] -> [..., factor h, factor w, c], each pixel repeated: PyTorch's nearest."""
    return x.repeat(factor, -3).repeat(factor, -2)


def shuffled(x: jax.Array, factor: int = 2) -> jax.Array:
    """[h, w, factor^2 c] -> [factor h, factor w, c], PyTorch's pixel shuffle."""
    h, w, c = x.shape
    split = x.reshape(h, w, c // factor**2, factor, factor).transpose(0, 3, 1, 4, 2)
    return split.reshape(factor * h, factor * w, c // factor**2)


def unshuffled(x: jax.Array, factor: int) -> jax.Array:
    """[factor h, factor w, c] -> [h, w, factor^2 c], the inverse of `shuffled`."""
    h, w, c = x.shape[0] // factor, x.shape[1] // factor, x.shape[2]
    split = x.reshape(h, factor, w, factor, c).transpose(0, 2, 4, 1, 3)
    return split.reshape(h, w, c * factor**2)
