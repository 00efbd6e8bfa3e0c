"""Photos as people have them, made ready for a prior: found, named, read, and brought to a size
that the prior restores."""

import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxsr import degradations, flags, images, loading, operators, resample, weights
from jaxsr.operators import OPERATORS, Kind

REFERENCE_FACTOR = 8  # of a reference, when none is asked for
LONGEST_STEM = 200  # bytes; file systems allow names of 255


class File(NamedTuple):
    """A file to restore or, if `is_reference`, to degrade and restore; `problem` says why it was
    not found."""

    name: str
    is_reference: bool
    problem: str = ""


class Fitter(NamedTuple):
    """How photos meet the prior.

    Attributes:
        resolution: the prior's.
        factor: asked for; None: the photo's.
        fit: what to do with sides that no factor fits.
        kind: what photos lack.
        operator: (factor) -> the operator; of a kind that takes no factor, whatever the factor.
        mask: height and width of the picture of what is missing, if there is one, which photos must
            have the proportions of.
    """

    resolution: int
    factor: int | None
    fit: Literal["crop", "pad"]
    kind: Kind
    operator: Callable[[int], operators.Operator]
    mask: tuple[int, ...] | None = None


def example_folder(source: str) -> str:
    """The folder of a prior's examples. Raises ValueError for what is no prior, or one without."""
    folder = loading.prior_folder(source)
    weights.read_config(folder)
    if not (folder / "examples").is_dir():
        raise ValueError(f"the prior {folder.name} has no examples: give --input or --reference")
    return str(folder / "examples")


class Photo(NamedTuple):
    """A photo to restore. It is read again when its pixels are needed, so that thousands need not
    be held.

    Attributes:
        file: its path.
        is_reference: whether the file is the high-resolution reference, which is degraded first.
        factor: enlargement.
        fit: what was cropped or padded.
        digest: of the pixels of the measurement and the reference.
        load: () -> (y [h, w, 3], reference [R, R, 3] or None where there is none).
    """

    file: str
    is_reference: bool
    factor: int
    fit: str
    digest: str
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


class Job(NamedTuple):
    """One result to make: the file OUT/output, solution number `solution` of the photo."""

    photo: Photo
    output: str
    solution: int


def find_files(inputs: Sequence[str], references: Sequence[str]) -> list[File]:
    """Each file once, in the order of the patterns."""
    found = {}
    for patterns, is_reference in ((inputs, False), (references, True)):
        for pattern in patterns:
            try:
                files = [File(str(path), is_reference) for path in images.find(pattern)]
            except images.ImageError as error:
                files = [File(pattern, is_reference, str(error))]
            found |= {file[:2]: file for file in files if file[:2] not in found}
    return list(found.values())


def output_names(files: Sequence[File], num_solutions: int) -> list[list[str]]:
    """Names of the results of each file: <stem>.png, or <stem>_s0.png and so on.

    A stem that is taken (upper and lower case being the same) or that is "grid" gets _2, _3, ...;
    one that leaves no room for such an ending is cut.
    """
    taken, names = {"grid"}, []
    for file in files:
        whole = Path(file.name).stem.encode()[:LONGEST_STEM].decode(errors="ignore")
        stem = next(
            name
            for name in chain([whole], (f"{whole}_{i}" for i in count(2)))
            if name.casefold() not in taken
        )
        taken.add(stem.casefold())
        names.append(
            [f"{stem}.png"]
            if num_solutions == 1
            else [f"{stem}_s{i}.png" for i in range(num_solutions)]
        )
    return names


class Asked(NamedTuple):
    """What the flags say of the operator: its name in OPERATORS, and what it is made for.

    Attributes:
        operator: a name in OPERATORS.
        factor: enlargement; None: the photo's.
        kernel: how photos were made small.
        mask: a picture of what is missing; None: the centre.
    """

    operator: str = "downsample"
    factor: int | None = None
    kernel: str = "bicubic"
    mask: str | None = None

    def check(self) -> None:
        """Raises ValueError for an unknown name, and for what the operator does not read."""
        kind = OPERATORS[flags.choose(self.operator, OPERATORS, "operator")]
        flags.choose(self.kernel, get_args(resample.Kernel), "kernel")
        if self.factor is not None and not kind.takes_factor:
            raise ValueError(
                f"--factor is for {_names('takes_factor')}, not for {self.operator}: leave it out"
            )
        if self.kernel != "bicubic" and not kind.takes_factor:
            raise ValueError(
                f"--kernel is for {_names('takes_factor')}, not for {self.operator}: leave it out"
            )
        if self.mask is not None and not kind.takes_mask:
            raise ValueError(
                f"--mask is for {_names('takes_mask')}, not for {self.operator}: leave it out"
            )


def _names(trait: str) -> str:
    return " or ".join(name for name, kind in OPERATORS.items() if getattr(kind, trait))


class Mask(NamedTuple):
    """A picture of what is missing: the pixels that are seen, bool [r, r], and the sides of the
    picture, (height, width)."""

    seen: np.ndarray
    shape: tuple[int, ...]


def read_mask(file: str, resolution: int) -> Mask:
    """What a picture leaves black is seen. Each pixel that white touches, when it is brought to the
    prior's resolution, is hidden.

    Raises:
        ValueError: a picture that cannot be read, is too small, or hides nothing or everything.
    """
    try:
        image = images.read(file)
        white = np.broadcast_to(
            (image.max(2, keepdims=True) >= 0.5).astype(np.float32), image.shape
        )
        if min(image.shape[:2]) < resolution:
            raise ValueError(
                f"{image.shape[1]}x{image.shape[0]} px is smaller than the prior's "
                f"{resolution}x{resolution} px"
            )
        hidden = images.resize_area(images.square(white, mode="crop")[0], resolution).max(2) > 0
        if hidden.all() or not hidden.any():
            got = (
                "no black (what is transparent is read as white)" if hidden.all() else "black alone"
            )
            raise ValueError(
                f"expected white where pixels are missing and black elsewhere, got {got}"
            )
    except (ValueError, OSError) as error:
        raise ValueError(f"--mask={file}: {str(error).removeprefix(f'{file}: ')}") from error
    return Mask(~hidden, image.shape[:2])


def mask_digest(file: str | None) -> str | None:
    """Of a mask's file: under the same name it may be another one later. None without a mask; ""
    for one that cannot be read."""
    try:
        return file and hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def make_fitter(
    resolution: int, asked: Asked, fit: Literal["crop", "pad"], *, references: bool
) -> Fitter:
    """Raises ValueError when the factor, or that of the references, does not divide the prior's
    resolution, and for an unusable mask."""
    kind = OPERATORS[asked.operator]
    factor = asked.factor or (REFERENCE_FACTOR if references else 1)
    if kind.takes_factor and resolution % factor:
        fitting = ", ".join(str(f) for f in range(2, resolution + 1) if resolution % f == 0)
        raise ValueError(
            f"--factor={factor} does not divide the prior's resolution of {resolution} px: "
            f"choose one of {fitting}"
        )
    mask = read_mask(asked.mask, resolution) if asked.mask else None
    seen = mask and mask.seen
    kernel = cast(resample.Kernel, asked.kernel)
    operator = functools.cache(
        lambda f: operators.make(asked.operator, resolution, factor=f, kernel=kernel, seen=seen)
    )
    return Fitter(resolution, asked.factor, fit, kind, operator, mask and mask.shape)


def load_jobs(
    files: Sequence[File], names: Sequence[Sequence[str]], fitter: Fitter, *, progress: bool = False
) -> tuple[list[Job], list[dict]]:
    """The results to make, in order, and a row (file, output, status, error) for each file that
    cannot be used.

    Raises:
        ValueError: none can.
    """
    jobs, bad = [], []
    bar = tqdm(
        files,
        desc="reading",
        unit="photo",
        delay=2,
        leave=False,
        disable=not progress,
        dynamic_ncols=True,
    )
    for file, outputs in zip(bar, names, strict=True):
        try:
            if file.problem:
                raise ValueError(file.problem)
            photo = (load_reference if file.is_reference else load_input)(file.name, fitter)
            jobs += [Job(photo, output, i) for i, output in enumerate(outputs)]
        except (ValueError, OSError) as error:
            message = str(error) if file.name in str(error) else f"{file.name}: {error}"
            bad.append(
                {"file": file.name, "output": outputs[0], "status": "error", "error": message}
            )
    if not jobs:
        raise ValueError(
            bad[0]["error"]
            if len(bad) == 1
            else f"none of the {len(bad)} photos can be used; the first: {bad[0]['error']}"
        )
    return jobs, bad


def load_input(file: str, fitter: Fitter) -> Photo:
    """Reads a photo that lacks what the operator takes away. Raises ValueError when it cannot be
    used."""
    if not fitter.kind.takes_factor:
        return _load_whole(file, fitter)
    image = images.read(file)
    height, width = image.shape[:2]
    factor = (
        _check_factor(height, width, fitter)
        if fitter.factor
        else _find_factor(height, width, fitter)
    )
    size = fitter.operator(factor).measurement_shape[0]

    def fitted(image: np.ndarray) -> tuple[np.ndarray, str]:
        return images.fit(image, size=size, mode=fitter.fit)

    y, fit = fitted(image)
    return Photo(
        file, False, factor, fit, digest(y, None), lambda: (fitted(images.read(file))[0], None)
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

    def measured() -> tuple[np.ndarray, str]:
        image, fit = centre_square(
            file, fitter.resolution, scaled=fitter.kind.idempotent, mask=fitter.mask
        )
        return np.asarray(
            operator.apply(jnp.asarray(image))
        ) if fitter.kind.idempotent else image, fit

    y, fit = measured()
    return Photo(file, False, 1, fit, digest(y, None), lambda: (measured()[0], None))


def _check_factor(height: int, width: int, fitter: Fitter) -> int:
    """The factor asked for, if a photo of these sides can be brought to its size without losing
    half of a side."""
    factor, pad = fitter.factor or 1, fitter.fit == "pad"
    size, side = fitter.resolution // factor, max(height, width) if pad else min(height, width)
    needs = (
        f"{width}x{height} px, but the prior's {fitter.resolution} px at --factor={factor} need "
        f"{size} px on a side"
    )
    if side >= 2 * size or (pad and side > size):
        raise ValueError(
            f"{needs}: leave --factor out{', use --fit=crop' if pad else ''}, or give a "
            "larger photo as --reference"
        )
    if side < size and not pad:
        raise ValueError(
            f"{needs}: leave --factor "
            f"out{', or use --fit=pad' if 2 * max(height, width) > size else ''}"
        )
    return factor


def _find_factor(height: int, width: int, fitter: Fitter) -> int:
    """The factor that keeps most of a photo (crop) or adds least to it (pad)."""
    resolution, pad = fitter.resolution, fitter.fit == "pad"
    side = max(height, width) if pad else min(height, width)
    sizes = {f: resolution // f for f in range(2, resolution + 1) if resolution % f == 0}
    factors = [
        f for f, size in sizes.items() if (size >= side if pad else size <= side < resolution)
    ]
    if not factors:
        raise ValueError(
            f"{width}x{height} px is too large for a prior of {resolution}x{resolution} px, "
            f"which restores at most {resolution // 2}x"
            f"{resolution // 2} px: give it as --reference to degrade it first, or use a "
            "prior of a higher resolution"
        )
    return max(factors) if pad else min(factors)


def load_reference(file: str, fitter: Fitter) -> Photo:
    """Reads a high-resolution photo, to be degraded. Raises ValueError when it cannot be used."""
    factor = (fitter.factor or REFERENCE_FACTOR) if fitter.kind.takes_factor else 1
    image, fit = centre_square(file, fitter.resolution, mask=fitter.mask)

    def degraded(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(
            degradations.recorded(fitter.operator(factor).apply(jnp.asarray(image)))
        ), image

    return Photo(
        file,
        True,
        factor,
        fit,
        digest(*degraded(image)),
        lambda: degraded(centre_square(file, fitter.resolution)[0]),
    )


def centre_square(
    file: str, resolution: int, *, scaled: bool = True, mask: tuple[int, ...] | None = None
) -> tuple[np.ndarray, str]:
    """The centre square of a photo at the prior's resolution, by area average, and what was
    cropped.

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
    image, fit = images.square(image, mode="crop")
    return images.resize_area(image, resolution), fit


def digest(y: np.ndarray, reference: np.ndarray | None) -> str:
    """Of the pixels of a measurement and its reference, if there is one."""
    pixels = hashlib.sha256(np.ascontiguousarray(y, np.float32).tobytes())
    if reference is not None:
        pixels.update(np.ascontiguousarray(reference, np.float32).tobytes())
    return pixels.hexdigest()[:16]
