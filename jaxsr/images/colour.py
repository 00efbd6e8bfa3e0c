"""Colour profiles: what a file's numbers look like, brought to sRGB by LittleCMS.

Pillow's interface to it takes 8 bits only, at 20 times the speed of that of imagecodecs, which
takes floats.
"""

import dataclasses
import functools
import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

# ICC's names -> Pillow's and imagecodecs'.
SPACES = {"RGB": ("RGB", "rgb"), "GRAY": ("L", "gray"), "CMYK": ("CMYK", "cmyk")}
SAME = 1.5 / 255  # of [0, 1]; a profile that changes no colour by more is sRGB
LONGEST = 60  # letters of a profile's name
RELATIVE = ImageCms.Intent.RELATIVE_COLORIMETRIC
INK = 100.0  # LittleCMS counts ink in per cent


@dataclasses.dataclass(frozen=True)
class Transform:
    """Colours of a profile as sRGB.

    Attributes:
        profile: ICC profile.
        space: of its colours: "RGB", "GRAY" or "CMYK".
    """

    profile: bytes
    space: str

    def __call__(self, colours: np.ndarray) -> np.ndarray:
        """sRGB float32 [n, w, 3] in [0, 1] of colours [n, w, 3, 1 or 4], floats in [0, 1] or uint8.
        Raises imagecodecs.CmsError or ImageCms.PyCMSError for a damaged profile."""
        if colours.dtype == np.uint8:
            return self._of_bytes(colours)
        return self._of_floats(colours)

    def _of_bytes(self, colours: np.ndarray) -> np.ndarray:
        mode = SPACES[self.space][0]
        profiles = io.BytesIO(self.profile), io.BytesIO(_srgb())
        transform = ImageCms.buildTransform(*profiles, mode, "RGB", RELATIVE)
        pixels = Image.frombytes(mode, colours.shape[1::-1], colours.tobytes())
        shown = ImageCms.applyTransform(pixels, transform)
        return np.asarray(shown, np.float32) / np.float32(255)

    def _of_floats(self, colours: np.ndarray) -> np.ndarray:
        import imagecodecs

        scale = INK if self.space == "CMYK" else 1.0
        found = imagecodecs.cms_transform(
            np.ascontiguousarray(colours * np.float32(scale)),
            self.profile,
            _srgb(),
            colorspace=SPACES[self.space][1],
            outcolorspace="rgb",
            outdtype="f4",
            intent=int(RELATIVE),
        )
        return np.clip(found.reshape(*colours.shape[:2], 3), 0, 1)


@functools.cache
def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def transform_of(profile: bytes | None, channels: int) -> tuple[Transform | None, str]:
    """How colours of 1, 3 or 4 channels become sRGB by a file's ICC profile, and what the user is
    told. None where there is no profile, where it is sRGB's, and where it is unusable."""
    if not profile:
        return None, ""
    space = {1: "GRAY", 3: "RGB", 4: "CMYK"}[channels]
    try:
        opened: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = " ".join(ImageCms.getProfileDescription(opened).split())[:LONGEST]
        found = str(opened.profile.xcolor_space).strip()
        if found != space:
            return None, f"its colour profile is ignored (it is of {found} and the pixels are not)"
        transform = Transform(profile, space)
        unchanged = _is_srgb(transform)
    except Exception as error:  # LittleCMS, Pillow and imagecodecs raise nearly anything.
        reason = " ".join(str(error).split()) or type(error).__name__
        return None, f"its colour profile is damaged and is ignored ({reason})"
    if unchanged:
        return None, ""
    return transform, f"colours converted to sRGB from {name or 'the profile of the file'}"


def _is_srgb(transform: Transform) -> bool:
    """Whether it leaves colours as they are, by a grid of them. One that cannot be computed
    raises."""
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    if transform.space == "GRAY":
        grid = np.linspace(0, 1, 256, dtype=np.float32)[None, :, None]
    else:
        channels = 3 if transform.space == "RGB" else 4
        axes = np.meshgrid(*[steps] * channels, indexing="ij")
        grid = np.stack(axes, -1).reshape(1, -1, channels)
    shown = transform(grid)
    return transform.space != "CMYK" and bool(np.abs(shown - grid).max() <= SAME)
