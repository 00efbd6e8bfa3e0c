"""Faces in photos: points, the square that priors of FFHQ were trained on, detection, and results
drawn back into the photo.

A prior of FFHQ knows upright faces that fill a square in one way. `Face` has the points of one in a
photo, `face.square` that square, `similarity` its map to the prior's pixels, which goes into the
operator (`jaxsr.operators.similarities`): the photo itself is never resampled.
"""

from jaxsr.faces.alignment import (
    Face,
    Square,
    after,
    covered,
    ffhq_square,
    inverse,
    mapped,
    similarity,
)
from jaxsr.faces.choosing import (
    check_choice,
    check_inside,
    check_usable,
    chosen,
    remarks,
)
from jaxsr.faces.cutting import Cut, cut
from jaxsr.faces.detection import FacesMissing, check_installed, detect
from jaxsr.faces.drawing import marked
from jaxsr.faces.pasting import paste, paste_all, scale_for

__all__ = [
    "Cut",
    "Face",
    "FacesMissing",
    "Square",
    "after",
    "check_choice",
    "check_inside",
    "check_installed",
    "check_usable",
    "chosen",
    "covered",
    "cut",
    "detect",
    "ffhq_square",
    "inverse",
    "mapped",
    "marked",
    "paste",
    "paste_all",
    "remarks",
    "scale_for",
    "similarity",
]
