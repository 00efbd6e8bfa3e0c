"""The tables and figures of the papers, as data: which methods, at which factors, judged by what,
and what the paper printed.

A new suite is a row of SUITES, and every command and help text has it:

    "mine": Suite("title", (Variant("label", "pulse"), ...), (8,), "label", FIDELITY)

Those of e-GLASS are made by `explore_benchmark.py` and `explore.py`, LAREN's Table II and Figure 7
by `disentangle.py`. A learned restorer that is not trained keeps its row. Printed numbers are the
papers' own, on data and weights that are not ours: they are set beside our figures, never mixed
with them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

from evaluation import gaussianisation, printed
from evaluation.variants import (
    BASE,
    BICUBIC,
    BILINEAR,
    BRGM,
    BRGM_SAMPLE,
    CGM,
    FIGURE2,
    GDM,
    GLEAN,
    IAGAN,
    LAREN,
    LAREN4,
    LAREN8,
    MGANPRIOR,
    NO_ANCHOR,
    NO_REGULARISER,
    PHASED,
    PULSE,
    REAL,
    RLS,
    RLS_PLUS,
    RLSE,
    RLSE1,
    RLSE_MEANS,
    Variant,
)


@dataclasses.dataclass(frozen=True)
class Suite:
    """A table or figure.

    Attributes:
        title: what it is called.
        variants: its rows.
        factors: the paper's, at its resolution; a smaller prior takes smaller ones (`scaled`).
        stands_for: factor -> the paper's, where it is another one.
        baseline: the label that paired differences are taken from.
        columns: what the paper judges by, in our columns: they are plotted. The table has all.
        operators: names in `jaxsr.operators.OPERATORS`.
        degradations: names in `jaxsr.degradations.ROBUSTNESS`.
        solutions: how many results for each photo.
        judge_at: px, the side at which photos and results are compared, of a prior that has more.
        low: px, the side of the low-resolution photos at every factor, of a prior that has room for
            it; results are judged at this times the factor.
        reference_free: photos are low-resolution already, and results have no reference.
        as_printed: the paper's tables.
        note: what else a reader must know.
    """

    title: str
    variants: tuple[Variant, ...]
    factors: tuple[int, ...]
    baseline: str
    columns: tuple[str, ...]
    operators: tuple[str, ...] = ("downsample",)
    degradations: tuple[str, ...] = ("clean",)
    solutions: int = 1
    judge_at: int | None = None
    low: int | None = None
    reference_free: bool = False
    as_printed: tuple[printed.Table, ...] = ()
    note: str = ""
    stands_for: Mapping[int, int] = dataclasses.field(default_factory=dict)


class Figure(NamedTuple):
    """What is drawn of the prior alone, without photos.

    Attributes:
        title: what it is called.
        draw: (prior, params, folder, *, seed) -> None; writes it.
    """

    title: str
    draw: Callable[..., None]


def scaled(factors: tuple[int, ...], resolution: int) -> dict[int, int]:
    """A prior's factor -> the paper's that it stands for: the same where at least 8 pixels remain,
    else the largest that leaves 8; where two meet, the smaller becomes half the larger, and what
    would fall below 2 is dropped."""
    found: dict[int, int] = {}
    largest = max(resolution // 8, 2)
    for factor in sorted(factors, reverse=True):
        ours = min(factor, largest)
        if ours < 2:
            break
        found[ours] = factor
        largest = ours // 2
    return found


FIDELITY = ("psnr", "ssim", "ms_ssim", "lpips_alex", "feature_distance", "type_agrees")
REALISM = (
    "frechet_inception",
    "kernel_inception_subsets",
    "frechet_features",
    "kernel_features",
    "niqe",
    "top_octave_share",
)
ALL = (*REALISM, "identity", *FIDELITY, "residual", "feasible", "seconds")

_NETWORK = (
    "BRGM (preset code) and mGANprior see with the bundled feature network unless --network=vgg "
    "is given: feature distances favour them"
)
_CELEBA = "the paper's photos are CelebA's at 128 px, whatever the prior's resolution"
_LAREN_NOTE = (
    "each row is --models/NAME/model, as `train_restorer.py --network=NAME --out=MODELS/NAME` "
    "leaves it"
)
_LAREN8_NOTE = (
    "J 64, C 8 and F 64 are --models/laren/model; any other is --models/FLAG_SIZE/model, such as "
    "nodes_16, as `train_restorer.py --nodes=16 --out=MODELS/nodes_16` leaves it (likewise "
    "--node_width for C, --code_width for F)"
)
_NO_ANCHOR_NOTE = (
    "w/o anchor starts at the mean of w and refines for 250 steps, latent and noise at a step "
    "size of 0.1 (our reading)"
)

SUITES = {
    "rls_table1": Suite(
        "RLS Table 1: methods at two factors",
        (REAL, BICUBIC, PULSE, BRGM, RLS, RLS_PLUS),
        (64, 8),
        "bicubic",
        ALL,
        as_printed=(printed.RLS1_64, printed.RLS1_8),
        note=(
            "GPEN, GFPGAN and DDRM are other people's trained networks; only their printed "
            f"numbers are here; {_NETWORK}"
        ),
    ),
    "rls_table2": Suite(
        "RLS Table 2: what RLS+ refines",
        (
            Variant("w/o anchor", "rls_plus", NO_ANCHOR),
            Variant("w/o noise", "rls_plus", {"num_noise": 0}),
            Variant("w/o w", "rls_plus", {"radius": 0.0}),
            Variant("w/o g", "rls_plus", {"generator_learning_rate": 0.0}),
            Variant("w/o l1 ball", "rls_plus", {"radius": float("inf")}),
            RLS_PLUS,
        ),
        (16,),
        "RLS+",
        ALL,
        as_printed=(printed.RLS2,),
        note=_NO_ANCHOR_NOTE,
    ),
    "rls_table3": Suite(
        "RLS Table 3: against learned methods",
        (RLS_PLUS,),
        (16,),
        "RLS+",
        ALL,
        as_printed=(printed.RLS3,),
        note="GPEN and GFPGAN are other people's trained networks",
    ),
    "rls_table4": Suite(
        "RLS Table 4: robustness of RLS+",
        (RLS_PLUS,),
        (16,),
        "RLS+",
        ALL,
        degradations=("clean", "gaussian_noise", "salt", "gaussian_blur", "motion_blur"),
        as_printed=(printed.RLS4,),
    ),
    "rls_table5": Suite(
        "RLS Table 5: what RLS is regularised by",
        (
            Variant("w/o Regu", "rls", NO_REGULARISER),
            Variant("w/o P_cross", "rls", {"cross_weight": 0.0}),
            Variant("w/o W+", "rls", {"space": "w"}),
            RLS,
        ),
        (64,),
        "RLS",
        ALL,
        as_printed=(printed.RLS5,),
    ),
    "rls_figure2": Suite(
        "RLS Figure 2: fidelity and realism over the weights", FIGURE2, (64,), "flow 0", ALL
    ),
    "rls_figure7": Suite(
        "RLS Figure 7: several solutions of a photo",
        (PULSE, RLS),
        (64,),
        "PULSE",
        ("diversity", *REALISM, "residual", "feasible"),
        solutions=5,
        note=(
            "the paper shows one photo and prints no numbers; solutions_*.png has the first photos "
            "with all their solutions, which differ in where the search begins"
        ),
    ),
    "rls_figure10": Suite(
        "RLS Figure 10: the flow's term P_w",
        (Variant("w/o P_w", "rls", {"flow_weight": 0.0}), RLS),
        (16,),
        "RLS",
        ALL,
    ),
    "rlse_table1": Suite(
        "RLSE Table 1: self-supervised searches",
        RLSE1,
        (16, 8),
        "PULSE",
        ALL,
        judge_at=128,
        as_printed=(printed.RLSE1,),
        note=f"{_CELEBA}; VDSR, ESRGAN and FSRNet are other people's trained networks; {_NETWORK}",
    ),
    "rlse_tinyface": Suite(
        "RLSE Table 1, TinyFace: photos that are low-resolution already",
        RLSE1,
        (16, 8),
        "PULSE",
        ("niqe", "residual", "feasible", "seconds"),
        low=16,
        reference_free=True,
        as_printed=(printed.RLSE1,),
        note=(
            "the paper resizes TinyFace's faces to 16 x 16 px, and prints NIQE alone of them; "
            f"{_NETWORK}"
        ),
    ),
    "rlse_table2": Suite(
        "RLSE Table 2: with and without the discriminator's semantic loss",
        (
            Variant("without L_s", "rlse", {"preset": "paper", "semantic_weight": 0.0}),
            Variant("with L_s", "rlse", {"preset": "paper"}),
            Variant(
                "PULSE's scaling, without L_s", "rlse", {"preset": "means", "semantic_weight": 0.0}
            ),
            Variant("PULSE's scaling, with L_s", "rlse", {"preset": "means"}),
        ),
        (64, 32, 16),
        "without L_s",
        ALL,
        low=16,
        as_printed=(printed.RLSE2,),
        note=(
            "the paper makes CelebA-HQ photos 16 x 16 px at every factor; we take the prior's "
            "results, brought to the factor's size, for its restorations of 256, 512 and 1024 px"
        ),
    ),
    "rlse_figure4": Suite(
        "RLSE Figure 4: seconds a photo at 16x",
        (BILINEAR, MGANPRIOR, PULSE, RLSE),
        (16,),
        "PULSE",
        ("seconds", "psnr"),
        judge_at=128,
        note=_CELEBA,
    ),
    "restoration": Suite(
        "Beyond the papers: every method where a square is missing and where the photo is "
        "blurred by motion",
        (PULSE, BRGM, BRGM_SAMPLE, MGANPRIOR, IAGAN, PHASED, RLSE, RLSE_MEANS, RLS, RLS_PLUS),
        (),
        "PULSE",
        ALL,
        operators=("inpainting", "motion_blur"),
        note=(
            "every perceptual term sees with the bundled feature network unless --network=vgg is "
            "given: feature distances favour it"
        ),
    ),
    "laren_table1": Suite(
        "LAREN Table I: large factors",
        (MGANPRIOR, GLEAN, LAREN),
        (64, 32, 16),
        "GLEAN",
        ALL,
        as_printed=(printed.LAREN1,),
        note=(
            "ESRGAN's numbers are the paper's alone, which has none at 32x and 64x; the paper "
            "trained every method itself, on the same photos in batches of the same size, and "
            "leaves GPEN and GFP-GAN out, as made for faces; its faces are 3,000 of CelebA-HQ's "
            "test set, cats of CAT, cars of CAR, scenes of LSUN, these at 16x of 256 px; "
            f"{_NETWORK}"
        ),
    ),
    "laren_table3": Suite(
        "LAREN Table III: modules",
        (BASE, GDM, CGM),
        (64,),
        "Base",
        ALL,
        as_printed=(printed.LAREN3,),
        note=_LAREN_NOTE,
    ),
    "laren_table4": Suite(
        "LAREN Table IV: ablation",
        LAREN4,
        (64,),
        "Base",
        ALL,
        as_printed=(printed.LAREN4,),
        note=_LAREN_NOTE,
    ),
    "laren_figure8": Suite(
        "LAREN Figure 8: the parameters J, C and F", LAREN8, (64,), "J 64", ALL, note=_LAREN8_NOTE
    ),
}

FIGURES = {
    "rls_figure3": Figure(gaussianisation.TITLE, gaussianisation.run),
}


def summaries() -> dict[str, str]:
    """Name -> title of everything that --suite takes."""
    return {name: found.title for name, found in sorted({**SUITES, **FIGURES}.items())}
