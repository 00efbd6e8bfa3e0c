"""Photos as people have them, read and brought to a size that the prior restores."""

import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsr import degradations, images, operators
from restoration.fitting import REFERENCE_FACTOR, Fitter, factor_of


class Photo(NamedTuple):
    """A photo to restore. It is read again when its pixels are needed, so that thousands need not
    be held.

    Attributes:
        file: its path.
        is_reference: whether the file is the high-resolution reference, which is degraded first.
        factor: enlargement.
        fit: what was cropped, padded or scaled.
        digest: of the pixels of the measurement and the reference.
        noise: standard deviation of the measurement's, of [0, 1].
        load: () -> (y [h, w, 3], reference [R, R, 3] or None where there is none).
    """

    file: str
    is_reference: bool
    factor: int
    fit: str
    digest: str
    noise: float
    load: Callable[[], tuple[np.ndarray, np.ndarray | None]]

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """`load`, of the same pixels as at first. Raises ValueError or OSError when the file is
        gone or has changed since."""
        y, reference = self.load()
        if digest(y, reference) != self.digest:
            raise ValueError(
                f"{self.file}: expected the pixels that were read at the start, got others: "
                "the file has changed"
            )
        return y, reference


def load_input(file: str, fitter: Fitter) -> Photo:
    """Reads a photo that lacks what the operator takes. Raises ValueError for an unusable one."""
    if not fitter.kind.takes_factor:
        return _load_whole(file, fitter)
    image = images.read(file)
    height, width = image.shape[:2]
    factor = factor_of(height, width, fitter)
    size = fitter.operator(factor).measurement_shape[0]

    def fitted(image: np.ndarray) -> tuple[np.ndarray, str]:
        return images.fit(image, size=size, mode=fitter.fit)

    y, fit = fitted(image)
    noise = images.noise_of(y, images.compression_noise(file))
    return Photo(
        file,
        False,
        factor,
        fit,
        digest(y, None),
        noise,
        lambda: (fitted(images.read(file))[0], None),
    )


def _load_whole(file: str, fitter: Fitter) -> Photo:
    """Reads a photo of the prior's own size: a blurred one is the measurement itself, one without
    colour is made grey again."""
    operator = fitter.operator(1)
    if not operators.is_image(operator.measurement_shape):
        raise ValueError(
            f"{file}: the operator {operator.name} measures no picture: give a sharp photo as "
            "--reference"
        )
    if not fitter.kind.idempotent and operator.measurement_shape != operator.image_shape:
        raise ValueError(
            f"{file}: the operator {operator.name} changes the size of a picture: give a sharp "
            "photo as --reference"
        )

    def measured() -> tuple[np.ndarray, str]:
        image, fit = centre_square(
            file, fitter.resolution, scaled=fitter.kind.idempotent, mask=fitter.mask
        )
        y = np.asarray(operator.apply(jnp.asarray(image))) if fitter.kind.idempotent else image
        return y, fit

    y, fit = measured()
    noise = images.noise_of(y, images.compression_noise(file, fitter.resolution))
    return Photo(file, False, 1, fit, digest(y, None), noise, lambda: (measured()[0], None))


def load_reference(file: str, fitter: Fitter) -> Photo:
    """Reads a high-resolution photo, to be degraded. Raises ValueError when it cannot be used."""
    factor = (fitter.factor or REFERENCE_FACTOR) if fitter.kind.takes_factor else 1
    image, fit = centre_square(file, fitter.resolution, mask=fitter.mask)

    def degraded(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = degradations.recorded(fitter.operator(factor).apply(jnp.asarray(image)))
        return np.asarray(y), image

    y, _ = degraded(image)
    return Photo(
        file,
        True,
        factor,
        fit,
        digest(y, image),
        images.noise_of(y) if operators.is_image(y.shape) else 0.0,
        lambda: degraded(centre_square(file, fitter.resolution)[0]),
    )


def centre_square(
    file: str, resolution: int, *, scaled: bool = True, mask: tuple[int, ...] | None = None
) -> tuple[np.ndarray, str]:
    """The centre square of a photo at the prior's resolution, by area average, and what was cropped
    and scaled.

    Raises:
        ValueError: a photo that is smaller; unless `scaled`, one whose shorter side is another; one
            of other proportions than `mask`.
    """
    image = images.read(file)
    height, width = image.shape[:2]
    if min(height, width) < resolution:
        raise ValueError(
            f"{file}: {width}x{height} px is smaller than the prior's "
            f"{resolution}x{resolution} px: it must not be enlarged"
        )
    if not scaled and min(height, width) != resolution:
        needs = f"but with this operator photos are of the prior's {resolution}x{resolution} px"
        raise ValueError(
            f"{file}: {width}x{height} px, {needs}: bring it to them, or give it as --reference"
        )
    if mask is not None and not math.isclose(width / height, mask[1] / mask[0], rel_tol=0.01):
        raise ValueError(
            f"{file}: {width}x{height} px, but --mask is of {mask[1]}x{mask[0]} px: expected "
            "the same proportions"
        )
    image, cropped = images.square(image, mode="crop")
    side = len(image)
    scaling = (
        f"scaled by area average: {side} x {side} px became {resolution} x {resolution} px"
        if side != resolution
        else ""
    )
    return images.resize_area(image, resolution), "; ".join(filter(None, (cropped, scaling)))


def digest(y: np.ndarray, reference: np.ndarray | None) -> str:
    """Of the pixels of a measurement and its reference, if there is one."""
    pixels = hashlib.sha256(np.ascontiguousarray(y, np.float32).tobytes())
    if reference is not None:
        pixels.update(np.ascontiguousarray(reference, np.float32).tobytes())
    return pixels.hexdigest()[:16]
