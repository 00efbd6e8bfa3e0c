"""What `calibrate.py` is asked for: its flags, and whether they make sense."""

import dataclasses
from pathlib import Path
from typing import Literal

from restoration import options as restoration_options

from jaxsr import flags, images
from jaxsr.methods import METHODS, Consistency
from jaxsr.methods.auto import AUTO

SMOKE_PHOTOS = 10  # of each of both sets, at most
SAME = (
    "prior",
    "method",
    "model",
    "preset",
    "network",
    "consistency",
    "noise",
    "operator",
    "mask",
    "kernel",
    "factor",
    "seed",
    "batch_size",
    "precision",
    "num_solutions",
    "progress",
    "smoke",
    "white",
    "max_megapixels",
)


@dataclasses.dataclass(frozen=True)
class Settings(images.Reading):
    """What to calibrate on which photos.

    Attributes:
        data: Sharp real photos that the prior was not trained on, none of them drawn by a prior: a
            folder, an uncompressed .tar, a .zip, or tfds:NAME@SPLIT. One of each person, slide or
            film.
        test: Other photos, given likewise, to measure the coverage on. Default: others of --data.
        labels: Table with the columns "file" and the feature network's type, for coverage by type
            and sets of types.
        num_photos: Photos to calibrate with; 200 are recommended.
        num_test: Photos to measure the coverage on; 0 leaves that out.
        share: Share of the colour values of a photo that an interval is to hold.
        prior: As for super_resolve.py, and so are the flags from here to --seed.
        method: As for super_resolve.py: auto, or {methods}.
        model: Folder of a learned restorer's network, or of a diffusion model.
        preset: Settings of the method.
        network: What perceptual terms see with: vgg or features.
        consistency: Whether each result is moved to explain its photo: auto, exact or none.
        noise: Standard deviation of the photos' noise, of [0, 1].
        operator: What the photos lack. {operators}
        mask: For inpainting, a picture of what is missing.
        kernel: How photos are made small.
        factor: Enlargement. Default: 8.
        num_solutions: Results for each photo.
        seed: Another seed gives other random starts.
        batch_size: Results at once; bounds the memory.
        precision: What convolutions compute in on an accelerator: float32, tf32 or bfloat16.
        out: Folder for the calibration and its report. Default: calibrations/METHOD.
        progress: A progress bar on stderr.
        smoke: A few photos and steps, to see that everything runs.
    """

    data: str | None = None
    test: str | None = None
    labels: str | None = None
    num_photos: int = 200
    num_test: int = 200
    share: float = 0.9
    prior: str | None = None
    method: str = AUTO
    model: str | None = None
    preset: str | None = None
    network: Literal["vgg", "features"] | None = None
    consistency: Consistency = "auto"
    noise: float | None = None
    operator: str = restoration_options.Settings.operator
    mask: str | None = None
    kernel: str = "bicubic"
    factor: int | None = None
    num_solutions: int = 8
    seed: int = 0
    batch_size: int = 8
    precision: flags.Precision = "float32"
    out: str | None = None
    progress: bool = True
    smoke: bool = False


def check(settings: Settings) -> None:
    """Raises ValueError for a name or a number that makes no sense, or an output folder that cannot
    be written."""
    flags.require(
        settings,
        {"num_photos": 5, "num_test": 0, "num_solutions": 2},
        ("data", "test", "labels", "out"),
    )
    if settings.data is None:
        raise ValueError(
            "--data is missing: expected sharp real photos that the prior was not trained on"
        )
    if not 0 < settings.share < 1:
        raise ValueError(f"--share: expected a share between 0 and 1, got {settings.share:g}")
    restoration_options.check(as_restored(settings))
    kind = METHODS.get(settings.method)
    if kind and kind.kind == "diffusion" and settings.noise is None:
        raise ValueError(
            f"--method={settings.method} samples with the noise of each photo, and a calibration "
            "is for one: expected --noise, such as 0.0012 for photos that are only rounded"
        )


def as_restored(settings: Settings) -> restoration_options.Settings:
    """The settings of super_resolve.py that give the same results for the photos as references."""
    same = {name: getattr(settings, name) for name in SAME}
    return restoration_options.Settings(
        **same, reference=(str(settings.data),), out=str(out_folder(settings))
    )


def out_folder(settings: Settings) -> Path:
    return Path(settings.out or f"calibrations/{'smoke' if settings.smoke else settings.method}")


def counts(settings: Settings) -> tuple[int, int]:
    """How many photos to calibrate with and to test on."""
    if settings.smoke:
        return min(settings.num_photos, SMOKE_PHOTOS), min(settings.num_test, SMOKE_PHOTOS)
    return settings.num_photos, settings.num_test
