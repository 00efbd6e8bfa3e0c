"""The rows of the papers' tables: methods under settings of their own.

Searches' perceptual terms see with the bundled network; --network=vgg takes the papers'.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of a table: a method under settings of its own.

    Attributes:
        label: what the table calls it.
        method: a name in `jaxsr.methods.METHODS`, or "reference" (the real photo).
        settings: fields of the method's config that differ from the preset.
        at: (series, x) in a figure's curves, if it belongs to one.
        chosen: why this method, where it was chosen for the prior and the operator.
    """

    label: str
    method: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    at: tuple[str, float] | None = None
    chosen: str = ""


REAL = Variant("real photo", "reference")
BICUBIC, BILINEAR = Variant("bicubic", "bicubic"), Variant("bilinear", "bilinear")
PULSE, RLS, RLS_PLUS = Variant("PULSE", "pulse"), Variant("RLS", "rls"), Variant("RLS+", "rls_plus")
BRGM = Variant("BRGM", "brgm", {"preset": "code", "network": "features"})
BRGM_SAMPLE = Variant("BRGM sample", "brgm_vi", {"network": "features"})
PHASED, IAGAN = Variant("phased", "phased", {"network": "features"}), Variant("IAGAN", "iagan")
MGANPRIOR = Variant("mGANprior", "mganprior", {"network": "features"})
RLSE, RLSE_MEANS = (
    Variant("RLSE", "rlse", {"preset": "paper"}),
    Variant("RLSE, PULSE's scaling", "rlse", {"preset": "means"}),
)
RLSE1 = (BILINEAR, MGANPRIOR, PULSE, RLSE, RLSE_MEANS)
GLEAN, LAREN = Variant("GLEAN", "glean"), Variant("LAREN", "laren")


def _trained(label: str, network: str, at: tuple[str, float] | None = None) -> Variant:
    """The model in --models/NETWORK."""
    return Variant(label, "glean" if network == "glean" else "laren", {"model": network}, at)


BASE, GDM, CGM = (
    _trained("Base", "base"),
    _trained("GDM (HMRR)", "gdm"),
    _trained("GDM + CGM (ReRR)", "laren"),
)
LAREN4 = (
    BASE,
    _trained("Base + W+", "base_w_plus"),
    _trained("Base + S", "base_styles"),
    _trained("GDM (VRR)", "gdm_vanilla"),
    GDM,
    _trained("GDM + CGM (VRR)", "cgm_vanilla"),
    CGM,
)
_SWEPT = {
    "nodes": ("J", (16, 32, 64, 128)),
    "node_width": ("C", (2, 4, 8, 16)),
    "code_width": ("F", (16, 32, 64, 128)),
}
_LAREN_SIZES = {"nodes": 64, "node_width": 8, "code_width": 64}
LAREN8 = tuple(
    _trained(
        f"{letter} {size}",
        "laren" if size == _LAREN_SIZES[flag] else f"{flag}_{size}",
        (letter, size),
    )
    for flag, (letter, sizes) in _SWEPT.items()
    for size in sizes
)

_LAMBDAS = (0.0, 2e-5, 2e-4, 2e-3, 2e-2)
_ONLY_W = {"gaussian_weight": 0.0, "cross_weight": 0.0}
_ONLY_G = {"flow_weight": 0.0, "cross_weight": 0.0}
FIGURE2 = (
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
NO_REGULARISER = {"flow_weight": 0.0, "gaussian_weight": 0.0, "cross_weight": 0.0}
# The paper does not say for how long and how fast the variant without an anchor goes: as many steps
# as search and refinement together.
NO_ANCHOR = {
    "steps": 1,
    "learning_rate": 0.0,
    "refine_steps": 250,
    "refine_learning_rate": 0.1,
    "radius": float("inf"),
}
