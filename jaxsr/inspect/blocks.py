"""JPEG: its quality by its tables, and the blocks that it left in pixels whose file no longer tells
of it.

The tables are those of ITU-T T.81, annex K, scaled as by the Independent JPEG Group's library
(jcparam.c): entry = (base * S + 50) // 100 within 1 to 255, with S = 5000 // Q below quality 50,
else 200 - 2 Q.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

BLOCK = 8
# In natural order, as Pillow gives them.
LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
CHROMA = np.full((BLOCK, BLOCK), 99)
CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

# Share of coefficients that the best of the 64 grids has more of below `ZERO` than the second best.
# Of 100 validation photos each (blood cells), never compressed: at most 0.05 at 16 px, 0.09 at 24
# and 32 px, 0.02 from 48 px on. JPEGs of quality 30 to 95 saved as PNG: at least 0.09 at 24 px and
# 0.11 from 32 px on; at 16 px a fifth of those of quality 50 and nearly all of 95 are missed.
TELLING = 0.1
ZERO = 0.7  # grey levels; rounding to whole levels moves a coefficient of 0 by 0.2
LEAST_SIDE = 16
QUALITIES = range(20, 99)  # that are looked for; above, steps of 1 and 2 leave nothing to see
FINE = 3  # steps below are too close to rounding
FITS = 0.5  # of the deviation that coefficients of no JPEG of that quality have


class Quality(NamedTuple):
    """Of a JPEG, 1 to 100; `exact`: its tables are just those of that quality."""

    value: int
    exact: bool


class Grid(NamedTuple):
    """Blocks found in pixels.

    Attributes:
        top, left: of the first whole block, 0 to 7.
        quality: of the tables that explain them, None where none does.
    """

    top: int
    left: int
    quality: int | None


def table(quality: int, base: np.ndarray = LUMA) -> np.ndarray:
    """The 8 x 8 steps of a quality from 1 to 100, in natural order."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((base * scale + 50) // 100, 1, 255)


def quality_of(tables: Mapping[int, Sequence[int]]) -> Quality:
    """The quality that a JPEG's tables were made for; of another encoder's the nearest, by the mean
    ratio of the steps.

    Args:
        tables: number -> 64 steps in natural order (Pillow's `quantization`): 0 of luma, 1 of
            chroma where it has its own.
    """
    found = np.stack([np.reshape(tables[key], (BLOCK, BLOCK)) for key in sorted(tables)[:2]])
    made = _all_tables()[:, : len(found)]
    distance = np.abs(np.log(made / np.maximum(found, 1))).mean((1, 2, 3))
    same = (made == found).all((1, 2, 3))
    best = int(np.argmax(same) if same.any() else np.argmin(distance))
    return Quality(best + 1, bool(same.any()))


@functools.cache
def _all_tables() -> np.ndarray:
    """[100, 2, 8, 8]: of luma and chroma of each quality."""
    return np.stack([[table(q, base) for base in (LUMA, CHROMA)] for q in range(1, 101)])


def grid_of(grey: np.ndarray) -> Grid | None:
    """The blocks of a JPEG in grey levels [h, w] of 0 to 255; None where there are none to see.

    JPEG rounds coefficients of blocks, most of them to 0. In pixels that were not resized since,
    they are still 0 for its own grid and for no other of the 64 (Fan and de Queiroz, IEEE TIP 2003,
    look at the steps between blocks instead, which tell next to nothing below 128 px).
    """
    if min(grey.shape) < LEAST_SIDE:
        return None
    grids = {(i, j): coefficients(grey[i:, j:]) for i in range(BLOCK) for j in range(BLOCK)}
    zeros = {place: float((np.abs(c) < ZERO).mean()) for place, c in grids.items() if c.size}
    second, best = sorted(zeros, key=lambda place: zeros[place])[-2:]
    if zeros[best] - zeros[second] < TELLING:
        return None
    return Grid(*best, _quality_by(grids[best]))


def coefficients(grey: np.ndarray) -> np.ndarray:
    """The cosine coefficients [n, m, 8, 8] of the whole blocks of grey levels [h, w]."""
    n, m = (side // BLOCK for side in grey.shape)
    blocks = grey[: n * BLOCK, : m * BLOCK].reshape(n, BLOCK, m, BLOCK)
    rows = np.tensordot(blocks, COSINES, (1, 1))  # [n, m, 8 columns, 8]
    return np.tensordot(rows, COSINES, (2, 1))


def _cosines() -> np.ndarray:
    """The orthonormal DCT-II of 8 numbers: T.81, A.3.3."""
    k, x = np.mgrid[:BLOCK, :BLOCK]
    scale = np.where(k == 0, np.sqrt(1 / BLOCK), np.sqrt(2 / BLOCK))
    return scale * np.cos((2 * x + 1) * k * np.pi / (2 * BLOCK))


COSINES = _cosines()


def _quality_by(found: np.ndarray) -> int | None:
    """The quality of whose steps coefficients [n, m, 8, 8] that are not 0 are multiples, within
    rounding."""
    misfits = {q: _misfit(found, table(q)) for q in QUALITIES}
    best = min(misfits, key=lambda q: misfits[q])
    return best if misfits[best] < FITS else None


def _misfit(found: np.ndarray, steps: np.ndarray) -> float:
    """Distance to the nearest multiples, 1 for coefficients that know nothing of the steps; where
    fewer than 8 are large enough to tell, 1."""
    multiples = found / steps
    tells = (np.abs(multiples) > 0.5) & (steps >= FINE)
    tells[..., 0, 0] = False  # moved by 128 before it was rounded
    if tells.sum() < BLOCK:
        return 1.0
    apart = (multiples - np.rint(multiples))[tells]
    return float(np.sqrt(12 * np.mean(apart**2)))
