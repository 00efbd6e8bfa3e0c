"""What `super_resolve.py` is asked for: its flags, and whether they make sense."""

import dataclasses
import math
from pathlib import Path
from typing import Literal, get_args

from jaxsr import faces, flags, images
from jaxsr.methods import METHODS, Consistency
from jaxsr.methods.auto import AUTO
from jaxsr.operators import OPERATORS, OPTICS
from jaxsr.records import report
from restoration.fitting import OperatorChoice, check_has_photos
from restoration.naming import Naming

LONGEST_SUFFIX = 40  # bytes

AUTO_EPS = "auto"


@dataclasses.dataclass(frozen=True)
class Settings(images.Reading):
    """What to restore and how.

    Attributes:
        input: Low-resolution photos: a file, a folder, a .zip or .tar, or a quoted pattern;
            repeatable. Default: the prior's examples.
        reference: High-resolution photos instead of --input, given likewise: the centre square is
            brought to the prior's resolution (area average), degraded, rounded to 8 bits, restored
            and scored against.
        prior: A bundled prior's name, or a folder written by training or ports/convert.py; the
            latter has no examples and needs --input or --reference. Default: the best bundled one.
        method: What restores: auto, a network that comes with the package for the prior and the
            operator where there is one, else the search that restores best; or {methods}. A learned
            restorer wants a network trained for the prior and the operator, ddrm and ddnm a
            diffusion model for the prior's size.
        model: Folder of a learned restorer's network (train_restorer.py, or ports/convert.py), or
            of a diffusion model (train_diffusion.py, or ports/convert.py). Default: the bundled
            one, where there is one.
        preset: Settings of the method: paper (as printed; the default), code (the authors'
            release) or scaled (the printed ones brought to the sizes of the prior: PULSE, RLS,
            RLS+, RLSE); RLSE has no code, but means.
        network: What perceptual terms see with: vgg (LPIPS, published weights) or features
            (bundled). Default: the preset's.
        consistency: Whether each result is moved to explain its photo: auto as far as the photo's
            noise lets it be trusted, exact whatever the noise, none not at all. The table tells
            the residual before.
        noise: Standard deviation of the photos' noise, of [0, 1]. Default: rounding, what a JPEG's
            tables tell of, and what the pixels show (above some 3.5/255). ddrm and ddnm sample with
            it.
        eps: Largest residual (mean square on [0, 1]) that counts as feasible, which searches reckon
            with: a number (the papers' is 0.002), or auto: what each photo's noise, its file and an
            assumed kernel add up to (of aligned faces, the method's).
        operator: What the photos lack. With all but the first, photos are of the prior's size; one
            that measures no picture is for --reference. {operators}
        mask: For inpainting, a picture of the photos' proportions: white where pixels are missing,
            else black. Default: the centre is.
        kernel: How the photos were made small: bicubic, bicubic_matlab, bicubic_pulse, box or
            bilinear.
        free: What is found of each photo's camera with the photo itself, repeated or separated by
            commas: blur (Gaussian), shift (right, down; both in low-resolution pixels) and gain
            (of the light); for searches, on top of --kernel. The table tells what was found, and
            the residual without.
        factor: Enlargement. Default: the prior's resolution over the photo's side; 8 for
            --reference.
        align: none: photos are as the prior needs them, but for a crop around their centre (--fit).
            ffhq: faces are found in photos of any size, restored where FFHQ's crop of each lies,
            without resampling the photo, written as NAME_00.png and so on, and drawn into
            NAME.png, the photo enlarged; for priors of FFHQ. Searches alone can.
        face: Which faces, with --align: all, largest, centre, or a number; NAME_faces.png shows
            them, the largest is 0.
        landmarks: Points of the faces, in place of the detector: a table (CSV: file, x1, y1, ...,
            or JSON: {photo: [[x, y], ...]}), or for one photo the numbers x1,y1,x2,y2,...: 5
            points (left eye as one sees it, right eye, nose, left and right corner of the mouth) or
            dlib's 68, in pixels from (0, 0), the centre of the first.
        part: Where many hosts share the photos, which of them this one restores: INDEX/COUNT, 0/64
            the first of 64, or auto for what jax.distributed finds out (TPU slices, Slurm, Open
            MPI, Kubernetes). Each part gets a folder of its own in OUT.
        out: Folder for the results. Default: results (results_smoke with --smoke).
        seed: Another seed gives other random starts.
        batch_size: Photos at once; bounds the memory. Less than there are devices (CPU cores) is
            another program with other roundings, which a search can carry on to another picture.
        precision: What convolutions compute in on an accelerator: float32, tf32 or bfloat16, the
            faster the coarser.
        num_solutions: Results for each photo; number i is the one that --seed=SEED+i gives.
        interval: Level of a lower and an upper picture beside the results of each photo, such as
            0.9; with --calibration.
        calibration: File that calibrate.py wrote with these very settings.
        depth: Bits of the results' colours, 8 or 16 (png and tif); they are judged at 8.
        suffix: What the results' names end in, after an underscore: --suffix=x8 makes photo_x8.png.
        format: Of the results: png, tif and webp without loss, or jpg at quality 95. PSNR and SSIM
            are those of the file, the residual that of the pixels before they became a JPEG.
        fit: What to do with sides that no factor fits; references are always cropped.
        trajectory: Also draw how the search of the first photo went: OUT/trajectory.webp. Searches
            it once more.
        overwrite: Start anew in a folder that holds other results.
        progress: A progress bar on stderr.
        smoke: Two photos and a few steps, to see that everything runs.
    """

    input: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    prior: str | None = None
    method: str = AUTO
    model: str | None = None
    preset: str | None = None
    network: Literal["vgg", "features"] | None = None
    consistency: Consistency = "auto"
    noise: float | None = None
    eps: str = AUTO_EPS
    operator: str = "downsample"
    mask: str | None = None
    kernel: str = "bicubic"
    free: tuple[str, ...] = ()
    factor: int | None = None
    align: Literal["none", "ffhq"] = "none"
    face: str = "all"
    landmarks: str | None = None
    part: str | None = None
    out: str | None = None
    seed: int = 0
    batch_size: int = 8
    precision: flags.Precision = "float32"
    num_solutions: int = 1
    interval: float | None = None
    calibration: str | None = None
    depth: int = 8
    suffix: str = ""
    format: images.Format = "png"
    fit: Literal["crop", "pad"] = "crop"
    trajectory: bool = False
    overwrite: bool = False
    progress: bool = True
    smoke: bool = False


def check(settings: Settings) -> None:
    """Raises ValueError for a name or a number that makes no sense, or an output folder that cannot
    be written."""
    if settings.depth not in get_args(images.Depth):
        raise ValueError(f"--depth must be 8 or 16, got {settings.depth}")
    _check_names(settings)
    _check_method(settings)
    operator_choice(settings).check()
    check_has_photos(settings.operator, given=bool(settings.input or settings.reference))
    _check_noise(settings)
    _check_eps(settings.eps)
    _check_faces(settings)
    _check_free(settings)
    _check_interval(settings)
    filled = ("input", "reference", "prior", "model", "mask", "landmarks", "calibration", "out")
    flags.require(
        settings,
        {"factor": 2, "seed": 0, "batch_size": 1, "num_solutions": 1},
        filled,
    )
    report.check_writable(out_folder(settings))


def _check_names(settings: Settings) -> None:
    if settings.depth == 16 and settings.format not in ("png", "tif"):
        raise ValueError(f"--depth=16 is for png and tif, not for --format={settings.format}")
    odd = sorted({c for c in settings.suffix if c in '/\\:*?"<>|' or not c.isprintable()})
    if odd or len(settings.suffix.encode(errors="replace")) > LONGEST_SUFFIX:
        raise ValueError(
            f"--suffix={settings.suffix!r}: expected at most {LONGEST_SUFFIX} letters that a "
            "file's name may hold"
        )


def naming(settings: Settings) -> Naming:
    """How results are called."""
    return Naming(settings.num_solutions, settings.suffix, settings.format)


def named_otherwise(settings: Settings) -> dict[str, str]:
    """Format and suffix where they are not the default: folders of before have neither."""
    names = ("format", "suffix")
    default = Settings()
    return {
        name: getattr(settings, name)
        for name in names
        if getattr(settings, name) != getattr(default, name)
    }


def _check_method(settings: Settings) -> None:
    flags.choose(settings.method, (AUTO, *METHODS), "method")
    kind = METHODS.get(settings.method)
    if kind and settings.preset is not None:
        flags.choose(settings.preset, kind.Config.PRESETS, f"preset of {settings.method}")
    reader = {
        "preset": ("a method", kind is not None),
        "network": (
            "methods with a perceptual term",
            kind is not None and hasattr(kind.Config, "network"),
        ),
        "model": (
            "methods with a model of their own",
            kind is not None and kind.kind in ("learned", "diffusion"),
        ),
    }
    for name, (readers, is_read) in reader.items():
        if getattr(settings, name) is not None and not is_read:
            raise ValueError(
                f"--{name}={getattr(settings, name)} is for {readers}, not for "
                f"--method={settings.method}: leave it out"
            )


def _check_noise(settings: Settings) -> None:
    noise = settings.noise
    if noise is not None and settings.consistency != "auto":
        raise ValueError(
            f"--noise={noise:g} is for --consistency=auto, not for {settings.consistency}: "
            "leave it out"
        )
    if noise is not None and not 0 <= noise <= 1:
        raise ValueError(f"--noise: expected a standard deviation from 0 to 1, got {noise:g}")


def _check_faces(settings: Settings) -> None:
    unread = {"face": settings.face != "all", "landmarks": settings.landmarks is not None}
    for name, is_given in unread.items():
        if is_given and settings.align == "none":
            raise ValueError(f"--{name} is for --align=ffhq: give that too, or leave it out")
    faces.check_choice(settings.face)


def _check_free(settings: Settings) -> None:
    free, kind = flags.names("free", settings.free), METHODS.get(settings.method)
    for name in free:
        flags.choose(name, OPTICS, "parameter of --free")
    clashes = {
        f"--operator={settings.operator}": not OPERATORS[settings.operator].takes_factor,
        "--trajectory": settings.trajectory,
        f"--method={settings.method}": kind is not None and kind.kind != "search",
    }
    for clash, is_there in clashes.items():
        if free and is_there:
            raise ValueError(
                f"--free={','.join(free)} is for searches that make photos larger, without a "
                f"trajectory, not for {clash}: leave one out"
            )


def _check_interval(settings: Settings) -> None:
    level = settings.interval
    if (level is None) != (settings.calibration is None):
        raise ValueError(
            "--interval and --calibration go together: a level such as 0.9, and the file that "
            "experiments/calibrate.py wrote"
        )
    if level is not None and not 0 < level < 1:
        raise ValueError(f"--interval: expected a level between 0 and 1, got {level:g}")
    unlike = {
        f"--format={settings.format}": f".{settings.format}" in images.LOSSY,
        f"--eps={settings.eps}": settings.eps != AUTO_EPS,
        f"--free={','.join(settings.free)}": bool(settings.free),
        f"--fit={settings.fit}": settings.fit != Settings.fit,
    }
    for clash, is_there in unlike.items():
        if level is not None and is_there:
            raise ValueError(
                f"--interval is for results as calibrate.py makes them, not for {clash}: leave one "
                "out"
            )


def _check_eps(eps: str) -> None:
    try:
        number = 1.0 if eps == AUTO_EPS else float(eps)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(
            f"--eps: expected {AUTO_EPS}, or a mean square above 0 such as 0.002, got {eps!r}"
        )


def operator_choice(settings: Settings) -> OperatorChoice:
    return OperatorChoice(settings.operator, settings.factor, settings.kernel, settings.mask)


def out_folder(settings: Settings) -> Path:
    return Path(settings.out or ("results_smoke" if settings.smoke else "results"))
