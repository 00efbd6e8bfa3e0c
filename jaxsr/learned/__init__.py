"""Learned restorers: a network bound to a prior that goes from a measurement to the image in one
pass (LAREN, GLEAN), and their weights."""

from jaxsr.learned.codes import (
    LEAST_STRENGTH,
    as_w_plus,
    noise_strengths,
    style_statistics,
)
from jaxsr.learned.models import (
    MODELS,
    VERSIONS,
    bundled,
    find,
    fitting,
    generator_digest,
    load,
    probe,
    read_net,
    save,
)
from jaxsr.learned.networks import (
    TOY_SIZES,
    VARIANTS,
    Model,
    Sizes,
    Variant,
    bind,
    input_side,
    is_deterministic,
    seen,
    sized,
    widths,
)

__all__ = [
    "LEAST_STRENGTH",
    "MODELS",
    "TOY_SIZES",
    "VARIANTS",
    "VERSIONS",
    "Model",
    "Sizes",
    "Variant",
    "as_w_plus",
    "bind",
    "bundled",
    "find",
    "fitting",
    "generator_digest",
    "input_side",
    "is_deterministic",
    "load",
    "noise_strengths",
    "probe",
    "read_net",
    "save",
    "seen",
    "sized",
    "style_statistics",
    "widths",
]
