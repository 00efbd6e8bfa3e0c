"""A picture of the faces in a photo: squares, points and numbers."""

import math
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxsr.faces.alignment import Face
from jaxsr.faces.pasting import after_corners
from jaxsr.images import to_uint8

SIDE = 768  # px that the longer side of a smaller photo comes near
LONGEST = 2048
CHOSEN, OTHER = (60, 220, 60), (230, 70, 60)
POINT = 2  # px around a point


def marked(image: np.ndarray, faces: Sequence[Face], restored: Collection[int]) -> np.ndarray:
    """The photo [h, w, 3], small ones enlarged by repeating pixels, with each face's square (its
    top is thick), points and number: green where it is restored, red where not; float32."""
    longer = max(image.shape[:2])
    scale = max(1, SIDE // longer)
    canvas = Image.fromarray(to_uint8(image))
    canvas = canvas.resize([scale * side for side in canvas.size], Image.Resampling.NEAREST)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=max(12, longer * scale // 60))
    width = max(1, longer * scale // 400)
    for i, face in enumerate(faces):
        colour = CHOSEN if i in restored else OTHER
        corners = [tuple(corner) for corner in after_corners(face.square, scale)]
        draw.line([*corners, corners[0]], fill=colour, width=width)
        draw.line([corners[0], corners[3]], fill=colour, width=3 * width)
        for x, y in scale * face.points + (scale - 1) / 2:
            r = POINT * width
            draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)
        left, top = np.maximum(np.min(corners, axis=0), 0)
        draw.text((left + 2 * width, top + 2 * width), str(i), fill=colour, font=font)
    if longer > LONGEST:
        by = LONGEST / longer
        canvas = canvas.resize([max(1, math.ceil(by * side)) for side in canvas.size])
    return np.asarray(canvas, np.float32) / 255
