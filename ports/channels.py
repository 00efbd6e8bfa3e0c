"""Networks of grey pictures and of pictures with transparency -> networks of RGB, which compute the
same.

A picture of one channel becomes one of three equal channels, so that a grey prior fits every
operator, method and metric; of four channels the first three are taken.
"""

import numpy as np

_COLOURS = 3
_TORGB, _FROMRGB = "torgb/kernel", "discriminator/fromrgb/"


def as_rgb(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """`arrays` by our paths, with images of three channels, and what is told of it.

    Raises:
        ValueError: images of another number of channels than 1, 3 or 4.
    """
    channels = {
        array.shape[-1] for path, array in arrays.items() if path.endswith(_TORGB) and array.ndim
    }
    if len(channels) != 1 or channels == {_COLOURS}:  # the tables' check names what does not fit
        return arrays, ()
    (count,) = channels
    if count not in (1, 4):
        raise ValueError(
            f"expected a network of grey, RGB or RGBA pictures, got one of {count} channels"
        )
    changed = {path: _to_rgb(path, array, count) for path, array in arrays.items()}
    kernel, bias = (arrays.get(_FROMRGB + name) for name in ("kernel", "bias"))
    if kernel is not None and kernel.shape[2:3] == (count,):
        changed[_FROMRGB + "kernel"], opaque = _from_rgb(kernel)
        if bias is not None and bias.shape == opaque.shape:
            changed[_FROMRGB + "bias"] = bias + opaque
    return changed, (_TOLD[count],)


_TOLD = {
    1: "the network is one of grey pictures: its images have three equal channels",
    4: "the network is one of pictures with transparency (RGBA): its colours were taken, its alpha "
    "left out, and its discriminator sees opaque pictures",
}


def _to_rgb(path: str, array: np.ndarray, count: int) -> np.ndarray:
    if not path.endswith(("torgb/kernel", "torgb/bias")) or array.shape[-1:] != (count,):
        return array
    return np.repeat(array, _COLOURS, -1) if count == 1 else array[..., :_COLOURS]


def _from_rgb(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kernel [1, 1, 3, c] that sees in three channels what `kernel` [1, 1, n, c] sees in one,
    or in four of which the last is 1 everywhere, and what that last one adds.

    Layers divide by the root of their inputs, of 3 from now on.
    """
    count = kernel.shape[2]
    if count == 1:
        return np.repeat(kernel, _COLOURS, 2) / np.float32(np.sqrt(_COLOURS)), 0 * kernel[0, 0, 0]
    scale = np.float32(np.sqrt(_COLOURS / count))
    return kernel[:, :, :_COLOURS] * scale, kernel[0, 0, -1] / np.float32(np.sqrt(count))
