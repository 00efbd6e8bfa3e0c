"""What `evaluate.py` is asked for: its flags, and whether they make sense by themselves."""

import dataclasses
import math
from typing import Literal, cast, get_args

from evaluation import suites
from jaxsr import flags, images, resample
from jaxsr.methods import METHODS, Consistency

NUM_PHOTOS = 200
LEAST_JUDGED = 8  # px; below, no metric means anything
Pick = Literal["first", "spaced"]


@dataclasses.dataclass(frozen=True)
class Settings(images.Reading):
    """What to evaluate and how.

    Attributes:
        suite: A table or figure of the papers; or give --methods: {suites}
        methods: Methods to compare: {methods}, reference (the real photo), or auto (what restores
            best for the prior and the operator; the table says which); a learned restorer wants a
            network trained for them.
        factors: Enlargements. Default: the suite's, scaled to the prior; 8.
        operators: What is inverted: {operators}. Default: the suite's; downsample, which alone has
            factors.
        degradations: What else happened to the photos: {degradations}. Default: the suite's;
            clean.
        data: Photos: a folder, a .tar, a .zip, tfds:NAME@SPLIT, or a test set of the papers, where
            a line tells what to put where: {partitions}
        num_photos: How many photos of --data. Default: 200; the paper's number of a test set.
        pick: Which of them: the first, or evenly spaced. Default: spaced; of a test set as the
            paper has it.
        reference_free: The photos are low-resolution already: their centre square is brought to
            the low side, restored, and judged without a reference.
        judge_at: Side in px that photos and results are brought to (area average) before they are
            compared. Photos are made small from this side, so they may be smaller than the prior's.
            Default: the suite's; the prior's resolution.
        labels: A CSV with "file" and the feature network's type, or dataset_tool.py's zip or
            dataset.json, to see whether results read as their label.
        prior: A bundled prior's name, or a folder written by training or ports/convert.py. Default:
            the best bundled one.
        features: The network of feature distances and types: a bundled one, or a folder that
            train_features.py wrote.
        landmarks: A CSV of five points a face, by which identity is of aligned crops: file,
            lefteye_x, lefteye_y, righteye_x, ..., nose, leftmouth, rightmouth_y in px of the file,
            as CelebA names them. Default: identity is of whole squares.
        preset: Settings of the methods: paper (as printed), code (the authors' releases) or scaled
            (the printed ones brought to the sizes of the prior: PULSE, RLS, RLS+, RLSE); one
            without it takes paper.
        network: What perceptual terms see with: vgg (LPIPS, published weights) or features
            (bundled). Default: the suite's; the preset's.
        consistency: Whether each result is moved to explain its measurement: auto as far as the
            noise that it shows lets it be trusted, exact whatever the noise, none not at all;
            none,auto has a row for each, of one search. Default: none for a suite (the methods as
            printed), else auto.
        noise: Standard deviation of the measurements' noise, of [0, 1], that --consistency=auto
            reckons with. Default: what each shows.
        eps: Largest residual (mean square on [0, 1]) that counts as feasible, which searches reckon
            with. Default: the methods' own, PULSE's 0.002.
        kernel: How the photos are made small: {kernels}.
        models: Folder of trained networks, NAME/model each, as `train_restorer.py
            --out=MODELS/NAME` leaves them, for ddrm and ddnm diffusion/model. Default: those that
            come with the package; models/ for LAREN's ablations.
        baseline: The method that differences are taken from. Default: the suite's; the first.
        out: Folder for everything. Default: evaluations/NAME of the suite.
        seed: Another seed gives other starts and other noise.
        batch_size: Photos at once; bounds the memory.
        precision: What convolutions compute in on an accelerator: float32, tf32 or bfloat16, the
            faster the coarser.
        num_solutions: Results for each photo. Default: the suite's; 1.
        smoke: A few samples and steps, to see that everything runs.
    """

    suite: str | None = None
    methods: tuple[str, ...] = ()
    factors: tuple[int, ...] | None = None
    operators: tuple[str, ...] = ()
    degradations: tuple[str, ...] = ()
    data: str | None = None
    num_photos: int | None = None
    pick: Pick | None = None
    reference_free: bool = False
    judge_at: int | None = None
    labels: str | None = None
    landmarks: str | None = None
    prior: str | None = None
    features: str = "pbc64"
    preset: str = "paper"
    network: Literal["vgg", "features"] | None = None
    consistency: tuple[str, ...] = ()
    noise: float | None = None
    eps: float | None = None
    kernel: str = "bicubic"
    models: str | None = None
    baseline: str | None = None
    out: str | None = None
    seed: int = 0
    batch_size: int = 8
    precision: flags.Precision = "float32"
    num_solutions: int | None = None
    smoke: bool = False


def consistency_of(settings: Settings) -> tuple[Consistency, ...]:
    """As the flag says, else none for a suite, whose methods run as printed. Raises ValueError for
    a name that is none."""
    asked = flags.names("consistency", settings.consistency)
    for name in asked:
        flags.choose(name, get_args(Consistency), "consistency")
    default: Consistency = "none" if settings.suite else "auto"
    return cast(tuple[Consistency, ...], tuple(asked)) or (default,)


def check(settings: Settings) -> None:
    """Raises ValueError for a setting that cannot be used, before anything is loaded."""
    if settings.suite is not None:
        flags.choose(settings.suite, [*suites.SUITES, *suites.FIGURES], "suite")
    flags.choose(settings.kernel, get_args(resample.Kernel), "kernel")
    flags.choose(
        settings.preset,
        {preset for method in METHODS.values() for preset in method.Config.PRESETS},
        "preset",
    )
    flags.require(
        settings,
        {"num_photos": 1, "seed": 0, "batch_size": 1, "num_solutions": 1},
        ("data", "labels", "landmarks", "prior", "features", "models", "out"),
    )
    _check_noise(settings)
    if settings.eps is not None and not 0 < settings.eps < math.inf:
        raise ValueError(f"--eps: expected a mean square above 0, got {settings.eps:g}")


def _check_noise(settings: Settings) -> None:
    """Raises ValueError for a noise that is none, or that nothing reckons with."""
    noise, consistency = settings.noise, consistency_of(settings)
    if noise is None:
        return
    if "auto" not in consistency:
        asked = " and ".join(consistency)
        raise ValueError(
            f"--noise={noise:g} is for --consistency=auto, not for {asked}: leave it out"
        )
    if not 0 <= noise <= 1:
        raise ValueError(f"--noise: expected a standard deviation from 0 to 1, got {noise:g}")
