"""A photo is looked at before it is restored: what its file and its pixels tell of noise,
compression, an earlier enlargement, aliasing and sharpening, and which settings that proposes."""

from jaxsr.inspect.blocks import Grid, Quality, quality_of
from jaxsr.inspect.facts import Facts
from jaxsr.inspect.inspection import Inspection, inspect
from jaxsr.inspect.proposal import (
    Proposal,
    factor_for,
    findings,
    is_clipped,
    is_noisy,
    is_rough,
    is_sharpened,
    propose,
)
from jaxsr.inspect.runs import Runs

__all__ = [
    "Facts",
    "Grid",
    "Inspection",
    "Proposal",
    "Quality",
    "Runs",
    "factor_for",
    "findings",
    "inspect",
    "is_clipped",
    "is_noisy",
    "is_rough",
    "is_sharpened",
    "propose",
    "quality_of",
]
