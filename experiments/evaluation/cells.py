"""A cell of an evaluation: a method at a factor under a degradation, and what it is called."""

import re
from typing import NamedTuple

from evaluation.suites import Variant
from jaxsr.methods import METHODS
from jaxsr.operators import OPERATORS

KEY = ("cell", "photo", "solution")
# The real photo in place of a method: how it is judged is what a perfect restoration would be.
REFERENCE = "reference"


class Cell(NamedTuple):
    """A row of a table: a method under an operator (at a factor, if any) and a degradation."""

    variant: Variant
    operator: str
    factor: int
    degradation: str

    @property
    def conditions(self) -> str:
        """What all methods of one table have in common, as file names have it."""
        operator = f"x{self.factor}" if OPERATORS[self.operator].takes_factor else self.operator
        return f"{operator}_{self.degradation}"

    @property
    def name(self) -> str:
        """The folder of its images: unique within a suite."""
        label = self.variant.label.lower().replace("+", "_plus")
        return f"{re.sub(r'[^a-z0-9.]+', '_', label).strip('_')}_{self.conditions}"


def kind_of(method: str) -> str:
    """The kind of a method in METHODS, or "reference"."""
    return METHODS[method].kind if method in METHODS else REFERENCE
