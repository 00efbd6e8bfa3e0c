"""Pictures of results: labelled grids and mosaics."""

import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxsr.images import to_uint8

MARGIN, LINE = 4, 16  # pixels between cells; height of a line of text


def grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    *,
    columns: Sequence[str],
    captions: Sequence[str],
    cell: int,
) -> np.ndarray:
    """A picture of n rows of images under column titles, each row with a caption below it.

    The rows are set in as many blocks side by side as bring the whole nearest to a square, so that
    many stay readable.

    Args:
        rows: for each row as many square images [h, h, 3] in [0, 1] as there are columns, None for
            an empty cell; smaller images are enlarged by repeating pixels, larger ones reduced.
        columns: titles.
        captions: one text a row, cut to the row's width.
        cell: side of a cell in pixels.

    Returns:
        [h, w, 3] float32 in [0, 1]. Raises ValueError when there is no row, or a row or the
        captions do not match.
    """
    if not rows or len(captions) != len(rows) or any(len(row) != len(columns) for row in rows):
        raise ValueError(
            f"expected rows of {len(columns)} images with a caption each, got "
            f"{[len(r) for r in rows]} and {len(captions)} captions"
        )
    row_width, row_height = len(columns) * (cell + MARGIN), cell + MARGIN + LINE
    depth = _rows_per_block(len(rows), row_width + 2 * MARGIN, row_height)
    blocks = math.ceil(len(rows) / depth)
    size = (blocks * (row_width + 2 * MARGIN) + MARGIN, depth * row_height + LINE + 2 * MARGIN)
    canvas = Image.new("RGB", size, "white")
    for i, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        left, top = (
            MARGIN + (i // depth) * (row_width + 2 * MARGIN),
            MARGIN + LINE + (i % depth) * row_height,
        )
        if i % depth == 0:
            for j, title in enumerate(columns):
                _text(canvas, title, left + j * (cell + MARGIN), MARGIN, cell)
        for j, image in enumerate(row):
            if image is not None:
                canvas.paste(_to_cell(image, cell), (left + j * (cell + MARGIN), top))
        _text(canvas, caption, left, top + cell, row_width - MARGIN)
    return np.asarray(canvas, np.float32) / 255


def mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Images [n, h, w, 3] edge to edge as one picture, `columns` to a row; n must fill the rows."""
    n, h, w, c = images.shape
    return (
        images.reshape(n // columns, columns, h, w, c)
        .swapaxes(1, 2)
        .reshape(n // columns * h, columns * w, c)
    )


def _rows_per_block(count: int, width: int, height: int) -> int:
    """How many of `count` rows to set below each other so that the blocks side by side, none longer
    than it must be for their number, are nearest to a square."""
    return min(
        sorted({math.ceil(count / blocks) for blocks in range(1, count + 1)}),
        key=lambda depth: (
            abs(math.log(math.ceil(count / depth) * width / (depth * height))),
            depth,
        ),
    )


def _to_cell(image: np.ndarray, cell: int) -> Image.Image:
    kernel = Image.Resampling.NEAREST if image.shape[0] <= cell else Image.Resampling.BOX
    return Image.fromarray(to_uint8(image)).resize((cell, cell), kernel)


def _text(canvas: Image.Image, text: str, x: int, y: int, width: int) -> None:
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=11)
    # The font has no other letters.
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = "".join(letter if letter.isprintable() else " " for letter in plain)
    while text and draw.textlength(text, font=font) > width:
        text = text[:-2].rstrip(".") + "." if len(text) > 2 else ""
    draw.text((x, y), text, fill="black", font=font)
