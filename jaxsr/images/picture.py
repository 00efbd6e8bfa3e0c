"""What was read of a file: pixels as they are stored, how they become RGB, and what to tell."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxsr.images import shapes
from jaxsr.images.errors import ImageError
from jaxsr.images.levels import Reading, level_of

BLOCK = 4_000_000  # numbers that are made float at once
LARGE = 25_000_000  # pixels
_large = threading.RLock()
_block = threading.local()

_ORIENTATIONS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


@contextlib.contextmanager
def alone(height: int, width: int) -> Iterator[None]:
    """Threads decode one large photo at a time, which bounds the memory; see `one_large_photo`."""
    held = getattr(_block, "held", None)
    if height * width <= LARGE:
        yield
    elif held is not None:
        held.enter_context(_large)
        yield
    else:
        with _large:
            yield


@contextlib.contextmanager
def one_large_photo() -> Iterator[None]:
    """A large photo that this thread decodes in the block keeps those of other threads waiting to
    the block's end: two of 100 megapixels never lie in memory side by side."""
    with contextlib.ExitStack() as held:
        _block.held = held
        try:
            yield
        finally:
            _block.held = None


class Layout(NamedTuple):
    """What the numbers of a pixel mean.

    Attributes:
        colours: how many of them are colours: 1 (grey), 3 (RGB) or 4 (CMYK, which needs
            `to_srgb`); the rest is left out.
        alpha: index of the opacity, None where there is none.
        premultiplied: whether the colours are multiplied by it.
        inverted: whether 0 is white.
        to_srgb: RGB, grey or CMYK [n, w, c], in [0, 1] or uint8 -> sRGB [n, w, 3] in [0, 1]; None:
            they are.
        white: the number that means white.
        opaque: the alpha that means opaque.
    """

    colours: int
    alpha: int | None = None
    premultiplied: bool = False
    inverted: bool = False
    to_srgb: Callable[[np.ndarray], np.ndarray] | None = None
    white: float = 255.0
    opaque: float = 255.0

    def to_rgb(self, rows: np.ndarray) -> np.ndarray:
        """float32 [n, w, 3] in [0, 1] of stored rows [n, w, c]; transparent parts on white."""
        alpha = None
        if self.alpha is not None:
            alpha = rows[..., self.alpha, None].astype(np.float32) / np.float32(self.opaque)
        x = rows[..., : self.colours]
        # Bytes as they are become sRGB much faster.
        plain = x.dtype == np.uint8 and not (self.inverted or self.premultiplied)
        if self.to_srgb is None or not plain:
            x = self._scaled(x, alpha)
        x = x if self.to_srgb is None else self.to_srgb(x)
        x = np.repeat(x, 3, axis=2) if x.shape[2] == 1 else x
        return x if alpha is None else x * alpha + (1 - alpha)

    def _scaled(self, colours: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
        """Stored colours [n, w, c] in [0, 1], not multiplied by alpha."""
        x = colours.astype(np.float32) / np.float32(self.white)
        x = 1 - x if self.inverted else x
        if alpha is not None and self.premultiplied:
            x = np.clip(np.divide(x, alpha, out=np.ones_like(x), where=alpha > 0), 0, 1)
        return x


@dataclasses.dataclass(frozen=True)
class Picture:
    """A photo in memory, as small as its file keeps it: a photo of 100 megapixels takes 300 MB of 8
    bits, and 1.2 GB as floats.

    Attributes:
        stored: [h, w, c], upright.
        layout: what the numbers mean.
        remarks: what was done to them or left out, for the user; what comes in brackets differs
            from photo to photo.
    """

    stored: np.ndarray
    layout: Layout
    remarks: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.stored.shape[:2], 3)

    @property
    def remark(self) -> str:
        """All remarks in one line."""
        return "; ".join(self.remarks)

    def image(self) -> np.ndarray:
        """float32 [h, w, 3] in [0, 1]."""
        image = np.empty(self.shape, np.float32)
        step = max(1, BLOCK // (3 * self.shape[1]))
        for top in range(0, len(image), step):
            image[top : top + step] = self.layout.to_rgb(self.stored[top : top + step])
        return image

    def fit(
        self, *, mode: shapes.Mode, size: int | None = None, multiple: int | None = None
    ) -> tuple["Picture", str]:
        """See `shapes.fit`."""
        stored, done = shapes.fit(self.stored, mode=mode, size=size, multiple=multiple)
        return dataclasses.replace(self, stored=stored), done

    def square(self, *, mode: shapes.Mode) -> tuple["Picture", str]:
        """See `shapes.square`."""
        stored, done = shapes.square(self.stored, mode=mode)
        return dataclasses.replace(self, stored=stored), done

    def resize_area(self, size: int) -> np.ndarray:
        """float32 [size, size, 3] of a square picture; see `shapes.resize_area`."""
        return shapes.resize_area_of(
            self.shape, lambda top, end: self.layout.to_rgb(self.stored[top:end]), size
        )


def summary(told: Mapping[str, Sequence[str]]) -> list[str]:
    """Remarks of many photos (name -> remarks) in a line for each kind: how many photos it is of,
    and the first."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for name, remarks in told.items():
        for remark in remarks:
            kinds.setdefault(remark.partition(" (")[0], []).append((name, remark))
    return [
        f"{found[0][0]}: {found[0][1]}"
        if len(found) == 1
        else f"{len(found)} of {len(told)} photos: {found[0][1]}, the first: {found[0][0]}"
        for found in kinds.values()
    ]


def make(
    stored: np.ndarray,
    layout: Layout,
    remarks: list[str],
    reading: Reading,
    *,
    bits: int,
    orientation: int = 1,
) -> Picture:
    """The picture of stored numbers [h, w, c]; its levels are found.

    Args:
        stored: as the file has them.
        layout: what they mean; `white` and `opaque` are filled in.
        remarks: what is to be told so far.
        reading: how photos are read.
        bits: of each number in the file.
        orientation: EXIF's; 1 is upright.

    Raises:
        ImageError: see `level_of`; alpha outside of [0, 1].
    """
    if 0 in stored.shape:
        raise ImageError(f"expected pixels, got an image of {stored.shape[1]} x {len(stored)} px")
    level = level_of(stored[..., : layout.colours], bits, reading.white)
    kind = stored.dtype.kind
    opaque = 1.0 if kind == "f" else float(2 ** (bits - (kind == "i")) - 1)
    told = [*remarks, level.remark]
    if layout.alpha is not None:
        told.append(_alpha_remark(stored[..., layout.alpha], opaque))
    turned = _ORIENTATIONS.get(orientation, lambda x: x)(stored)
    layout = layout._replace(white=level.white, opaque=opaque)
    return Picture(turned, layout, tuple(filter(None, told)))


def _alpha_remark(alpha: np.ndarray, opaque: float) -> str:
    low, high = alpha.min().item(), alpha.max().item()
    if low < 0 or high > opaque:
        raise ImageError(f"expected an alpha from 0 to {opaque:g}, got {low:g} to {high:g}")
    return "transparent parts are shown on white" if low < opaque else ""
