"""Large photos through a network in windows, so that memory does not grow with them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from jaxsr.types import AnyImage

WINDOW = 256  # px of the photo that the network sees at once
# px of a window that do not count where it ends inside of the photo. SRVGG of 16 layers and VDSR
# see no further. An RRDB of 23 blocks does, but hardly: with fresh weights it makes the same of
# windows to 1e-6 of its range.
MARGIN = 32


class Span(NamedTuple):
    """A window along one side of a photo, px: it goes from `start` to before `stop`; what is made
    of `first` to before `end` counts."""

    start: int
    stop: int
    first: int
    end: int


def spans(side: int, window: int = WINDOW, margin: int = MARGIN) -> list[Span]:
    """The windows along a side, all of one length: what counts of them follows one upon the other,
    and is `margin` from where a window ends, unless the photo ends there too."""
    if side <= window:
        return [Span(0, side, 0, side)]
    found, first = [], 0
    while first < side:
        start = min(max(first - margin, 0), side - window)
        stop = start + window
        found.append(Span(start, stop, first, side if stop == side else stop - margin))
        first = found[-1].end
    return found


def parts(
    image: AnyImage,
    restored: Callable[[np.ndarray], AnyImage],
    factor: int,
    *,
    multiple: int = 1,
    window: int = WINDOW,
    margin: int = MARGIN,
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """(where in the result, that part of it) of a photo [h, w, 3]; together they are the result
    [h * factor, w * factor, 3].

    Args:
        image: the photo.
        restored: (part of the photo [a, b, 3]) -> [a * factor, b * factor, 3].
        factor: enlargement.
        multiple: px that the network reads as one: windows begin at multiples of it, and a longer
            photo is reflected at its end to have such a side, as the network itself does.
        window, margin: see `spans`; multiples of `multiple`.
    """
    height, width = image.shape[:2]
    whole = _reflected(np.asarray(image), multiple, window)
    for row in spans(whole.shape[0], window, margin):
        for column in spans(whole.shape[1], window, margin):
            made = restored(whole[row.start : row.stop, column.start : column.stop])
            down, along = _cut(row, height, factor), _cut(column, width, factor)
            yield (down[0], along[0]), np.asarray(made)[down[1], along[1]]


def _cut(span: Span, side: int, factor: int) -> tuple[slice, slice]:
    """Of a result's side: where a window's part goes, and where it lies in what was made of it; no
    further than the photo went."""
    end = min(span.end, side)
    place = slice(span.first * factor, end * factor)
    return place, slice((span.first - span.start) * factor, (end - span.start) * factor)


def _reflected(image: np.ndarray, multiple: int, window: int) -> np.ndarray:
    """Sides that need several windows, brought to a multiple."""
    short = [-side % multiple if side > window else 0 for side in image.shape[:2]]
    return np.pad(image, [*((0, more) for more in short), (0, 0)], "reflect")
