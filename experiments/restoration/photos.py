"""Photos as people have them, read and brought to a size that the prior restores."""

import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsr import degradations, images, operators, standins
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
        tolerance: how large a residual the truth itself may leave; None of what is no picture.
        jpeg: of a measurement that is the picture of a JPEG as it is, the name and the numbers of
            the entry of params that says how it was compressed (see `jaxsr.standins`).
        remarks: what was done to the pixels, or left out, when the file was read.
        load: () -> (y [h, w, 3], reference [R, R, 3] or None where there is none).
    """

    file: str
    is_reference: bool
    factor: int
    fit: str
    digest: str
    noise: float
    remarks: tuple[str, ...]
    load: Callable[[], tuple[np.ndarray, np.ndarray | None]]
    tolerance: images.Tolerance | None = None
    jpeg: tuple[str, tuple[float, ...]] | None = None

    @property
    def remark(self) -> str:
        """All remarks in one line."""
        return "; ".join(self.remarks)

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
    picture = images.load(file, fitter.reading)
    height, width = picture.shape[:2]
    factor = factor_of(height, width, fitter)
    size = fitter.operator(factor).measurement_shape[0]

    def fitted(picture: images.Picture) -> tuple[np.ndarray, str]:
        part, fit = picture.fit(size=size, mode=fitter.fit)
        return part.image(), fit

    y, fit = fitted(picture)
    compression = images.compression_noise(file, chroma_known=fitter.kind.halves_colours)
    operator = fitter.operator(factor)
    return Photo(
        file,
        False,
        factor,
        fit,
        digest(y, None),
        images.noise_of(y, compression),
        picture.remarks,
        lambda: (fitted(images.load(file, fitter.reading))[0], None),
        tolerance_of(y, operator, compression=compression, known=False),
        None if fit else _jpeg(file),
    )


def _jpeg(file: str) -> tuple[str, tuple[float, ...]] | None:
    """See `Photo.jpeg`; None of other files."""
    compression = images.compression_in(file)
    if compression is None:
        return None
    name, tables = standins.told(compression)
    return name, tuple(tables.ravel().tolist())


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

    def measured() -> tuple[np.ndarray, Square]:
        found = centre_square(
            file,
            fitter.resolution,
            scaled=fitter.kind.idempotent,
            mask=fitter.mask,
            reading=fitter.reading,
        )
        image = found.image
        y = np.asarray(operator.apply(jnp.asarray(image))) if fitter.kind.idempotent else image
        return y, found

    y, (_, fit, remarks) = measured()
    compression = images.compression_noise(file, fitter.resolution)
    return Photo(
        file,
        False,
        1,
        fit,
        digest(y, None),
        images.noise_of(y, compression),
        remarks,
        lambda: (measured()[0], None),
        tolerance_of(y, operator, compression=compression, known=fitter.kind.idempotent),
    )


def load_reference(file: str, fitter: Fitter) -> Photo:
    """Reads a high-resolution photo, to be degraded. Raises ValueError when it cannot be used."""
    factor = (fitter.factor or REFERENCE_FACTOR) if fitter.kind.takes_factor else 1
    image, fit, remarks = centre_square(
        file, fitter.resolution, mask=fitter.mask, reading=fitter.reading
    )

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
        remarks,
        lambda: degraded(centre_square(file, fitter.resolution, reading=fitter.reading).image),
        tolerance_of(y, fitter.operator(factor), known=fitter.kind.idempotent),
    )


def tolerance_of(
    y: np.ndarray, operator: operators.Operator, *, compression: float = 0.0, known: bool
) -> images.Tolerance | None:
    """The tolerance of a measurement; None of one that is no picture, which no file rounds.

    Args:
        y: the measurement.
        operator: which it is one of.
        compression: standard deviation of a JPEG's error.
        known: whether the operator is what made it, and not merely what it is taken for. A sharp
            photo that was made small here counts as one that came small, so that results are judged
            alike.
    """
    if not operators.is_image(y.shape):
        return None
    seen = operator.onto_range
    share = 1.0 if seen is None else float(np.mean(np.asarray(seen(np.ones(y.shape, np.float32)))))
    kernel = 0.0 if known else images.KERNEL
    return images.tolerance_of(y, compression=compression, kernel=kernel, share=share)


class Square(NamedTuple):
    """The centre of a photo [r, r, 3] at the prior's resolution; what was cropped and scaled; what
    was told when it was read."""

    image: np.ndarray
    fit: str
    remarks: tuple[str, ...]


def centre_square(
    file: str,
    resolution: int,
    *,
    scaled: bool = True,
    mask: tuple[int, ...] | None = None,
    reading: images.Reading = images.AS_FILES_ARE,
) -> Square:
    """The centre square of a photo at the prior's resolution, by area average.

    Raises:
        ValueError: a photo that is smaller; unless `scaled`, one whose shorter side is another; one
            of other proportions than `mask`.
    """
    picture = images.load(file, reading)
    height, width = picture.shape[:2]
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
    square, cropped = picture.square(mode="crop")
    resized = images.scaled_line(square.shape[0], resolution)
    fit = "; ".join(filter(None, (cropped, resized)))
    return Square(square.resize_area(resolution), fit, picture.remarks)


def digest(y: np.ndarray, reference: np.ndarray | None) -> str:
    """Of the pixels of a measurement and its reference, if there is one."""
    pixels = hashlib.sha256(np.ascontiguousarray(y, np.float32).tobytes())
    if reference is not None:
        pixels.update(np.ascontiguousarray(reference, np.float32).tobytes())
    return pixels.hexdigest()[:16]
