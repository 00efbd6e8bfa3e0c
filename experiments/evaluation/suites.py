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
from typing import Any, NamedTuple

from evaluation import gaussianisation, printed


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of a table: a method under settings of its own.

    Attributes:
        label: what the table calls it.
        method: a name in `jaxsr.methods.METHODS`, or "reference" (the real photo).
        settings: fields of the method's config that differ from the preset.
        at: (series, x) in a figure's curves, if it belongs to one.
    """

    label: str
    method: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    at: tuple[str, float] | None = None


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


REAL = Variant("real photo", "reference")
BICUBIC, BILINEAR = Variant("bicubic", "bicubic"), Variant("bilinear", "bilinear")
PULSE, RLS, RLS_PLUS = Variant("PULSE", "pulse"), Variant("RLS", "rls"), Variant("RLS+", "rls_plus")
# Their perceptual terms see with the bundled network; --network=vgg takes the papers'.
BRGM = Variant("BRGM", "brgm", {"preset": "code", "network": "features"})
BRGM_SAMPLE = Variant("BRGM sample", "brgm_vi", {"network": "features"})
PHASED, IAGAN = Variant("phased", "phased", {"network": "features"}), Variant("IAGAN", "iagan")
MGANPRIOR = Variant("mGANprior", "mganprior", {"network": "features"})
RLSE, RLSE_MEANS = (
    Variant("RLSE", "rlse", {"preset": "paper"}),
    Variant("RLSE, PULSE's scaling", "rlse", {"preset": "means"}),
)
_NETWORK = (
    "BRGM (preset code) and mGANprior see with the bundled feature network unless --network=vgg "
    "is given: feature distances favour them"
)
GLEAN, LAREN = Variant("GLEAN", "glean"), Variant("LAREN", "laren")


def _trained(label: str, network: str, at: tuple[str, float] | None = None) -> Variant:
    """The model in --models/NETWORK."""
    return Variant(label, "glean" if network == "glean" else "laren", {"model": network}, at)


_BASE, _GDM, _CGM = (
    _trained("Base", "base"),
    _trained("GDM (HMRR)", "gdm"),
    _trained("GDM + CGM (ReRR)", "laren"),
)
_LAREN4 = (
    _BASE,
    _trained("Base + W+", "base_w_plus"),
    _trained("Base + S", "base_styles"),
    _trained("GDM (VRR)", "gdm_vanilla"),
    _GDM,
    _trained("GDM + CGM (VRR)", "cgm_vanilla"),
    _CGM,
    _trained("GLEAN", "glean"),
)
_LAREN_NOTE = (
    "each row is --models/NAME/model, as `train_restorer.py --network=NAME --out=MODELS/NAME` "
    "leaves it"
)
_SWEPT = {
    "nodes": ("J", (16, 32, 64, 128)),
    "node_width": ("C", (2, 4, 8, 16)),
    "code_width": ("F", (16, 32, 64, 128)),
}
_LAREN_SIZES = {"nodes": 64, "node_width": 8, "code_width": 64}
_LAREN8 = tuple(
    _trained(
        f"{letter} {size}",
        "laren" if size == _LAREN_SIZES[flag] else f"{flag}_{size}",
        (letter, size),
    )
    for flag, (letter, sizes) in _SWEPT.items()
    for size in sizes
)
_LAREN8_NOTE = (
    "J 64, C 8 and F 64 are --models/laren/model; any other is --models/FLAG_SIZE/model, such as "
    "nodes_16, as `train_restorer.py --nodes=16 --out=MODELS/nodes_16` leaves it (likewise "
    "--node_width for C, --code_width for F)"
)

FIDELITY = ("psnr", "ssim", "ms_ssim", "lpips_alex", "feature_distance", "type_agrees")
REALISM = ("frechet_inception", "frechet_features", "kernel_features", "niqe", "top_octave_share")
ALL = (*REALISM, "identity", *FIDELITY, "residual", "feasible", "seconds")

_LAMBDAS = (0.0, 2e-5, 2e-4, 2e-3, 2e-2)
_ONLY_W = {"gaussian_weight": 0.0, "cross_weight": 0.0}
_ONLY_G = {"flow_weight": 0.0, "cross_weight": 0.0}
_FIGURE2 = (
    *(
        Variant(
            f"flow {x:g}",
            "rls",
            {**_ONLY_W, "flow_weight": x},
            ("flow weight (gaussian = cross = 0)", x),
        )
        for x in _LAMBDAS
    ),
    *(
        Variant(
            f"gaussian {x:g}",
            "rls",
            {**_ONLY_G, "gaussian_weight": x},
            ("gaussian weight (flow = cross = 0)", x),
        )
        for x in _LAMBDAS
    ),
)
_NO_REGULARISER = {"flow_weight": 0.0, "gaussian_weight": 0.0, "cross_weight": 0.0}
# The paper does not say for how long and how fast the variant without an anchor goes: as many steps
# as search and refinement together.
_NO_ANCHOR = {
    "steps": 1,
    "learning_rate": 0.0,
    "refine_steps": 250,
    "refine_learning_rate": 0.1,
    "radius": float("inf"),
}
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
            Variant("w/o anchor", "rls_plus", _NO_ANCHOR),
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
            Variant("w/o Regu", "rls", _NO_REGULARISER),
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
        "RLS Figure 2: fidelity and realism over the weights", _FIGURE2, (64,), "flow 0", ALL
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
        (BILINEAR, MGANPRIOR, PULSE, RLSE, RLSE_MEANS),
        (16, 8),
        "PULSE",
        ALL,
        as_printed=(printed.RLSE1,),
        note=f"VDSR, ESRGAN and FSRNet are other people's trained networks; {_NETWORK}",
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
        as_printed=(printed.RLSE2,),
    ),
    "rlse_figure4": Suite(
        "RLSE Figure 4: seconds a photo at 16x",
        (BILINEAR, MGANPRIOR, PULSE, RLSE),
        (16,),
        "PULSE",
        ("seconds", "psnr"),
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
        ("psnr", "lpips_alex"),
        as_printed=(printed.LAREN1,),
    ),
    "laren_table3": Suite(
        "LAREN Table III: modules",
        (_BASE, _GDM, _CGM),
        (64,),
        "Base",
        ALL,
        as_printed=(printed.LAREN3,),
        note=_LAREN_NOTE,
    ),
    "laren_table4": Suite(
        "LAREN Table IV: ablation",
        _LAREN4,
        (64,),
        "Base",
        ALL,
        as_printed=(printed.LAREN4,),
        note=_LAREN_NOTE,
    ),
    "laren_figure8": Suite(
        "LAREN Figure 8: the parameters J, C and F", _LAREN8, (64,), "J 64", ALL, note=_LAREN8_NOTE
    ),
}

FIGURES = {
    "rls_figure3": Figure("RLS Figure 3: how well w is Gaussianised", gaussianisation.run),
}


def summaries() -> dict[str, str]:
    """Name -> title of everything that --suite takes."""
    return {name: found.title for name, found in sorted({**SUITES, **FIGURES}.items())}
