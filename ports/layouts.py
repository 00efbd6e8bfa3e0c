"""From a checkpoint's layouts of arrays to ours: the transforms of the tables. Each raises
ValueError for what cannot be."""

import numpy as np


def same(array: np.ndarray) -> np.ndarray:
    """As it is."""
    return array


def transposed(array: np.ndarray) -> np.ndarray:
    """[outputs, inputs] -> [inputs, outputs]."""
    return array.transpose(1, 0)


def hwio(array: np.ndarray) -> np.ndarray:
    """Torch's kernel [outputs, inputs, kh, kw] -> [kh, kw, inputs, outputs]."""
    return array.transpose(2, 3, 1, 0)


def flat(array: np.ndarray) -> np.ndarray:
    """All numbers in one row."""
    return array.reshape(-1)


def anything(array: np.ndarray) -> None:
    """For what is not needed."""


def chw(array: np.ndarray) -> np.ndarray:
    """[1, c, h, w] or [c, h, w] -> [h, w, c]."""
    return array.reshape(array.shape[-3:]).transpose(1, 2, 0)


def rgb_kernel(array: np.ndarray) -> np.ndarray:
    """[3, c, 1, 1] -> [c, 3]."""
    return array.reshape(array.shape[-4:])[:, :, 0, 0].transpose(1, 0)


def flattened(kernel: np.ndarray) -> np.ndarray:
    """[channels * 16, outputs] with rows in the order c, h, w -> in the order h, w, c."""
    return kernel.reshape(-1, 4, 4, kernel.shape[-1]).transpose(1, 2, 0, 3).reshape(kernel.shape)


def flattened_torch(weight: np.ndarray) -> np.ndarray:
    """[outputs, channels * 16] -> `flattened`."""
    return flattened(weight.transpose(1, 0))


def noise_map(array: np.ndarray) -> np.ndarray:
    """[1, 1, h, w] or [h, w] -> [h, w]."""
    return array.reshape(array.shape[-2:])


def number(array: np.ndarray) -> np.ndarray:
    """[] or [1] -> []."""
    return array.reshape(())


def flipped(array: np.ndarray) -> np.ndarray:
    """A kernel turned by 180 degrees, as TensorFlow stores those of layers that double the side."""
    return array[::-1, ::-1]


def final_lod(array: np.ndarray) -> None:
    """The level of detail of a progressively grown network, which must be fully grown: ours has no
    other."""
    if np.any(array):
        raise ValueError("a network that is still growing")
