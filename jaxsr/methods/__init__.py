"""Restoration methods: each a factory (prior, operator, config) -> solve, with solve(key, params,
y) -> Result for one image.

A new method is

    1. its file here, with a frozen config (PRESETS, NEEDS) and the factory, as in pulse.py
    2. its row in table.py, and its names in this file
    3. its line in README.md, which a test compares with the row
    4. its row in tests/method_cases.py

and every command, help text and benchmark sees it.

`jaxsr.settings.resolve(config, operator)` makes all values of a config explicit.
"""

from jaxsr.methods._common import consistent, exact
from jaxsr.methods.brgm import BRGM, brgm
from jaxsr.methods.brgm_vi import BRGMVI, brgm_vi, draw
from jaxsr.methods.iagan import IAGAN, iagan
from jaxsr.methods.interpolation import Interpolation, bicubic, bilinear, nearest
from jaxsr.methods.laren import Learned, glean, laren
from jaxsr.methods.mganprior import MGANPrior, mganprior
from jaxsr.methods.phased import Phased, phased
from jaxsr.methods.pulse import PULSE, pulse
from jaxsr.methods.rls import RLS, rls
from jaxsr.methods.rls_plus import RLSPlus, rls_plus
from jaxsr.methods.rlse import RLSE, rlse
from jaxsr.methods.table import METHODS, Method
from jaxsr.metrics.perceptual import networks

__all__ = [
    "BRGM",
    "BRGMVI",
    "IAGAN",
    "METHODS",
    "PULSE",
    "RLS",
    "RLSE",
    "Interpolation",
    "Learned",
    "MGANPrior",
    "Method",
    "Phased",
    "RLSPlus",
    "bicubic",
    "bilinear",
    "brgm",
    "brgm_vi",
    "consistent",
    "draw",
    "exact",
    "glean",
    "iagan",
    "laren",
    "mganprior",
    "nearest",
    "networks",
    "phased",
    "pulse",
    "rls",
    "rls_plus",
    "rlse",
]
